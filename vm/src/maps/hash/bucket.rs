//! Chains of elements. The head of a chain is its lock as well, so that a change takes one line of the cache and not two.

use std::sync::atomic::{AtomicU32, Ordering};

use ring3_platform::Errno;

use super::super::mem::Region;

/// Set in a link that ends a chain; the other bits are the number of the bucket.
pub(super) const END: u32 = 1 << 31;
/// Set in a head whose chain somebody changes.
const LOCKED: u32 = 1 << 30;
/// Most buckets.
const MAX_BUCKETS: u64 = 1 << 28;
/// Heads for each element, at least: chains are short then, and where a key is at the head no branch is mispredicted.
const HEADS: u64 = 2;
/// How often a lock is looked at before the processor is given to somebody else, who may be the one that holds it.
const LOOKS: u32 = 100;

/// A chain: its head.
#[derive(Clone, Copy)]
pub(super) struct Bucket<'a>(&'a AtomicU32);

/// All chains.
pub(super) struct Buckets {
    heads: Region,
    pub(super) count: usize,
}

/// A chain that nobody else changes as long as this lives.
pub(super) struct Locked<'a>(&'a AtomicU32);

impl Buckets {
    /// For so many elements.
    pub(super) fn new(elements: u32) -> Result<Buckets, Errno> {
        let count = (u64::from(elements) * HEADS).checked_next_power_of_two().filter(|count| *count <= MAX_BUCKETS);
        let count = count.ok_or(Errno::ENOMEM)? as usize;
        let heads = Region::zeroed(count as u64 * 4)?;
        for (number, head) in (0..).zip(heads.cells(0, count)) {
            head.store(END | number, Ordering::Relaxed);
        }
        Ok(Buckets { heads, count })
    }

    #[inline(always)]
    pub(super) fn get(&self, number: u32) -> Bucket<'_> {
        Bucket(self.heads.cell(number as usize * 4))
    }

    /// Those from `first` on that are not empty, at the moment of asking.
    pub(super) fn filled(&self, first: usize) -> impl Iterator<Item = (u32, Bucket<'_>)> {
        let heads = self.heads.cells(0, self.count).iter().enumerate().skip(first);
        let filled = heads.filter(|(_, head)| head.load(Ordering::Acquire) & END == 0);
        filled.map(|(number, head)| (number as u32, Bucket(head)))
    }
}

impl<'a> Bucket<'a> {
    /// The link to the first element, or the end.
    #[inline(always)]
    pub(super) fn first(self) -> u32 {
        self.0.load(Ordering::Acquire) & !LOCKED
    }

    /// Waits until nobody else changes the chain.
    #[inline(always)]
    pub(super) fn lock(self) -> Locked<'a> {
        while self.0.fetch_or(LOCKED, Ordering::Acquire) & LOCKED != 0 {
            self.wait();
        }
        Locked(self.0)
    }

    #[cold]
    fn wait(self) {
        let mut looks = 0;
        while self.0.load(Ordering::Relaxed) & LOCKED != 0 {
            looks += 1;
            if looks % LOOKS == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    }
}

impl Locked<'_> {
    #[inline(always)]
    pub(super) fn first(&self) -> u32 {
        self.0.load(Ordering::Relaxed) & !LOCKED
    }

    /// Makes `link` the first of the chain.
    #[inline(always)]
    pub(super) fn set_first(&self, link: u32) {
        self.0.store(link | LOCKED, Ordering::Release);
    }
}

impl Drop for Locked<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.store(self.first(), Ordering::Release);
    }
}
