//! Helpers that give records to user space: ring buffers and perf events.

use std::ptr::NonNull;

use ring3_platform::Errno;

use super::helper;
use crate::ctx::Context;
use crate::env::{Env, ret};
use crate::maps::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use crate::regions::RegionKind;

/// What `bpf_ringbuf_output` takes.
const WAKEUP_FLAGS: u64 = BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP;
/// Longest record of a ring buffer.
const MAX_RECORD: u64 = (u32::MAX / 4) as u64;
/// The slot of the event in the flags; all ones is that of the CPU.
const INDEX: u64 = 0xffff_ffff;
/// How much of the packet follows, in the flags (`BPF_F_CTXLEN_MASK`).
const CTX_LEN: u64 = 0xf_ffff << 32;

helper! {
    /// `bpf_ringbuf_output(map, data, size, flags)`.
    output(env, map, data, size, flags) {
        // SAFETY: by the caller, R1 is a map and R2 memory of R3 bytes.
        let (map, data) = unsafe { (env.map(map)?, env.mem(data, size)?) };
        if flags & !WAKEUP_FLAGS != 0 {
            return Some(Errno::EINVAL.as_ret());
        }
        let record = if size > MAX_RECORD { None } else { map.map.reserve(size) };
        let Some(record) = record else { return Some(Errno::EAGAIN.as_ret()) };
        // SAFETY: the record has `size` bytes and is nobody else's until it is committed; the data may be another record.
        unsafe { std::ptr::copy(data.as_ptr(), record.as_ptr(), data.len()) };
        map.map.commit_with(record, false, flags);
        Some(0)
    }
}

helper! {
    /// `bpf_ringbuf_reserve(map, size, flags)`: address of the record or 0.
    reserve(env, map, size, flags) {
        // SAFETY: by the caller, R1 is a map.
        let map = unsafe { env.map(map) }?;
        if flags != 0 || size > MAX_RECORD {
            return Some(0);
        }
        let Some(record) = map.map.reserve(size) else { return Some(0) };
        let addr = record.as_ptr() as u64;
        env.publish(addr, size, RegionKind::Record);
        Some(addr)
    }
}

helper! {
    /// `bpf_ringbuf_submit(record, flags)`.
    submit(env, record, flags) {
        commit(env, record, false, flags)
    }
}

helper! {
    /// `bpf_ringbuf_discard(record, flags)`.
    discard(env, record, flags) {
        commit(env, record, true, flags)
    }
}

/// Finds the ring buffer that a record is of and commits it there.
fn commit(env: &mut Env<'_>, addr: u64, discard: bool, flags: u64) -> Option<u64> {
    let record = NonNull::new(addr as *mut u8);
    let done = match (&env.linked, record) {
        (Some(linked), Some(record)) => {
            linked.maps().iter().any(|handle| handle.map.commit_with(record, discard, flags))
        }
        _ => false,
    };
    if !done {
        env.trap_argument(addr, "a record of a ring buffer");
        return None;
    }
    env.retract(addr);
    Some(0)
}

helper! {
    /// `bpf_ringbuf_query(map, flags)`.
    query(env, map, what) {
        // SAFETY: by the caller, R1 is a map.
        Some(unsafe { env.map(map) }?.map.query(what))
    }
}

helper! {
    /// `bpf_perf_event_output(ctx, map, flags, data, size)`: with part of the packet behind the data, if the flags say so.
    perf_output(env, ctx, map, flags, data, size) {
        if !env.check_ctx(ctx) {
            return None;
        }
        // SAFETY: by the caller, R2 is a map and R4 memory of R5 bytes.
        let (map, data) = unsafe { (env.map(map)?, env.mem(data, size)?) };
        let (allowed, packet) = match &env.ctx {
            Context::Xdp(xdp) => (INDEX | CTX_LEN, xdp.packet.bytes()),
            Context::Skb(skb) => (INDEX | CTX_LEN, skb.packet.bytes()),
            Context::None | Context::Raw(_) | Context::Fields(_) | Context::Parts(_) => (INDEX, &[][..]),
        };
        if flags & !allowed != 0 {
            return Some(Errno::EINVAL.as_ret());
        }
        let Some(packet) = packet.get(..((flags & CTX_LEN) >> 32) as usize) else {
            return Some(Errno::EFAULT.as_ret());
        };
        let index = if flags & INDEX == INDEX { env.cpu } else { (flags & INDEX) as u32 };
        Some(ret(map.map.output(index, env.cpu, &[data, packet].concat()).map(|()| 0)))
    }
}

/// The packet of a structure of the kernel behind the data.
///
/// # Safety
///
/// `map` is a map, and `data` memory of `size` bytes.
unsafe fn object_output(
    env: &mut Env<'_>,
    (packet, is_xdp): (u64, bool),
    map: u64,
    flags: u64,
    data: (u64, u64),
) -> Option<u64> {
    // SAFETY: by the caller.
    let (map, data) = unsafe { (env.map(map)?, env.mem(data.0, data.1)?) };
    if flags & !(INDEX | CTX_LEN) != 0 {
        return Some(Errno::EINVAL.as_ret());
    }
    let len = ((flags & CTX_LEN) >> 32) as usize;
    let Some(packet) = env.host.packet_bytes(packet, is_xdp, len) else { return Some(Errno::EFAULT.as_ret()) };
    let index = if flags & INDEX == INDEX { env.cpu } else { (flags & INDEX) as u32 };
    Some(ret(map.map.output(index, env.cpu, &[data, &packet].concat()).map(|()| 0)))
}

helper! {
    /// `bpf_skb_output(skb, map, flags, data, size)` of a `struct sk_buff`.
    skb_output(env, skb, map, flags, data, size) {
        // SAFETY: by the caller, R2 is a map and R4 memory of R5 bytes.
        unsafe { object_output(env, (skb, false), map, flags, (data, size)) }
    }
}

helper! {
    /// `bpf_xdp_output(xdp, map, flags, data, size)` of a `struct xdp_buff`.
    xdp_output(env, xdp, map, flags, data, size) {
        // SAFETY: by the caller, R2 is a map and R4 memory of R5 bytes.
        unsafe { object_output(env, (xdp, true), map, flags, (data, size)) }
    }
}
