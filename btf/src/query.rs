//! Questions to a parsed BTF.

use alloc::string::String;
use alloc::vec::Vec;

use crate::types::*;
use crate::{BtfError, MAX_CHAIN, MAX_STRINGS};

/// Bytes of a pointer in BPF.
const POINTER_SIZE: u32 = 8;

/// A parsed BTF: types by number, and their strings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Btf {
    strings: String,
    types: Vec<Type>,
    endian: Endian,
    own_start: usize,
}

impl Btf {
    pub(crate) fn from_parts(strings: String, types: Vec<Type>, endian: Endian, own_start: usize) -> Btf {
        Btf { strings, types, endian, own_start }
    }

    /// Strings, types, and where the own ones start.
    pub(crate) fn into_parts(self) -> (String, Vec<Type>, usize) {
        (self.strings, self.types, self.own_start)
    }

    /// The number of the first type that is not `void` and not from the base of split BTF.
    pub fn own_start(&self) -> TypeId {
        TypeId(self.own_start as u32)
    }

    /// A BTF without types.
    pub fn empty() -> Btf {
        Btf { strings: String::from("\0"), types: alloc::vec![Type::Void], endian: Endian::Little, own_start: 1 }
    }

    /// Byte order of the file, and of the values it describes.
    pub fn endian(&self) -> Endian {
        self.endian
    }

    /// The string section: strings that each end in a zero, the empty one first.
    pub fn strings(&self) -> &str {
        &self.strings
    }

    /// Appends a string. `None` if the string section would outgrow [`MAX_STRINGS`], or if the text has a zero in it.
    pub fn add_string(&mut self, text: &str) -> Option<StrOff> {
        let at = self.strings.len();
        if text.contains('\0') || at + text.len() >= MAX_STRINGS {
            return None;
        }
        self.strings.push_str(text);
        self.strings.push('\0');
        Some(StrOff(at as u32))
    }

    /// Appends a type and gives its number. `None` if there would be more than [`MAX_TYPES`](crate::MAX_TYPES). What it refers to must be
    /// there when the BTF is used, and its names be in the string section.
    pub fn add_type(&mut self, ty: Type) -> Option<TypeId> {
        let at = self.types.len();
        if at > crate::MAX_TYPES {
            return None;
        }
        self.types.push(ty);
        Some(TypeId(at as u32))
    }

    /// Puts another type in the place of one, under the same rules; of a number that is not there nothing changes.
    pub fn replace_type(&mut self, id: TypeId, ty: Type) {
        if let Some(place) = self.types.get_mut(id.index()) {
            *place = ty;
        }
    }

    /// Gives a function or a variable another linkage; of other types nothing changes.
    pub fn set_linkage(&mut self, id: TypeId, to: Linkage) {
        if let Some(Type::Func { linkage, .. } | Type::Var { linkage, .. }) = self.types.get_mut(id.index()) {
            *linkage = to;
        }
    }

    /// Changes types in place. References must still lead to types that are there, and names into the string section.
    pub fn for_each_mut(&mut self, mut change: impl FnMut(TypeId, &mut Type)) {
        self.types.iter_mut().zip(0..).for_each(|(ty, id)| change(TypeId(id), ty));
    }

    /// All types by number; the first is `void`.
    pub fn types(&self) -> &[Type] {
        &self.types
    }

    /// The type with this number.
    pub fn get(&self, id: TypeId) -> Option<&Type> {
        self.types.get(id.index())
    }

    /// The type with this number, or an error that names it.
    pub fn ty(&self, id: TypeId) -> Result<&Type, BtfError> {
        self.get(id).ok_or(BtfError::NoSuchType(id))
    }

    /// The string at an offset; empty where there is none.
    pub fn string(&self, off: StrOff) -> &str {
        let rest = self.strings.get(off.0 as usize..).unwrap_or("");
        rest.split('\0').next().unwrap_or("")
    }

    /// The name of a type; empty where it has none.
    pub fn name(&self, id: TypeId) -> &str {
        self.get(id).map_or("", |ty| self.string(ty.name()))
    }

    /// The first type of this kind with this name.
    pub fn find(&self, name: &str, kind: Kind) -> Option<TypeId> {
        let is_name = |ty: &Type| {
            let rest = self.strings.as_bytes().get(ty.name().0 as usize..).unwrap_or(&[]);
            rest.strip_prefix(name.as_bytes()).is_some_and(|after| after.first() == Some(&0))
        };
        let at = self.types.iter().position(|ty| ty.kind() == kind && is_name(ty))?;
        Some(TypeId(at as u32))
    }

