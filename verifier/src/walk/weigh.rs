//! How much memory a walk holds: states that are stored or wait, the histories of their paths, marks of what is live, results
//! of arithmetic, and the log. Frames and stacks that several states share count once.

use std::rc::Rc;

use super::path::{Path, Pending};
use super::prune::Stored;
use super::{Trail, Walk};
use crate::state::{Frame, State};

/// What the counts of an `Rc` take.
const COUNTS: usize = 2 * size_of::<usize>();
/// States that may come before it is weighed for the first time.
const FIRST: usize = 64;
/// So many of the stored states, at least, are looked at; where there are more than twice as many, they stand for their neighbours.
const SAMPLE: usize = 64;

/// The most that was held, as far as it was weighed: again whenever there is twice as much to weigh, and at the end.
#[derive(Debug, Default)]
pub struct Scales {
    /// In bytes.
    pub most: u64,
    /// So many states have to be there for the next time.
    next: usize,
}

/// The share of one state.
fn state(state: &State) -> usize {
    let frame = |frame: &Rc<Frame>| (size_of::<Frame>() + COUNTS + frame.stack.held()) / Rc::strong_count(frame);
    let frames: usize = state.frames.iter().map(frame).sum();
    let spilled = if state.frames.spilled() { state.frames.capacity() * size_of::<Rc<Frame>>() } else { 0 };
    frames + spilled + size_of_val(&state.refs[..])
}

fn trail(trail: &Trail) -> usize {
    trail.held()
}

pub(super) fn path(path: &Path) -> usize {
    state(&path.state) + trail(&path.trail)
}

impl Walk<'_> {
    /// Weighs, if there is enough more than the last time.
    pub(super) fn weigh_if_due(&mut self) {
        let now = self.store.len() + self.pending.len();
        if now >= self.scales.next.max(FIRST) {
            self.scales.next = 2 * now;
            self.weigh();
        }
    }

    /// Weighs what is there.
    pub(super) fn weigh(&mut self) {
        let stored = |one: &Stored| size_of::<Stored>() + state(&one.kept.state) + trail(&one.trail);
        let waiting = |one: &Pending| size_of::<Pending>() + path(&one.path);
        // States lie all over the memory: to look at each one takes longer than to walk some instructions.
        let count = self.store.len();
        let stride = (count / SAMPLE).max(1);
        let looked_at = count.div_ceil(stride).max(1);
        let sampled: usize = self.store.all().step_by(stride).map(stored).sum();
        let all = sampled / looked_at * count
            + self.store.held_by_loops()
            + self.pending.iter().map(waiting).sum::<usize>()
            + self.stack_live.held()
            + self.memo.held()
            + self.log.position();
        self.scales.most = self.scales.most.max(ring3_isa::num::from_index(all));
    }
}
