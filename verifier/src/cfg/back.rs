//! What the walk back over the instructions that made a number has to look at: most instructions made another one.

use ring3_isa::{Callee, Insn, Operand, Reg};
use ring3_platform::Program;

use super::Structure;

/// Has to be looked at whatever is asked for.
pub const ALWAYS: u16 = 1 << 15;

/// Registers of which one must be asked for so that the instruction makes a difference, where the history has nothing to say
/// of it.
fn matters(insn: Insn) -> u16 {
    let bit = |reg: Reg| 1u16 << reg.number();
    match insn {
        Insn::Alu { dst, .. }
        | Insn::Mov { dst, .. }
        | Insn::MovSx { dst, .. }
        | Insn::AddrSpaceCast { dst, .. }
        | Insn::LoadImm { dst, .. }
        | Insn::Load { dst, .. }
        | Insn::LoadAcquire { dst, .. } => bit(dst),
        // To whatever slot it was: the history would say if that was asked for.
        Insn::Store { base, .. } | Insn::StoreRelease { base, .. } => bit(base),
        Insn::Branch { lhs, rhs: Operand::Reg(rhs), .. } => bit(lhs) | bit(rhs),
        Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::Branch { rhs: Operand::Imm(_), .. }
        | Insn::Jump { .. }
        | Insn::MayGoto { .. }
        | Insn::WideTail => 0,
        Insn::Atomic { .. }
        | Insn::Call(_)
        | Insn::CallX { .. }
        | Insn::GotoX { .. }
        | Insn::Exit
        | Insn::LegacyPacket { .. } => ALWAYS,
    }
}

fn may_write_stack(insn: Insn) -> bool {
    match insn {
        Insn::Store { .. } | Insn::StoreRelease { .. } | Insn::Atomic { .. } => true,
        Insn::Call(callee) => !matches!(callee, Callee::Local(_)),
        _ => false,
    }
}

/// Fills in what instructions say of themselves: `back`, `may_write_stack` and `wide`.
pub fn compute(program: &Program, structure: &mut Structure) {
    let code = &program.code;
    for (slot, (insn, known)) in code.insns().iter().zip(&mut structure.insns).enumerate() {
        known.back = insn.map_or(ALWAYS, matters);
        known.may_write_stack = insn.is_ok_and(may_write_stack);
        known.wide = code.next(slot) - slot > 1;
    }
}
