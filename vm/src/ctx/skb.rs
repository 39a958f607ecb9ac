//! `struct __sk_buff`, as BPF_PROG_TEST_RUN builds it from an Ethernet frame.

use ring3_platform::{ProgType, ctx};

use super::slots::{SlotId, Slots};
use crate::packet::{ETH_HLEN, Packet};

/// Where the program's data start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DataStart {
    /// At the Ethernet header: tc programs, and socket filters on packet sockets.
    Ethernet,
    /// Behind it: every other type.
    Network,
}

impl DataStart {
    /// What BPF_PROG_TEST_RUN does for a program type.
    pub fn of(kind: ProgType) -> DataStart {
        match kind {
            ProgType::SchedCls | ProgType::SchedAct => DataStart::Ethernet,
            _ => DataStart::Network,
        }
    }
}

/// A program's context with its packet.
#[derive(Clone, Debug)]
pub struct SkbContext {
    pub(crate) slots: Slots,
    pub(crate) packet: Packet,
    start: DataStart,
    len: SlotId,
    data: SlotId,
    data_end: SlotId,
    data_meta: SlotId,
}

const LOOPBACK: u64 = 1;
/// Frames with a length instead of a type: `ETH_P_802_3` if raw IPX, else `ETH_P_802_2`.
const ETH_P_802_3: u16 = 1;
const ETH_P_802_2: u16 = 4;

impl SkbContext {
    /// A context with an empty packet. `None` if the table of `__sk_buff` is gone.
    pub fn new() -> Option<SkbContext> {
        let layout = ctx::layout(ProgType::SchedCls)?;
        let id = |name| Slots::id(layout, name);
        let mut slots = Slots::new(layout);
        slots.set("ifindex", LOOPBACK);
        Some(SkbContext {
            slots,
            packet: Packet::default(),
            start: DataStart::Ethernet,
            len: id("len"),
            data: id("data"),
            data_end: id("data_end"),
            data_meta: id("data_meta"),
        })
    }

    /// Puts another frame in: at least an Ethernet header (callers check that).
    pub fn load(&mut self, frame: &[u8], start: DataStart) {
        self.packet.load(frame);
        self.start = start;
        let header: Option<&[u8; ETH_HLEN]> = frame.first_chunk();
        let (kind, protocol) = header.map_or((0, 0), |h| (packet_type(h), protocol(h, frame)));
        self.slots.set("pkt_type", kind.into());
        // The field is in network byte order.
        self.slots.set("protocol", u16::from_ne_bytes(protocol.to_be_bytes()).into());
        if start == DataStart::Network {
            self.packet.pull(ETH_HLEN);
        }
        self.slots.set("wire_len", self.packet.len() as u64);
        self.refresh();
    }

    /// The frame as BPF_PROG_TEST_RUN gives it back: where the Ethernet header was pulled, a header of zeroes is put.
    pub fn data_out(&self) -> Vec<u8> {
        let mut packet = self.packet.clone();
        if self.start == DataStart::Network {
            packet.push_zeroed(ETH_HLEN);
        }
        packet.bytes().to_vec()
    }

    /// The packet.
    pub fn packet(&self) -> &Packet {
        &self.packet
    }

    /// The other fields.
    pub fn fields(&mut self) -> &mut Slots {
        &mut self.slots
    }

    /// Where the network header is, relative to the data.
    pub(crate) fn network_offset(&self) -> i64 {
        match self.start {
            DataStart::Ethernet => ETH_HLEN as i64,
            DataStart::Network => 0,
        }
    }

    /// Where the Ethernet header is, relative to the data.
    pub(crate) fn mac_offset(&self) -> i64 {
        self.network_offset() - ETH_HLEN as i64
    }

    pub(crate) fn refresh(&mut self) {
        self.slots.set_id(self.len, self.packet.len() as u64);
        self.slots.set_id(self.data, self.packet.data_addr());
        self.slots.set_id(self.data_end, self.packet.end_addr());
        self.slots.set_id(self.data_meta, self.packet.meta_addr());
    }
}

/// `PACKET_HOST`, `PACKET_BROADCAST`, `PACKET_MULTICAST` or `PACKET_OTHERHOST` by the destination; the loopback
/// interface's own address is all zeroes.
fn packet_type(header: &[u8; ETH_HLEN]) -> u8 {
    let destination = &header[..6];
    if destination == [0; 6] {
        0
    } else if destination == [0xff; 6] {
        1
    } else if destination[0] & 1 != 0 {
        2
    } else {
        3
    }
}

fn protocol(header: &[u8; ETH_HLEN], frame: &[u8]) -> u16 {
    let ether_type = u16::from_be_bytes([header[12], header[13]]);
    if ether_type >= 0x600 {
        ether_type
    } else if frame.get(ETH_HLEN..ETH_HLEN + 2) == Some(&[0xff, 0xff]) {
        ETH_P_802_3
    } else {
        ETH_P_802_2
    }
}
