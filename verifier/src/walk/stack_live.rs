//! Which stack slots may still be read: what the paths that were walked read and overwrote, spread backwards over the
//! control flow. A finished state is compared without the slots that nothing behind it reads.
//!
//! Every chain of calls has marks of its own, and in it every frame: a function reads its callers' slots, too. The marks
//! only ever grow towards "live", so a path that is walked later can take nothing back.

use std::collections::BTreeMap;

use ring3_isa::Flow;
use ring3_platform::Program;
use smallvec::SmallVec;

use super::Walk;
use super::stack_log::{Order, rounds};
use crate::cfg::successors;
use crate::state::{Frame, State};

/// Marks that are kept, over all chains. Chains that do not fit count every slot as live. The longest program in the deepest
/// frame fits: eight frames of a million instructions.
const MAX_MARKS: usize = 8 << 20;

/// Slots of one frame, a bit each, at one instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    /// Read on some visit.
    pub(super) read: u64,
    /// Overwritten in full on every visit; all bits before the first visit.
    written: u64,
    /// May be read from here on before they are overwritten.
    pub(super) live: u64,
    /// Overwritten on every way from here to the end of the function.
    pub(super) overwritten: u64,
}

impl Marks {
    const NEW: Marks = Marks { read: 0, written: u64::MAX, live: 0, overwritten: 0 };

    /// Slots that the instruction overwrites in full.
    pub(super) fn written(&self) -> u64 {
        if self.written == u64::MAX { 0 } else { self.written }
    }

    /// What the marks are, given those of the instructions that may come next; nothing is live where a function ends.
    pub(super) fn before(&self, mut next: impl Iterator<Item = Marks>) -> Marks {
        let Some(first) = next.next() else { return *self };
        let (live, overwritten) =
            next.fold((first.live, first.overwritten), |(live, over), m| (live | m.live, over & m.overwritten));
        Marks {
            live: (live & !self.written()) | self.read,
            overwritten: overwritten | self.written(),
            read: self.read,
            written: self.written,
        }
    }
}

/// What is known of a function that was reached by one chain of calls.
#[derive(Debug)]
pub(super) struct Instance {
    /// The function at the root, and slots of the calls from there, outermost first.
    pub(super) chain: Vec<usize>,
    pub(super) start: usize,
    len: usize,
    /// By frame, then by instruction of the function; none of a frame whose slots it neither read nor overwrote, as most
    /// functions treat most of their callers.
    marks: Vec<Vec<Marks>>,
    /// Instructions that were executed.
    visited: Vec<bool>,
    /// Frames and instructions whose own marks changed since they were spread.
    changed: Vec<(usize, usize)>,
    /// An instruction overwrites less than it seemed.
    dropped: bool,
}

impl Instance {
    fn new(chain: Vec<usize>, start: usize, len: usize) -> Instance {
        let frames = chain.len();
        let (marks, visited) = (vec![Vec::new(); frames], vec![false; len]);
        Instance { chain, start, len, marks, visited, changed: Vec::new(), dropped: false }
    }

    /// The marks of one instruction for a frame.
    fn at_mut(&mut self, frame: usize, at: usize) -> Option<&mut Marks> {
        let marks = self.marks.get_mut(frame)?;
        if marks.is_empty() {
            // Whoever was executed before overwrote nothing of this frame.
            let written = |visited: &bool| if *visited { 0 } else { u64::MAX };
            *marks = self.visited.iter().map(|v| Marks { written: written(v), ..Marks::NEW }).collect();
        }
        marks.get_mut(at)
    }

    /// Frames of which there are marks.
    pub(super) fn marked_frames(&self) -> impl Iterator<Item = usize> + use<> {
        let marked: Vec<usize> = (0..self.marks.len()).filter(|frame| !self.marks[*frame].is_empty()).collect();
        marked.into_iter()
    }

    /// The marks of one instruction for a frame; `None` if it is not of this function.
    pub(super) fn at(&self, frame: usize, at: usize) -> Option<Marks> {
        let marks = self.marks.get(frame)?;
        if marks.is_empty() && at < self.len { Some(Marks::NEW) } else { marks.get(at).copied() }
    }

    /// Changes the marks of one instruction.
    pub(super) fn set(&mut self, frame: usize, at: usize, to: Marks) {
        if let Some(marks) = self.at_mut(frame, at) {
            *marks = to;
        }
    }

