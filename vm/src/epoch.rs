//! When memory of what was deleted may be used again: when all runs have ended that began before the deletion, as in a kernel that waits
//! for a grace period of RCU.
//!
//! Runs of programs that may hold such addresses ([`Linked::waits`](crate::Linked)) pin the epoch that they began in. An epoch begins
//! when no run of the one before the last is under way any more; so nobody knows the address of what was deleted two epochs ago. Like the
//! kernel's, the epochs are one thing for the whole process: maps have no engine that they belong to, and may be in any number of
//! programs.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::maps::{Padded, part_of_thread};

/// Parts of a count, so that threads do not fight for it.
const PARTS: usize = 8;
/// Epochs in which runs may be under way: this one and the one before; and those of the next are counted from zero.
const COUNTED: usize = 3;
/// How far the first epoch is from zero, so that there was one before.
const FIRST: u64 = COUNTED as u64;

/// The epochs of this process.
pub(crate) static RUNS: Epochs = Epochs::new();

/// How many runs are under way, by the epoch that they began in.
pub(crate) struct Epochs {
    now: AtomicU64,
    runs: [[Padded<AtomicU64>; PARTS]; COUNTED],
}

/// A run that is under way, until this is dropped.
pub(crate) struct Pin<'e> {
    count: &'e AtomicU64,
}

impl Drop for Pin<'_> {
    #[inline]
    fn drop(&mut self) {
        // What the run did to memory is seen by whoever finds that it has ended.
        self.count.fetch_sub(1, Ordering::Release);
    }
}

/// When something was deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Deleted(u64);

impl Deleted {
    /// What no run has ever seen.
    pub(crate) const NEVER_SEEN: Deleted = Deleted(0);
}

impl Epochs {
    const fn new() -> Epochs {
        Epochs { now: AtomicU64::new(FIRST), runs: [const { [const { Padded(AtomicU64::new(0)) }; PARTS] }; COUNTED] }
    }

    fn of(&self, epoch: u64) -> &[Padded<AtomicU64>; PARTS] {
        &self.runs[(epoch % COUNTED as u64) as usize]
    }

    /// A run begins: what is deleted from now on stays until it ends.
    #[inline]
    pub(crate) fn begin(&self) -> Pin<'_> {
        loop {
            let epoch = self.now.load(Ordering::SeqCst);
            let count = &self.of(epoch)[part_of_thread(PARTS)].0;
            // Counted first, then looked: whoever ends the epoch sees one or the other.
            count.fetch_add(1, Ordering::SeqCst);
            let pin = Pin { count };
            if self.now.load(Ordering::SeqCst) == epoch {
                return pin;
            }
        }
    }

    /// The time of a deletion, asked for when nobody can find the deleted any more.
    #[inline]
    pub(crate) fn deleted(&self) -> Deleted {
        // As a change, so that runs which begin in a later epoch see the deletion.
        Deleted(self.now.fetch_add(0, Ordering::AcqRel))
    }

    /// Whether all runs have ended that began before.
    #[inline]
    pub(crate) fn is_over(&self, deleted: Deleted) -> bool {
        loop {
            let now = self.now.load(Ordering::SeqCst);
            if now >= deleted.0 + 2 {
                return true;
            }
            let before = self.of(now - 1);
            if before.iter().any(|count| count.0.load(Ordering::SeqCst) != 0) {
                return false;
            }
            // If somebody else was faster, the epoch is a later one as well.
            let _ = self.now.compare_exchange(now, now + 1, Ordering::SeqCst, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn what_is_deleted_in_a_run_stays_until_it_ends() {
        let epochs = Epochs::new();
        assert!(epochs.is_over(Deleted::NEVER_SEEN) && epochs.is_over(epochs.deleted()));
        let first = epochs.begin();
        let early = epochs.deleted();
        assert!(!epochs.is_over(early));
        // A run that began later does not matter, but for what is deleted since.
        let second = epochs.begin();
        let late = epochs.deleted();
        drop(first);
        let third = epochs.begin();
        assert!(!epochs.is_over(late));
        drop(second);
        assert!(epochs.is_over(early));
        // One that began in the same epoch as the deletion is waited for, too: nobody knows which was first.
        assert!(!epochs.is_over(late));
        drop(third);
        assert!(epochs.is_over(late) && epochs.is_over(epochs.deleted()));
    }

    /// A place that leads to one of two words; which of them is deleted, and when that is over, it is spoiled.
    #[test]
    fn no_run_sees_memory_that_is_used_again() {
        const SPOILED: u64 = u64::MAX;
        let (epochs, ended) = (Epochs::new(), AtomicBool::new(false));
        let words = [const { AtomicU64::new(0) }; 4];
        let place = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let reads = || {
                while !ended.load(Ordering::Relaxed) {
                    let pin = epochs.begin();
                    let word = &words[place.load(Ordering::Acquire) as usize];
                    for _ in 0..8 {
                        assert_ne!(word.load(Ordering::Relaxed), SPOILED);
                        std::hint::spin_loop();
                    }
                    drop(pin);
                }
            };
            let readers = [scope.spawn(reads), scope.spawn(reads), scope.spawn(reads)];
            let mut waiting = Vec::new();
            let mut free: Vec<u64> = vec![1, 2, 3];
            for _ in 0..100_000 {
                if let Some(next) = free.pop() {
                    words[next as usize].store(0, Ordering::Relaxed);
                    waiting.push((place.swap(next, Ordering::AcqRel), epochs.deleted()));
                }
                waiting.retain(|&(word, deleted)| {
                    let over = epochs.is_over(deleted);
                    if over {
                        words[word as usize].store(SPOILED, Ordering::Relaxed);
                        free.push(word);
                    }
                    !over
                });
            }
            ended.store(true, Ordering::Relaxed);
            for reader in readers {
                reader.join().unwrap();
            }
        });
    }
}
