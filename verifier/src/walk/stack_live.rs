//! Which stack slots may still be read: what the paths that were walked read and overwrote, spread backwards over the
//! control flow. A finished state is compared without the slots that nothing behind it reads.
//!
//! Every chain of calls has marks of its own, and in it every frame: a function reads its callers' slots, too. The marks
//! only ever grow towards "live", so a path that is walked later can take nothing back.

use std::collections::{BTreeMap, BTreeSet};

use ring3_platform::Program;

use super::Walk;
use crate::cfg::successors;
use crate::state::{Frame, State};

/// Marks that are kept, over all chains. Chains that do not fit count every slot as live. The longest program in the deepest
/// frame fits: eight frames of a million instructions.
const MAX_MARKS: usize = 8 << 20;

/// Slots of one frame, a bit each, at one instruction.
#[derive(Clone, Copy, Default, Debug)]
struct Marks {
    /// Read on some visit.
    read: u64,
    /// Overwritten in full on every visit.
    written: u64,
    visited: bool,
    /// May be read from here on before they are overwritten.
    live: u64,
}

/// What is known of a function that was reached by one chain of calls.
#[derive(Debug)]
struct Instance {
    /// The function at the root, and slots of the calls from there, outermost first.
    chain: Vec<usize>,
    start: usize,
    len: usize,
    /// By frame, then by instruction of the function.
    marks: Vec<Vec<Marks>>,
    /// Frames and instructions whose own marks changed since they were spread.
    changed: Vec<(usize, usize)>,
}

/// The instructions that lead to each one of a function.
#[derive(Debug)]
struct Behind {
    /// Where those of each instruction start in `from`; one more than there are instructions.
    starts: Vec<u32>,
    from: Vec<u32>,
}

impl Behind {
    fn new(program: &Program, start: usize, len: usize) -> Behind {
        let edges = || {
            let slots = (0..len).filter(|at| !program.code.is_tail(start + at));
            slots.flat_map(|at| {
                let to = successors(program, start + at).into_iter().flatten();
                to.map(|to| to.wrapping_sub(start)).filter(|to| *to < len).map(move |to| (at, to))
            })
        };
        let mut starts = vec![0u32; len + 1];
        edges().for_each(|(_, to)| starts[to + 1] += 1);
        for at in 0..len {
            starts[at + 1] += starts[at];
        }
        let mut next = starts.clone();
        let mut from = vec![0; starts[len] as usize];
        for (at, to) in edges() {
            // A program is shorter than 2^32.
            from[next[to] as usize] = ring3_isa::num::low32(ring3_isa::num::from_index(at));
            next[to] += 1;
        }
        Behind { starts, from }
    }

