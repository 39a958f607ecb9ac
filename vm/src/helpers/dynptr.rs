//! Dynptrs: memory that knows its length, in 16 bytes of the program's stack.
//!
//! What they hold is as in Linux: an address (of packets that of the context), the length with kind and access in the upper bits, and
//! how far they were moved.

use std::ptr::NonNull;

use ring3_platform::{Errno, ProgType};

use super::helper;
use crate::ctx::Context;
use crate::env::{Env, ret};
use crate::regions::RegionKind;

/// Bytes of `struct bpf_dynptr`.
const BYTES: u64 = 16;
/// The length, of the 32 bits that have it.
const SIZE: u32 = 0xff_ffff;
/// What it is about.
const KIND: u32 = 7 << 28;
const LOCAL: u32 = 1 << 28;
const RINGBUF: u32 = 2 << 28;
const PACKET: u32 = 3 << 28;
const META: u32 = 5 << 28;
/// It cannot be written through.
const READ_ONLY: u32 = 1 << 31;
/// Flags of a store into a socket buffer.
const STORE_FLAGS: u64 = 3;

/// What one holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Dynptr {
    data: u64,
    bits: u32,
    offset: u32,
}

impl Dynptr {
    const NULL: Dynptr = Dynptr { data: 0, bits: 0, offset: 0 };

    fn new(data: u64, kind: u32, size: u32) -> Dynptr {
        Dynptr { data, bits: kind | size & SIZE, offset: 0 }
    }

    /// # Safety
    ///
    /// `at` is a dynptr; or `env` knows the live memory.
    unsafe fn load(env: &mut Env<'_>, at: u64) -> Option<Dynptr> {
        // SAFETY: by the caller.
        let bytes = unsafe { env.mem(at, BYTES) }?;
        let (data, rest) = bytes.split_first_chunk()?;
        let (bits, offset) = (rest.first_chunk()?, rest.last_chunk()?);
        Some(Dynptr {
            data: u64::from_ne_bytes(*data),
            bits: u32::from_ne_bytes(*bits),
            offset: u32::from_ne_bytes(*offset),
        })
    }

    /// # Safety
    ///
    /// As of `load`.
    unsafe fn store(self, env: &mut Env<'_>, at: u64) -> Option<()> {
        // SAFETY: by the caller.
        let bytes = unsafe { env.mem_mut(at, BYTES) }?;
        bytes[..8].copy_from_slice(&self.data.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.bits.to_ne_bytes());
        bytes[12..].copy_from_slice(&self.offset.to_ne_bytes());
        Some(())
    }

    const fn is_null(self) -> bool {
        self.data == 0
    }

    const fn size(self) -> u32 {
        self.bits & SIZE
    }

    const fn kind(self) -> u32 {
        self.bits & KIND
    }

    const fn is_read_only(self) -> bool {
        self.bits & READ_ONLY != 0
    }

    /// `E2BIG` unless these bytes are in it.
    fn check(self, offset: u64, len: u64) -> Result<(), Errno> {
        let (offset, len, size) = (u64::from(offset as u32), u64::from(len as u32), u64::from(self.size()));
        if len > size || offset > size - len { Err(Errno::E2BIG) } else { Ok(()) }
    }

    /// Where byte `offset` of it is, counted from the start of what it is about.
    fn start(self, offset: u64) -> usize {
        self.offset as usize + offset as u32 as usize
    }

    /// Reads bytes of it.
    ///
    /// # Safety
    ///
    /// It was made by a helper; or `env` knows the live memory.
    unsafe fn read(self, env: &mut Env<'_>, offset: u64, len: u64) -> Option<Result<Vec<u8>, Errno>> {
        let (start, len) = (self.start(offset), len as u32 as usize);
        Some(match self.kind() {
            PACKET => env
                .ctx
                .packet()
                .and_then(|p| p.bytes().get(start..start + len))
                .map(<[u8]>::to_vec)
                .ok_or(Errno::EFAULT),
            META => {
                env.ctx.packet().and_then(|p| p.meta().get(start..start + len)).map(<[u8]>::to_vec).ok_or(Errno::EFAULT)
            }
            // SAFETY: by the caller, so many bytes are there.
            _ => Ok(unsafe { env.mem(self.data.wrapping_add(start as u64), len as u64) }?.to_vec()),
        })
    }

