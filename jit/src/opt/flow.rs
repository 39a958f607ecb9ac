//! Blocks of a function and which may follow which: what analyses that go round loops walk over.

use std::ops::Range;

use ring3_vm::Op;

use super::worklist::{Edges, Worklist};
use crate::compile::{Function, Unit};

/// The blocks of a function, in order.
pub(super) struct Flow {
    pub(super) blocks: Vec<Range<usize>>,
    /// Blocks that may follow each: where it jumps, and what is behind it.
    pub(super) next: Vec<[Option<usize>; 2]>,
}

impl Flow {
    /// Of a function; `leaders` says where blocks start.
    pub(super) fn of(unit: &Unit<'_>, function: &Function, leaders: &[bool]) -> Flow {
        let (first, end) = (function.start as usize, function.end as usize);
        let starts: Vec<usize> = (first..end).filter(|at| *at == first || leaders[*at]).collect();
        let ends = starts.iter().copied().skip(1).chain([end]);
        let blocks: Vec<Range<usize>> = starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect();
        let place = |start: usize| starts.binary_search(&start).ok();
        let follow = |block: &Range<usize>| {
            let behind = Some(block.end).filter(|behind| *behind < end);
            let [taken, behind] = match unit.ops[block.end - 1] {
                Op::Exit => [None, None],
                Op::Jump { target } => [Some(target as usize), None],
                Op::Branch { target, .. } | Op::MayGoto { target } => [Some(target as usize), behind],
                Op::Alu { .. }
                | Op::Mov { .. }
                | Op::MovSx { .. }
                | Op::Neg { .. }
                | Op::Endian { .. }
                | Op::LoadImm { .. }
                | Op::Load { .. }
                | Op::Store { .. }
                | Op::Atomic { .. }
                | Op::LoadAcquire { .. }
                | Op::StoreRelease { .. }
                | Op::Guarded { .. }
                | Op::CallHelper { .. }
                | Op::TailCall
                | Op::CallLocal { .. }
                | Op::LegacyPacket { .. } => [None, behind],
            };
            [taken.and_then(place), behind.and_then(place)]
        };
        let next = blocks.iter().map(follow).collect();
        Flow { blocks, next }
    }

    /// Pairs of blocks of which the second may follow the first.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + Clone + '_ {
        let follow = |(from, next): (usize, &[Option<usize>; 2])| next.map(|to| to.map(|to| (from, to)));
        self.next.iter().enumerate().flat_map(follow).flatten()
    }

    /// The blocks that may follow each.
    pub(super) fn following(&self) -> Edges {
        Edges::of(self.blocks.len(), self.pairs())
    }

    /// The blocks that each may follow.
    pub(super) fn preceding(&self) -> Edges {
        Edges::of(self.blocks.len(), self.pairs().map(|(from, to)| (to, from)))
    }

    /// For what blocks tell those that follow them, from the first block on.
    pub(super) fn forwards(&self) -> Worklist {
        let mut work = Worklist::new(&self.following(), false);
        if !self.blocks.is_empty() {
            work.open(0);
        }
        work
    }
}
