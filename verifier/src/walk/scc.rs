//! Loops that are still open. What a state inside a loop needs to be precise is known only when the loop was left, so
//! paths that were cut short inside are remembered (back edges) and get their precision then.
//!
//! In loops of the control flow every number counts while they are open, as in Linux. Calls that are called back from are no
//! loops to Linux: it compares the callback's states as if all were known of them, and never looks again. Here they are
//! compared in the same way, but the path is remembered; when the call is done, and what it relies on is known, each such
//! path must still be covered. One that is not is walked after all.

use smallvec::SmallVec;

use super::Walk;
use super::path::{Path, Pending, StoredId};
use crate::cfg::CALLBACK_LOOP;
use crate::state::State;

/// Rounds after which everything on back edges counts as precise.
const MAX_ROUNDS: usize = 64;

/// The calls that lead into a loop, outermost first, and the loop.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Chain {
    callsites: SmallVec<[usize; 8]>,
    scc: u32,
}

/// A path that ended inside the loop because a stored state covers it.
#[derive(Debug)]
struct Backedge {
    covered_by: StoredId,
    path: Path,
    at: usize,
    from: Option<usize>,
    /// What was precise counted when they were compared, and what was live: that may have become more since.
    loose: bool,
}

/// A loop that is still being walked, with paths that were cut short inside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum InLoop {
    /// A loop of the control flow.
    Flow,
    /// A call that is called back from.
    Callback,
}

/// A loop that was entered by a chain of calls.
#[derive(Debug)]
pub(super) struct Visit {
    chain: Chain,
    /// The first state stored inside; none while the loop is not being walked.
    entry: Option<StoredId>,
    backedges: Vec<Backedge>,
}

impl std::fmt::Display for Chain {
    /// As the kernel's log writes it: `(2,1)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "(")?;
        self.callsites.iter().try_for_each(|callsite| write!(f, "{callsite},"))?;
        write!(f, "{})", self.scc)
    }
}

impl Visit {
    /// Bytes of the paths that are kept.
    pub(super) fn held(&self) -> usize {
        self.backedges.iter().map(|edge| size_of::<Backedge>() + super::weigh::path(&edge.path)).sum()
    }
}

