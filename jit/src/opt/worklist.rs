//! In which order analyses look at the nodes of a graph that tell each other something, and at which of them again.
//!
//! Going round all of them until nothing changes takes as many rounds as there are jumps against the order, each over all nodes: of a program
//! of jumps back quadratic time. Here who was told something new is looked at again, and nobody else.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Edges of a graph, by the node that they start from.
pub(super) struct Edges {
    /// Where those of each node start, and one more.
    starts: Vec<u32>,
    ends: Vec<u32>,
}

impl Edges {
    /// Of so many nodes, whose numbers these are pairs of.
    pub(super) fn of(nodes: usize, pairs: impl Iterator<Item = (usize, usize)> + Clone) -> Edges {
        let mut starts = vec![0; nodes + 1];
        pairs.clone().for_each(|(from, _)| starts[from + 1] += 1);
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let (mut free, mut ends) = (starts.clone(), vec![0; starts[nodes] as usize]);
        for (from, to) in pairs {
            ends[free[from] as usize] = to as u32;
            free[from] += 1;
        }
        Edges { starts, ends }
    }

    /// Where those of a node lead.
    pub(super) fn from(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        self.ends[self.starts[node] as usize..self.starts[node + 1] as usize].iter().map(|end| *end as usize)
    }

    /// The nodes, each behind all from which edges lead to it, but where there are loops: in reverse postorder.
    fn order(&self) -> Vec<u32> {
        let nodes = self.starts.len() - 1;
        let (mut found, mut order) = (vec![false; nodes], Vec::with_capacity(nodes));
        let mut path: Vec<(usize, u32)> = Vec::new();
        for root in 0..nodes {
            if !std::mem::replace(&mut found[root], true) {
                path.push((root, self.starts[root]));
            }
            while let Some((node, edge)) = path.last_mut() {
                if *edge == self.starts[*node + 1] {
                    order.push(*node as u32);
                    path.pop();
                    continue;
                }
                let next = self.ends[*edge as usize] as usize;
                *edge += 1;
                if !std::mem::replace(&mut found[next], true) {
                    path.push((next, self.starts[next]));
                }
            }
        }
        order.reverse();
        order
    }
}

/// Nodes that are to be looked at.
pub(super) struct Worklist {
    order: Vec<u32>,
    /// Where each node is in the order.
    places: Vec<u32>,
    /// By place.
    open: Vec<bool>,
    /// All before this place were looked at once.
    first: usize,
    /// Places before that which are open.
    again: BinaryHeap<Reverse<u32>>,
    /// How often a node was given out.
    steps: usize,
}

impl Worklist {
    /// With all nodes, or none, of a graph whose edges say who tells whom.
    pub(super) fn new(edges: &Edges, all: bool) -> Worklist {
        let order = edges.order();
        let mut places = vec![0; order.len()];
        (0..).zip(&order).for_each(|(place, node)| places[*node as usize] = place);
        Worklist { places, open: vec![all; order.len()], first: 0, again: BinaryHeap::new(), order, steps: 0 }
    }

    /// The node is to be looked at, once more if it was already.
    pub(super) fn open(&mut self, node: usize) {
        let place = self.places[node];
        let before = std::mem::replace(&mut self.open[place as usize], true);
        if !before && (place as usize) < self.first {
            self.again.push(Reverse(place));
        }
    }

    /// The first node that is to be looked at, which then is not any more.
    pub(super) fn next(&mut self) -> Option<usize> {
        let place = match self.again.pop() {
            Some(Reverse(place)) => place as usize,
            None => {
                let behind = self.open.get(self.first..)?.iter().position(|open| *open)?;
                self.first += behind + 1;
                self.first - 1
            }
        };
        self.open[place] = false;
        self.steps += 1;
        Some(self.order[place] as usize)
    }

    /// How often nodes were given out.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }
}

#[cfg(test)]
mod tests {
    use ring3_isa::{CmpOp, Operand, Reg, RegSet, Size, Width};
    use ring3_vm::Op;

    use super::*;
    use crate::compile::{Function, Unit};
    use crate::opt::flow::Flow;
    use crate::opt::{Effects, kept, known, live, slots};
    use crate::tests::no_runtime;

    #[test]
    fn nodes_come_behind_those_that_tell_them() {
        // Two ways from 0 to 4, and nobody comes to 5.
        let edges = [(0, 3), (3, 1), (1, 4), (0, 2), (2, 4), (5, 4)];
        let edges_of = Edges::of(6, edges.into_iter());
        let order = edges_of.order();
        let place = |node: usize| order.iter().position(|at| *at as usize == node).unwrap();
        for (from, to) in edges {
            assert!(place(from) < place(to), "{order:?}");
        }
        let mut work = Worklist::new(&edges_of, true);
        let first: Vec<usize> = std::iter::from_fn(|| work.next()).collect();
        assert_eq!(first, order.iter().map(|node| *node as usize).collect::<Vec<_>>());
        // Each once, however often it was opened, and the first of them first.
        let (one, two) = (first[4], first[1]);
        [one, two, one].into_iter().for_each(|node| work.open(node));
        assert_eq!([work.next(), work.next(), work.next()], [Some(two), Some(one), None]);
        assert_eq!(work.steps(), 8);
    }

