//! Which elements are free: lists, of which a thread takes from and gives to its own before it turns to others, as the kernel does with a
//! list for each CPU. So what a thread deletes is the next that it gets, and threads do not wait for each other.
//!
//! A list is held for a few instructions by whoever put [`BUSY`] in place of its top; nobody waits for that, as there are other lists.
//! That all of them are empty is said only if they were at one and the same moment, so that a map is full exactly when it is.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::super::shard::{self, Padded};
use super::{NONE, Slab, cell};

/// In place of the top of a list that somebody changes.
const BUSY: u32 = NONE - 1;
/// So many elements that were never used come to a list at once: neighbours in memory are one thread's then.
const BATCH: u32 = 16;

/// All lists.
pub(super) struct Free {
    lists: Box<[Padded<List>]>,
    /// Elements from here on were never used.
    fresh: AtomicU32,
}

struct List {
    /// The first element, [`NONE`] or [`BUSY`].
    top: AtomicU32,
    /// How many were taken from here, and given back. Written by who holds the list.
    taken: AtomicU64,
    given: AtomicU64,
}

impl Free {
    /// All elements are there and were never used.
    pub(super) fn new() -> Free {
        let list = |_| Padded(List { top: AtomicU32::new(NONE), taken: AtomicU64::new(0), given: AtomicU64::new(0) });
        Free { lists: (0..shard::count()).map(list).collect(), fresh: AtomicU32::new(0) }
    }

    fn lists(&self) -> impl Iterator<Item = &List> {
        self.lists.iter().map(|padded| &padded.0)
    }

    /// The number of the calling thread's list.
    #[inline(always)]
    fn mine(&self) -> usize {
        shard::mine(self.lists.len())
    }

    /// How many elements were given back, ever.
    fn given(&self) -> u64 {
        self.lists().map(|list| list.given.load(Ordering::Acquire)).fold(0, u64::wrapping_add)
    }
}

/// Adds one to a number that nobody else changes meanwhile. Who sees it sees, too, that its list is busy, or what came of that.
#[inline(always)]
fn count_one(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
}

impl Slab {
    /// An element that nobody uses. `None` if there was a moment without any.
    #[inline(always)]
    pub(super) fn take(&self) -> Option<u32> {
        let mine = self.free.mine();
        self.pop(&self.free.lists[mine].0).ok().or_else(|| self.take_elsewhere(mine))
    }

    #[inline(never)]
    fn take_elsewhere(&self, mine: usize) -> Option<u32> {
        let lists = &self.free.lists;
        loop {
            // An element that was given back after this is one that the search below may have missed.
            let given = self.free.given();
            let mut busy = false;
            let others = (0..lists.len()).map(|number| self.pop(&lists[(mine + number) % lists.len()].0));
            for found in std::iter::once(self.refill(&lists[mine].0)).chain(others) {
                match found {
                    Ok(element) => return Some(element),
                    // A list that somebody changes may have any.
                    Err(top) => busy |= top == BUSY,
                }
            }
            if !busy && self.free.given() == given {
                return None;
            }
            std::thread::yield_now();
        }
    }

    /// How many elements are taken.
    pub(super) fn taken(&self) -> usize {
        // In this order, so that there are no more of the second than of the first.
        let given = self.free.given();
        let taken = self.free.lists().map(|list| list.taken.load(Ordering::Acquire)).fold(0, u64::wrapping_add);
        taken.wrapping_sub(given).min(self.count.into()) as usize
    }

    /// Gives an element back.
    #[inline(always)]
    pub(super) fn give(&self, element: u32) {
        let (lists, mut number) = (&self.free.lists, self.free.mine());
        while !self.push(&lists[number % lists.len()].0, element) {
            number += 1;
            std::hint::spin_loop();
        }
    }

    /// The first of a list; otherwise what is in its place.
    #[inline(always)]
    fn pop(&self, list: &List) -> Result<u32, u32> {
        // Looking first leaves the cache line where it is.
        let seen = list.top.load(Ordering::Acquire);
        if seen == NONE || seen == BUSY {
            return Err(seen);
        }
        match list.top.swap(BUSY, Ordering::Acquire) {
            BUSY => Err(BUSY),
            NONE => {
                list.top.store(NONE, Ordering::Release);
                Err(NONE)
            }
            top => {
                count_one(&list.taken);
                list.top.store(self.cell(top, cell::AFTER).load(Ordering::Relaxed), Ordering::Release);
                Ok(top)
            }
        }
    }

    /// False if somebody else has the list.
    #[inline(always)]
    fn push(&self, list: &List, element: u32) -> bool {
        let top = list.top.swap(BUSY, Ordering::Acquire);
        if top != BUSY {
            self.cell(element, cell::AFTER).store(top, Ordering::Relaxed);
            count_one(&list.given);
            list.top.store(element, Ordering::Release);
        }
        top != BUSY
    }

    /// An element that was never used; some more of them come to the list. As [`Slab::pop`] if there is none.
    fn refill(&self, list: &List) -> Result<u32, u32> {
        if self.free.fresh.load(Ordering::Acquire) >= self.count {
            return Err(NONE);
        }
        // The list is held before the elements leave those that were never used, so that they are missed nowhere.
        let top = list.top.swap(BUSY, Ordering::Acquire);
        if top == BUSY {
            return Err(BUSY);
        }
        let end = |first: u32| self.count.min(first.saturating_add(BATCH));
        let more = |first| (first < self.count).then(|| end(first));
        let first = self.free.fresh.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        let new_top = first.map_or(top, |first| {
            count_one(&list.taken);
            // In the order of memory.
            let mut after = top;
            for element in (first + 1..end(first)).rev() {
                self.cell(element, cell::AFTER).store(after, Ordering::Relaxed);
                after = element;
            }
            after
        });
        list.top.store(new_top, Ordering::Release);
        first.map_err(|_| NONE)
    }
}
