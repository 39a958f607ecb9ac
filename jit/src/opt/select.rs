//! Branches around one operation: around a move they become a choice without a jump, around a jump a jump with the opposite condition.

use ring3_isa::{Operand, Reg, Width};
use ring3_vm::Op;

use super::{Chosen, Step};
use crate::compile::Unit;
use crate::planted::Bug;

/// Finds them.
pub(super) fn find(unit: &Unit<'_>, steps: &mut [Step]) {
    let targets = targets(unit);
    for at in 0..unit.ops.len().saturating_sub(1) {
        let Op::Branch { width, op, lhs, rhs, target } = unit.ops[at] else { continue };
        if targets[at + 1] && !unit.has_bug(Bug::ChoiceEntered) {
            continue;
        }
        let behind = target as usize == at + 2;
        // The way around may join the other one later, if that goes there at once.
        let joins = behind || unit.ops.get(at + 2) == Some(&Op::Jump { target });
        match (moved(unit.ops[at + 1], steps[at + 1]), unit.ops[at + 1]) {
            (Some((dst, value)), _) if joins && steps[at] == Step::Plain && !clamps(lhs, rhs, dst, value) => {
                steps[at] = Step::SelectUnless { width, op, lhs, rhs, dst, value };
                steps[at + 1] = Step::Nothing;
            }
            (None, Op::Jump { target }) if behind => {
                let Some(step) = opposite(unit.ops[at], steps[at], target) else { continue };
                steps[at] = step;
                steps[at + 1] = Step::Nothing;
            }
            _ => {}
        }
    }
}

/// Whether the choice keeps a register within a constant: `if (x > 1000) x = 1000`.
///
/// Such a bound is one that is seldom reached, or always: the branch is one that processors guess, of two instructions instead of three,
/// and what follows does not wait for it. A choice between values of the program has no side that is the usual one, so it stays without a
/// branch. Either is right whatever the values are.
fn clamps(lhs: Reg, rhs: Operand, dst: Reg, value: Chosen) -> bool {
    match (rhs, value) {
        // `x >= 1000` is written as `x > 999`, too.
        (Operand::Imm(bound), Chosen::Number(number)) => {
            lhs == dst && (number as i32).wrapping_sub(bound).unsigned_abs() <= 1
        }
        (Operand::Imm(_) | Operand::Reg(_), Chosen::Reg(_) | Chosen::Low(_) | Chosen::Number(_)) => false,
    }
}

/// A jump over a jump is a jump with the opposite condition.
fn opposite(branch: Op, step: Step, target: u32) -> Option<Step> {
    match (step, branch) {
        (Step::Plain, Op::Branch { width, op, lhs, rhs, .. }) => {
            Some(Step::Other(Op::Branch { width, op: op.negated()?, lhs, rhs, target }))
        }
        (Step::BranchLoaded { size, op, at, rhs, .. }, _) => {
            Some(Step::BranchLoaded { size, op: op.negated()?, at, rhs, target })
        }
        _ => None,
    }
}

/// What an operation that is emitted as it is moves where.
fn moved(op: Op, step: Step) -> Option<(Reg, Chosen)> {
    let op = match step {
        Step::Plain => op,
        Step::Other(other) => other,
        Step::Nothing
        | Step::Alu { .. }
        | Step::Rotate { .. }
        | Step::Field { .. }
        | Step::ByBit { .. }
        | Step::LoadSwapped { .. }
        | Step::LoadIndexed { .. }
        | Step::StoreIndexed { .. }
        | Step::Update { .. }
        | Step::Zero { .. }
        | Step::BranchLoaded { .. }
        | Step::SelectUnless { .. } => return None,
    };
    match op {
        Op::Mov { width: Width::W64, dst, src: Operand::Reg(src) } => Some((dst, Chosen::Reg(src))),
        Op::Mov { width: Width::W32, dst, src: Operand::Reg(src) } => Some((dst, Chosen::Low(src))),
        Op::Mov { width: Width::W64, dst, src: Operand::Imm(imm) } => {
            Some((dst, Chosen::Number(i64::from(imm) as u64)))
        }
        Op::Mov { width: Width::W32, dst, src: Operand::Imm(imm) } => {
            Some((dst, Chosen::Number(u64::from(imm as u32))))
        }
        Op::LoadImm { dst, value } => Some((dst, Chosen::Number(value))),
        _ => None,
    }
}

/// Where jumps lead.
fn targets(unit: &Unit<'_>) -> Vec<bool> {
    let mut targets = vec![false; unit.ops.len()];
    for op in unit.ops {
        if let Op::Jump { target } | Op::Branch { target, .. } | Op::MayGoto { target } = op
            && let Some(target) = targets.get_mut(*target as usize)
        {
            *target = true;
        }
    }
    targets
}
