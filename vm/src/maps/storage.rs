//! Values that belong to objects of the surroundings: `sk_storage`, `inode_storage`, `task_storage`, `cgrp_storage`,
//! `cgroup_storage` and `percpu_cgroup_storage`.
//!
//! An object is a number of the embedder's: the address or id that its helpers know it by. What belongs to it is made when a
//! program first asks for it ([`Map::storage`]), and goes with it ([`Map::forget_object`]).

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use parking_lot::Mutex;
use ring3_platform::{Errno, MapDef, MapType};

use super::mem::{MAX_MAP_BYTES, Region, round8};
use super::{BPF_EXIST, BPF_NOEXIST, Base, Map, split_lock};
use crate::epoch::{Deleted, RUNS};

/// How many values are allocated at once, as long as there are fewer; later as many as there are.
const FIRST_CHUNK: usize = 16;

/// Where a value is: in which chunk, and where there.
#[derive(Clone, Copy)]
struct Place {
    chunk: usize,
    offset: usize,
}

/// The values. Chunks never move, so that addresses stay.
#[derive(Default)]
struct Values {
    chunks: Vec<Arc<Region>>,
    places: BTreeMap<u64, Place>,
    /// Where nothing ever was.
    fresh: VecDeque<Place>,
    /// Of what was deleted, the earliest first: they wait until no run can know their address.
    deleted: VecDeque<(Place, Deleted)>,
    bytes: u64,
}

/// Storage of any of the six kinds.
pub(super) struct Storage {
    base: Base,
    values: Mutex<Values>,
    stride: usize,
    /// Values of an object: 1, or the number of CPUs.
    copies: u32,
    /// Of control groups: the values of all that find no room, as programs do not look whether they were given any.
    spare: Option<Region>,
    /// Most bytes of values.
    most: u64,
}

impl Storage {
    pub(super) fn new(def: &Arc<MapDef>, cpus: u32) -> Result<Storage, Errno> {
        let stride = usize::try_from(round8(u64::from(def.value_size))).map_err(|_| Errno::ENOMEM)?;
        let copies = if def.kind == MapType::PercpuCgroupStorage { cpus } else { 1 };
        let of_groups = matches!(def.kind, MapType::CgroupStorage | MapType::PercpuCgroupStorage);
        let spare = of_groups.then(|| Region::zeroed(stride as u64 * u64::from(copies))).transpose()?;
        Ok(Storage { base: Base::new(def), values: Mutex::default(), stride, copies, spare, most: MAX_MAP_BYTES })
    }

    fn element(&self) -> usize {
        self.stride * self.copies as usize
    }

    fn is_of_groups(&self) -> bool {
        self.spare.is_some()
    }

    /// The object that a key of user space names: the id of a control group; else the embedder's number, in the place of a
    /// descriptor.
    fn owner(&self, key: &[u8]) -> Result<u64, Errno> {
        if key.len() != self.base.def.key_size as usize {
            return Err(Errno::EINVAL);
        }
        if self.is_of_groups() {
            let id = key.first_chunk().ok_or(Errno::EINVAL)?;
            return Ok(u64::from_ne_bytes(*id));
        }
        let number = key.first_chunk().map(|number| i32::from_ne_bytes(*number)).ok_or(Errno::EINVAL)?;
        u64::try_from(number).map_err(|_| Errno::EBADF)
    }

    /// Room for the values of one more object.
    fn place(&self, values: &mut Values) -> Result<Place, Errno> {
        if let Some((place, _)) = values.deleted.pop_front_if(|(_, deleted)| RUNS.is_over(*deleted)) {
            return Ok(place);
        }
        if let Some(place) = values.fresh.pop_front() {
            return Ok(place);
        }
        let count = values.places.len().max(FIRST_CHUNK);
        let bytes = (self.element() * count) as u64;
        // A last chunk of one, before there is no more.
        let (bytes, count) = match values.bytes + bytes > self.most {
            true => (self.element() as u64, 1),
            false => (bytes, count),
        };
        if values.bytes + bytes > self.most {
            return Err(Errno::ENOMEM);
        }
        let region = Arc::new(Region::zeroed(bytes)?);
        let chunk = values.chunks.len();
        values.chunks.push(region);
        values.bytes += bytes;
        values.fresh.extend((1..count).map(|at| Place { chunk, offset: at * self.element() }));
        Ok(Place { chunk, offset: 0 })
    }

    /// The region and offset of an object's values, which are made if `init` says what they start as.
    fn find(&self, owner: u64, init: Option<&[u8]>) -> Result<(Arc<Region>, usize), Errno> {
        let mut values = self.values.lock();
        if let Some(place) = values.places.get(&owner) {
            return Ok((Arc::clone(&values.chunks[place.chunk]), place.offset));
        }
        let init = init.ok_or(Errno::ENOENT)?;
        let place = self.place(&mut values)?;
        let region = Arc::clone(&values.chunks[place.chunk]);
        region.clear(place.offset, self.element());
        for copy in 0..self.copies as usize {
            self.base.special.write(&region, place.offset + copy * self.stride, init);
        }
        values.places.insert(owner, place);
        Ok((region, place.offset))
    }
}

