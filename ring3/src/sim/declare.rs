//! A kernel's types from C declarations, for tests that want to say themselves what the kernel looks like.

use std::collections::BTreeMap;

use ring3_btf::{
    Btf, Composite, Enumeration, Enumerator, Int, IntEncoding, Linkage, Member, Param, StrOff, Type, TypeId,
};

use super::SimError;

/// Longest text.
const MAX_TEXT: usize = 1 << 20;
/// How deep structures, pointers to functions and parameters lie in one another.
const MAX_DEPTH: usize = 32;

/// Types from C declarations: `struct`, `union`, `enum`, `typedef`, functions, and `tracepoint NAME(arguments);` for tracepoints. Known
/// without being declared are the integer types of C, `bool`, `u8` to `u64`, `s8` to `s64`, the same with two underscores, `size_t`,
/// `ssize_t`, `pid_t`, `uid_t` and `gid_t`. Structures are laid out as on 64-bit machines.
///
/// ```
/// let types = ring3::sim::declare(
///     "struct task_struct { int pid; int tgid; char comm[16]; struct task_struct *real_parent; };
///      enum hrtimer_mode { HRTIMER_MODE_ABS, HRTIMER_MODE_REL };
///      tracepoint sched_process_exec(struct task_struct *p, pid_t old_pid);
///      long do_unlinkat(int dfd, const char *name);",
/// )?;
/// assert!(types.find("do_unlinkat", ring3::btf::Kind::Func).is_some());
/// let wrong = ring3::sim::declare("struct task_struct { int pid }");
/// assert_eq!(wrong.unwrap_err().to_string(), "line 1: ';' is missing before '}'");
/// # Ok::<(), ring3::sim::SimError>(())
/// ```
///
/// # Errors
///
/// [`SimError::Declaration`] with the line.
pub fn declare(text: &str) -> Result<Btf, SimError> {
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens, at: 0, out: Out::new() };
    while reader.peek().is_some() {
        reader.declaration()?;
    }
    Ok(reader.out.btf)
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Name(String),
    Number(i64),
    Sign(char),
}

impl Token {
    fn text(&self) -> String {
        match self {
            Token::Name(name) => name.clone(),
            Token::Number(number) => number.to_string(),
            Token::Sign(sign) => sign.to_string(),
        }
    }
}

fn error(line: usize, what: impl Into<String>) -> SimError {
    SimError::Declaration { line, what: what.into() }
}

/// Tokens with their lines.
fn tokens(text: &str) -> Result<Vec<(Token, usize)>, SimError> {
    if text.len() > MAX_TEXT {
        return Err(error(1, format!("more than {MAX_TEXT} bytes")));
    }
    let (mut rest, mut line, mut out) = (text, 1, Vec::new());
    while let Some(c) = rest.chars().next() {
        let mut len = c.len_utf8();
        if let Some(comment) = rest.strip_prefix("/*") {
            len = comment.find("*/").ok_or_else(|| error(line, "the comment does not end"))? + 4;
        } else if rest.starts_with("//") {
            len = rest.find('\n').unwrap_or(rest.len());
        } else if c.is_ascii_alphabetic() || c == '_' {
            len = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            out.push((Token::Name(rest[..len].to_owned()), line));
        } else if c.is_ascii_digit() {
            len = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let word = &rest[..len];
            let number = match word.strip_prefix("0x") {
                Some(digits) => i64::from_str_radix(digits, 16),
                None => word.parse(),
            };
            out.push((Token::Number(number.map_err(|_| error(line, format!("'{word}' is no number")))?), line));
        } else if !c.is_whitespace() {
            out.push((Token::Sign(c), line));
        }
        line += rest[..len].matches('\n').count();
        rest = &rest[len..];
    }
    Ok(out)
}

/// The types so far.
struct Out {
    btf: Btf,
    names: BTreeMap<String, StrOff>,
    /// Structs, unions and enums by keyword and name.
    tags: BTreeMap<(String, String), TypeId>,
    /// Typedefs and integers.
    plain: BTreeMap<String, TypeId>,
    made: BTreeMap<(u8, TypeId), TypeId>,
    /// Of structs and unions.
    aligns: BTreeMap<TypeId, u32>,
}

