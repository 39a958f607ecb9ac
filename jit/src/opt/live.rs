//! Blocks of operations without jumps into or out of their middle, the registers that are needed behind each, and those with an upper
//! half of zeros before it.

use std::ops::Range;

use ring3_isa::RegSet;
use ring3_vm::Op;

use super::Effects;
use super::flow::Flow;
use super::upper::Transfer;
use super::worklist::{Edges, Worklist};
use crate::compile::{Function, Unit};

/// Operations of a block; a longer one is taken as several.
const MAX_BLOCK: usize = 256;

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
    /// Registers whose upper half is 0 when it is entered, from wherever.
    pub(super) narrow_in: RegSet,
    transfer: Transfer,
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
    // What is known of a block fits into the processor's nearest memory.
    let mut length = 0;
    for leader in &mut leaders {
        length = if *leader { 0 } else { length + 1 };
        if length == MAX_BLOCK {
            (*leader, length) = (true, 0);
        }
    }
    leaders
}

/// The blocks of a function, in order.
pub(super) fn blocks(unit: &Unit<'_>, effects: &[Effects], function: &Function, leaders: &[bool]) -> Vec<Block> {
    let flow = Flow::of(unit, function, leaders);
    let mut blocks: Vec<Block> = flow.blocks.iter().map(|range| block(unit, effects, range.clone())).collect();
    let (following, preceding) = (flow.following(), flow.preceding());
    solve(&mut blocks, &following, &preceding, &mut Worklist::new(&preceding, true));
    narrow(&mut blocks, &following, &mut Worklist::new(&following, true));
    blocks
}

pub(super) fn block(unit: &Unit<'_>, effects: &[Effects], range: Range<usize>) -> Block {
    let (mut reads, mut writes) = (RegSet::EMPTY, RegSet::EMPTY);
    let mut transfer = Transfer::start();
    for at in range.clone() {
        let effects = &effects[at];
        reads = reads.union(effects.reads.difference(writes));
        writes = writes.union(effects.writes);
        transfer.step(unit.ops[at], effects.writes, effects.pure);
    }
    // Until a way in is found that says otherwise.
    let narrow_in = RegSet::ALL;
    Block { range, live_out: RegSet::EMPTY, reads, writes, live_in: reads, narrow_in, transfer }
}

/// Backwards: what is read in a block or behind it.
pub(super) fn solve(blocks: &mut [Block], following: &Edges, preceding: &Edges, work: &mut Worklist) {
    while let Some(index) = work.next() {
        let out = following.from(index).fold(RegSet::EMPTY, |out, next| out.union(blocks[next].live_in));
        let block = &mut blocks[index];
        let live_in = block.reads.union(out.difference(block.writes));
        let changed = live_in != block.live_in;
        (block.live_out, block.live_in) = (out, live_in);
        if changed {
            preceding.from(index).for_each(|before| work.open(before));
        }
    }
}

/// Forwards: what all ways into a block agree on. Callers may leave anything in the upper halves.
pub(super) fn narrow(blocks: &mut [Block], following: &Edges, work: &mut Worklist) {
    if let Some(first) = blocks.first_mut() {
        first.narrow_in = RegSet::EMPTY;
    }
    while let Some(index) = work.next() {
        let out = blocks[index].transfer.apply(blocks[index].narrow_in);
        for next in following.from(index) {
            let narrow_in = blocks[next].narrow_in.intersection(out);
            if narrow_in != blocks[next].narrow_in {
                blocks[next].narrow_in = narrow_in;
                work.open(next);
            }
        }
    }
}

/// From where to where a function jumps back.
fn jumps_back<'a>(unit: &'a Unit<'_>, function: &'a Function) -> impl Iterator<Item = Range<usize>> + 'a {
    let (first, end) = (function.start as usize, function.end as usize);
    unit.ops[first..end].iter().zip(first..).filter_map(|(op, at)| match op {
        Op::Jump { target } | Op::Branch { target, .. } | Op::MayGoto { target } if *target as usize <= at => {
            Some(*target as usize..at + 1)
        }
        _ => None,
    })
}

/// Operations between a jump back and where it leads, in order and apart.
pub(super) fn loops(unit: &Unit<'_>, function: &Function) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = jumps_back(unit, function).collect();
    found.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in found {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Whether an operation is in one of them.
pub(super) fn is_within(loops: &[Range<usize>], at: usize) -> bool {
    let after = loops.partition_point(|range| range.start <= at);
    loops[..after].last().is_some_and(|range| range.contains(&at))
}
