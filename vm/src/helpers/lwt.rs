//! Lightweight tunnels: headers that a packet of the network layer gets in front.

use ring3_platform::Errno;

use super::skb::skb;
use super::{csum, helper};
use crate::ctx::SkbContext;
use crate::env::{Env, ret};
use crate::packet::MAX_PACKET;

/// A header of segment routing, in a header of IPv6 of its own (`BPF_LWT_ENCAP_SEG6`).
const ENCAP_SEG6: u32 = 0;
/// The same behind the header of IPv6 that there is (`BPF_LWT_ENCAP_SEG6_INLINE`).
const ENCAP_SEG6_INLINE: u32 = 1;
/// A header of IP with whatever follows it (`BPF_LWT_ENCAP_IP`).
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
    /// `bpf_lwt_push_encap(skb, type, hdr, len)`.
    push_encap(env, ctx, kind, header, len) {
        // SAFETY: by the caller, R3 is memory of R4 bytes.
        let header = unsafe { env.mem(header, u64::from(len as u32)) }?.to_vec();
        let result = match kind as u32 {
            ENCAP_IP => encapsulate(skb(env, ctx)?, header),
            ENCAP_SEG6 | ENCAP_SEG6_INLINE => match segments(&header) {
                Some(segments) => route_by_segments(env, ctx, kind as u32 == ENCAP_SEG6_INLINE, segments)?,
                None => Err(Errno::EINVAL),
            },
            _ => Err(Errno::EINVAL),
        };
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

/// Bytes of an address of IPv6, and of the fixed part of a header of segment routing (RFC 8754).
const ADDRESS: usize = 16;
const SEGMENTS: usize = 8;
/// Fields of that header.
const NEXT: usize = 0;
const WORDS: usize = 1;
const FLAGS: usize = 5;
/// Type of a routing header that has segments, and the flag that it is signed.
const SEGMENT_ROUTING: u8 = 4;
const SIGNED: u8 = 8;
/// What signs it: type and length of its record, and how long that is with both.
const SIGNATURE: [u8; 2] = [5, 38];
const SIGNATURE_LEN: usize = 40;
/// Fields of a header of IPv6.
const PAYLOAD_LEN: std::ops::Range<usize> = 4..6;
const NEXT_HEADER: usize = 6;
const HOP_LIMIT: usize = 7;
const SOURCE: std::ops::Range<usize> = 8..24;
const DESTINATION: std::ops::Range<usize> = 24..40;
/// Protocols that follow a header of IPv6.
const ROUTING: u8 = 43;
const IPV6: u8 = 41;
/// Hops of a packet that says nothing of them.
const HOPS: u8 = 64;

/// A header of segment routing that the kernel takes.
struct Segments<'a> {
    bytes: &'a [u8],
    first: usize,
}

/// Looks at lengths, numbers and records of a header as the kernel does.
fn segments(header: &[u8]) -> Option<Segments<'_>> {
    let [_, words, kind, left, first, ..] = *header else { return None };
    let fits = header.len() == (usize::from(words) + 1) * 8;
    if kind != SEGMENT_ROUTING || !fits || left > first || i32::from(first) > i32::from(words) / 2 - 1 {
        return None;
    }
    let mut records = header.get(SEGMENTS + (usize::from(first) + 1) * ADDRESS..)?;
    while !records.is_empty() {
        let len = 2 + usize::from(*records.get(1)?);
        records = records.get(len..)?;
    }
    Some(Segments { bytes: header, first: first.into() })
}

impl Segments<'_> {
    /// Where the last address of the way begins that is in the header.
    fn first_at(&self) -> usize {
        SEGMENTS + self.first * ADDRESS
    }

    fn first(&self) -> [u8; ADDRESS] {
        self.bytes.get(self.first_at()..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
    }

    /// Signing fails where there is no record for it, and without a key, of which there is none here.
    fn sign(&self) -> Result<(), Errno> {
        if self.bytes[FLAGS] & SIGNED == 0 {
            return Ok(());
        }
        let room = usize::from(self.bytes[WORDS]) >= (self.first + 1) * 2 + 5;
        let record = self.bytes.len().checked_sub(SIGNATURE_LEN).and_then(|at| self.bytes[at..].first_chunk());
        Err(if room && record == Some(&SIGNATURE) { Errno::ENOENT } else { Errno::EINVAL })
    }
}

/// Puts a header of segment routing into a packet, and asks for the way to where it goes now. What fails behind the header leaves it
/// there, as in Linux.
fn route_by_segments(env: &mut Env<'_>, ctx: u64, inline: bool, segments: Segments<'_>) -> Option<Result<(), Errno>> {
    let to = segments.first();
    let from = if inline { [0; ADDRESS] } else { env.host.source_v6(&to) };
    let skb = skb(env, ctx)?;
    let is_ipv6 = skb.protocol() == ETH_P_IPV6 && skb.packet.len() >= IPV6_LEN;
    if inline && !is_ipv6 {
        return Some(Err(Errno::EBADMSG));
    }
    if skb.packet.len() + IPV6_LEN + segments.bytes.len() > MAX_PACKET {
        return Some(Err(Errno::ENOMEM));
    }
    let old = skb.packet.bytes().first_chunk::<IPV6_LEN>().copied().filter(|_| is_ipv6);
    let mut header = old.unwrap_or([0; IPV6_LEN]);
    let mut routing = segments.bytes.to_vec();
    if inline {
        routing[NEXT] = header[NEXT_HEADER];
        routing[SEGMENTS..SEGMENTS + ADDRESS].copy_from_slice(&header[DESTINATION]);
    } else {
        routing[NEXT] = IPV6;
        header[0] = 0x60 | header[0] & 0xf;
        header[HOP_LIMIT] = if old.is_some() { header[HOP_LIMIT] } else { HOPS };
        header[SOURCE].copy_from_slice(&from);
    }
    header[NEXT_HEADER] = ROUTING;
    // With one address in it, what is written first is what is read then.
    let at = segments.first_at();
    let goes_to: [u8; ADDRESS] = routing.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or(to);
    header[DESTINATION].copy_from_slice(&goes_to);
    let signed = segments.sign();
    let grown = routing.len() + if inline { 0 } else { IPV6_LEN };
    if signed.is_ok() {
        let payload = (skb.packet.len() + grown - IPV6_LEN) as u16;
        header[PAYLOAD_LEN].copy_from_slice(&payload.to_be_bytes());
    }
    skb.push_network(&vec![0; grown]);
    let packet = skb.packet.bytes_mut();
    packet[..IPV6_LEN].copy_from_slice(&header);
    packet[IPV6_LEN..IPV6_LEN + routing.len()].copy_from_slice(&routing);
    skb.encapsulated |= !inline;
    if let Err(errno) = signed {
        return Some(Err(errno));
    }
    Some(env.host.next_hop_v6(&goes_to))
}
