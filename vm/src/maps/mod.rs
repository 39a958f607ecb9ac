//! Maps, with the semantics of the kernel: a file per family.
//!
//! [`create`] checks a definition as `BPF_MAP_CREATE` does and gives an `Arc<dyn Map>`. The trait has two sides. The
//! program side ([`Map::lookup_ptr`], [`Map::update`], [`Map::delete`], [`Map::for_each`], ...) is what helpers call: addresses
//! of values, one CPU's copy of a per-CPU value. The user side ([`Map::read`], [`Map::write`], [`Map::remove`],
//! [`Map::next_key`]) is what bpf(2) offers: copies, all CPUs' values in a row, and the access flags of the definition.
//!
//! Invariants: the address that a lookup gives stays readable and writable until the map is dropped, even after the element
//! was deleted (its memory may then be given to another element, as in the kernel); every operation may be called from
//! several threads at once; nothing depends on a random seed, so that the order of keys is the same on every run.
//!
//! What the kernel takes as descriptors (programs, perf events, inner maps) comes in by methods of its own.
//!
//! Not here: maps whose values belong to sockets, cgroups, tasks or inodes, arenas, struct_ops. [`create`] gives `ENOTSUPP` for them.

use std::fmt;
use std::ops::ControlFlow;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{RwLock, RwLockReadGuard};
use ring3_platform::{Errno, MapDef, MapFlags, MapType};

mod array;
mod bloom;
mod custom;
mod hash;
mod lpm;
mod mem;
mod nothing;
mod outer;
mod perf;
mod programs;
mod queue;
mod redirect;
mod ringbuf;

pub use array::ArrayLayout;
pub use custom::{Behaviour, Custom};
pub use mem::MAX_MAP_BYTES;
pub use nothing::Nothing;
use redirect::Family;

/// `BPF_ANY`: create or replace.
pub const BPF_ANY: u64 = 0;
/// `BPF_NOEXIST`: create only.
pub const BPF_NOEXIST: u64 = 1;
/// `BPF_EXIST`: replace only.
pub const BPF_EXIST: u64 = 2;

/// The most CPUs that per-CPU maps are laid out for.
pub const MAX_CPUS: u32 = 8192;

/// What [`Map::for_each`] calls: the addresses of the key and of the value.
pub type Visit<'a> = dyn FnMut(NonNull<u8>, NonNull<u8>) -> ControlFlow<()> + 'a;

/// What every map has: its definition, and whether user space may still write to it.
#[derive(Debug)]
pub struct Base {
    def: Arc<MapDef>,
    frozen: AtomicBool,
    /// Read by those who write to elements, written by who freezes: no write that began before is still under way then.
    writers: RwLock<()>,
}

impl Base {
    /// Not frozen yet.
    pub fn new(def: &Arc<MapDef>) -> Base {
        Base { def: Arc::clone(def), frozen: AtomicBool::new(false), writers: RwLock::new(()) }
    }

    /// To be held while something writes to the elements. `EPERM` for a frozen map that programs only read: its content is
    /// part of proofs, so that nothing may ever write there again.
    fn writing(&self) -> Result<Option<RwLockReadGuard<'_, ()>>, Errno> {
        if !self.def.is_read_only_to_programs() {
            return Ok(None);
        }
        let writing = self.writers.read();
        if self.frozen.load(Ordering::Acquire) { Err(Errno::EPERM) } else { Ok(Some(writing)) }
    }

    fn may_read(&self) -> Result<(), Errno> {
        if self.def.flags.has(MapFlags::WRONLY) { Err(Errno::EPERM) } else { Ok(()) }
    }

    fn may_write(&self) -> Result<(), Errno> {
        let frozen = self.frozen.load(Ordering::Acquire);
        if frozen || self.def.flags.has(MapFlags::RDONLY) { Err(Errno::EPERM) } else { Ok(()) }
    }
}

/// What a program sent to user space through a ring buffer or a perf event array.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// CPU of the perf event; ring buffers do not say.
    pub cpu: Option<u32>,
    /// The record, without headers; a perf event's with the kernel's padding.
    pub data: Vec<u8>,
}

