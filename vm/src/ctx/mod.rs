//! Contexts: what the engines put into R1, and the packet behind it.
//!
//! The run-time context of a program type has an 8-byte slot for each field of its table (`ring3_platform::ctx`), in host
//! byte order and with host addresses; lowering converts the program's accesses. Contexts whose table is an image
//! (registers, tracepoint records) are raw bytes.

mod message;
mod parts;
mod raw;
pub(crate) mod skb;
mod slots;
mod xdp;

use ring3_platform::{ProgType, ctx};

pub use parts::{PartsContext, SOCKET_BYTES};
pub use raw::RawContext;
pub use skb::{DataStart, SkbContext};
pub use slots::Slots;
pub use xdp::XdpContext;

use crate::error::RunError;
use crate::link::Linked;
use crate::packet::Packet;

/// What a program runs on.
#[derive(Clone, Debug, Default)]
pub enum Context {
    /// Nothing: R1 is 0.
    #[default]
    None,
    /// A packet as a driver sees it.
    Xdp(XdpContext),
    /// A packet as the network stack sees it.
    Skb(SkbContext),
    /// Bytes, as they are.
    Raw(RawContext),
    /// Fields without a packet.
    Fields(Slots),
    /// Fields with a socket, or with bytes that are no packet.
    Parts(PartsContext),
}

impl Context {
    /// The value of R1.
    #[inline]
    pub fn addr(&mut self) -> u64 {
        match self {
            Context::None => 0,
            Context::Xdp(xdp) => xdp.slots.addr(),
            Context::Skb(skb) => skb.slots.addr(),
            Context::Raw(raw) => raw.addr(),
            Context::Fields(slots) => slots.addr(),
            Context::Parts(parts) => parts.slots.addr(),
        }
    }

    /// The packet, if there is one.
    pub fn packet(&self) -> Option<&Packet> {
        match self {
            Context::Xdp(xdp) => Some(&xdp.packet),
            Context::Skb(skb) => Some(&skb.packet),
            Context::Parts(parts) => Some(&parts.packet),
            Context::None | Context::Raw(_) | Context::Fields(_) => None,
        }
    }

    /// The packet, if there is one.
    pub(crate) fn packet_mut(&mut self) -> Option<&mut Packet> {
        match self {
            Context::Xdp(xdp) => Some(&mut xdp.packet),
            Context::Skb(skb) => Some(&mut skb.packet),
            Context::Parts(parts) => Some(&mut parts.packet),
            Context::None | Context::Raw(_) | Context::Fields(_) => None,
        }
    }

    /// The slots, if the context has fields.
    pub fn slots(&self) -> Option<&Slots> {
        match self {
            Context::Xdp(xdp) => Some(&xdp.slots),
            Context::Skb(skb) => Some(&skb.slots),
            Context::Fields(slots) => Some(slots),
            Context::Parts(parts) => Some(&parts.slots),
            Context::None | Context::Raw(_) => None,
        }
    }

    /// The slots, if the context has fields.
    pub fn slots_mut(&mut self) -> Option<&mut Slots> {
        match self {
            Context::Xdp(xdp) => Some(&mut xdp.slots),
            Context::Skb(skb) => Some(&mut skb.slots),
            Context::Fields(slots) => Some(slots),
            Context::Parts(parts) => Some(&mut parts.slots),
            Context::None | Context::Raw(_) => None,
        }
    }

    /// Writes the packet's addresses and length into the slots; to be called after every move.
    #[inline]
    pub fn refresh(&mut self) {
        match self {
            Context::Xdp(xdp) => xdp.refresh(),
            Context::Skb(skb) => skb.refresh(),
            Context::Parts(parts) => parts.refresh(),
            Context::None | Context::Raw(_) | Context::Fields(_) => {}
        }
    }

    /// Makes it ready for a run of this program: the value of R1. `None` if it does not suit what was proved of the program.
    #[inline]
    pub(crate) fn ready(&mut self, linked: &Linked) -> Option<u64> {
        match self {
            // Nothing but the packet's addresses changes between runs, and this is where runs are shortest.
            Context::Xdp(xdp) if xdp.is_usual() && linked.kind() == ProgType::Xdp => {
                xdp.refresh();
                Some(xdp.slots.addr())
            }
            _ => self.look_ready(linked),
        }
    }

