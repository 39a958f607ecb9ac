//! The way into a type: from text like `0:1:2` in an object, or as it was found in a kernel's type.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{CoreError, MAX_CORE_PATH};
use crate::Btf;
use crate::ext::{CoreRelo, CoreReloKind};
use crate::types::{Enumeration, Member, Type, TypeId};

/// What a kind of relocation asks about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum About {
    Field,
    Type,
    Enumerator,
}

/// None for a kind that is not known.
pub(super) fn about(kind: CoreReloKind) -> Option<About> {
    Some(match kind {
        CoreReloKind::FieldByteOffset
        | CoreReloKind::FieldByteSize
        | CoreReloKind::FieldExists
        | CoreReloKind::FieldSigned
        | CoreReloKind::FieldLshift
        | CoreReloKind::FieldRshift => About::Field,
        CoreReloKind::TypeIdLocal
        | CoreReloKind::TypeIdTarget
        | CoreReloKind::TypeExists
        | CoreReloKind::TypeSize
        | CoreReloKind::TypeMatches => About::Type,
        CoreReloKind::EnumvalExists | CoreReloKind::EnumvalValue => About::Enumerator,
        CoreReloKind::Unknown(_) => return None,
    })
}

/// A step that is seen in C: a named member, an element, an enumerator. Anonymous members are passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step<'a> {
    /// The struct, union or enum of a name; the element's type without one.
    pub ty: TypeId,
    /// Number of the member, element or enumerator.
    pub index: u32,
    pub name: Option<&'a str>,
}

/// A way into a type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Spec<'a> {
    pub kind: CoreReloKind,
    pub about: About,
    /// The type that it starts at, as it is named: not behind typedefs.
    pub root: TypeId,
    pub steps: Vec<Step<'a>>,
    /// As in the file: the numbers of anonymous members too.
    pub path: Vec<u32>,
    /// Offset from the start of the type, in bits.
    pub bits: u64,
}