/// Integers: name, bytes, encoding.
const INTEGERS: &[(&str, u32, IntEncoding)] = &[
    ("char", 1, IntEncoding::Signed),
    ("signed char", 1, IntEncoding::Signed),
    ("unsigned char", 1, IntEncoding::Unsigned),
    ("short", 2, IntEncoding::Signed),
    ("unsigned short", 2, IntEncoding::Unsigned),
    ("int", 4, IntEncoding::Signed),
    ("unsigned int", 4, IntEncoding::Unsigned),
    ("long", 8, IntEncoding::Signed),
    ("unsigned long", 8, IntEncoding::Unsigned),
    ("long long", 8, IntEncoding::Signed),
    ("unsigned long long", 8, IntEncoding::Unsigned),
    ("_Bool", 1, IntEncoding::Bool),
];

/// Types that kernels define, by what they are.
const KNOWN: &[(&str, &str)] = &[
    ("bool", "_Bool"),
    ("u8", "unsigned char"),
    ("u16", "unsigned short"),
    ("u32", "unsigned int"),
    ("u64", "unsigned long long"),
    ("s8", "signed char"),
    ("s16", "short"),
    ("s32", "int"),
    ("s64", "long long"),
    ("__u8", "unsigned char"),
    ("__u16", "unsigned short"),
    ("__u32", "unsigned int"),
    ("__u64", "unsigned long long"),
    ("__s8", "signed char"),
    ("__s16", "short"),
    ("__s32", "int"),
    ("__s64", "long long"),
    ("size_t", "unsigned long"),
    ("ssize_t", "long"),
    ("pid_t", "int"),
    ("uid_t", "unsigned int"),
    ("gid_t", "unsigned int"),
];

const POINTER: u8 = 0;
const CONSTANT: u8 = 1;
const VOLATILE: u8 = 2;

impl Out {
    fn new() -> Out {
        let (names, tags) = (BTreeMap::new(), BTreeMap::new());
        let plain = BTreeMap::new();
        Out { btf: Btf::empty(), names, tags, plain, made: BTreeMap::new(), aligns: BTreeMap::new() }
    }

    fn name(&mut self, text: &str, line: usize) -> Result<StrOff, SimError> {
        if text.is_empty() {
            return Ok(StrOff(0));
        }
        if let Some(known) = self.names.get(text) {
            return Ok(*known);
        }
        let added = self.btf.add_string(text).ok_or_else(|| error(line, "too many names"))?;
        self.names.insert(text.to_owned(), added);
        Ok(added)
    }

    fn add(&mut self, ty: Type, line: usize) -> Result<TypeId, SimError> {
        self.btf.add_type(ty).ok_or_else(|| error(line, "too many types"))
    }

    /// A pointer to a type, or the type with a word before it.
    fn derived(&mut self, what: u8, to: TypeId, line: usize) -> Result<TypeId, SimError> {
        if let Some(known) = self.made.get(&(what, to)) {
            return Ok(*known);
        }
        let ty = match what {
            POINTER => Type::Ptr { to },
            CONSTANT => Type::Const { to },
            _ => Type::Volatile { to },
        };
        let id = self.add(ty, line)?;
        self.made.insert((what, to), id);
        Ok(id)
    }

    /// An integer or typedef, if there is one of this name.
    fn plain(&mut self, name: &str, line: usize) -> Result<Option<TypeId>, SimError> {
        if let Some(known) = self.plain.get(name) {
            return Ok(Some(*known));
        }
        let ty = if let Some((_, size, encoding)) = INTEGERS.iter().find(|row| row.0 == name) {
            let (size, encoding) = (*size, *encoding);
            let bits = if encoding == IntEncoding::Bool { 8 } else { size * 8 } as u8;
            Type::Int(Int { name: self.name(name, line)?, size, bit_offset: 0, bits, encoding })
        } else if let Some((_, base)) = KNOWN.iter().find(|row| row.0 == name) {
            let to = self.plain(base, line)?.unwrap_or(TypeId::VOID);
            Type::Typedef { name: self.name(name, line)?, to }
        } else {
            return Ok(None);
        };
        let id = self.add(ty, line)?;
        self.plain.insert(name.to_owned(), id);
        Ok(Some(id))
    }

