//! Parts of a map of which each thread has one nearly for itself, as the kernel has some for each CPU. Threads are numbered as they come;
//! more of them than there are parts share them.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

/// Parts for each processor: threads come and go, and two that run at once should seldom have the same.
const PER_PROCESSOR: usize = 4;
/// Most parts of a map.
const MAX_SHARDS: usize = 64;
/// The number of a thread that has none yet.
const UNNUMBERED: usize = usize::MAX;

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(UNNUMBERED) };
}

/// Something that shares no cache line with its neighbours; processors fetch two lines at a time.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

/// How many parts a map has, a power of two: the same on every call.
pub(super) fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let processors = available_parallelism().map_or(1, |number| number.get());
        processors.saturating_mul(PER_PROCESSOR).min(MAX_SHARDS).next_power_of_two()
    })
}

/// The part of this thread, of `count`, which is a power of two.
#[inline(always)]
pub(crate) fn mine(count: usize) -> usize {
    let number = match NUMBER.get() {
        UNNUMBERED => assign(),
        number => number,
    };
    number & (count - 1)
}

#[cold]
fn assign() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed) & (usize::MAX >> 1);
    NUMBER.set(number);
    number
}
