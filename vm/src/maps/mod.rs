//! Maps, with the semantics of the kernel: a file per family.
//!
//! [`create`] checks a definition as `BPF_MAP_CREATE` does and gives an `Arc<dyn Map>`. The trait has two sides. The
//! program side ([`Map::lookup_ptr`], [`Map::update`], [`Map::delete`], [`Map::for_each`], ...) is what helpers call: addresses
//! of values, one CPU's copy of a per-CPU value. The user side ([`Map::read`], [`Map::write`], [`Map::remove`],
//! [`Map::next_key`]) is what bpf(2) offers: copies, all CPUs' values in a row, and the access flags of the definition.
//!
//! Invariants: the address that a lookup gives stays readable and writable until the map is dropped, even after the element
//! was deleted. Its memory may then be given to another element, as in the kernel: of hash maps at once, of tries and of storage when all
//! runs of programs have ended that began before; every operation may be called from
//! several threads at once; nothing depends on a random seed, so that the order of keys is the same on every run.
//!
//! What the kernel takes as descriptors (programs, perf events, inner maps) comes in by methods of its own.
//!
//! All types are here. Sockets, control groups, tasks and inodes are numbers of the embedder's.

use std::fmt;
use std::ops::ControlFlow;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{RwLock, RwLockReadGuard};
use ring3_platform::{Errno, MapDef, MapFlags, MapType};

use crate::owner::{Owner, has_owner};

mod arena;
mod array;
mod batch;
mod bloom;
mod custom;
mod direct;
mod hash;
mod lpm;
mod mem;
mod nothing;
mod objects;
mod outer;
mod perf;
mod plain;
mod programs;
mod queue;
mod redirect;
mod ring;
mod ringbuf;
mod shard;
mod stacks;
mod storage;
mod structs;
mod userring;

pub use arena::ArenaLayout;
pub use array::ArrayLayout;
pub use batch::Batch;
pub use custom::{Behaviour, Custom};
pub(crate) use direct::DirectCalls;
pub use mem::MAX_MAP_BYTES;
pub use nothing::Nothing;
pub use plain::Release;
use plain::Special;
use redirect::Family;
pub(crate) use shard::{Padded, mine as part_of_thread};

/// `BPF_ANY`: create or replace.
pub const BPF_ANY: u64 = 0;
/// `BPF_NOEXIST`: create only.
pub const BPF_NOEXIST: u64 = 1;
/// `BPF_EXIST`: replace only.
pub const BPF_EXIST: u64 = 2;
/// `BPF_F_LOCK`: under the lock that the value has.
pub const BPF_F_LOCK: u64 = 4;

/// `BPF_RB_NO_WAKEUP`: readers that sleep go on sleeping.
pub const BPF_RB_NO_WAKEUP: u64 = 1;
/// `BPF_RB_FORCE_WAKEUP`: readers that sleep wake up.
pub const BPF_RB_FORCE_WAKEUP: u64 = 2;

/// The most CPUs that per-CPU maps are laid out for.
pub const MAX_CPUS: u32 = 8192;

/// What [`Map::for_each`] calls: the addresses of the key and of the value.
pub type Visit<'a> = dyn FnMut(NonNull<u8>, NonNull<u8>) -> ControlFlow<()> + 'a;

/// What [`Map::consume`] calls: the CPU of a perf event, and the record.
pub type Take<'a> = dyn FnMut(Option<u32>, &[u8]) -> ControlFlow<()> + 'a;

/// Memory of a map that user space may have, as `mmap` gives it. It lives as long as the map; programs write to it at any time, so
/// that it is for atomic or volatile accesses alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SharedMemory {
    /// Its address, that of a page.
    pub start: NonNull<u8>,
    /// Bytes.
    pub len: usize,
}

/// A sample in a user ring buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserSample {
    /// Address of the data.
    pub start: NonNull<u8>,
    /// Bytes of it.
    pub len: u32,
    /// Whether user space took it back: it is to be released and not shown to the program.
    pub discarded: bool,
}

/// What every map has: its definition, and whether user space may still write to it.
#[derive(Debug)]
pub struct Base {
    def: Arc<MapDef>,
    frozen: AtomicBool,
    /// Read by those who write to elements, written by who freezes: no write that began before is still under way then.
    writers: RwLock<()>,
    special: Special,
    /// What the first program was that came to the map, if programs may be in it.
    owner: OnceLock<Owner>,
}