    /// Bytes of the marks.
    fn held(&self) -> usize {
        self.marks.iter().map(Vec::capacity).sum::<usize>() * size_of::<Marks>() + self.visited.capacity()
    }

    /// An instruction of this function may read these slots of a frame.
    fn note_read(&mut self, frame: usize, at: usize, slots: u64) {
        if slots == 0 {
            return;
        }
        let Some(marks) = self.at_mut(frame, at) else { return };
        let (before, live) = (marks.read, marks.live);
        let read = before | slots;
        marks.read = read;
        if read != before && read | live != live {
            self.changed.push((frame, at));
        }
    }

    /// An instruction of this function is done, and overwrote these slots by frame.
    fn note_done(&mut self, at: usize, frames: usize, written: impl Fn(usize) -> u64) {
        for frame in 0..frames {
            self.note_written(frame, at, written(frame));
        }
        if let Some(visited) = self.visited.get_mut(at) {
            *visited = true;
        }
    }

    fn note_written(&mut self, frame: usize, at: usize, slots: u64) {
        if slots == 0 && self.marks.get(frame).is_none_or(Vec::is_empty) {
            return;
        }
        let Some(marks) = self.at_mut(frame, at) else { return };
        let (before, now) = (marks.written(), marks.written & slots);
        marks.written = now;
        if now != before {
            self.changed.push((frame, at));
            self.dropped |= before & !now != 0;
        }
    }

    /// What the instructions of a frame overwrite has to be found out anew if one of them overwrites less than it seemed.
    fn forget_overwritten(&mut self) -> bool {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped {
            self.marks.iter_mut().flatten().for_each(|marks| marks.overwritten = 0);
        }
        dropped
    }

    /// Somebody read or wrote since the marks were spread.
    pub(super) fn begin_rounds(&mut self) {
        self.changed.clear();
        self.forget_overwritten();
    }

    /// The marks of the instructions that may come after one, in the same frame.
    pub(super) fn after<'a>(&'a self, program: &Program, frame: usize, at: usize) -> impl Iterator<Item = Marks> + 'a {
        let next = successors(program, self.start + at).into_iter().flatten();
        next.filter_map(move |to| self.at(frame, to.wrapping_sub(self.start)))
    }

    /// Backward data flow over the function, from where something changed.
    fn spread(&mut self, program: &Program, behind: &Behind, waiting: &mut Waiting) {
        let mut changed = std::mem::take(&mut self.changed);
        let anew = self.forget_overwritten();
        for frame in 0..self.marks.len() {
            if self.marks[frame].is_empty() {
                continue;
            }
            if anew {
                (0..self.len).for_each(|at| waiting.add(at));
            } else {
                changed.iter().filter(|(of, _)| *of == frame).for_each(|(_, at)| waiting.add(*at));
            }
            self.spread_frame(frame, program, behind, waiting);
        }
        changed.clear();
        self.changed = changed;
    }

    /// The same for the slots of one frame. The last instruction first: most of what it changes lies in front of it.
    fn spread_frame(&mut self, frame: usize, program: &Program, behind: &Behind, waiting: &mut Waiting) {
        while let Some(at) = waiting.take_last() {
            let Some(here) = self.at(frame, at) else { continue };
            let now = here.before(self.after(program, frame, at));
            if (now.live, now.overwritten) != (here.live, here.overwritten) {
                self.set(frame, at, now);
                behind.of(program, self.start, at).for_each(|from| waiting.add(from));
            }
        }
    }
}

/// Instructions of a function that wait to be looked at, a bit each. Empty most of the time, and then used again.
#[derive(Debug, Default)]
struct Waiting {
    words: Vec<u64>,
    /// None waits behind this word.
    last: usize,
}

impl Waiting {
    fn add(&mut self, at: usize) {
        let word = at / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (at % 64);
        self.last = self.last.max(word);
    }

    /// The last one, which waits no more.
    fn take_last(&mut self) -> Option<usize> {
        loop {
            let word = self.words.get_mut(self.last)?;
            if let Some(bit) = word.checked_ilog2() {
                *word &= !(1 << bit);
                return Some(self.last * 64 + bit as usize);
            }
            self.last = self.last.checked_sub(1)?;
        }
    }
}

/// The instructions that lead to each one of a function: the one before it, mostly.
#[derive(Debug)]
struct Behind {
    /// Jumps, as where to and where from, in order.
    jumps: Vec<(u32, u32)>,
    /// Where some jump leads, a bit each.
    targets: Vec<u64>,
}

