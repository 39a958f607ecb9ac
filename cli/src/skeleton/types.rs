//! Structures of an object as C of their own: what includes a skeleton may have types of the same names, or none of them.

use std::collections::{BTreeMap, BTreeSet};

use ring3::btf::{Btf, Composite, Int, IntEncoding, Member, StrOff, Type, TypeId};

use super::names::identifier;

/// Deepest nesting that is written.
const MAX_DEPTH: u32 = 64;

/// Definitions, as they come to be needed.
pub struct Types<'a> {
    from: &'a Btf,
    prefix: String,
    to: Btf,
    known: BTreeMap<TypeId, String>,
    /// Names that are taken, without the prefix.
    taken: BTreeSet<String>,
}

impl<'a> Types<'a> {
    /// For types of this BTF, called `PREFIX__NAME`, but none of these names.
    pub fn new(from: &'a Btf, prefix: &str, taken: impl Iterator<Item = String>) -> Types<'a> {
        let (to, known) = (Btf::empty(), BTreeMap::new());
        Types { from, prefix: prefix.to_owned(), to, known, taken: taken.collect() }
    }

    /// The definitions.
    pub fn text(&self) -> String {
        self.to.dump_c_types().unwrap_or_default()
    }

    /// A struct or union as C says it (`struct lb__backend`), called after this variable if it has no name. `None` for what cannot be said.
    pub fn composite(&mut self, id: TypeId, variable: &str) -> Option<String> {
        let id = self.from.resolve(id).ok()?;
        if let Some(said) = self.known.get(&id) {
            return Some(said.clone());
        }
        if !matches!(self.from.get(id)?, Type::Struct(_) | Type::Union(_)) {
            return None;
        }
        let before = (self.to.clone(), self.known.clone(), self.taken.clone());
        let done = self.convert(id, variable, 0).is_some() && self.to.dump_c_types().is_ok();
        if !done {
            (self.to, self.known, self.taken) = before;
            return None;
        }
        self.known.get(&id).cloned()
    }

    fn name(&mut self, own: &str) -> String {
        let own = identifier(own);
        let mut name = own.clone();
        for at in 2.. {
            if self.taken.insert(name.clone()) {
                break;
            }
            name = format!("{own}_{at}");
        }
        format!("{}__{name}", self.prefix)
    }

    fn add(&mut self, name: &str, ty: impl FnOnce(StrOff) -> Type) -> Option<TypeId> {
        let name = if name.is_empty() { StrOff(0) } else { self.to.add_string(name)? };
        self.to.add_type(ty(name))
    }

    /// The type in the definitions. One without a name that is called something is given that name.
    fn convert(&mut self, id: TypeId, called: &str, depth: u32) -> Option<TypeId> {
        if depth > MAX_DEPTH {
            return None;
        }
        let id = self.from.resolve(id).ok()?;
        match self.from.get(id)? {
            Type::Int(int) => {
                let signed = int.encoding == IntEncoding::Signed;
                self.integer(int.size, signed, super::c::is_char(self.from, id))
            }
            Type::Enum(e) | Type::Enum64(e) => self.integer(e.size, e.signed, false),
            Type::Float { size: 4, .. } => self.add("float", |name| Type::Float { name, size: 4 }),
            Type::Float { size: 8, .. } => self.add("double", |name| Type::Float { name, size: 8 }),
            // What it leads to is of no use outside of the program.
            Type::Ptr { .. } => self.add("", |_| Type::Ptr { to: TypeId::VOID }),
            Type::Array { elem, len, .. } => {
                let elem = self.convert(*elem, "", depth + 1)?;
                let index = self.integer(4, false, false)?;
                self.add("", |_| Type::Array { elem, index, len: *len })
            }
            Type::Struct(c) => self.members(id, c, called, depth, Type::Struct),
            Type::Union(c) => self.members(id, c, called, depth, Type::Union),
            _ => None,
        }
    }

    fn integer(&mut self, size: u32, signed: bool, is_char: bool) -> Option<TypeId> {
        let bits = u8::try_from(size * 8).ok()?;
        let encoding = if signed { IntEncoding::Signed } else { IntEncoding::Unsigned };
        let text = super::c::integer(size, signed, is_char)?;
        self.add(text, |name| Type::Int(Int { name, size, bit_offset: 0, bits, encoding }))
    }

    fn members(
        &mut self,
        id: TypeId,
        c: &Composite,
        called: &str,
        depth: u32,
        make: impl FnOnce(Composite) -> Type,
    ) -> Option<TypeId> {
        let own = self.from.string(c.name);
        let own = if own.is_empty() { called } else { own };
        if let Some(said) = self.known.get(&id) {
            let name = said.split(' ').nth(1).unwrap_or_default().to_owned();
            let found = self.to.types().iter().position(|ty| self.to.string(ty.name()) == name)?;
            return Some(TypeId(u32::try_from(found).ok()?));
        }
        let mut members = Vec::with_capacity(c.members.len());
        for member in &c.members {
            let ty = self.convert(member.ty, "", depth + 1)?;
            let text = self.from.string(member.name);
            let name = if text.is_empty() { StrOff(0) } else { self.to.add_string(&identifier(text))? };
            members.push(Member { name, ty, ..*member });
        }
        let name = if own.is_empty() { String::new() } else { self.name(own) };
        let size = c.size;
        let made = self.add(&name, |name| make(Composite { name, size, members: members.into() }))?;
        if !name.is_empty() {
            let word = if matches!(self.to.get(made), Some(Type::Union(_))) { "union" } else { "struct" };
            self.known.insert(id, format!("{word} {name}"));
        }
        Some(made)
    }
}