impl Base {
    /// Not frozen yet.
    pub fn new(def: &Arc<MapDef>) -> Base {
        Base {
            def: Arc::clone(def),
            frozen: AtomicBool::new(false),
            writers: RwLock::new(()),
            special: Special::new(&def.fields),
            owner: OnceLock::new(),
        }
    }

    /// A program comes to the map, as one that uses it or to be in it: `EINVAL` if it is of another sort than the first, in a map that may
    /// have programs.
    pub(crate) fn admit(&self, program: &Owner, uses: bool) -> Result<(), Errno> {
        let admits = || self.owner.get_or_init(|| *program).admits(program, self.def.kind, uses);
        if !has_owner(&self.def) || admits() { Ok(()) } else { Err(Errno::EINVAL) }
    }

    /// What is called with the address of a value before its special fields become zero: when its element is deleted, evicted or
    /// updated. The first call counts. It runs under the lock of the element's bucket: what it releases must not come back to the map,
    /// else the thread waits for itself.
    pub fn on_release(&self, release: Box<Release>) {
        self.special.on_release(release);
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
/// - What [`Map::lookup_call`] gives does what `lookup_ptr` does, as long as the map lives; so do the direct calls.
/// - An array has a value for every index below `max_entries` and every CPU below [`Map::cpus`].
/// - [`Map::reserve`] gives as many bytes as it is asked for, aligned to 8, that are nobody else's until they are committed.
/// - Once [`Map::is_frozen`] says so, the content of a map that programs only read is the same for ever.
/// - What [`Map::holds`] says can be read, can be.
pub unsafe trait Map: Send + Sync + fmt::Debug {
    /// Definition and state common to all maps.
    fn base(&self) -> &Base;

    /// What Linux gives for an operation that the type does not have.
    fn missing(&self) -> Errno {
        Errno::EOPNOTSUPP
    }

    /// Address of the value of `key` for the program that runs on `cpu`, aligned to 8 bytes and valid until the map is
    /// dropped. `None` where the helper gives a null pointer, and for types that programs cannot look up in.
    fn lookup_ptr(&self, key: &[u8], cpu: u32) -> Option<NonNull<u8>> {
        let _ = (key, cpu);
        None
    }

    /// `bpf_map_update_elem` by a program on `cpu`. `value` is one value; of a per-CPU map this CPU's.
    fn update(&self, key: &[u8], value: &[u8], flags: u64, cpu: u32) -> Result<(), Errno> {
        let _ = (key, value, flags, cpu);
        Err(self.missing())
    }

    /// `bpf_map_delete_elem`.
    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        let _ = key;
        Err(self.missing())
    }

    /// The key after `key`, or the first one for `None`, and for a key that is not there. `ENOENT` after the last key;
    /// another error for types that have no keys.
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        let _ = key;
        Err(self.missing())
    }