impl Walk<'_> {
    fn chain(&self, state: &State, at: usize) -> Option<Chain> {
        let mut callsites = SmallVec::new();
        for index in 0..state.frames.len() {
            let slot = state.frames.get(index + 1).map_or(at, |inner| inner.callsite);
            let scc = self.structure.insns[slot].scc;
            if scc != 0 {
                return Some(Chain { callsites, scc });
            }
            callsites.push(slot);
        }
        None
    }

    /// The loop that the current path is in, if no state was stored inside it yet: Linux does not know it then, and is lost where the path
    /// ends.
    pub(crate) fn unknown_loop(&self) -> Option<String> {
        let chain = self.chain(&self.path.state, self.at)?;
        let is_known = self.plain || chain.scc & CALLBACK_LOOP != 0 || self.store.by_chain.contains_key(&chain);
        (!is_known).then(|| chain.to_string())
    }

    /// A state was stored: it may be the first one inside a loop.
    pub(super) fn enter_loop(&mut self, id: StoredId) {
        let stored = self.store.get(id);
        let Some(chain) = self.chain(&stored.kept.state, stored.at) else { return };
        let called = if self.log.verbose() { chain.to_string() } else { String::new() };
        let scc = chain.scc;
        let index = match self.store.by_chain.get(&chain) {
            Some(index) => *index,
            None => {
                let next = self.store.visits.len();
                self.store.by_chain.insert(chain.clone(), next);
                self.store.visits.push(Visit { chain, entry: None, backedges: Vec::new() });
                next
            }
        };
        self.store.set_visit(id, index);
        let visit = &mut self.store.visits[index];
        if visit.entry.is_none() {
            visit.entry = Some(id);
            if self.log.verbose() && scc & CALLBACK_LOOP == 0 {
                self.log.push(&format!("SCC enter {called}\n"));
            }
        }
    }

    /// The loop with back edges waiting that a state is in.
    pub(super) fn open_loop(&self, id: StoredId) -> Option<InLoop> {
        let visit = &self.store.visits[self.store.visit_of(id)?];
        let kind = if visit.chain.scc & CALLBACK_LOOP == 0 { InLoop::Flow } else { InLoop::Callback };
        (!visit.backedges.is_empty()).then_some(kind)
    }

    /// The current path ends inside a loop because `id` covers it.
    pub(super) fn add_backedge(&mut self, id: StoredId, loose: bool) {
        let Some(index) = self.store.visit_of(id) else {
            // No loop that will be left later: nothing may be taken as imprecise.
            self.give_up_from(self.path.trail.parent);
            return;
        };
        let backedge = Backedge { covered_by: id, path: self.path.clone(), at: self.at, from: self.from, loose };
        self.store.visits[index].backedges.push(backedge);
        let scc = self.store.visits[index].chain.scc;
        if scc & CALLBACK_LOOP != 0 {
            return;
        }
        self.store.backedges += 1;
        self.store.note_peak();
        if self.log.verbose() {
            let chain = &self.store.visits[index].chain;
            self.log.push(&format!("SCC backedge {chain}\n"));
        }
    }

    /// All paths from a state have ended: if it was the first one inside a loop, the loop is left.
    pub(super) fn exit_loop(&mut self, id: StoredId) {
        let entered = |index: &usize| self.store.visits[*index].entry == Some(id);
        let Some(index) = self.store.visit_of(id).filter(entered) else { return };
        let scc = self.store.visits[index].chain.scc;
        if self.log.verbose() && scc & CALLBACK_LOOP == 0 {
            let chain = &self.store.visits[index].chain;
            self.log.push(&format!("SCC exit {chain}\n"));
        }
        self.store.visits[index].entry = None;
        let mut backedges = std::mem::take(&mut self.store.visits[index].backedges);
        if scc & CALLBACK_LOOP == 0 {
            self.store.backedges -= backedges.len();
        }
        let is_callback = scc & CALLBACK_LOOP != 0;
        let told = is_callback.then(|| self.log.hush());
        self.settle(&mut backedges);
        if let Some(told) = told {
            self.log.speak(told);
        }
        if is_callback {
            self.check_edges(index, id, backedges);
        }
    }

    /// Brings to the paths that were cut short what the states that cover them rely on.
    fn settle(&mut self, backedges: &mut [Backedge]) {
        for round in 0.. {
            let mut changed = false;
            for edge in backedges.iter_mut() {
                if round >= MAX_ROUNDS {
                    self.distrust(&edge.path);
                } else {
                    let depth = edge.path.state.frames.len();
                    changed |= self.inherit_precision(edge.covered_by, depth, &mut edge.path.trail, edge.at);
                }
            }
            if !changed {
                break;
            }
        }
    }

    /// Puts aside the paths that are not covered any more, now that it is known what matters: then the call is not done yet.
    fn check_edges(&mut self, visit: usize, entry: StoredId, backedges: Vec<Backedge>) {
        let lapsed = |edge: &Backedge| {
            let slots = self.live_behind(edge.covered_by);
            edge.loose && !self.covers_path(edge.covered_by, &edge.path.state, edge.at, &slots)
        };
        let (lapsed, held): (Vec<_>, Vec<_>) = backedges.into_iter().partition(lapsed);
        if lapsed.is_empty() {
            return;
        }
        for Backedge { path, at, from, .. } in lapsed {
            self.reopen(path.trail.parent, entry);
            // How the path came here stands no more in the log nor in the trace.
            self.pending.push(Pending { path, at, from, log: self.log.position(), trace: 0 });
        }
        self.store.visits[visit].entry = Some(entry);
        self.store.visits[visit].backedges = held;
    }

    /// There is one more path again from a state and what is before it, up to the loop's entry.
    fn reopen(&mut self, mut parent: Option<StoredId>, entry: StoredId) {
        self.store.buckets.forget_needs();
        while let Some(id) = parent {
            let was_open = self.store.is_open(id);
            self.store.add_branch(id);
            if was_open || id == entry {
                break;
            }
            parent = self.store.get(id).trail.parent;
        }
    }
}