/// A map. Keys and values that are passed in must be of the definition's sizes, else the operation fails (`None` or
/// `EINVAL`), and must be copies that nobody writes to during the call: a helper that is given the address of a value of
/// the same map copies it first.
///
/// For a map of one's own there is [`Custom`], which needs no `unsafe`.
///
/// # Safety
///
/// Engines and programs go to the addresses that a map gives, without a check, as a proof says that they may. So, by the
/// definition of `base`, which is always the same:
///
/// - [`Map::lookup_ptr`], [`Map::direct_value`] and the second address of a visit give `value_size` bytes, aligned to 8, that
///   are initialised, may be read and (unless programs only read the map) written by any thread, and stay so until the map
///   is dropped; nothing in Rust holds a plain reference to them. In a map of maps they are those of a
///   [`MapHandle`](crate::MapHandle). The first address of a visit gives `key_size` bytes that stay until it returns.
/// - [`Map::array_layout`] gives all `max_entries` values in that way, for each of [`Map::cpus`], and `base` is where `lookup_ptr`
///   finds the first.
/// - What [`Map::lookup_call`] gives does what `lookup_ptr` does, as long as the map lives.
/// - An array has a value for every index below `max_entries` and every CPU below [`Map::cpus`].
/// - [`Map::reserve`] gives as many bytes as it is asked for, aligned to 8, that are nobody else's until they are committed.
/// - Once [`Map::is_frozen`] says so, the content of a map that programs only read is the same for ever.
/// - What [`Map::holds`] says can be read, can be.
pub unsafe trait Map: Send + Sync + fmt::Debug {
    /// Definition and state common to all maps.
    fn base(&self) -> &Base;

    /// Address of the value of `key` for the program that runs on `cpu`, aligned to 8 bytes and valid until the map is
    /// dropped. `None` where the helper gives a null pointer, and for types that programs cannot look up in.
    fn lookup_ptr(&self, key: &[u8], cpu: u32) -> Option<NonNull<u8>>;

    /// `bpf_map_update_elem` by a program on `cpu`. `value` is one value; of a per-CPU map this CPU's.
    fn update(&self, key: &[u8], value: &[u8], flags: u64, cpu: u32) -> Result<(), Errno>;

    /// `bpf_map_delete_elem`.
    fn delete(&self, key: &[u8]) -> Result<(), Errno>;

    /// The key after `key`, or the first one for `None`, and for a key that is not there. `ENOENT` after the last key;
    /// another error for types that have no keys.
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno>;

    /// Looks up for user space, without the check of access flags: see [`Map::read`].
    fn copy_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno>;

    /// Updates for user space, without the check of access flags: see [`Map::write`].
    fn copy_in(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno>;

    /// Looks up and deletes for user space, without the check of access flags: see [`Map::take`].
    fn take_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let _ = key;
        Err(Errno::ENOTSUPP)
    }

    /// Number of elements that are there now. An array has them all.
    fn len(&self) -> usize;

    /// True if there is no element.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The definition.
    fn def(&self) -> &Arc<MapDef> {
        &self.base().def
    }

    /// `BPF_MAP_LOOKUP_ELEM`: a copy of the value; of a per-CPU map the values of all CPUs, each padded to 8 bytes.
    /// `EPERM` for a map that is write-only for user space, `ENOENT` where there is no element.
    fn read(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.base().may_read()?;
        self.copy_out(key)
    }

    /// `BPF_MAP_UPDATE_ELEM`; of a per-CPU map `value` holds the values of all CPUs, each padded to 8 bytes.
    /// `EPERM` for a map that is frozen or read-only for user space.
    fn write(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.base().may_write()?;
        self.copy_in(key, value, flags)
    }

