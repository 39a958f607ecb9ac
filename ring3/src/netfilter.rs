//! What a netfilter program runs on: a packet, the hook that it came to, and the kernel's structures for both.

use std::ops::Range;
use std::sync::Arc;

use ring3_btf::Btf;
use ring3_platform::Errno;
use ring3_vm::{Objects, PartsContext};

use crate::sim::{self, Struct};

/// Bytes of `struct nf_hook_state`, of which a run is told protocol and hook.
const STATE_BYTES: usize = 48;
/// Where its hook is, where its family of protocols, and where the addresses begin.
const HOOK: usize = 0;
const FAMILY: usize = 1;
const ADDRESSES: Range<usize> = 8..STATE_BYTES;

/// Families (`NFPROTO_*`).
const IPV4: u8 = 2;
const IPV6: u8 = 10;

/// The hook of packets that leave this machine (`NF_INET_LOCAL_OUT`).
const LOCAL_OUT: u8 = 3;

/// Bytes of an Ethernet header, and of the headers that must be behind it.
const ETH_HLEN: usize = 14;
const IPV4_HLEN: usize = 20;
const IPV6_HLEN: usize = 40;
/// Ethernet types.
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;

/// Whom a frame is for (`PACKET_*`), where the interface is loopback, whose address is zero.
fn addressee(frame: &[u8]) -> u8 {
    match frame.first_chunk() {
        Some([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => 1,
        Some([first, ..]) if first & 1 != 0 => 2,
        Some([0, 0, 0, 0, 0, 0]) | None => 0,
        Some(_) => 3,
    }
}

/// Why a run cannot be.
pub(crate) type Refused = (&'static str, Errno);

/// Where a packet is, as far as a test run says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hook {
    hook: u8,
    family: u8,
    /// Whether it goes to the loopback interface. No interface is where it came from, whatever the hook: Linux's test run looks at the
    /// hook only after that.
    outgoing: bool,
}

impl Hook {
    /// By an image of `struct nf_hook_state`; an empty one is that of a packet of IPv4 that leaves this machine.
    /// Any number is a hook.
    ///
    /// Errors: those of the kernel's test run.
    pub(crate) fn of(state: &[u8]) -> Result<Hook, Refused> {
        if state.is_empty() {
            return Ok(Hook { hook: LOCAL_OUT, family: IPV4, outgoing: false });
        }
        if state.iter().skip(STATE_BYTES).any(|byte| *byte != 0) {
            return Err(("more than a struct nf_hook_state", Errno::E2BIG));
        }
        let at = |at: usize| state.get(at).copied().unwrap_or(0);
        if ADDRESSES.map(at).any(|byte| byte != 0) {
            return Err(("addresses are the kernel's to say", Errno::EINVAL));
        }
        match at(FAMILY) {
            family @ (IPV4 | IPV6) => Ok(Hook { hook: at(HOOK), family, outgoing: true }),
            _ => Err(("neither IPv4 nor IPv6", Errno::EINVAL)),
        }
    }

    /// The part of a frame that the program sees, and its protocol: where a packet arrives it is looked at first, as in the kernel.
    fn packet(self, frame: &[u8]) -> Result<(&[u8], u16), Refused> {
        if frame.len() < IPV4_HLEN {
            return Err(("shorter than an IPv4 header", Errno::EINVAL));
        }
        if self.hook == LOCAL_OUT {
            return Ok((frame, if self.family == IPV4 { ETH_P_IP } else { ETH_P_IPV6 }));
        }
        let (header, packet) = frame.split_at(ETH_HLEN);
        let protocol = u16::from_be_bytes([header[12], header[13]]);
        if packet.len() < IPV4_HLEN {
            return Err(("shorter than an IPv4 header", Errno::EINVAL));
        }
        match (protocol, self.family) {
            (ETH_P_IP, IPV4) => Ok((packet, protocol)),
            (ETH_P_IPV6, IPV6) if packet.len() >= IPV6_HLEN => Ok((packet, protocol)),
            (ETH_P_IP | ETH_P_IPV6, _) => Err(("not a packet of this family", Errno::EINVAL)),
            _ => Err(("neither IPv4 nor IPv6", Errno::EPROTO)),
        }
    }
}

/// The structures of one run. Dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Laid {
    objects: Arc<Objects>,
    made: Vec<u64>,
}

impl Laid {
    /// Puts packet and hook into a context. Without types of a kernel (`types`) a program cannot read what the structures have, and
    /// there are none.
    ///
    /// Errors: those of the kernel's test run.
    pub(crate) fn load(
        parts: &mut PartsContext,
        (types, objects): (Option<&Arc<Btf>>, &Arc<Objects>),
        hook: Hook,
        frame: &[u8],
    ) -> Result<Laid, Refused> {
        let (packet, protocol) = hook.packet(frame)?;
        parts.load(&[], packet);
        let mut laid = Laid { objects: Arc::clone(objects), made: Vec::new() };
        let Some(types) = types else { return Ok(laid) };
        let device = Struct::new(types, "net_device").set("ifindex", 1).set("mtu", 65536).set("name", "lo");
        let device = laid.add(types, &device);
        let arrived = hook.hook != LOCAL_OUT;
        let state = Struct::new(types, "nf_hook_state")
            .set("hook", hook.hook)
            .set("pf", hook.family)
            .set("out", if hook.outgoing { device } else { 0 });
        let state = laid.add(types, &state);
        let mut skb = Struct::new(types, "sk_buff").set("len", packet.len() as u64).set("protocol", protocol.to_be());
        if arrived {
            skb = skb.set("dev", device).set("pkt_type", addressee(frame));
        }
        let skb = laid.add(types, &skb);
        parts.set_object("state", state);
        parts.set_object("skb", skb);
        Ok(laid)
    }

    /// Where it is; 0, which reads as nothing, where the types are not the kernel's.
    fn add(&mut self, types: &Arc<Btf>, structure: &Struct) -> u64 {
        let Ok((addr, made)) = sim::lay_out(types, &self.objects, structure) else { return 0 };
        self.made.extend(made);
        addr
    }
}

impl Drop for Laid {
    fn drop(&mut self) {
        for addr in &self.made {
            self.objects.drop_reference(*addr);
        }
    }
}