    /// Blocks of three operations that jump from the last down to the first, each of which a branch leads back to the last from as well, so
    /// that all of it is one loop.
    fn jumps_back(blocks: u32) -> Vec<Op> {
        let start = |block: u32| 1 + 4 * block;
        let store = |off| Op::Store { size: Size::Dw, base: Reg::FP, off, src: Operand::Reg(Reg::R6) };
        let mut ops = vec![Op::Jump { target: start(blocks) }];
        ops.extend([
            Op::Mov { width: Width::W64, dst: Reg::R0, src: Operand::Reg(Reg::R7) },
            store(-8),
            Op::Exit,
            Op::Exit,
        ]);
        for block in 1..=blocks {
            let dst = [Reg::R6, Reg::R7, Reg::R8, Reg::R9][block as usize % 4];
            let off = -8 * (1 + block as i32 % 64);
            let (lhs, rhs) = (dst, Operand::Imm(0));
            ops.extend([
                Op::Load { size: Size::Dw, signed: false, dst, base: Reg::FP, off },
                store(-8 * (1 + (block as i32 + 7) % 64)),
                Op::Branch { width: Width::W64, op: CmpOp::Eq, lhs, rhs, target: start(blocks) },
                Op::Jump { target: start(block - 1) },
            ]);
        }
        ops
    }

    /// All passes over blocks on such a program: how often they look at a block.
    fn looks(blocks: u32) -> [(&'static str, usize); 4] {
        let ops = jumps_back(blocks);
        let functions = [Function { start: 0, end: ops.len() as u32, stack: 512 }];
        let unit = Unit {
            ops: &ops,
            slots: &[],
            functions: &functions,
            lookups: &[],
            regions: &[],
            constants: &[],
            runtime: no_runtime(&[]),
            joined: true,
        };
        let leaders = live::leaders(&unit);
        let flow = Flow::of(&unit, &functions[0], &leaders);
        let (following, preceding) = (flow.following(), flow.preceding());
        let mut steps = Vec::new();
        let mut work = flow.forwards();
        let starts = known::spread(&unit, &flow, &mut work);
        assert!(starts.iter().filter(|start| start.is_some()).count() > blocks as usize);
        steps.push(("known", work.steps()));
        let effects: Vec<Effects> = ops.iter().map(|op| Effects::of(*op, false)).collect();
        let mut found: Vec<live::Block> =
            flow.blocks.iter().map(|range| live::block(&unit, &effects, range.clone())).collect();
        let mut work = Worklist::new(&preceding, true);
        live::solve(&mut found, &following, &preceding, &mut work);
        // R6 to R9 are written in turn in the loop, so that none of them is needed before it.
        assert!(found.iter().any(|block| block.live_out.contains(Reg::R7)));
        steps.push(("live", work.steps()));
        let mut work = Worklist::new(&following, true);
        live::narrow(&mut found, &following, &mut work);
        steps.push(("upper halves", work.steps()));
        let mut work = Worklist::new(&preceding, true);
        slots::spread(&slots::all(&unit, &flow, &starts), &following, &preceding, &mut work);
        steps.push(("slots", work.steps()));
        steps.try_into().unwrap()
    }

    #[test]
    fn jumps_back_take_no_longer_than_others() {
        // A few looks at each block, however many there are.
        for blocks in [20, 200, 2000] {
            for (pass, steps) in looks(blocks) {
                assert!(steps <= 4 * (2 * blocks as usize + 8), "{pass}: {steps} of {blocks}");
            }
        }
    }

    /// Functions each of which calls the one before it.
    #[test]
    fn calls_of_what_is_above_take_no_longer_than_others() {
        for functions in [16, 250] {
            let mut ops = Vec::new();
            let mut all = Vec::new();
            // The main function calls the last.
            for function in 0..functions {
                let start = ops.len() as u32;
                let callee = if function == 0 { functions - 1 } else { function - 1 };
                let dst = [Reg::R6, Reg::R7, Reg::R8, Reg::R9][usize::from(function % 4)];
                ops.push(Op::Mov { width: Width::W64, dst, src: Operand::Imm(1) });
                if function != 1 {
                    ops.push(Op::CallLocal { subprog: callee });
                }
                ops.extend([Op::Mov { width: Width::W64, dst: Reg::R0, src: Operand::Reg(dst) }, Op::Exit]);
                all.push(Function { start, end: ops.len() as u32, stack: 0 });
            }
            let unit = Unit {
                ops: &ops,
                slots: &[],
                functions: &all,
                lookups: &[],
                regions: &[],
                constants: &[],
                runtime: no_runtime(&[]),
                joined: true,
            };
            let effects: Vec<Effects> = ops.iter().map(|op| Effects::of(*op, false)).collect();
            let leaders = live::leaders(&unit);
            let (keeps, steps) = kept::counted(&unit, &effects, &leaders);
            // Whoever is called keeps what anybody above has: all of them, but for itself what it does not change.
            assert_eq!(keeps[1].saved.union(keeps[1].lost), RegSet::one(Reg::R7));
            assert!(steps.iter().all(|steps| *steps <= 6 * usize::from(functions)), "{steps:?}");
        }
    }
}
