//! Loops that are still open. What a state inside a loop needs to be precise is known only when the loop was left, so
//! paths that were cut short inside are remembered (back edges) and get their precision then.

use super::Walk;
use super::path::{Path, StoredId};
use crate::cfg::CALLBACK_LOOP;
use crate::state::State;

/// Rounds after which everything on back edges counts as precise.
const MAX_ROUNDS: usize = 64;

/// The calls that lead into a loop, outermost first, and the loop.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Chain {
    callsites: Vec<usize>,
    scc: u32,
}

/// A path that ended inside the loop because a stored state covers it.
#[derive(Debug)]
struct Backedge {
    covered_by: StoredId,
    path: Path,
    at: usize,
}

/// A loop that was entered by a chain of calls.
#[derive(Debug)]
pub(super) struct Visit {
    chain: Chain,
    /// The first state stored inside; none while the loop is not being walked.
    entry: Option<StoredId>,
    backedges: Vec<Backedge>,
}

impl Walk<'_> {
    fn chain(&self, state: &State, at: usize) -> Option<Chain> {
        let mut callsites = Vec::new();
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

    /// A state was stored: it may be the first one inside a loop.
    pub(super) fn enter_loop(&mut self, id: StoredId) {
        let stored = self.store.get(id);
        let Some(chain) = self.chain(&stored.state, stored.at) else { return };
        let scc = chain.scc;
        let known = self.store.visits.iter().position(|visit| visit.chain == chain);
        let index = known.unwrap_or_else(|| {
            self.store.visits.push(Visit { chain, entry: None, backedges: Vec::new() });
            self.store.visits.len() - 1
        });
        self.store.get_mut(id).visit = Some(index);
        let visit = &mut self.store.visits[index];
        if visit.entry.is_none() {
            visit.entry = Some(id);
            if self.log.verbose() && scc & CALLBACK_LOOP == 0 {
                self.log.push(&format!("SCC enter ({scc})\n"));
            }
        }
    }

    /// Whether a state is inside a loop that has back edges waiting.
    pub(super) fn is_in_open_loop(&self, id: StoredId) -> bool {
        self.store.get(id).visit.is_some_and(|index| !self.store.visits[index].backedges.is_empty())
    }

    /// The current path ends inside a loop because `id` covers it.
    pub(super) fn add_backedge(&mut self, id: StoredId) {
        let Some(index) = self.store.get(id).visit else {
            // No loop that will be left later: nothing may be taken as imprecise.
            self.give_up_from(self.path.trail.parent);
            return;
        };
        let backedge = Backedge { covered_by: id, path: self.path.clone(), at: self.at };
        self.store.visits[index].backedges.push(backedge);
        let scc = self.store.visits[index].chain.scc;
        if scc & CALLBACK_LOOP != 0 {
            return;
        }
        self.store.backedges += 1;
        self.store.note_peak();
        if self.log.verbose() {
            self.log.push(&format!("SCC backedge ({scc})\n"));
        }
    }

    /// All paths from a state have ended: if it was the first one inside a loop, the loop is left.
    pub(super) fn exit_loop(&mut self, id: StoredId) {
        let entered = |index: &usize| self.store.visits[*index].entry == Some(id);
        let Some(index) = self.store.get(id).visit.filter(entered) else { return };
        let scc = self.store.visits[index].chain.scc;
        if self.log.verbose() && scc & CALLBACK_LOOP == 0 {
            self.log.push(&format!("SCC exit ({scc})\n"));
        }
        self.store.visits[index].entry = None;
        let backedges = std::mem::take(&mut self.store.visits[index].backedges);
        if scc & CALLBACK_LOOP == 0 {
            self.store.backedges -= backedges.len();
        }
        for round in 0.. {
            let mut changed = false;
            for edge in &backedges {
                if round >= MAX_ROUNDS {
                    self.distrust(&edge.path);
                } else {
                    let depth = edge.path.state.frames.len();
                    changed |= self.inherit_precision(edge.covered_by, depth, &edge.path.trail, edge.at);
                }
            }
            if !changed {
                break;
            }
        }
    }
}
