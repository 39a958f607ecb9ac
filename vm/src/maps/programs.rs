//! `prog_array`: the programs that tail calls go to.
//!
//! A program holds its maps, so that one in an array of its own keeps itself alive. The kernel empties an array when user
//! space closes it; here the embedder calls [`Map::clear`].

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::RwLock;
use ring3_platform::{Errno, MapDef};

use super::mem::MAX_MAP_BYTES;
use super::{Base, Map, index_of, next_index};
use crate::Execute;

/// A program and its number.
type Slot = RwLock<Option<(Arc<dyn Execute>, u32)>>;

/// A program array.
pub(super) struct Programs {
    base: Base,
    slots: Box<[Slot]>,
    /// The number that user space reads for the program that was put in last. The kernel gives a program's number on the
    /// machine; here programs are numbered as they come into the array.
    numbered: AtomicU32,
}

impl Programs {
    pub(super) fn new(def: &Arc<MapDef>) -> Result<Programs, Errno> {
        let count = def.max_entries as usize;
        if (count as u64).saturating_mul(size_of::<Slot>() as u64) > MAX_MAP_BYTES {
            return Err(Errno::ENOMEM);
        }
        let mut slots = Vec::new();
        slots.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
        slots.resize_with(count, Slot::default);
        Ok(Programs { base: Base::new(def), slots: slots.into_boxed_slice(), numbered: AtomicU32::new(0) })
    }
}

// SAFETY: no lookup gives an address.
unsafe impl Map for Programs {
    fn base(&self) -> &Base {
        &self.base
    }

    fn lookup_ptr(&self, _key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        None
    }

    fn update(&self, _key: &[u8], _value: &[u8], _flags: u64, _cpu: u32) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        self.set_program(index_of(key).ok_or(Errno::EINVAL)?, None)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.base.def.max_entries)
    }

    fn copy_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let index = index_of(key).ok_or(Errno::EINVAL)?;
        let slot = self.slots.get(index as usize).ok_or(Errno::ENOENT)?;
        slot.read().as_ref().map(|(_, number)| number.to_ne_bytes().to_vec()).ok_or(Errno::ENOENT)
    }

    /// There are no descriptors of programs here: [`Map::set_program`] puts them in.
    fn copy_in(&self, key: &[u8], _value: &[u8], flags: u64) -> Result<(), Errno> {
        let index = index_of(key).ok_or(Errno::EINVAL)?;
        match (flags, self.slots.get(index as usize)) {
            (0, None) => Err(Errno::E2BIG),
            (0, Some(_)) => Err(Errno::EBADF),
            (_, _) => Err(Errno::EINVAL),
        }
    }

    fn len(&self) -> usize {
        self.slots.len()
    }

    fn program(&self, index: u32) -> Option<Arc<dyn Execute>> {
        self.slots.get(index as usize)?.read().as_ref().map(|(program, _)| Arc::clone(program))
    }

    fn set_program(&self, index: u32, program: Option<Arc<dyn Execute>>) -> Result<(), Errno> {
        let slot = self.slots.get(index as usize).ok_or(Errno::E2BIG)?;
        let Some(program) = program else {
            // Dropped when the slot is free again: the program may own the last reference to this map.
            let old = slot.write().take();
            return old.map(|_| ()).ok_or(Errno::ENOENT);
        };
        self.base.admit(program.linked().owner(), false)?;
        let number = self.numbered.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let old = slot.write().replace((program, number));
        drop(old);
        Ok(())
    }
}

impl fmt::Debug for Programs {
    /// Without the programs, which print their maps.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Programs").field("name", &self.base.def.name).finish_non_exhaustive()
    }
}
