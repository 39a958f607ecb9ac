//! `stack_trace`: stacks by number, which `bpf_get_stackid` puts in and user space reads.
//!
//! A stack's number is the bucket that its hash falls into, as in the kernel, where another stack may be in its place.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use ring3_platform::{Errno, MapDef};

use super::bloom::lookup3;
use super::mem::MAX_MAP_BYTES;
use super::{Base, Map, index_of};

/// `BPF_F_FAST_STACK_CMP`: stacks with the same hash are the same.
const FAST_CMP: u64 = 1 << 9;
/// `BPF_F_REUSE_STACKID`: a new stack takes the place of another one.
const REUSE: u64 = 1 << 10;

/// A stack that is there.
struct Trace {
    hash: u32,
    frames: Vec<u8>,
}

/// A map of stacks.
pub(super) struct Stacks {
    base: Base,
    /// As many as entries, rounded up to a power of two; boxed, as most stay empty.
    buckets: Mutex<Vec<Option<Box<Trace>>>>,
    size: usize,
}

impl Stacks {
    pub(super) fn new(def: &Arc<MapDef>) -> Result<Stacks, Errno> {
        let size = def.max_entries.checked_next_power_of_two().ok_or(Errno::E2BIG)? as usize;
        if size as u64 * u64::from(def.value_size) > MAX_MAP_BYTES {
            return Err(Errno::ENOMEM);
        }
        let mut buckets = Vec::new();
        buckets.try_reserve_exact(size).map_err(|_| Errno::ENOMEM)?;
        buckets.resize_with(size, || None);
        Ok(Stacks { base: Base::new(def), buckets: Mutex::new(buckets), size })
    }

    fn read(&self, key: &[u8], take: bool) -> Result<Vec<u8>, Errno> {
        let index = index_of(key).ok_or(Errno::EINVAL)? as usize;
        let mut buckets = self.buckets.lock();
        let slot = buckets.get_mut(index).ok_or(Errno::ENOENT)?;
        let mut value = slot.as_ref().ok_or(Errno::ENOENT)?.frames.clone();
        value.resize(self.base.def.value_size as usize, 0);
        if take {
            *slot = None;
        }
        Ok(value)
    }
}

// SAFETY: no lookup gives an address.
unsafe impl Map for Stacks {
    fn base(&self) -> &Base {
        &self.base
    }

    fn missing(&self) -> Errno {
        Errno::EINVAL
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        let index = index_of(key).ok_or(Errno::EINVAL)? as usize;
        let mut buckets = self.buckets.lock();
        let slot = buckets.get_mut(index).ok_or(Errno::E2BIG)?;
        slot.take().map(|_| ()).ok_or(Errno::ENOENT)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        let buckets = self.buckets.lock();
        // A number that is not there starts from the beginning, as the kernel does.
        let from = match key.map(|key| index_of(key).ok_or(Errno::EINVAL)).transpose()? {
            Some(index) if buckets.get(index as usize).is_some_and(Option::is_some) => index as usize + 1,
            Some(_) | None => 0,
        };
        let found = (from..self.size).find(|index| buckets[*index].is_some()).ok_or(Errno::ENOENT)?;
        Ok((found as u32).to_ne_bytes().to_vec())
    }

    fn copy_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.read(key, false)
    }

    fn take_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.read(key, true)
    }

    fn len(&self) -> usize {
        self.buckets.lock().iter().flatten().count()
    }

    fn stack_id(&self, stack: &[u64], flags: u64) -> Result<u32, Errno> {
        let depth = self.base.def.value_size as usize / size_of::<u64>();
        let frames: Vec<u8> = stack.iter().take(depth).flat_map(|frame| frame.to_ne_bytes()).collect();
        if frames.is_empty() {
            return Err(Errno::EFAULT);
        }
        let hash = lookup3(&frames, 0);
        let id = hash & (self.size as u32 - 1);
        let mut buckets = self.buckets.lock();
        let slot = &mut buckets[id as usize];
        if let Some(trace) = slot {
            let same = trace.hash == hash && (flags & FAST_CMP != 0 || trace.frames == frames);
            if same {
                return Ok(id);
            }
            if flags & REUSE == 0 {
                return Err(Errno::EEXIST);
            }
        }
        *slot = Some(Box::new(Trace { hash, frames }));
        Ok(id)
    }
}

impl fmt::Debug for Stacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stacks").field("name", &self.base.def.name).finish_non_exhaustive()
    }
}
