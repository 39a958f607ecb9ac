//! `hash`, `percpu_hash`, `lru_hash`, `lru_percpu_hash`.
//!
//! Elements have numbers and lie in one [`Region`], so that their memory stays valid whatever happens to them. Each bucket
//! is a chain of elements, changed under the bucket's lock and read without any. A reader may stand on an element that is
//! deleted and put into another chain under its feet; it notices, because a chain ends with the number of its bucket, and
//! starts again.
//!
//! Which memory an element gets is the kernel's choice and visible to programs that keep old pointers: a deleted element is
//! the next to be given to a new key; an update of a key that is there writes a spare element of the CPU and puts that in
//! place of the old one, which becomes the spare. A per-CPU hash writes in place.
//!
//! An LRU map evicts when it is full: the element that was neither written nor looked up by a program for longest, as far
//! as one bit for each element tells. The kernel evicts in batches and from lists for each CPU; here it is always one
//! element of all, and an update of a key that is there evicts none.

use std::fmt;
use std::ops::ControlFlow;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use ring3_platform::{Errno, MapDef, MapFlags, MapType};

use super::direct::{Direct, DirectCalls};
use super::mem::{MAX_MAP_BYTES, Region, load_word, round8, same};
use super::{Base, Batch, LookupCall, Map, Visit, check_update, index_of, split_lock};
use lru::Lru;

mod lru;

/// Set in a link that ends a chain; the other bits are the number of the bucket.
const END: u32 = 1 << 31;
/// No element.
const NONE: u32 = u32::MAX;
/// Where the hash function starts: fixed, so that the order of keys is the same on every run.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
/// An odd constant with evenly spread bits.
const SPREAD: u64 = 0xd6e8_feb8_6659_fd93;

/// Header of an element: where its cells are.
mod cell {
    /// The next element of the chain, or its end.
    pub const NEXT: usize = 0;
    /// The hash of the key.
    pub const HASH: usize = 4;
    /// The next element in the list of free elements, or in the LRU list.
    pub const AFTER: usize = 8;
    /// The key starts here, in a map that does not forget.
    pub const KEY: usize = 16;
    /// The previous element in the LRU list.
    pub const BEFORE: usize = 12;
    /// Whether the element is in the LRU list; changed under its lock.
    pub const LISTED: usize = 16;
    /// Whether a program looked the element up since the evictor passed it.
    pub const USED: usize = 20;
    /// The key starts here, in a map that has an LRU list.
    pub const LRU_KEY: usize = 24;
}

/// Small elements take a power of two, so that none is in two lines of the cache.
const CACHE_LINE: u64 = 64;

/// Heads for each element, at least: chains are short then, and where a key is at the head no branch is mispredicted.
const HEADS: u64 = 2;
/// Most locks of a map: several buckets have the same then.
const MAX_LOCKS: usize = 1 << 16;

/// A chain, and the lock under which it changes.
#[derive(Clone, Copy)]
struct Bucket<'a> {
    head: &'a AtomicU32,
    lock: &'a Mutex<()>,
}

/// All chains.
struct Buckets {
    heads: Region,
    count: usize,
    locks: Box<[Mutex<()>]>,
}

impl Buckets {
    /// For so many elements.
    fn new(elements: u32) -> Result<Buckets, Errno> {
        let count = (u64::from(elements) * HEADS).checked_next_power_of_two().filter(|count| *count <= 1 << 28);
        let count = count.ok_or(Errno::ENOMEM)? as usize;
        let heads = Region::zeroed(count as u64 * 4)?;
        for (number, head) in (0..).zip(heads.cells(0, count)) {
            head.store(END | number, Ordering::Relaxed);
        }
        let locks = (0..count.min(MAX_LOCKS)).map(|_| Mutex::new(())).collect();
        Ok(Buckets { heads, count, locks })
    }

    fn heads(&self) -> &[AtomicU32] {
        self.heads.cells(0, self.count)
    }

