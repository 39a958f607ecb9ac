//! Helpers on packets as the network stack sees them.

use ring3_platform::Errno;

use super::helper;
use crate::ctx::skb::{ETH_P_8021Q, VLAN_HLEN, is_vlan};
use crate::ctx::{Context, SkbContext};
use crate::env::{Env, ret};
use crate::packet::{ETH_HLEN, MAX_PACKET, Packet};

/// Longest socket buffer that helpers make (`BPF_SKB_MAX_LEN`).
const MAX_LEN: u32 = (4 << 12) - 320;
/// `BPF_F_RECOMPUTE_CSUM` and `BPF_F_INVALIDATE_HASH`.
const STORE_FLAGS: u64 = 1 | INVALIDATE_HASH;
const INVALIDATE_HASH: u64 = 2;
/// `PACKET_OTHERHOST`, the last type that programs may set.
const OTHERHOST: u64 = 3;

/// The socket buffer in an argument.
pub(super) fn skb<'e>(env: &'e mut Env<'_>, ctx: u64) -> Option<&'e mut SkbContext> {
    if !env.check_ctx(ctx) {
        return None;
    }
    if !matches!(env.ctx, Context::Skb(_)) {
        env.trap_argument(ctx, "a context with a socket buffer");
        return None;
    }
    match &mut env.ctx {
        Context::Skb(skb) => Some(skb),
        Context::None | Context::Xdp(_) | Context::Raw(_) | Context::Fields(_) | Context::Parts(_) => None,
    }
}

/// The packet of the socket buffer in an argument.
pub(super) fn packet<'e>(env: &'e mut Env<'_>, ctx: u64) -> Option<&'e mut Packet> {
    skb(env, ctx).map(|skb| &mut skb.packet)
}

/// Copies bytes of the packet out; where they are not there, the buffer becomes zeroes and the result is `EFAULT`.
///
/// # Safety
///
/// `buf` is memory of `len` bytes.
unsafe fn copy_out(
    env: &mut Env<'_>,
    ctx: u64,
    (buf, len): (u64, u64),
    at: impl FnOnce(&SkbContext, usize) -> Option<&[u8]>,
) -> Option<u64> {
    let len = u64::from(len as u32);
    skb(env, ctx)?;
    // SAFETY: by the caller; where it is part of the packet, `copy` copes.
    unsafe { env.mem_mut(buf, len) }?;
    let found = at(skb(env, ctx)?, len as usize);
    // SAFETY: as above, and what was found is live and as long; both may be the same bytes.
    unsafe {
        match found {
            Some(from) => {
                std::ptr::copy(from.as_ptr(), buf as *mut u8, from.len());
                Some(0)
            }
            None => {
                (buf as *mut u8).write_bytes(0, len as usize);
                Some(Errno::EFAULT.as_ret())
            }
        }
    }
}

helper! {
    /// `bpf_skb_load_bytes(skb, offset, to, len)`. There is no socket buffer around the bytes that BPF_PROG_TEST_RUN gives a flow
    /// dissector, so that it gets none of them.
    load_bytes(env, ctx, offset, buf, len) {
        // SAFETY: by the caller, R3 is memory of R4 bytes.
        unsafe {
            copy_out(env, ctx, (buf, len), |skb, len| {
                let start = usize::try_from(offset as u32 as i32).ok().filter(|_| !skb.has_keys())?;
                skb.packet.bytes().get(start..start.checked_add(len)?)
            })
        }
    }
}

helper! {
    /// `bpf_skb_load_bytes_relative(skb, offset, to, len, start_header)`: header 0 is Ethernet's, 1 the network's.
    load_bytes_relative(env, ctx, offset, buf, len, header) {
        // SAFETY: by the caller, R3 is memory of R4 bytes.
        unsafe {
            copy_out(env, ctx, (buf, len), |skb, len| {
                let start = match header as u32 {
                    0 => skb.mac_offset(),
                    1 => skb.network_offset(),
                    _ => return None,
                };
                let offset = offset as u32;
                if offset > 0xffff { None } else { skb.packet.at_signed(start + i64::from(offset), len) }
            })
        }
    }
}

