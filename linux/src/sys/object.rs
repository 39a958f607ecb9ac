//! Commands on objects of any kind: pins, ids, information, statistics.

use std::ffi::CStr;

use super::attr::{BtfInfo, EnableStats, FuncInfo, GetId, GetInfo, LineInfo, LinkInfo, MapInfo, Obj, Plain, ProgInfo};
use super::{BorrowedFd, Command, Failure, OwnedFd, addr, addr_mut, bpf, bpf_fd, fd};
use crate::Errno;

/// BPF_STATS_RUN_TIME.
const RUN_TIME: u32 = 0;

/// BPF_OBJ_PIN.
pub fn pin(object: BorrowedFd<'_>, path: &CStr) -> Result<(), Failure> {
    let path = path.to_bytes_with_nul();
    let mut attr = Obj { pathname: addr(path), bpf_fd: fd::number(object), ..Obj::default() };
    // SAFETY: the path ends in a zero.
    unsafe { bpf(Command::ObjPin, &mut attr, 0) }.map(|_| ())
}

/// BPF_OBJ_GET.
pub fn get(path: &CStr, flags: u32) -> Result<OwnedFd, Failure> {
    let path = path.to_bytes_with_nul();
    let mut attr = Obj { pathname: addr(path), file_flags: flags, ..Obj::default() };
    // SAFETY: the path ends in a zero.
    unsafe { bpf_fd(Command::ObjGet, &mut attr, 0) }
}

/// One of the BPF_*_GET_NEXT_ID: the next id above this one, `None` after the last.
pub fn next_id(command: Command, id: u32) -> Result<Option<u32>, Failure> {
    let mut attr = GetId { id, ..GetId::default() };
    // SAFETY: no addresses.
    match unsafe { bpf(command, &mut attr, std::mem::offset_of!(GetId, open_flags)) } {
        Ok(_) => Ok(Some(attr.next_id)),
        Err(failure) if failure.is(Errno::ENOENT) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// What gives a file descriptor for an id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum ById {
    Prog,
    Map,
    Btf,
    Link,
}

impl ById {
    /// Its command.
    pub const fn command(self) -> Command {
        match self {
            ById::Prog => Command::ProgById,
            ById::Map => Command::MapById,
            ById::Btf => Command::BtfById,
            ById::Link => Command::LinkById,
        }
    }
}

/// One of the BPF_*_GET_FD_BY_ID.
pub fn by_id(what: ById, id: u32) -> Result<OwnedFd, Failure> {
    let mut attr = GetId { id, ..GetId::default() };
    // SAFETY: no addresses; the command gives a descriptor.
    unsafe { bpf_fd(what.command(), &mut attr, 0) }
}

/// BPF_ENABLE_STATS: run times and counts are kept while the descriptor is open.
pub fn enable_stats() -> Result<OwnedFd, Failure> {
    let mut attr = EnableStats { kind: RUN_TIME };
    // SAFETY: no addresses; the command gives a descriptor.
    unsafe { bpf_fd(Command::EnableStats, &mut attr, 0) }
}

/// BPF_OBJ_GET_INFO_BY_FD into a struct. Older kernels fill in a part of it, newer ones have more.
///
/// # Safety
/// Every address in the struct leads to writable memory of the size that stands beside it.
unsafe fn info<T: Plain>(object: BorrowedFd<'_>, info: &mut T) -> Result<(), Failure> {
    let mut attr =
        GetInfo { bpf_fd: fd::number(object), info_len: size_of::<T>() as u32, info: (&raw mut *info) as u64 };
    // SAFETY: the kernel writes at most `info_len` bytes, any bytes are a value of a `Plain`; the caller vouches for the rest.
    unsafe { bpf(Command::GetInfo, &mut attr, 0) }.map(|_| ())
}

/// What the kernel says of a map.
pub fn map_info(map: BorrowedFd<'_>) -> Result<MapInfo, Failure> {
    let mut found = MapInfo::default();
    // SAFETY: no addresses.
    unsafe { info(map, &mut found)? };
    Ok(found)
}

/// What the kernel says of a link. Texts are not asked for.
pub fn link_info(link: BorrowedFd<'_>) -> Result<LinkInfo, Failure> {
    let mut found = LinkInfo::default();
    // SAFETY: no addresses: all is zero, which the kernel takes as "no buffer".
    unsafe { info(link, &mut found)? };
    Ok(found)
}

/// What the kernel says of types; their name and bytes into the buffers. Sizes in the result are the whole ones.
pub fn btf_info(btf: BorrowedFd<'_>, bytes: &mut [u8], name: &mut [u8]) -> Result<BtfInfo, Failure> {
    let mut found = BtfInfo {
        btf: if bytes.is_empty() { 0 } else { addr_mut(bytes) },
        btf_size: bytes.len() as u32,
        name: if name.is_empty() { 0 } else { addr_mut(name) },
        name_len: name.len() as u32,
        ..BtfInfo::default()
    };
    // SAFETY: both addresses are of slices, beside their lengths.
    unsafe { info(btf, &mut found)? };
    Ok(found)
}

/// Buffers for what a program has many of; empty ones are not asked for.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct ProgParts<'a> {
    pub xlated: &'a mut [u8],
    pub jited: &'a mut [u8],
    pub map_ids: &'a mut [u32],
    pub ksyms: &'a mut [u64],
    pub func_lens: &'a mut [u32],
    pub funcs: &'a mut [FuncInfo],
    pub lines: &'a mut [LineInfo],
    pub jited_lines: &'a mut [u64],
    pub tags: &'a mut [[u8; 8]],
}

/// What the kernel says of a program. Counts in the result are the whole ones.
pub fn prog_info(prog: BorrowedFd<'_>, parts: ProgParts<'_>) -> Result<ProgInfo, Failure> {
    fn at<T>(slice: &mut [T]) -> u64 {
        if slice.is_empty() { 0 } else { addr_mut(slice) }
    }
    fn each<T>(slice: &[T]) -> u32 {
        if slice.is_empty() { 0 } else { size_of::<T>() as u32 }
    }
    let mut found = ProgInfo {
        jited_prog_len: parts.jited.len() as u32,
        xlated_prog_len: parts.xlated.len() as u32,
        nr_map_ids: parts.map_ids.len() as u32,
        nr_jited_ksyms: parts.ksyms.len() as u32,
        nr_jited_func_lens: parts.func_lens.len() as u32,
        func_info_rec_size: each(parts.funcs),
        nr_func_info: parts.funcs.len() as u32,
        line_info_rec_size: each(parts.lines),
        nr_line_info: parts.lines.len() as u32,
        jited_line_info_rec_size: each(parts.jited_lines),
        nr_jited_line_info: parts.jited_lines.len() as u32,
        nr_prog_tags: parts.tags.len() as u32,
        jited_prog_insns: at(parts.jited),
        xlated_prog_insns: at(parts.xlated),
        map_ids: at(parts.map_ids),
        jited_ksyms: at(parts.ksyms),
        jited_func_lens: at(parts.func_lens),
        func_info: at(parts.funcs),
        line_info: at(parts.lines),
        jited_line_info: at(parts.jited_lines),
        prog_tags: at(parts.tags),
        ..ProgInfo::default()
    };
    // SAFETY: each address is of a slice, beside its length; records are as large as is said.
    unsafe { info(prog, &mut found)? };
    Ok(found)
}
