//! Lists of stored states, to find those that the current one is compared with.
//!
//! A list has beside each state what decides most comparisons, so that the state itself, which lies somewhere in memory, is
//! not touched for them.

use super::path::StoredId;
use crate::state::subsume::{Demand, Difference};
use crate::state::{Kept, State};

/// A state in a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed {
    pub(super) id: StoredId,
    /// The instruction that it precedes.
    pub(super) at: usize,
    /// All paths from it have ended, and slots that nothing reads count as never written.
    pub(super) clean: bool,
    /// How often it covered a path.
    pub(super) hits: u32,
    /// How often it did not.
    pub(super) misses: u32,
    /// What a path must have, as far as it is known.
    pub(super) needs: Needs,
}

impl Listed {
    /// A state that was stored now.
    pub(super) fn new(id: StoredId, at: usize) -> Listed {
        Listed { id, at, clean: false, hits: 0, misses: 0, needs: Needs::NOTHING }
    }
}

/// What a path must have so that a state covers it, as far as it is known. States never change and what decisions relied on only
/// becomes more, so this holds on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    what: Option<Demand>,
    /// Only as long as paths from the state have not all ended: until then every place counts, and every number.
    while_open: bool,
}

impl Needs {
    const NOTHING: Needs = Needs { what: None, while_open: false };

    /// What a place of a stored state demands.
    pub(super) fn of(kept: &Kept, place: Option<Difference>, is_open: bool) -> Needs {
        Needs { what: place.and_then(|place| Demand::of(kept, place, is_open)), while_open: is_open }
    }

    /// Whether a path has it, to be covered by a state from which paths have not all ended, or have.
    #[inline]
    pub(super) fn are_met(&self, is_open: bool, path: &State) -> bool {
        let Some(demand) = &self.what else { return true };
        (self.while_open && !is_open) || demand.is_met(path)
    }
}

/// All lists.
#[derive(Debug)]
pub(super) struct Buckets {
    /// By bucket: its list. Few buckets have one: the rest of this memory is not even touched.
    lists: Vec<u32>,
    /// The first one stays empty. Oldest first.
    pub(super) states: Vec<Vec<Listed>>,
    /// By list: some state in it may have no open path any more, and is not clean yet.
    closed: Vec<bool>,
    /// 2^64 divided by how many there are, rounded up.
    inverse: u64,
}

impl Buckets {
    /// Empty ones, for a program of `len` slots.
    pub(super) fn new(len: usize) -> Buckets {
        let inverse = (u64::MAX / ring3_isa::num::from_index(len).max(1)).wrapping_add(1);
        Buckets { lists: vec![0; len], states: vec![Vec::new()], closed: vec![false], inverse }
    }

    /// `number` modulo the number of buckets, by a multiplication in place of a division: see "Faster remainder by direct
    /// computation" (Lemire, Kaser, Kurz 2019).
    pub(super) fn of(&self, number: u32) -> usize {
        let fraction = u128::from(self.inverse.wrapping_mul(number.into()));
        let len = ring3_isa::num::from_index(self.lists.len());
        ring3_isa::num::index(ring3_isa::num::low64((fraction * u128::from(len)) >> 64))
    }

    /// The list of a bucket.
    pub(super) fn list(&self, bucket: usize) -> usize {
        self.lists[bucket] as usize
    }

    /// Adds a state. Gives its list.
    pub(super) fn insert(&mut self, bucket: usize, listed: Listed) -> u32 {
        if self.list(bucket) == 0 {
            // There are no more lists than instructions.
            self.lists[bucket] = ring3_isa::num::low32(ring3_isa::num::from_index(self.states.len()));
            self.states.push(Vec::new());
            self.closed.push(false);
        }
        let list = self.list(bucket);
        self.states[list].push(listed);
        self.lists[bucket]
    }

    /// All paths from a state of this list have ended.
    pub(super) fn note_closed(&mut self, list: usize) {
        self.closed[list] = true;
    }

    /// Whether some state of this list may have no open path and is not clean.
    pub(super) fn has_closed(&self, list: usize) -> bool {
        self.closed[list]
    }

    /// Whether there is still one, after those that could be made clean were.
    pub(super) fn set_closed(&mut self, list: usize, some: bool) {
        self.closed[list] = some;
    }

    /// Empties all lists.
    pub(super) fn clear(&mut self) {
        self.states.iter_mut().for_each(Vec::clear);
    }

    /// Paths lead from some states again.
    pub(super) fn forget_needs(&mut self) {
        self.states.iter_mut().flatten().for_each(|listed| listed.needs = Needs::NOTHING);
    }
}
