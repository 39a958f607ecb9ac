//! The control-flow graph: every instruction is reached, and where states are worth comparing.

use ring3_isa::{Callee, Flow, Insn, Wide};
use ring3_platform::helpers::changes_packet;
use ring3_platform::{Program, Target};

use super::{At, Structure, calls_back, target};
use crate::diag::reject::Reject;

/// Depth-first over all edges. Loops are allowed: the walk finds out whether they end.
pub fn walk(program: &Program, judge: &Target, structure: &mut Structure) -> Result<(), At> {
    let code = &program.code;
    let mut seen = vec![false; code.len()];
    let mut work = vec![0];
    seen[0] = true;
    // Edges from calls to the functions that are called, to hand packet changes upwards.
    let mut calls: Vec<(usize, usize)> = Vec::new();
    while let Some(slot) = work.pop() {
        let mut edge = |to: usize, work: &mut Vec<usize>| {
            if !std::mem::replace(&mut seen[to], true) {
                work.push(to);
            }
        };
        let next = code.next(slot);
        match code.insns()[slot] {
            Ok(Insn::Call(callee)) => {
                mark_call(program, judge, structure, slot, next);
                edge(next, &mut work);
                if let Callee::Local(off) = callee
                    && let Some(to) = target(code, slot, off)
                {
                    structure.insns[slot].prune_point = true;
                    mark_target(structure, to);
                    calls.push((slot, to));
                    edge(to, &mut work);
                }
            }
            Ok(Insn::LoadImm { value: Wide::Func(off), .. }) => {
                mark_target(structure, next);
                edge(next, &mut work);
                if let Some(to) = target(code, slot, off) {
                    structure.insns[slot].prune_point = true;
                    mark_target(structure, to);
                    edge(to, &mut work);
                }
            }
            Ok(insn) => {
                if matches!(insn, Insn::MayGoto { .. }) {
                    structure.insns[slot].force_checkpoint = true;
                }
                follow(program, structure, slot, next, &mut work, &mut edge);
            }
            Err(_) => follow(program, structure, slot, next, &mut work, &mut edge),
        }
    }
    check_reached(program, &seen)?;
    spread_packet_changes(structure, &calls);
    Ok(())
}

fn mark_target(structure: &mut Structure, slot: usize) {
    structure.insns[slot].prune_point = true;
    structure.insns[slot].jmp_point = true;
}

fn mark_call(program: &Program, judge: &Target, structure: &mut Structure, slot: usize, next: usize) {
    if let Ok(insn) = program.code.insns()[slot] {
        if calls_back(program, judge, &insn) {
            let here = &mut structure.insns[slot];
            here.calls_callback = true;
            here.force_checkpoint = true;
            here.prune_point = true;
            here.jmp_point = true;
        }
        if let Insn::Call(Callee::Helper(id)) = insn
            && u32::try_from(id).is_ok_and(changes_packet)
        {
            let subprog = structure.subprog_of(slot);
            structure.subprogs[subprog].changes_packet = true;
        }
    }
    mark_target(structure, next);
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

/// A caller changes the packet if what it calls does.
fn spread_packet_changes(structure: &mut Structure, calls: &[(usize, usize)]) {
    for _ in 0..structure.subprogs.len() {
        let mut changed = false;
        for &(from, to) in calls {
            let (caller, callee) = (structure.subprog_of(from), structure.subprog_of(to));
            if structure.subprogs[callee].changes_packet && !structure.subprogs[caller].changes_packet {
                structure.subprogs[caller].changes_packet = true;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
}