    #[inline(always)]
    fn get(&self, number: u32) -> Bucket<'_> {
        // Both counts are powers of two.
        let lock = &self.locks[number as usize & (self.locks.len() - 1)];
        Bucket { head: self.heads.cell(number as usize * 4), lock }
    }

    /// Those from `first` on that are not empty, at the moment of asking.
    fn filled(&self, first: usize) -> impl Iterator<Item = (u32, Bucket<'_>)> {
        let heads = self.heads().iter().enumerate().skip(first);
        let filled = heads.filter(|(_, head)| head.load(Ordering::Acquire) & END == 0);
        filled.map(|(number, _)| (number as u32, self.get(number as u32)))
    }
}

/// The elements: memory, and which of it is free.
struct Slab {
    memory: Region,
    element: usize,
    /// Top of the stack of free elements in the low half, a count of changes in the high half, so that a stale
    /// compare-and-swap fails.
    free: AtomicU64,
    /// Elements from here on were never used.
    fresh: AtomicU32,
    /// How many elements there are, without the spares.
    count: u32,
    /// For each CPU the element that its next replacement takes.
    spares: Box<[AtomicU32]>,
}

impl Slab {
    #[inline(always)]
    fn cell(&self, element: u32, cell: usize) -> &AtomicU32 {
        self.memory.cell(element as usize * self.element + cell)
    }

    fn pop(&self) -> Option<u32> {
        let mut top = self.free.load(Ordering::Acquire);
        while top as u32 != NONE {
            let after = self.cell(top as u32, cell::AFTER).load(Ordering::Relaxed);
            let new = ((top >> 32).wrapping_add(1) << 32) | u64::from(after);
            match self.free.compare_exchange_weak(top, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(top as u32),
                Err(seen) => top = seen,
            }
        }
        self.fresh
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |fresh| (fresh < self.count).then_some(fresh + 1))
            .ok()
    }

    fn push(&self, element: u32) {
        let mut top = self.free.load(Ordering::Relaxed);
        loop {
            self.cell(element, cell::AFTER).store(top as u32, Ordering::Relaxed);
            let new = ((top >> 32).wrapping_add(1) << 32) | u64::from(element);
            match self.free.compare_exchange_weak(top, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => top = seen,
            }
        }
    }
}

/// A key, and where it belongs.
struct Entry<'a> {
    key: &'a [u8],
    hash: u32,
    number: u32,
    bucket: Bucket<'a>,
}

