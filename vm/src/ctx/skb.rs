//! `struct __sk_buff`, as BPF_PROG_TEST_RUN builds it from an Ethernet frame.

use ring3_platform::{ProgType, ctx};

use super::slots::{SlotId, Slots};
use crate::helpers::Tunnel;
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
    /// What BPF_PROG_TEST_RUN does for a program type, but for socket filters: those see what they see on a packet socket.
    pub fn of(kind: ProgType) -> DataStart {
        match kind {
            ProgType::SchedCls | ProgType::SchedAct | ProgType::SocketFilter => DataStart::Ethernet,
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
    /// Where the network header is, relative to the data.
    network: i64,
    /// Where the Ethernet header is, relative to the data.
    mac: i64,
    /// Where the transport header is, relative to the data, once `bpf_skb_adjust_room` set it.
    pub(crate) transport: Option<i64>,
    /// Bytes between the Ethernet header and that of the network, once a helper counted them; else 0.
    mac_len: usize,
    /// Bytes that the packet had on the wire and that are not there.
    missing: u64,
    /// `bpf_skb_adjust_room` said that it is in another packet.
    pub(crate) encapsulated: bool,
    /// Level of the checksums that are known to be right.
    pub(crate) checked: Option<u8>,
    /// Where `bpf_skb_set_tunnel_key` sends it.
    pub(crate) tunnel: Option<Tunnel>,
    /// `struct bpf_flow_keys` of a flow dissector, and where its address is.
    keys: Option<(Box<[u64; KEYS_WORDS]>, SlotId)>,
    len: SlotId,
    data: SlotId,
    data_end: SlotId,
    data_meta: SlotId,
}

/// Words of `struct bpf_flow_keys`.
const KEYS_WORDS: usize = 7;
/// `nhoff` and `thoff` are its first half-words; `n_proto` is so many bits into the second word, and `flags` begins this one.
const N_PROTO: u32 = 16;
const FLAGS: usize = 6;

/// Fields that programs and helpers write, which belong to one packet.
const FRESH: [&str; 11] = [
    "mark",
    "queue_mapping",
    "priority",
    "tc_index",
    "cb",
    "hash",
    "tc_classid",
    "tstamp",
    "vlan_present",
    "vlan_tci",
    "vlan_proto",
];
/// Bytes of a VLAN tag.
pub(crate) const VLAN_HLEN: usize = 4;
/// Bytes of the two addresses of an Ethernet header.
const MAC_ADDRS: usize = 12;
const LOOPBACK: u64 = 1;
/// Frames with a length instead of a type: `ETH_P_802_3` if raw IPX, else `ETH_P_802_2`.
const ETH_P_802_3: u16 = 1;
const ETH_P_802_2: u16 = 4;
pub(crate) const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_8021AD: u16 = 0x88a8;
/// Tags that are looked at to find what is behind them are fewer than this (`VLAN_MAX_DEPTH`).
const MAX_TAGS: usize = 8;

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
            network: ETH_HLEN as i64,
            mac: 0,
            transport: None,
            mac_len: 0,
            missing: 0,
            encapsulated: false,
            checked: None,
            tunnel: None,
            keys: None,
            len: id("len"),
            data: id("data"),
            data_end: id("data_end"),
            data_meta: id("data_meta"),
        })
    }

    /// The same for a flow dissector, which sees the frame from its Ethernet header on, and keys to fill in.
    pub fn for_flow_dissector() -> Option<SkbContext> {
        let layout = ctx::layout(ProgType::FlowDissector)?;
        let keys = Some((Box::new([0; KEYS_WORDS]), Slots::id(layout, "flow_keys")));
        SkbContext::new().filter(|skb| skb.slots.is_of(layout)).map(|skb| SkbContext { keys, ..skb })
    }

    /// Whether it is for a flow dissector.
    pub(crate) fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// Where the flow keys are, and how many bytes.
    pub(crate) fn keys_at(&self) -> Option<(u64, u64)> {
        self.keys.as_ref().map(|(keys, _)| (keys.as_ptr() as u64, size_of_val(&**keys) as u64))
    }

    /// What a flow dissector is asked to do: `BPF_FLOW_DISSECTOR_F_*`.
    pub fn set_flow_flags(&mut self, flags: u32) {
        if let Some((keys, _)) = &mut self.keys {
            keys[FLAGS] = flags.into();
        }
    }

    /// Before each run: the keys are as the network stack gives them, the network header behind that of Ethernet.
    pub(crate) fn begin(&mut self) {
        let protocol = self.packet.bytes().get(2 * 6..ETH_HLEN).map_or([0; 2], |bytes| [bytes[0], bytes[1]]);
        if let Some((keys, _)) = &mut self.keys {
            let flags = keys[FLAGS] & u64::from(u32::MAX);
            **keys = [0; KEYS_WORDS];
            keys[0] = (ETH_HLEN as u64) << 16 | ETH_HLEN as u64;
            keys[1] = u64::from(u16::from_le_bytes(protocol)) << N_PROTO;
            keys[FLAGS] = flags;
        }
    }

    /// The flow keys as Linux takes them after a run: offsets within the packet, and the transport header not in front of the network's.
    /// Empty for other programs.
    pub fn flow_keys(&self) -> Vec<u8> {
        let Some((keys, _)) = &self.keys else { return Vec::new() };
        let len = u64::try_from(self.packet.len()).unwrap_or(0).min(u64::from(u16::MAX));
        let network = (keys[0] & 0xffff).clamp(ETH_HLEN as u64, len.max(ETH_HLEN as u64));
        let transport = (keys[0] >> 16 & 0xffff).clamp(network, len.max(network));
        let first = keys[0] & !0xffff_ffff | transport << 16 | network;
        [first].iter().chain(&keys[1..]).flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Puts another frame in: at least an Ethernet header (callers check that; a frame of a capture may have been cut shorter,
    /// and then its fields are zero). What a program may have written to the fields of
    /// the one before is gone; set fields after this.
    pub fn load(&mut self, frame: &[u8], start: DataStart) {
        self.packet.load(frame);
        self.start = start;
        self.missing = 0;
        (self.encapsulated, self.checked, self.tunnel) = (false, None, None);
        (self.transport, self.mac_len) = (None, 0);
        let header: Option<&[u8; ETH_HLEN]> = frame.first_chunk();
        let ether_type = |h: &[u8; ETH_HLEN]| protocol(u16::from_be_bytes([h[12], h[13]]), &frame[ETH_HLEN..]);
        let (kind, protocol) = header.map_or((0, 0), |h| (packet_type(h), ether_type(h)));
        for field in FRESH {
            self.slots.clear(field);
        }
        self.slots.set("pkt_type", kind.into());
        self.set_protocol(protocol);
        (self.network, self.mac) = (ETH_HLEN as i64, 0);
        if start == DataStart::Network {
            self.packet.pull(ETH_HLEN);
            (self.network, self.mac) = (0, -(ETH_HLEN as i64));
        }
        self.refresh();
    }

    /// Says of the packet that was put in that it was cut short when it was captured: the program sees `len` bytes, not all
    /// of which it can load. A number below the packet's length changes nothing.
    pub fn cut_from(&mut self, len: u32) {
        self.missing = u64::from(len).saturating_sub(self.packet.len() as u64);
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
        self.network
    }

    /// Where the Ethernet header is, relative to the data.
    pub(crate) fn mac_offset(&self) -> i64 {
        self.mac
    }

    /// The Ethernet type that the stack sees.
    pub(crate) fn protocol(&self) -> u16 {
        u16::from_be_bytes((self.slots.get("protocol").unwrap_or(0) as u16).to_ne_bytes())
    }

    /// The Ethernet type behind the VLAN tags that are in the packet; 0 where it ends before that, or there are too many.
    pub(crate) fn protocol_behind_tags(&self) -> u16 {
        let mut protocol = self.protocol();
        let mut at = self.mac + self.mac_len.checked_sub(VLAN_HLEN).unwrap_or(ETH_HLEN) as i64;
        for _ in 0..MAX_TAGS {
            if !is_vlan(protocol) {
                return protocol;
            }
            let Some(&[_, _, high, low]) = self.packet.at_signed(at, VLAN_HLEN) else { return 0 };
            protocol = u16::from_be_bytes([high, low]);
            at += VLAN_HLEN as i64;
        }
        0
    }

    /// The field is in network byte order.
    pub(crate) fn set_protocol(&mut self, protocol: u16) {
        self.slots.set("protocol", u16::from_ne_bytes(protocol.to_be_bytes()).into());
    }

    /// Puts zeroed bytes in front, which then begin with the Ethernet header: `bpf_skb_change_head`.
    pub(crate) fn grow_head(&mut self, bytes: usize) {
        self.packet.push_zeroed(bytes);
        self.network += bytes as i64;
        self.mac = 0;
        self.move_transport(bytes as i64);
        self.count_mac_len();
    }

    fn move_transport(&mut self, by: i64) {
        self.transport = self.transport.map(|at| at + by);
    }

    fn count_mac_len(&mut self) {
        self.mac_len = usize::try_from(self.network - self.mac).unwrap_or(0);
    }

    /// Puts a network header in front, which the packet's then is.
    pub(crate) fn push_network(&mut self, header: &[u8]) {
        self.packet.push_zeroed(header.len());
        self.packet.bytes_mut()[..header.len()].copy_from_slice(header);
        self.mac -= header.len() as i64;
        self.network = 0;
    }

    /// Puts zeroes in behind the first `off` bytes, counted from the Ethernet header; the headers keep their offsets.
    pub(crate) fn open_gap(&mut self, off: usize, bytes: usize) {
        let hidden = usize::try_from(-self.mac).unwrap_or(0);
        // What is in front of the gap may be less than the headers that there should be.
        let off = off.saturating_sub(hidden).min(self.packet.len());
        self.packet.push_zeroed(bytes);
        let packet = self.packet.bytes_mut();
        packet.copy_within(bytes..bytes + off, 0);
        packet[off..off + bytes].fill(0);
        // Where it is that of the network it stays so.
        if self.transport != Some(self.network) {
            self.move_transport(bytes as i64);
        }
    }

    /// Takes bytes out there, of which the packet has so many.
    pub(crate) fn close_gap(&mut self, off: usize, bytes: usize) {
        let hidden = usize::try_from(-self.mac).unwrap_or(0);
        let off = off.saturating_sub(hidden);
        if off + bytes <= self.packet.len() {
            self.packet.bytes_mut().copy_within(0..off, bytes);
        }
        self.packet.pull(bytes);
        if self.transport != Some(self.network) {
            self.move_transport(-(bytes as i64));
        }
    }

    /// Puts bytes in after the two addresses of the Ethernet header.
    pub(crate) fn insert_tag(&mut self, tag: [u8; VLAN_HLEN]) {
        self.packet.push_zeroed(VLAN_HLEN);
        let bytes = self.packet.bytes_mut();
        bytes.copy_within(VLAN_HLEN..VLAN_HLEN + MAC_ADDRS, 0);
        bytes[MAC_ADDRS..MAC_ADDRS + VLAN_HLEN].copy_from_slice(&tag);
        self.move_transport(VLAN_HLEN as i64);
        // Linux keeps the distance, so that the network header now begins inside of the tag.
    }

    /// Takes the tag after the two addresses out: its content, and what protocol the type that follows it stands for.
    pub(crate) fn remove_tag(&mut self) -> Option<(u16, u16)> {
        let bytes = self.packet.bytes_mut();
        let at = MAC_ADDRS + 2;
        let (&[tci_high, tci_low, type_high, type_low], rest) = bytes.get(at..)?.split_first_chunk()?;
        let protocol = protocol(u16::from_be_bytes([type_high, type_low]), rest);
        bytes.copy_within(0..MAC_ADDRS, VLAN_HLEN);
        self.packet.pull(VLAN_HLEN);
        self.network = (self.network - VLAN_HLEN as i64).max(ETH_HLEN as i64);
        self.move_transport(-(VLAN_HLEN as i64));
        self.count_mac_len();
        Some((u16::from_be_bytes([tci_high, tci_low]), protocol))
    }

    pub(crate) fn refresh(&mut self) {
        self.slots.set_id(self.len, self.packet.len() as u64 + self.missing);
        self.slots.set_id(self.data, self.packet.data_addr());
        self.slots.set_id(self.data_end, self.packet.end_addr());
        self.slots.set_id(self.data_meta, self.packet.meta_addr());
        if let Some((keys, slot)) = &mut self.keys {
            self.slots.set_id(*slot, keys.as_mut_ptr() as u64);
        }
    }
}

/// `PACKET_HOST`, `PACKET_MULTICAST` or `PACKET_OTHERHOST` by the destination. The loopback interface's own address is all
/// zeroes, and so is its broadcast address: ff:ff:ff:ff:ff:ff is a multicast there.
fn packet_type(header: &[u8; ETH_HLEN]) -> u8 {
    let destination = &header[..6];
    if destination == [0; 6] {
        0
    } else if destination[0] & 1 != 0 {
        2
    } else {
        3
    }
}

pub(crate) const fn is_vlan(protocol: u16) -> bool {
    matches!(protocol, ETH_P_8021Q | ETH_P_8021AD)
}

/// What an Ethernet type stands for that comes before these bytes.
fn protocol(ether_type: u16, rest: &[u8]) -> u16 {
    if ether_type >= 0x600 {
        ether_type
    } else if rest.starts_with(&[0xff, 0xff]) {
        ETH_P_802_3
    } else {
        ETH_P_802_2
    }
}
