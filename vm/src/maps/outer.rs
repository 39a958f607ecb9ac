//! `array_of_maps` and `hash_of_maps`: maps in the values of a map.
//!
//! What a program gets from a lookup is the address of a [`MapHandle`], as it has for its own maps. Since it may keep that
//! while user space puts another map in, a handle and its map live as long as the outer map. A map that comes back gets the
//! handle it had.

use std::collections::BTreeMap;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::RwLock;
use ring3_platform::{Errno, MapDef, MapType};

use super::hash::Hash;
use super::mem::Region;
use super::{BPF_ANY, Base, Batch, Map, batch, index_of, next_index};
use crate::link::MapHandle;

/// Bytes of the address of a handle, which is what a slot holds.
const ADDRESS: u32 = 8;
/// How many maps an outer map keeps in addition to as many as it has slots.
const MAX_RETIRED: usize = 1 << 16;
/// The index of a map that is none of the program's own.
const NO_INDEX: u32 = u32::MAX;

/// The slots; each holds the address of a handle, 0 for none.
enum Slots {
    Array(Region),
    Hash(Box<Hash>),
}

/// An outer map.
pub(super) struct Outer {
    base: Base,
    slots: Slots,
    /// Every handle that was ever given out, by the address of its map.
    handles: RwLock<BTreeMap<usize, Numbered>>,
}

/// A handle, and the number by which user space knows its map: the kernel gives that of a map on the machine, here they are numbered as
/// they come into the outer map.
struct Numbered {
    handle: Arc<MapHandle>,
    number: u32,
}

impl Outer {
    pub(super) fn new(def: &Arc<MapDef>, cpus: u32) -> Result<Outer, Errno> {
        let slots = if def.kind == MapType::ArrayOfMaps {
            Slots::Array(Region::zeroed(u64::from(def.max_entries) * u64::from(ADDRESS))?)
        } else {
            Slots::Hash(Box::new(Hash::new(&Arc::new(MapDef { value_size: ADDRESS, ..(**def).clone() }), cpus)?))
        };
        Ok(Outer { base: Base::new(def), slots, handles: RwLock::default() })
    }

    /// The handle's address in a slot.
    fn address(&self, key: &[u8]) -> Option<NonNull<MapHandle>> {
        let word = match &self.slots {
            Slots::Array(slots) => {
                let index = index_of(key).filter(|index| *index < self.base.def.max_entries)?;
                slots.words(index as usize * ADDRESS as usize, ADDRESS as usize)[0].load(Ordering::Acquire)
            }
            Slots::Hash(slots) => u64::from_ne_bytes(slots.copy_out(key).ok()?.try_into().ok()?),
        };
        NonNull::new(std::ptr::with_exposed_provenance_mut(usize::try_from(word).ok()?))
    }

    /// The handle of a map.
    fn handle(&self, map: Arc<dyn Map>) -> Result<u64, Errno> {
        let mut handles = self.handles.write();
        if handles.len() >= MAX_RETIRED + self.base.def.max_entries as usize {
            return Err(Errno::ENOMEM);
        }
        let number = handles.len() as u32 + 1;
        let new = |map| Numbered { handle: Arc::new(MapHandle::new(map, NO_INDEX)), number };
        let numbered = handles.entry(Arc::as_ptr(&map).addr()).or_insert_with(|| new(map));
        Ok(Arc::as_ptr(&numbered.handle).expose_provenance() as u64)
    }
}

// SAFETY: addresses are those of handles, which live as long as the map; a program never writes to them.
unsafe impl Map for Outer {
    fn base(&self) -> &Base {
        &self.base
    }

    /// The address of the inner map's handle.
    fn lookup_ptr(&self, key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        self.address(key).map(NonNull::cast)
    }

