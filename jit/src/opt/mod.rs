//! What is emitted for each operation: the operations of a program, with those that nobody needs left out and those joined that a
//! machine does at once.
//!
//! There is one [`Step`] for each operation, so jumps lead where they did. Blocks are looked at one by one; of what comes after a
//! block only the registers count that are still needed ([`live`]). Every rewriting is an identity of `ring3_isa::eval`, with one
//! fact of the verifier's that all of lowering relies on: calls leave R1 to R5 unreadable.

mod block;
mod bytes;
mod effects;
mod live;

use ring3_isa::{AluOp, CmpOp, Operand, Reg, Size, Width};
use ring3_vm::Op;

use crate::compile::Unit;
use crate::target::Indexed;
pub(crate) use effects::Effects;

/// What is emitted for one operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// The operation as it is.
    Plain,
    /// Nothing: nobody needs it, or another step does it.
    Nothing,
    /// Another operation.
    Other(Op),
    /// `dst = lhs op rhs`.
    Alu { width: Width, op: AluOp, dst: Reg, lhs: Reg, rhs: Operand },
    /// `dst = src` rotated left by so many bits, more than 0 and less than the width; of 32 bits the upper half becomes 0.
    Rotate { width: Width, dst: Reg, src: Reg, left: u8 },
    /// `dst` = so many bytes at `base + off`, zero-extended, the first the highest: 2, 4 or 8.
    LoadSwapped { size: Size, dst: Reg, base: Reg, off: i32 },
    /// `dst = *(base + index + off)`.
    LoadIndexed { size: Size, signed: bool, dst: Reg, at: Indexed },
    /// `*(base + index + off) = src`.
    StoreIndexed { size: Size, at: Indexed, src: Operand },
    /// Unless the comparison holds: `dst = src`, all 64 bits.
    SelectUnless { width: Width, op: CmpOp, lhs: Reg, rhs: Operand, dst: Reg, value: Chosen },
}

/// What a step chooses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Chosen {
    /// A register.
    Reg(Reg),
    /// The low half of a register, zero-extended.
    Low(Reg),
    /// A number.
    Number(u64),
}

/// One step for each operation.
pub(crate) fn steps(unit: &Unit<'_>) -> Vec<Step> {
    let mut steps = vec![Step::Plain; unit.ops.len()];
    let leaders = live::leaders(unit);
    for function in unit.functions {
        let blocks = live::blocks(unit, function, &leaders);
        for block in blocks {
            block::rewrite(unit, block.range.clone(), block.live_out, &mut steps[block.range]);
        }
    }
    // A choice hides whether an operation was executed that is to be counted.
    if unit.runtime.guards.budget.is_none() {
        select::find(unit, &mut steps);
    }
    steps
}

mod select;
