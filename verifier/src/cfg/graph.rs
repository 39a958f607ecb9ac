//! The control-flow graph: every instruction is reached, and where states are worth comparing.

use ring3_isa::{Flow, Mention};
use ring3_platform::helpers::{changes_packet, id};
use ring3_platform::kfuncs::KfuncFlags;
use ring3_platform::{Program, Target};

use super::{At, Structure, calls_back, proto, target};
use crate::diag::reject::Reject;

/// Functions of the kernel whose callbacks run later on their own.
const CALLS_LATER: [&str; 3] =
    ["bpf_wq_set_callback_impl", "bpf_task_work_schedule_resume_impl", "bpf_task_work_schedule_signal_impl"];

/// The function of the kernel that calls back at once: to compare nodes of a tree.
pub const RBTREE_ADD: &str = "bpf_rbtree_add_impl";
/// The function of the kernel that moves a packet.
pub const XDP_PULL_DATA: &str = "bpf_xdp_pull_data";

/// Functions of the kernel that make dynptrs of packets which may move where something is written through them.
const PACKET_DYNPTRS: [&str; 2] = ["bpf_dynptr_from_skb", "bpf_dynptr_from_skb_meta"];
/// Functions of the kernel that write through dynptrs.
const DYNPTR_WRITES: [&str; 2] = ["bpf_dynptr_copy", "bpf_dynptr_memset"];
/// The function of the kernel that ends a program from anywhere in it.
pub const THROW: &str = "bpf_throw";

/// Depth-first over all edges. Loops are allowed: the walk finds out whether they end.
pub fn walk(program: &Program, judge: &Target, structure: &mut Structure) -> Result<(), At> {
    let code = &program.code;
    let mut seen = vec![false; code.len()];
    // What runs when the program throws is reached by no instruction.
    let thrown = structure.exception_callback.map(|index| structure.subprogs[index].start);
    let mut work: Vec<usize> = thrown.into_iter().chain([0]).collect();
    for start in &work {
        seen[*start] = true;
    }
    structure.packet_dynptrs = program.kfuncs.iter().any(|named| PACKET_DYNPTRS.contains(&named.name.as_str()));
    // Edges to the functions that are called, or called back, to hand upwards what they do.
    let mut calls: Vec<(usize, usize)> = Vec::new();
    while let Some(slot) = work.pop() {
        let mut edge = |to: usize, work: &mut Vec<usize>| {
            if !std::mem::replace(&mut seen[to], true) {
                work.push(to);
            }
        };
        let next = code.next(slot);
        let raw = code.raw_slice()[slot];
        let called = match raw.mention() {
            Some(Mention::Function(off) | Mention::Address(off)) => {
                mark_target(structure, next);
                Some(off)
            }
            Some(Mention::Helper(id)) => {
                mark_call(structure, slot, next, id);
                if proto(program, judge, id).is_some_and(|proto| proto.might_sleep) {
                    mark_sleep(structure, slot);
                }
                None
            }
            Some(Mention::Kfunc { .. }) => {
                mark_kfunc(program, structure, slot);
                mark_target(structure, next);
                None
            }
            None => {
                structure.insns[slot].force_checkpoint |= raw.is_may_goto();
                follow(program, structure, slot, next, &mut work, &mut edge);
                continue;
            }
        };
        edge(next, &mut work);
        if let Some(to) = called.and_then(|off| target(code, slot, off)) {
            structure.insns[slot].prune_point = true;
            mark_target(structure, to);
            // What is called back counts as called.
            calls.push((slot, to));
            edge(to, &mut work);
        }
    }
    check_reached(program, &seen)?;
    spread_effects(structure, &calls);
    Ok(())
}

fn mark_target(structure: &mut Structure, slot: usize) {
    structure.insns[slot].prune_point = true;
    structure.insns[slot].jmp_point = true;
}

fn mark_callback(structure: &mut Structure, slot: usize) {
    let here = &mut structure.insns[slot];
    here.calls_callback = true;
    here.force_checkpoint = true;
    here.prune_point = true;
    here.jmp_point = true;
}

