//! The addresses of an arena.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};

use ring3_platform::Errno;

/// What a pointer's lower half can reach.
const SPAN: u64 = 1 << 32;
/// What an instruction's offset adds, on both sides.
const GUARD: u64 = 1 << 16;
/// Memory behind all addresses that are no page's. It is mapped again and again.
#[cfg(target_os = "linux")]
const SINK: u64 = 64 << 20;

/// 4 GiB of addresses with guards on both sides, all of which can be read and written.
pub(super) struct Reserve {
    /// What was mapped.
    mapped: NonNull<u8>,
    len: usize,
    base: NonNull<u8>,
}

// SAFETY: a Reserve owns its addresses, and hands out raw pointers and copies alone.
unsafe impl Send for Reserve {}
// SAFETY: as above; copies are made of atomic bytes.
unsafe impl Sync for Reserve {}

impl Reserve {
    pub(super) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(super) fn holds(&self, addr: u64, len: u64) -> bool {
        let start = (self.base.as_ptr() as u64).wrapping_sub(GUARD);
        addr.checked_sub(start).is_some_and(|at| at <= SPAN + 2 * GUARD && len <= SPAN + 2 * GUARD - at)
    }

    fn bytes(&self, offset: u64, len: usize) -> &[AtomicU8] {
        assert!(offset <= SPAN && len as u64 <= SPAN - offset, "{len} bytes from {offset} outside the arena");
        // SAFETY: within the addresses that are mapped for reading and writing; atomics may be shared with programs.
        unsafe { std::slice::from_raw_parts(self.base.add(offset as usize).cast::<AtomicU8>().as_ptr(), len) }
    }

    pub(super) fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        self.bytes(offset, len).iter().map(|byte| byte.load(Ordering::Relaxed)).collect()
    }

    pub(super) fn write(&self, offset: u64, bytes: &[u8]) {
        for (to, from) in self.bytes(offset, bytes.len()).iter().zip(bytes) {
            to.store(*from, Ordering::Relaxed);
        }
    }
}

#[cfg(unix)]
impl Reserve {
    /// Reserves addresses in which `bytes` from offset `start` on are memory of their own.
    pub(super) fn new(start: u64, bytes: u64) -> Result<Reserve, Errno> {
        // Aligned to its size, with guards: of twice as much there is such a part.
        let len = usize::try_from(2 * SPAN + 2 * GUARD).map_err(|_| Errno::ENOMEM)?;
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE);
        // SAFETY: a new mapping, wherever the system wants it.
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if mapped == libc::MAP_FAILED {
            return Err(Errno::ENOMEM);
        }
        let mapped = NonNull::new(mapped.cast::<u8>()).ok_or(Errno::ENOMEM)?;
        let first = mapped.as_ptr() as u64 + GUARD;
        let skipped = first.next_multiple_of(SPAN) - mapped.as_ptr() as u64;
        // SAFETY: within the mapping, as a multiple of the span is less than that away from `first`.
        let base = unsafe { mapped.add(skipped as usize) };
        let reserve = Reserve { mapped, len, base };
        reserve.sink(start, bytes)?;
        Ok(reserve)
    }

    /// Gives everything but the `bytes` from `start` the same little memory.
    #[cfg(target_os = "linux")]
    fn sink(&self, start: u64, bytes: u64) -> Result<(), Errno> {
        // SAFETY: the name is a string with its zero.
        let fd = unsafe { libc::memfd_create(c"arena".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(Errno::ENOMEM);
        }
        // SAFETY: `fd` is a descriptor that is ours.
        let mut done = unsafe { libc::ftruncate(fd, SINK as libc::off_t) } == 0;
        let end = start + bytes;
        for (from, to) in [(-(GUARD as i64), start as i64), (end as i64, (SPAN + GUARD) as i64)] {
            let mut at = from;
            while done && at < to {
                let len = (to - at).min(SINK as i64) as usize;
                let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED);
                // SAFETY: in the place of a part of our own mapping, which has guards in front of and behind the span.
                let result =
                    unsafe { libc::mmap(self.base.as_ptr().offset(at as isize).cast(), len, protection, flags, fd, 0) };
                done = result != libc::MAP_FAILED;
                at += len as i64;
            }
        }
        // SAFETY: the descriptor is ours; the mappings stay.
        unsafe { libc::close(fd) };
        if done { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// Elsewhere all of it is memory, which costs nothing until it is touched.
    #[cfg(not(target_os = "linux"))]
    fn sink(&self, _start: u64, _bytes: u64) -> Result<(), Errno> {
        Ok(())
    }

    /// Makes whole pages zero, and gives their memory back where the system can.
    pub(super) fn zero(&self, offset: u64, len: u64) -> Result<(), Errno> {
        let len = usize::try_from(len).map_err(|_| Errno::ENOMEM)?;
        let bytes = self.bytes(offset, len);
        #[cfg(target_os = "linux")]
        {
            // SAFETY: our own pages, private and anonymous, which are zero afterwards.
            let done = unsafe { libc::madvise(bytes.as_ptr().cast_mut().cast(), len, libc::MADV_DONTNEED) } == 0;
            if done {
                return Ok(());
            }
        }
        for byte in bytes {
            byte.store(0, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[cfg(unix)]
impl Drop for Reserve {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing refers to it any more.
        unsafe { libc::munmap(self.mapped.as_ptr().cast(), self.len) };
    }
}

#[cfg(not(unix))]
impl Reserve {
    pub(super) fn new(_start: u64, _bytes: u64) -> Result<Reserve, Errno> {
        Err(Errno::ENOTSUPP)
    }

    pub(super) fn zero(&self, _offset: u64, _len: u64) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }
}
