//! `queue` and `stack`: values without keys, put in at one end and taken out at the same or the other.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use ring3_platform::{Errno, MapDef, MapType};

use super::mem::{Region, round8};
use super::{BPF_ANY, BPF_EXIST, Base, Map};

/// Where the values are: `len` of them from `first` on, around the end of the region.
#[derive(Clone, Copy)]
struct Ends {
    first: u32,
    len: u32,
}

/// A queue or a stack.
pub(super) struct Queue {
    base: Base,
    values: Region,
    stride: usize,
    ends: Mutex<Ends>,
}

impl Queue {
    pub(super) fn new(def: &Arc<MapDef>) -> Result<Queue, Errno> {
        let stride = round8(u64::from(def.value_size));
        let values = Region::zeroed(stride.checked_mul(u64::from(def.max_entries)).ok_or(Errno::ENOMEM)?)?;
        let stride = usize::try_from(stride).map_err(|_| Errno::ENOMEM)?;
        Ok(Queue { base: Base::new(def), values, stride, ends: Mutex::new(Ends { first: 0, len: 0 }) })
    }

    /// Where the `nth` value is, counted from the oldest.
    fn offset(&self, ends: Ends, nth: u32) -> usize {
        let index = (u64::from(ends.first) + u64::from(nth)) % u64::from(self.base.def.max_entries);
        index as usize * self.stride
    }

    /// Reads the value that is next to come, and takes it out if `take`.
    fn next(&self, take: bool) -> Result<Vec<u8>, Errno> {
        let mut ends = self.ends.lock();
        let last = ends.len.checked_sub(1).ok_or(Errno::ENOENT)?;
        let queue = self.base.def.kind == MapType::Queue;
        let offset = self.offset(*ends, if queue { 0 } else { last });
        let value = self.values.read(offset, self.base.def.value_size as usize);
        if take {
            ends.len = last;
            if queue {
                ends.first = (ends.first + 1) % self.base.def.max_entries;
            }
        }
        Ok(value)
    }

    fn next_for_user(&self, key: &[u8], take: bool) -> Result<Vec<u8>, Errno> {
        if key.is_empty() { self.next(take) } else { Err(Errno::EINVAL) }
    }
}

// SAFETY: no lookup gives an address.
unsafe impl Map for Queue {
    fn base(&self) -> &Base {
        &self.base
    }

    fn missing(&self) -> Errno {
        Errno::EINVAL
    }

    fn copy_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.next_for_user(key, false)
    }

    fn copy_in(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        if key.is_empty() { self.push(value, flags) } else { Err(Errno::EINVAL) }
    }

    fn take_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.next_for_user(key, true)
    }

    fn len(&self) -> usize {
        self.ends.lock().len as usize
    }

    fn push(&self, value: &[u8], flags: u64) -> Result<(), Errno> {
        if !matches!(flags, BPF_ANY | BPF_EXIST) || value.len() != self.base.def.value_size as usize {
            return Err(Errno::EINVAL);
        }
        let mut ends = self.ends.lock();
        let full = ends.len == self.base.def.max_entries;
        if full && flags != BPF_EXIST {
            return Err(Errno::E2BIG);
        }
        self.values.write(self.offset(*ends, ends.len), value);
        if full {
            // The newest took the place of the oldest, also in a stack.
            ends.first = (ends.first + 1) % self.base.def.max_entries;
        } else {
            ends.len += 1;
        }
        Ok(())
    }

    fn pop(&self) -> Result<Vec<u8>, Errno> {
        self.next(true)
    }

    fn peek(&self) -> Result<Vec<u8>, Errno> {
        self.next(false)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.base.def.name).field("len", &self.len()).finish_non_exhaustive()
    }
}