    /// Writes bytes into it.
    ///
    /// # Safety
    ///
    /// As of `read`.
    unsafe fn write(self, env: &mut Env<'_>, offset: u64, bytes: &[u8]) -> Option<Result<(), Errno>> {
        let start = self.start(offset);
        Some(match self.kind() {
            PACKET => {
                let place = env.ctx.packet_mut().and_then(|p| p.bytes_mut().get_mut(start..start + bytes.len()));
                place.map(|place| place.copy_from_slice(bytes)).ok_or(Errno::EFAULT)
            }
            META => Err(Errno::EINVAL),
            _ => {
                // SAFETY: by the caller, so many bytes are there.
                unsafe { env.mem_mut(self.data.wrapping_add(start as u64), bytes.len() as u64) }?
                    .copy_from_slice(bytes);
                Ok(())
            }
        })
    }
}

/// The two words of a dynptr of this memory.
pub(super) fn local(data: u64, size: u32) -> [u64; 2] {
    let Dynptr { data, bits, offset } = Dynptr::new(data, LOCAL, size);
    [data, u64::from(bits) | u64::from(offset) << 32]
}

/// An `int` of a function of the kernel.
fn int(result: Result<(), Errno>) -> u64 {
    result.err().map_or(0, |errno| errno.as_ret() & u64::from(u32::MAX))
}

helper! {
    /// `bpf_dynptr_from_mem(data, size, flags, ptr)`.
    from_mem(env, data, size, flags, ptr) {
        let size = size as u32;
        let made = match () {
            () if size > SIZE => Err(Errno::E2BIG),
            () if flags != 0 => Err(Errno::EINVAL),
            () => Ok(Dynptr::new(data, LOCAL, size)),
        };
        // SAFETY: by the caller, R4 is a dynptr.
        unsafe { made.unwrap_or(Dynptr::NULL).store(env, ptr) }?;
        Some(ret(made.map(|_| 0)))
    }
}

helper! {
    /// `bpf_ringbuf_reserve_dynptr(map, size, flags, ptr)`.
    reserve(env, map, size, flags, ptr) {
        // SAFETY: by the caller, R1 is a map.
        let map = unsafe { env.map(map) }?;
        let size = size as u32;
        let made = match () {
            () if flags != 0 => Err(Errno::EINVAL),
            () if size > SIZE => Err(Errno::E2BIG),
            () => map.map.reserve(size.into()).ok_or(Errno::EINVAL),
        };
        let dynptr = made.map(|record| {
            let addr = record.as_ptr() as u64;
            env.publish(addr, size.into(), RegionKind::Record);
            Dynptr::new(addr, RINGBUF, size)
        });
        // SAFETY: by the caller, R4 is a dynptr.
        unsafe { dynptr.unwrap_or(Dynptr::NULL).store(env, ptr) }?;
        Some(ret(dynptr.map(|_| 0)))
    }
}

/// Gives a record back.
///
/// # Safety
///
/// `ptr` is a dynptr.
unsafe fn commit(env: &mut Env<'_>, ptr: u64, discard: bool) -> Option<u64> {
    // SAFETY: by the caller.
    let dynptr = unsafe { Dynptr::load(env, ptr) }?;
    if !dynptr.is_null() {
        let record = NonNull::new(dynptr.data as *mut u8);
        let linked = env.linked.clone();
        let done = record
            .zip(linked)
            .is_some_and(|(record, linked)| linked.maps().iter().any(|handle| handle.map.commit(record, discard)));
        if !done {
            env.trap_argument(dynptr.data, "a record of a ring buffer");
            return None;
        }
        env.retract(dynptr.data);
        // SAFETY: by the caller.
        unsafe { Dynptr::NULL.store(env, ptr) }?;
    }
    Some(0)
}

