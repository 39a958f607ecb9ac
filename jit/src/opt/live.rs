//! Blocks of operations without jumps into or out of their middle, and the registers that are needed behind each.

use std::ops::Range;

use ring3_isa::RegSet;
use ring3_vm::Op;

use super::Effects;
use crate::compile::{Function, Unit};

/// A run of operations that is entered at its first and left at its last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Block {
    pub(super) range: Range<usize>,
    /// What something behind it may still read.
    pub(super) live_out: RegSet,
    /// Read before they are written.
    reads: RegSet,
    writes: RegSet,
    live_in: RegSet,
    /// Blocks that may follow, by their first operations.
    next: [Option<usize>; 2],
}

/// Where jumps lead, and what follows a jump.
pub(super) fn leaders(unit: &Unit<'_>) -> Vec<bool> {
    let mut leaders = vec![false; unit.ops.len() + 1];
    for function in unit.functions {
        leaders[function.start as usize] = true;
    }
    for (at, op) in unit.ops.iter().enumerate() {
        if let Op::Jump { target } | Op::Branch { target, .. } | Op::MayGoto { target } = op {
            if let Some(leader) = leaders.get_mut(*target as usize) {
                *leader = true;
            }
            leaders[at + 1] = true;
        }
        leaders[at + 1] |= *op == Op::Exit;
    }
    leaders
}

/// The blocks of a function, in order.
pub(super) fn blocks(unit: &Unit<'_>, function: &Function, leaders: &[bool]) -> Vec<Block> {
    let (first, end) = (function.start as usize, function.end as usize);
    let starts = (first..end).filter(|at| *at == first || leaders[*at]);
    let ends = starts.clone().skip(1).chain([end]);
    let mut blocks: Vec<Block> = starts.zip(ends).map(|(start, next)| block(unit, start..next, end)).collect();
    solve(&mut blocks);
    blocks
}

fn block(unit: &Unit<'_>, range: Range<usize>, end: usize) -> Block {
    let (mut reads, mut writes) = (RegSet::EMPTY, RegSet::EMPTY);
    for at in range.clone() {
        let effects = Effects::of(unit.ops[at], unit.is_lookup(at as u32));
        reads = reads.union(effects.reads.difference(writes));
        writes = writes.union(effects.writes);
    }
    let after = Some(range.end).filter(|after| *after < end);
    let next = match unit.ops[range.end - 1] {
        Op::Exit => [None, None],
        Op::Jump { target } => [Some(target as usize), None],
        Op::Branch { target, .. } | Op::MayGoto { target } => [Some(target as usize), after],
        _ => [after, None],
    };
    Block { range, live_out: RegSet::EMPTY, reads, writes, live_in: reads, next }
}

/// Backwards until nothing changes: as often as loops are nested, and once more.
fn solve(blocks: &mut [Block]) {
    let mut changed = true;
    while changed {
        changed = false;
        for index in (0..blocks.len()).rev() {
            let out = blocks[index].next.into_iter().flatten().fold(RegSet::EMPTY, |out, next| {
                let found = blocks.binary_search_by_key(&next, |block| block.range.start);
                out.union(found.map_or(RegSet::EMPTY, |found| blocks[found].live_in))
            });
            let block = &mut blocks[index];
            let live_in = block.reads.union(out.difference(block.writes));
            changed |= live_in != block.live_in;
            (block.live_out, block.live_in) = (out, live_in);
        }
    }
}
