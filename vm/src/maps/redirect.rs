//! `devmap`, `devmap_hash`, `cpumap` and `xskmap`: where `bpf_redirect_map` sends packets.
//!
//! There are no network interfaces and sockets here, so that any interface number exists, any descriptor of 0 or more is a
//! socket (bound to the queue with the number of its slot), and no program can be attached to an entry.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use ring3_platform::{Errno, MapDef};

use super::mem::{MAX_MAP_BYTES, Region};
use super::{BPF_EXIST, BPF_NOEXIST, Base, Map, check_update, index_of, next_index};

/// Bytes that an entry has in memory: a number and a program's number, as programs see it.
const ENTRY: usize = 8;
/// The longest queue of a cpumap's entry, in packets.
const MAX_QUEUE: u32 = 16384;
/// What an entry of a devmap_hash costs, with its place in the index.
const HASH_ENTRY_BYTES: u64 = 64;

/// The number that an update gives, and a descriptor of a program behind it.
fn given(value: &[u8]) -> Option<(u32, i32)> {
    let (number, program) = value.split_first_chunk()?;
    let program = program.first_chunk().map_or(0, |program| i32::from_ne_bytes(*program));
    Some((u32::from_ne_bytes(*number), program))
}

/// A word with the two halves in memory order.
fn entry(first: u32, second: u32) -> u64 {
    let mut bytes = [0; ENTRY];
    bytes[..4].copy_from_slice(&first.to_ne_bytes());
    bytes[4..].copy_from_slice(&second.to_ne_bytes());
    u64::from_ne_bytes(bytes)
}

/// The half at the lower address.
fn first_half(word: u64) -> u32 {
    let [a, b, c, d, ..] = word.to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

/// What entries stand for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Interfaces,
    Cpus,
    Sockets,
}

/// A devmap, cpumap or xskmap: entries by index. A word of 0 is no entry.
pub(super) struct Targets {
    base: Base,
    family: Family,
    entries: Region,
    cpus: u32,
}

impl Targets {
    pub(super) fn new(def: &Arc<MapDef>, family: Family, cpus: u32) -> Result<Targets, Errno> {
        let entries = Region::zeroed(u64::from(def.max_entries) * ENTRY as u64)?;
        Ok(Targets { base: Base::new(def), family, entries, cpus })
    }

    fn word(&self, index: u32) -> Option<&AtomicU64> {
        let there = index < self.base.def.max_entries;
        there.then(|| &self.entries.words(index as usize * ENTRY, ENTRY)[0])
    }

    fn entry(&self, index: u32) -> Option<u64> {
        Some(self.word(index)?.load(Ordering::Acquire)).filter(|word| *word != 0)
    }

    /// The word of an update, or why it cannot be. 0 takes the entry out.
    fn updated(&self, index: u32, old: u64, (number, program): (u32, i32), flags: u64) -> Result<u64, Errno> {
        match self.family {
            Family::Sockets if number > i32::MAX as u32 => return Err(Errno::EBADF),
            Family::Sockets => check_update(flags, old != 0)?,
            Family::Interfaces | Family::Cpus if flags == BPF_NOEXIST => return Err(Errno::EEXIST),
            Family::Interfaces if program > 0 => return Err(Errno::EINVAL),
            Family::Cpus if number > MAX_QUEUE => return Err(Errno::EOVERFLOW),
            Family::Cpus if index >= self.cpus => return Err(Errno::ENODEV),
            // What the kernel gives for every entry that it cannot make.
            Family::Cpus if number != 0 && program > 0 => return Err(Errno::ENOMEM),
            Family::Interfaces | Family::Cpus => {}
        }
        Ok(match self.family {
            Family::Sockets => entry(index, 1),
            Family::Interfaces | Family::Cpus => entry(number, 0),
        })
    }
}

// SAFETY: addresses are those of entries in the region, which has as many as the definition and lives as long as the map.
unsafe impl Map for Targets {
    fn base(&self) -> &Base {
        &self.base
    }

    fn holds(&self, addr: u64, len: u64) -> bool {
        self.entries.holds(addr, len)
    }

    fn lookup_ptr(&self, key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        let index = index_of(key)?;
        self.entry(index).map(|_| self.entries.at(index as usize * ENTRY))
    }

    fn update(&self, key: &[u8], value: &[u8], flags: u64, _cpu: u32) -> Result<(), Errno> {
        self.copy_in(key, value, flags)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        let word = self.word(index_of(key).ok_or(Errno::EINVAL)?).ok_or(Errno::EINVAL)?;
        word.store(0, Ordering::Release);
        Ok(())
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.base.def.max_entries)
    }

    fn copy_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        if self.family == Family::Sockets {
            return Err(Errno::EOPNOTSUPP);
        }
        let word = self.entry(index_of(key).ok_or(Errno::EINVAL)?).ok_or(Errno::ENOENT)?;
        Ok(word.to_ne_bytes()[..self.base.def.value_size as usize].to_vec())
    }

    fn copy_in(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let index = index_of(key).ok_or(Errno::EINVAL)?;
        if flags > BPF_EXIST || value.len() != self.base.def.value_size as usize {
            return Err(Errno::EINVAL);
        }
        let given = given(value).ok_or(Errno::EINVAL)?;
        let word = self.word(index).ok_or(Errno::E2BIG)?;
        let mut old = word.load(Ordering::Acquire);
        loop {
            let new = self.updated(index, old, given, flags)?;
            match word.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(now) => old = now,
            }
        }
    }

    fn len(&self) -> usize {
        self.base.def.max_entries as usize
    }

    fn target(&self, key: u32) -> Option<u32> {
        let word = self.entry(key)?;
        Some(if self.family == Family::Cpus { key } else { first_half(word) })
    }
}

