//! One type in C's words: declarators, bodies of structs, unions and enums.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};

use super::names::identifier;
use super::{Dump, MAX_DEPTH, State};
use crate::types::*;
use crate::{BtfError, MAX_CHAIN};

/// Words that C's own number types consist of.
const NUMBER_WORDS: [&str; 10] =
    ["unsigned", "signed", "char", "short", "int", "long", "_Bool", "__int128", "float", "double"];

/// `const`, `volatile` and `restrict`, and tags, that wait for the type they belong to.
#[derive(Default)]
struct Qualifiers {
    is_const: bool,
    is_volatile: bool,
    is_restrict: bool,
    /// `__attribute__((btf_type_tag("...")))`, each with a blank before it.
    tags: String,
}

impl Qualifiers {
    /// In front of what they qualify, each with a blank behind it. Only pointers can be `restrict`.
    fn words(&self, of_pointer: bool) -> String {
        let words =
            [(self.is_const, "const "), (self.is_volatile, "volatile "), (self.is_restrict && of_pointer, "restrict ")];
        words.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect()
    }
}

impl<'a> Dump<'a> {
    /// `name` as something of this type, without `;`. Bodies of types without a name are indented by so many tabs.
    pub(super) fn declaration(&mut self, id: TypeId, name: String, indent: usize) -> Result<String, BtfError> {
        let (mut at, mut text, mut quals) = (id, name, Qualifiers::default());
        let mut is_pointer = false;
        // A function's or array's declarator stands behind a pointer's, which binds less.
        let wrap = |text: &str, is_pointer: bool| if is_pointer { format!("({text})") } else { text.to_string() };
        for _ in 0..=2 * MAX_CHAIN {
            match self.btf.ty(at)? {
                Type::Ptr { to } => {
                    let tags = quals.tags.strip_prefix(' ').map(|tags| format!("{tags} ")).unwrap_or_default();
                    text = format!("*{tags}{}{text}", quals.words(true));
                    (at, is_pointer, quals) = (*to, true, Qualifiers::default());
                }
                Type::Array { elem, len, .. } => {
                    text = format!("{}[{len}]", wrap(&text, is_pointer));
                    (at, is_pointer) = (*elem, false);
                }
                Type::FuncProto { ret, params } => {
                    let params = self.params(params, indent)?;
                    text = format!("{}({params})", wrap(&text, is_pointer));
                    (at, is_pointer, quals) = (*ret, false, Qualifiers::default());
                }
                Type::Const { to } => (at, quals.is_const) = (*to, true),
                Type::Volatile { to } => (at, quals.is_volatile) = (*to, true),
                Type::Restrict { to } => (at, quals.is_restrict) = (*to, true),
                Type::TypeTag { name, to, is_attribute } => {
                    quals.tags.push_str(&attribute(self.btf.string(*name), *is_attribute));
                    at = *to;
                }
                Type::Void
                | Type::Int(_)
                | Type::Struct(_)
                | Type::Union(_)
                | Type::Enum(_)
                | Type::Enum64(_)
                | Type::Fwd { .. }
                | Type::Typedef { .. }
                | Type::Func { .. }
                | Type::Var { .. }
                | Type::Datasec { .. }
                | Type::Float { .. }
                | Type::DeclTag { .. } => {
                    let base = self.base(at, indent)?;
                    let blank = if text.is_empty() { "" } else { " " };
                    return Ok(format!("{}{base}{}{blank}{text}", quals.words(false), quals.tags));
                }
            }
        }
        Err(BtfError::TooDeep(id))
    }

    fn params(&mut self, params: &[Param], indent: usize) -> Result<String, BtfError> {
        if params.is_empty() {
            return Ok("void".to_string());
        }
        let mut texts = alloc::vec::Vec::with_capacity(params.len());
        for p in params {
            texts.push(match p.ty {
                TypeId::VOID => "...".to_string(),
                ty => self.declaration(ty, identifier(self.btf.string(p.name)).into_owned(), indent)?,
            });
        }
        Ok(texts.join(", "))
    }

