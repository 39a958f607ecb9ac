//! Programs that replace a function of another program (`freplace`): judged as that function is, by the type of its program.

use std::sync::Arc;

use ring3_btf::{Btf, Kind, Linkage, Type, TypeId};
use ring3_platform::{AttachType, ProgType, Program, Target};

use super::{Walk, verdict};
use crate::cfg::Structure;
use crate::diag::log::Log;
use crate::diag::reject::{Reject, unsupported};
use crate::step::global;
use crate::{LogLevel, VerifiedProgram};

/// A program that extends another one.
pub struct Extension {
    /// It, as a program of the other's type: that decides what it may read and call.
    pub judged: Program,
    /// The other, which must be safe itself.
    extended: VerifiedProgram,
}

/// What is known of a function that is to be replaced.
struct Replaced {
    /// What its types say is not what it takes.
    is_unreliable: bool,
    is_exception_callback: bool,
    changes_packet: bool,
    might_sleep: bool,
}

impl Extension {
    /// `None` for programs of other types, and for one of which nobody says what it extends.
    /// `watch` may stop the walk of the other one as it may stop that of the program.
    pub fn of(
        program: &Program,
        target: &Arc<Target>,
        watch: &mut dyn FnMut() -> Option<String>,
    ) -> Result<Option<Extension>, Reject> {
        let Some(other) = program.attach_prog.as_ref().filter(|_| program.kind == ProgType::Ext) else {
            return Ok(None);
        };
        if !program.kind.may_attach(program.attach) {
            let attach = program.attach.map_or("none", AttachType::name);
            return Err(Reject::AttachType { kind: program.kind.name(), attach });
        }
        if other.kind == ProgType::Ext {
            return Err(Reject::ExtOfExt {});
        }
        let extended = verdict::judge(other.clone(), target.clone(), LogLevel(0), watch)
            .map_err(|why| Reject::ExtTarget { name: other.name.clone(), why: why.message.clone() })?;
        let judged = Program { kind: other.kind, attach: other.attach, attach_prog: None, ..program.clone() };
        Ok(Some(Extension { judged, extended }))
    }

    /// Whether it may stand in the function's place. `own` is what it does itself.
    pub fn check(&self, own: &Structure) -> Result<(), Reject> {
        let other = self.extended.program();
        if self.judged.sleepable {
            return Err(Reject::NotSleepable {});
        }
        let Some(name) = self.judged.attach_name() else { return Err(Reject::NoBtfId {}) };
        let Some(info) = &other.info else { return Err(Reject::ExtNoTargetTypes {}) };
        let Some(id) = info.btf.find(name, Kind::Func) else { return Err(Reject::NoTarget { name: name.to_owned() }) };
        let replaced = self.replaced(id)?.ok_or_else(|| Reject::ExtNoFunction { name: name.to_owned() })?;
        if replaced.is_exception_callback {
            return Err(Reject::ExtExceptionCallback {});
        }
        if replaced.is_unreliable {
            return Err(Reject::ExtOfStatic {});
        }
        let does = &own.subprogs[0];
        if does.changes_packet && !replaced.changes_packet {
            return Err(Reject::ExtMovesPacket {});
        }
        if does.might_sleep && !replaced.might_sleep {
            return Err(Reject::ExtMaySleep {});
        }
        match (other.kind, other.attach) {
            (ProgType::Tracing, Some(AttachType::TraceFentry | AttachType::TraceFexit)) => {
                return Err(Reject::ExtOfTracing {});
            }
            (ProgType::Tracing | ProgType::Lsm | ProgType::StructOps, _) => {
                return unsupported(format!("a program that extends one of type {}", other.kind.name()));
            }
            _ => {}
        }
        let Some(own) = self.judged.info.as_ref() else { return Err(Reject::ExtNoTypes {}) };
        let Some(main) = own.funcs.first() else { return Err(Reject::ExtNoTypes {}) };
        check_signature((&own.btf, main.type_id), (&info.btf, id)).map_err(|text| Reject::ExtSignature { text })
    }

    /// The function with this type, as far as it is still there: what nothing reaches is removed.
    fn replaced(&self, id: TypeId) -> Result<Option<Replaced>, Reject> {
        let (program, target) = (self.extended.program(), self.extended.target());
        let structure = verdict::structure_of(program, target)
            .map_err(|why| Reject::ExtTarget { name: program.name.clone(), why: why.message.clone() })?;
        let mut never = || None;
        let walk = Walk::new(program, target, &structure, Log::new(0), &mut never);
        let is_it = |subprog: &usize| walk.func_entry(*subprog).is_some_and(|func| func.type_id == id);
        let Some(at) = (0..structure.subprogs.len()).find(is_it) else { return Ok(None) };
        let subprog = &structure.subprogs[at];
        if !self.extended.facts().insns.get(subprog.start).is_some_and(|insn| insn.seen) {
            return Ok(None);
        }
        Ok(Some(Replaced {
            is_unreliable: !global::is_as_typed(&walk, at),
            is_exception_callback: structure.exception_callback == Some(at),
            changes_packet: subprog.changes_packet,
            might_sleep: subprog.might_sleep,
        }))
    }
}

