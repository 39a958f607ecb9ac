//! Arenas (`BPF_MAP_TYPE_ARENA`): memory that programs and a process share.

use super::{BorrowedFd, Failure};

/// Gives an arena of so many bytes its address in user space, which programs need: the kernel takes it from the first mapping.
#[cfg(target_os = "linux")]
pub fn give_address(map: BorrowedFd<'_>, bytes: usize) -> Result<(), Failure> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, wherever the kernel wants it.
    let start = unsafe {
        let fd = super::fd_number(map).cast_signed();
        libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_SHARED, fd, 0)
    };
    if start == libc::MAP_FAILED {
        return Err(Failure::Errno(super::last_errno()));
    }
    // SAFETY: the mapping is ours, and nothing refers to it: the kernel remembers the address without it.
    unsafe { libc::munmap(start, bytes) };
    Ok(())
}

/// There is no such memory here.
#[cfg(not(target_os = "linux"))]
pub fn give_address(_: BorrowedFd<'_>, _: usize) -> Result<(), Failure> {
    Err(Failure::NotLinux)
}
