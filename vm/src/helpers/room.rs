//! Helpers that make room in socket buffers or take it away, and what else they keep of a packet: tunnels, checksums, times.

use ring3_platform::Errno;

use super::helper;
use super::skb::{packet, skb};
use crate::ctx::{Context, SkbContext};
use crate::env::{Env, ret};
use crate::packet::ETH_HLEN;

/// Longest socket buffer that helpers make (`BPF_SKB_MAX_LEN`).
const MAX_LEN: u64 = (4 << 12) - 320;
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
/// Most bytes that are added or taken away.
const MAX_ROOM: u32 = 0xfff;

/// Flags of `bpf_skb_adjust_room`.
const FIXED_GSO: u64 = 1;
const ENCAP_IPV4: u64 = 2;
const ENCAP_IPV6: u64 = 4;
const ENCAP_GRE: u64 = 8;
const ENCAP_UDP: u64 = 16;
const NO_CSUM_RESET: u64 = 32;
const ENCAP_ETH: u64 = 64;
const DECAP_IPV4: u64 = 128;
const DECAP_IPV6: u64 = 256;
/// Bytes of the inner link layer, in the upper bits.
const INNER_MAC: u32 = 56;
const ENCAP: u64 = ENCAP_IPV4 | ENCAP_IPV6 | ENCAP_GRE | ENCAP_UDP | ENCAP_ETH | 0xff << INNER_MAC;
const DECAP: u64 = DECAP_IPV4 | DECAP_IPV6;

/// Bytes of an IP header without options, of packets that have one.
fn ip_len(skb: &SkbContext) -> Option<usize> {
    match skb.protocol() {
        ETH_P_IP => Some(IPV4_LEN),
        ETH_P_IPV6 => Some(IPV6_LEN),
        _ => None,
    }
}

helper! {
    /// `bpf_skb_adjust_room(skb, len_diff, mode, flags)`: room behind the link layer (mode 1) or the network header (mode 0).
    adjust_room(env, ctx, diff, mode, flags) {
        let skb = skb(env, ctx)?;
        let result = adjust(skb, diff as i32, mode as u32, flags);
        env.packet_moved();
        Some(ret(result.map(|()| 0)))
    }
}

fn adjust(skb: &mut SkbContext, diff: i32, mode: u32, flags: u64) -> Result<(), Errno> {
    let (room, shrinks) = (diff.unsigned_abs(), diff < 0);
    if flags & !(FIXED_GSO | ENCAP | DECAP | NO_CSUM_RESET) != 0 {
        return Err(Errno::EINVAL);
    }
    if room > MAX_ROOM {
        return Err(Errno::EFAULT);
    }
    let least = ip_len(skb).ok_or(Errno::ENOTSUPP)?;
    let mac_len = usize::try_from(skb.network_offset() - skb.mac_offset()).map_err(|_| Errno::EINVAL)?;
    let off = match mode {
        0 => mac_len + least,
        1 => mac_len,
        _ => return Err(Errno::ENOTSUPP),
    };
    let least = match flags & DECAP {
        0 => least,
        _ if !shrinks => return Err(Errno::EINVAL),
        DECAP_IPV4 => IPV4_LEN,
        DECAP_IPV6 => IPV6_LEN,
        _ => return Err(Errno::EINVAL),
    };
    let now = skb.packet.len() as i64 - skb.network_offset();
    let room = room as usize;
    if shrinks {
        if room as i64 >= now || now - (room as i64) < least as i64 {
            return Err(Errno::ENOTSUPP);
        }
        return shrink(skb, off, room, flags);
    }
    if skb.packet.len() as u64 + room as u64 > MAX_LEN {
        return Err(Errno::ENOTSUPP);
    }
    grow(skb, off, room, flags)
}

