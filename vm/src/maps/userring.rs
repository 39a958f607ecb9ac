//! `user_ringbuf`: samples from user space to programs, which take them by `bpf_user_ringbuf_drain`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use ring3_platform::{Errno, MapDef};

use super::ring::{BUSY, DISCARD, HEADER, RingMemory, span};
use super::{Base, Map, SharedMemory, UserSample};

/// A user ring buffer.
pub(super) struct UserRing {
    base: Base,
    ring: RingMemory,
    /// Held by who sends.
    sender: Mutex<()>,
    /// Whether a program reads. Another one that tries meanwhile gets `EBUSY`.
    busy: AtomicBool,
}

impl UserRing {
    pub(super) fn new(def: &Arc<MapDef>) -> Result<UserRing, Errno> {
        let (ring, sender, busy) = (RingMemory::new(def.max_entries)?, Mutex::new(()), AtomicBool::new(false));
        Ok(UserRing { base: Base::new(def), ring, sender, busy })
    }
}

// SAFETY: addresses are those of samples in the region, which lives as long as the map.
unsafe impl Map for UserRing {
    fn base(&self) -> &Base {
        &self.base
    }

    fn missing(&self) -> Errno {
        Errno::ENOTSUPP
    }

    fn holds(&self, addr: u64, len: u64) -> bool {
        self.ring.region().holds(addr, len)
    }

    fn send_sample(&self, data: &[u8]) -> Result<(), Errno> {
        let len = u32::try_from(data.len()).ok().filter(|len| len & (BUSY | DISCARD) == 0).ok_or(Errno::E2BIG)?;
        if span(len) > self.ring.size {
            return Err(Errno::E2BIG);
        }
        let _sending = self.sender.lock();
        let start = self.ring.producer().load(Ordering::Relaxed);
        let read = self.ring.consumer().load(Ordering::Acquire);
        if !start.is_multiple_of(HEADER) {
            return Err(Errno::EINVAL);
        }
        if start.wrapping_add(span(len)).wrapping_sub(read) > self.ring.size {
            return Err(Errno::ENOSPC);
        }
        let at = self.ring.offset(start);
        self.ring.region().write(at + HEADER as usize, data);
        self.ring.region().cell(at).store(len, Ordering::Release);
        self.ring.producer().store(start.wrapping_add(span(len)), Ordering::Release);
        Ok(())
    }

    fn begin_drain(&self) -> Result<(), Errno> {
        self.busy
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .map(|_| ())
            .map_err(|_| Errno::EBUSY)
    }

    fn end_drain(&self) {
        self.busy.store(false, Ordering::Release);
    }

    fn peek_sample(&self) -> Result<Option<UserSample>, Errno> {
        let (read, sent) = (self.ring.consumer().load(Ordering::Relaxed), self.ring.producer().load(Ordering::Acquire));
        if !sent.is_multiple_of(HEADER) || !read.is_multiple_of(HEADER) {
            return Err(Errno::EINVAL);
        }
        if read >= sent {
            return Ok(None);
        }
        let header = self.ring.header(read, Ordering::Acquire);
        let len = header & !(BUSY | DISCARD);
        if span(len) > sent - read {
            return Err(Errno::EINVAL);
        }
        if span(len) > self.ring.size {
            return Err(Errno::E2BIG);
        }
        if header & BUSY != 0 {
            return Ok(None);
        }
        let start = self.ring.region().at(self.ring.offset(read) + HEADER as usize);
        Ok(Some(UserSample { start, len, discarded: header & DISCARD != 0 }))
    }

    fn release_sample(&self, len: u32) {
        let read = self.ring.consumer().load(Ordering::Relaxed);
        self.ring.consumer().store(read.wrapping_add(span(len)), Ordering::Release);
    }

    fn shared_memory(&self) -> Result<SharedMemory, Errno> {
        Ok(SharedMemory { start: self.ring.region().at(0), len: self.ring.region().len() })
    }
}

impl fmt::Debug for UserRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRing").field("name", &self.base.def.name).finish_non_exhaustive()
    }
}
