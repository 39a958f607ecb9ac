//! `hash`, `percpu_hash`, `lru_hash`, `lru_percpu_hash`.
//!
//! Elements have numbers and lie in one [`Region`], so that their memory stays valid whatever happens to them. Each bucket
//! is a chain of elements, changed under the bucket's lock and read without any. A reader may stand on an element that is
//! deleted and put into another chain under its feet; it notices, because a chain ends with the number of its bucket, and
//! starts again.
//!
//! Which memory an element gets is the kernel's choice and visible to programs that keep old pointers: an element that a thread
//! deletes is the next that it gives to a new key; an update of a key that is there writes a spare element of the CPU and puts that in
//! place of the old one, which becomes the spare. A per-CPU hash writes in place.
//!
//! An LRU map evicts when it is full: the element that was neither written nor looked up by a program for longest, as far
//! as one bit for each element tells. The kernel evicts in batches, a single element at a time in small maps only, and from lists
//! for each CPU; what was looked up it keeps on a list apart. Here it is always one element of all, nearly the oldest if several
//! threads write, and an update of a key that is there evicts none. What nobody looks up or writes again goes in the same order here
//! and there (`linux/tests/maps_beside_linux.rs`).

use std::fmt;
use std::ops::ControlFlow;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ring3_platform::{Errno, MapDef, MapFlags, MapType};

use super::direct::{Direct, DirectCalls};
use super::mem::{MAX_MAP_BYTES, Region, load_word, round8, same};
use super::shard::Padded;
use super::{Base, Batch, LookupCall, Map, Visit, check_update, index_of, split_lock};
use bucket::{Bucket, Buckets, END, Locked};
use free::Free;
use lru::Lru;

mod bucket;
mod free;
mod lru;

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
    /// The LRU list in which the element is, from 1 on, or 0; changed under the list's lock.
    pub const LISTED: usize = 16;
    /// Whether a program looked the element up since the evictor passed it.
    pub const USED: usize = 20;
    /// When the element came to the front of its LRU list.
    pub const SINCE: usize = 24;
    /// The key starts here, in a map that has LRU lists.
    pub const LRU_KEY: usize = 32;
}

/// How often an element to evict is looked for.
const EVICTIONS: u32 = 100;

/// Small elements take a power of two, so that none is in two lines of the cache.
const CACHE_LINE: u64 = 64;

/// The elements: memory, and which of it is free.
struct Slab {
    memory: Region,
    element: usize,
    free: Free,
    /// How many elements there are, without the spares.
    count: u32,
    /// For each CPU the element that its next replacement takes.
    spares: Box<[Padded<AtomicU32>]>,
}

impl Slab {
    #[inline(always)]
    fn cell(&self, element: u32, cell: usize) -> &AtomicU32 {
        self.memory.cell(element as usize * self.element + cell)
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
                free: Free::new(),
                count,
                spares: (count..count + spares).map(|spare| Padded(AtomicU32::new(spare))).collect(),
            },
            lru: lru.then(|| Lru::new(count)),
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
            let mut link = entry.bucket.first();
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

    /// Takes an element out of its chain. False if it is not there.
    fn unlink(&self, chain: &Locked<'_>, element: u32) -> bool {
        // Its own link stays as it is, for readers that stand on it.
        let next = |of: u32| self.slab.cell(of, cell::NEXT);
        let mut at = chain.first();
        if at == element {
            chain.set_first(next(element).load(Ordering::Relaxed));
            return true;
        }
        while at & END == 0 {
            let link = next(at);
            at = link.load(Ordering::Relaxed);
            if at == element {
                link.store(next(element).load(Ordering::Relaxed), Ordering::Release);
                return true;
            }
        }
        false
    }

    /// Puts an element at the head of a chain.
    fn link(&self, chain: &Locked<'_>, element: u32) {
        self.slab.cell(element, cell::NEXT).store(chain.first(), Ordering::Release);
        chain.set_first(element);
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
    fn replace(&self, entry: &Entry<'_>, chain: &Locked<'_>, old: u32, given: Given<'_>, cpu: u32) -> bool {
        let spare = self.slab.spares.get(cpu as usize).map(|Padded(slot)| (slot, slot.swap(NONE, Ordering::AcqRel)));
        let Some((slot, new)) = spare.filter(|&(_, new)| new != NONE) else {
            // Per-CPU values are written in place; so are others while another thread of the same CPU has its spare.
            let ours = self.lru.as_ref().is_none_or(|lru| lru.replace(&self.slab, old, old));
            if ours {
                self.set(old, given, false);
            }
            return ours;
        };
        self.name(new, entry);
        self.set(new, given, true);
        let ours = self.lru.as_ref().is_none_or(|lru| lru.replace(&self.slab, old, new));
        if ours {
            self.link(chain, new);
            self.unlink(chain, old);
            self.forget(old);
        }
        slot.store(if ours { old } else { new }, Ordering::Release);
        ours
    }

    /// Gives an element back that is in no chain.
    fn give(&self, element: u32) {
        self.forget(element);
        self.slab.give(element);
    }

    /// Takes the least recently used element away from its key.
    fn evict(&self) -> Option<u32> {
        let element = self.lru.as_ref()?.claim(&self.slab)?;
        let (_, bucket) = self.bucket_of(self.slab.cell(element, cell::HASH).load(Ordering::Relaxed));
        let chain = bucket.lock();
        // If it is not in its chain, a deletion was first and left the element to us.
        self.unlink(&chain, element);
        self.forget(element);
        Some(element)
    }

    /// An element of a full map that forgets. Others may have all of them in their hands for a moment, on the way from one list to another.
    fn make_room(&self) -> Option<u32> {
        let tries = if self.lru.is_some() { EVICTIONS } else { 0 };
        (0..tries).find_map(|again| {
            if again > 0 {
                std::thread::yield_now();
            }
            self.evict().or_else(|| self.slab.take())
        })
    }
}

impl Hash {
    #[inline(always)]
    fn remove_key(&self, key: &[u8]) -> Result<(), Errno> {
        let entry = self.entry(key).ok_or(Errno::EINVAL)?;
        let chain = entry.bucket.lock();
        let element = self.find(&entry).ok_or(Errno::ENOENT)?;
        self.drop_element(&chain, element);
        Ok(())
    }