impl Behind {
    fn new(program: &Program, start: usize, len: usize) -> Behind {
        let code = &program.code;
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let (mut jumps, mut targets) = (Vec::new(), vec![0; len.div_ceil(64)]);
        for at in (start..start + len).filter(|at| !code.is_tail(*at)) {
            if let Flow::Goto(off) | Flow::Branch(off) = code.raw_slice()[at].flow() {
                let to = crate::cfg::target(code, at, off).and_then(|to| to.checked_sub(start));
                if let Some(to) = to.filter(|to| *to < len) {
                    jumps.push((narrow(to), narrow(at - start)));
                    targets[to / 64] |= 1 << (to % 64);
                }
            }
        }
        jumps.sort_unstable();
        Behind { jumps, targets }
    }

    /// Those that lead to `at` of the function that begins at `start`.
    fn of<'b>(&'b self, program: &Program, start: usize, at: usize) -> impl Iterator<Item = usize> + use<'b> {
        let code = &program.code;
        let before = at.checked_sub(1).map(|before| before - usize::from(code.is_tail(start + before)));
        let falls = |slot: &usize| matches!(code.raw_slice()[start + slot].flow(), Flow::Next | Flow::Branch(_));
        let is_target = self.targets[at / 64] >> (at % 64) & 1 != 0;
        let first =
            if is_target { self.jumps.partition_point(|(to, _)| (*to as usize) < at) } else { self.jumps.len() };
        let jumps = self.jumps[first..].iter().take_while(move |(to, _)| *to as usize == at);
        before.filter(falls).into_iter().chain(jumps.map(|(_, from)| *from as usize))
    }
}

/// All chains of one walk.
#[derive(Debug, Default)]
pub struct StackLive {
    instances: Vec<Instance>,
    by_chain: BTreeMap<Vec<usize>, Option<usize>>,
    /// By start of the function.
    behind: BTreeMap<usize, Behind>,
    /// By start of the function, for the log.
    orders: BTreeMap<usize, Order>,
    waiting: Waiting,
    kept: usize,
    /// Some marks changed since they were spread.
    dirty: bool,
    /// The instance of the current path; unknown after the frames changed.
    now: Option<Option<usize>>,
    /// Slots that the current instruction overwrites, by frame.
    writes: Vec<(usize, u64)>,
}

/// The function at the root, and the calls from there.
type Chain = SmallVec<[usize; 8]>;

fn chain_of(frames: &[std::rc::Rc<Frame>]) -> Chain {
    let root = frames.first().map(|frame| frame.subprog);
    root.into_iter().chain(frames.iter().skip(1).map(|frame| frame.callsite)).collect()
}

impl StackLive {
    /// The frames of the path changed.
    pub fn forget_path(&mut self) {
        self.now = None;
    }

    /// Bytes of the marks.
    pub fn held(&self) -> usize {
        self.instances.iter().map(Instance::held).sum()
    }

    fn instance(&mut self, state: &State, (start, len): (usize, usize)) -> Option<usize> {
        if let Some(now) = self.now {
            return now;
        }
        let index = self.of_chain(&chain_of(&state.frames), (start, len));
        self.now = Some(index);
        index
    }

    /// The function that a chain of calls leads to; none if it does not fit any more.
    fn of_chain(&mut self, chain: &[usize], (start, len): (usize, usize)) -> Option<usize> {
        let frames = chain.len();
        match self.by_chain.get(chain) {
            Some(index) => *index,
            None => {
                let fits = self.kept + frames * len <= MAX_MARKS;
                let index = fits.then_some(self.instances.len());
                if fits {
                    self.kept += frames * len;
                    self.instances.push(Instance::new(chain.to_vec(), start, len));
                }
                self.by_chain.insert(chain.to_vec(), index);
                index
            }
        }
    }
}

impl StackLive {
    /// What a function reads and overwrites of its callers' slots, its call reads and overwrites.
    fn tell_caller(&mut self, index: usize, bounds: (usize, usize)) {
        let callee = &self.instances[index];
        let mut outer = callee.chain.clone();
        let Some(callsite) = outer.pop() else { return };
        let entry: Vec<Marks> = (0..callee.marks.len()).filter_map(|frame| callee.at(frame, 0)).collect();
        let Some(outer) = self.of_chain(&outer, bounds) else { return };
        let outer = &mut self.instances[outer];
        let at = callsite - outer.start;
        let frames = entry.len().min(outer.marks.len());
        for (frame, marks) in entry.iter().enumerate().take(frames) {
            outer.note_read(frame, at, marks.live);
        }
        outer.note_done(at, frames, |frame| entry[frame].overwritten);
    }
}