helper! {
    /// `bpf_skb_store_bytes(skb, offset, from, len, flags)`.
    store_bytes(env, ctx, offset, buf, len, flags) {
        let len = u64::from(len as u32);
        skb(env, ctx)?;
        // SAFETY: by the caller, R3 is memory of R4 bytes; where it is part of the packet, `copy` copes.
        unsafe { env.mem(buf, len) }?;
        let skb = skb(env, ctx)?;
        if flags & !STORE_FLAGS != 0 {
            return Some(Errno::EINVAL.as_ret());
        }
        let start = offset as u32 as usize;
        let to = skb.packet.bytes_mut().get_mut(start..start + len as usize);
        let Some(to) = to.filter(|_| offset as u32 <= i32::MAX as u32) else { return Some(Errno::EFAULT.as_ret()) };
        // SAFETY: as above, and `to` is live and as long; both may be the same bytes.
        unsafe { std::ptr::copy(buf as *const u8, to.as_mut_ptr(), to.len()) };
        if flags & INVALIDATE_HASH != 0 {
            skb.slots.set("hash", 0);
        }
        Some(0)
    }
}

helper! {
    /// `bpf_skb_pull_data(skb, len)`: all bytes are reachable anyway; `ENOMEM` where there are not as many.
    pull_data(env, ctx, len) {
        let have = packet(env, ctx)?.len() as u64;
        env.packet_moved();
        Some(ret(if u64::from(len as u32) > have { Err(Errno::ENOMEM) } else { Ok(0) }))
    }
}

helper! {
    /// `bpf_skb_change_tail(skb, len, flags)`: the headers that are known stay; not of packets within others.
    change_tail(env, ctx, len, flags) {
        let skb = skb(env, ctx)?;
        let len = len as u32;
        let least = skb.transport.filter(|at| *at > 0).unwrap_or_else(|| skb.network_offset().max(0));
        let result = if flags != 0 || len > MAX_LEN || i64::from(len) < least {
            Err(Errno::EINVAL)
        } else if skb.encapsulated {
            Err(Errno::ENOTSUPP)
        } else {
            skb.packet.set_len(len as usize);
            Ok(0)
        };
        env.packet_moved();
        Some(ret(result))
    }
}

helper! {
    /// `bpf_skb_change_head(skb, head_room, flags)`: zeroes in front.
    change_head(env, ctx, room, flags) {
        let skb = skb(env, ctx)?;
        let room = room as u32;
        let sum = u64::from(room) + skb.packet.len() as u64;
        let result = if flags != 0 || sum > MAX_LEN.into() {
            Err(Errno::EINVAL)
        } else {
            skb.grow_head(room as usize);
            Ok(0)
        };
        env.packet_moved();
        Some(ret(result))
    }
}

helper! {
    /// `bpf_skb_change_type(skb, type)`.
    change_type(env, ctx, kind) {
        let skb = skb(env, ctx)?;
        let now = skb.slots.get("pkt_type").unwrap_or(0);
        if now > OTHERHOST || u64::from(kind as u32) > OTHERHOST {
            return Some(Errno::EINVAL.as_ret());
        }
        skb.slots.set("pkt_type", u64::from(kind as u32));
        Some(0)
    }
}

helper! {
    /// `bpf_skb_vlan_push(skb, vlan_proto, vlan_tci)`: the tag goes into the fields, one that was there into the packet.
    vlan_push(env, ctx, protocol, tci) {
        let skb = skb(env, ctx)?;
        let protocol = u16::from_be_bytes((protocol as u16).to_ne_bytes());
        let protocol = if is_vlan(protocol) { protocol } else { ETH_P_8021Q };
        if skb.slots.get("vlan_present").unwrap_or(0) != 0 {
            let old = u16::from_be_bytes((skb.slots.get("vlan_proto").unwrap_or(0) as u16).to_ne_bytes());
            let [type_high, type_low] = old.to_be_bytes();
            let [tci_high, tci_low] = (skb.slots.get("vlan_tci").unwrap_or(0) as u16).to_be_bytes();
            if skb.mac_offset() != 0 || skb.packet.len() < ETH_HLEN {
                return Some(Errno::EINVAL.as_ret());
            }
            if skb.packet.len() > MAX_PACKET {
                return Some(Errno::ENOMEM.as_ret());
            }
            skb.insert_tag([type_high, type_low, tci_high, tci_low]);
            skb.set_protocol(old);
        }
        set_tag(skb, Some((protocol, tci as u16)));
        env.packet_moved();
        Some(0)
    }
}