    #[inline(never)]
    fn look_ready(&mut self, linked: &Linked) -> Option<u64> {
        if linked.is_verified() && !self.suits(linked.kind()) || !linked.expects(self) {
            return None;
        }
        // What programs fill in is as it was before the first run.
        if let Context::Skb(skb) = self {
            skb.begin();
        }
        self.refresh();
        Some(self.addr())
    }

    /// Whether a verified program of this type may run on it: it then has every slot that the proof allows it to reach.
    pub fn suits(&self, kind: ProgType) -> bool {
        let Some(layout) = ctx::layout(kind) else {
            // Arguments by the kernel's types: what they lead to is looked up at each access.
            return takes_arguments(kind) && matches!(self, Context::Raw(raw) if raw.len() >= raw::MIN_BYTES);
        };
        match self {
            Context::None => false,
            // Whoever has the context may have put other slots in the place of those that it was made with.
            Context::Xdp(xdp) => kind == ProgType::Xdp && xdp.slots.is_of(layout),
            Context::Skb(skb) => {
                layout.name == "__sk_buff"
                    && (kind == ProgType::FlowDissector) == skb.has_keys()
                    && skb.slots.is_of(layout)
            }
            Context::Raw(raw) => {
                layout.identity && raw.len() >= layout.host_size() && slots::only_numbers(layout, kind)
            }
            Context::Fields(slots) => slots.is_of(layout) && slots::only_numbers(layout, kind),
            Context::Parts(parts) => parts.suits(kind),
        }
    }
}

/// Whether the context is the arguments of what a program is attached to, a word each: at most [`raw::MIN_BYTES`], and none of them is
/// taken for more than a number or an address that may lead anywhere.
fn takes_arguments(kind: ProgType) -> bool {
    matches!(kind, ProgType::Tracing | ProgType::Lsm | ProgType::StructOps)
}

/// A context whose fields that are addresses of kernel objects hold `object`, and whose numbers are those of an image: only for runs
/// with checks. Of raw arguments the one at `zero` is 0. `None` for types whose context has a packet.
pub fn standing_in(kind: ProgType, image: &[u8], object: u64, zero: Option<usize>) -> Option<Context> {
    let Some(layout) = ctx::layout(kind).filter(|layout| !layout.identity) else {
        let word = |at: usize| if zero == Some(at) { 0 } else { object };
        let words: Vec<u8> = (0..raw::MIN_BYTES / 8).flat_map(|at| word(at).to_ne_bytes()).collect();
        return Some(Context::Raw(RawContext::new(&words)));
    };
    let mut slots = Slots::new(layout);
    slots.load_image(image.get(..slots.image_size()).unwrap_or(image));
    slots.stand_in(kind, object).then_some(Context::Fields(slots))
}

/// The context of a program type that has no packet, from the image of its UAPI struct (shorter ones are filled with zeroes).
pub fn from_image(kind: ProgType, image: &[u8]) -> Result<Context, RunError> {
    let Some(layout) = ctx::layout(kind) else {
        if !takes_arguments(kind) {
            return Err(RunError::WrongContext { kind });
        }
        if image.len() > raw::MIN_BYTES {
            return Err(RunError::ContextSize { len: image.len(), limit: raw::MIN_BYTES, kind });
        }
        return Ok(Context::Raw(RawContext::padded(image, raw::MIN_BYTES)));
    };
    if layout.identity {
        let limit = layout.host_size().max(raw::MIN_BYTES);
        if image.len() > limit {
            return Err(RunError::ContextSize { len: image.len(), limit, kind });
        }
        return Ok(Context::Raw(RawContext::padded(image, limit)));
    }
    let mut slots = Slots::new(layout);
    let limit = slots.image_size();
    if image.len() > limit {
        return Err(RunError::ContextSize { len: image.len(), limit, kind });
    }
    slots.load_image(image);
    Ok(Context::Fields(slots))
}