    fn update(&self, _key: &[u8], _value: &[u8], _flags: u64, _cpu: u32) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        match &self.slots {
            Slots::Array(slots) => {
                let index = index_of(key).ok_or(Errno::EINVAL)?;
                if index >= self.base.def.max_entries {
                    return Err(Errno::E2BIG);
                }
                let word = &slots.words(index as usize * ADDRESS as usize, ADDRESS as usize)[0];
                if word.swap(0, Ordering::AcqRel) == 0 { Err(Errno::ENOENT) } else { Ok(()) }
            }
            Slots::Hash(slots) => slots.delete(key),
        }
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        match &self.slots {
            Slots::Array(_) => next_index(key, self.base.def.max_entries),
            Slots::Hash(slots) => slots.next_key(key),
        }
    }

    /// The number of the map in a slot; [`Map::inner`] gives the map.
    fn copy_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let handle = self.address(key).ok_or(Errno::ENOENT)?.addr().get();
        let handles = self.handles.read();
        let found = handles.values().find(|numbered| Arc::as_ptr(&numbered.handle).addr() == handle);
        found.map(|numbered| numbered.number.to_ne_bytes().to_vec()).ok_or(Errno::ENOENT)
    }

    /// There are no descriptors of maps here: [`Map::set_inner`] puts them in.
    fn copy_in(&self, key: &[u8], _value: &[u8], flags: u64) -> Result<(), Errno> {
        match &self.slots {
            Slots::Array(_) if flags != BPF_ANY => Err(Errno::EINVAL),
            Slots::Array(_) if index_of(key).is_none_or(|index| index >= self.base.def.max_entries) => {
                Err(Errno::E2BIG)
            }
            Slots::Array(_) | Slots::Hash(_) => Err(Errno::EBADF),
        }
    }

    /// By buckets where the slots have them.
    fn copy_out_batch(&self, from: Option<&[u8]>, max: usize, take: bool) -> Result<Batch, Errno> {
        let Slots::Hash(slots) = &self.slots else {
            return if take { Err(Errno::ENOTSUPP) } else { batch::read(self, from, max) };
        };
        let mut batch = slots.copy_out_batch(from, max, take)?;
        let handles = self.handles.read();
        let number = |address: &[u8]| {
            let found = handles
                .values()
                .find(|numbered| address == (Arc::as_ptr(&numbered.handle).addr() as u64).to_ne_bytes());
            found.map_or(0, |numbered| numbered.number).to_ne_bytes()
        };
        batch.values = batch.values.chunks_exact(ADDRESS as usize).flat_map(number).collect();
        Ok(batch)
    }

    fn len(&self) -> usize {
        match &self.slots {
            Slots::Array(_) => self.base.def.max_entries as usize,
            Slots::Hash(slots) => slots.len(),
        }
    }

    fn inner(&self, key: &[u8]) -> Option<Arc<dyn Map>> {
        // SAFETY: slots hold nothing but addresses of handles, and these live as long as the outer map.
        self.address(key).map(|handle| Arc::clone(&unsafe { handle.as_ref() }.map))
    }

    fn set_inner(&self, key: &[u8], map: Arc<dyn Map>, flags: u64) -> Result<(), Errno> {
        if key.len() != self.base.def.key_size as usize {
            return Err(Errno::EINVAL);
        }
        if let Slots::Array(_) = &self.slots {
            if flags != BPF_ANY {
                return Err(Errno::EINVAL);
            }
            if index_of(key).is_none_or(|index| index >= self.base.def.max_entries) {
                return Err(Errno::E2BIG);
            }
        }
        let template = self.base.def.inner.as_deref().ok_or(Errno::EINVAL)?;
        if !map.def().fits_template(template) {
            return Err(Errno::EINVAL);
        }
        let address = self.handle(map)?;
        match &self.slots {
            Slots::Array(slots) => {
                let index = index_of(key).ok_or(Errno::EINVAL)?;
                slots.words(index as usize * ADDRESS as usize, ADDRESS as usize)[0].store(address, Ordering::Release);
                Ok(())
            }
            Slots::Hash(slots) => slots.copy_in(key, &address.to_ne_bytes(), flags),
        }
    }

    fn gives_handle(&self, address: u64) -> bool {
        self.handles.read().values().any(|numbered| Arc::as_ptr(&numbered.handle).addr() as u64 == address)
    }

    fn holds(&self, addr: u64, len: u64) -> bool {
        self.handles.read().values().any(|numbered| numbered.handle.map.holds(addr, len))
    }

    fn commit_with(&self, record: NonNull<u8>, discard: bool, flags: u64) -> bool {
        self.handles.read().values().any(|numbered| numbered.handle.map.commit_with(record, discard, flags))
    }
}

impl fmt::Debug for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outer").field("name", &self.base.def.name).finish_non_exhaustive()
    }
}
