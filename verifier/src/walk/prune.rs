//! Stored states: where they are kept, when one covers the current path, when one is given up.

use std::collections::BTreeMap;
use std::rc::Rc;

use ring3_isa::Reg;
use ring3_platform::LoadFlags;
use smallvec::SmallVec;

use super::Walk;
use super::buckets::{Buckets, Listed, Needs};
use super::path::{Path, StoredId, Trail};
use super::scc::{Chain, InLoop, Visit};
use crate::diag::reject::Reject;
use crate::diag::render;
use crate::state::subsume::{Difference, IdMap, Mode, is_same_number, iterated, uncovered};
use crate::state::{Kept, PtrKind, Slot, State, Value};

/// Entries of a trail after which a state is stored whatever else.
const MAX_TRAIL: usize = 40;
/// Stored states of one piece of memory.
const PIECE: usize = 256;

/// A state that was stored when a path came through.
#[derive(Debug)]
pub struct Stored {
    /// What was known.
    pub kept: Kept,
    /// How the path came there from the stored state before it.
    pub trail: Trail,
    /// The instruction that it precedes.
    pub at: usize,
    /// It is in no bucket any more.
    retired: bool,
    /// Where it differed from the state that it was compared with last: often it does so again.
    differs: Option<Difference>,
}

impl Stored {
    /// Gives the memory back of a state that nothing is compared with any more, and that no open path leads from.
    fn free(&mut self) {
        (self.kept.state.frames, self.kept.marks) = (SmallVec::new(), SmallVec::new());
        self.trail.free();
    }

    /// The calls that led here, outermost first.
    fn chain(&self) -> SmallVec<[usize; 8]> {
        self.kept.state.frames.iter().skip(1).map(|frame| frame.callsite).collect()
    }
}

/// What is asked of a state most often, in few bytes: the state itself is mostly not at hand.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Paths from there that have not ended.
    branches: u32,
    /// The list that it is or was in.
    list: u32,
    /// The loop that it is in, as the chain of calls entered it: from 1, 0 for none.
    visit: u32,
}

/// All stored states of a walk.
#[derive(Debug)]
pub struct Store {
    /// In pieces, so that they stay where they are while there are ever more.
    states: Vec<Vec<Stored>>,
    /// By state.
    open: Vec<Open>,
    pub(super) buckets: Buckets,
    pub(super) visits: Vec<Visit>,
    /// Their numbers.
    pub(super) by_chain: BTreeMap<Chain, usize>,
    pub(super) backedges: usize,
    /// States taken out of their buckets while paths from them were still open.
    retired: usize,
    /// States in buckets.
    listed: usize,
    /// See `Stats`.
    pub total: u32,
    /// See `Stats`.
    pub peak: u32,
    /// See `Stats`.
    pub max_per_insn: u32,
    /// Jumps processed.
    jumps: u32,
    /// `jumps` and instructions processed when a state was last stored.
    since: (u32, u32),
}

impl Store {
    /// Nothing stored, for a program of `len` slots.
    pub fn new(len: usize) -> Store {
        Store {
            states: Vec::new(),
            open: Vec::new(),
            buckets: Buckets::new(len),
            visits: Vec::new(),
            by_chain: BTreeMap::new(),
            backedges: 0,
            retired: 0,
            listed: 0,
            total: 0,
            peak: 0,
            max_per_insn: 0,
            jumps: 0,
            since: (0, 0),
        }
    }

    /// Forgets the states of a finished function; the counts go on, as in Linux.
    pub fn clear(&mut self) {
        self.states.clear();
        self.open.clear();
        self.buckets.clear();
        self.visits.clear();
        self.by_chain.clear();
    }

    /// All states, those that were given up too.
    pub(super) fn all(&self) -> impl Iterator<Item = &Stored> {
        self.states.iter().flatten()
    }

