//! What there is to say of calls that are refused: who may call a helper, what else does the like, where a lock was taken.

use ring3_isa::{Callee, Insn};
use ring3_platform::helpers::Lookup;
use ring3_platform::{ProgType, Program, Target, helper_name};

use crate::walk::Trace;

/// Program types that are named, at most.
const MAX_TYPES: usize = 5;

fn may_call(program: &Program, target: &Target, id: u32) -> bool {
    matches!(target.helper(program, id), Lookup::Found(_))
}

/// Types of programs that may call a helper: `sched_cls, sched_act and others`.
pub fn callers(id: u32) -> Option<String> {
    let target = Target::default();
    let may = |kind: &ProgType| may_call(&Program::new("", *kind, ring3_isa::Code::decode(Vec::new())), &target, id);
    let kinds: Vec<&str> = ProgType::ALL.iter().copied().filter(|kind| may(kind)).map(ProgType::name).collect();
    match kinds.len() {
        0 => None,
        1..=MAX_TYPES => Some(kinds.join(", ")),
        _ => Some(format!("{} and {} others", kinds[..MAX_TYPES].join(", "), kinds.len() - MAX_TYPES)),
    }
}

/// Helpers that a program may call and whose names say that they do the same for it: `bpf_xdp_load_bytes` for
/// `bpf_skb_load_bytes`.
pub fn like(program: &Program, id: u32) -> Vec<String> {
    let target = Target::default();
    let Some((_, does)) = helper_name(id).and_then(|name| name.split_once('_')) else { return Vec::new() };
    let does = format!("_{does}");
    let same = |other: &u32| *other != id && helper_name(*other).is_some_and(|name| name.ends_with(&does));
    let all = ring3_platform::helpers::ALL.iter().copied();
    let found = all.filter(same).filter(|other| may_call(program, &target, *other));
    found.filter_map(helper_name).map(|name| format!("bpf_{name}()")).collect()
}

/// The last step of a path at which a lock was taken, or a region entered, and what did it.
pub fn taken(program: &Program, trace: &Trace) -> Option<(usize, String)> {
    let steps = trace.steps().iter().enumerate().rev();
    let mut calls = steps.filter_map(|(step, at)| Some((step, called(program, at.at)?)));
    calls.find(|(_, name)| {
        let enters = ["spin_lock", "rcu_read_lock", "preempt_disable", "irq_save"];
        enters.iter().any(|enter| name.contains(enter)) && !name.contains("unlock")
    })
}

fn called(program: &Program, slot: usize) -> Option<String> {
    match program.code.insns().get(slot)? {
        Ok(Insn::Call(Callee::Helper(id))) => Some(format!("bpf_{}", helper_name(u32::try_from(*id).ok()?)?)),
        Ok(Insn::Call(Callee::Kfunc { id, off })) => Some(program.kfunc(*id, *off)?.name.clone()),
        _ => None,
    }
}
