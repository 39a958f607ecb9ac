//! Objects outside of maps: what programs make (`bpf_obj_new`) and what embedders lay out in place of the kernel's structures.
//!
//! Their memory stays as long as the set that they are in: an address that somebody still has after the object is gone leads to
//! bytes of no meaning, and the set says that nothing is there. What a program gives up stays readable for the runs that may know it,
//! as in a kernel that waits for a grace period.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use parking_lot::{Mutex, RwLock};
use ring3_platform::Errno;

use crate::epoch::{Deleted, RUNS};
use crate::helpers::Timers;

/// Objects that a set has at a time.
pub const MAX_OBJECTS: usize = 1 << 20;
/// Bytes of all objects of a set.
pub const MAX_OBJECT_BYTES: usize = 1 << 28;

/// A set of objects. Runs that are to share them share the set.
#[derive(Default)]
pub struct Objects {
    state: RwLock<State>,
    /// Timers and work queues, which also outlive runs.
    pub(crate) timers: Mutex<Timers>,
}

#[derive(Default)]
struct State {
    /// What there is, and what programs gave up that runs may still read.
    live: BTreeMap<u64, Object>,
    /// How many of them nobody gave up.
    held: usize,
    /// Those that programs gave up, the earliest first.
    given_up: VecDeque<(u64, Deleted)>,
    /// Memory of objects that are gone, by words.
    spare: BTreeMap<usize, Vec<Memory>>,
    /// Bytes of all of both.
    bytes: usize,
}

struct Object {
    memory: Memory,
    len: usize,
    /// Bytes from the part of one CPU to that of the next, if each has one.
    stride: Option<usize>,
    /// How many references there are: of those that are counted. 0 when it was given up.
    references: u32,
}

impl State {
    /// Memory of an object that nobody can know any more may be used for another.
    fn forget(&mut self, addr: u64) {
        if let Some(Object { memory, .. }) = self.live.remove(&addr) {
            self.spare.entry(memory.words).or_default().push(memory);
        }
    }

    /// Forgets what was given up before all runs that are under way.
    fn forget_given_up(&mut self) {
        while let Some((addr, _)) = self.given_up.pop_front_if(|(_, deleted)| RUNS.is_over(*deleted)) {
            self.forget(addr);
        }
    }

    /// One reference less. True if it was the last.
    fn let_go(&mut self, addr: u64) -> bool {
        let Some(object) = self.live.get_mut(&addr).filter(|object| object.references > 0) else { return false };
        object.references -= 1;
        let last = object.references == 0;
        self.held -= usize::from(last);
        last
    }
}

/// Words that a program changes behind Rust's back.
struct Memory {
    start: *mut u64,
    words: usize,
}

// SAFETY: it owns its words, and gives out nothing but their address.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    fn new(words: usize) -> Memory {
        let words: Box<[u64]> = vec![0; words].into();
        let words = Box::leak(words);
        Memory { start: words.as_mut_ptr(), words: words.len() }
    }

    fn clear(&self) {
        // SAFETY: the words are ours, and no program may use them now.
        unsafe { self.start.write_bytes(0, self.words) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: `new` made it of a box of so many words.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.start, self.words)) });
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").field("live", &self.len()).finish()
    }
}

impl Objects {
    /// None yet.
    pub fn new() -> Objects {
        Objects::default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.state.read().held
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes an object of zeroes with one reference and gives its address. `ENOMEM` beyond [`MAX_OBJECTS`] or [`MAX_OBJECT_BYTES`].
    pub fn make(&self, len: usize) -> Result<u64, Errno> {
        self.make_with(len, None)
    }

    /// Makes one with a part of `len` bytes for each of so many CPUs, whose address is that of the first. As [`Objects::make`].
    pub(crate) fn make_by_cpu(&self, len: usize, cpus: u32) -> Result<u64, Errno> {
        let stride = len.next_multiple_of(8).max(8);
        self.make_with(stride.checked_mul(cpus as usize).ok_or(Errno::ENOMEM)?, Some(stride))
    }

    /// Where the part of a CPU is of the object that starts here. `None` where there is no such part.
    pub(crate) fn part_of_cpu(&self, addr: u64, cpu: u32) -> Option<u64> {
        let state = self.state.read();
        let object = state.live.get(&addr)?;
        let at = object.stride?.checked_mul(cpu as usize).filter(|at| *at < object.len)?;
        Some(addr + at as u64)
    }

    fn make_with(&self, len: usize, stride: Option<usize>) -> Result<u64, Errno> {
        let words = len.div_ceil(8).max(1);
        let mut state = self.state.write();
        state.forget_given_up();
        if state.held >= MAX_OBJECTS {
            return Err(Errno::ENOMEM);
        }
        let memory = match state.spare.get_mut(&words).and_then(Vec::pop) {
            Some(memory) => {
                memory.clear();
                memory
            }
            None if words > (MAX_OBJECT_BYTES - state.bytes) / 8 => return Err(Errno::ENOMEM),
            None => {
                state.bytes += words * 8;
                Memory::new(words)
            }
        };
        let addr = memory.start.expose_provenance() as u64;
        state.live.insert(addr, Object { memory, len, stride, references: 1 });
        state.held += 1;
        Ok(addr)
    }

    /// Makes an object of these bytes: a structure that programs are to find. As [`Objects::make`].
    pub fn add(&self, bytes: &[u8]) -> Result<u64, Errno> {
        let addr = self.make(bytes.len())?;
        self.write(addr, bytes);
        Ok(addr)
    }

    /// Whether these bytes are part of one object.
    pub fn holds(&self, addr: u64, len: u64) -> bool {
        self.within(addr, len).is_some()
    }

    /// Start and length of the object that has these bytes.
    fn within(&self, addr: u64, len: u64) -> Option<u64> {
        let state = self.state.read();
        let (start, object) = state.live.range(..=addr).next_back()?;
        let inside = addr - start;
        (inside <= object.len as u64 && len <= object.len as u64 - inside).then_some(*start)
    }

    /// Where the object starts that has this byte.
    pub fn start_of(&self, addr: u64) -> Option<u64> {
        self.within(addr, 1)
    }

    /// The bytes of the object that starts here.
    pub fn read(&self, addr: u64) -> Option<Vec<u8>> {
        let state = self.state.read();
        let object = state.live.get(&addr)?;
        let mut bytes = vec![0; object.len];
        // SAFETY: the object is so long, and lives as long as the lock is held; the copy is new memory.
        unsafe { std::ptr::copy_nonoverlapping(object.memory.start.cast::<u8>(), bytes.as_mut_ptr(), bytes.len()) };
        Some(bytes)
    }

    /// Reads bytes of an object, from `addr` on; false, and nothing is read, where there are not so many.
    pub fn read_at(&self, addr: u64, out: &mut [u8]) -> bool {
        let state = self.state.read();
        let Some((start, object)) = state.live.range(..=addr).next_back() else { return false };
        let inside = (addr - start) as usize;
        let fits = inside <= object.len && out.len() <= object.len - inside;
        if fits {
            // SAFETY: within the object, as was just checked, which lives as long as the lock is held; `out` is borrowed, so none of it.
            unsafe {
                let from = object.memory.start.cast::<u8>().add(inside);
                std::ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len());
            }
        }
        fits
    }