helper! {
    /// `bpf_ringbuf_submit_dynptr(ptr, flags)`.
    submit(env, ptr) {
        // SAFETY: by the caller, R1 is a dynptr.
        unsafe { commit(env, ptr, false) }
    }
}

helper! {
    /// `bpf_ringbuf_discard_dynptr(ptr, flags)`.
    discard(env, ptr) {
        // SAFETY: by the caller, R1 is a dynptr.
        unsafe { commit(env, ptr, true) }
    }
}

helper! {
    /// `bpf_dynptr_read(dst, len, src, offset, flags)`.
    read(env, dst, len, src, offset, flags) {
        // SAFETY: by the caller, R3 is a dynptr.
        let dynptr = unsafe { Dynptr::load(env, src) }?;
        if dynptr.is_null() || flags != 0 {
            return Some(Errno::EINVAL.as_ret());
        }
        if let Err(errno) = dynptr.check(offset, len) {
            return Some(errno.as_ret());
        }
        // SAFETY: a dynptr of a helper; R1 is memory of R2 bytes.
        unsafe {
            let bytes = dynptr.read(env, offset, len)?;
            let out = env.mem_mut(dst, u64::from(len as u32))?;
            match &bytes {
                Ok(bytes) => out.copy_from_slice(bytes),
                Err(_) => out.fill(0),
            }
            Some(ret(bytes.map(|_| 0)))
        }
    }
}

helper! {
    /// `bpf_dynptr_write(dst, offset, src, len, flags)`.
    write(env, dst, offset, src, len, flags) {
        // SAFETY: by the caller, R1 is a dynptr.
        let dynptr = unsafe { Dynptr::load(env, dst) }?;
        if dynptr.is_null() || dynptr.is_read_only() {
            return Some(Errno::EINVAL.as_ret());
        }
        if let Err(errno) = dynptr.check(offset, len) {
            return Some(errno.as_ret());
        }
        let of_skb = dynptr.kind() == PACKET && matches!(env.ctx, Context::Skb(_));
        if flags & !(if of_skb { STORE_FLAGS } else { 0 }) != 0 {
            return Some(Errno::EINVAL.as_ret());
        }
        // SAFETY: R3 is memory of R4 bytes; a dynptr of a helper.
        unsafe {
            let bytes = env.mem(src, u64::from(len as u32))?.to_vec();
            Some(ret(dynptr.write(env, offset, &bytes)?.map(|()| 0)))
        }
    }
}

helper! {
    /// `bpf_dynptr_data(ptr, offset, len)`: an address, or null for what can only be written by helpers.
    data(env, ptr, offset, len) {
        // SAFETY: by the caller, R1 is a dynptr.
        let dynptr = unsafe { Dynptr::load(env, ptr) }?;
        let reachable = !dynptr.is_null() && !dynptr.is_read_only() && matches!(dynptr.kind(), LOCAL | RINGBUF);
        if !reachable || dynptr.check(offset, len).is_err() {
            return Some(0);
        }
        Some(dynptr.data.wrapping_add(dynptr.start(offset) as u64))
    }
}

/// Whether programs of this type may only read their packets.
const fn only_reads(kind: ProgType) -> bool {
    !matches!(
        kind,
        ProgType::SchedCls | ProgType::SchedAct | ProgType::Xdp | ProgType::LwtXmit | ProgType::SkSkb | ProgType::SkMsg
    )
}

/// Makes a dynptr of the packet.
///
/// # Safety
///
/// `ptr` is a dynptr.
unsafe fn of_packet(env: &mut Env<'_>, ctx: u64, flags: u64, ptr: u64, meta: bool) -> Option<u64> {
    let read_only = meta || env.linked.as_ref().is_none_or(|linked| only_reads(linked.kind()));
    let len = env.ctx.packet().map(|packet| if meta { packet.meta().len() } else { packet.len() });
    let made = match len {
        Some(len) if flags == 0 => {
            let kind = if meta { META } else { PACKET } | if read_only { READ_ONLY } else { 0 };
            Ok(Dynptr::new(ctx, kind, u32::try_from(len).unwrap_or(SIZE)))
        }
        Some(_) | None => Err(Errno::EINVAL),
    };
    // SAFETY: by the caller.
    unsafe { made.unwrap_or(Dynptr::NULL).store(env, ptr) }?;
    Some(int(made.map(|_| ())))
}