    /// Skips typedefs, `const`, `volatile`, `restrict` and type tags.
    ///
    /// Errors: no such type; a chain longer than [`MAX_CHAIN`].
    pub fn resolve(&self, id: TypeId) -> Result<TypeId, BtfError> {
        let mut at = id;
        for _ in 0..=MAX_CHAIN {
            match self.ty(at)? {
                Type::Typedef { to, .. }
                | Type::Volatile { to }
                | Type::Const { to }
                | Type::Restrict { to }
                | Type::TypeTag { to, .. } => at = *to,
                Type::Void
                | Type::Int(_)
                | Type::Ptr { .. }
                | Type::Array { .. }
                | Type::Struct(_)
                | Type::Union(_)
                | Type::Enum(_)
                | Type::Enum64(_)
                | Type::Fwd { .. }
                | Type::Func { .. }
                | Type::FuncProto { .. }
                | Type::Var { .. }
                | Type::Datasec { .. }
                | Type::Float { .. }
                | Type::DeclTag { .. } => return Ok(at),
            }
        }
        Err(BtfError::TooDeep(id))
    }

    /// The type behind typedefs and modifiers: [`Btf::resolve`] and [`Btf::ty`] in one.
    pub fn resolved(&self, id: TypeId) -> Result<&Type, BtfError> {
        self.ty(self.resolve(id)?)
    }

    /// Bytes that a value of this type takes; a pointer has 8.
    ///
    /// Errors: types without size (`void`, functions, forward declarations), sizes over 32 bits, too long chains.
    pub fn size_of(&self, id: TypeId) -> Result<u32, BtfError> {
        let (mut at, mut count) = (id, 1u32);
        for _ in 0..=MAX_CHAIN {
            at = self.resolve(at)?;
            let one = match self.ty(at)? {
                Type::Int(int) => int.size,
                Type::Ptr { .. } => POINTER_SIZE,
                Type::Struct(c) | Type::Union(c) => c.size,
                Type::Enum(e) | Type::Enum64(e) if e.size == 0 => return Err(BtfError::NoSize(id)),
                Type::Enum(e) | Type::Enum64(e) => e.size,
                Type::Float { size, .. } | Type::Datasec { size, .. } => *size,
                Type::Array { elem, len, .. } => {
                    count = count.checked_mul(*len).ok_or(BtfError::NoSize(id))?;
                    at = *elem;
                    continue;
                }
                Type::Var { ty, .. } => {
                    at = *ty;
                    continue;
                }
                Type::Void
                | Type::Fwd { .. }
                | Type::Func { .. }
                | Type::FuncProto { .. }
                | Type::DeclTag { .. }
                | Type::Typedef { .. }
                | Type::Volatile { .. }
                | Type::Const { .. }
                | Type::Restrict { .. }
                | Type::TypeTag { .. } => return Err(BtfError::NoSize(id)),
            };
            return count.checked_mul(one).ok_or(BtfError::NoSize(id));
        }
        Err(BtfError::TooDeep(id))
    }

    /// The data section with this name: its number, size in bytes and variables.
    pub fn datasec(&self, name: &str) -> Option<(TypeId, u32, &[SecVar])> {
        let id = self.find(name, Kind::Datasec)?;
        match self.get(id) {
            Some(Type::Datasec { size, vars, .. }) => Some((id, *size, vars)),
            _ => None,
        }
    }

    /// Fills in what compilers leave to the loader: the size of a data section, and where in it each variable lies.
    ///
    /// `offset_of` gives the offset of a global variable by its name; one that it does not know keeps what it has, and so do
    /// static variables, whose offsets compilers write (and whose names need not be unique). The variables are brought
    /// into the order of their offsets.
    pub fn place_datasec(&mut self, id: TypeId, section_size: u32, offset_of: impl Fn(&str) -> Option<u32>) {
        let Some(Type::Datasec { size, vars, .. }) = self.types.get(id.index()) else { return };
        let size = if *size == 0 { section_size } else { *size };
        let mut placed = vars.clone();
        for var in &mut placed {
            let Some(Type::Var { name, linkage: Linkage::Global, .. }) = self.get(var.ty) else { continue };
            if let Some(offset) = offset_of(self.string(*name)) {
                var.offset = offset;
            }
        }
        placed.sort_by_key(|var| var.offset);
        if let Some(Type::Datasec { size: to, vars, .. }) = self.types.get_mut(id.index()) {
            (*to, *vars) = (size, placed);
        }
    }

    /// A member of a struct or union by name, behind typedefs. Members of anonymous parts are not searched.
    pub fn member(&self, id: TypeId, name: &str) -> Option<&Member> {
        match self.resolved(id).ok()? {
            Type::Struct(c) | Type::Union(c) => c.members.iter().find(|m| self.string(m.name) == name),
            _ => None,
        }
    }
}
