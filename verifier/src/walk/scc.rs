//! Loops that are still open. What a state inside a loop needs to be precise is known only when the loop was left, so
//! paths that were cut short inside are remembered (back edges) and get their precision then.
//!
//! In loops of the control flow every number counts while they are open, as in Linux. Calls that are called back from are no
//! loops to Linux: it compares the callback's states as if all were known of them, and never looks again. Here they are
//! compared in the same way, but the path is remembered; when the call is done, and what it relies on is known, each such
//! path must still be covered. One that is not is walked after all.
//!
//! A loop of the control flow inside a callback is a loop as any other, but it does not know all when it is left: its paths are
//! handed to the call.

use smallvec::SmallVec;

use super::Walk;
use super::path::{Path, Pending, StoredId};
use crate::cfg::CALLBACK_LOOP;
use crate::state::State;

/// Rounds after which everything on back edges counts as precise.
const MAX_ROUNDS: usize = 64;

/// The calls that lead into a loop, outermost first, and the loop: `CALLBACK_LOOP` for the call itself.
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
    /// The call that is called back from around a loop of the control flow.
    outer: Option<usize>,
}

/// The loops that a path is in.
struct Loops {
    /// The outermost of the control flow.
    flow: Option<Chain>,
    /// The outermost call that is called back from, if no loop of the control flow is around it.
    callback: Option<Chain>,
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
    fn is_callback(&self) -> bool {
        self.chain.scc & CALLBACK_LOOP != 0
    }

    /// Bytes of the paths that are kept.
    pub(super) fn held(&self) -> usize {
        self.backedges.iter().map(|edge| size_of::<Backedge>() + super::weigh::path(&edge.path)).sum()
    }
}

impl Walk<'_> {
    fn loops(&self, state: &State, at: usize) -> Loops {
        let mut callsites = SmallVec::new();
        let mut callback = None;
        for index in 0..state.frames.len() {
            let slot = state.frames.get(index + 1).map_or(at, |inner| inner.callsite);
            let scc = self.structure.insns[slot].scc;
            if scc & CALLBACK_LOOP != 0 {
                callback.get_or_insert_with(|| Chain { callsites: callsites.clone(), scc });
            } else if scc != 0 {
                return Loops { flow: Some(Chain { callsites, scc }), callback };
            }
            callsites.push(slot);
        }
        Loops { flow: None, callback }
    }

    /// The loop that the current path is in, if no state was stored inside it yet: Linux does not know it then, and is lost where the path
    /// ends.
    pub(crate) fn unknown_loop(&self) -> Option<String> {
        let chain = self.loops(&self.path.state, self.at).flow?;
        let is_known = self.plain || self.store.by_chain.contains_key(&chain);
        (!is_known).then(|| chain.to_string())
    }

    /// A state was stored: it may be the first one inside a loop.
    pub(super) fn enter_loop(&mut self, id: StoredId) {
        let stored = self.store.get(id);
        let Loops { flow, callback } = self.loops(&stored.kept.state, stored.at);
        let outer = callback.map(|chain| self.enter(id, chain, None));
        let inner = flow.map(|chain| self.enter(id, chain, outer));
        if let Some(index) = inner.or(outer) {
            self.store.set_visit(id, index);
        }
    }

    /// A state was stored inside a loop. Gives the loop's number.
    fn enter(&mut self, id: StoredId, chain: Chain, outer: Option<usize>) -> usize {
        let index = self.store.by_chain.get(&chain).copied().unwrap_or_else(|| {
            let next = self.store.visits.len();
            self.store.by_chain.insert(chain.clone(), next);
            self.store.visits.push(Visit { chain, entry: None, backedges: Vec::new(), outer });
            next
        });
        let visit = &mut self.store.visits[index];
        if visit.entry.is_none() {
            visit.entry = Some(id);
            self.log_loop("enter", index);
        }
        index
    }

    /// Linux's log has only what are loops to Linux.
    fn log_loop(&mut self, what: &str, index: usize) {
        let visit = &self.store.visits[index];
        if self.log.verbose() && !visit.is_callback() {
            self.log.push(&format!("SCC {what} {}\n", visit.chain));
        }
    }

    /// The loop that a state is in, and the call that is called back from around it.
    fn visits_of(&self, id: StoredId) -> impl Iterator<Item = usize> + use<> {
        let inner = self.store.visit_of(id);
        inner.into_iter().chain(inner.and_then(|index| self.store.visits[index].outer))
    }

    /// The innermost loop with back edges waiting that a state is in.
    pub(super) fn open_loop(&self, id: StoredId) -> Option<InLoop> {
        let visit =
            self.visits_of(id).map(|index| &self.store.visits[index]).find(|visit| !visit.backedges.is_empty())?;
        Some(if visit.is_callback() { InLoop::Callback } else { InLoop::Flow })
    }

    /// The current path ends inside a loop because `id` covers it.
    pub(super) fn add_backedge(&mut self, id: StoredId, loose: bool) {
        // Who has to be looked at again is the callback's, and so is who comes again to a loop that was left.
        let waits = |index: &usize| {
            let visit = &self.store.visits[*index];
            visit.is_callback() || visit.outer.is_none() || (visit.entry.is_some() && !loose)
        };
        let Some(index) = self.visits_of(id).find(waits) else {
            // No loop that will be left later: nothing may be taken as imprecise.
            self.give_up_from(self.path.trail.parent);
            return;
        };
        let backedge = Backedge { covered_by: id, path: self.path.clone(), at: self.at, from: self.from, loose };
        self.store.visits[index].backedges.push(backedge);
        if self.store.visits[index].is_callback() {
            return;
        }
        self.store.backedges += 1;
        self.store.note_peak();
        self.log_loop("backedge", index);
    }

    /// All paths from a state have ended: if it was the first one inside a loop, the loop is left.
    pub(super) fn exit_loop(&mut self, id: StoredId) {
        for index in self.visits_of(id) {
            if self.store.visits[index].entry != Some(id) {
                continue;
            }
            self.log_loop("exit", index);
            self.store.visits[index].entry = None;
            let backedges = std::mem::take(&mut self.store.visits[index].backedges);
            if self.store.visits[index].is_callback() {
                self.leave_callback(index, id, backedges);
            } else {
                self.leave_flow(index, backedges);
            }
        }
    }

    /// A loop of the control flow is left.
    fn leave_flow(&mut self, index: usize, mut backedges: Vec<Backedge>) {
        self.store.backedges -= backedges.len();
        self.settle(&mut backedges);
        if let Some(outer) = self.store.visits[index].outer {
            // The rest of the callback may rely on more.
            self.store.visits[outer].backedges.append(&mut backedges);
        }
    }

    /// A call that is called back from is done.
    fn leave_callback(&mut self, index: usize, entry: StoredId, mut backedges: Vec<Backedge>) {
        let told = self.log.hush();
        self.settle(&mut backedges);
        self.log.speak(told);
        self.check_edges(index, entry, backedges);
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
