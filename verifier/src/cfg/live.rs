//! Which registers may still be read: backward data flow over each function.

use ring3_isa::{AtomicOp, Callee, Flow, Insn, Operand, Reg};
use ring3_platform::{ArgKind, Program, Target};

use super::kfuncs::Kfuncs;
use super::scc::successors;
use super::{Structure, proto};

const ARGS: u16 = 0b11_1110;
const CALLER_SAVED: u16 = 0b11_1111;

/// Fills in `Static::live` and `Structure::goes_back`.
pub fn compute(program: &Program, judge: &Target, structure: &mut Structure) {
    let code = &program.code;
    // What instructions do, once they are looked at again.
    let mut effects: Vec<(u16, u16)> = Vec::new();
    loop {
        let mut changed = false;
        for slot in (0..code.len()).rev().filter(|slot| !code.is_tail(*slot)) {
            let mut after = 0;
            for to in successors(program, slot).into_iter().flatten() {
                after |= structure.insns[to].live;
                structure.goes_back |= to <= slot;
            }
            let known = effects.get(slot).copied();
            let (uses, defs) = known.unwrap_or_else(|| effect(program, judge, &structure.kfuncs, slot));
            let live = (after & !defs) | uses;
            if structure.insns[slot].live != live {
                structure.insns[slot].live = live;
                changed = true;
            }
        }
        // Where every way leads forwards, once is enough.
        if !changed || !structure.goes_back {
            break;
        }
        if effects.is_empty() {
            effects.extend((0..code.len()).map(|slot| effect(program, judge, &structure.kfuncs, slot)));
        }
    }
}

const fn bit(reg: Reg) -> u16 {
    1 << reg.number()
}

fn operand(operand: Operand) -> u16 {
    match operand {
        Operand::Reg(reg) => bit(reg),
        Operand::Imm(_) => 0,
    }
}

/// Registers that an instruction reads, and those that it writes.
fn effect(program: &Program, judge: &Target, kfuncs: &Kfuncs, slot: usize) -> (u16, u16) {
    let Ok(insn) = program.code.insns()[slot] else {
        let exits = program.code.raw_slice()[slot].flow() == Flow::Exit;
        return (if exits { bit(Reg::R0) } else { u16::MAX }, 0);
    };
    match insn {
        Insn::Alu { dst, src, .. } => (bit(dst) | operand(src), bit(dst)),
        Insn::Mov { dst, src, .. } => (operand(src), bit(dst)),
        Insn::MovSx { dst, src, .. } | Insn::AddrSpaceCast { dst, src, .. } => (bit(src), bit(dst)),
        Insn::Neg { dst, .. } | Insn::Endian { dst, .. } => (bit(dst), bit(dst)),
        Insn::LoadImm { dst, .. } => (0, bit(dst)),
        Insn::WideTail | Insn::Jump { .. } | Insn::MayGoto { .. } => (0, 0),
        Insn::Load { dst, base, .. } | Insn::LoadAcquire { dst, base, .. } => (bit(base), bit(dst)),
        Insn::Store { base, src, .. } => (bit(base) | operand(src), 0),
        Insn::StoreRelease { base, src, .. } => (bit(base) | bit(src), 0),
        Insn::Atomic { op, base, src, .. } => atomic_effect(op, base, src),
        Insn::Branch { lhs, rhs, .. } => (bit(lhs) | operand(rhs), 0),
        Insn::Call(callee) => (call_uses(program, judge, kfuncs, callee), CALLER_SAVED),
        Insn::Exit => (bit(Reg::R0), 0),
        Insn::CallX { .. } | Insn::GotoX { .. } => (u16::MAX, 0),
        Insn::LegacyPacket { .. } => (u16::MAX, 0),
    }
}

fn atomic_effect(op: AtomicOp, base: Reg, src: Reg) -> (u16, u16) {
    let fetched = op.fetches_into(src).map_or(0, bit);
    let old = if op == AtomicOp::Cmpxchg { bit(Reg::R0) } else { 0 };
    (bit(base) | bit(src) | old, fetched)
}

fn call_uses(program: &Program, judge: &Target, kfuncs: &Kfuncs, callee: Callee) -> u16 {
    let first = |count: usize| ((1 << (count + 1)) - 1) & ARGS;
    match callee {
        Callee::Helper(id) => match proto(program, judge, id) {
            Some(proto) => {
                let count = proto.args.iter().filter(|a| a.kind != ArgKind::None).count();
                first(count)
            }
            None => ARGS,
        },
        Callee::Kfunc { id, off } => {
            let called = kfuncs.called(program, id, off);
            let called = called.filter(|proto| proto.row.allows(program.kind) == Some(true));
            called.map_or(ARGS, |proto| first(proto.params.len()))
        }
        Callee::Local(_) => ARGS,
    }
}