    fn of(&self, at: usize) -> &[u32] {
        &self.from[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}

/// All chains of one walk.
#[derive(Debug, Default)]
pub struct StackLive {
    instances: Vec<Instance>,
    by_chain: BTreeMap<Vec<usize>, Option<usize>>,
    /// By start of the function.
    behind: BTreeMap<usize, Behind>,
    kept: usize,
    dirty: bool,
    /// The instance of the current path; unknown after the frames changed.
    now: Option<Option<usize>>,
    /// Slots that the current instruction overwrites, by frame.
    writes: Vec<(usize, u64)>,
}

fn chain_of(frames: &[std::rc::Rc<Frame>]) -> Vec<usize> {
    let root = frames.first().map(|frame| frame.subprog);
    root.into_iter().chain(frames.iter().skip(1).map(|frame| frame.callsite)).collect()
}

impl StackLive {
    /// The frames of the path changed.
    pub fn forget_path(&mut self) {
        self.now = None;
    }

    fn instance(&mut self, state: &State, (start, len): (usize, usize)) -> Option<usize> {
        if let Some(now) = self.now {
            return now;
        }
        let chain = chain_of(&state.frames);
        let frames = state.frames.len();
        let index = match self.by_chain.get(&chain) {
            Some(index) => *index,
            None => {
                let fits = self.kept + frames * len <= MAX_MARKS;
                let index = fits.then_some(self.instances.len());
                if fits {
                    self.kept += frames * len;
                    let marks = vec![vec![Marks::default(); len]; frames];
                    self.instances.push(Instance { chain: chain.clone(), start, len, marks, changed: Vec::new() });
                }
                self.by_chain.insert(chain, index);
                index
            }
        };
        self.now = Some(index);
        index
    }
}

impl Walk<'_> {
    fn stack_marks(&mut self, frame: usize) -> Option<(&mut Marks, &mut Vec<(usize, usize)>)> {
        let subprog = &self.structure.subprogs[self.path.state.frame().subprog];
        let bounds = (subprog.start, subprog.end - subprog.start);
        let index = self.stack_live.instance(&self.path.state, bounds)?;
        let instance = &mut self.stack_live.instances[index];
        let marks = instance.marks.get_mut(frame)?.get_mut(self.at - bounds.0)?;
        Some((marks, &mut instance.changed))
    }

    /// The current instruction may read a slot.
    pub fn note_slot_read(&mut self, frame: usize, slot: usize) {
        let at = self.at - self.structure.subprogs[self.path.state.frame().subprog].start;
        if let Some((marks, changed)) = self.stack_marks(frame)
            && marks.read >> slot & 1 == 0
        {
            marks.read |= 1 << slot;
            changed.push((frame, at));
            self.stack_live.dirty = true;
        }
    }

    /// The current instruction overwrites a slot in full.
    pub fn note_slot_written(&mut self, frame: usize, slot: usize) {
        self.stack_live.writes.push((frame, 1 << slot));
    }

    /// What the current instruction wrote does not count as overwritten.
    pub fn forget_slot_writes(&mut self) {
        self.stack_live.writes.clear();
    }

    /// An instruction that may write to the stack is done.
    pub(super) fn commit_slots(&mut self) {
        let writes = std::mem::take(&mut self.stack_live.writes);
        let written = |frame: usize| writes.iter().filter(|w| w.0 == frame).fold(0, |all, w| all | w.1);
        let at = self.at - self.structure.subprogs[self.path.state.frame().subprog].start;
        for frame in 0..self.path.state.frames.len() {
            let now = written(frame);
            let Some((marks, changed)) = self.stack_marks(frame) else { break };
            let both = if marks.visited { marks.written & now } else { now };
            if !marks.visited || both != marks.written {
                (marks.visited, marks.written) = (true, both);
                changed.push((frame, at));
                self.stack_live.dirty = true;
            }
        }
        self.stack_live.writes = writes;
        self.stack_live.writes.clear();
    }

    /// For each frame of a state before `at`, reached from a function by these calls, the slots that may still be read.
    pub(super) fn live_slots(&mut self, root: usize, chain: &[usize], at: usize) -> Vec<u64> {
        self.spread_marks();
        let current = chain.len();
        let mut keys = vec![root];
        keys.extend_from_slice(chain);
        let live = |depth: usize, slot: usize, frame: usize| {
            let Some(Some(index)) = self.stack_live.by_chain.get(&keys[..=depth]) else { return u64::MAX };
            let instance = &self.stack_live.instances[*index];
            slot.checked_sub(instance.start).and_then(|at| instance.marks[frame].get(at)).map_or(u64::MAX, |m| m.live)
        };
        let mut slots = Vec::with_capacity(current + 1);
        for frame in 0..=current {
            let mut alive = live(current, at, frame);
            for (depth, callsite) in chain.iter().enumerate().skip(frame) {
                // A call that is called back from is executed again.
                let behind = if self.structure.insns[*callsite].calls_callback { *callsite } else { *callsite + 1 };
                alive |= live(depth, behind, frame);
            }
            slots.push(alive);
        }
        slots
    }

    /// Brings `live` up to date, innermost chains first: what a function reads of its callers' slots, its call reads.
    fn spread_marks(&mut self) {
        if !std::mem::take(&mut self.stack_live.dirty) {
            return;
        }
        let mut order: Vec<usize> = (0..self.stack_live.instances.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(self.stack_live.instances[*index].chain.len()));
        for index in order {
            if self.stack_live.instances[index].changed.is_empty() {
                continue;
            }
            self.spread(index);
            let instance = &self.stack_live.instances[index];
            let Some((&callsite, outer)) = instance.chain.split_last() else { continue };
            let entry: Vec<u64> = instance.marks.iter().map(|frame| frame[0].live).collect();
            let Some(&Some(outer)) = self.stack_live.by_chain.get(outer) else { continue };
            let outer = &mut self.stack_live.instances[outer];
            for (frame, (marks, live)) in outer.marks.iter_mut().zip(entry).enumerate() {
                let at = callsite - outer.start;
                if marks[at].read | live != marks[at].read {
                    marks[at].read |= live;
                    outer.changed.push((frame, at));
                }
            }
        }
    }

    /// Backward data flow over one function, from where something changed.
    fn spread(&mut self, index: usize) {
        let program = self.program;
        let instance = &mut self.stack_live.instances[index];
        let (start, len) = (instance.start, instance.len);
        let behind = self.stack_live.behind.entry(start).or_insert_with(|| Behind::new(program, start, len));
        // The last instruction first: most of what it changes lies in front of it.
        let mut waiting: BTreeSet<(usize, usize)> = instance.changed.drain(..).collect();
        while let Some((frame, at)) = waiting.pop_last() {
            let marks = &mut instance.marks[frame];
            let next = successors(program, start + at).into_iter().flatten();
            let after = next.filter_map(|to| marks.get(to.wrapping_sub(start))).fold(0, |all, m| all | m.live);
            let here = &mut marks[at];
            let live = (after & !here.written) | here.read;
            if std::mem::replace(&mut here.live, live) != live {
                waiting.extend(behind.of(at).iter().map(|from| (frame, *from as usize)));
            }
        }
    }
}
