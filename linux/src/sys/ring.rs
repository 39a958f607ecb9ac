//! The shared memory of a ring buffer (`BPF_MAP_TYPE_RINGBUF`): `Documentation/bpf/ringbuf.rst`.
//!
//! First a page with the reader's position, which we write; then a page with the writers' position and the records, twice in
//! a row, which we only read.

use super::{BorrowedFd, Failure};

#[cfg(target_os = "linux")]
mod imp {
    use std::ptr::NonNull;
    use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

    use super::super::{fd_number, last_errno};
    use super::*;
    use crate::Errno;

    /// Bytes in front of a record.
    const HEADER: u64 = 8;
    /// In a header: the program still writes.
    const BUSY: u32 = 1 << 31;
    /// In a header: to be skipped.
    const DISCARD: u32 = 1 << 30;

    /// Memory that is shared with the kernel; given back when dropped.
    #[derive(Debug)]
    struct Mapping {
        start: NonNull<u8>,
        len: usize,
    }

    impl Mapping {
        fn new(map: BorrowedFd<'_>, len: usize, protection: i32, offset: usize) -> Result<Mapping, Failure> {
            let offset = libc::off_t::try_from(offset).map_err(|_| Failure::Errno(Errno::EINVAL))?;
            // SAFETY: a new mapping, wherever the kernel wants it.
            let start = unsafe {
                let fd = fd_number(map).cast_signed();
                libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, fd, offset)
            };
            if start == libc::MAP_FAILED {
                return Err(Failure::Errno(last_errno()));
            }
            NonNull::new(start.cast()).map(|start| Mapping { start, len }).ok_or(Failure::Errno(Errno::ENOMEM))
        }
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            // SAFETY: the mapping is ours, and nothing refers to it any more.
            unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
        }
    }

    // SAFETY: memory belongs to no thread; positions are atomic, and records are read only under `&mut`.
    unsafe impl Send for Mapping {}

    /// The reader's side of a ring buffer.
    #[derive(Debug)]
    pub struct Ring {
        consumer: Mapping,
        producer: Mapping,
        page: usize,
        size: u64,
    }

    impl Ring {
        /// Maps the ring buffer, of so many bytes (a power of two, and whole pages: the kernel took no others).
        pub fn open(map: BorrowedFd<'_>, size: u32) -> Result<Ring, Failure> {
            // SAFETY: no addresses.
            let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
            let page = usize::try_from(page).ok().filter(|page| *page >= 16);
            let page = page.ok_or(Failure::Errno(Errno::EINVAL))?;
            if !size.is_power_of_two() || (size as usize) < page {
                return Err(Failure::Errno(Errno::EINVAL));
            }
            let consumer = Mapping::new(map, page, libc::PROT_READ | libc::PROT_WRITE, 0)?;
            let producer = Mapping::new(map, page + 2 * size as usize, libc::PROT_READ, page)?;
            Ok(Ring { consumer, producer, page, size: size.into() })
        }

        fn written(&self) -> u64 {
            // SAFETY: the mapping starts with a page in which the kernel keeps this number, and lives as long as `self`.
            let position = unsafe { AtomicU64::from_ptr(self.producer.start.as_ptr().cast()) };
            position.load(Ordering::Acquire)
        }

        /// The oldest record that was not read; `None` if there is none that is complete.
        pub fn next(&mut self) -> Option<Vec<u8>> {
            // SAFETY: the mapping starts with this number, and lives as long as `self`.
            let consumer = unsafe { AtomicU64::from_ptr(self.consumer.start.as_ptr().cast()) };
            loop {
                let (position, written) = (consumer.load(Ordering::Relaxed), self.written());
                if position >= written {
                    return None;
                }
                let at = self.page + (position & (self.size - 1)) as usize;
                // SAFETY: positions are multiples of 8, so that the header lies within the records.
                let header = unsafe { AtomicU32::from_ptr(self.producer.start.as_ptr().add(at & !7).cast()) };
                let header = header.load(Ordering::Acquire);
                if header & BUSY != 0 {
                    return None;
                }
                let len = header & !DISCARD;
                if u64::from(len) > self.size - HEADER {
                    // Not what a kernel writes: what there is is lost.
                    consumer.store(written, Ordering::Release);
                    return None;
                }
                let record = (header & DISCARD == 0).then(|| {
                    let mut data = vec![0u8; len as usize];
                    // SAFETY: a record is not longer than the ring, and the ring is mapped twice; nobody writes to it before
                    // the position below says that it was read.
                    unsafe {
                        let from = self.producer.start.as_ptr().add((at & !7) + HEADER as usize);
                        std::ptr::copy_nonoverlapping(from, data.as_mut_ptr(), data.len());
                    }
                    data
                });
                consumer.store(position + (u64::from(len) + HEADER).next_multiple_of(8), Ordering::Release);
                if record.is_some() {
                    return record;
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::*;

    /// There are none here.
    #[derive(Debug)]
    pub struct Ring(std::convert::Infallible);

    impl Ring {
        pub fn open(_: BorrowedFd<'_>, _: u32) -> Result<Ring, Failure> {
            Err(Failure::NotLinux)
        }

        pub fn next(&mut self) -> Option<Vec<u8>> {
            match self.0 {}
        }
    }
}

pub use imp::Ring;