// SAFETY: addresses are those of values in chunks, which live as long as the map.
unsafe impl Map for Storage {
    fn base(&self) -> &Base {
        &self.base
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        let owner = self.owner(key)?;
        // A control group keeps what it has as long as it lives.
        if self.is_of_groups() { Err(Errno::EINVAL) } else { self.forget_object(owner) }
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        if !self.is_of_groups() {
            return Err(Errno::ENOTSUPP);
        }
        let values = self.values.lock();
        let next = match key {
            None => values.places.first_key_value(),
            Some(key) => {
                let owner = self.owner(key)?;
                values.places.get(&owner).ok_or(Errno::ENOENT)?;
                values.places.range(owner..).nth(1)
            }
        };
        let mut key = next.map(|(owner, _)| owner.to_ne_bytes().to_vec()).ok_or(Errno::ENOENT)?;
        key.resize(self.base.def.key_size as usize, 0);
        Ok(key)
    }

    fn copy_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let (region, offset) = self.find(self.owner(key)?, None)?;
        let bytes = if self.copies > 1 { self.element() } else { self.base.def.value_size as usize };
        let mut value = region.read(offset, bytes);
        self.base.special.hide(&mut value, self.stride);
        Ok(value)
    }

    fn copy_in(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let owner = self.owner(key);
        let (flags, lock) = split_lock(&self.base, flags)?;
        let (percpu, groups) = (self.base.def.kind == MapType::PercpuCgroupStorage, self.is_of_groups());
        let size = if percpu { self.element() } else { self.base.def.value_size as usize };
        if flags > BPF_EXIST || (groups && flags == BPF_NOEXIST) || value.len() != size {
            return Err(Errno::EINVAL);
        }
        let owner = owner?;
        let found = self.find(owner, None);
        let (region, offset) = match (found, flags) {
            (Ok(_), BPF_NOEXIST) => return Err(Errno::EEXIST),
            (Err(Errno::ENOENT), flags) if flags != BPF_EXIST && !groups => {
                return self.find(owner, Some(value)).map(|_| ());
            }
            (found, _) => found?,
        };
        let stride = if percpu { self.stride } else { size };
        for (copy, value) in value.chunks_exact(stride.max(1)).enumerate() {
            let (offset, special) = (offset + copy * self.stride, &self.base.special);
            match lock {
                true => special.locked(&region, offset, || special.write(&region, offset, value)),
                false => special.write(&region, offset, value),
            }
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.values.lock().places.len()
    }

    fn cpus(&self) -> u32 {
        self.copies
    }

    fn storage(&self, owner: u64, cpu: u32, init: Option<&[u8]>) -> Result<NonNull<u8>, Errno> {
        let size = self.base.def.value_size as usize;
        let copy = if self.copies > 1 { cpu } else { 0 };
        if init.is_some_and(|init| init.len() != size) || copy >= self.copies {
            return Err(Errno::EINVAL);
        }
        let offset_of_copy = copy as usize * self.stride;
        match (self.find(owner, init), &self.spare) {
            (Ok((region, offset)), _) => Ok(region.at(offset + offset_of_copy)),
            (Err(_), Some(spare)) if init.is_some() => Ok(spare.at(offset_of_copy)),
            (Err(errno), _) => Err(errno),
        }
    }

    fn forget_object(&self, owner: u64) -> Result<(), Errno> {
        let mut values = self.values.lock();
        let place = values.places.remove(&owner).ok_or(Errno::ENOENT)?;
        let region = Arc::clone(&values.chunks[place.chunk]);
        self.base.special.forget(&region, place.offset, true);
        values.deleted.push_back((place, RUNS.deleted()));
        Ok(())
    }

    fn holds(&self, addr: u64, len: u64) -> bool {
        let spare = self.spare.as_ref().is_some_and(|spare| spare.holds(addr, len));
        spare || self.values.lock().chunks.iter().any(|chunk| chunk.holds(addr, len))
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").field("name", &self.base.def.name).field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_that_is_deleted_stays_for_the_runs_that_know_it() {
        let def = Arc::new(MapDef::new("m", MapType::TaskStorage, 4, 8, 0));
        let storage = Storage::new(&def, 1).unwrap();
        let run = RUNS.begin();
        let value = storage.storage(1, 0, Some(&[7; 8])).unwrap();
        storage.forget_object(1).unwrap();
        for owner in 0..100 {
            assert_ne!(storage.storage(owner, 0, Some(&[1; 8])).unwrap(), value);
            storage.forget_object(owner).unwrap();
        }
        let (region, offset) = {
            let values = storage.values.lock();
            (Arc::clone(&values.chunks[0]), values.chunks[0].offset_of(value).unwrap())
        };
        assert_eq!(region.read(offset, 8), [7; 8]);
        drop(run);
    }

    #[test]
    fn groups_that_find_no_room_share_one_value() {
        let def = Arc::new(MapDef::new("m", MapType::CgroupStorage, 8, 8, 0));
        let storage = Storage { most: 20 * 8, ..Storage::new(&def, 1).unwrap() };
        let value = |group| storage.storage(group, 0, Some(&[0; 8])).unwrap();
        let own: std::collections::BTreeSet<_> = (0..20).map(value).collect();
        assert_eq!((own.len(), storage.len()), (20, 20));
        let shared = value(20);
        assert!(!own.contains(&shared) && storage.holds(shared.as_ptr() as u64, 8));
        assert_eq!((value(21), value(20), value(3)), (shared, shared, value(3)));
        assert_eq!(storage.storage(22, 0, None), Err(Errno::ENOENT));

        let def = Arc::new(MapDef::new("m", MapType::InodeStorage, 4, 8, 0));
        let storage = Storage { most: 8, ..Storage::new(&def, 1).unwrap() };
        assert!(storage.storage(1, 0, Some(&[0; 8])).is_ok());
        assert_eq!(storage.storage(2, 0, Some(&[0; 8])), Err(Errno::ENOMEM));
    }
}
