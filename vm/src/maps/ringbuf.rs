//! `ringbuf`: records in one order from all CPUs, reserved, filled in and then given to user space.
//!
//! As in the kernel, a record is a header of 8 bytes and the data, rounded up to 8. Positions count up for ever; a record is at
//! its position modulo the size. The kernel maps the pages twice in a row so that a record at the end goes on at the start; here
//! the memory is twice as long, and such a record goes on behind the end.

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use ring3_platform::{Errno, MapDef};

use super::mem::{Region, round8};
use super::{Base, Event, Map};

/// Bytes in front of a record (`BPF_RINGBUF_HDR_SZ`): its length and flags, and 4 that the kernel needs.
const HEADER: u64 = 8;
/// In a header: the program still writes (`BPF_RINGBUF_BUSY_BIT`).
const BUSY: u32 = 1 << 31;
/// In a header: readers skip it (`BPF_RINGBUF_DISCARD_BIT`).
const DISCARD: u32 = 1 << 30;
/// The longest record (`RINGBUF_MAX_RECORD_SZ`).
const MAX_RECORD: u64 = (u32::MAX / 4) as u64;

/// A ring buffer.
pub(super) struct Ringbuf {
    base: Base,
    memory: Region,
    size: u64,
    /// Where the next record starts. Written under the lock of `pending`.
    producer: AtomicU64,
    /// Up to where records were read.
    consumer: AtomicU64,
    /// Where the oldest record was that the last reservation found busy: a busy one is not written over, although a reader
    /// may have got past it in its own mapping.
    pending: Mutex<u64>,
    /// Held by the one who reads.
    reader: Mutex<()>,
}

impl Ringbuf {
    pub(super) fn new(def: &Arc<MapDef>) -> Result<Ringbuf, Errno> {
        let size = u64::from(def.max_entries);
        Ok(Ringbuf {
            base: Base::new(def),
            memory: Region::zeroed(2 * size)?,
            size,
            producer: AtomicU64::new(0),
            consumer: AtomicU64::new(0),
            pending: Mutex::new(0),
            reader: Mutex::new(()),
        })
    }

    /// Where the header of the record at `position` is.
    fn offset(&self, position: u64) -> usize {
        (position & (self.size - 1)) as usize
    }

    fn header(&self, position: u64, order: Ordering) -> u32 {
        self.memory.cell(self.offset(position)).load(order)
    }

    /// The next record from `from` on that is no later than `end`: its data unless it was discarded, and where it ends. `None`
    /// if a program still writes it.
    fn next(&self, from: u64, end: u64) -> Option<(Option<Vec<u8>>, u64)> {
        let header = self.header(from, Ordering::Acquire);
        if header & BUSY != 0 {
            return None;
        }
        let len = header & !DISCARD;
        let after = from + span(len);
        if after > end {
            // Only a program that nobody verified can have written into a header. What it sent is lost.
            return Some((None, end));
        }
        let data = || self.memory.read(self.offset(from) + HEADER as usize, len as usize);
        Some(((header & DISCARD == 0).then(data), after))
    }
}

/// Bytes that a record takes.
fn span(len: u32) -> u64 {
    round8(u64::from(len) + HEADER)
}

// SAFETY: addresses are those of records in the region, which lives as long as the map.
unsafe impl Map for Ringbuf {
    fn base(&self) -> &Base {
        &self.base
    }

    fn holds(&self, addr: u64, len: u64) -> bool {
        self.memory.holds(addr, len)
    }

    fn lookup_ptr(&self, _key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        None
    }

    fn update(&self, _key: &[u8], _value: &[u8], _flags: u64, _cpu: u32) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn delete(&self, _key: &[u8]) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn next_key(&self, _key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn copy_out(&self, _key: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn copy_in(&self, _key: &[u8], _value: &[u8], _flags: u64) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }

    /// A ring has records, not elements: 0.
    fn len(&self) -> usize {
        0
    }

    fn reserve(&self, size: u64) -> Option<NonNull<u8>> {
        let len = u32::try_from(size).ok().filter(|_| size <= MAX_RECORD)?;
        let mut pending = self.pending.lock();
        let start = self.producer.load(Ordering::Relaxed);
        while *pending < start {
            let header = self.header(*pending, Ordering::Acquire);
            if header & BUSY != 0 {
                break;
            }
            *pending = (*pending + span(header & !DISCARD)).min(start);
        }
        let end = start + span(len);
        let consumer = self.consumer.load(Ordering::Acquire);
        // One byte at least stays free, so that the ring is never quite full.
        if end - consumer >= self.size || end - *pending >= self.size {
            return None;
        }
        self.memory.cell(self.offset(start)).store(len | BUSY, Ordering::Relaxed);
        self.producer.store(end, Ordering::Release);
        let record = self.offset(start) + HEADER as usize;
        // A record without data at the very end has no byte of its own, but there is always one behind it.
        Some(self.memory.at(record))
    }

    fn commit(&self, record: NonNull<u8>, discard: bool) -> bool {
        let at = self.memory.offset_of(record).and_then(|offset| offset.checked_sub(HEADER as usize));
        let Some(at) = at.filter(|at| at.is_multiple_of(HEADER as usize) && (*at as u64) < self.size) else {
            return false;
        };
        let flag = if discard { DISCARD } else { 0 };
        let set = |header: u32| (header & BUSY != 0).then_some(header & !BUSY | flag);
        self.memory.cell(at).fetch_update(Ordering::AcqRel, Ordering::Relaxed, set).is_ok()
    }

    fn query(&self, what: u64) -> u64 {
        let consumer = self.consumer.load(Ordering::Acquire);
        let producer = self.producer.load(Ordering::Acquire);
        match what {
            0 => producer - consumer,
            1 => self.size,
            2 => consumer,
            3 => producer,
            _ => 0,
        }
    }

    fn drain(&self) -> Vec<Event> {
        let _reading = self.reader.lock();
        let mut events = Vec::new();
        let mut from = self.consumer.load(Ordering::Relaxed);
        // What comes while this reads is for the next time, so that it ends.
        let end = self.producer.load(Ordering::Acquire);
        while from < end {
            let Some((data, after)) = self.next(from, end) else { break };
            from = after;
            self.consumer.store(from, Ordering::Release);
            events.extend(data.map(|data| Event { cpu: None, data }));
        }
        events
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