fn mark_call(structure: &mut Structure, slot: usize, next: usize, helper: i32) {
    if calls_back(helper) {
        mark_callback(structure, slot);
    }
    if u32::try_from(helper) == Ok(id::TIMER_SET_CALLBACK) {
        // Otherwise the callback would be walked anew wherever the call is reached.
        structure.insns[slot].prune_point = true;
    }
    // Linux forgets that writing through a dynptr may move a packet, too.
    let writes_through = structure.packet_dynptrs && u32::try_from(helper) == Ok(id::DYNPTR_WRITE);
    if writes_through || u32::try_from(helper).is_ok_and(changes_packet) {
        mark_packet(structure, slot);
    }
    mark_target(structure, next);
}

fn mark_packet(structure: &mut Structure, slot: usize) {
    let subprog = structure.subprog_of(slot);
    structure.subprogs[subprog].changes_packet = true;
}

fn mark_sleep(structure: &mut Structure, slot: usize) {
    let subprog = structure.subprog_of(slot);
    structure.subprogs[subprog].might_sleep = true;
}

/// Loops that ask an iterator converge fast only if there is a state at every question.
fn mark_kfunc(program: &Program, structure: &mut Structure, slot: usize) {
    let called = structure.kfuncs.at(program, slot);
    let called = called.filter(|proto| proto.row.allows(program.kind) == Some(true));
    let has = |flag| called.is_some_and(|proto| proto.has(flag));
    let (asks, sleeps) = (has(KfuncFlags::ITER_NEXT), has(KfuncFlags::SLEEPABLE));
    let calls_back = called.is_some_and(|proto| proto.row.name == RBTREE_ADD);
    let calls_later = called.is_some_and(|proto| CALLS_LATER.contains(&proto.row.name));
    let writes_through =
        structure.packet_dynptrs && called.is_some_and(|proto| DYNPTR_WRITES.contains(&proto.row.name));
    let throws = called.is_some_and(|proto| proto.row.name == THROW);
    if writes_through || called.is_some_and(|proto| proto.row.name == XDP_PULL_DATA) {
        mark_packet(structure, slot);
    }
    if throws {
        let subprog = structure.subprog_of(slot);
        structure.subprogs[subprog].throws = true;
    }
    if sleeps {
        mark_sleep(structure, slot);
    }
    if calls_back {
        mark_callback(structure, slot);
    }
    if calls_later {
        structure.insns[slot].prune_point = true;
    }
    if asks {
        let here = &mut structure.insns[slot];
        here.asks_iterator = true;
        here.force_checkpoint = true;
        here.prune_point = true;
    }
}

fn follow(
    program: &Program,
    structure: &mut Structure,
    slot: usize,
    next: usize,
    work: &mut Vec<usize>,
    edge: &mut dyn FnMut(usize, &mut Vec<usize>),
) {
    match program.code.raw_slice()[slot].flow() {
        Flow::Next => edge(next, work),
        Flow::Exit => {}
        Flow::Goto(off) => {
            if let Some(to) = target(&program.code, slot, off) {
                mark_target(structure, to);
                edge(to, work);
            }
        }
        Flow::Branch(off) => {
            structure.insns[slot].prune_point = true;
            edge(next, work);
            if let Some(to) = target(&program.code, slot, off) {
                mark_target(structure, to);
                edge(to, work);
            }
        }
    }
}

fn check_reached(program: &Program, seen: &[bool]) -> Result<(), At> {
    let code = &program.code;
    let mut slot = 0;
    while slot < code.len() {
        if !seen[slot] {
            return Err((Reject::Unreachable { at: slot }, Some(slot)));
        }
        if code.is_wide(slot) && seen[slot + 1] {
            return Err((Reject::MiddleOfLdImm64 { at: slot }, Some(slot)));
        }
        slot = code.next(slot);
    }
    Ok(())
}

/// A caller changes the packet, sleeps, or throws, if what it calls does.
fn spread_effects(structure: &mut Structure, calls: &[(usize, usize)]) {
    for _ in 0..structure.subprogs.len() {
        let mut changed = false;
        for &(from, to) in calls {
            let callee = &structure.subprogs[structure.subprog_of(to)];
            let (packet, sleeps, throws) = (callee.changes_packet, callee.might_sleep, callee.throws);
            let caller = structure.subprog_of(from);
            let caller = &mut structure.subprogs[caller];
            changed |=
                (packet && !caller.changes_packet) || (sleeps && !caller.might_sleep) || (throws && !caller.throws);
            caller.changes_packet |= packet;
            caller.might_sleep |= sleeps;
            caller.throws |= throws;
        }
        if !changed {
            break;
        }
    }
}
