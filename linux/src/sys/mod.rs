//! System calls. All `unsafe` of the crate is in this folder: what it gives out is safe, because pointers and lengths that
//! go to the kernel are made here, out of slices, and the sizes of maps are the kernel's own.

mod arena;
pub mod attr;
mod cpu;
mod fd;
pub mod link;
mod map;
mod object;
mod prog;
mod ring;

pub use arena::give_address;
pub use cpu::OnOneCpu;
pub use fd::{AsFd, BorrowedFd, OwnedFd, number as fd_number};
pub use map::{MapFd, possible_cpus};
pub use object::{ById, ProgParts, btf_info, by_id, enable_stats, get, link_info, map_info, next_id, pin, prog_info};
pub use prog::{Load, Logged, Run, btf_load, prog_load, test_run};
pub use ring::Ring;

use crate::{Errno, Error};
use attr::Plain;

macro_rules! commands {
    ($($variant:ident = $number:literal $name:literal)*) => {
        /// Commands of bpf(2).
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[allow(missing_docs)]
        #[repr(i32)]
        pub enum Command { $($variant = $number),* }

        impl std::fmt::Display for Command {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Command::$variant => $name),* })
            }
        }
    };
}

commands! {
    MapCreate = 0 "BPF_MAP_CREATE"
    MapLookup = 1 "BPF_MAP_LOOKUP_ELEM"
    MapUpdate = 2 "BPF_MAP_UPDATE_ELEM"
    MapDelete = 3 "BPF_MAP_DELETE_ELEM"
    MapNextKey = 4 "BPF_MAP_GET_NEXT_KEY"
    ProgLoad = 5 "BPF_PROG_LOAD"
    ObjPin = 6 "BPF_OBJ_PIN"
    ObjGet = 7 "BPF_OBJ_GET"
    ProgAttach = 8 "BPF_PROG_ATTACH"
    ProgDetach = 9 "BPF_PROG_DETACH"
    TestRun = 10 "BPF_PROG_TEST_RUN"
    ProgNextId = 11 "BPF_PROG_GET_NEXT_ID"
    MapNextId = 12 "BPF_MAP_GET_NEXT_ID"
    ProgById = 13 "BPF_PROG_GET_FD_BY_ID"
    MapById = 14 "BPF_MAP_GET_FD_BY_ID"
    GetInfo = 15 "BPF_OBJ_GET_INFO_BY_FD"
    RawTracepointOpen = 17 "BPF_RAW_TRACEPOINT_OPEN"
    BtfLoad = 18 "BPF_BTF_LOAD"
    BtfById = 19 "BPF_BTF_GET_FD_BY_ID"
    MapLookupAndDelete = 21 "BPF_MAP_LOOKUP_AND_DELETE_ELEM"
    MapFreeze = 22 "BPF_MAP_FREEZE"
    BtfNextId = 23 "BPF_BTF_GET_NEXT_ID"
    MapLookupBatch = 24 "BPF_MAP_LOOKUP_BATCH"
    MapLookupAndDeleteBatch = 25 "BPF_MAP_LOOKUP_AND_DELETE_BATCH"
    MapUpdateBatch = 26 "BPF_MAP_UPDATE_BATCH"
    MapDeleteBatch = 27 "BPF_MAP_DELETE_BATCH"
    LinkCreate = 28 "BPF_LINK_CREATE"
    LinkById = 30 "BPF_LINK_GET_FD_BY_ID"
    LinkNextId = 31 "BPF_LINK_GET_NEXT_ID"
    EnableStats = 32 "BPF_ENABLE_STATS"
}

/// How often a load is tried that a signal interrupted. Other commands may have had an effect, and are not repeated.
const RETRIES: usize = 5;

/// Why a system call gave nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// There is no such system call on this system.
    #[cfg_attr(target_os = "linux", expect(dead_code, reason = "made on other systems"))]
    NotLinux,
    /// The kernel refused.
    Errno(Errno),
    /// A file of the kernel is not there, or does not say what it should.
    File(&'static str),
}

impl Failure {
    /// As an error about this command.
    pub const fn of(self, command: Command) -> Error {
        match self {
            Failure::NotLinux => Error::NotLinux,
            Failure::Errno(errno) => Error::Command { command, errno },
            Failure::File(path) => Error::File { path },
        }
    }