    /// A struct, union or enum of this name, perhaps one that is not defined yet.
    fn tag(&mut self, keyword: &str, name: &str, line: usize) -> Result<TypeId, SimError> {
        let key = (keyword.to_owned(), name.to_owned());
        if let Some(known) = self.tags.get(&key).filter(|_| !name.is_empty()) {
            return Ok(*known);
        }
        let text = self.name(name, line)?;
        let id = self.add(Type::Fwd { name: text, is_union: keyword == "union" }, line)?;
        if !name.is_empty() {
            self.tags.insert(key, id);
        }
        Ok(id)
    }

    fn define(&mut self, id: TypeId, ty: Type, line: usize) -> Result<(), SimError> {
        if !matches!(self.btf.get(id), Some(Type::Fwd { .. })) {
            return Err(error(line, format!("'{}' is defined twice", self.btf.name(id))));
        }
        self.btf.replace_type(id, ty);
        Ok(())
    }

    /// Bytes of a type, and what its address is a multiple of.
    fn layout(&self, id: TypeId, line: usize) -> Result<(u32, u32), SimError> {
        let size = self.btf.size_of(id);
        let unknown = |_| error(line, format!("nothing says how large '{}' is", self.btf.name(id)));
        let align = match self.btf.resolved(id).map_err(unknown)? {
            Type::Array { elem, .. } => self.layout(*elem, line)?.1,
            Type::Struct(_) | Type::Union(_) => {
                self.btf.resolve(id).ok().and_then(|id| self.aligns.get(&id)).copied().unwrap_or(1)
            }
            _ => size.clone().map_err(unknown)?,
        };
        Ok((size.map_err(unknown)?, align.max(1)))
    }
}

/// A name with its type, and the bits of a bit-field.
struct Declared {
    name: String,
    ty: TypeId,
    bits: Option<u8>,
    /// A function with these parameters.
    params: Option<Vec<(String, TypeId)>>,
}