    /// `BPF_MAP_DELETE_ELEM`. `EPERM` as for [`Map::write`].
    fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        self.base().may_write()?;
        self.delete(key)
    }

    /// `BPF_MAP_LOOKUP_AND_DELETE_ELEM`: a copy of the value as [`Map::read`] gives it, whose element is gone then.
    /// `EPERM` for a map that user space may not read or not write, `ENOTSUPP` for types that do not have it.
    fn take(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.base().may_read()?;
        self.base().may_write()?;
        self.take_out(key)
    }

    /// `BPF_MAP_FREEZE`: no writes from user space from now on. `EBUSY` if it was frozen before.
    fn freeze(&self) -> Result<(), Errno> {
        let _no_writer = self.base().writers.write();
        if self.base().frozen.swap(true, Ordering::AcqRel) { Err(Errno::EBUSY) } else { Ok(()) }
    }

    /// Whether [`Map::freeze`] was called.
    fn is_frozen(&self) -> bool {
        self.base().frozen.load(Ordering::Acquire)
    }

    /// `bpf_for_each_map_elem`: calls `visit` for each element until it breaks, and gives the number of calls. `visit` may
    /// change the map: an element that is deleted meanwhile may still be visited, one that is added may be missed. No lock
    /// is held during a call. `EINVAL` for types that cannot be iterated.
    fn for_each(&self, cpu: u32, visit: &mut Visit<'_>) -> Result<u64, Errno> {
        let _ = (cpu, visit);
        Err(Errno::EINVAL)
    }

    /// Every key, in the order of [`Map::next_key`]. Ends also if the map changes all the time meanwhile.
    fn keys(&self) -> Vec<Vec<u8>> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for _ in 0..self.len() {
            match self.next_key(keys.last().map(Vec::as_slice)) {
                Ok(key) => keys.push(key),
                Err(_) => break,
            }
        }
        keys
    }

    /// Address of the single value of an array with one element, which is how programs reach their global variables.
    fn direct_value(&self) -> Option<NonNull<u8>> {
        None
    }

    /// `bpf_map_push_elem`: puts a value into a queue, stack or bloom filter. `E2BIG` for a full queue or stack, unless `flags`
    /// are [`BPF_EXIST`]: then the oldest value goes. `EOPNOTSUPP` for other types.
    fn push(&self, value: &[u8], flags: u64) -> Result<(), Errno> {
        let _ = (value, flags);
        Err(Errno::EOPNOTSUPP)
    }

    /// `bpf_map_pop_elem`: takes the next value of a queue or stack. `ENOENT` if there is none.
    fn pop(&self) -> Result<Vec<u8>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// `bpf_map_peek_elem`: a copy of the value that [`Map::pop`] would take.
    fn peek(&self) -> Result<Vec<u8>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// `bpf_map_peek_elem` of a bloom filter: `ENOENT` if `value` was never pushed.
    fn contains(&self, value: &[u8]) -> Result<(), Errno> {
        let _ = value;
        Err(Errno::EOPNOTSUPP)
    }

    /// For how many CPUs a per-CPU map has values: a program on any of them finds its value. 1 for other types.
    fn cpus(&self) -> u32 {
        1
    }

    /// The program in a slot of a program array.
    fn program(&self, index: u32) -> Option<Arc<dyn crate::Execute>> {
        let _ = index;
        None
    }

    /// Puts a program into a slot of a program array, or takes it out with `None`. `EINVAL` for other types, `E2BIG` beyond
    /// the last slot, `ENOENT` where there is nothing to take out.
    fn set_program(&self, index: u32, program: Option<Arc<dyn crate::Execute>>) -> Result<(), Errno> {
        let _ = (index, program);
        Err(Errno::EINVAL)
    }

    /// Opens a perf event on `cpu` and puts it into slot `index` of a perf event array. `EINVAL` for other types, `E2BIG`
    /// beyond the last slot.
    fn open_event(&self, index: u32, cpu: u32) -> Result<(), Errno> {
        let _ = (index, cpu);
        Err(Errno::EINVAL)
    }

    /// Reads what programs committed to a ring buffer or sent to perf events and nobody has read yet, in its order; the room
    /// is free again. Nothing for other types.
    fn drain(&self) -> Vec<Event> {
        Vec::new()
    }

    /// `bpf_ringbuf_reserve`: address of a record of `size` bytes, aligned to 8, that readers do not see until it is
    /// committed. `None` if it does not fit, and for types that are no ring buffer.
    fn reserve(&self, size: u64) -> Option<NonNull<u8>> {
        let _ = size;
        None
    }

    /// `bpf_ringbuf_submit` and `bpf_ringbuf_discard`: gives a reserved record to the readers, or marks it as dropped. False if
    /// `record` is no reserved record of this map.
    fn commit(&self, record: NonNull<u8>, discard: bool) -> bool {
        let _ = (record, discard);
        false
    }

    /// `bpf_ringbuf_query`: 0 bytes not read yet, 1 size of the ring, 2 position of the reader, 3 position of the writer;
    /// else 0.
    fn query(&self, what: u64) -> u64 {
        let _ = what;
        0
    }

    /// `bpf_perf_event_output` by a program on `cpu` to the event in slot `index`. `E2BIG` beyond the last slot, `ENOENT`
    /// where there is no event, `EOPNOTSUPP` if the event is another CPU's.
    fn output(&self, index: u32, cpu: u32, data: &[u8]) -> Result<(), Errno> {
        let _ = (index, cpu, data);
        Err(Errno::EINVAL)
    }

    /// Samples of perf events that were lost because their buffer was full.
    fn lost(&self) -> u64 {
        0
    }

    /// Where a packet goes that is redirected to entry `key`: number of the interface of a devmap, of the CPU of a cpumap, of the
    /// queue of an xskmap. `None` if there is no entry, and for other types.
    fn target(&self, key: u32) -> Option<u32> {
        let _ = key;
        None
    }

    /// The map in a slot of a map of maps.
    fn inner(&self, key: &[u8]) -> Option<Arc<dyn Map>> {
        let _ = key;
        None
    }

    /// Puts a map into a slot of a map of maps, which keeps it until it is dropped itself. `EINVAL` for other types and for a
    /// map that differs from the template, `E2BIG` beyond the last slot, and the errors of [`Map::update`] of a hash.
    fn set_inner(&self, key: &[u8], map: Arc<dyn Map>, flags: u64) -> Result<(), Errno> {
        let _ = (key, map, flags);
        Err(Errno::EINVAL)
    }

    /// True if this is the address of a [`MapHandle`](crate::MapHandle) that a lookup in this map of maps gave.
    fn gives_handle(&self, address: u64) -> bool {
        let _ = address;
        false
    }

    /// Removes every element that can be removed. What becomes of a program array whose user is done with it: a program that is
    /// in an array of its own maps keeps itself alive.
    fn clear(&self) {
        for key in self.keys() {
            // An element that is gone already is what is wanted; an array's cannot go.
            let _ = self.delete(&key);
        }
    }

    /// True if these bytes are part of the map's values (or records), so that they can be read without a fault.
    fn holds(&self, addr: u64, len: u64) -> bool {
        let _ = (addr, len);
        false
    }

    /// Where the values of an array are, for lookups without a call.
    fn array_layout(&self) -> Option<ArrayLayout> {
        None
    }

    /// What machine code may call for a lookup, if the CPU does not matter.
    fn lookup_call(&self) -> Option<LookupCall> {
        None
    }
}

