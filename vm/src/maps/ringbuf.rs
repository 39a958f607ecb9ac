//! `ringbuf`: records in one order from all CPUs, reserved, filled in and then given to user space.
//!
//! As in the kernel, a record is a header of 8 bytes and the data, rounded up to 8. Positions count up for ever; a record is at
//! its position modulo the size.

use std::fmt;
use std::ops::ControlFlow;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use ring3_platform::{Errno, MapDef};

use super::ring::{BUSY, DISCARD, HEADER, RingMemory, Sleepers, span};
use super::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP, Base, Event, Map, SharedMemory, Take};

/// The longest record (`RINGBUF_MAX_RECORD_SZ`).
const MAX_RECORD: u64 = (u32::MAX / 4) as u64;

/// A ring buffer.
pub(super) struct Ringbuf {
    base: Base,
    ring: RingMemory,
    /// Held by who reserves: where the oldest record was that the last reservation found busy. A busy one is not written over,
    /// although a reader may have got past it in its own mapping.
    pending: Mutex<u64>,
    /// Held by the one who reads.
    reader: Mutex<()>,
    sleepers: Sleepers,
    /// Reservations that found no room.
    dropped: AtomicU64,
}

impl Ringbuf {
    pub(super) fn new(def: &Arc<MapDef>) -> Result<Ringbuf, Errno> {
        Ok(Ringbuf {
            base: Base::new(def),
            ring: RingMemory::new(def.max_entries)?,
            pending: Mutex::new(0),
            reader: Mutex::new(()),
            sleepers: Sleepers::default(),
            dropped: AtomicU64::new(0),
        })
    }

    /// Bytes that were not read yet.
    fn unread(&self) -> u64 {
        let consumer = self.ring.consumer().load(Ordering::Acquire);
        self.ring.producer().load(Ordering::Acquire).wrapping_sub(consumer)
    }

    /// The start of the next record of `len` bytes, which is marked as busy, if there is room.
    fn claim(&self, len: u32) -> Option<u64> {
        let mut pending = self.pending.lock();
        let start = self.ring.producer().load(Ordering::Relaxed);
        while *pending < start {
            let header = self.ring.header(*pending, Ordering::Acquire);
            if header & BUSY != 0 {
                break;
            }
            *pending = (*pending + span(header & !DISCARD)).min(start);
        }
        let end = start + span(len);
        let consumer = self.ring.consumer().load(Ordering::Acquire);
        // One byte at least stays free, so that the ring is never quite full.
        if end.wrapping_sub(consumer) >= self.ring.size || end - *pending >= self.ring.size {
            return None;
        }
        self.ring.region().cell(self.ring.offset(start)).store(len | BUSY, Ordering::Relaxed);
        self.ring.producer().store(end, Ordering::Release);
        Some(start)
    }

    /// The next record from `from` on that is no later than `end`: its length unless it was discarded, and where it ends. `None`
    /// if a program still writes it.
    fn next(&self, from: u64, end: u64) -> Option<(Option<u32>, u64)> {
        let header = self.ring.header(from, Ordering::Acquire);
        if header & BUSY != 0 {
            return None;
        }
        let len = header & !DISCARD;
        let after = from + span(len);
        if after > end {
            // Only a program that nobody verified can have written into a header. What it sent is lost.
            return Some((None, end));
        }
        Some(((header & DISCARD == 0).then_some(len), after))
    }
}

// SAFETY: addresses are those of records in the region, which lives as long as the map.
unsafe impl Map for Ringbuf {
    fn base(&self) -> &Base {
        &self.base
    }

    fn missing(&self) -> Errno {
        Errno::ENOTSUPP
    }

    fn holds(&self, addr: u64, len: u64) -> bool {
        self.ring.region().holds(addr, len)
    }

    fn reserve(&self, size: u64) -> Option<NonNull<u8>> {
        let len = u32::try_from(size).ok().filter(|_| size <= MAX_RECORD)?;
        let Some(start) = self.claim(len) else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        // A record without data at the very end has no byte of its own, but there is always one behind it.
        Some(self.ring.region().at(self.ring.offset(start) + HEADER as usize))
    }

    fn commit_with(&self, record: NonNull<u8>, discard: bool, flags: u64) -> bool {
        let Some(at) = self.ring.header_at(record) else { return false };
        let flag = if discard { DISCARD } else { 0 };
        let set = |header: u32| (header & BUSY != 0).then_some(header & !BUSY | flag);
        if self.ring.region().cell(at).fetch_update(Ordering::AcqRel, Ordering::Relaxed, set).is_err() {
            return false;
        }
        // A reader that is not there yet will find the record by itself.
        let reader = self.ring.offset(self.ring.consumer().load(Ordering::Acquire));
        if flags & BPF_RB_FORCE_WAKEUP != 0 || (flags & BPF_RB_NO_WAKEUP == 0 && reader == at) {
            self.sleepers.wake();
        }
        true
    }

    fn query(&self, what: u64) -> u64 {
        match what {
            0 => self.unread(),
            1 => self.ring.size,
            2 => self.ring.consumer().load(Ordering::Acquire),
            3 => self.ring.producer().load(Ordering::Acquire),
            _ => 0,
        }
    }

    fn consume(&self, take: &mut Take<'_>) -> usize {
        let _reading = self.reader.lock();
        let mut from = self.ring.consumer().load(Ordering::Relaxed);
        // What comes while this reads is for the next time, so that it ends.
        let end = self.ring.producer().load(Ordering::Acquire);
        if !from.is_multiple_of(HEADER) || end.saturating_sub(from) > self.ring.size {
            // Nobody got there by reading: what was not read is lost, and the next record is found again.
            self.ring.consumer().store(end, Ordering::Release);
            return 0;
        }
        let mut count = 0;
        let mut data = Vec::new();
        while from < end {
            let Some((len, after)) = self.next(from, end) else { break };
            let flow = len.map(|len| {
                data.clear();
                self.ring.region().read_into(self.ring.offset(from) + HEADER as usize, len as usize, &mut data);
                count += 1;
                take(None, &data)
            });
            from = after;
            self.ring.consumer().store(from, Ordering::Release);
            if flow == Some(ControlFlow::Break(())) {
                break;
            }
        }
        count
    }

    fn drain(&self) -> Vec<Event> {
        let mut events = Vec::new();
        self.consume(&mut |cpu, data| {
            events.push(Event { cpu, data: data.to_vec() });
            ControlFlow::Continue(())
        });
        events
    }

    fn wait(&self, timeout: Duration) -> bool {
        self.sleepers.wait(timeout, || self.unread() != 0)
    }

    fn lost(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn shared_memory(&self) -> Result<SharedMemory, Errno> {
        Ok(SharedMemory { start: self.ring.region().at(0), len: self.ring.region().len() })
    }
}

impl fmt::Debug for Ringbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ringbuf")
            .field("name", &self.base.def.name)
            .field("unread", &self.query(0))
            .finish_non_exhaustive()
    }
}
