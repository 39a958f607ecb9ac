//! Helpers on packets as a driver sees them.

use ring3_platform::Errno;

use super::helper;
use crate::ctx::Context;
use crate::env::{Env, ret};
use crate::packet::Packet;

/// The packet of the XDP context in an argument.
fn packet<'e>(env: &'e mut Env<'_>, ctx: u64) -> Option<&'e mut Packet> {
    if !env.check_ctx(ctx) {
        return None;
    }
    if !matches!(env.ctx, Context::Xdp(_)) {
        env.trap_argument(ctx, "a context with a packet of XDP");
        return None;
    }
    match &mut env.ctx {
        Context::Xdp(xdp) => Some(&mut xdp.packet),
        Context::None | Context::Skb(_) | Context::Raw(_) | Context::Fields(_) | Context::Parts(_) => None,
    }
}

/// Moves one end of a packet.
fn adjust(env: &mut Env<'_>, ctx: u64, adjust: impl FnOnce(&mut Packet) -> Result<(), Errno>) -> Option<u64> {
    let result = adjust(packet(env, ctx)?);
    env.packet_moved();
    Some(ret(result.map(|()| 0)))
}

helper! {
    /// `bpf_xdp_adjust_head(ctx, delta)`.
    adjust_head(env, ctx, delta) {
        adjust(env, ctx, |packet| packet.adjust_head(delta as i32))
    }
}

helper! {
    /// `bpf_xdp_adjust_tail(ctx, delta)`.
    adjust_tail(env, ctx, delta) {
        adjust(env, ctx, |packet| packet.adjust_tail(delta as i32))
    }
}

helper! {
    /// `bpf_xdp_adjust_meta(ctx, delta)`.
    adjust_meta(env, ctx, delta) {
        adjust(env, ctx, |packet| packet.adjust_meta(delta as i32))
    }
}

helper! {
    /// `bpf_xdp_get_buff_len(ctx)`.
    buff_len(env, ctx) {
        Some(packet(env, ctx)?.len() as u64)
    }
}

/// Bytes of the packet. `EFAULT` for offsets and lengths over 16 bits, `EINVAL` beyond the end.
fn part(packet: &mut Packet, offset: u64, len: u64) -> Result<&mut [u8], Errno> {
    let (offset, len) = (offset as u32, len as u32);
    if offset > 0xffff || len > 0xffff {
        return Err(Errno::EFAULT);
    }
    packet.bytes_mut().get_mut(offset as usize..(offset + len) as usize).ok_or(Errno::EINVAL)
}

helper! {
    /// `bpf_xdp_load_bytes(ctx, offset, buf, len)`.
    load_bytes(env, ctx, offset, buf, len) {
        packet(env, ctx)?;
        // SAFETY: by the caller, R3 is memory of R4 bytes; where it is part of the packet, `copy` copes.
        unsafe { env.mem_mut(buf, u64::from(len as u32)) }?;
        Some(ret(part(packet(env, ctx)?, offset, len).map(|from| {
            // SAFETY: as above, and `from` is live; both may be the same bytes.
            unsafe { std::ptr::copy(from.as_ptr(), buf as *mut u8, from.len()) };
            0
        })))
    }
}

helper! {
    /// `bpf_xdp_store_bytes(ctx, offset, buf, len)`.
    store_bytes(env, ctx, offset, buf, len) {
        packet(env, ctx)?;
        // SAFETY: by the caller, R3 is memory of R4 bytes; where it is part of the packet, `copy` copes.
        unsafe { env.mem(buf, u64::from(len as u32)) }?;
        Some(ret(part(packet(env, ctx)?, offset, len).map(|to| {
            // SAFETY: as above, and `to` is live; both may be the same bytes.
            unsafe { std::ptr::copy(buf as *const u8, to.as_mut_ptr(), to.len()) };
            0
        })))
    }
}