/// The value of an update: one value, or all CPUs' values in a row.
#[derive(Clone, Copy)]
enum Given<'a> {
    One(&'a [u8], u32),
    All(&'a [u8]),
    /// The address of one value, which whoever made this vouches for.
    At(*const u8, u32),
}

/// A hash map of any of the four kinds.
pub(super) struct Hash {
    base: Base,
    buckets: Buckets,
    slab: Slab,
    /// Elements that are there or about to be. Never above the capacity.
    used: AtomicU32,
    lru: Option<Lru>,
    /// Offset of the key in an element.
    key: usize,
    /// Offset of the value in an element.
    value: usize,
    /// Bytes of a value, padded to 8.
    stride: usize,
    /// Values in an element: 1, or the number of CPUs.
    copies: u32,
    percpu: bool,
}

impl Hash {
    pub(super) fn new(def: &Arc<MapDef>, cpus: u32) -> Result<Hash, Errno> {
        let percpu = matches!(def.kind, MapType::PercpuHash | MapType::LruPercpuHash);
        let lru = matches!(def.kind, MapType::LruHash | MapType::LruPercpuHash);
        let copies = if percpu { cpus } else { 1 };
        let [key, stride] = [def.key_size, def.value_size].map(|size| round8(u64::from(size)));
        let key_at = if lru { cell::LRU_KEY } else { cell::KEY };
        let value = key_at as u64 + key;
        let element = value + stride * u64::from(copies);
        let element = if element <= CACHE_LINE { element.next_power_of_two() } else { element };
        let spares = if percpu { 0 } else { cpus };
        let count = capacity(def, element, cpus, spares)?;
        let memory = Region::zeroed(element * u64::from(count + spares))?;
        Ok(Hash {
            base: Base::new(def),
            buckets: Buckets::new(count)?,
            slab: Slab {
                memory,
                element: usize::try_from(element).map_err(|_| Errno::ENOMEM)?,
                free: AtomicU64::new(u64::from(NONE)),
                fresh: AtomicU32::new(0),
                count,
                spares: (count..count + spares).map(AtomicU32::new).collect(),
            },
            used: AtomicU32::new(0),
            lru: lru.then(Lru::default),
            key: key_at,
            value: usize::try_from(value).map_err(|_| Errno::ENOMEM)?,
            stride: usize::try_from(stride).map_err(|_| Errno::ENOMEM)?,
            copies,
            percpu,
        })
    }

    #[inline(always)]
    fn entry<'a>(&'a self, key: &'a [u8]) -> Option<Entry<'a>> {
        if key.len() != self.base.def.key_size as usize {
            return None;
        }
        let hash = hash(key);
        let (number, bucket) = self.bucket_of(hash);
        Some(Entry { key, hash, number, bucket })
    }

    #[inline(always)]
    fn bucket_of(&self, hash: u32) -> (u32, Bucket<'_>) {
        let number = hash & (self.buckets.count as u32 - 1);
        (number, self.buckets.get(number))
    }

    #[inline(always)]
    fn is(&self, element: u32, entry: &Entry<'_>) -> bool {
        let key = element as usize * self.slab.element + self.key;
        self.slab.cell(element, cell::HASH).load(Ordering::Relaxed) == entry.hash
            && same(self.slab.memory.words(key, entry.key.len()), entry.key)
    }

    /// Where CPU `cpu`'s value of an element is. The caller keeps `cpu` below `copies`.
    #[inline(always)]
    fn value_offset(&self, element: u32, cpu: u32) -> usize {
        element as usize * self.slab.element + self.value + cpu as usize * self.stride
    }

    /// Finds a key; needs no lock.
    #[inline(always)]
    fn find(&self, entry: &Entry<'_>) -> Option<u32> {
        loop {
            let mut link = entry.bucket.head.load(Ordering::Acquire);
            while link & END == 0 {
                if self.is(link, entry) {
                    return Some(link);
                }
                link = self.slab.cell(link, cell::NEXT).load(Ordering::Acquire);
            }
            if link == END | entry.number {
                return None;
            }
        }
    }

    /// The value of a key for a program on CPU `cpu`.
    #[inline(always)]
    fn value_of(&self, key: &[u8], cpu: u32) -> Option<NonNull<u8>> {
        let cpu = if self.percpu { cpu } else { 0 };
        if cpu >= self.copies {
            return None;
        }
        let element = self.find(&self.entry(key)?)?;
        if self.lru.is_some() {
            Lru::mark(&self.slab, element);
        }
        Some(self.slab.memory.at(self.value_offset(element, cpu)))
    }

    /// Takes an element out of its chain, whose lock is held. False if it is not there.
    fn unlink(&self, bucket: Bucket<'_>, _locked: &MutexGuard<'_, ()>, element: u32) -> bool {
        let mut link = bucket.head;
        loop {
            let at = link.load(Ordering::Relaxed);
            if at & END != 0 {
                return false;
            }
            let next = self.slab.cell(at, cell::NEXT);
            if at == element {
                // Its own link stays as it is, for readers that stand on it.
                link.store(next.load(Ordering::Relaxed), Ordering::Release);
                return true;
            }
            link = next;
        }
    }

    /// Puts an element at the head of a chain, whose lock is held.
    fn link(&self, bucket: Bucket<'_>, _locked: &MutexGuard<'_, ()>, element: u32) {
        self.slab.cell(element, cell::NEXT).store(bucket.head.load(Ordering::Relaxed), Ordering::Release);
        bucket.head.store(element, Ordering::Release);
        if let Some(lru) = &self.lru {
            lru.insert(&self.slab, element);
        }
    }

    /// Writes hash and key of an element that is in no chain.
    fn name(&self, element: u32, entry: &Entry<'_>) {
        self.slab.cell(element, cell::HASH).store(entry.hash, Ordering::Relaxed);
        self.slab.memory.write(element as usize * self.slab.element + self.key, entry.key);
    }

    /// Writes the value of an element; `new` if it has none of this key yet: then the CPUs that are not given get zeroes.
    fn set(&self, element: u32, given: Given<'_>, new: bool) {
        let write = |cpu, value| self.base.special.write(&self.slab.memory, self.value_offset(element, cpu), value);
        match given {
            Given::One(value, cpu) if self.percpu => {
                self.clear_others(element, cpu, new);
                write(cpu, value);
            }
            Given::One(value, _) => write(0, value),
            Given::At(value, cpu) => {
                let cpu = if self.percpu { cpu } else { 0 };
                if self.percpu {
                    self.clear_others(element, cpu, new);
                }
                let (special, size) = (&self.base.special, self.base.def.value_size as usize);
                // SAFETY: by whoever made it, a value is there.
                unsafe { special.write_from(&self.slab.memory, self.value_offset(element, cpu), value, size) };
            }
            Given::All(values) => {
                for (cpu, value) in (0..self.copies).zip(values.chunks_exact(self.stride)) {
                    write(cpu, value);
                }
            }
        }
    }

    /// Zeroes the values of other CPUs in a new element.
    fn clear_others(&self, element: u32, cpu: u32, new: bool) {
        for other in (0..self.copies).filter(|&other| new && other != cpu) {
            self.slab.memory.clear(self.value_offset(element, other), self.stride);
        }
    }

    /// Releases what the special fields of an element hold, of which no program may have got hold yet or any more.
    fn forget(&self, element: u32) {
        if !self.base.special.is_none() {
            for cpu in 0..self.copies {
                self.base.special.forget(&self.slab.memory, self.value_offset(element, cpu), true);
            }
        }
    }

    /// Gives a key that is there a new value, under its bucket's lock. False if an evictor has taken the element and is
    /// waiting for the lock.
    fn replace(&self, entry: &Entry<'_>, locked: &MutexGuard<'_, ()>, old: u32, given: Given<'_>, cpu: u32) -> bool {
        let spare = self.slab.spares.get(cpu as usize).map(|slot| (slot, slot.swap(NONE, Ordering::AcqRel)));
        let Some((slot, new)) = spare.filter(|&(_, new)| new != NONE) else {
            // Per-CPU values are written in place; so are others while another thread of the same CPU has its spare.
            let ours = self.lru.as_ref().is_none_or(|lru| lru.touch(&self.slab, old));
            if ours {
                self.set(old, given, false);
            }
            return ours;
        };
        let ours = self.lru.as_ref().is_none_or(|lru| lru.remove(&self.slab, old));
        if ours {
            self.name(new, entry);
            self.set(new, given, true);
            self.link(entry.bucket, locked, new);
            self.unlink(entry.bucket, locked, old);
            self.forget(old);
        }
        slot.store(if ours { old } else { new }, Ordering::Release);
        ours
    }

    /// An element for a new key, if there is room.
    fn take(&self) -> Option<u32> {
        let max = self.slab.count;
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| (used < max).then_some(used + 1)).ok()?;
        let element = self.slab.pop();
        if element.is_none() {
            self.used.fetch_sub(1, Ordering::AcqRel);
        }
        element
    }

    /// Gives an element back that is in no chain.
    fn give(&self, element: u32) {
        self.forget(element);
        self.slab.push(element);
        self.used.fetch_sub(1, Ordering::AcqRel);
    }

    /// Takes the least recently used element away from its key.
    fn evict(&self) -> Option<u32> {
        let element = self.lru.as_ref()?.claim(&self.slab)?;
        let (_, bucket) = self.bucket_of(self.slab.cell(element, cell::HASH).load(Ordering::Relaxed));
        let locked = bucket.lock.lock();
        // If it is not in its chain, a deletion was first and left the element to us.
        self.unlink(bucket, &locked, element);
        self.forget(element);
        Some(element)
    }
}

