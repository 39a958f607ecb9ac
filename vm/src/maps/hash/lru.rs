//! Which element of a full map goes: lists in the order of writing, with a second chance for elements that were looked up.
//!
//! Each thread puts elements into its own list. Elements know when they came there, by a clock that goes on every few writes, so that the
//! oldest of all can be found among the oldest of the lists: exactly if one thread writes, else nearly.
//!
//! Locks are taken in the order bucket, list, and never two lists. Whoever holds no bucket's lock finds an element in a list exactly while
//! it is in a chain, but for the moment in which an evictor has claimed it and waits for its bucket.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::super::shard::{self, Padded};
use super::{NONE, Slab, cell};

/// In place of the time of a list's oldest element: there is none.
const EMPTY: u64 = u64::MAX;
/// Most writes of a list for which the clock may stand.
const MAX_TICK: u32 = 64;
/// The clock goes on after a list was written so many times less often than there are elements. What came by one list while it stood is
/// still told apart, as lists are in order; what came by several is not. So the order between lists is exact but for this part of the
/// elements times the lists that are written: where 64 threads write at once, half of them.
const TICKS: u32 = 128;

/// What happens between two steps that tests let other threads come between.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    /// It was read in which list an element is, and that list's lock is about to be taken.
    Found,
    /// An evictor has an element that was looked up in its hands, on the way to the front of its list.
    PassedOver,
    /// An evictor has taken an element out of its list.
    Claimed,
}

#[cfg(not(test))]
#[inline(always)]
fn reached(_: Moment) {}

#[cfg(test)]
use tests::reached;

#[cfg(test)]
mod tests;

/// The lists. Their links are cells of the elements, changed under the list's lock only.
pub(super) struct Lru {
    lists: Box<[Padded<List>]>,
    clock: Padded<AtomicU32>,
    /// After so many writes of a list the clock goes on.
    tick: u32,
}

struct List {
    ends: Mutex<Ends>,
    /// When the oldest element came; [`EMPTY`] if there is none. Changed under the lock, and read without.
    since: AtomicU64,
}

/// The ends of a list.
struct Ends {
    newest: u32,
    oldest: u32,
    /// Elements that came since the clock went on because of this list.
    came: u32,
}

/// A list that nobody else changes as long as this lives.
struct Locked<'a> {
    lru: &'a Lru,
    slab: &'a Slab,
    number: usize,
    ends: MutexGuard<'a, Ends>,
}

