//! Contexts with addresses in them: of a socket, of bytes that are no packet of their own (`struct bpf_sock_addr`, `bpf_sockopt`,
//! `sk_msg_md`, `sk_reuseport_md`, `bpf_sock_ops`), and of the kernel's structures (`struct bpf_nf_ctx`).

use ring3_platform::{Errno, ProgType, Yields, ctx};

use super::message::Pieces;
use super::slots::{SlotId, Slots};
use crate::packet::Packet;

/// Words of `struct bpf_sock`.
const SOCKET_WORDS: usize = 10;
/// Bytes of it.
pub const SOCKET_BYTES: usize = SOCKET_WORDS * 8;

/// What an address of the context leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Data,
    DataEnd,
    Socket,
    /// A structure of the kernel, which [`PartsContext::set_object`] says.
    Object(u64),
}

/// Fields, and what the addresses among them lead to.
#[derive(Clone, Debug)]
pub struct PartsContext {
    kind: ProgType,
    pub(super) slots: Slots,
    pub(crate) packet: Packet,
    /// An image of `struct bpf_sock`, which programs read as it is.
    socket: Box<[u64; SOCKET_WORDS]>,
    addresses: Vec<(SlotId, Part)>,
    /// Of the data, what is seen.
    pieces: Pieces,
}

impl PartsContext {
    /// A context of zeroes with a socket of zeroes and no data. `None` for types whose context has no such addresses, or has others.
    pub fn new(kind: ProgType) -> Option<PartsContext> {
        let layout = ctx::layout(kind).filter(|layout| !layout.identity)?;
        let mut addresses = Vec::new();
        for field in layout.fields.iter().filter(|field| field.progs.has(kind)) {
            let part = match field.yields {
                // Zero is a fit value for those that may be null.
                Yields::Scalar | Yields::SockOrNull | Yields::SockCommonOrNull => continue,
                Yields::Packet => Part::Data,
                Yields::PacketEnd => Part::DataEnd,
                Yields::Sock => Part::Socket,
                // What a program reads there is looked up.
                Yields::Btf(_) => Part::Object(0),
                Yields::PacketMeta | Yields::FlowKeys | Yields::TpBuffer => return None,
            };
            addresses.push((Slots::id(layout, field.name), part));
        }
        if addresses.is_empty() {
            return None;
        }
        let socket = Box::new([0; SOCKET_WORDS]);
        let (slots, packet, pieces) = (Slots::new(layout), Packet::default(), Pieces::default());
        let mut made = PartsContext { kind, slots, packet, socket, addresses, pieces };
        made.load(&[], &[]);
        Some(made)
    }

    /// Takes the numbers of an image of the UAPI struct, all others being zero, and these bytes as the data (of a message, or the value
    /// of a socket option).
    pub fn load(&mut self, image: &[u8], data: &[u8]) {
        self.slots = Slots::new(self.slots.layout());
        self.slots.load_image(image);
        self.packet.load(data);
        self.pieces = Pieces::new(data.len());
        self.refresh();
    }

    /// Lets the program see these bytes of the data, from `start` to `end`, as `bpf_msg_pull_data`.
    pub(crate) fn pull(&mut self, start: u32, end: u32) -> Result<(), Errno> {
        self.pieces.pull(start as usize, end as usize)
    }

    /// Puts zeroes into the data, as `bpf_msg_push_data`.
    pub(crate) fn push(&mut self, start: u32, len: u32) -> Result<(), Errno> {
        self.edit(|pieces, bytes| pieces.push(bytes, start as usize, len as usize))
    }

    /// Takes bytes out of the data, as `bpf_msg_pop_data`.
    pub(crate) fn pop(&mut self, start: u32, len: u32) -> Result<(), Errno> {
        self.edit(|pieces, bytes| pieces.pop(bytes, start as usize, len as usize))
    }

    fn edit(&mut self, by: impl FnOnce(&mut Pieces, &mut Vec<u8>) -> Result<(), Errno>) -> Result<(), Errno> {
        let mut bytes = self.packet.bytes().to_vec();
        let before = bytes.len();
        by(&mut self.pieces, &mut bytes)?;
        if bytes.len() != before {
            self.packet.load(&bytes);
            self.slots.set("size", bytes.len() as u64);
        }
        Ok(())
    }

    /// Takes an image of `struct bpf_sock` as the socket; what is missing is zero.
    pub fn set_socket(&mut self, image: &[u8]) {
        let mut bytes = [0; SOCKET_BYTES];
        let len = image.len().min(SOCKET_BYTES);
        bytes[..len].copy_from_slice(&image[..len]);
        for (word, bytes) in self.socket.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
    }

    /// Says where the structure of the kernel is that this field leads to, one of [`Env::objects`](crate::Env::objects). False if there
    /// is no such field.
    pub fn set_object(&mut self, field: &str, addr: u64) -> bool {
        let layout = self.slots.layout();
        if layout.by_name(field).is_none() {
            return false;
        }
        let slot = Slots::id(layout, field);
        let mut found = false;
        for (at, part) in &mut self.addresses {
            if let Part::Object(object) = part
                && *at == slot
            {
                *object = addr;
                found = true;
            }
        }
        self.refresh();
        found
    }

    /// Whether the structure of the kernel at this address stands for the packet.
    pub(crate) fn is_packet(&self, addr: u64) -> bool {
        let skb = self.slots.layout().by_name("skb").map(|_| Slots::id(self.slots.layout(), "skb"));
        self.addresses.iter().any(|(at, part)| Some(*at) == skb && *part == Part::Object(addr))
    }

    /// The data.
    pub fn data(&self) -> &[u8] {
        self.packet.bytes()
    }

    /// The fields.
    pub fn fields(&mut self) -> &mut Slots {
        &mut self.slots
    }

    /// Whether it has what a program of this type may reach.
    pub(super) fn suits(&self, kind: ProgType) -> bool {
        self.kind == kind && ctx::layout(kind).is_some_and(|layout| self.slots.is_of(layout))
    }

    /// Where the socket is.
    pub(crate) fn socket_addr(&self) -> u64 {
        self.socket.as_ptr() as u64
    }

    pub(crate) fn refresh(&mut self) {
        for (slot, part) in &self.addresses {
            let address = match part {
                Part::Data => self.packet.data_addr() + self.pieces.seen.start as u64,
                Part::DataEnd => self.packet.data_addr() + self.pieces.seen.end as u64,
                Part::Socket => self.socket.as_ptr() as u64,
                Part::Object(addr) => *addr,
            };
            self.slots.set_id(*slot, address);
        }
    }
}
