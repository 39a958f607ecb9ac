//! Where the registers of a program are while it runs: four in registers of the machine, the others in memory.
//!
//! Handlers are compiled for each combination of places, so that a handler for hot registers touches no memory but its cell.

use ring3_isa::{Operand, Reg};

use super::dispatch::{HOT, Hot};
use super::machine::Machine;
use crate::lower::Op;

/// Place of a register that is in memory. The hot ones are 0 to `HOT` - 1.
pub(super) const MEMORY: usize = HOT;
/// Places of a register.
pub(super) const PLACES: usize = HOT + 1;
/// "Place" of an operand that is the cell's immediate.
pub(super) const IMM: usize = PLACES;
/// Places of an operand.
pub(super) const OPERANDS: usize = PLACES + 1;

/// Reads the register in this place; `number` says which of those in memory.
#[inline(always)]
pub(super) fn get<const PLACE: usize>(machine: &Machine<'_, '_>, hot: &Hot, number: u8) -> u64 {
    if PLACE < HOT { hot[PLACE] } else { machine.regs[usize::from(number & 15)] }
}

/// Writes the register in this place.
#[inline(always)]
pub(super) fn set<const PLACE: usize>(machine: &mut Machine<'_, '_>, hot: &mut Hot, number: u8, value: u64) {
    if PLACE < HOT {
        hot[PLACE] = value;
    } else {
        machine.regs[usize::from(number & 15)] = value;
    }
}

/// Which registers of a program are hot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// Numbers of the hot registers. A program that uses fewer has others here, which costs nothing.
    pub(super) hot: [u8; HOT],
}

impl Places {
    /// The registers that a program uses most, where an operation counts for more the more loops it is in.
    pub(super) fn of(ops: &[Op]) -> Places {
        let mut uses = [0u64; Reg::COUNT];
        for (op, depth) in ops.iter().zip(loop_depths(ops)) {
            for reg in op.registers() {
                uses[reg.index()] = uses[reg.index()].saturating_add(1 << (LOOP_SHIFT * depth.min(MAX_LOOPS)));
            }
        }
        let mut order = Reg::all().map(Reg::number).collect::<Vec<_>>();
        order.sort_by_key(|number| std::cmp::Reverse(uses[usize::from(*number)]));
        let mut hot = [0; HOT];
        hot.copy_from_slice(&order[..HOT]);
        Places { hot }
    }

    /// The place of a register.
    pub(super) fn of_reg(&self, reg: Reg) -> usize {
        self.hot.iter().position(|hot| *hot == reg.number()).unwrap_or(MEMORY)
    }

    /// The place of an operand.
    pub(super) fn of_operand(&self, operand: Operand) -> usize {
        match operand {
            Operand::Reg(reg) => self.of_reg(reg),
            Operand::Imm(_) => IMM,
        }
    }
}

/// One more loop around an operation makes it count `1 << LOOP_SHIFT` times as much, for this many loops.
const LOOP_SHIFT: u32 = 3;
const MAX_LOOPS: u32 = 8;

/// For each operation how many jumps go back over it.
fn loop_depths(ops: &[Op]) -> Vec<u32> {
    let mut begins = vec![0u32; ops.len() + 1];
    let mut ends = vec![0u32; ops.len() + 1];
    for (at, op) in ops.iter().enumerate() {
        if let Op::Jump { target } | Op::Branch { target, .. } | Op::MayGoto { target } = op
            && *target as usize <= at
        {
            begins[*target as usize] += 1;
            ends[at + 1] += 1;
        }
    }
    let mut depth = 0;
    let change = |(begin, end): (&u32, &u32)| {
        depth = depth + begin - end;
        depth
    };
    begins.iter().zip(&ends).map(change).take(ops.len()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_nest() {
        let back = |target| Op::Jump { target };
        assert_eq!(loop_depths(&[Op::Exit, Op::Exit, back(1), back(0), back(9), Op::Exit]), [1, 2, 2, 1, 0, 0]);
    }

    #[test]
    fn what_loops_use_is_hot() {
        let mov = |number| Op::Neg { width: ring3_isa::Width::W64, dst: Reg::new(number).unwrap() };
        let ops = [mov(1), mov(1), mov(7), mov(8), mov(9), Op::Jump { target: 2 }, Op::Exit];
        assert_eq!(Places::of(&ops).hot, [7, 8, 9, 1]);
    }
}