impl Lru {
    /// For so many elements.
    pub(super) fn new(elements: u32) -> Lru {
        let list = |_| {
            let ends = Mutex::new(Ends { newest: NONE, oldest: NONE, came: 0 });
            Padded(List { ends, since: AtomicU64::new(EMPTY) })
        };
        let lists = (0..shard::count()).map(list).collect();
        Lru { lists, clock: Padded::default(), tick: (elements / TICKS).clamp(1, MAX_TICK) }
    }

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
        self.lock(slab, shard::mine(self.lists.len())).push(element);
    }

    /// Enters `new` as the newest in place of `old`, which may be the same. False if an evictor has the old one.
    pub(super) fn replace(&self, slab: &Slab, old: u32, new: u32) -> bool {
        let Some(mut list) = self.home(slab, old) else { return false };
        list.release(old);
        let mine = shard::mine(self.lists.len());
        if list.number != mine {
            drop(list);
            list = self.lock(slab, mine);
        }
        if old != new {
            slab.cell(new, cell::USED).store(0, Ordering::Relaxed);
        }
        list.push(new);
        true
    }

    /// Takes an element out. False if an evictor has it.
    pub(super) fn remove(&self, slab: &Slab, element: u32) -> bool {
        let home = self.home(slab, element);
        home.is_some_and(|mut list| {
            list.release(element);
            true
        })
    }

    /// Takes the oldest element out that was not looked up since the last time it was the oldest.
    pub(super) fn claim(&self, slab: &Slab) -> Option<u32> {
        // Each turn clears a mark, so that the second round finds an element unless programs mark as fast; then the oldest goes.
        let mut turns = 0;
        loop {
            let (number, since) = self.oldest()?;
            let mut list = self.lock(slab, number);
            let element = list.ends.oldest;
            if element == NONE || self.lists[number].0.since.load(Ordering::Relaxed) != since {
                // Somebody was faster.
                continue;
            }
            if slab.cell(element, cell::USED).swap(0, Ordering::Relaxed) == 0 || turns >= slab.count {
                list.release(element);
                reached(Moment::Claimed);
                return Some(element);
            }
            // It stays listed all the time: who takes it out of the map meanwhile waits for the list.
            list.unlist(element);
            reached(Moment::PassedOver);
            list.push(element);
            turns += 1;
        }
    }

    /// The list whose oldest element came first, and when that was. The caller's own is the last of several in which it came at the same
    /// time, as this thread may have come to the map a moment ago.
    fn oldest(&self) -> Option<(usize, u64)> {
        let mine = shard::mine(self.lists.len());
        let mut found = None;
        for number in (mine + 1..=mine + self.lists.len()).map(|number| number % self.lists.len()) {
            let since = self.lists[number].0.since.load(Ordering::Acquire);
            // The clock starts again some day, so that what lies between two times is asked, not which is less.
            let is_before = |than: u64| (since as u32).wrapping_sub(than as u32).cast_signed() < 0;
            if since != EMPTY && found.is_none_or(|(_, oldest)| is_before(oldest)) {
                found = Some((number, since));
            }
        }
        found
    }

    /// The list in which an element is. `None` if an evictor has the element.
    fn home<'a>(&'a self, slab: &'a Slab, element: u32) -> Option<Locked<'a>> {
        loop {
            let listed = || slab.cell(element, cell::LISTED).load(Ordering::Acquire);
            let home = listed();
            let number = home.checked_sub(1)?;
            reached(Moment::Found);
            let list = self.lock(slab, number as usize);
            // An evictor may have passed it on to the front of its list, and no further.
            if listed() == home {
                return Some(list);
            }
        }
    }

    fn lock<'a>(&'a self, slab: &'a Slab, number: usize) -> Locked<'a> {
        Locked { lru: self, slab, number, ends: self.lists[number].0.ends.lock() }
    }
}

impl Locked<'_> {
    /// Notes when the oldest element came.
    fn note_oldest(&self) {
        let since = match self.ends.oldest {
            NONE => EMPTY,
            oldest => self.slab.cell(oldest, cell::SINCE).load(Ordering::Relaxed).into(),
        };
        self.lru.lists[self.number].0.since.store(since, Ordering::Release);
    }

    fn push(&mut self, element: u32) {
        let (slab, ends) = (self.slab, &mut *self.ends);
        slab.cell(element, cell::SINCE).store(self.lru.clock.0.load(Ordering::Relaxed), Ordering::Relaxed);
        slab.cell(element, cell::BEFORE).store(NONE, Ordering::Relaxed);
        slab.cell(element, cell::AFTER).store(ends.newest, Ordering::Relaxed);
        let first = ends.newest == NONE;
        match ends.newest {
            NONE => ends.oldest = element,
            newest => slab.cell(newest, cell::BEFORE).store(element, Ordering::Relaxed),
        }
        ends.newest = element;
        slab.cell(element, cell::LISTED).store(self.number as u32 + 1, Ordering::Release);
        ends.came += 1;
        if ends.came >= self.lru.tick {
            ends.came = 0;
            self.lru.clock.0.fetch_add(1, Ordering::Relaxed);
        }
        if first {
            self.note_oldest();
        }
    }

    /// Takes an element out, which is in this list, and comes to no other.
    fn release(&mut self, element: u32) {
        self.unlist(element);
        self.slab.cell(element, cell::LISTED).store(0, Ordering::Release);
    }

    /// Takes an element out, which is in this list.
    fn unlist(&mut self, element: u32) {
        let (slab, ends) = (self.slab, &mut *self.ends);
        let before = slab.cell(element, cell::BEFORE).load(Ordering::Relaxed);
        let after = slab.cell(element, cell::AFTER).load(Ordering::Relaxed);
        match before {
            NONE => ends.newest = after,
            before => slab.cell(before, cell::AFTER).store(after, Ordering::Relaxed),
        }
        match after {
            NONE => {
                ends.oldest = before;
                self.note_oldest();
            }
            after => slab.cell(after, cell::BEFORE).store(before, Ordering::Relaxed),
        }
    }
}
