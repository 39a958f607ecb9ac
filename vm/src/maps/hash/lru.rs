//! Which element of a full map goes: a list in the order of writing, with a second chance for elements that were looked up.
//!
//! Locks are taken in the order bucket, list. An element is in the list exactly while it is in a chain, but for the moment
//! in which an evictor has claimed it and waits for its bucket.

use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::{NONE, Slab, cell};

/// The ends of the list.
struct Ends {
    newest: u32,
    oldest: u32,
}

/// The list. Its links are cells of the elements, changed under the lock only.
pub(super) struct Lru(Mutex<Ends>);

impl Default for Lru {
    fn default() -> Lru {
        Lru(Mutex::new(Ends { newest: NONE, oldest: NONE }))
    }
}

impl Lru {
    /// Notes that a program looked an element up.
    pub(super) fn mark(slab: &Slab, element: u32) {
        let used = slab.cell(element, cell::USED);
        // Most lookups find the mark there, and need not take the cache line for writing.
        if used.load(Ordering::Relaxed) == 0 {
            used.store(1, Ordering::Relaxed);
        }
    }

    /// Enters an element as the newest.
    pub(super) fn insert(&self, slab: &Slab, element: u32) {
        slab.cell(element, cell::USED).store(0, Ordering::Relaxed);
        self.0.lock().push(slab, element);
    }

    /// Makes an element the newest. False if an evictor has it.
    pub(super) fn touch(&self, slab: &Slab, element: u32) -> bool {
        let mut ends = self.0.lock();
        let listed = ends.unlist(slab, element);
        if listed {
            ends.push(slab, element);
        }
        listed
    }

    /// Takes an element out. False if an evictor has it.
    pub(super) fn remove(&self, slab: &Slab, element: u32) -> bool {
        self.0.lock().unlist(slab, element)
    }

    /// Takes the oldest element out that was not looked up since the last time it was the oldest.
    pub(super) fn claim(&self, slab: &Slab) -> Option<u32> {
        let mut ends = self.0.lock();
        // Each turn clears a mark, so that the second round finds an element unless programs mark as fast; then the oldest goes.
        for _ in 0..slab.count {
            let oldest = ends.oldest;
            if oldest == NONE {
                return None;
            }
            ends.unlist(slab, oldest);
            if slab.cell(oldest, cell::USED).swap(0, Ordering::Relaxed) == 0 {
                return Some(oldest);
            }
            ends.push(slab, oldest);
        }
        let oldest = ends.oldest;
        ends.unlist(slab, oldest).then_some(oldest)
    }
}

impl Ends {
    fn push(&mut self, slab: &Slab, element: u32) {
        slab.cell(element, cell::BEFORE).store(NONE, Ordering::Relaxed);
        slab.cell(element, cell::AFTER).store(self.newest, Ordering::Relaxed);
        match self.newest {
            NONE => self.oldest = element,
            newest => slab.cell(newest, cell::BEFORE).store(element, Ordering::Relaxed),
        }
        self.newest = element;
        slab.cell(element, cell::LISTED).store(1, Ordering::Relaxed);
    }

    fn unlist(&mut self, slab: &Slab, element: u32) -> bool {
        if element == NONE || slab.cell(element, cell::LISTED).swap(0, Ordering::Relaxed) == 0 {
            return false;
        }
        let before = slab.cell(element, cell::BEFORE).load(Ordering::Relaxed);
        let after = slab.cell(element, cell::AFTER).load(Ordering::Relaxed);
        match before {
            NONE => self.newest = after,
            before => slab.cell(before, cell::AFTER).store(after, Ordering::Relaxed),
        }
        match after {
            NONE => self.oldest = before,
            after => slab.cell(after, cell::BEFORE).store(before, Ordering::Relaxed),
        }
        true
    }
}