    /// Adds one.
    fn push(&mut self, stored: Stored, list: u32) {
        if self.open.len().is_multiple_of(PIECE) {
            self.states.push(Vec::with_capacity(if self.open.is_empty() { 0 } else { PIECE }));
        }
        if let Some(last) = self.states.last_mut() {
            last.push(stored);
            self.open.push(Open { branches: 1, list, visit: 0 });
        }
    }

    /// How many states there are, those that were given up too.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Bytes of the paths that loops keep.
    pub(super) fn held_by_loops(&self) -> usize {
        self.visits.iter().map(Visit::held).sum()
    }

    /// A jump or call was processed.
    pub fn count_jump(&mut self) {
        self.jumps += 1;
    }

    /// A stored state.
    pub fn get(&self, id: StoredId) -> &Stored {
        &self.states[id / PIECE][id % PIECE]
    }

    /// A stored state, for writing.
    pub fn get_mut(&mut self, id: StoredId) -> &mut Stored {
        &mut self.states[id / PIECE][id % PIECE]
    }

    /// One more path from here.
    pub fn add_branch(&mut self, id: StoredId) {
        self.open[id].branches += 1;
    }

    /// One path less. Tells whether that was the last one.
    fn end_branch(&mut self, id: StoredId) -> bool {
        let Open { branches, list, .. } = &mut self.open[id];
        *branches -= 1;
        if *branches == 0 {
            self.buckets.note_closed(*list as usize);
        }
        *branches == 0
    }

    /// The loop that a state is in, as the chain of calls entered it.
    pub(super) fn visit_of(&self, id: StoredId) -> Option<usize> {
        self.open[id].visit.checked_sub(1).map(|index| index as usize)
    }

    /// A state is in this loop.
    pub(super) fn set_visit(&mut self, id: StoredId, index: usize) {
        // There are no more of them than stored states.
        self.open[id].visit = ring3_isa::num::low32(ring3_isa::num::from_index(index + 1));
    }

    /// Paths from a state have not all ended.
    pub fn is_open(&self, id: StoredId) -> bool {
        self.open[id].branches > 0
    }

    pub(super) fn note_peak(&mut self) {
        let now = u32::try_from(self.listed + self.retired + self.backedges).unwrap_or(u32::MAX);
        self.peak = self.peak.max(now);
    }
}

