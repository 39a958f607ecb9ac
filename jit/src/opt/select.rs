//! Branches around one move become a choice without a jump.

use ring3_isa::{Operand, Width};
use ring3_vm::Op;

use super::{Chosen, Step};
use crate::compile::Unit;

/// Finds them.
pub(super) fn find(unit: &Unit<'_>, steps: &mut [Step]) {
    let targets = targets(unit);
    for (at, pair) in unit.ops.windows(2).enumerate() {
        let (Op::Branch { width, op, lhs, rhs, target }, Some((dst, value))) = (pair[0], moved(pair[1], steps[at + 1]))
        else {
            continue;
        };
        let around = target as usize == at + 2 && !targets[at + 1] && steps[at] == Step::Plain;
        if around {
            steps[at] = Step::SelectUnless { width, op, lhs, rhs, dst, value };
            steps[at + 1] = Step::Nothing;
        }
    }
}

/// What an operation that is emitted as it is moves where.
fn moved(op: Op, step: Step) -> Option<(ring3_isa::Reg, Chosen)> {
    let op = match step {
        Step::Plain => op,
        Step::Other(other) => other,
        Step::Nothing
        | Step::Alu { .. }
        | Step::Rotate { .. }
        | Step::LoadSwapped { .. }
        | Step::LoadIndexed { .. }
        | Step::StoreIndexed { .. }
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