impl Hash {
    #[inline(always)]
    fn remove_key(&self, key: &[u8]) -> Result<(), Errno> {
        let entry = self.entry(key).ok_or(Errno::EINVAL)?;
        let locked = entry.bucket.lock.lock();
        let element = self.find(&entry).ok_or(Errno::ENOENT)?;
        self.drop_element(entry.bucket, &locked, element);
        Ok(())
    }

    /// Creates or replaces. `cpu` is whose spare element a replacement takes.
    #[inline(always)]
    fn put(&self, key: &[u8], given: Given<'_>, flags: u64, cpu: u32) -> Result<(), Errno> {
        let (flags, lock) = split_lock(&self.base, flags)?;
        let entry = self.entry(key).ok_or(Errno::EINVAL)?;
        let mut room = None;
        let done = loop {
            let locked = entry.bucket.lock.lock();
            let old = self.find(&entry);
            if let Err(errno) = check_update(flags, old.is_some()) {
                break Err(errno);
            }
            if let Some(old) = old {
                if lock {
                    // In place, as whoever has the address holds the lock by it.
                    let memory = &self.slab.memory;
                    self.base.special.locked(memory, self.value_offset(old, 0), || self.set(old, given, false));
                    break Ok(());
                }
                if self.replace(&entry, &locked, old, given, cpu) {
                    break Ok(());
                }
                // Whoever evicts it waits for the lock that is dropped here.
                drop(locked);
                std::thread::yield_now();
                continue;
            }
            if let Some(element) = room.take().or_else(|| self.take()) {
                self.name(element, &entry);
                self.set(element, given, true);
                self.link(entry.bucket, &locked, element);
                break Ok(());
            }
            drop(locked);
            // Evicting takes the lock of another bucket, or of this one again.
            match self.evict() {
                Some(element) => room = Some(element),
                None => break Err(self.full()),
            }
        };
        if let Some(element) = room {
            self.give(element);
        }
        done
    }