/// A lookup without an environment.
#[derive(Clone, Copy, Debug)]
pub struct LookupCall {
    /// Gives what `lookup_ptr` gives, or null. The key has the size of the map's definition.
    pub function: unsafe extern "C" fn(map: *const (), key: *const u8) -> *mut u8,
    /// Its first argument.
    pub map: *const (),
}

/// Creates a map for a machine of `cpus` CPUs (1 to [`MAX_CPUS`]), with the content of `def.data`, frozen if the definition says so.
///
/// Errors as of `BPF_MAP_CREATE`: those of [`MapDef::check`], `ENOMEM` over [`MAX_MAP_BYTES`], `ENOTSUPP` for types that are not
/// there yet.
pub fn create(def: &Arc<MapDef>, cpus: u32) -> Result<Arc<dyn Map>, Errno> {
    if cpus == 0 || cpus > MAX_CPUS {
        return Err(Errno::EINVAL);
    }
    def.check()?;
    let map: Arc<dyn Map> = match def.kind {
        MapType::Array | MapType::PercpuArray => Arc::new(array::Array::new(def, cpus)?),
        MapType::Hash | MapType::PercpuHash | MapType::LruHash | MapType::LruPercpuHash => {
            Arc::new(hash::Hash::new(def, cpus)?)
        }
        MapType::LpmTrie => Arc::new(lpm::Lpm::new(def)?),
        MapType::Queue | MapType::Stack => Arc::new(queue::Queue::new(def)?),
        MapType::BloomFilter => Arc::new(bloom::Bloom::new(def)?),
        MapType::Ringbuf => Arc::new(ringbuf::Ringbuf::new(def)?),
        MapType::PerfEventArray => Arc::new(perf::PerfEvents::new(def, cpus)),
        MapType::ProgArray => Arc::new(programs::Programs::new(def)?),
        MapType::Devmap => Arc::new(redirect::Targets::new(def, Family::Interfaces, cpus)?),
        MapType::Cpumap => Arc::new(redirect::Targets::new(def, Family::Cpus, cpus)?),
        MapType::Xskmap => Arc::new(redirect::Targets::new(def, Family::Sockets, cpus)?),
        MapType::DevmapHash => Arc::new(redirect::TargetHash::new(def)?),
        MapType::ArrayOfMaps | MapType::HashOfMaps => Arc::new(outer::Outer::new(def, cpus)?),
        MapType::StackTrace
        | MapType::CgroupArray
        | MapType::Sockmap
        | MapType::Sockhash
        | MapType::CgroupStorage
        | MapType::ReuseportSockarray
        | MapType::PercpuCgroupStorage
        | MapType::SkStorage
        | MapType::StructOps
        | MapType::InodeStorage
        | MapType::TaskStorage
        | MapType::UserRingbuf
        | MapType::CgrpStorage
        | MapType::Arena => return Err(Errno::ENOTSUPP),
    };
    if let Some(data) = &def.data {
        fill(map.as_ref(), data)?;
    }
    if def.frozen {
        map.freeze()?;
    }
    Ok(map)
}