impl Walk<'_> {
    /// The marks of the current function, and the current instruction in it.
    fn stack_marks(&mut self) -> Option<(&mut Instance, usize)> {
        let subprog = &self.structure.subprogs[self.path.state.frame().subprog];
        let bounds = (subprog.start, subprog.end - subprog.start);
        let index = self.stack_live.instance(&self.path.state, bounds)?;
        let at = self.at.checked_sub(bounds.0)?;
        self.stack_live.dirty = true;
        Some((&mut self.stack_live.instances[index], at))
    }

    /// The current instruction may read a slot.
    pub fn note_slot_read(&mut self, frame: usize, slot: usize) {
        if let Some((instance, at)) = self.stack_marks() {
            instance.note_read(frame, at, 1 << slot);
        }
    }

    /// The current instruction overwrites a slot in full.
    pub fn note_slot_written(&mut self, frame: usize, slot: usize) {
        self.stack_live.writes.push((frame, 1 << slot));
    }

    /// An instruction that may write to the stack is done.
    pub(super) fn commit_slots(&mut self) {
        let mut writes = std::mem::take(&mut self.stack_live.writes);
        let frames = self.path.state.frames.len();
        if let Some((instance, at)) = self.stack_marks() {
            instance.note_done(at, frames, |frame| writes.iter().filter(|w| w.0 == frame).fold(0, |all, w| all | w.1));
        }
        writes.clear();
        self.stack_live.writes = writes;
    }

    /// For each frame of a state before `at`, reached from a function by these calls, the slots that may still be read.
    pub(super) fn live_slots(&self, root: usize, chain: &[usize], at: usize) -> SmallVec<[u64; 8]> {
        let current = chain.len();
        let mut keys = Chain::from_slice(&[root]);
        keys.extend_from_slice(chain);
        let live = |depth: usize, slot: usize, frame: usize| {
            let Some(Some(index)) = self.stack_live.by_chain.get(&keys[..=depth]) else { return u64::MAX };
            let instance = &self.stack_live.instances[*index];
            slot.checked_sub(instance.start).and_then(|at| instance.at(frame, at)).map_or(u64::MAX, |m| m.live)
        };
        let mut slots = SmallVec::new();
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

    /// Brings the marks up to date where a path ends or a function returns, the innermost function first.
    pub fn spread_slots(&mut self) {
        if self.plain || !std::mem::take(&mut self.stack_live.dirty) {
            return;
        }
        let chain = chain_of(&self.path.state.frames);
        for depth in (0..chain.len()).rev() {
            let subprog = &self.structure.subprogs[self.path.state.frames[depth].subprog];
            let bounds = (subprog.start, subprog.end - subprog.start);
            let Some(index) = self.stack_live.of_chain(&chain[..=depth], bounds) else { continue };
            if self.stack_live.instances[index].changed.is_empty() {
                continue;
            }
            if self.log.verbose() {
                self.log_spread(index);
            } else {
                let StackLive { instances, behind, waiting, .. } = &mut self.stack_live;
                let (program, instance) = (self.program, &mut instances[index]);
                let (start, len) = (instance.start, instance.len);
                let behind = behind.entry(start).or_insert_with(|| Behind::new(program, start, len));
                instance.spread(program, behind, waiting);
            }
            if let Some(outer) = depth.checked_sub(1) {
                let subprog = &self.structure.subprogs[self.path.state.frames[outer].subprog];
                let bounds = (subprog.start, subprog.end - subprog.start);
                self.stack_live.tell_caller(index, bounds);
            }
        }
    }

    /// The same in the order in which Linux does it, which its log shows.
    fn log_spread(&mut self, index: usize) {
        let StackLive { instances, orders, .. } = &mut self.stack_live;
        let (program, instance) = (self.program, &mut instances[index]);
        let order = orders.entry(instance.start).or_insert_with(|| Order::new(program, instance.start, instance.len));
        let text = rounds(program, &self.structure.insns, instance, order);
        self.log.push(&text);
    }
}