impl Walk<'_> {
    /// Looks for a stored state that covers the current one; stores the current one if it is time.
    pub(super) fn visited(&mut self) -> Result<bool, Reject> {
        let fixed = self.structure.insns[self.at];
        let always = self.program.flags.has(LoadFlags::TEST_STATE_FREQ);
        let force = always || fixed.force_checkpoint || self.path.trail.past.len() > MAX_TRAIL;
        let (jumps, insns) = (self.store.jumps - self.store.since.0, self.processed - self.store.since.1);
        let mut add = force || (jumps >= 2 && insns >= 8);
        let bucket = self.bucket();
        let list = self.store.buckets.list(bucket);
        self.clean_finished(list);
        // Inside a loop that is being walked states are stored sparingly: otherwise every iteration adds some.
        let sparing = !force && jumps < 20 && insns < 100;
        let mut left = self.store.buckets.states[list].len();
        let mut seen = 0;
        loop {
            (left, seen) = self.pass_over_misses((list, left), seen, &mut add, sparing);
            let Some(index) = left.checked_sub(1) else { break };
            (left, seen) = (index, seen + 1);
            let Listed { id, ref needs, .. } = self.store.buckets.states[list][index];
            let is_open = self.store.is_open(id);
            if needs.are_met(is_open, &self.path.state) {
                let compared = if is_open { self.compare_open(id)? } else { self.compare(id) };
                if let Compared::Covered(edge) = compared {
                    self.count_hit();
                    self.store.buckets.states[list][index].hits += 1;
                    self.hit(id, edge);
                    return Ok(true);
                }
                self.learn_needs(list, index);
            }
            add &= !(is_open && sparing);
            self.count_miss(id);
            self.miss(list, index, add);
        }
        self.store.max_per_insn = self.store.max_per_insn.max(seen);
        if add {
            self.store_current(bucket);
        }
        Ok(false)
    }

    /// Goes on over the `left` oldest states of a list, the newest of them first, as long as they are of other instructions, or
    /// known not to cover the path by what stands in the list, and stay in it. Gives how many are left then, and how many were
    /// `seen` before.
    fn pass_over_misses(
        &mut self,
        (list, mut left): (usize, usize),
        mut seen: u32,
        add: &mut bool,
        sparing: bool,
    ) -> (usize, u32) {
        let Store { buckets, open, .. } = &mut self.store;
        for listed in buckets.states[list][..left].iter_mut().rev() {
            if listed.at == self.at {
                let is_open = open[listed.id].branches > 0;
                let stored = *add && !(is_open && sparing);
                let misses = listed.misses + u32::from(stored);
                let may_go = is_useless(listed.hits, misses) || self.counts.is_some();
                if may_go || listed.needs.are_met(is_open, &self.path.state) {
                    break;
                }
                (*add, listed.misses) = (stored, misses);
            }
            (left, seen) = (left - 1, seen + 1);
        }
        (left, seen)
    }

    fn bucket(&self) -> usize {
        // 32 bits wide, as in Linux: which states share a bucket shows in the statistics.
        let callsite = self.path.state.frame().callsite;
        let low = |index: usize| ring3_isa::num::low32(ring3_isa::num::from_index(index));
        self.store.buckets.of(low(self.at) ^ low(callsite))
    }

    /// Notes what a path must have so that the state with which the current one was compared in vain covers it.
    fn learn_needs(&mut self, list: usize, index: usize) {
        let fixed = self.structure.insns[self.at];
        let listed = &mut self.store.buckets.states[list][index];
        let id = listed.id;
        let Stored { kept, differs, .. } = &self.store.states[id / PIECE][id % PIECE];
        let is_open = self.store.open[id].branches > 0;
        // Elsewhere an open state is only looked for as it is, with every register that it has.
        let asks = fixed.asks_iterator || fixed.calls_callback || fixed.force_checkpoint;
        if if is_open { !asks } else { listed.clean } {
            listed.needs = Needs::of(kept, *differs, is_open);
        }
    }

    /// Compares with a state from which paths are still being walked.
    fn compare_open(&mut self, id: StoredId) -> Result<Compared, Reject> {
        let fixed = self.structure.insns[self.at];
        let old = &self.store.get(id).kept.state;
        // The same state in another run of a callback is no loop, and no proof before that other run has ended.
        if let Some(callback) = old.frame().callback.filter(|callback| !callback.sync)
            && self.path.state.frame().callback.is_none_or(|now| now.entries != callback.entries)
        {
            return Ok(Compared::Miss);
        }
        let is_may_goto = matches!(self.decoded(self.at), Some(ring3_isa::Insn::MayGoto { .. }));
        if is_may_goto && old.may_goto_depth != self.path.state.may_goto_depth && self.covered(id, Mode::RangeWithin) {
            return Ok(Compared::Covered(Edge::Back));
        }
        if fixed.asks_iterator {
            let covered = self.covered(id, Mode::RangeWithin) && self.asks_active_iterator();
            return Ok(if covered { Compared::Covered(Edge::Back) } else { Compared::Miss });
        }
        if fixed.calls_callback && !self.came_round(id) {
            let covered = self.covered(id, Mode::RangeWithin);
            return Ok(if covered { Compared::Covered(Edge::Back) } else { Compared::Miss });
        }
        if self.is_same_again(id) {
            self.log_line();
            return Err(self.infinite_loop(id));
        }
        Ok(Compared::Miss)
    }

    /// Compares with a state from which all paths have ended.
    fn compare(&mut self, id: StoredId) -> Compared {
        let (covered, edge) = match self.open_loop(id) {
            None => (self.covered(id, Mode::NotExact), Edge::None),
            Some(InLoop::Flow) => (self.covered(id, Mode::RangeWithin), Edge::Back),
            Some(InLoop::Callback) => {
                let slots = self.live_behind(id);
                // Where it differs is not told here, and what is known from before may not count.
                self.store.get_mut(id).differs = None;
                (self.covers_path(id, &self.path.state, self.at, &slots), Edge::Loose)
            }
        };
        if covered { Compared::Covered(edge) } else { Compared::Miss }
    }

    pub(super) fn live(&self, state: &State, index: usize) -> u16 {
        self.live_at(state, index, self.at)
    }

    /// The registers of a frame that are read after `at` before they are written.
    fn live_at(&self, state: &State, index: usize, at: usize) -> u16 {
        if self.has_bug(crate::planted::Bug::NothingLive) {
            return 0;
        }
        let slot = state.frames.get(index + 1).map_or(at, |inner| inner.callsite);
        self.structure.insns[slot].live
    }

    fn covered(&mut self, id: StoredId, mode: Mode) -> bool {
        let (cur, stored) = (&self.path.state, self.store.get(id));
        let differs = uncovered(&stored.kept, cur, mode, |index| self.live(cur, index), |_| u64::MAX, stored.differs);
        self.note_difference(id, differs)
    }

    /// Tells whether there is none.
    fn note_difference(&mut self, id: StoredId, differs: Option<Difference>) -> bool {
        if differs.is_some() {
            self.store.get_mut(id).differs = differs;
        }
        differs.is_none()
    }

    /// The slots of each frame of a stored state that may still be read, as far as is known.
    pub(super) fn live_behind(&self, id: StoredId) -> SmallVec<[u64; 8]> {
        let stored = self.store.get(id);
        let (root, chain, at) = (stored.kept.state.frames[0].subprog, stored.chain(), stored.at);
        self.live_slots(root, &chain, at)
    }

    /// Whether a stored state covers another before the same instruction, on these slots of its frames.
    pub(super) fn covers_path(&self, id: StoredId, state: &State, at: usize, slots: &[u64]) -> bool {
        let (old, regs) = (&self.store.get(id).kept, |index: usize| self.live_at(state, index, at));
        let covered = || uncovered(old, state, Mode::NotExact, regs, |index| slots[index], None).is_none();
        same_calls(&old.state, state) && covered()
    }

    /// Stack slots that nothing behind a state reads are cleared when all paths from it have ended, and no back edge waits.
    fn clean_finished(&mut self, list: usize) {
        if !self.store.buckets.has_closed(list) {
            return;
        }
        let mut waiting = false;
        for index in 0..self.store.buckets.states[list].len() {
            let it = &self.store.buckets.states[list][index];
            if it.clean || self.store.is_open(it.id) {
                continue;
            }
            let id = it.id;
            let has_calls = |store: &Store| same_calls(&store.get(id).kept.state, &self.path.state);
            if it.at != self.at || !has_calls(&self.store) || self.open_loop(id).is_some() {
                waiting = true;
                continue;
            }
            let live = self.live_behind(id);
            self.store.buckets.states[list][index].clean = true;
            let stored = self.store.get_mut(id);
            for ((frame, marks), live) in stored.kept.frames_mut().zip(live) {
                marks.keep(frame, live);
            }
        }
        self.store.buckets.set_closed(list, waiting);
    }

    /// Since then the path went through no callback, iteration or `may_goto`: it is in a loop of the program's own, which has to
    /// end by itself. Linux 6.18 takes it for a round of the callback, and accepts loops without an end around such calls.
    fn came_round(&self, id: StoredId) -> bool {
        let (kept, cur) = (&self.store.get(id).kept, &self.path.state);
        kept.state.callback_unroll_depth == cur.callback_unroll_depth
            && kept.state.may_goto_depth == cur.may_goto_depth
            && !iterated(kept, cur)
    }

    /// Nothing has changed since the path was here before.
    fn is_same_again(&mut self, id: StoredId) -> bool {
        let (stored, cur) = (self.store.get(id), &self.path.state);
        let old = &stored.kept.state;
        if old.may_goto_depth != cur.may_goto_depth
            || old.callback_unroll_depth != cur.callback_unroll_depth
            || old.frames.len() != cur.frames.len()
        {
            return false;
        }
        let (now, then) = (&cur.frame().regs, &old.frame().regs);
        let hint = stored.differs.and_then(|differs| differs.reg_of(cur.current()));
        if let Some(reg) = hint.into_iter().chain(0..Reg::COUNT).find(|reg| then[*reg] != now[*reg]) {
            return self.note_difference(id, Some(Difference::Reg(cur.current(), reg)));
        }
        self.covered(id, Mode::Exact) && !iterated(&self.store.get(id).kept, &self.path.state)
    }

    /// Whether the iterator that the next call asks may still give something.
    fn asks_active_iterator(&self) -> bool {
        let Value::Ptr(ptr) = self.path.state.reg(Reg::R1) else { return false };
        let (PtrKind::Stack(frame), Some(off)) = (ptr.kind, ptr.const_off()) else { return false };
        let inside = (-crate::state::STACK_LIMIT..0).contains(&off);
        inside
            && self.path.state.frames.get(frame as usize).is_some_and(|frame| {
                frame.stack.slot(crate::state::locate(off).0).iter().is_some_and(|iter| !iter.drained)
            })
    }

    fn infinite_loop(&self, id: StoredId) -> Reject {
        let old = &self.store.get(id).kept;
        let then = render::kept(self.names(), old, old.state.current());
        let states = format!("cur state:{}\nold state:{then}", self.render(self.path.state.current()));
        Reject::InfiniteLoop { at: self.at, states }
    }

    fn hit(&mut self, id: StoredId, edge: Edge) {
        if self.structure.insns[self.at].jmp_point {
            self.remember(|_| {});
        }
        let mut trail = std::mem::take(&mut self.path.trail);
        self.inherit_precision(id, self.path.state.frames.len(), &mut trail, self.at);
        self.path.trail = trail;
        if edge != Edge::None {
            self.add_backedge(id, edge == Edge::Loose);
        }
    }

    /// Counts a comparison in vain. States that hardly ever help are taken out.
    fn miss(&mut self, list: usize, index: usize, add: bool) {
        let listed = &mut self.store.buckets.states[list][index];
        listed.misses += u32::from(add);
        let Listed { id, hits, misses, .. } = *listed;
        if !is_useless(hits, misses) {
            return;
        }
        let is_open = self.store.is_open(id);
        if is_open && self.structure.insns[self.at].force_checkpoint && misses <= 64 * hits + 64 {
            return;
        }
        self.store.buckets.states[list].remove(index);
        self.store.listed -= 1;
        // Linux keeps it while a path or a back edge needs it, which shows in the statistics.
        if is_open || self.open_loop(id) == Some(InLoop::Flow) {
            self.store.retired += 1;
            self.store.get_mut(id).retired = true;
        } else if self.open_loop(id).is_none() {
            self.store.get_mut(id).free();
        }
    }

    fn store_current(&mut self, bucket: usize) {
        self.count_stored();
        self.store.total += 1;
        self.store.listed += 1;
        self.store.note_peak();
        self.store.since = (self.store.jumps, self.processed);
        let id = self.store.len();
        let kept = Kept::new(self.path.state.clone());
        let trail = Trail { last: self.from, ..self.path.trail.clone() };
        self.path.trail.restart(id, self.at);
        let list = self.store.buckets.insert(bucket, Listed::new(id, self.at));
        self.store.push(Stored { kept, trail, at: self.at, retired: false, differs: None }, list);
        self.weigh_if_due();
        self.has_entry = false;
        self.enter_loop(id);
    }

    /// The current path has ended.
    pub(super) fn end_path(&mut self) {
        let mut parent = self.path.trail.parent;
        while let Some(id) = parent {
            if !self.store.end_branch(id) {
                break;
            }
            if self.store.get(id).retired && self.open_loop(id).is_none() {
                self.store.retired -= 1;
                self.store.get_mut(id).free();
            }
            parent = self.store.get(id).trail.parent;
            self.exit_loop(id);
            if self.store.is_open(id) {
                break;
            }
        }
    }

    /// Everything before a path counts as precise.
    pub(super) fn distrust(&mut self, path: &Path) {
        self.give_up_from(path.trail.parent);
    }
}

