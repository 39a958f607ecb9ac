//! The shared memory of ring buffers, laid out as the kernel's `mmap` shows it (`Documentation/bpf/ringbuf.rst`): a page with the
//! consumer's position, a page with the producer's, and the data, behind which there is room for a record that starts at its end.
//!
//! The kernel maps the data twice in a row, so that such a record goes on at the start. Here it goes on behind the end, where the same
//! addresses lead.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use ring3_platform::Errno;
use ring3_platform::maps::PAGE_SIZE;

use super::mem::{Region, round8};

/// Bytes in front of a record (`BPF_RINGBUF_HDR_SZ`): its length and flags, and 4 that the kernel needs.
pub(super) const HEADER: u64 = 8;
/// In a header: it is still being written (`BPF_RINGBUF_BUSY_BIT`).
pub(super) const BUSY: u32 = 1 << 31;
/// In a header: readers skip it (`BPF_RINGBUF_DISCARD_BIT`).
pub(super) const DISCARD: u32 = 1 << 30;

/// Where the data starts.
const DATA: usize = 2 * PAGE_SIZE as usize;

/// The pages of a ring.
pub(super) struct RingMemory {
    memory: Region,
    pub(super) size: u64,
    mask: u64,
}

impl RingMemory {
    pub(super) fn new(size: u32) -> Result<RingMemory, Errno> {
        let size = u64::from(size);
        let memory = Region::zeroed_aligned(DATA as u64 + 2 * size, PAGE_SIZE as usize)?;
        Ok(RingMemory { memory, size, mask: size - 1 })
    }

    pub(super) fn region(&self) -> &Region {
        &self.memory
    }

    /// Up to where records were read. User space may have written anything there.
    #[inline(always)]
    pub(super) fn consumer(&self) -> &AtomicU64 {
        &self.memory.words(0, 8)[0]
    }

    /// Where the next record starts. Of a user ring buffer user space may have written anything there.
    #[inline(always)]
    pub(super) fn producer(&self) -> &AtomicU64 {
        &self.memory.words(PAGE_SIZE as usize, 8)[0]
    }

    /// Where the header of the record at `position` is. Positions are multiples of 8.
    #[inline(always)]
    pub(super) fn offset(&self, position: u64) -> usize {
        DATA + (position & self.mask) as usize
    }

    /// Where the header of a record in the memory is, if there can be one.
    pub(super) fn header_at(&self, record: std::ptr::NonNull<u8>) -> Option<usize> {
        let at = self.memory.offset_of(record)?.checked_sub(HEADER as usize)?;
        (at >= DATA && at.is_multiple_of(HEADER as usize) && ((at - DATA) as u64) < self.size).then_some(at)
    }

    #[inline(always)]
    pub(super) fn header(&self, position: u64, order: Ordering) -> u32 {
        self.memory.cell(self.offset(position)).load(order)
    }
}

/// Bytes that a record takes.
pub(super) fn span(len: u32) -> u64 {
    round8(u64::from(len) + HEADER)
}

/// Readers that sleep.
#[derive(Default)]
pub(super) struct Sleepers {
    /// Wakeups so far.
    wakeups: Mutex<u64>,
    signal: Condvar,
    /// How many sleep: as long as nobody does, a wakeup costs a load.
    count: AtomicU64,
}

impl Sleepers {
    /// Wakes all.
    #[inline]
    pub(super) fn wake(&self) {
        if self.count.load(Ordering::SeqCst) != 0 {
            *self.wakeups.lock() += 1;
            self.signal.notify_all();
        }
    }

    /// Sleeps until somebody wakes or `timeout` is over, unless `ready` already.
    pub(super) fn wait(&self, timeout: Duration, ready: impl Fn() -> bool) -> bool {
        if ready() {
            return true;
        }
        let end = Instant::now().checked_add(timeout);
        self.count.fetch_add(1, Ordering::SeqCst);
        let mut wakeups = self.wakeups.lock();
        let before = *wakeups;
        // Who wrote before the count went up did not see it.
        while *wakeups == before && !ready() {
            let timed_out = match end {
                Some(end) => self.signal.wait_until(&mut wakeups, end).timed_out(),
                None => {
                    self.signal.wait(&mut wakeups);
                    false
                }
            };
            if timed_out {
                break;
            }
        }
        drop(wakeups);
        self.count.fetch_sub(1, Ordering::SeqCst);
        ready()
    }
}