fn grow(skb: &mut SkbContext, off: usize, room: usize, flags: u64) -> Result<(), Errno> {
    let (ipv4, ipv6) = (flags & ENCAP_IPV4 != 0, flags & ENCAP_IPV6 != 0);
    let encapsulates = ipv4 || ipv6;
    if encapsulates {
        let inner = (flags >> INNER_MAC) as usize;
        let both = (ipv4 && ipv6) || flags & (ENCAP_GRE | ENCAP_UDP) == ENCAP_GRE | ENCAP_UDP;
        if both || (flags & ENCAP_ETH != 0 && inner < ETH_HLEN) {
            return Err(Errno::EINVAL);
        }
        if skb.encapsulated {
            return Err(Errno::EALREADY);
        }
        if inner > room {
            return Err(Errno::EINVAL);
        }
    }
    skb.open_gap(off, room);
    if encapsulates {
        skb.encapsulated = true;
        if flags & (ENCAP_GRE | ENCAP_UDP) != 0 {
            let header = if ipv6 { IPV6_LEN } else { IPV4_LEN };
            skb.transport = Some(skb.network_offset() + header as i64);
        }
        match skb.protocol() {
            ETH_P_IP if ipv6 => skb.set_protocol(ETH_P_IPV6),
            ETH_P_IPV6 if ipv4 => skb.set_protocol(ETH_P_IP),
            _ => {}
        }
    }
    Ok(())
}

fn shrink(skb: &mut SkbContext, off: usize, room: usize, flags: u64) -> Result<(), Errno> {
    if flags & !(FIXED_GSO | DECAP | NO_CSUM_RESET) != 0 {
        return Err(Errno::EINVAL);
    }
    if off + room > skb.packet.len() {
        return Err(Errno::ENOMEM);
    }
    skb.close_gap(off, room);
    match skb.protocol() {
        ETH_P_IP if flags & DECAP_IPV6 != 0 => skb.set_protocol(ETH_P_IPV6),
        ETH_P_IPV6 if flags & DECAP_IPV4 != 0 => skb.set_protocol(ETH_P_IP),
        _ => {}
    }
    Ok(())
}

helper! {
    /// `bpf_skb_change_proto(skb, proto, flags)`: room for the other header of IP, or less of it.
    change_proto(env, ctx, protocol, flags) {
        let skb = skb(env, ctx)?;
        let wanted = u16::from_be_bytes((protocol as u16).to_ne_bytes());
        let mac_len = usize::try_from(skb.network_offset() - skb.mac_offset()).unwrap_or(0);
        let difference = IPV6_LEN - IPV4_LEN;
        let result = match (skb.protocol(), wanted) {
            _ if flags != 0 => Err(Errno::EINVAL),
            (ETH_P_IP, ETH_P_IPV6) => {
                skb.open_gap(mac_len, difference);
                Ok(())
            }
            (ETH_P_IPV6, ETH_P_IP) if mac_len + difference > skb.packet.len() => Err(Errno::ENOMEM),
            (ETH_P_IPV6, ETH_P_IP) => {
                skb.close_gap(mac_len, difference);
                Ok(())
            }
            _ => Err(Errno::ENOTSUPP),
        };
        if result.is_ok() {
            skb.set_protocol(wanted);
            skb.slots.set("hash", 0);
        }
        env.packet_moved();
        Some(ret(result.map(|()| 0)))
    }
}

/// Kinds of times (`BPF_SKB_CLOCK_*`).
const CLOCK_REALTIME: u32 = 0;
const CLOCK_TAI: u32 = 2;

helper! {
    /// `bpf_skb_set_tstamp(skb, tstamp, tstamp_type)`.
    set_time(env, ctx, time, kind) {
        let skb = skb(env, ctx)?;
        let kind = kind as u32;
        let result = match kind {
            _ if ip_len(skb).is_none() => Err(Errno::EOPNOTSUPP),
            CLOCK_REALTIME => Ok(()),
            1..=CLOCK_TAI => if time == 0 { Err(Errno::EINVAL) } else { Ok(()) },
            _ => Err(Errno::EINVAL),
        };
        if result.is_ok() {
            skb.slots.set("tstamp", time);
            skb.slots.set("tstamp_type", kind.into());
        }
        Some(ret(result.map(|()| 0)))
    }
}

/// The highest level of a checksum (`SKB_MAX_CSUM_LEVEL`).
const MAX_LEVEL: u8 = 3;

helper! {
    /// `bpf_csum_level(skb, level)`: 0 asks, 1 adds one, 2 takes one away, 3 forgets all.
    csum_level(env, ctx, what) {
        let skb = skb(env, ctx)?;
        skb.checked = match (what, skb.checked) {
            (0, now) => return Some(now.map_or(Errno::EACCES.as_ret(), u64::from)),
            (1, now) => Some(now.map_or(0, |level| (level + 1).min(MAX_LEVEL))),
            (2, now) => now.and_then(|level| level.checked_sub(1)),
            (3, _) => None,
            _ => return Some(Errno::EINVAL.as_ret()),
        };
        Some(0)
    }
}