struct Reader<'t> {
    tokens: &'t [(Token, usize)],
    at: usize,
    out: Out,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |(_, line)| *line)
    }

    fn wrong(&self, what: &str) -> SimError {
        let before = self.peek().map_or_else(|| "the end".to_owned(), |token| format!("'{}'", token.text()));
        error(self.line(), format!("{what} before {before}"))
    }

    fn sign(&mut self, sign: char) -> bool {
        let found = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(found);
        found
    }

    fn need(&mut self, sign: char) -> Result<(), SimError> {
        if self.sign(sign) { Ok(()) } else { Err(self.wrong(&format!("'{sign}' is missing"))) }
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(name)) if name == word);
        self.at += usize::from(found);
        found
    }

    fn name(&mut self) -> Option<String> {
        let Some(Token::Name(name)) = self.peek() else { return None };
        let name = name.clone();
        self.at += 1;
        Some(name)
    }

    fn number(&mut self) -> Result<i64, SimError> {
        let minus = self.sign('-');
        let Some(Token::Number(number)) = self.peek() else { return Err(self.wrong("a number is missing")) };
        let number = *number;
        self.at += 1;
        Ok(if minus { -number } else { number })
    }

    fn declaration(&mut self) -> Result<(), SimError> {
        if self.word("tracepoint") {
            return self.tracepoint();
        }
        let typedef = self.word("typedef");
        let _ = self.word("extern") || self.word("static");
        let base = self.base(0)?;
        if self.sign(';') {
            return Ok(());
        }
        let line = self.line();
        let declared = self.declarator(base, 0)?;
        self.need(';')?;
        let name = self.out.name(&declared.name, line)?;
        if declared.name.is_empty() {
            return Err(error(line, "a name is missing"));
        }
        match declared.params {
            None if typedef => {
                let id = self.out.add(Type::Typedef { name, to: declared.ty }, line)?;
                self.out.plain.insert(declared.name, id);
                Ok(())
            }
            Some(params) if !typedef => self.function(name, declared.ty, &params, line),
            None | Some(_) => Err(error(line, "only types, functions and tracepoints can be declared")),
        }
    }

    fn proto(&mut self, ret: TypeId, params: &[(String, TypeId)], line: usize) -> Result<TypeId, SimError> {
        let named = params.iter().map(|(name, ty)| Ok(Param { name: self.out.name(name, line)?, ty: *ty }));
        let params = named.collect::<Result<Vec<_>, SimError>>()?.into();
        self.out.add(Type::FuncProto { ret, params }, line)
    }

    fn function(
        &mut self,
        name: StrOff,
        ret: TypeId,
        params: &[(String, TypeId)],
        line: usize,
    ) -> Result<(), SimError> {
        let proto = self.proto(ret, params, line)?;
        self.out.add(Type::Func { name, proto, linkage: Linkage::Static }, line).map(|_| ())
    }

    /// What a kernel's types have of a tracepoint: a typedef, and the function that calls the probes, with the names.
    fn tracepoint(&mut self) -> Result<(), SimError> {
        let line = self.line();
        let name = self.name().ok_or_else(|| self.wrong("the tracepoint's name is missing"))?;
        self.need('(')?;
        let mut params = self.params(0)?;
        self.need(';')?;
        let data = self.out.derived(POINTER, TypeId::VOID, line)?;
        params.insert(0, ("__data".to_owned(), data));
        let proto = self.proto(TypeId::VOID, &params, line)?;
        let to = self.out.derived(POINTER, proto, line)?;
        let typedef = self.out.name(&format!("btf_trace_{name}"), line)?;
        self.out.add(Type::Typedef { name: typedef, to }, line)?;
        let caller = self.out.name(&format!("__traceiter_{name}"), line)?;
        let int = self.out.plain("int", line)?.unwrap_or(TypeId::VOID);
        self.function(caller, int, &params, line)
    }

    /// What stands before the names: `const struct task_struct`.
    fn base(&mut self, depth: usize) -> Result<TypeId, SimError> {
        let line = self.line();
        if depth > MAX_DEPTH {
            return Err(error(line, "too deep"));
        }
        let (mut words, mut found) = (Vec::<String>::new(), None);
        let (mut constant, mut volatile, mut user) = (false, false, false);
        while let Some(Token::Name(word)) = self.peek().cloned() {
            match word.as_str() {
                "const" => constant = true,
                "volatile" => volatile = true,
                "__user" => user = true,
                "__rcu" | "__percpu" | "__kptr" | "restrict" | "inline" => {}
                "signed" | "unsigned" | "char" | "short" | "int" | "long" if found.is_none() => words.push(word),
                "void" if found.is_none() && words.is_empty() => found = Some(TypeId::VOID),
                "struct" | "union" | "enum" if found.is_none() && words.is_empty() => {
                    self.at += 1;
                    found = Some(self.tagged(&word, depth)?);
                    continue;
                }
                _ if found.is_none() && words.is_empty() => {
                    found = self.out.plain(&word, line)?;
                    if found.is_none() {
                        return Err(error(line, format!("there is no type '{word}'")));
                    }
                }
                _ => break,
            }
            self.at += 1;
        }
        let mut ty = match found {
            Some(ty) => ty,
            None if words.is_empty() => return Err(self.wrong("a type is missing")),
            None => self.out.plain(integer(&words), line)?.unwrap_or(TypeId::VOID),
        };
        if user {
            let name = self.out.name("user", line)?;
            ty = self.out.add(Type::TypeTag { name, to: ty, is_attribute: false }, line)?;
        }
        if constant {
            ty = self.out.derived(CONSTANT, ty, line)?;
        }
        if volatile {
            ty = self.out.derived(VOLATILE, ty, line)?;
        }
        Ok(ty)
    }

    /// A struct, union or enum, behind its keyword.
    fn tagged(&mut self, keyword: &str, depth: usize) -> Result<TypeId, SimError> {
        let line = self.line();
        let name = self.name().unwrap_or_default();
        let id = self.out.tag(keyword, &name, line)?;
        if !self.sign('{') {
            return if name.is_empty() { Err(self.wrong("a name or '{' is missing")) } else { Ok(id) };
        }
        let name = self.out.name(&name, line)?;
        let ty = if keyword == "enum" {
            Type::Enum(self.enumerators(name)?)
        } else {
            let (whole, align) = self.members(name, keyword == "union", depth)?;
            self.out.aligns.insert(id, align);
            if keyword == "union" { Type::Union(whole) } else { Type::Struct(whole) }
        };
        self.out.define(id, ty, line)?;
        Ok(id)
    }

    fn enumerators(&mut self, name: StrOff) -> Result<Enumeration, SimError> {
        let (mut values, mut next) = (Vec::new(), 0i64);
        while !self.sign('}') {
            let line = self.line();
            let word = self.name().ok_or_else(|| self.wrong("a name is missing"))?;
            if self.sign('=') {
                next = self.number()?;
            }
            if i32::try_from(next).is_err() && u32::try_from(next).is_err() {
                return Err(error(line, format!("'{word}' does not fit 32 bits")));
            }
            values.push(Enumerator { name: self.out.name(&word, line)?, value: next });
            next += 1;
            if !self.sign(',') {
                self.need('}')?;
                break;
            }
        }
        let signed = values.iter().any(|value| value.value < 0);
        Ok(Enumeration { name, size: 4, signed, values: values.into() })
    }

    fn members(&mut self, name: StrOff, is_union: bool, depth: usize) -> Result<(Composite, u32), SimError> {
        let (mut members, mut end, mut widest) = (Vec::new(), 0u64, 1u32);
        while !self.sign('}') {
            let base = self.base(depth + 1)?;
            loop {
                let line = self.line();
                let declared = self.declarator(base, depth + 1)?;
                if declared.params.is_some() {
                    return Err(error(line, "a function is no field"));
                }
                let (size, align) = self.out.layout(declared.ty, line)?;
                let start = if is_union { 0 } else { end };
                let unit = u64::from(size) * 8;
                let (at, bits) = match declared.bits {
                    // It lies within one unit of its type.
                    Some(bits) if u64::from(bits) > unit => return Err(error(line, "more bits than its type has")),
                    Some(bits) if start / unit == (start + u64::from(bits) - 1) / unit => (start, bits.into()),
                    Some(bits) => (start.next_multiple_of(unit), bits.into()),
                    None => (start.next_multiple_of(u64::from(align) * 8), unit),
                };
                widest = widest.max(align);
                end = end.max(at + bits);
                if end / 8 >= 1 << 24 {
                    return Err(error(line, "too large"));
                }
                let text = self.out.name(&declared.name, line)?;
                let bitfield_size = declared.bits.unwrap_or(0);
                members.push(Member { name: text, ty: declared.ty, bit_offset: at as u32, bitfield_size });
                if !self.sign(',') {
                    break;
                }
            }
            self.need(';')?;
        }
        let size = (end.div_ceil(8)).next_multiple_of(widest.into()) as u32;
        Ok((Composite { name, size, members: members.into() }, widest))
    }

    /// A name with its stars, lengths and bits; also a pointer to a function, or one with parameters.
    fn declarator(&mut self, base: TypeId, depth: usize) -> Result<Declared, SimError> {
        let line = self.line();
        if depth > MAX_DEPTH {
            return Err(error(line, "too deep"));
        }
        let mut ty = base;
        while self.sign('*') {
            ty = self.out.derived(POINTER, ty, line)?;
            while ["const", "volatile", "restrict", "__user", "__rcu"].into_iter().any(|word| self.word(word)) {}
        }
        if self.sign('(') {
            self.need('*')?;
            let name = self.name().unwrap_or_default();
            self.need(')')?;
            self.need('(')?;
            let params = self.params(depth + 1)?;
            let proto = self.proto(ty, &params, line)?;
            let ty = self.out.derived(POINTER, proto, line)?;
            return Ok(Declared { name, ty, bits: None, params: None });
        }
        let name = self.name().unwrap_or_default();
        if self.sign('(') {
            let params = self.params(depth + 1)?;
            return Ok(Declared { name, ty, bits: None, params: Some(params) });
        }
        let mut lengths = Vec::new();
        while self.sign('[') {
            let len = if self.peek() == Some(&Token::Sign(']')) { 0 } else { self.number()? };
            self.need(']')?;
            lengths.push(u32::try_from(len).map_err(|_| error(line, "no length of an array"))?);
        }
        for len in lengths.into_iter().rev() {
            let index = self.out.plain("unsigned int", line)?.unwrap_or(TypeId::VOID);
            ty = self.out.add(Type::Array { elem: ty, index, len }, line)?;
        }
        let bits = if self.sign(':') {
            let bits = self.number()?;
            Some(
                u8::try_from(bits)
                    .ok()
                    .filter(|bits| (1..=64).contains(bits))
                    .ok_or_else(|| error(line, "no number of bits"))?,
            )
        } else {
            None
        };
        Ok(Declared { name, ty, bits, params: None })
    }

    /// Parameters, behind their parenthesis.
    fn params(&mut self, depth: usize) -> Result<Vec<(String, TypeId)>, SimError> {
        let mut params = Vec::new();
        if self.sign(')') {
            return Ok(params);
        }
        loop {
            let base = self.base(depth + 1)?;
            let line = self.line();
            let declared = self.declarator(base, depth + 1)?;
            let ty = match (declared.params.is_some(), self.out.btf.get(declared.ty)) {
                (true, _) => return Err(error(line, "a function is no parameter")),
                (false, Some(Type::Array { elem, .. })) => {
                    let elem = *elem;
                    self.out.derived(POINTER, elem, line)?
                }
                (false, _) => declared.ty,
            };
            params.push((declared.name, ty));
            if !self.sign(',') {
                break;
            }
        }
        self.need(')')?;
        if params.len() == 1 && params[0].1 == TypeId::VOID {
            params.clear();
        }
        Ok(params)
    }
}