helper! {
    /// `bpf_dynptr_from_skb(skb, flags, ptr)` and `bpf_dynptr_from_xdp`.
    from_packet(env, ctx, flags, ptr) {
        // Of a packet that a tracing program holds nothing is known here.
        let stands_for_it = matches!(&env.ctx, Context::Parts(parts) if parts.is_packet(ctx));
        if env.ctx.packet().is_some() && !stands_for_it && !env.check_ctx(ctx) {
            return None;
        }
        // SAFETY: by the caller, R3 is a dynptr.
        unsafe { of_packet(env, ctx, flags, ptr, false) }
    }
}

helper! {
    /// `bpf_dynptr_from_skb_meta(skb, flags, ptr)`.
    from_meta(env, ctx, flags, ptr) {
        if !env.check_ctx(ctx) {
            return None;
        }
        // SAFETY: by the caller, R3 is a dynptr.
        unsafe { of_packet(env, ctx, flags, ptr, true) }
    }
}

helper! {
    /// `bpf_dynptr_adjust(ptr, start, end)`.
    adjust(env, ptr, start, end) {
        // SAFETY: by the caller, R1 is a dynptr.
        let dynptr = unsafe { Dynptr::load(env, ptr) }?;
        let (start, end) = (start as u32, end as u32);
        let result = match () {
            () if dynptr.is_null() || start > end => Err(Errno::EINVAL),
            () if start > dynptr.size() || end > dynptr.size() => Err(Errno::ERANGE),
            () => Ok(()),
        };
        if result.is_ok() {
            let bits = dynptr.bits & !SIZE | (end - start);
            // SAFETY: as above.
            unsafe { Dynptr { bits, offset: dynptr.offset.wrapping_add(start), ..dynptr }.store(env, ptr) }?;
        }
        Some(int(result))
    }
}

helper! {
    /// `bpf_dynptr_is_null(ptr)`.
    is_null(env, ptr) {
        // SAFETY: by the caller, R1 is a dynptr.
        Some(unsafe { Dynptr::load(env, ptr) }?.is_null().into())
    }
}

helper! {
    /// `bpf_dynptr_is_rdonly(ptr)`.
    is_read_only(env, ptr) {
        // SAFETY: by the caller, R1 is a dynptr.
        let dynptr = unsafe { Dynptr::load(env, ptr) }?;
        Some((!dynptr.is_null() && dynptr.is_read_only()).into())
    }
}

helper! {
    /// `bpf_dynptr_size(ptr)`.
    size(env, ptr) {
        // SAFETY: by the caller, R1 is a dynptr.
        let dynptr = unsafe { Dynptr::load(env, ptr) }?;
        Some(if dynptr.is_null() { int(Err(Errno::EINVAL)) } else { dynptr.size().into() })
    }
}

helper! {
    /// `bpf_dynptr_clone(ptr, clone)`.
    clone(env, ptr, to) {
        // SAFETY: by the caller, R1 and R2 are dynptrs.
        let dynptr = unsafe { Dynptr::load(env, ptr) }?;
        let made = if dynptr.is_null() { Dynptr::NULL } else { dynptr };
        // SAFETY: as above.
        unsafe { made.store(env, to) }?;
        Some(int(if dynptr.is_null() { Err(Errno::EINVAL) } else { Ok(()) }))
    }
}

