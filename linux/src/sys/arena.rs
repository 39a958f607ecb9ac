//! Arenas (`BPF_MAP_TYPE_ARENA`): memory that programs and a process share.

use super::{BorrowedFd, Failure};

/// Gives an arena of so many bytes its address in user space, which programs need: the kernel takes it from the first mapping.
/// Its first bytes become `content`; it is mapped at `address` unless that is 0.
#[cfg(target_os = "linux")]
pub fn give_address(map: BorrowedFd<'_>, bytes: usize, address: u64, content: &[u8]) -> Result<(), Failure> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let wanted = usize::try_from(address).map_or(std::ptr::null_mut(), std::ptr::without_provenance_mut);
    let fixed = if address == 0 { 0 } else { libc::MAP_FIXED_NOREPLACE };
    // SAFETY: a new mapping, wherever the kernel wants it or where nothing else is.
    let start = unsafe {
        let fd = super::fd_number(map).cast_signed();
        libc::mmap(wanted, bytes, protection, libc::MAP_SHARED | fixed, fd, 0)
    };
    if start == libc::MAP_FAILED {
        return Err(Failure::Errno(super::last_errno()));
    }
    // SAFETY: so many bytes were mapped, and nobody else knows of them; pages come as they are touched.
    unsafe { std::ptr::copy_nonoverlapping(content.as_ptr(), start.cast::<u8>(), content.len().min(bytes)) };
    // SAFETY: the mapping is ours, and nothing refers to it: the kernel remembers the address without it.
    unsafe { libc::munmap(start, bytes) };
    Ok(())
}

/// There is no such memory here.
#[cfg(not(target_os = "linux"))]
pub fn give_address(_: BorrowedFd<'_>, _: usize, _: u64, _: &[u8]) -> Result<(), Failure> {
    Err(Failure::NotLinux)
}