/// `BPF_MTU_CHK_SEGS`.
const SEGMENTS: u64 = 1;
/// `BPF_MTU_CHK_RET_FRAG_NEEDED`.
const FRAG_NEEDED: u64 = 1;

helper! {
    /// `bpf_check_mtu(ctx, ifindex, mtu_len, len_diff, flags)`: 1 where the packet is too long for the interface.
    check_mtu(env, ctx, ifindex, mtu_len, diff, flags) {
        if !env.check_ctx(ctx) {
            return None;
        }
        // SAFETY: by the caller, R3 is 4 bytes of memory.
        let place = unsafe { env.mem_mut(mtu_len, 4) }?;
        let asked = u32::from_ne_bytes(*place.first_chunk()?) as i32;
        let (len, of_skb) = match &env.ctx {
            Context::Skb(skb) => (skb.packet.len(), true),
            Context::Xdp(xdp) => (xdp.packet.len(), false),
            Context::None | Context::Raw(_) | Context::Fields(_) | Context::Parts(_) => return Some(Errno::EINVAL.as_ret()),
        };
        let diff = diff as i32;
        let allowed = if of_skb { SEGMENTS } else { 0 };
        if flags & !allowed != 0 || (flags & SEGMENTS != 0 && (diff != 0 || asked != 0)) {
            return Some(Errno::EINVAL.as_ret());
        }
        let own = env.ctx.slots().and_then(|slots| slots.get(if of_skb { "ifindex" } else { "ingress_ifindex" }));
        let ifindex = if ifindex as u32 == 0 { own.unwrap_or(1) as u32 } else { ifindex as u32 };
        let Some(mtu) = env.host.mtu(ifindex) else { return Some(Errno::ENODEV.as_ret()) };
        // Linux counts in 32 bits, and wraps.
        let with_header = |len: i32| len.wrapping_add(ETH_HLEN as i32);
        let len = if asked == 0 { len as i32 } else { with_header(asked) };
        place.copy_from_slice(&mtu.to_ne_bytes());
        Some(if len.wrapping_add(diff) > with_header(mtu as i32) { FRAG_NEEDED } else { 0 })
    }
}

/// Bytes of `struct bpf_tunnel_key`, and of those that older programs have.
const KEY_BYTES: usize = 44;
const OLD_KEYS: [usize; 4] = [28, 24, 22, 8];
/// `BPF_F_TUNINFO_IPV6`.
const TUNNEL_IPV6: u64 = 1;
const SET_KEY_FLAGS: u64 = 0x1f;
const GET_KEY_FLAGS: u64 = 0x11;
/// Where the addresses of a key are: remote and local.
const REMOTE: usize = 4;
const LOCAL: usize = 28;
const ADDRESS: usize = 16;

/// A tunnel that a packet is to be sent through.
#[derive(Clone, Debug)]
pub(crate) struct Tunnel {
    key: [u8; KEY_BYTES],
    ipv6: bool,
    options: Vec<u8>,
}

helper! {
    /// `bpf_skb_set_tunnel_key(skb, key, size, flags)`.
    set_tunnel_key(env, ctx, key, size, flags) {
        let size = u64::from(size as u32);
        // SAFETY: by the caller, R2 is memory of R3 bytes.
        let given = unsafe { env.mem(key, size) }?;
        let skb = skb(env, ctx)?;
        let known = given.len() == KEY_BYTES || OLD_KEYS.contains(&given.len());
        if flags & !SET_KEY_FLAGS != 0 || !known {
            return Some(Errno::EINVAL.as_ret());
        }
        let mut key = [0; KEY_BYTES];
        key[..given.len()].copy_from_slice(given);
        let label = u32::from_ne_bytes([key[24], key[25], key[26], key[27]]);
        if label & !0xf_ffff != 0 || (flags & TUNNEL_IPV6 == 0 && label != 0) {
            return Some(Errno::EINVAL.as_ret());
        }
        skb.tunnel = Some(Tunnel { key, ipv6: flags & TUNNEL_IPV6 != 0, options: Vec::new() });
        Some(0)
    }
}