    /// Creates or replaces. `cpu` is whose spare element a replacement takes.
    #[inline(always)]
    fn put(&self, key: &[u8], given: Given<'_>, flags: u64, cpu: u32) -> Result<(), Errno> {
        let (flags, lock) = split_lock(&self.base, flags)?;
        let entry = self.entry(key).ok_or(Errno::EINVAL)?;
        let mut room = None;
        let done = loop {
            let chain = entry.bucket.lock();
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
                if self.replace(&entry, &chain, old, given, cpu) {
                    break Ok(());
                }
                // Whoever evicts it waits for the lock that is dropped here.
                drop(chain);
                std::thread::yield_now();
                continue;
            }
            if let Some(element) = room.take().or_else(|| self.slab.take()) {
                self.name(element, &entry);
                self.set(element, given, true);
                self.link(&chain, element);
                if let Some(lru) = &self.lru {
                    lru.insert(&self.slab, element);
                }
                break Ok(());
            }
            drop(chain);
            // Evicting takes the lock of another bucket, or of this one again.
            room = self.make_room();
            if room.is_none() {
                break Err(self.full());
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

    /// The elements of a bucket, in the order of its chain.
    fn elements(&self, chain: &Locked<'_>) -> Vec<u32> {
        let mut elements = Vec::new();
        let mut link = chain.first();
        while link & END == 0 {
            elements.push(link);
            link = self.slab.cell(link, cell::NEXT).load(Ordering::Relaxed);
        }
        elements
    }

    /// Takes an element out of its chain, and gives it back.
    fn drop_element(&self, chain: &Locked<'_>, element: u32) {
        self.unlink(chain, element);
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
            let chain = bucket.lock();
            let first = chain.first();
            (first & END == 0).then(|| self.key_of(first))
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
                let chain = entry.bucket.lock();
                match self.find(&entry) {
                    None => {
                        drop(chain);
                        self.key_from(END, 0)
                    }
                    Some(element) => {
                        let link = self.slab.cell(element, cell::NEXT).load(Ordering::Relaxed);
                        if link & END == 0 {
                            Some(self.key_of(link))
                        } else {
                            drop(chain);
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
        let _no_change = entry.bucket.lock();
        let element = self.find(&entry).ok_or(Errno::ENOENT)?;
        Ok(self.user_value(element))
    }

    fn copy_out_locked(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let entry = self.entry(key).ok_or(Errno::EINVAL)?;
        let _no_change = entry.bucket.lock();
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
        let chain = entry.bucket.lock();
        let element = self.find(&entry).ok_or(Errno::ENOENT)?;
        let value = self.user_value(element);
        self.drop_element(&chain, element);
        Ok(value)
    }

    /// Buckets are read whole: where to go on is the number of one.
    fn copy_out_batch(&self, from: Option<&[u8]>, max: usize, take: bool) -> Result<Batch, Errno> {
        let first = from.map_or(Some(0), index_of).ok_or(Errno::EINVAL)?;
        let mut batch = Batch { ended: true, ..Batch::default() };
        let mut next = self.buckets.count as u32;
        for (number, bucket) in self.buckets.filled(first as usize) {
            let chain = bucket.lock();
            let elements = self.elements(&chain);
            if elements.len() > max - batch.count {
                if batch.count == 0 {
                    return Err(Errno::ENOSPC);
                }
                (next, batch.ended) = (number, false);
                break;
            }
            for element in elements {
                batch.keys.extend(self.key_of(element));
                batch.values.extend(self.user_value(element));
                batch.count += 1;
                if take {
                    self.drop_element(&chain, element);
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
        self.slab.taken()
    }

    fn for_each(&self, cpu: u32, visit: &mut Visit<'_>) -> Result<u64, Errno> {
        let cpu = if self.percpu { cpu } else { 0 };
        if cpu >= self.copies {
            return Err(Errno::EINVAL);
        }
        let mut visits = 0;
        for (_, bucket) in self.buckets.filled(0) {
            let elements = self.elements(&bucket.lock());
            for element in elements {
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