    /// As an error about a map.
    pub fn of_map(self, map: &str, command: Command) -> Error {
        match self {
            Failure::NotLinux => Error::NotLinux,
            Failure::Errno(errno) => Error::Map { map: map.to_owned(), command, errno },
            Failure::File(path) => Error::File { path },
        }
    }

    /// Did the kernel give this number?
    pub fn is(self, errno: Errno) -> bool {
        self == Failure::Errno(errno)
    }
}

/// Checks what a descriptor is of, where `/proc` says it: commands on another kind could be misunderstood.
pub fn expect(what: &'static str, fd: BorrowedFd<'_>) -> Result<(), Error> {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", fd_number(fd)));
    let found = link.ok().and_then(|path| path.to_str()?.strip_prefix("anon_inode:").map(str::to_owned));
    match found {
        Some(found) if found != what => Err(Error::Kind { expected: what, found }),
        Some(_) | None => Ok(()),
    }
}

/// The address of a slice, for the kernel.
fn addr<T>(data: &[T]) -> u64 {
    data.as_ptr() as u64
}

/// The address of a slice that the kernel writes to.
fn addr_mut<T>(data: &mut [T]) -> u64 {
    data.as_mut_ptr() as u64
}

/// Bytes up to the last that is not zero, in whole words: kernels refuse attributes that are longer than the ones they know
/// if the rest is not zero, and some filters refuse any that are longer.
fn used(bytes: &[u8]) -> usize {
    let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    end.next_multiple_of(8).clamp(8.min(bytes.len()), bytes.len())
}

/// Calls bpf(2) with attributes that are no longer than needed. `at_least` bytes are passed where the kernel writes into
/// the attributes. Gives the result, which is not negative.
///
/// # Safety
/// Every address in the attributes leads to memory that lives during the call, of the size that the command takes it for,
/// and which is writable if the command writes to it.
unsafe fn bpf<A: Plain>(command: Command, attr: &mut A, at_least: usize) -> Result<i32, Failure> {
    let size = used(attr.bytes()).max(at_least).min(size_of::<A>());
    for _ in 0..RETRIES {
        // SAFETY: `size` is at most that of the struct, any bytes of which are a value; the caller vouches for the rest.
        let result = unsafe { raw_bpf(command, (&raw mut *attr).cast(), size) };
        if command != Command::ProgLoad || result != Err(Failure::Errno(Errno::EAGAIN)) {
            return result;
        }
    }
    Err(Failure::Errno(Errno::EAGAIN))
}

/// As [`bpf`], for commands that give a file descriptor.
///
/// # Safety
/// As of [`bpf`]; and the command is one that gives a new file descriptor.
unsafe fn bpf_fd<A: Plain>(command: Command, attr: &mut A, at_least: usize) -> Result<OwnedFd, Failure> {
    // SAFETY: as the caller promises.
    let fd = unsafe { bpf(command, attr, at_least)? };
    // SAFETY: the kernel has just given this descriptor to us.
    Ok(unsafe { fd::own(fd) })
}

/// # Safety
/// As of [`bpf`]; `attr` leads to `size` bytes.
#[cfg(target_os = "linux")]
unsafe fn raw_bpf(command: Command, attr: *mut libc::c_void, size: usize) -> Result<i32, Failure> {
    // SAFETY: as the caller promises.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command as libc::c_long, attr, size) };
    if result < 0 { Err(Failure::Errno(last_errno())) } else { Ok(result as i32) }
}

#[cfg(not(target_os = "linux"))]
unsafe fn raw_bpf(_: Command, _: *mut libc::c_void, _: usize) -> Result<i32, Failure> {
    Err(Failure::NotLinux)
}

/// Of the system call that has just failed.
#[cfg(target_os = "linux")]
fn last_errno() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_end_with_the_last_field_that_is_set() {
        let mut attr = [0u8; 152];
        assert_eq!(used(&attr), 8);
        attr[0] = 1;
        assert_eq!(used(&attr), 8);
        attr[47] = 1;
        assert_eq!(used(&attr), 48);
        attr[48] = 1;
        assert_eq!(used(&attr), 56);
        assert_eq!(used(&[0; 4]), 4);
        assert_eq!(used(&[]), 0);
    }
}
