//! Which types of a kernel can stand for a type of an object.

use core::cell::Cell;

use super::find::{essential, same_kind};
use super::spec::{About, Spec, Step, enumeration};
use super::{CoreError, MAX_CORE_STEPS};
use crate::ext::CoreReloKind;
use crate::types::{Composite, Enumeration, Int, IntEncoding, Kind, Member, StrOff, Type, TypeId};
use crate::{Btf, BtfError, MAX_CHAIN};

/// An object's types beside a kernel's.
pub(super) struct Compat<'a> {
    local: &'a Btf,
    target: &'a Btf,
    /// Comparisons that are left.
    left: Cell<u32>,
}

/// Whether a kernel's type can stand for an object's, as libbpf asks of functions and variables of the kernel: the same kinds all the
/// way down, whatever the names.
///
/// Errors: a type that is not there; more comparisons than [`MAX_CORE_STEPS`].
pub fn are_compatible((local, id): (&Btf, TypeId), (target, to): (&Btf, TypeId)) -> Result<bool, CoreError> {
    Compat::new(local, target).types_compatible((id, to))
}

/// A pair of numbers: the object's type and the kernel's.
type Pair = (TypeId, TypeId);

impl<'a> Compat<'a> {
    pub fn new(local: &'a Btf, target: &'a Btf) -> Compat<'a> {
        Compat { local, target, left: Cell::new(MAX_CORE_STEPS) }
    }

    fn step(&self) -> Result<(), CoreError> {
        self.left.set(self.left.get().checked_sub(1).ok_or(CoreError::TooManySteps)?);
        Ok(())
    }

    /// The same way through a kernel's type, if it has it.
    pub fn find(&self, spec: &Spec<'_>, candidate: TypeId) -> Result<Option<Spec<'a>>, CoreError> {
        let (is_there, found) = self.search(spec, candidate)?;
        Ok(is_there.then_some(found))
    }

    /// Whether a kernel's type has the same way, and how far.
    pub fn search(&self, spec: &Spec<'_>, candidate: TypeId) -> Result<(bool, Spec<'a>), CoreError> {
        let (kind, about, steps, path) = (spec.kind, spec.about, Default::default(), Default::default());
        let mut found = Spec { kind, about, root: candidate, steps, path, bits: 0 };
        let pair = (spec.root, candidate);
        let is_there = match about {
            About::Type if kind == CoreReloKind::TypeMatches => self.types_match(pair, false, MAX_CHAIN)?,
            About::Type => self.types_compatible(pair)?,
            About::Enumerator => self.find_enumerator(spec, candidate, &mut found)?,
            About::Field => self.find_field(spec, candidate, &mut found)?,
        };
        Ok((is_there, found))
    }

    fn find_enumerator(&self, spec: &Spec<'_>, candidate: TypeId, found: &mut Spec<'a>) -> Result<bool, CoreError> {
        let id = self.target.resolve(candidate)?;
        let wanted = spec.steps.first().and_then(|step| step.name);
        let (Some(e), Some(wanted)) = (enumeration(self.target, id), wanted) else { return Ok(false) };
        let same = |at: &StrOff| essential(self.target.string(*at)) == essential(wanted);
        let Some(at) = e.values.iter().position(|value| same(&value.name)) else { return Ok(false) };
        let name = Some(self.target.string(e.values[at].name));
        found.steps.push(Step { ty: id, index: at as u32, name });
        Ok(true)
    }

    fn find_field(&self, spec: &Spec<'_>, candidate: TypeId, found: &mut Spec<'a>) -> Result<bool, CoreError> {
        let mut id = candidate;
        for (at, step) in spec.steps.iter().enumerate() {
            id = self.target.resolve(id)?;
            if step.name.is_some() {
                match self.find_member(step, id, found, MAX_CHAIN)? {
                    Some(next) => id = next,
                    None => return Ok(false),
                }
                continue;
            }
            // The first number counts whole values of the type itself.
            if at > 0 {
                let Type::Array { elem, len, .. } = self.target.ty(id)? else { return Ok(false) };
                if step.index >= *len && !found.is_open_array(self.target, *len) {
                    return Ok(false);
                }
                id = *elem;
            }
            found.element(self.target, id, step.index)?;
            found.path.push(step.index);
        }
        Ok(true)
    }

    /// Looks for a member by name, also in anonymous parts; gives its type.
    fn find_member(
        &self,
        step: &Step<'_>,
        id: TypeId,
        found: &mut Spec<'a>,
        depth: usize,
    ) -> Result<Option<TypeId>, CoreError> {
        let depth = depth.checked_sub(1).ok_or(CoreError::Btf(BtfError::TooDeep(id)))?;
        let id = self.target.resolve(id)?;
        let Some(composite) = composite(self.target, id) else { return Ok(None) };
        let local = composite_member(self.local, step).ok_or(CoreError::Btf(BtfError::NoSuchType(step.ty)))?;
        let wanted = self.local.string(local.name);
        for (index, member) in (0u32..).zip(&composite.members) {
            self.step()?;
            let name = self.target.string(member.name);
            let before = (found.bits, found.path.len());
            if name.is_empty() {
                found.enter_member(index, member);
                if let Some(next) = self.find_member(step, member.ty, found, depth)? {
                    return Ok(Some(next));
                }
                found.bits = before.0;
                found.path.truncate(before.1);
            } else if name == wanted {
                found.enter_member(index, member);
                if !self.fields_compatible((local.ty, member.ty))? {
                    return Ok(None);
                }
                found.steps.push(Step { ty: id, index, name: Some(name) });
                return Ok(Some(member.ty));
            }
        }
        Ok(None)
    }

    fn resolve(&self, (local, target): Pair) -> Result<Pair, CoreError> {
        self.step()?;
        Ok((self.local.resolve(local)?, self.target.resolve(target)?))
    }

    fn types(&self, (local, target): Pair) -> Result<(&'a Type, &'a Type), CoreError> {
        Ok((self.local.ty(local)?, self.target.ty(target)?))
    }

    /// Can a field of the one type be read as the other? Names of structs do not count, nor do sizes.
    fn fields_compatible(&self, mut pair: Pair) -> Result<bool, CoreError> {
        for _ in 0..MAX_CHAIN {
            pair = self.resolve(pair)?;
            let (local, target) = self.types(pair)?;
            return Ok(match (local, target) {
                (Type::Struct(_) | Type::Union(_), Type::Struct(_) | Type::Union(_)) => true,
                (Type::Ptr { .. }, Type::Ptr { .. }) | (Type::Float { .. }, Type::Float { .. }) => true,
                (Type::Enum(_) | Type::Enum64(_), Type::Enum(_) | Type::Enum64(_))
                | (Type::Fwd { .. }, Type::Fwd { .. }) => {
                    let (a, b) = (essential(self.local.name(pair.0)), essential(self.target.name(pair.1)));
                    a.is_empty() || b.is_empty() || a == b
                }
                (Type::Int(a), Type::Int(b)) => a.bit_offset == 0 && b.bit_offset == 0,
                (Type::Array { elem: a, .. }, Type::Array { elem: b, .. }) => {
                    pair = (*a, *b);
                    continue;
                }
                _ => false,
            });
        }
        Err(CoreError::Btf(BtfError::TooDeep(pair.0)))
    }

    /// Is there a type of this kind? Names below the first do not count.
    fn types_compatible(&self, pair: Pair) -> Result<bool, CoreError> {
        let (local, target) = self.types(pair)?;
        Ok(same_kind(local.kind(), target.kind()) && self.kinds_compatible(pair, MAX_CHAIN)?)
    }

    fn kinds_compatible(&self, mut pair: Pair, depth: usize) -> Result<bool, CoreError> {
        for depth in (0..depth).rev() {
            pair = self.resolve(pair)?;
            let (local, target) = self.types(pair)?;
            if !same_kind(local.kind(), target.kind()) {
                return Ok(false);
            }
            match (local, target) {
                (Type::Int(a), Type::Int(b)) => return Ok(a.bit_offset == 0 && b.bit_offset == 0),
                (Type::Ptr { to: a }, Type::Ptr { to: b })
                | (Type::Array { elem: a, .. }, Type::Array { elem: b, .. }) => pair = (*a, *b),
                (Type::FuncProto { ret: a, params: of_a }, Type::FuncProto { ret: b, params: of_b }) => {
                    if of_a.len() != of_b.len() {
                        return Ok(false);
                    }
                    for (a, b) in of_a.iter().zip(of_b) {
                        if !self.kinds_compatible((a.ty, b.ty), depth)? {
                            return Ok(false);
                        }
                    }
                    pair = (*a, *b);
                }
                _ => {
                    let kind = local.kind();
                    let is_leaf = matches!(kind, Kind::Void | Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64);
                    return Ok(is_leaf || kind == Kind::Fwd);
                }
            }
        }
        Err(CoreError::Btf(BtfError::TooDeep(pair.0)))
    }

    /// Does the kernel's type have all that the object's has, by name and type? Behind a pointer only names count.
    fn types_match(&self, mut pair: Pair, mut behind: bool, depth: usize) -> Result<bool, CoreError> {
        for depth in (0..depth).rev() {
            pair = self.resolve(pair)?;
            if !self.same_name(self.local.name(pair.0), self.target.name(pair.1)) {
                return Ok(false);
            }
            let (local, target) = self.types(pair)?;
            return Ok(match (local, target) {
                (Type::Void, Type::Void) => true,
                (Type::Fwd { is_union: a, .. }, Type::Fwd { is_union: b, .. }) => a == b,
                (Type::Fwd { is_union, .. }, Type::Struct(_)) | (Type::Struct(_), Type::Fwd { is_union, .. }) => {
                    behind && !is_union
                }
                (Type::Fwd { is_union, .. }, Type::Union(_)) | (Type::Union(_), Type::Fwd { is_union, .. }) => {
                    behind && *is_union
                }
                (Type::Enum(a) | Type::Enum64(a), Type::Enum(b) | Type::Enum64(b)) => self.enums_match(a, b)?,
                (Type::Struct(a), Type::Struct(b)) | (Type::Union(a), Type::Union(b)) => {
                    behind || self.members_match(a, b, depth)?
                }
                (Type::Int(a), Type::Int(b)) => a.size == b.size && is_signed(a) == is_signed(b),
                (Type::Ptr { to: a }, Type::Ptr { to: b }) => {
                    (pair, behind) = ((*a, *b), true);
                    continue;
                }
                (Type::Array { elem: a, len: of_a, .. }, Type::Array { elem: b, len: of_b, .. }) => {
                    if of_a != of_b {
                        return Ok(false);
                    }
                    pair = (*a, *b);
                    continue;
                }
                (Type::FuncProto { ret: a, params: of_a }, Type::FuncProto { ret: b, params: of_b }) => {
                    if of_a.len() != of_b.len() {
                        return Ok(false);
                    }
                    for (a, b) in of_a.iter().zip(of_b) {
                        if !self.types_match((a.ty, b.ty), behind, depth)? {
                            return Ok(false);
                        }
                    }
                    pair = (*a, *b);
                    continue;
                }
                _ => false,
            });
        }
        Err(CoreError::Btf(BtfError::TooDeep(pair.0)))
    }

    fn same_name(&self, local: &str, target: &str) -> bool {
        essential(local) == essential(target)
    }

    fn enums_match(&self, local: &Enumeration, target: &Enumeration) -> Result<bool, CoreError> {
        if local.size != target.size || local.values.len() > target.values.len() {
            return Ok(false);
        }
        for a in &local.values {
            let mut is_there = false;
            for b in &target.values {
                self.step()?;
                is_there = self.same_name(self.local.string(a.name), self.target.string(b.name));
                if is_there {
                    break;
                }
            }
            if !is_there {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn members_match(&self, local: &Composite, target: &Composite, depth: usize) -> Result<bool, CoreError> {
        if local.members.len() > target.members.len() {
            return Ok(false);
        }
        for a in &local.members {
            let mut is_there = false;
            for b in &target.members {
                self.step()?;
                is_there = self.same_name(self.local.string(a.name), self.target.string(b.name))
                    && self.types_match((a.ty, b.ty), false, depth)?;
                if is_there {
                    break;
                }
            }
            if !is_there {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn composite(btf: &Btf, id: TypeId) -> Option<&Composite> {
    match btf.get(id) {
        Some(Type::Struct(c) | Type::Union(c)) => Some(c),
        _ => None,
    }
}

fn composite_member<'b>(btf: &'b Btf, step: &Step<'_>) -> Option<&'b Member> {
    composite(btf, step.ty)?.members.get(step.index as usize)
}

fn is_signed(int: &Int) -> bool {
    match int.encoding {
        IntEncoding::Signed => true,
        IntEncoding::Other(bits) => bits & 1 != 0,
        IntEncoding::Unsigned | IntEncoding::Char | IntEncoding::Bool => false,
    }
}

/// Pointers, and integers that are not signed on either side.
pub(super) fn is_resizable(local: Option<&Type>, target: Option<&Type>) -> bool {
    match (local, target) {
        (Some(Type::Ptr { .. }), Some(Type::Ptr { .. })) => true,
        (Some(Type::Int(a)), Some(Type::Int(b))) => {
            a.encoding != IntEncoding::Signed && b.encoding != IntEncoding::Signed
        }
        _ => false,
    }
}
