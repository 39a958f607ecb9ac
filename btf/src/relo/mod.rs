//! CO-RE: what an instruction that depends on a type of the kernel must hold for one kernel.
//!
//! A relocation names a type of the object and a way into it. The types of the kernel that have the same name (without a
//! `___flavor`) and kind are its candidates; those that have what is asked for must agree on the answer. The records are
//! described in the kernel's `Documentation/bpf/btf.rst` and `llvm_reloc.rst`; which types count as compatible, and what
//! follows where nothing is found, is as libbpf answers.

mod compat;
mod find;
mod log;
mod spec;
mod value;

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

pub use compat::are_compatible;
pub use find::CoreTarget;
pub use log::CoreLog;

use crate::ext::{CoreRelo, CoreReloKind};
use crate::types::TypeId;
use crate::{Btf, BtfError};
use compat::Compat;
use spec::Spec;
use value::{Field, Value};

/// Most steps of a path into a type; libbpf's limit.
pub const MAX_CORE_PATH: usize = 64;
/// Most pairs of types or members that are compared for one relocation: hostile types could ask for any number.
pub const MAX_CORE_STEPS: u32 = 1 << 20;

/// What a relocation asks of its instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CoreAnswer {
    /// The instruction must hold this.
    Value(CoreValue),
    /// The kernel has no such thing: the instruction must not be reached.
    Missing,
}

/// A number for an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoreValue {
    /// What the instruction must hold before; `None` if compiler and loader may differ there.
    pub local: Option<u64>,
    /// What it is to hold.
    pub target: u64,
    /// How wide an access at this offset must be.
    pub access: CoreAccess,
}

/// Width of the access to a field whose offset is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CoreAccess {
    /// As the instruction says.
    Same,
    /// The field has another size in the kernel, and its type allows to load or store it as such.
    Resize {
        /// Bytes in the object's type.
        from: u32,
        /// Bytes in the kernel's.
        to: u32,
    },
    /// The field has another size in the kernel, and its value would not be the same: only its address may be taken.
    Unsafe,
}

/// Why a relocation could not be answered at all.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum CoreError {
    #[error("needs the types of a kernel")]
    NoTarget,
    #[error("is of unknown kind {0}")]
    UnknownKind(u32),
    #[error("has a path '{0}' that its type does not have")]
    BadPath(String),
    #[error("is of a type without a name")]
    Anonymous,
    #[error("has several answers: kernel types [{}] and [{}] differ", .0.0, .1.0)]
    Ambiguous(TypeId, TypeId),
    #[error("is of a bit field that no 64-bit load can read")]
    WideBitfield,
    #[error("compares more types than is allowed")]
    TooManySteps,
    #[error(transparent)]
    Btf(#[from] BtfError),
}

/// Answers the relocations of one object against one kernel.
pub struct CoreResolver<'a> {
    local: &'a Btf,
    target: Option<&'a CoreTarget>,
    /// Candidates by local type. Once one had what was asked for, those that had not are no candidates any more.
    candidates: BTreeMap<TypeId, Vec<TypeId>>,
}

impl<'a> CoreResolver<'a> {
    /// `local` are the object's types. Without a target only [`CoreReloKind::TypeIdLocal`] is answered.
    pub fn new(local: &'a Btf, target: Option<&'a CoreTarget>) -> CoreResolver<'a> {
        CoreResolver { local, target, candidates: BTreeMap::new() }
    }

    /// What the instruction of a relocation must hold.
    pub fn resolve(&mut self, relo: &CoreRelo) -> Result<CoreAnswer, CoreError> {
        if let CoreReloKind::Unknown(raw) = relo.kind {
            return Err(CoreError::UnknownKind(raw));
        }
        let spec = Spec::of_relo(self.local, relo)?;
        if relo.kind == CoreReloKind::TypeIdLocal {
            let target = u64::from(relo.type_id.0);
            return Ok(CoreAnswer::Value(CoreValue { local: None, target, access: CoreAccess::Same }));
        }
        let target = self.target.ok_or(CoreError::NoTarget)?;
        let name = self.local.name(relo.type_id);
        if name.is_empty() {
            return Err(CoreError::Anonymous);
        }
        let kind = self.local.ty(relo.type_id)?.kind();
        let candidates = self.candidates.entry(relo.type_id).or_insert_with(|| target.candidates(name, kind));
        let compat = Compat::new(self.local, target.btf());
        let mut matched: Vec<(TypeId, u64, CoreAnswer)> = Vec::new();
        for &candidate in candidates.iter() {
            let Some(found) = compat.find(&spec, candidate)? else { continue };
            let answer = answer(self.local, &spec, Some((target.btf(), &found)))?;
            if let Some((first, bits, before)) = matched.first()
                && (*bits != found.bits || outcome(before) != outcome(&answer))
            {
                return Err(CoreError::Ambiguous(*first, candidate));
            }
            matched.push((candidate, found.bits, answer));
        }
        match matched.first() {
            Some((_, _, first)) => {
                let first = *first;
                *candidates = matched.into_iter().map(|(id, ..)| id).collect();
                Ok(first)
            }
            None => answer(self.local, &spec, None),
        }
    }
}

/// What two candidates must agree on.
fn outcome(answer: &CoreAnswer) -> Option<u64> {
    match answer {
        CoreAnswer::Value(value) => Some(value.target),
        CoreAnswer::Missing => None,
    }
}

fn answer(local: &Btf, spec: &Spec<'_>, target: Option<(&Btf, &Spec<'_>)>) -> Result<CoreAnswer, CoreError> {
    let before = spec.value(local, local.endian())?;
    let after = match target {
        Some((btf, found)) => found.value(btf, local.endian())?,
        None => value::missing(spec.kind),
    };
    let (Some(before), Some(after)) = (before, after) else { return Ok(CoreAnswer::Missing) };
    let access = match (before.field, after.field, target) {
        (Some(from), Some(to), Some((btf, _))) => access((local, from), (btf, to)),
        (Some(_) | None, Some(_) | None, _) => CoreAccess::Same,
    };
    let checked = before.checked && after.checked;
    Ok(CoreAnswer::Value(CoreValue { local: checked.then_some(before.value), target: after.value, access }))
}

/// Pointers and unsigned integers may be loaded in another width; of anything else the value would change.
fn access((local, from): (&Btf, Field), (target, to): (&Btf, Field)) -> CoreAccess {
    if from.size == to.size {
        return CoreAccess::Same;
    }
    if compat::is_resizable(local.get(from.ty), target.get(to.ty)) {
        CoreAccess::Resize { from: from.size, to: to.size }
    } else {
        CoreAccess::Unsafe
    }
}

/// A relocation as loaders print it: `<byte_off> [24] struct user_pt_regs.regs[0] (0:0:0 @ offset 0)`.
pub fn describe_core_relo(local: &Btf, relo: &CoreRelo) -> String {
    let kind = relo.kind.name();
    match Spec::of_relo(local, relo) {
        Ok(spec) => alloc::format!("<{kind}> {}", spec.describe(local)),
        Err(_) => {
            let (id, path) = (relo.type_id, local.string(relo.access).to_string());
            alloc::format!("<{kind}> {} ({path})", spec::describe_type(local, id))
        }
    }
}

impl Value {
    /// A number that instruction and type must agree on.
    fn checked(value: u64) -> Value {
        Value { value, checked: true, field: None }
    }
}
