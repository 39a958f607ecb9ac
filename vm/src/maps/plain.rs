//! Values with special fields (locks, timers, pointers to objects): what an update copies around, and what a copy for user space
//! does not show.

use std::fmt;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use ring3_platform::maps::{FieldKind, Fields};

use super::mem::{Region, WORD};

/// What is called with the address of a value whose special fields are about to be forgotten.
pub type Release = dyn Fn(NonNull<u8>) + Send + Sync;

/// Bytes that fields are aligned to, and their sizes are multiples of.
const CELL: usize = 4;

/// The special fields of a map's values.
pub(super) struct Special {
    /// Offset and end of each, sorted.
    parts: Box<[(usize, usize)]>,
    lock: Option<usize>,
    release: OnceLock<Box<Release>>,
}

impl Special {
    pub(super) fn new(fields: &Fields) -> Special {
        let part = |off: u32, end: u32| (off as usize, end as usize);
        let mut parts: Vec<(usize, usize)> = fields.list.iter().map(|field| part(field.off, field.end())).collect();
        parts.sort_unstable();
        // Of a resilient lock nobody outside of programs takes it.
        let lock = fields.list.iter().find(|field| field.kind == FieldKind::SpinLock).map(|field| field.off as usize);
        Special { parts: parts.into(), lock, release: OnceLock::new() }
    }

    /// True if values are plain bytes.
    #[inline(always)]
    pub(super) fn is_none(&self) -> bool {
        self.parts.is_empty()
    }

    /// Sets what [`Special::release`] calls; the first one stays.
    pub(super) fn on_release(&self, release: Box<Release>) {
        // A second one would be of another run's objects, which this one does not know.
        let _ = self.release.set(release);
    }

    /// Writes a value at `offset`, but for its fields. `words` is whether bytes behind the value, up to a word, become zero.
    pub(super) fn write(&self, memory: &Region, offset: usize, value: &[u8]) {
        if self.is_none() {
            return memory.write(offset, value);
        }
        for (at, chunk) in (0..).step_by(CELL).zip(value.chunks(CELL)) {
            if !self.parts.iter().any(|(start, end)| (*start..*end).contains(&at)) {
                let mut cell = [0; CELL];
                cell[..chunk.len()].copy_from_slice(chunk);
                memory.cell(offset + at).store(u32::from_ne_bytes(cell), Ordering::Relaxed);
            }
        }
    }

    /// As [`Special::write`], from an address that others may write to at the same time.
    ///
    /// # Safety
    ///
    /// `size` bytes can be read at `value`.
    #[inline(always)]
    pub(super) unsafe fn write_from(&self, memory: &Region, offset: usize, value: *const u8, size: usize) {
        if self.is_none() {
            // SAFETY: by the caller.
            return unsafe { memory.write_from(offset, value, size) };
        }
        // SAFETY: by the caller; bytes need no alignment.
        let copy: Vec<u8> = (0..size).map(|at| unsafe { value.add(at).read_volatile() }).collect();
        self.write(memory, offset, &copy);
    }

    /// Makes the fields of the value at `offset` those of a new one: what they held is released.
    pub(super) fn forget(&self, memory: &Region, offset: usize, with_lock: bool) {
        if self.is_none() {
            return;
        }
        if let Some(release) = self.release.get() {
            release(memory.at(offset));
        }
        for (start, end) in self.parts.iter().filter(|(start, _)| with_lock || self.lock != Some(*start)) {
            for at in (*start..*end).step_by(CELL) {
                memory.cell(offset + at).store(0, Ordering::Relaxed);
            }
        }
    }

    /// The fields of `values` (one, or several at a distance of `stride`) as user space sees them: zeroes.
    pub(super) fn hide(&self, values: &mut [u8], stride: usize) {
        if self.is_none() {
            return;
        }
        for value in values.chunks_mut(stride.max(WORD)) {
            for (start, end) in &self.parts {
                if let Some(field) = value.get_mut(*start..*end) {
                    field.fill(0);
                }
            }
        }
    }

    /// Runs `body` under the lock of the value at `offset`, as `bpf_spin_lock` takes it: 0 is free, 1 is taken.
    pub(super) fn locked<T>(&self, memory: &Region, offset: usize, body: impl FnOnce() -> T) -> T {
        let Some(lock) = self.lock else { return body() };
        let lock: &AtomicU32 = memory.cell(offset + lock);
        while lock.compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            std::thread::yield_now();
        }
        let result = body();
        lock.store(0, Ordering::Release);
        result
    }
}

impl fmt::Debug for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Special").field("parts", &self.parts).finish_non_exhaustive()
    }
}
