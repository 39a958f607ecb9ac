//! `perf_event_array`: a buffer of samples for each slot that user space opened, written to by the programs of one CPU.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use ring3_platform::{Errno, MapDef};

use super::mem::round8;
use super::ring::Sleepers;
use super::{Base, Event, Map, index_of, next_index};

/// Bytes of an event's buffer: 64 pages, as libbpf opens them by default.
const BUFFER: u64 = 64 * 4096;
/// Bytes of `struct perf_event_header`.
const HEADER: u64 = 8;
/// Bytes of the length in front of a sample's data.
const LEN: u64 = 4;
/// Bytes of the record that says how many samples did not fit: header, event and number.
const LOST: u64 = 24;

/// Samples that were not read yet.
#[derive(Default)]
struct Buffer {
    samples: VecDeque<Vec<u8>>,
    /// Bytes that they take, with headers and padding.
    used: u64,
    /// Samples that did not fit and that no record in the buffer tells of.
    untold: u64,
}

/// An open event.
struct Opened {
    cpu: u32,
    buffer: Mutex<Buffer>,
}

/// A perf event array.
pub(super) struct PerfEvents {
    base: Base,
    cpus: u32,
    events: RwLock<BTreeMap<u32, Arc<Opened>>>,
    lost: AtomicU64,
    sleepers: Sleepers,
}

impl PerfEvents {
    pub(super) fn new(def: &Arc<MapDef>, cpus: u32) -> PerfEvents {
        PerfEvents {
            base: Base::new(def),
            cpus,
            events: RwLock::default(),
            lost: AtomicU64::new(0),
            sleepers: Sleepers::default(),
        }
    }

    fn index(&self, index: u32) -> Result<u32, Errno> {
        if index < self.base.def.max_entries { Ok(index) } else { Err(Errno::E2BIG) }
    }
}

// SAFETY: no lookup gives an address.
unsafe impl Map for PerfEvents {
    fn base(&self) -> &Base {
        &self.base
    }

    fn lookup_ptr(&self, _key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        None
    }

    fn update(&self, _key: &[u8], _value: &[u8], _flags: u64, _cpu: u32) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    /// Closes an event; what nobody read of it is gone.
    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        let index = self.index(index_of(key).ok_or(Errno::EINVAL)?)?;
        self.events.write().remove(&index).map(|_| ()).ok_or(Errno::ENOENT)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.base.def.max_entries)
    }

    fn copy_out(&self, _key: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOTSUPP)
    }

    /// There are no descriptors of events here: [`Map::open_event`] opens them.
    fn copy_in(&self, key: &[u8], _value: &[u8], flags: u64) -> Result<(), Errno> {
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        self.index(index_of(key).ok_or(Errno::EINVAL)?)?;
        Err(Errno::EBADF)
    }

    fn len(&self) -> usize {
        self.base.def.max_entries as usize
    }

    fn open_event(&self, index: u32, cpu: u32) -> Result<(), Errno> {
        if cpu >= self.cpus {
            return Err(Errno::EINVAL);
        }
        let index = self.index(index)?;
        self.events.write().insert(index, Arc::new(Opened { cpu, buffer: Mutex::default() }));
        Ok(())
    }

    fn output(&self, index: u32, cpu: u32, data: &[u8]) -> Result<(), Errno> {
        let index = self.index(index)?;
        let event = self.events.read().get(&index).cloned().ok_or(Errno::ENOENT)?;
        if event.cpu != cpu {
            return Err(Errno::EOPNOTSUPP);
        }
        let raw = round8(data.len() as u64 + LEN);
        let mut buffer = event.buffer.lock();
        let told = if buffer.untold > 0 { LOST } else { 0 };
        // One byte of the buffer always stays free. A record's length has 16 bits; Linux cuts that of a longer one and
        // damages the buffer, which nobody can want.
        if HEADER + raw > u64::from(u16::MAX) || buffer.used + told + HEADER + raw >= BUFFER {
            buffer.untold += 1;
            self.lost.fetch_add(1, Ordering::Relaxed);
            return Err(Errno::ENOSPC);
        }
        let mut sample = data.to_vec();
        sample.resize((raw - LEN) as usize, 0);
        buffer.used += told + HEADER + raw;
        buffer.untold = 0;
        buffer.samples.push_back(sample);
        drop(buffer);
        // As libbpf opens them, every sample wakes.
        self.sleepers.wake();
        Ok(())
    }

    fn drain(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for event in self.events.read().values() {
            let mut buffer = event.buffer.lock();
            buffer.used = 0;
            events.extend(buffer.samples.drain(..).map(|data| Event { cpu: Some(event.cpu), data }));
        }
        events
    }

    fn wait(&self, timeout: Duration) -> bool {
        let ready = || self.events.read().values().any(|event| !event.buffer.lock().samples.is_empty());
        self.sleepers.wait(timeout, ready)
    }

    fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for PerfEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerfEvents").field("name", &self.base.def.name).finish_non_exhaustive()
    }
}