    /// The words in front of a declarator.
    fn base(&mut self, id: TypeId, indent: usize) -> Result<String, BtfError> {
        if indent > MAX_DEPTH as usize {
            return Err(BtfError::TooDeep(id));
        }
        match self.btf.ty(id)? {
            Type::Void => Ok("void".to_string()),
            Type::Int(int) => Ok(self.integer(int).into_owned()),
            Type::Float { name, size } => Ok(match (self.btf.string(*name), size) {
                (name, _) if is_number(name) => name.to_string(),
                (_, ..=4) => "float".to_string(),
                (_, ..=8) => "double".to_string(),
                (_, _) => "long double".to_string(),
            }),
            Type::Struct(c) | Type::Union(c) if self.btf.string(c.name).is_empty() => self.body(id, c, indent),
            Type::Enum(e) | Type::Enum64(e) if self.btf.string(e.name).is_empty() => {
                // Its constants are there already: only the number is left to say.
                if self.state(id) == State::Complete {
                    return Ok(plain_integer(e.size, e.signed).to_string());
                }
                self.set(id, State::Complete);
                self.enum_body(id, e, indent)
            }
            Type::Struct(_) | Type::Union(_) | Type::Enum(_) | Type::Enum64(_) | Type::Fwd { .. } => self.tagged(id),
            Type::Typedef { .. } => Ok(self.names.of(self.btf, id)),
            Type::Ptr { .. }
            | Type::Array { .. }
            | Type::Volatile { .. }
            | Type::Const { .. }
            | Type::Restrict { .. }
            | Type::FuncProto { .. }
            | Type::TypeTag { .. }
            | Type::Func { .. }
            | Type::Var { .. }
            | Type::Datasec { .. }
            | Type::DeclTag { .. } => Err(BtfError::NotInC(id)),
        }
    }

    /// `struct name`; without the name if it has none.
    pub(super) fn tagged(&self, id: TypeId) -> Result<String, BtfError> {
        let word = match self.btf.ty(id)? {
            Type::Union(_) | Type::Fwd { is_union: true, .. } => "union",
            Type::Enum(_) | Type::Enum64(_) => "enum",
            _ => "struct",
        };
        let name = self.names.of(self.btf, id);
        Ok(if name.is_empty() { word.to_string() } else { format!("{word} {name}") })
    }

    /// C's own name of an integer; other languages have names that C does not know.
    fn integer(&self, int: &Int) -> Cow<'a, str> {
        let name = self.btf.string(int.name);
        match (is_number(name), int.encoding) {
            (true, _) => Cow::Borrowed(name),
            (false, IntEncoding::Bool) if int.size == 1 => Cow::Borrowed("_Bool"),
            (false, IntEncoding::Signed) => Cow::Borrowed(plain_integer(int.size, true)),
            (false, IntEncoding::Unsigned | IntEncoding::Char | IntEncoding::Bool | IntEncoding::Other(_)) => {
                Cow::Borrowed(plain_integer(int.size, false))
            }
        }
    }

    /// `struct name { ... }`, the layout made explicit.
    pub(super) fn body(&mut self, id: TypeId, c: &'a Composite, indent: usize) -> Result<String, BtfError> {
        if indent > MAX_DEPTH as usize {
            return Err(BtfError::TooDeep(id));
        }
        let tabs = "\t".repeat(indent);
        let is_union = self.btf.ty(id)?.kind() == Kind::Union;
        let packed = self.is_packed(c, 0)?;
        let mut text = format!("{} {{\n", self.tagged(id)?);
        let mut end = 0;
        for m in &c.members {
            self.step(id, 0)?;
            let placed = self.placed(m, 0)?;
            if !is_union && placed.natural(end, packed) < placed.start {
                pad(&mut text, &tabs, end, placed.start);
            }
            let name = identifier(self.btf.string(m.name)).into_owned();
            let member = self.declaration(m.ty, name, indent + 1)?;
            let width = if placed.is_bitfield { format!(": {}", placed.len) } else { String::new() };
            text.push_str(&format!("{tabs}\t{member}{width};\n"));
            let until = placed.start.saturating_add(placed.len);
            end = if is_union { end.max(until) } else { until };
        }
        let unit = if packed { 8 } else { u64::from(self.widest(c, 0)?) * 8 };
        let size = u64::from(c.size) * 8;
        if end.next_multiple_of(unit) < size {
            match is_union {
                // A bitfield of a union starts at its first bit.
                true => {
                    text.push_str(&format!("{tabs}\tstruct {{\n"));
                    pad(&mut text, &format!("{tabs}\t"), 0, size);
                    text.push_str(&format!("{tabs}\t}};\n"));
                }
                false => pad(&mut text, &tabs, end, size),
            }
        }
        text.push_str(&tabs);
        text.push('}');
        if packed {
            text.push_str(" __attribute__((packed))");
        }
        Ok(text)
    }

    /// `enum name { ... }`; of no more than its name if its constants are not known.
    pub(super) fn enum_body(&mut self, id: TypeId, e: &Enumeration, indent: usize) -> Result<String, BtfError> {
        let tag = self.tagged(id)?;
        if e.values.is_empty() {
            return Ok(tag);
        }
        let tabs = "\t".repeat(indent);
        let is_wide = self.btf.ty(id)?.kind() == Kind::Enum64;
        let mut text = format!("{tag} {{\n");
        for (at, value) in e.values.iter().enumerate() {
            let name = self.names.constant(self.btf, id, at, value);
            let number = match (e.signed, is_wide) {
                (true, false) => value.value.to_string(),
                // The lowest number has no decimal constant of its own.
                (true, true) if value.value == i64::MIN => "-9223372036854775807LL - 1".to_string(),
                (true, true) => format!("{}LL", value.value),
                (false, false) => value.value.cast_unsigned().to_string(),
                (false, true) => format!("{}ULL", value.value.cast_unsigned()),
            };
            text.push_str(&format!("{tabs}\t{name} = {number},\n"));
        }
        text.push_str(&tabs);
        text.push('}');
        text.push_str(match e.size {
            1 => " __attribute__((mode(QI)))",
            2 => " __attribute__((mode(HI)))",
            // Wide constants make clang choose this size by itself.
            8 if !is_wide => " __attribute__((mode(DI)))",
            _ => "",
        });
        Ok(text)
    }
}