/// Where bytes of a dynptr are, or a copy of them in the buffer.
///
/// # Safety
///
/// A dynptr of a helper, and memory of `len` bytes or null.
unsafe fn slice_of(env: &mut Env<'_>, dynptr: Dynptr, offset: u64, (buffer, len): (u64, u64)) -> Option<u64> {
    if dynptr.is_null() || dynptr.check(offset, len).is_err() {
        return Some(0);
    }
    let start = dynptr.start(offset) as u64;
    if matches!(dynptr.kind(), LOCAL | RINGBUF) {
        return Some(dynptr.data.wrapping_add(start));
    }
    let len = u64::from(len as u32);
    let Some(packet) = env.ctx.packet() else { return Some(0) };
    let (first, end) = if dynptr.kind() == META {
        (packet.meta_addr(), packet.data_addr())
    } else {
        (packet.data_addr(), packet.end_addr())
    };
    if first + start + len <= end {
        return Some(first + start);
    }
    if buffer == 0 {
        return Some(0);
    }
    // SAFETY: by the caller.
    unsafe {
        let Ok(bytes) = dynptr.read(env, offset, len)? else { return Some(0) };
        env.mem_mut(buffer, len)?.copy_from_slice(&bytes);
    }
    Some(buffer)
}

helper! {
    /// `bpf_dynptr_slice(ptr, offset, buffer, size)`: an address of bytes that are only read.
    slice(env, ptr, offset, buffer, len) {
        // SAFETY: by the caller, R1 is a dynptr and R3 memory of R4 bytes or null.
        unsafe {
            let dynptr = Dynptr::load(env, ptr)?;
            slice_of(env, dynptr, offset, (buffer, len))
        }
    }
}

helper! {
    /// `bpf_dynptr_slice_rdwr(ptr, offset, buffer, size)`.
    slice_rdwr(env, ptr, offset, buffer, len) {
        // SAFETY: by the caller, R1 is a dynptr and R3 memory of R4 bytes or null.
        unsafe {
            let dynptr = Dynptr::load(env, ptr)?;
            if dynptr.is_read_only() { Some(0) } else { slice_of(env, dynptr, offset, (buffer, len)) }
        }
    }
}

helper! {
    /// `bpf_dynptr_copy(dst, dst_off, src, src_off, size)`.
    copy(env, dst, dst_off, src, src_off, size) {
        // SAFETY: by the caller, R1 and R3 are dynptrs.
        unsafe {
            let (to, from) = (Dynptr::load(env, dst)?, Dynptr::load(env, src)?);
            let result = match () {
                () if to.is_null() || from.is_null() || to.is_read_only() => Err(Errno::EINVAL),
                () => from.check(src_off, size).and_then(|()| to.check(dst_off, size)),
            };
            if result.is_err() {
                return Some(int(result));
            }
            match from.read(env, src_off, size)? {
                Ok(bytes) => Some(int(to.write(env, dst_off, &bytes)?)),
                Err(errno) => Some(int(Err(errno))),
            }
        }
    }
}

helper! {
    /// `bpf_dynptr_memset(ptr, offset, size, val)`.
    memset(env, ptr, offset, size, value) {
        // SAFETY: by the caller, R1 is a dynptr.
        unsafe {
            let dynptr = Dynptr::load(env, ptr)?;
            let result = match () {
                () if dynptr.is_null() || dynptr.is_read_only() => Err(Errno::EINVAL),
                () => dynptr.check(offset, size),
            };
            if result.is_err() {
                return Some(int(result));
            }
            let bytes = vec![value as u8; size as u32 as usize];
            Some(int(dynptr.write(env, offset, &bytes)?))
        }
    }
}

/// The functions of the kernel of this family.
pub(super) const KFUNCS: &[(&str, crate::link::HelperFn)] = &[
    ("bpf_dynptr_from_skb", from_packet),
    ("bpf_dynptr_from_xdp", from_packet),
    ("bpf_dynptr_from_skb_meta", from_meta),
    ("bpf_dynptr_adjust", adjust),
    ("bpf_dynptr_is_null", is_null),
    ("bpf_dynptr_is_rdonly", is_read_only),
    ("bpf_dynptr_size", size),
    ("bpf_dynptr_clone", clone),
    ("bpf_dynptr_slice", slice),
    ("bpf_dynptr_slice_rdwr", slice_rdwr),
    ("bpf_dynptr_copy", copy),
    ("bpf_dynptr_memset", memset),
];