    /// The error of a full map: of an LRU, that all its elements are being evicted by other threads; of a map that allocates
    /// on demand, that it reached our limit on memory before its capacity.
    fn full(&self) -> Errno {
        if self.lru.is_some() || self.slab.count < self.base.def.max_entries { Errno::ENOMEM } else { Errno::E2BIG }
    }

    /// The elements of a bucket, whose lock is held, in the order of its chain.
    fn chain(&self, bucket: Bucket<'_>, _locked: &MutexGuard<'_, ()>) -> Vec<u32> {
        let mut chain = Vec::new();
        let mut link = bucket.head.load(Ordering::Relaxed);
        while link & END == 0 {
            chain.push(link);
            link = self.slab.cell(link, cell::NEXT).load(Ordering::Relaxed);
        }
        chain
    }

    /// Takes an element out of its chain, whose lock is held, and gives it back.
    fn drop_element(&self, bucket: Bucket<'_>, locked: &MutexGuard<'_, ()>, element: u32) {
        self.unlink(bucket, locked, element);
        // An element that an evictor has claimed is the evictor's once it is in no chain.
        if self.lru.as_ref().is_none_or(|lru| lru.remove(&self.slab, element)) {
            self.give(element);
        }
    }

    /// The value of an element as user space sees it: of all CPUs.
    fn user_value(&self, element: u32) -> Vec<u8> {
        let size = self.base.def.value_size as usize;
        let bytes = if self.percpu { self.stride * self.copies as usize } else { size };
        let mut value = self.slab.memory.read(self.value_offset(element, 0), bytes);
        self.base.special.hide(&mut value, self.stride);
        value
    }

    fn key_of(&self, element: u32) -> Vec<u8> {
        self.slab.memory.read(element as usize * self.slab.element + self.key, self.base.def.key_size as usize)
    }