helper! {
    /// `bpf_skb_vlan_pop(skb)`.
    vlan_pop(env, ctx) {
        let skb = skb(env, ctx)?;
        let result = pop(skb);
        env.packet_moved();
        Some(ret(result.map(|()| 0)))
    }
}

/// Takes the outermost tag off; the next one moves from the packet into the fields.
fn pop(skb: &mut SkbContext) -> Result<(), Errno> {
    if skb.slots.get("vlan_present").unwrap_or(0) != 0 {
        set_tag(skb, None);
    } else if is_vlan(skb.protocol()) {
        take_tag(skb)?;
    } else {
        return Ok(());
    }
    let protocol = skb.protocol();
    if is_vlan(protocol) {
        let tci = take_tag(skb)?;
        set_tag(skb, Some((protocol, tci)));
    }
    Ok(())
}

/// Takes a tag out of the packet.
fn take_tag(skb: &mut SkbContext) -> Result<u16, Errno> {
    if skb.mac_offset() != 0 || skb.packet.len() < ETH_HLEN + VLAN_HLEN {
        return Err(Errno::ENOMEM);
    }
    let (tci, protocol) = skb.remove_tag().ok_or(Errno::ENOMEM)?;
    skb.set_protocol(protocol);
    Ok(tci)
}

fn set_tag(skb: &mut SkbContext, tag: Option<(u16, u16)>) {
    let (present, (protocol, tci)) = (tag.is_some(), tag.unwrap_or((0, 0)));
    skb.slots.set("vlan_present", present.into());
    skb.slots.set("vlan_tci", tci.into());
    skb.slots.set("vlan_proto", u16::from_ne_bytes(protocol.to_be_bytes()).into());
}

helper! {
    /// `bpf_get_hash_recalc(skb)`: a number that the packet's addresses, protocol and ports decide. Linux keys it with a
    /// random number at boot; here it is the same each time.
    hash_recalc(env, ctx) {
        let skb = skb(env, ctx)?;
        let known = skb.slots.get("hash").unwrap_or(0);
        if known != 0 {
            return Some(known);
        }
        let hash = flow_hash(skb);
        skb.slots.set("hash", hash.into());
        Some(hash.into())
    }
}

/// FNV-1a over what names the flow; never 0, which means that there is none.
fn flow_hash(skb: &SkbContext) -> u32 {
    let at = |off: i64, len| skb.packet.at_signed(skb.network_offset() + off, len).unwrap_or(&[]);
    let (addresses, protocol, header) = match at(0, 1).first().map(|b| b >> 4) {
        Some(4) => (at(12, 8), at(9, 1), i64::from(at(0, 1)[0] & 15) * 4),
        Some(6) => (at(8, 32), at(6, 1), 40),
        _ => (at(0, 0), at(0, 0), 0),
    };
    let has_ports = matches!(protocol, [6 | 17 | 132]);
    let ports = if has_ports { at(header, 4) } else { &[] };
    let bytes = addresses.iter().chain(protocol).chain(ports);
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash.max(1)
}

helper! {
    /// `bpf_set_hash_invalid(skb)`.
    set_hash_invalid(env, ctx) {
        skb(env, ctx)?.slots.set("hash", 0);
        Some(0)
    }
}

helper! {
    /// `bpf_set_hash(skb, hash)`.
    set_hash(env, ctx, hash) {
        skb(env, ctx)?.slots.set("hash", u64::from(hash as u32));
        Some(0)
    }
}
