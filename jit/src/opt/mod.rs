//! What is emitted for each operation: the operations of a program, with those that nobody needs left out and those joined that a
//! machine does at once.
//!
//! There is one [`Step`] for each operation, so jumps lead where they did. Blocks are looked at one by one; of what comes after a
//! block only the registers count that are still needed ([`live`]). Every rewriting is an identity of `ring3_isa::eval`, with one
//! fact of the verifier's that all of lowering relies on: calls leave R1 to R5 unreadable.

mod block;
mod bytes;
mod effects;
mod flow;
mod kept;
mod known;
mod live;
mod slots;
mod stores;
mod upper;
mod worklist;

use ring3_isa::{AluOp, CmpOp, Operand, Reg, Size, Width};
use ring3_vm::Op;

use crate::compile::{Found, Unit};
use crate::planted::Bug;
use crate::target::Address;
use block::Rewriter;
pub(crate) use effects::{Effects, reads, writes};
pub(crate) use kept::{KEPT, Keeps};
pub(crate) use known::Known;

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
    /// `dst` = so many bits of `src`, more than 0, from this one on, and zeros above; all of them are in the width.
    Field { width: Width, dst: Reg, src: Reg, from: u8, bits: u8 },
    /// `dst` = the number if the lowest bit of `src` is set, else 0.
    ByBit { dst: Reg, src: Reg, value: u64 },
    /// `dst` = so many bytes at `base + off`, zero-extended, the first the highest: 2, 4 or 8.
    LoadSwapped { size: Size, dst: Reg, base: Reg, off: i32 },
    /// `dst = *at`.
    LoadIndexed { size: Size, signed: bool, dst: Reg, at: Address },
    /// `*at = src`.
    StoreIndexed { size: Size, at: Address, src: Operand },
    /// `*at = *at op src`, with `add`, `sub`, `and`, `or` or `xor`.
    Update { size: Size, op: AluOp, at: Address, src: Operand },
    /// So many bytes from `base + off` on become 0: at least 16.
    Zero { base: Reg, off: i32, bytes: u32 },
    /// Jumps if the comparison of `*at` with the operand holds. Bytes are compared with 0 to 255 only, without a sign.
    BranchLoaded { size: Size, op: CmpOp, at: Address, rhs: Operand, target: u32 },
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

/// What is emitted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Plan {
    /// One for each operation; none if nothing can be done about any.
    pub(crate) steps: Vec<Step>,
    /// What calls of each function keep; if there are none, each function saves all that it changes.
    pub(crate) keeps: Vec<Keeps>,
}

/// What is known of a program, if that is worth the look.
pub(crate) fn known(unit: &Unit<'_>) -> Option<Known> {
    let guards = &unit.runtime.guards;
    // A budget counts operations that are executed: those that never are have to stay.
    let looks = unit.joined && !guards.is_long(unit.ops.len()) && guards.blind.is_none() && guards.budget.is_none();
    looks.then(|| Known::of(unit))
}

/// What is emitted for a program, of which so much is known.
pub(crate) fn plan(unit: &Unit<'_>, found: &[Found], known: Option<&Known>) -> Plan {
    let long = unit.runtime.guards.is_long(unit.ops.len());
    let worth = |(function, found): (_, &Found)| (!long || found.loops).then_some(function);
    let mut functions = unit.functions.iter().zip(found).filter_map(worth).peekable();
    if functions.peek().is_none() {
        return Plan::default();
    }
    let mut steps = vec![Step::Plain; unit.ops.len()];
    let leaders = live::leaders(unit);
    let mut effects: Vec<Effects> = (0..).zip(unit.ops).map(|(at, op)| Effects::of(*op, unit.is_lookup(at))).collect();
    let gone = (0..unit.ops.len()).filter(|at| known.is_some_and(|known| known.gone[*at]));
    for at in gone {
        (steps[at], effects[at]) = (Step::Nothing, Effects::NONE);
    }
    let keeps = if long { Vec::new() } else { kept::find(unit, &effects, &leaders) };
    for (op, effects) in unit.ops.iter().zip(&mut effects).filter(|_| !keeps.is_empty()) {
        if let Op::CallLocal { subprog } = op
            && *effects != Effects::NONE
            && !unit.has_bug(Bug::LostUnknown)
            && let Some(keeps) = keeps.get(usize::from(*subprog))
        {
            effects.writes = effects.writes.union(keeps.lost);
        }
    }
    let mut rewriter = Rewriter::new(unit, effects);
    for function in functions {
        let blocks = live::blocks(unit, rewriter.effects(), function, &leaders);
        let loops = if long { live::loops(unit, function) } else { Vec::new() };
        for block in blocks {
            if long && !live::is_within(&loops, block.range.start) {
                continue;
            }
            rewriter.rewrite(&block, &mut steps[block.range.clone()]);
        }
    }
    // A choice hides whether an operation was executed that is to be counted.
    if unit.runtime.guards.budget.is_none() {
        select::find(unit, &mut steps);
    }
    Plan { steps, keeps }
}

mod select;