/// The integer that its words name.
fn integer(words: &[String]) -> &'static str {
    let has = |word: &str| words.iter().any(|w| w == word);
    let longs = words.iter().filter(|word| *word == "long").count();
    match (has("char"), has("short"), longs) {
        (true, ..) if has("unsigned") => "unsigned char",
        (true, ..) if has("signed") => "signed char",
        (true, ..) => "char",
        (_, true, _) if has("unsigned") => "unsigned short",
        (_, true, _) => "short",
        (_, _, 0) if has("unsigned") => "unsigned int",
        (_, _, 0) => "int",
        (_, _, 1) if has("unsigned") => "unsigned long",
        (_, _, 1) => "long",
        _ if has("unsigned") => "unsigned long long",
        _ => "long long",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring3_btf::{Endian, Kind};

    #[test]
    fn structures_are_laid_out_as_compilers_do() {
        let btf = declare(
            "struct s { char a; u64 b; unsigned c:3, d:30; struct { short e; union { int f; char g[7]; }; }; struct s *next; };
             typedef struct { uid_t val; } kuid_t; struct t { kuid_t uid; void (*call)(int, struct s *); const char *argv[]; };",
        )
        .unwrap();
        let s = btf.find("s", Kind::Struct).unwrap();
        let at = |name| btf.member(s, name).map(|m| (m.bit_offset, m.bitfield_size));
        assert_eq!(
            (at("a"), at("b"), at("c"), at("d")),
            (Some((0, 0)), Some((64, 0)), Some((128, 3)), Some((160, 30)))
        );
        assert_eq!((at("next"), btf.size_of(s)), (Some((320, 0)), Ok(48)));
        let t = btf.find("t", Kind::Struct).unwrap();
        assert_eq!(btf.size_of(t), Ok(16));
        // What was made is what the parser takes.
        assert_eq!(Btf::parse(&btf.to_bytes(Endian::Little)).unwrap().types().len(), btf.types().len());
    }

    #[test]
    fn wrong_declarations_are_told_by_line() {
        let said = |text: &str| declare(text).unwrap_err().to_string();
        assert_eq!(said("struct s {\n unknown x; };"), "line 2: there is no type 'unknown'");
        assert_eq!(said("struct s { struct t x; };"), "line 1: nothing says how large 't' is");
        assert_eq!(said("struct s { int x; };\nstruct s { int y; };"), "line 2: 's' is defined twice");
        assert_eq!(said("int x;"), "line 1: only types, functions and tracepoints can be declared");
        assert!(said(&"struct { ".repeat(100)).contains("too deep"));
        assert!(said("/* no end").contains("does not end"));
    }
}