impl<'a> Spec<'a> {
    /// What a relocation says, checked against its type.
    pub fn of_relo(btf: &'a Btf, relo: &CoreRelo) -> Result<Spec<'a>, CoreError> {
        let text = btf.string(relo.access);
        let bad = || CoreError::BadPath(text.chars().take(64).collect());
        let path: Result<Vec<u32>, _> = text.split(':').take(MAX_CORE_PATH + 1).map(str::parse).collect();
        let path = path.ok().filter(|path| path.len() <= MAX_CORE_PATH).ok_or_else(bad)?;
        let about = about(relo.kind).ok_or_else(bad)?;
        let mut spec = Spec { kind: relo.kind, about, root: relo.type_id, steps: Vec::new(), path, bits: 0 };
        btf.ty(relo.type_id)?;
        match about {
            About::Type => {
                if spec.path != [0] {
                    return Err(bad());
                }
            }
            About::Enumerator => {
                let (id, index) = (btf.resolve(relo.type_id)?, spec.path[0]);
                let values = enumeration(btf, id).map_or(&[][..], |e| &e.values);
                let value = values.get(index as usize).filter(|_| spec.path.len() == 1).ok_or_else(bad)?;
                spec.steps.push(Step { ty: id, index, name: Some(btf.string(value.name)) });
            }
            About::Field => {
                let first = spec.path[0];
                spec.element(btf, relo.type_id, first)?;
                let mut id = relo.type_id;
                for at in 1..spec.path.len() {
                    let index = spec.path[at];
                    id = spec.enter(btf, id, index)?.ok_or_else(bad)?;
                }
            }
        }
        Ok(spec)
    }

    /// One number of a path further: the type that it leads to.
    fn enter(&mut self, btf: &'a Btf, id: TypeId, index: u32) -> Result<Option<TypeId>, CoreError> {
        let id = btf.resolve(id)?;
        match btf.ty(id)? {
            Type::Struct(c) | Type::Union(c) => {
                let Some(member) = c.members.get(index as usize) else { return Ok(None) };
                self.bits += u64::from(member.bit_offset);
                let name = btf.string(member.name);
                if !name.is_empty() {
                    self.steps.push(Step { ty: id, index, name: Some(name) });
                }
                Ok(Some(member.ty))
            }
            Type::Array { elem, len, .. } => {
                if index >= *len && !self.is_open_array(btf, *len) {
                    return Ok(None);
                }
                self.element(btf, *elem, index)?;
                Ok(Some(*elem))
            }
            Type::Void
            | Type::Int(_)
            | Type::Ptr { .. }
            | Type::Enum(_)
            | Type::Enum64(_)
            | Type::Fwd { .. }
            | Type::Typedef { .. }
            | Type::Volatile { .. }
            | Type::Const { .. }
            | Type::Restrict { .. }
            | Type::Func { .. }
            | Type::FuncProto { .. }
            | Type::Var { .. }
            | Type::Datasec { .. }
            | Type::Float { .. }
            | Type::DeclTag { .. }
            | Type::TypeTag { .. } => Ok(None),
        }
    }

    /// Leads to the first enumerator of the type that it starts at, if there is one.
    pub fn first_enumerator(&mut self, btf: &'a Btf) {
        let Ok(ty) = btf.resolve(self.root) else { return };
        if let Some(first) = enumeration(btf, ty).and_then(|all| all.values.first()) {
            self.steps = [Step { ty, index: 0, name: Some(btf.string(first.name)) }].into();
        }
    }

    /// One member further.
    pub fn enter_member(&mut self, index: u32, member: &Member) {
        self.path.push(index);
        self.bits += u64::from(member.bit_offset);
    }

    /// Adds the step to an element of this type.
    pub fn element(&mut self, btf: &Btf, elem: TypeId, index: u32) -> Result<(), CoreError> {
        let ty = btf.resolve(elem)?;
        let bytes = u64::from(btf.size_of(ty)?) * u64::from(index);
        let bits = bytes.checked_mul(8).and_then(|bits| bits.checked_add(self.bits));
        self.bits = bits.ok_or_else(|| CoreError::BadPath(index.to_string()))?;
        self.steps.push(Step { ty, index, name: None });
        Ok(())
    }

    /// An array without a length is open where it is the last member of its struct.
    pub fn is_open_array(&self, btf: &Btf, len: u32) -> bool {
        let Some(Step { ty, index, name: Some(_) }) = self.steps.last() else { return false };
        let members = match btf.get(*ty) {
            Some(Type::Struct(c) | Type::Union(c)) => c.members.len(),
            _ => return false,
        };
        len == 0 && *index as usize + 1 == members
    }

    /// `[24] struct user_pt_regs.regs[0] (0:0:0 @ offset 0)`.
    pub fn describe(&self, btf: &Btf) -> String {
        let mut text = describe_type(btf, self.root);
        match (self.about, self.steps.first()) {
            (About::Type, _) | (About::Enumerator, None) => {}
            (About::Enumerator, Some(step)) => {
                text.push_str(&format!("::{}", step.name.unwrap_or("")));
                if let Some(e) = enumeration(btf, step.ty) {
                    let value = e.values.get(step.index as usize).map_or(0, |v| v.value);
                    let shown = if e.signed { value.to_string() } else { value.cast_unsigned().to_string() };
                    text.push_str(&format!(" = {shown}"));
                }
            }
            (About::Field, _) => {
                for (at, step) in self.steps.iter().enumerate() {
                    match step.name {
                        Some(name) => text.push_str(&format!(".{name}")),
                        None if at > 0 || step.index > 0 => text.push_str(&format!("[{}]", step.index)),
                        None => {}
                    }
                }
                let path: Vec<String> = self.path.iter().map(u32::to_string).collect();
                let (bytes, bits) = (self.bits / 8, self.bits % 8);
                let bits = if bits == 0 { String::new() } else { format!(".{bits}") };
                text.push_str(&format!(" ({} @ offset {bytes}{bits})", path.join(":")));
            }
        }
        text
    }
}

/// `[24] struct user_pt_regs`.
pub(super) fn describe_type(btf: &Btf, id: TypeId) -> String {
    let kind = btf.get(id).map_or("unknown", |ty| ty.kind().name()).to_lowercase();
    let name = btf.name(id);
    format!("[{}] {kind} {}", id.0, if name.is_empty() { "<anon>" } else { name })
}

/// The enum with this number, if it is one.
pub(super) fn enumeration(btf: &Btf, id: TypeId) -> Option<&Enumeration> {
    match btf.get(id) {
        Some(Type::Enum(e) | Type::Enum64(e)) => Some(e),
        _ => None,
    }
}