    /// The key that a link leads to, or the first one of the buckets from `bucket` on if it ends its chain.
    fn key_from(&self, link: u32, bucket: usize) -> Option<Vec<u8>> {
        if link & END == 0 {
            return Some(self.key_of(link));
        }
        self.buckets.filled(bucket).find_map(|(_, bucket)| {
            let _locked = bucket.lock.lock();
            let head = bucket.head.load(Ordering::Relaxed);
            (head & END == 0).then(|| self.key_of(head))
        })
    }
}

impl Direct for Hash {
    #[inline(always)]
    fn lookup_sized<const N: usize>(&self, key: &[u8; N], cpu: u32) -> Option<NonNull<u8>> {
        self.value_of(key, cpu)
    }

    #[inline(always)]
    unsafe fn update_sized<const N: usize>(
        &self,
        key: &[u8; N],
        value: *const u8,
        flags: u64,
        cpu: u32,
    ) -> Result<(), Errno> {
        if self.percpu && cpu >= self.copies {
            return Err(Errno::EINVAL);
        }
        self.put(key, Given::At(value, cpu), flags, cpu)
    }

    #[inline(always)]
    fn delete_sized<const N: usize>(&self, key: &[u8; N]) -> Result<(), Errno> {
        self.remove_key(key)
    }
}

// SAFETY: addresses are those of values in the region, which lives as long as the map.
unsafe impl Map for Hash {
    fn base(&self) -> &Base {
        &self.base
    }

    fn holds(&self, addr: u64, len: u64) -> bool {
        self.slab.memory.holds(addr, len)
    }

    fn lookup_ptr(&self, key: &[u8], cpu: u32) -> Option<NonNull<u8>> {
        // Most keys have one of few sizes, for which there is code without loops over words.
        match key.len() {
            4 => self.value_of(key.first_chunk::<4>()?, cpu),
            8 => self.value_of(key.first_chunk::<8>()?, cpu),
            16 => self.value_of(key.first_chunk::<16>()?, cpu),
            _ => self.value_of(key, cpu),
        }
    }

    fn lookup_call(&self) -> Option<LookupCall> {
        self.direct_lookup(self.percpu)
    }

    fn update(&self, key: &[u8], value: &[u8], flags: u64, cpu: u32) -> Result<(), Errno> {
        if value.len() != self.base.def.value_size as usize || (self.percpu && cpu >= self.copies) {
            return Err(Errno::EINVAL);
        }
        self.put(key, Given::One(value, cpu), flags, cpu)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        self.remove_key(key)
    }

    fn direct_calls(&self) -> Option<DirectCalls> {
        self.direct()
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        let found = match key {
            None => self.key_from(END, 0),
            Some(key) => {
                let entry = self.entry(key).ok_or(Errno::EINVAL)?;
                let locked = entry.bucket.lock.lock();
                match self.find(&entry) {
                    None => {
                        drop(locked);
                        self.key_from(END, 0)
                    }
                    Some(element) => {
                        let link = self.slab.cell(element, cell::NEXT).load(Ordering::Relaxed);
                        if link & END == 0 {
                            Some(self.key_of(link))
                        } else {
                            drop(locked);
                            self.key_from(END, entry.number as usize + 1)
                        }
                    }
                }
            }
        };
        found.ok_or(Errno::ENOENT)
    }

