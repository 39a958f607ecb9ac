//! Lightweight tunnels: headers that a packet of the network layer gets in front.

use ring3_platform::Errno;

use super::skb::skb;
use super::{csum, helper};
use crate::ctx::SkbContext;
use crate::env::{Env, ret};
use crate::packet::MAX_PACKET;

/// A header of IP with whatever follows it (`BPF_LWT_ENCAP_IP`). The others are of segment routing, which is the kernel's.
const ENCAP_IP: u32 = 2;
/// Most bytes that are put in front (`LWT_BPF_MAX_HEADROOM`).
const MAX_HEADROOM: usize = 256;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
/// Where the checksum of a header of IPv4 is.
const IPV4_CHECK: std::ops::Range<usize> = 10..12;

helper! {
    /// `bpf_lwt_push_encap(skb, type, hdr, len)`. With a type of segment routing it gives what a kernel without that gives.
    push_encap(env, ctx, kind, header, len) {
        // SAFETY: by the caller, R3 is memory of R4 bytes.
        let header = unsafe { env.mem(header, u64::from(len as u32)) }?.to_vec();
        let skb = skb(env, ctx)?;
        let result = if kind as u32 == ENCAP_IP { encapsulate(skb, header) } else { Err(Errno::EINVAL) };
        env.packet_moved();
        Some(ret(result.map(|()| 0)))
    }
}

fn encapsulate(skb: &mut SkbContext, mut header: Vec<u8>) -> Result<(), Errno> {
    if !(IPV4_LEN..=MAX_HEADROOM).contains(&header.len()) {
        return Err(Errno::EINVAL);
    }
    let ipv4_len = usize::from(header[0] & 0xf) * 4;
    let protocol = match header[0] >> 4 {
        4 if header.len() >= ipv4_len => ETH_P_IP,
        6 if header.len() >= IPV6_LEN => ETH_P_IPV6,
        _ => return Err(Errno::EINVAL),
    };
    if skb.packet.len() + header.len() > MAX_PACKET {
        return Err(Errno::ENOMEM);
    }
    if protocol == ETH_P_IP && header[IPV4_CHECK] == [0, 0] {
        let check = csum::of(&header[..ipv4_len]);
        header[IPV4_CHECK].copy_from_slice(&check);
    }
    skb.push_network(&header);
    skb.encapsulated = true;
    skb.set_protocol(protocol);
    skb.slots.set("hash", 0);
    Ok(())
}