/// Writes a record into a ring buffer, from outside of a program. `EAGAIN` if there is no room, or for another type of map.
pub fn send(map: &dyn Map, data: &[u8]) -> Result<(), Errno> {
    let record = map.reserve(data.len() as u64).ok_or(Errno::EAGAIN)?;
    // SAFETY: by the trait's promise, so many bytes are nobody else's until they are committed; `data` is borrowed, so that it
    // is not among them.
    unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), record.as_ptr(), data.len()) };
    map.commit(record, false);
    Ok(())
}

/// Gives a global-data map its content: value 0 of an array. Shorter content leaves zeroes behind it.
fn fill(map: &dyn Map, data: &[u8]) -> Result<(), Errno> {
    let size = usize::try_from(map.def().value_size).map_err(|_| Errno::E2BIG)?;
    if map.def().kind != MapType::Array || data.len() > size {
        return Err(Errno::EINVAL);
    }
    let mut value = vec![0; size];
    value[..data.len()].copy_from_slice(data);
    map.copy_in(&0u32.to_ne_bytes(), &value, BPF_ANY)
}

/// Checks the flags of an update against what is there. `BPF_F_LOCK` (4) is `EINVAL` too: no map here has a spin lock.
fn check_update(flags: u64, exists: bool) -> Result<(), Errno> {
    match flags {
        BPF_ANY => Ok(()),
        BPF_NOEXIST if exists => Err(Errno::EEXIST),
        BPF_EXIST if !exists => Err(Errno::ENOENT),
        BPF_NOEXIST | BPF_EXIST => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// A 4-byte key as an index.
#[inline]
fn index_of(key: &[u8]) -> Option<u32> {
    key.try_into().ok().map(u32::from_ne_bytes)
}

/// The key after `key` of a map whose keys are the indices below `max`.
fn next_index(key: Option<&[u8]>, max: u32) -> Result<Vec<u8>, Errno> {
    let next = match key {
        None => 0,
        Some(key) => match index_of(key).ok_or(Errno::EINVAL)? {
            index if index >= max => 0,
            index => index + 1,
        },
    };
    if next < max { Ok(next.to_ne_bytes().to_vec()) } else { Err(Errno::ENOENT) }
}