    fn copy_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let entry = self.entry(key).ok_or(Errno::EINVAL)?;
        // Under the lock the element cannot become another key's while it is copied.
        let _locked = entry.bucket.lock.lock();
        let element = self.find(&entry).ok_or(Errno::ENOENT)?;
        Ok(self.user_value(element))
    }

    fn copy_out_locked(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let entry = self.entry(key).ok_or(Errno::EINVAL)?;
        let _locked = entry.bucket.lock.lock();
        let element = self.find(&entry).ok_or(Errno::ENOENT)?;
        self.base.special.locked(&self.slab.memory, self.value_offset(element, 0), || Ok(self.user_value(element)))
    }

    fn copy_in(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        if !self.percpu {
            return self.update(key, value, flags, 0);
        }
        if value.len() != self.stride * self.copies as usize {
            return Err(Errno::EINVAL);
        }
        self.put(key, Given::All(value), flags, 0)
    }

    fn take_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let entry = self.entry(key).ok_or(Errno::EINVAL)?;
        let locked = entry.bucket.lock.lock();
        let element = self.find(&entry).ok_or(Errno::ENOENT)?;
        let value = self.user_value(element);
        self.drop_element(entry.bucket, &locked, element);
        Ok(value)
    }

    /// Buckets are read whole: where to go on is the number of one.
    fn copy_out_batch(&self, from: Option<&[u8]>, max: usize, take: bool) -> Result<Batch, Errno> {
        let first = from.map_or(Some(0), index_of).ok_or(Errno::EINVAL)?;
        let mut batch = Batch { ended: true, ..Batch::default() };
        let mut next = self.buckets.count as u32;
        for (number, bucket) in self.buckets.filled(first as usize) {
            let locked = bucket.lock.lock();
            let chain = self.chain(bucket, &locked);
            if chain.len() > max - batch.count {
                if batch.count == 0 {
                    return Err(Errno::ENOSPC);
                }
                (next, batch.ended) = (number, false);
                break;
            }
            for element in chain {
                batch.keys.extend(self.key_of(element));
                batch.values.extend(self.user_value(element));
                batch.count += 1;
                if take {
                    self.drop_element(bucket, &locked, element);
                }
            }
        }
        batch.next = next.to_ne_bytes().to_vec();
        Ok(batch)
    }

    fn cpus(&self) -> u32 {
        self.copies
    }

    fn len(&self) -> usize {
        self.used.load(Ordering::Acquire) as usize
    }

    fn for_each(&self, cpu: u32, visit: &mut Visit<'_>) -> Result<u64, Errno> {
        let cpu = if self.percpu { cpu } else { 0 };
        if cpu >= self.copies {
            return Err(Errno::EINVAL);
        }
        let mut visits = 0;
        for (_, bucket) in self.buckets.filled(0) {
            let chain = self.chain(bucket, &bucket.lock.lock());
            for element in chain {
                let key = self.slab.memory.at(element as usize * self.slab.element + self.key);
                visits += 1;
                if let ControlFlow::Break(()) = visit(key, self.slab.memory.at(self.value_offset(element, cpu))) {
                    return Ok(visits);
                }
            }
        }
        Ok(visits)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hash").field("name", &self.base.def.name).field("len", &self.len()).finish_non_exhaustive()
    }
}

/// How many elements a map has. One that allocates on demand has as many as fit into [`MAX_MAP_BYTES`]; others fail to be
/// created where they do not fit. With an LRU list for each CPU, the kernel rounds up to a multiple of their number.
fn capacity(def: &MapDef, element: u64, cpus: u32, spares: u32) -> Result<u32, Errno> {
    let wanted = match def.flags.has(MapFlags::NO_COMMON_LRU) {
        true => def.max_entries.checked_next_multiple_of(cpus).unwrap_or(def.max_entries - def.max_entries % cpus),
        false => def.max_entries,
    };
    let fits = u32::try_from(MAX_MAP_BYTES / element).unwrap_or(u32::MAX).saturating_sub(spares);
    match def.flags.has(MapFlags::NO_PREALLOC) {
        _ if fits == 0 => Err(Errno::ENOMEM),
        true => Ok(wanted.min(fits)),
        false if wanted > fits => Err(Errno::ENOMEM),
        false => Ok(wanted),
    }
}

/// The hash of a key: multiply and fold, a word at a time, the same on machines of either byte order.
#[inline(always)]
fn hash(key: &[u8]) -> u32 {
    let mut state = SEED ^ key.len() as u64;
    for chunk in key.chunks(8) {
        let product = u128::from(state ^ u64::from_le(load_word(chunk))) * u128::from(SPREAD);
        state = (product as u64) ^ ((product >> 64) as u64);
    }
    let product = u128::from(state) * u128::from(SEED);
    ((product as u64) ^ ((product >> 64) as u64)) as u32
}