/// A type without modifiers and names of its own, and its number.
fn plain(btf: &Btf, id: TypeId) -> (TypeId, &Type) {
    let id = btf.resolve(id).unwrap_or(TypeId::VOID);
    (id, btf.get(id).unwrap_or(&Type::Void))
}

/// A kind as messages have it.
fn word(ty: &Type) -> &'static str {
    match ty.kind() {
        Kind::Void => "UNKNOWN",
        kind => kind.name(),
    }
}

/// What the kernel compares of a type first: its kind, with how many members, values or parameters it has.
fn outline(ty: &Type) -> (Kind, usize, bool) {
    match ty {
        Type::Struct(of) | Type::Union(of) => (ty.kind(), of.members.len(), false),
        Type::Enum(of) | Type::Enum64(of) => (ty.kind(), of.values.len(), of.signed),
        _ => (ty.kind(), 0, false),
    }
}

/// Bytes, of the kinds whose size stands with them.
fn size(btf: &Btf, id: TypeId, ty: &Type) -> Option<u32> {
    let sized = matches!(ty.kind(), Kind::Int | Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Float);
    if sized { btf.size_of(id).ok() } else { None }
}

/// Whether two functions have the same parameters and results. Errors: Linux's words.
fn check_signature((own, new): (&Btf, TypeId), (other, old): (&Btf, TypeId)) -> Result<(), String> {
    let (name, replaced) = (own.name(new), other.name(old));
    let proto = |btf: &Btf, id: TypeId, name: &str| match btf.get(id) {
        Some(Type::Func { proto, linkage: Linkage::Global, .. }) => Ok(*proto),
        Some(_) | None => Err(format!("{name}() is not a global function")),
    };
    let protos = (proto(own, new, name)?, proto(other, old, replaced)?);
    let (Some(Type::FuncProto { ret, params }), Some(Type::FuncProto { ret: other_ret, params: other_params })) =
        (own.get(protos.0), other.get(protos.1))
    else {
        return Err(String::new());
    };
    if params.len() != other_params.len() {
        let counts = (params.len(), other_params.len());
        return Err(format!("{name}() has {} args while {replaced}() has {} args", counts.0, counts.1));
    }
    let (ret, other_ret) = (plain(own, *ret).1, plain(other, *other_ret).1);
    if outline(ret) != outline(other_ret) {
        let words = (word(ret), word(other_ret));
        return Err(format!("Return type {} of {name}() doesn't match type {} of {replaced}()", words.0, words.1));
    }
    let pairs = params.iter().zip(other_params).enumerate();
    pairs
        .map(|(at, (a, b))| (at, a.ty, b.ty))
        .try_for_each(|(at, a, b)| check_param((own, a), (other, b), at, (name, replaced)))
}

fn check_param(
    (own, a): (&Btf, TypeId),
    (other, b): (&Btf, TypeId),
    at: usize,
    (name, replaced): (&str, &str),
) -> Result<(), String> {
    let ((a, ty), (b, other_ty)) = (plain(own, a), plain(other, b));
    if outline(ty) != outline(other_ty) {
        return Err(format!("arg{at} in {name}() is {} while {replaced}() has {}", word(ty), word(other_ty)));
    }
    if let (Some(size), Some(other_size)) = (size(own, a, ty), size(other, b, other_ty))
        && size != other_size
    {
        return Err(format!("arg{at} in {name}() has size {size} while {replaced}() has {other_size}"));
    }
    let (to, other_to) = match (ty, other_ty) {
        (Type::Int(_) | Type::Enum(_) | Type::Enum64(_), _) => return Ok(()),
        (Type::Ptr { to }, Type::Ptr { to: other_to }) => (*to, *other_to),
        _ => return Err(format!("arg{at} in {name}() has unrecognized type")),
    };
    for (btf, to, name) in [(own, to, name), (other, other_to, replaced)] {
        if !matches!(plain(btf, to).1, Type::Struct(_) | Type::Union(_)) {
            return Err(format!("arg{at} in {name}() is not a pointer to context"));
        }
    }
    let (to, other_to) = (own.name(plain(own, to).0), other.name(plain(other, other_to).0));
    if to == other_to {
        return Ok(());
    }
    Err(format!("arg{at} {name}(struct {to} *) doesn't match {replaced}(struct {other_to} *)"))
}