    /// Looks up for user space, without the check of access flags: see [`Map::read`].
    fn copy_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let _ = key;
        Err(self.missing())
    }

    /// Updates for user space, without the check of access flags: see [`Map::write`].
    fn copy_in(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let _ = (key, value, flags);
        Err(self.missing())
    }

    /// Looks up and deletes for user space, without the check of access flags: see [`Map::take`].
    fn take_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let _ = key;
        Err(Errno::ENOTSUPP)
    }

    /// Number of elements that are there now. An array has them all; what has records or bits instead, none.
    fn len(&self) -> usize {
        0
    }

    /// True if there is no element.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The definition.
    fn def(&self) -> &Arc<MapDef> {
        &self.base().def
    }

    /// `BPF_MAP_LOOKUP_ELEM`: a copy of the value; of a per-CPU map the values of all CPUs, each padded to 8 bytes, which are kept
    /// as they were written.
    /// `EPERM` for a map that is write-only for user space, `ENOENT` where there is no element.
    fn read(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.base().may_read()?;
        self.copy_out(key)
    }

    /// [`Map::read`] with flags: `BPF_F_LOCK`, of a map that has a lock. `EINVAL` for others.
    fn read_with(&self, key: &[u8], flags: u64) -> Result<Vec<u8>, Errno> {
        if flags & !BPF_F_LOCK != 0 {
            return Err(Errno::EINVAL);
        }
        self.base().may_read()?;
        batch::check_flags(self, flags)?;
        if flags & BPF_F_LOCK != 0 { self.copy_out_locked(key) } else { self.copy_out(key) }
    }

    /// As [`Map::copy_out`], under the lock that the value has.
    fn copy_out_locked(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.copy_out(key)
    }

    /// `BPF_MAP_UPDATE_ELEM`; of a per-CPU map `value` holds the values of all CPUs, each padded to 8 bytes.
    /// `EPERM` for a map that is frozen or read-only for user space.
    fn write(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.base().may_write()?;
        split_lock(self.base(), flags)?;
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

    /// [`Map::take`] with flags, as [`Map::read_with`].
    fn take_with(&self, key: &[u8], flags: u64) -> Result<Vec<u8>, Errno> {
        if flags & !BPF_F_LOCK != 0 {
            return Err(Errno::EINVAL);
        }
        self.base().may_read()?;
        self.base().may_write()?;
        batch::check_flags(self, flags)?;
        self.take_out(key)
    }

    /// `BPF_MAP_LOOKUP_BATCH`: up to `max` elements from the start, or from where another batch ended ([`Batch::next`]).
    /// `EPERM` as for [`Map::read`], `ENOTSUPP` for types that do not have it, `ENOSPC` for a hash with a bucket of more.
    fn read_batch(&self, from: Option<&[u8]>, max: usize, flags: u64) -> Result<Batch, Errno> {
        self.base().may_read()?;
        if !batch::batches(self.def().kind).read {
            return Err(Errno::ENOTSUPP);
        }
        batch::check_flags(self, flags)?;
        if max == 0 { Ok(Batch::default()) } else { self.copy_out_batch(from, max, false) }
    }

    /// `BPF_MAP_LOOKUP_AND_DELETE_BATCH`: as [`Map::read_batch`], and the elements are gone then.
    fn take_batch(&self, from: Option<&[u8]>, max: usize, flags: u64) -> Result<Batch, Errno> {
        self.base().may_read()?;
        self.base().may_write()?;
        if !batch::batches(self.def().kind).take {
            return Err(Errno::ENOTSUPP);
        }
        batch::check_flags(self, flags)?;
        if max == 0 { Ok(Batch::default()) } else { self.copy_out_batch(from, max, true) }
    }

    /// `BPF_MAP_UPDATE_BATCH`: how many elements were written, and why not the next one.
    fn write_batch(&self, keys: &[u8], values: &[u8], flags: u64) -> (usize, Result<(), Errno>) {
        let allowed = self.base().may_write().and_then(|()| {
            if batch::batches(self.def().kind).write { batch::check_flags(self, flags) } else { Err(Errno::ENOTSUPP) }
        });
        if allowed.is_err() || keys.is_empty() { (0, allowed) } else { batch::write(self, keys, values, flags) }
    }

    /// `BPF_MAP_DELETE_BATCH`: how many elements were removed, and why not the next one.
    fn remove_batch(&self, keys: &[u8], flags: u64) -> (usize, Result<(), Errno>) {
        let allowed = self.base().may_write().and_then(|()| {
            if batch::batches(self.def().kind).remove { batch::check_flags(self, flags) } else { Err(Errno::ENOTSUPP) }
        });
        if allowed.is_err() || keys.is_empty() { (0, allowed) } else { batch::remove(self, keys) }
    }

    /// Reads a batch for user space, and deletes what it read if `take`, without the checks of [`Map::read_batch`].
    fn copy_out_batch(&self, from: Option<&[u8]>, max: usize, take: bool) -> Result<Batch, Errno> {
        if take { Err(Errno::ENOTSUPP) } else { batch::read(self, from, max) }
    }

    /// `BPF_MAP_GET_NEXT_KEY`: [`Map::next_key`], with `EPERM` for a map that is write-only for user space.
    fn key_after(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        self.base().may_read()?;
        self.next_key(key)
    }

    /// `BPF_MAP_FREEZE`: no writes from user space from now on. `EPERM` if user space may not write anyway, as it was frozen
    /// before; `ENOTSUPP` for a map whose values have special fields.
    fn freeze(&self) -> Result<(), Errno> {
        if !self.def().fields.list.is_empty() || self.def().kind == MapType::StructOps {
            return Err(Errno::ENOTSUPP);
        }
        self.base().may_write()?;
        let _no_writer = self.base().writers.write();
        self.base().frozen.store(true, Ordering::Release);
        Ok(())
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

    /// `bpf_ringbuf_submit` and `bpf_ringbuf_discard` without flags: see [`Map::commit_with`].
    fn commit(&self, record: NonNull<u8>, discard: bool) -> bool {
        self.commit_with(record, discard, 0)
    }

    /// `bpf_ringbuf_submit` and `bpf_ringbuf_discard`: gives a reserved record to the readers, or marks it as dropped. A reader that
    /// sleeps ([`Map::wait`]) wakes up if it had read everything before, or as [`BPF_RB_NO_WAKEUP`] and [`BPF_RB_FORCE_WAKEUP`] say.
    /// False if `record` is no reserved record of this map.
    fn commit_with(&self, record: NonNull<u8>, discard: bool, flags: u64) -> bool {
        let _ = (record, discard, flags);
        false
    }

    /// Gives each record that [`Map::drain`] would give to `take`, until that breaks; what it was given is read then. `take` must not
    /// read the same map.
    fn consume(&self, take: &mut Take<'_>) -> usize {
        let mut count = 0;
        for event in self.drain() {
            count += 1;
            // What was drained is read, so that all of it is given out.
            let _ = take(event.cpu, &event.data);
        }
        count
    }

    /// Sleeps until there is something to read in a ring buffer or in perf events (true), or for so long. As with the kernel's `epoll`, a
    /// record that was committed with [`BPF_RB_NO_WAKEUP`] wakes nobody.
    fn wait(&self, timeout: std::time::Duration) -> bool {
        let _ = timeout;
        false
    }

    /// The pages that `mmap` gives: values of an array that is `MMAPABLE` (`EPERM` for one that user space must not write to), positions
    /// and data of a ring. `ENOTSUPP` for others.
    fn shared_memory(&self) -> Result<SharedMemory, Errno> {
        Err(Errno::ENOTSUPP)
    }

    /// Puts a sample into a user ring buffer. `ENOSPC` if there is no room now, `E2BIG` if there never will be, `EINVAL` for other types.
    fn send_sample(&self, data: &[u8]) -> Result<(), Errno> {
        let _ = data;
        Err(Errno::EINVAL)
    }

    /// Begins to read a user ring buffer for a program, which [`Map::end_drain`] ends. `EBUSY` if another one does.
    fn begin_drain(&self) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    /// See [`Map::begin_drain`].
    fn end_drain(&self) {}

    /// The next sample for a program, which may have it until [`Map::release_sample`]. `EINVAL` and `E2BIG` if user space
    /// wrote nonsense into the ring.
    fn peek_sample(&self) -> Result<Option<UserSample>, Errno> {
        Err(Errno::EINVAL)
    }

    /// Gives a sample's room back to user space.
    fn release_sample(&self, len: u32) {
        let _ = len;
    }

    /// `bpf_get_stackid`: the number of a stack, innermost frame first, which is put in if it is not there. `EEXIST` if another one has its
    /// place, unless `flags` have `BPF_F_REUSE_STACKID`; `EFAULT` for no frames; `EINVAL` for other types.
    fn stack_id(&self, stack: &[u64], flags: u64) -> Result<u32, Errno> {
        let _ = (stack, flags);
        Err(Errno::EINVAL)
    }

    /// The embedder's number of the socket or control group in an element.
    fn object(&self, key: &[u8]) -> Option<u64> {
        let _ = key;
        None
    }

    /// Puts a socket or control group in. `EINVAL` for other types, `E2BIG` beyond the last slot, and the errors of an update.
    fn set_object(&self, key: &[u8], object: u64, flags: u64) -> Result<(), Errno> {
        let _ = (key, object, flags);
        Err(Errno::EINVAL)
    }

    /// `bpf_*_storage_get` and `bpf_get_local_storage`: address of what belongs to an object, which is made of `init` if it is not
    /// there. `ENOENT` without either, `ENOMEM` if there is no room, `EINVAL` for other types.
    fn storage(&self, owner: u64, cpu: u32, init: Option<&[u8]>) -> Result<NonNull<u8>, Errno> {
        let _ = (owner, cpu, init);
        Err(Errno::EINVAL)
    }

    /// `bpf_*_storage_delete`, and what the embedder calls when an object is gone: `ENOENT` if nothing belongs to it.
    fn forget_object(&self, owner: u64) -> Result<(), Errno> {
        let _ = owner;
        Err(Errno::EINVAL)
    }

    /// Where an arena is.
    fn arena(&self) -> Option<ArenaLayout> {
        None
    }

    /// `bpf_arena_alloc_pages`: address of `count` new pages of zeroes, at `address` if that is not 0.
    fn alloc_pages(&self, address: u64, count: u32) -> Result<u64, Errno> {
        let _ = (address, count);
        Err(Errno::EINVAL)
    }

    /// `bpf_arena_free_pages`.
    fn free_pages(&self, address: u64, count: u32) {
        let _ = (address, count);
    }

    /// Bytes of an arena as user space reads them, where reading allocates pages. `EFAULT` beyond them.
    fn read_arena(&self, address: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let _ = (address, len);
        Err(Errno::EINVAL)
    }

    /// Writes to an arena as user space does, where writing allocates pages. `EFAULT` beyond them.
    fn write_arena(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        let _ = (address, bytes);
        Err(Errno::EINVAL)
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

    /// What helpers may call, if there is something faster than the methods.
    #[doc(hidden)]
    #[expect(private_interfaces, reason = "only maps of this crate have them")]
    fn direct_calls(&self) -> Option<DirectCalls> {
        None
    }

    /// What machine code may call for a lookup.
    fn lookup_call(&self) -> Option<LookupCall> {
        None
    }
}

/// A lookup without an environment.
#[derive(Clone, Copy, Debug)]
pub struct LookupCall {
    /// Gives what `lookup_ptr` gives, or null. The key has the size of the map's definition. Which CPU does not matter unless
    /// `per_cpu`.
    pub function: unsafe extern "C" fn(map: *const (), key: *const u8, cpu: u32) -> *mut u8,
    /// Whether the values are those of the CPU.
    pub per_cpu: bool,
    /// Its first argument.
    pub map: *const (),
}

/// Creates a map for a machine of `cpus` CPUs (1 to [`MAX_CPUS`]), with the content of `def.data`, frozen if the definition says so.
///
/// Errors as of `BPF_MAP_CREATE`: those of [`MapDef::check`], `ENOMEM` over [`MAX_MAP_BYTES`]; `ENOTSUPP` for an arena on a system
/// that cannot reserve addresses.
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
        MapType::StackTrace => Arc::new(stacks::Stacks::new(def)?),
        MapType::CgroupArray | MapType::Sockmap | MapType::Sockhash | MapType::ReuseportSockarray => {
            Arc::new(objects::Objects::new(def))
        }
        MapType::CgroupStorage
        | MapType::PercpuCgroupStorage
        | MapType::SkStorage
        | MapType::InodeStorage
        | MapType::TaskStorage
        | MapType::CgrpStorage => Arc::new(storage::Storage::new(def, cpus)?),
        MapType::UserRingbuf => Arc::new(userring::UserRing::new(def)?),
        MapType::Arena => Arc::new(arena::Arena::new(def)?),
        MapType::StructOps => Arc::new(structs::Structs::new(def)),
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

/// Gives a global-data map its content: value 0 of an array, the first bytes of an arena. Shorter content leaves zeroes behind it.
fn fill(map: &dyn Map, data: &[u8]) -> Result<(), Errno> {
    if let Some(arena) = map.arena() {
        let pages =
            u32::try_from(data.len().div_ceil(ring3_platform::maps::PAGE_SIZE as usize)).map_err(|_| Errno::E2BIG)?;
        // Here even if user space may not allocate pages by touching them.
        map.alloc_pages(arena.start, pages)?;
        return map.write_arena(arena.start, data);
    }
    let size = usize::try_from(map.def().value_size).map_err(|_| Errno::E2BIG)?;
    if map.def().kind != MapType::Array || data.len() > size {
        return Err(Errno::EINVAL);
    }
    let mut value = vec![0; size];
    value[..data.len()].copy_from_slice(data);
    map.copy_in(&0u32.to_ne_bytes(), &value, BPF_ANY)
}

/// Checks the flags of an update against what is there, but for `BPF_F_LOCK`.
fn check_update(flags: u64, exists: bool) -> Result<(), Errno> {
    match flags {
        BPF_ANY => Ok(()),
        BPF_NOEXIST if exists => Err(Errno::EEXIST),
        BPF_EXIST if !exists => Err(Errno::ENOENT),
        BPF_NOEXIST | BPF_EXIST => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// The flags of an update without `BPF_F_LOCK`, and whether that is among them: `EINVAL` for a map without a lock.
fn split_lock(base: &Base, flags: u64) -> Result<(u64, bool), Errno> {
    let lock = flags & BPF_F_LOCK != 0;
    if lock && base.def.fields.spin_lock().is_none() { Err(Errno::EINVAL) } else { Ok((flags & !BPF_F_LOCK, lock)) }
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
