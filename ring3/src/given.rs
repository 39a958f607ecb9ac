//! Contexts that are given with a packet, as BPF_PROG_TEST_RUN takes them (`ctx_in`): what may be in them, and where it goes.

use std::ops::Range;

use ring3_platform::Errno;
use ring3_vm::{Context, SkbContext, XdpContext};

/// Why a context is not taken.
pub(crate) type Refused = (&'static str, Errno);

/// Bytes of `struct __sk_buff`.
pub(crate) const SK_BUFF: usize = 192;
/// Bytes of `struct bpf_flow_keys`.
pub(crate) const FLOW_KEYS: usize = 56;
/// Bytes of `struct xdp_md`.
pub(crate) const XDP_MD: usize = 24;

/// What a test run takes of `struct __sk_buff`: mark; priority, ingress_ifindex and ifindex; cb; tstamp, wire_len and gso_segs; gso_size;
/// hwtstamp. All else has to be zero.
const TAKEN: [Range<usize>; 6] = [8..12, 32..44, 48..68, 152..168, 176..180, 184..192];
/// The interface that packets of test runs are of.
const LOOPBACK: u64 = 1;
/// Bytes of an Ethernet header.
const ETH_HLEN: usize = 14;
/// The most metadata that a test run has room for: what is in front of a packet, but for the kernel's own `struct xdp_frame`.
const MOST_META: usize = ring3_vm::HEADROOM - 40;
/// `GSO_LEGACY_MAX_SIZE`: the most that `wire_len` may be.
const MAX_WIRE: u32 = 65536;
/// `GSO_MAX_SEGS`.
const MAX_SEGMENTS: u32 = 65535;

/// What the kernel has no room for.
pub(crate) const TOO_MANY_FRAGMENTS: Refused = ("more fragments than a packet may have", Errno::ENOMEM);

/// An image of a structure: what is missing is zero, and what is too much has to be.
pub(crate) fn sized<const N: usize>(image: &[u8]) -> Result<[u8; N], Refused> {
    let mut out = [0; N];
    let len = image.len().min(N);
    out[..len].copy_from_slice(&image[..len]);
    if image[len..].iter().any(|byte| *byte != 0) {
        return Err(("longer than the structure", Errno::E2BIG));
    }
    Ok(out)
}

fn word(image: &[u8], at: usize) -> u32 {
    image.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

/// Puts the fields of a `struct __sk_buff` in, behind its packet; `is_there` says whether there is an interface of this number.
pub(crate) fn skb(skb: &mut SkbContext, image: &[u8], is_there: impl FnOnce(u32) -> bool) -> Result<(), Refused> {
    let mut image: [u8; SK_BUFF] = sized(image)?;
    let (ifindex, wire_len) = (word(&image, 40), word(&image, 160));
    if ifindex > 1 && !is_there(ifindex) {
        return Err(("there is no such interface", Errno::ENODEV));
    }
    let is_taken = |at: &usize| TAKEN.iter().any(|range| range.contains(at));
    if (0..SK_BUFF).filter(|at| !is_taken(at)).any(|at| image[at] != 0) {
        return Err(("it sets a field that no test run takes", Errno::EINVAL));
    }
    let len = u32::try_from(skb.packet().len()).unwrap_or(u32::MAX);
    if wire_len != 0 && (wire_len < len || wire_len > MAX_WIRE) {
        return Err(("wire_len is less than the packet, or too much", Errno::EINVAL));
    }
    if word(&image, 164) > MAX_SEGMENTS {
        return Err(("more segments than there can be", Errno::EINVAL));
    }
    image[40..44].copy_from_slice(&ifindex.max(1).to_ne_bytes());
    if wire_len == 0 {
        image[160..164].copy_from_slice(&len.to_ne_bytes());
    }
    // The packet has room for sixteen bits of `gso_size`.
    let segment = word(&image, 176) & u32::from(u16::MAX);
    image[176..180].copy_from_slice(&segment.to_ne_bytes());
    let fields = skb.fields();
    let mut whole = fields.image();
    for range in TAKEN {
        if let Some(to) = whole.get_mut(range.clone()) {
            to.copy_from_slice(&image[range]);
        }
    }
    fields.load_image(&whole);
    Ok(())
}

/// Puts the flags of a `struct bpf_flow_keys` in, of which all else has to be zero.
pub(crate) fn flow(skb: &mut SkbContext, image: &[u8]) -> Result<(), Refused> {
    let image: [u8; FLOW_KEYS] = sized(image)?;
    if image.iter().enumerate().any(|(at, byte)| *byte != 0 && !(48..52).contains(&at)) {
        return Err(("it sets more than flags", Errno::EINVAL));
    }
    skb.set_flow_flags(word(&image, 48));
    Ok(())
}

/// Takes back what [`skb`] or [`xdp`] set and a packet by itself does not: a packet of the loopback interface has none of it.
pub(crate) fn forget(context: &mut Context) {
    match context {
        Context::Skb(skb) => {
            skb.set_flow_flags(0);
            let fields = skb.fields();
            fields.set("ifindex", LOOPBACK);
            for name in ["ingress_ifindex", "wire_len", "gso_segs", "gso_size", "hwtstamp"] {
                fields.set(name, 0);
            }
        }
        Context::Xdp(xdp) => {
            xdp.fields().set("ingress_ifindex", LOOPBACK);
        }
        Context::None | Context::Raw(_) | Context::Fields(_) | Context::Parts(_) => {}
    }
}

/// A context as it was given, in the size in which the kernel gives it back.
pub(crate) fn returned(context: Option<&[u8]>, size: usize) -> Vec<u8> {
    let mut out = context.unwrap_or_default().to_vec();
    out.resize(size, 0);
    out
}

/// The `struct xdp_md` that was given, with where data begins and ends behind the metadata.
pub(crate) fn xdp_back(xdp: &XdpContext, mut given: Vec<u8>) -> Vec<u8> {
    let packet = xdp.packet();
    let meta = packet.meta().len();
    let end = meta + packet.len() - packet.in_fragments();
    for (at, value) in [meta, end].into_iter().enumerate() {
        let bytes = u32::try_from(value).unwrap_or(u32::MAX).to_ne_bytes();
        given[4 * at..4 * at + 4].copy_from_slice(&bytes);
    }
    given
}

/// Puts data with metadata in front, and the fields of a `struct xdp_md` that says where the one ends and the other begins.
pub(crate) fn xdp(
    xdp: &mut XdpContext,
    (image, data): (&[u8], &[u8]),
    is_there: impl FnOnce(u32) -> bool,
) -> Result<(), Refused> {
    let image: [u8; XDP_MD] = sized(image)?;
    let [start, end, meta, ifindex, queue, egress] = std::array::from_fn(|field| word(&image, 4 * field));
    let bad = |why| Err((why, Errno::EINVAL));
    if meta != 0 || end as usize > data.len() || start > end {
        return bad("data_meta is not zero, or data and data_end are not where the packet is");
    }
    let (start, end) = (start as usize, end as usize);
    if !start.is_multiple_of(4) || start > MOST_META {
        return bad("so many bytes of metadata cannot be");
    }
    if data.len() - start < ETH_HLEN {
        return bad("shorter than an Ethernet header");
    }
    if egress != 0 {
        return bad("there is no interface that it leaves by");
    }
    if ifindex == 0 && queue != 0 {
        return bad("a queue without an interface");
    }
    if ifindex != 0 && !is_there(ifindex) {
        return Err(("there is no such interface", Errno::ENODEV));
    }
    if queue != 0 {
        return bad("the interface has no such queue");
    }
    if data.len() - end.min(start + ring3_vm::LINEAR) > ring3_vm::MAX_IN_FRAGMENTS {
        return Err(TOO_MANY_FRAGMENTS);
    }
    // What is behind `data_end` comes in fragments.
    xdp.load_with_meta(data, start, end);
    if ifindex != 0 {
        xdp.fields().set("ingress_ifindex", ifindex.into());
    }
    Ok(())
}