/// Whether a state that covered so many paths, and so many not, is hardly ever of use.
fn is_useless(hits: u32, misses: u32) -> bool {
    misses > 3 * hits + 3
}

/// What a comparison gave.
enum Compared {
    Covered(Edge),
    Miss,
}

/// Whether a path that is covered has to be looked at again when its loop is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Edge {
    /// No.
    None,
    /// For what is precise.
    Back,
    /// And for whether it is still covered.
    Loose,
}

/// Whether two states have the same frames, by the same calls.
fn same_calls(a: &State, b: &State) -> bool {
    a.frames.len() == b.frames.len()
        && a.frames[0].subprog == b.frames[0].subprog
        && a.frames.iter().zip(&b.frames).all(|(a, b)| a.callsite == b.callsite)
}

/// Widens scalars that changed from one iteration to the next and that no decision relied on.
pub fn widen(old: &Kept, cur: &mut State) {
    let mut ids = IdMap::default();
    let mut wider = |old: &Value, cur: &Value| match (old, cur) {
        (Value::Scalar(o), Value::Scalar(c)) => !is_same_number(o, c, &mut ids),
        (Value::Uninit | Value::Scalar(_) | Value::Ptr(_), _) => false,
    };
    for ((old, marks), cur) in old.frames().zip(&mut cur.frames).rev() {
        let frame = Rc::make_mut(cur);
        for reg in (0..Reg::COUNT).filter(|reg| !marks.precise.has_reg(*reg)) {
            if wider(&old.regs[reg], &frame.regs[reg]) {
                frame.regs[reg] = Value::unknown();
            }
        }
        frame.stack.update(|slot, cur| {
            let old = marks.slot(old, slot);
            let both = old.is_spill() && cur.is_spill() && !marks.precise.has_slot(slot);
            (both && wider(&old.spill, &cur.spill)).then_some(Slot { spill: Value::unknown(), ..*cur })
        });
    }
}

impl Walk<'_> {
    /// The last stored state before an instruction on this path, with the same calls.
    pub(super) fn previous_at(&self, at: usize) -> Option<StoredId> {
        self.previous_from(self.path.trail.parent, at)
    }

    fn previous_from(&self, mut parent: Option<StoredId>, at: usize) -> Option<StoredId> {
        while let Some(id) = parent {
            let stored = self.store.get(id);
            if !stored.retired && stored.at == at && same_calls(&stored.kept.state, &self.path.state) {
                return Some(id);
            }
            parent = stored.trail.parent;
        }
        None
    }

    /// The last but one of the stored states before `at` on this path: where the last one was stored just now.
    pub fn state_before_last(&self, at: usize) -> Option<Kept> {
        let last = self.path.trail.parent?;
        self.previous_from(self.store.get(last).trail.parent, at).map(|id| self.store.get(id).kept.clone())
    }

    /// Widens the current state against the last one before `at`.
    pub fn widen_current(&mut self, at: usize) {
        let before = self.previous_at(at);
        if let Some(old) = before.map(|id| self.store.get(id).kept.clone()) {
            widen(&old, &mut self.path.state);
        }
    }
}
