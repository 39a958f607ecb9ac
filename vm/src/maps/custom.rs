//! Maps of the embedder's own, without `unsafe`: memory of a map that is there, and a behaviour in front of it.
//!
//! A program goes to the address that a lookup gives, so that the memory behind it must be right whatever the embedder does.
//! That is why it stays with a map of this crate, and the embedder's [`Behaviour`] says what is in it: what a lookup is to
//! find, and what becomes of an update.

use std::fmt::Debug;
use std::ptr::NonNull;
use std::sync::Arc;

use ring3_platform::{Errno, MapDef};

use super::{ArenaLayout, Base, Batch, Event, Map, SharedMemory, Take, UserSample, Visit, create};

/// What a map of the embedder's own does when programs use it. `values` are the elements that there are; what the defaults
/// do is what the map would do without a behaviour. Several threads may call at once.
pub trait Behaviour: Debug + Send + Sync {
    /// A program on `cpu` is about to look `key` up, and will find what is in `values` then.
    fn lookup(&self, values: &dyn Map, key: &[u8], cpu: u32) {
        let _ = (values, key, cpu);
    }

    /// `bpf_map_update_elem` by a program on `cpu`.
    fn update(&self, values: &dyn Map, key: &[u8], value: &[u8], flags: u64, cpu: u32) -> Result<(), Errno> {
        values.update(key, value, flags, cpu)
    }

    /// `bpf_map_delete_elem` by a program.
    fn delete(&self, values: &dyn Map, key: &[u8]) -> Result<(), Errno> {
        values.delete(key)
    }

    /// `bpf_map_push_elem` by a program.
    fn push(&self, values: &dyn Map, value: &[u8], flags: u64) -> Result<(), Errno> {
        values.push(value, flags)
    }

    /// `bpf_map_pop_elem` by a program.
    fn pop(&self, values: &dyn Map) -> Result<Vec<u8>, Errno> {
        values.pop()
    }
}

/// A map of the embedder's own. What programs ask of it goes to the behaviour; user space (the embedder) reads and writes
/// the elements themselves. Loads and stores at the address that a lookup gave, and global variables, go past the behaviour.
#[derive(Debug)]
pub struct Custom<B> {
    values: Arc<dyn Map>,
    behaviour: B,
}

impl<B: Behaviour> Custom<B> {
    /// A map for a machine of `cpus` CPUs, with the errors of [`create`].
    pub fn new(def: &Arc<MapDef>, cpus: u32, behaviour: B) -> Result<Custom<B>, Errno> {
        Ok(Custom { values: create(def, cpus)?, behaviour })
    }

    /// What was given to `new`.
    pub fn behaviour(&self) -> &B {
        &self.behaviour
    }

    /// The elements.
    pub fn values(&self) -> &Arc<dyn Map> {
        &self.values
    }
}

// SAFETY: every address, record, size and definition is that of `values`, which is such a map and lives as long as this one.
unsafe impl<B: Behaviour> Map for Custom<B> {
    fn base(&self) -> &Base {
        self.values.base()
    }

    fn lookup_ptr(&self, key: &[u8], cpu: u32) -> Option<NonNull<u8>> {
        self.behaviour.lookup(self.values.as_ref(), key, cpu);
        self.values.lookup_ptr(key, cpu)
    }

    fn update(&self, key: &[u8], value: &[u8], flags: u64, cpu: u32) -> Result<(), Errno> {
        self.behaviour.update(self.values.as_ref(), key, value, flags, cpu)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        self.behaviour.delete(self.values.as_ref(), key)
    }

    fn push(&self, value: &[u8], flags: u64) -> Result<(), Errno> {
        self.behaviour.push(self.values.as_ref(), value, flags)
    }

    fn pop(&self) -> Result<Vec<u8>, Errno> {
        self.behaviour.pop(self.values.as_ref())
    }