helper! {
    /// `bpf_skb_get_tunnel_key(skb, key, size, flags)`: of what was set, remote and local change places.
    get_tunnel_key(env, ctx, key, size, flags) {
        let size = u64::from(size as u32);
        // SAFETY: by the caller, R2 is memory of R3 bytes.
        let out = unsafe { env.mem_mut(key, size) }?;
        out.fill(0);
        let known = out.len() == KEY_BYTES || OLD_KEYS.contains(&out.len());
        let skb = skb(env, ctx)?;
        let tunnel = match &skb.tunnel {
            Some(tunnel) if flags & !GET_KEY_FLAGS == 0 => tunnel,
            Some(_) | None => return Some(Errno::EINVAL.as_ret()),
        };
        if tunnel.ipv6 != (flags & TUNNEL_IPV6 != 0) {
            return Some(Errno::EPROTO.as_ret());
        }
        if !known {
            return Some(Errno::EINVAL.as_ret());
        }
        let mut key = tunnel.key;
        for byte in 0..if tunnel.ipv6 { ADDRESS } else { 4 } {
            key.swap(REMOTE + byte, LOCAL + byte);
        }
        out.copy_from_slice(&key[..out.len()]);
        Some(0)
    }
}

/// Most bytes of a tunnel's options (`IP_TUNNEL_OPTS_MAX`).
const MAX_OPTIONS: usize = 255;

helper! {
    /// `bpf_skb_set_tunnel_opt(skb, opt, size)`.
    set_tunnel_opt(env, ctx, opt, size) {
        let size = u64::from(size as u32);
        // SAFETY: by the caller, R2 is memory of R3 bytes.
        let given = unsafe { env.mem(opt, size) }?.to_vec();
        let skb = skb(env, ctx)?;
        let Some(tunnel) = &mut skb.tunnel else { return Some(Errno::EINVAL.as_ret()) };
        if !given.len().is_multiple_of(4) {
            return Some(Errno::EINVAL.as_ret());
        }
        if given.len() > MAX_OPTIONS {
            return Some(Errno::ENOMEM.as_ret());
        }
        tunnel.options = given;
        Some(0)
    }
}

helper! {
    /// `bpf_skb_get_tunnel_opt(skb, opt, size)`: how many bytes there are.
    get_tunnel_opt(env, ctx, opt, size) {
        let size = u64::from(size as u32);
        // SAFETY: by the caller, R2 is memory of R3 bytes.
        let out = unsafe { env.mem_mut(opt, size) }?;
        out.fill(0);
        let options = skb(env, ctx)?.tunnel.as_ref().map(|tunnel| &tunnel.options).filter(|options| !options.is_empty());
        let Some(options) = options else { return Some(Errno::ENOENT.as_ret()) };
        let Some(place) = out.get_mut(..options.len()) else { return Some(Errno::ENOMEM.as_ret()) };
        place.copy_from_slice(options);
        Some(options.len() as u64)
    }
}

helper! {
    /// `bpf_skb_ecn_set_ce(skb)`: 1 where the packet says now that there was congestion.
    ecn_set_ce(env, ctx) {
        let skb = skb(env, ctx)?;
        let (protocol, at) = (skb.protocol_behind_tags(), usize::try_from(skb.network_offset()).ok());
        let header = at.and_then(|at| packet_at(skb, at));
        let Some(header) = header else { return Some(0) };
        Some(u64::from(match protocol {
            ETH_P_IP if header.len() >= IPV4_LEN => mark_ipv4(header),
            ETH_P_IPV6 if header.len() >= IPV6_LEN => mark_ipv6(header),
            _ => false,
        }))
    }
}

fn packet_at(skb: &mut SkbContext, at: usize) -> Option<&mut [u8]> {
    skb.packet.bytes_mut().get_mut(at..)
}

fn mark_ipv4(header: &mut [u8]) -> bool {
    let old = header[1];
    match old & 3 {
        0 => return false,
        3 => return true,
        _ => {}
    }
    header[1] = old | 3;
    let check = u16::from_be_bytes([header[10], header[11]]);
    let sum = u32::from(!check) + u32::from(!u16::from(old)) + u32::from(header[1]);
    let sum = (sum & 0xffff) + (sum >> 16);
    let new = !((sum & 0xffff) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&new.to_be_bytes());
    true
}

fn mark_ipv6(header: &mut [u8]) -> bool {
    match header[1] >> 4 & 3 {
        0 => false,
        _ => {
            header[1] |= 0x30;
            true
        }
    }
}

helper! {
    /// `bpf_skb_cgroup_classid(skb)`: none. As of packets without a socket.
    no_class(env, ctx) {
        packet(env, ctx)?;
        Some(0)
    }
}
