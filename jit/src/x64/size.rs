//! How long an operation can become: what is needed to know that a jump over some of them is a short one.
//!
//! No harm is done by a number that is too small: the jump then does not reach its label, and all of the program is emitted again with
//! long ones.

use ring3_isa::{AluOp, Operand};
use ring3_vm::Op;

use super::X64;
use crate::opt::Step;
use crate::target::FAR;

/// An instruction on registers with a number of four bytes.
const PLAIN: u32 = 7;
/// One with an address too, and that of most.
const MEMORY: u32 = 13;
/// A number of eight bytes in a register.
const WIDE: u32 = 10;
/// A comparison, and a jump of the long form.
const BRANCH: u32 = PLAIN + 6;

impl X64 {
    /// Without what may stand in front of it as the head of a loop.
    pub(super) fn at_most(&self, op: &Op, step: Step) -> u32 {
        match step {
            Step::Plain => op_at_most(op),
            Step::Other(other) => op_at_most(&other),
            Step::Nothing => 0,
            Step::Alu { width, op, dst, lhs: _, rhs } => 3 + op_at_most(&Op::Alu { width, op, dst, src: rhs }),
            Step::Rotate { .. } => PLAIN,
            Step::Field { .. } => 6 + PLAIN,
            Step::ByBit { .. } => 3 + 4 + WIDE + 4,
            Step::LoadSwapped { .. } => MEMORY + 4,
            Step::LoadIndexed { .. } | Step::StoreIndexed { .. } | Step::Update { .. } => MEMORY,
            Step::BranchLoaded { .. } => MEMORY + 6,
            Step::SelectUnless { .. } => WIDE + PLAIN + 4,
            Step::Zero { .. } => FAR,
        }
    }
}

fn op_at_most(op: &Op) -> u32 {
    match op {
        Op::Alu { op: AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod, .. } => FAR,
        Op::Alu { op: AluOp::Lsh | AluOp::Rsh | AluOp::Arsh, src: Operand::Reg(_), .. } => 20,
        Op::Alu { op: AluOp::Mul, src: Operand::Imm(_), .. } => WIDE,
        Op::Alu { .. } | Op::Mov { .. } => PLAIN,
        Op::MovSx { .. } | Op::Neg { .. } => 4,
        Op::Endian { .. } => 8,
        Op::LoadImm { .. } => WIDE,
        Op::Load { .. } | Op::Store { .. } | Op::LoadAcquire { .. } | Op::StoreRelease { .. } => MEMORY,
        Op::Jump { .. } => 5,
        Op::Branch { .. } => BRANCH,
        Op::CallLocal { .. } => 5,
        // The frame is taken down.
        Op::Exit => 24,
        Op::CallHelper { .. }
        | Op::Atomic { .. }
        | Op::Guarded { .. }
        | Op::MayGoto { .. }
        | Op::TailCall
        | Op::LegacyPacket { .. } => FAR,
    }
}