    /// Not by the behaviour: this is user space.
    fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        self.values.remove(key)
    }

    fn clear(&self) {
        self.values.clear();
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        self.values.next_key(key)
    }

    fn copy_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.values.copy_out(key)
    }

    fn copy_in(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.values.copy_in(key, value, flags)
    }

    fn take_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.values.take_out(key)
    }

    fn copy_out_batch(&self, from: Option<&[u8]>, max: usize, take: bool) -> Result<Batch, Errno> {
        self.values.copy_out_batch(from, max, take)
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    fn for_each(&self, cpu: u32, visit: &mut Visit<'_>) -> Result<u64, Errno> {
        self.values.for_each(cpu, visit)
    }

    fn direct_value(&self) -> Option<NonNull<u8>> {
        self.values.direct_value()
    }

    fn peek(&self) -> Result<Vec<u8>, Errno> {
        self.values.peek()
    }

    fn contains(&self, value: &[u8]) -> Result<(), Errno> {
        self.values.contains(value)
    }

    fn cpus(&self) -> u32 {
        self.values.cpus()
    }

    fn program(&self, index: u32) -> Option<Arc<dyn crate::Execute>> {
        self.values.program(index)
    }

    fn set_program(&self, index: u32, program: Option<Arc<dyn crate::Execute>>) -> Result<(), Errno> {
        self.values.set_program(index, program)
    }

    fn open_event(&self, index: u32, cpu: u32) -> Result<(), Errno> {
        self.values.open_event(index, cpu)
    }

    fn drain(&self) -> Vec<Event> {
        self.values.drain()
    }

    fn reserve(&self, size: u64) -> Option<NonNull<u8>> {
        self.values.reserve(size)
    }

    fn commit_with(&self, record: NonNull<u8>, discard: bool, flags: u64) -> bool {
        self.values.commit_with(record, discard, flags)
    }

    fn consume(&self, take: &mut Take<'_>) -> usize {
        self.values.consume(take)
    }

    fn wait(&self, timeout: std::time::Duration) -> bool {
        self.values.wait(timeout)
    }

    fn shared_memory(&self) -> Result<SharedMemory, Errno> {
        self.values.shared_memory()
    }

    fn send_sample(&self, data: &[u8]) -> Result<(), Errno> {
        self.values.send_sample(data)
    }

    fn begin_drain(&self) -> Result<(), Errno> {
        self.values.begin_drain()
    }

    fn end_drain(&self) {
        self.values.end_drain();
    }

    fn peek_sample(&self) -> Result<Option<UserSample>, Errno> {
        self.values.peek_sample()
    }

    fn release_sample(&self, len: u32) {
        self.values.release_sample(len);
    }

    fn stack_id(&self, stack: &[u64], flags: u64) -> Result<u32, Errno> {
        self.values.stack_id(stack, flags)
    }

    fn object(&self, key: &[u8]) -> Option<u64> {
        self.values.object(key)
    }

    fn set_object(&self, key: &[u8], object: u64, flags: u64) -> Result<(), Errno> {
        self.values.set_object(key, object, flags)
    }

    fn storage(&self, owner: u64, cpu: u32, init: Option<&[u8]>) -> Result<NonNull<u8>, Errno> {
        self.values.storage(owner, cpu, init)
    }

    fn forget_object(&self, owner: u64) -> Result<(), Errno> {
        self.values.forget_object(owner)
    }

    fn arena(&self) -> Option<ArenaLayout> {
        self.values.arena()
    }

    fn alloc_pages(&self, address: u64, count: u32) -> Result<u64, Errno> {
        self.values.alloc_pages(address, count)
    }

    fn free_pages(&self, address: u64, count: u32) {
        self.values.free_pages(address, count);
    }

    fn read_arena(&self, address: u64, len: usize) -> Result<Vec<u8>, Errno> {
        self.values.read_arena(address, len)
    }

    fn write_arena(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.values.write_arena(address, bytes)
    }

    fn copy_out_locked(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.values.copy_out_locked(key)
    }

    fn query(&self, what: u64) -> u64 {
        self.values.query(what)
    }

    fn output(&self, index: u32, cpu: u32, data: &[u8]) -> Result<(), Errno> {
        self.values.output(index, cpu, data)
    }

    fn lost(&self) -> u64 {
        self.values.lost()
    }

    fn target(&self, key: u32) -> Option<u32> {
        self.values.target(key)
    }

    fn inner(&self, key: &[u8]) -> Option<Arc<dyn Map>> {
        self.values.inner(key)
    }

    fn set_inner(&self, key: &[u8], map: Arc<dyn Map>, flags: u64) -> Result<(), Errno> {
        self.values.set_inner(key, map, flags)
    }

    fn gives_handle(&self, address: u64) -> bool {
        self.values.gives_handle(address)
    }

    fn holds(&self, addr: u64, len: u64) -> bool {
        self.values.holds(addr, len)
    }

    // `array_layout` stays `None`: a lookup without a call would go past the behaviour.
}