/// A tag or an attribute, with a blank before it. Nothing that a name holds may end it early.
fn attribute(name: &str, is_attribute: bool) -> String {
    let is_text = |c: &char| !matches!(c, '"' | '\\') && !c.is_control();
    let is_code = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | ' ' | ',' | '(' | ')');
    if !is_attribute {
        return format!(" __attribute__((btf_type_tag(\"{}\")))", name.chars().filter(is_text).collect::<String>());
    }
    let code: String = name.chars().filter(is_code).collect();
    let depths = code.chars().scan(0i32, |depth, c| {
        *depth += i32::from(c == '(') - i32::from(c == ')');
        Some(*depth)
    });
    // Parentheses that do not match would close ours.
    let is_closed = depths.clone().all(|depth| depth >= 0) && depths.last().unwrap_or(0) == 0;
    if is_closed { format!(" __attribute__(({code}))") } else { String::new() }
}

/// Does C have a number type of this name?
fn is_number(name: &str) -> bool {
    !name.is_empty() && name.split(' ').all(|word| NUMBER_WORDS.contains(&word))
}

/// An integer of so many bytes.
fn plain_integer(size: u32, signed: bool) -> &'static str {
    match (size, signed) {
        (..=1, true) => "signed char",
        (..=1, false) => "unsigned char",
        (2, true) => "short",
        (2, false) => "unsigned short",
        (3..=4, true) => "int",
        (3..=4, false) => "unsigned int",
        (5..=8, true) => "long long",
        (5..=8, false) => "unsigned long long",
        (_, true) => "__int128",
        (_, false) => "unsigned __int128",
    }
}

/// Bits that no member names. A bitfield without a name takes room and no alignment, and may end where a `long` ends; what is
/// larger than a cache line is an array.
fn pad(text: &mut String, tabs: &str, from: u64, to: u64) {
    let mut at = from;
    while at < to {
        let left = to - at;
        if at.is_multiple_of(8) && left > 512 {
            let bytes = left / 8;
            text.push_str(&format!("{tabs}\tchar __pad{}[{bytes}];\n", at / 8));
            at += bytes * 8;
        } else {
            let take = (64 - at % 64).min(left);
            text.push_str(&format!("{tabs}\tlong: {take};\n"));
            at += take;
        }
    }
}