    /// Writes bytes into an object, from `addr` on; false, and nothing is written, where they do not fit.
    pub fn write(&self, addr: u64, bytes: &[u8]) -> bool {
        let state = self.state.write();
        let Some((start, object)) = state.live.range(..=addr).next_back() else { return false };
        let inside = (addr - start) as usize;
        let fits = inside <= object.len && bytes.len() <= object.len - inside;
        if fits {
            // SAFETY: within the object, as was just checked; what is copied is borrowed, so none of these.
            unsafe {
                let to = object.memory.start.cast::<u8>().add(inside);
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
            }
        }
        fits
    }

    /// One more reference to the object that starts here; false if there is none.
    pub fn hold(&self, addr: u64) -> bool {
        let mut state = self.state.write();
        let Some(object) = state.live.get_mut(&addr).filter(|object| object.references > 0) else { return false };
        object.references = object.references.saturating_add(1);
        true
    }

    /// One reference less; the object goes with its last. True if it is gone now.
    pub fn drop_reference(&self, addr: u64) -> bool {
        let mut state = self.state.write();
        let last = state.let_go(addr);
        if last {
            state.forget(addr);
        }
        last
    }

    /// As [`Objects::drop_reference`], by a program: what it gives up can be read until all runs have ended that may know it.
    pub(crate) fn give_up(&self, addr: u64) {
        let mut state = self.state.write();
        if state.let_go(addr) {
            state.given_up.push_back((addr, RUNS.deleted()));
            state.forget_given_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_there_until_nobody_holds_them() {
        let objects = Objects::new();
        let addr = objects.add(&[1, 2, 3]).unwrap();
        assert!(objects.holds(addr, 3) && objects.holds(addr + 2, 1));
        assert!(!objects.holds(addr, 4) && !objects.holds(addr.wrapping_sub(1), 1));
        assert!(objects.hold(addr) && !objects.drop_reference(addr));
        assert_eq!(objects.read(addr), Some(vec![1, 2, 3]));
        assert!(objects.write(addr + 1, &[9, 9]) && !objects.write(addr + 2, &[7, 7]));
        assert_eq!(objects.read(addr), Some(vec![1, 9, 9]));
        let mut two = [0; 2];
        assert!(objects.read_at(addr + 1, &mut two) && two == [9, 9] && !objects.read_at(addr + 2, &mut two));
        assert!(objects.drop_reference(addr) && !objects.holds(addr, 1) && objects.is_empty());
        // Its memory is used again, and has nothing of it.
        let again = objects.make(8).unwrap();
        assert_eq!((again, objects.read(again)), (addr, Some(vec![0; 8])));
    }

    #[test]
    fn what_programs_give_up_stays_for_the_runs_that_know_it() {
        let objects = Objects::new();
        let addr = objects.add(&[7; 8]).unwrap();
        let run = RUNS.begin();
        objects.give_up(addr);
        let others: Vec<u64> = (0..100).map(|_| objects.add(&[1; 8]).unwrap()).collect();
        others.iter().for_each(|other| objects.give_up(*other));
        assert!(!others.contains(&addr) && objects.is_empty());
        assert_eq!((objects.read(addr), objects.hold(addr)), (Some(vec![7; 8]), false));
        objects.give_up(addr);
        drop(run);
        // Not before all others have ended, too, that are under way in this process.
        while objects.holds(addr, 8) {
            let other = objects.make(16).unwrap();
            objects.give_up(other);
        }
    }
}