impl fmt::Debug for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Targets").field("name", &self.base.def.name).finish_non_exhaustive()
    }
}

/// Where an entry of a [`TargetHash`] is: its memory, and its place in the order.
#[derive(Clone, Copy)]
struct Place {
    slot: u32,
    age: u64,
}

/// What a [`TargetHash`] knows of its entries.
#[derive(Default)]
struct Index {
    places: BTreeMap<u32, Place>,
    /// Keys in the kernel's order: by bucket, in a bucket the newest first.
    order: BTreeMap<(u32, Reverse<u64>), u32>,
    unused: Vec<u32>,
    fresh: u32,
    age: u64,
}

/// A devmap_hash.
pub(super) struct TargetHash {
    base: Base,
    entries: Region,
    buckets: u32,
    index: RwLock<Index>,
}

impl TargetHash {
    pub(super) fn new(def: &Arc<MapDef>) -> Result<TargetHash, Errno> {
        let count = u64::from(def.max_entries);
        if count * HASH_ENTRY_BYTES > MAX_MAP_BYTES {
            return Err(Errno::ENOMEM);
        }
        let entries = Region::zeroed(count * ENTRY as u64)?;
        let buckets = def.max_entries.checked_next_power_of_two().ok_or(Errno::EINVAL)?;
        Ok(TargetHash { base: Base::new(def), entries, buckets, index: RwLock::default() })
    }

    fn place(&self, key: u32, age: u64) -> (u32, Reverse<u64>) {
        (key & (self.buckets - 1), Reverse(age))
    }

    fn word(&self, slot: u32) -> &AtomicU64 {
        &self.entries.words(slot as usize * ENTRY, ENTRY)[0]
    }

    fn slot(&self, key: u32) -> Option<u32> {
        self.index.read().places.get(&key).map(|place| place.slot)
    }
}

// SAFETY: addresses are those of entries in the region, which has as many as the definition and lives as long as the map.
unsafe impl Map for TargetHash {
    fn base(&self) -> &Base {
        &self.base
    }

    fn holds(&self, addr: u64, len: u64) -> bool {
        self.entries.holds(addr, len)
    }

    fn lookup_ptr(&self, key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        self.slot(index_of(key)?).map(|slot| self.entries.at(slot as usize * ENTRY))
    }

    fn update(&self, key: &[u8], value: &[u8], flags: u64, _cpu: u32) -> Result<(), Errno> {
        self.copy_in(key, value, flags)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        let key = index_of(key).ok_or(Errno::EINVAL)?;
        let mut index = self.index.write();
        let place = index.places.remove(&key).ok_or(Errno::ENOENT)?;
        index.order.remove(&self.place(key, place.age));
        index.unused.push(place.slot);
        Ok(())
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        let key = key.map(|key| index_of(key).ok_or(Errno::EINVAL)).transpose()?;
        let index = self.index.read();
        let place = key.and_then(|key| Some(self.place(key, index.places.get(&key)?.age)));
        let next = match place {
            Some(place) => index.order.range(place..).nth(1),
            None => index.order.first_key_value(),
        };
        next.map(|(_, key)| key.to_ne_bytes().to_vec()).ok_or(Errno::ENOENT)
    }

    fn copy_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let slot = self.slot(index_of(key).ok_or(Errno::EINVAL)?).ok_or(Errno::ENOENT)?;
        Ok(self.entries.read(slot as usize * ENTRY, self.base.def.value_size as usize))
    }

    fn copy_in(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let key = index_of(key).ok_or(Errno::EINVAL)?;
        let (number, program) = given(value).ok_or(Errno::EINVAL)?;
        if flags > BPF_EXIST || number == 0 || value.len() != self.base.def.value_size as usize {
            return Err(Errno::EINVAL);
        }
        let mut index = self.index.write();
        let old = index.places.get(&key).copied();
        // BPF_EXIST is not asked for here, neither by the kernel.
        if old.is_some() && flags == BPF_NOEXIST {
            return Err(Errno::EEXIST);
        }
        if program > 0 {
            return Err(Errno::EINVAL);
        }
        let slot = match old {
            Some(place) => {
                index.order.remove(&self.place(key, place.age));
                place.slot
            }
            None if index.places.len() >= self.base.def.max_entries as usize => return Err(Errno::E2BIG),
            None => index.unused.pop().unwrap_or_else(|| {
                index.fresh += 1;
                index.fresh - 1
            }),
        };
        index.age += 1;
        let age = index.age;
        self.word(slot).store(entry(number, 0), Ordering::Release);
        index.places.insert(key, Place { slot, age });
        index.order.insert(self.place(key, age), key);
        Ok(())
    }

    fn len(&self) -> usize {
        self.index.read().places.len()
    }

    fn target(&self, key: u32) -> Option<u32> {
        self.slot(key).map(|slot| first_half(self.word(slot).load(Ordering::Acquire)))
    }
}

impl fmt::Debug for TargetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetHash")
            .field("name", &self.base.def.name)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
