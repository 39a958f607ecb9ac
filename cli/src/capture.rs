//! Captures: pcap and pcapng in, pcap out (draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng).
//!
//! Files are read packet by packet, so that their length does not matter; no packet or block is larger than the limits.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use crate::error::CliError;

/// The longest packet, in bytes; the longest that programs can be given.
pub const MAX_PACKET: usize = ring3::vm::MAX_PACKET;
/// The longest block of a pcapng file, in bytes.
pub const MAX_BLOCK: usize = 16 << 20;
/// Most interfaces of a section of a pcapng file.
pub const MAX_INTERFACES: usize = 4096;
/// Link type of Ethernet frames (LINKTYPE_ETHERNET).
pub const ETHERNET: u32 = 1;
/// Magic numbers of pcap: microseconds and nanoseconds.
const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Block types of pcapng.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const PACKET: u32 = 6;
/// What tells the byte order of a section.
const ORDER: u32 = 0x1a2b_3c4d;
/// Option of an interface: resolution of its time stamps.
const TSRESOL: u16 = 9;

/// A packet of a capture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// The bytes that were captured.
    pub data: Vec<u8>,
    /// Length that it had then, which may be more.
    pub length: u32,
    /// Where it was captured.
    pub interface: Interface,
}

impl Packet {
    /// A whole Ethernet frame, which comes from no capture.
    pub fn ethernet(data: Vec<u8>) -> Packet {
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        Packet { time_ns: 0, data, length, interface: Interface { link: ETHERNET, snap: 0, ticks: 1 } }
    }

    /// The bytes within the capture's snapshot length, which are all that tcpdump sees of a packet.
    pub fn snapped(&self) -> &[u8] {
        match self.interface.snap as usize {
            0 => &self.data,
            snap => &self.data[..snap.min(self.data.len())],
        }
    }
}

/// Why a capture cannot be read on: offset in bytes, and what is there.
type Fault = (u64, String);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Order::Little => u32::from_le_bytes(bytes),
            Order::Big => u32::from_be_bytes(bytes),
        }
    }

    /// The number at an offset of a block that is known to be long enough, else 0.
    fn u32_at(self, block: &[u8], at: usize) -> u32 {
        block.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| self.u32(*bytes))
    }

    fn u16_at(self, block: &[u8], at: usize) -> u16 {
        let bytes = block.get(at..).and_then(|rest| rest.first_chunk::<2>()).copied().unwrap_or_default();
        match self {
            Order::Little => u16::from_le_bytes(bytes),
            Order::Big => u16::from_be_bytes(bytes),
        }
    }
}

/// What a capture says of the place where packets were captured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Link type (`LINKTYPE_*`).
    pub link: u32,
    /// Snapshot length, 0 for none.
    pub snap: u32,
    /// Time stamps a second.
    ticks: u64,
}

/// Link types that are of use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Links {
    /// Ethernet frames alone.
    Ethernet,
    /// Any, but all packets of a capture have the same.
    OfOneKind,
}

#[derive(Debug)]
enum Kind {
    Pcap { order: Order, interface: Interface },
    Pcapng { order: Order, interfaces: Vec<Interface> },
}

/// Reads a capture.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    /// Bytes read so far.
    offset: u64,
    kind: Kind,
    links: Links,
    /// Link type of the packets so far.
    link: Option<u32>,
}

/// A capture in a file.
pub struct Capture {
    name: String,
    /// Length of the file.
    pub length: u64,
    reader: Reader<BufReader<File>>,
}

impl Capture {
    /// Opens a capture.
    pub fn open(path: &Path, links: Links) -> Result<Capture, CliError> {
        let file = File::open(path).map_err(|e| CliError::file(path, e))?;
        let length = file.metadata().map_or(0, |data| data.len());
        let name = path.display().to_string();
        let reader = Reader::new(BufReader::new(file), links).map_err(|fault| located(&name, fault))?;
        Ok(Capture { name, length, reader })
    }

    /// The next packet.
    pub fn next(&mut self) -> Result<Option<Packet>, CliError> {
        self.reader.next().map_err(|fault| located(&self.name, fault))
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.reader.offset
    }
}

fn located(file: &str, (offset, what): Fault) -> CliError {
    CliError::Input(format!("{file}: offset {offset:#x}: {what}"))
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    pub fn new(from: R, links: Links) -> Result<Reader<R>, Fault> {
        let kind = Kind::Pcapng { order: Order::Little, interfaces: Vec::new() };
        let mut reader = Reader { from, offset: 0, kind, links, link: None };
        let magic: [u8; 4] = reader.array("the magic number of a capture")?;
        if magic == SECTION.to_le_bytes() {
            reader.section(0)?;
            return Ok(reader);
        }
        let known = [Order::Little, Order::Big].into_iter().find_map(|order| match order.u32(magic) {
            MICROSECONDS => Some((order, 1_000_000)),
            NANOSECONDS => Some((order, 1_000_000_000)),
            _ => None,
        });
        let Some((order, ticks)) = known else {
            return Err((0, format!("not a pcap or pcapng capture: it starts with {}", crate::output::hex(&magic))));
        };
        let rest: [u8; 20] = reader.array("the header of a capture")?;
        // The upper bits say whether frames have a check sum behind them.
        let link = order.u32_at(&rest, 16) & 0xffff;
        reader.check_link(link, 20)?;
        reader.kind = Kind::Pcap { order, interface: Interface { link, snap: order.u32_at(&rest, 12), ticks } };
        Ok(reader)
    }

    /// The next packet; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Packet>, Fault> {
        match self.kind {
            Kind::Pcap { order, interface } => self.next_pcap(order, interface),
            Kind::Pcapng { .. } => self.next_pcapng(),
        }
    }

    fn next_pcap(&mut self, order: Order, interface: Interface) -> Result<Option<Packet>, Fault> {
        let start = self.offset;
        let Some(header) = self.array_or_end::<16>("a packet's header")? else { return Ok(None) };
        let (seconds, part) = (order.u32_at(&header, 0), order.u32_at(&header, 4));
        let length = order.u32_at(&header, 8) as usize;
        if length > MAX_PACKET {
            return Err((start, format!("a packet of {length} bytes is over the limit of {MAX_PACKET}")));
        }
        let part_ns = u64::from(part).saturating_mul(1_000_000_000 / interface.ticks.max(1));
        let time_ns = u64::from(seconds) * 1_000_000_000 + part_ns;
        let on_wire = order.u32_at(&header, 12);
        Ok(Some(Packet { time_ns, data: self.bytes(length, "a packet")?, length: on_wire, interface }))
    }

    fn next_pcapng(&mut self) -> Result<Option<Packet>, Fault> {
        loop {
            let start = self.offset;
            let Some(kind) = self.array_or_end::<4>("a block's type")? else { return Ok(None) };
            if kind == SECTION.to_le_bytes() {
                self.section(start)?;
                continue;
            }
            let Kind::Pcapng { order, .. } = self.kind else { return Ok(None) };
            let block = self.block_body(start, order)?;
            let found = match order.u32(kind) {
                INTERFACE => {
                    self.interface(start, order, &block)?;
                    None
                }
                PACKET => Some(self.packet(start, order, &block, order.u32_at(&block, 0), 20)?),
                OLD_PACKET => Some(self.packet(start, order, &block, order.u16_at(&block, 0).into(), 20)?),
                SIMPLE_PACKET => Some(self.simple_packet(start, order, &block)?),
                _ => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// The rest of a section's header, behind its type.
    fn section(&mut self, start: u64) -> Result<(), Fault> {
        let head: [u8; 8] = self.array("a section's header")?;
        let (length, magic) = head.split_at(4);
        let magic = magic.first_chunk().copied().unwrap_or_default();
        let order = [Order::Little, Order::Big].into_iter().find(|order| order.u32(magic) == ORDER);
        let Some(order) = order else { return Err((start, "a section without byte-order magic".to_owned())) };
        let length = order.u32_at(length, 0) as usize;
        check_block(start, length, 28)?;
        self.bytes(length - 12, "a section's header")?;
        self.kind = Kind::Pcapng { order, interfaces: Vec::new() };
        Ok(())
    }

    /// The length and body of a block whose type was read.
    fn block_body(&mut self, start: u64, order: Order) -> Result<Vec<u8>, Fault> {
        let length = order.u32(self.array("a block's length")?) as usize;
        check_block(start, length, 12)?;
        let body = self.bytes(length - 12, "a block")?;
        let again = order.u32(self.array("a block's length")?) as usize;
        if again != length {
            return Err((start, format!("a block is {length} bytes long by its head and {again} by its end")));
        }
        Ok(body)
    }

    fn interface(&mut self, start: u64, order: Order, block: &[u8]) -> Result<(), Fault> {
        let Kind::Pcapng { interfaces, .. } = &mut self.kind else { return Ok(()) };
        if block.len() < 8 || interfaces.len() >= MAX_INTERFACES {
            return Err((start, "an interface that is cut short, or one too many".to_owned()));
        }
        let mut ticks = 1_000_000;
        let mut at = 8;
        while at + 4 <= block.len() {
            let (code, length) = (order.u16_at(block, at), usize::from(order.u16_at(block, at + 2)));
            match (code, block.get(at + 4)) {
                (0, _) => break,
                (TSRESOL, Some(byte)) if length >= 1 => ticks = resolution(*byte),
                _ => {}
            }
            at += 4 + length.next_multiple_of(4);
        }
        let (link, snap) = (u32::from(order.u16_at(block, 0)), order.u32_at(block, 4));
        interfaces.push(Interface { link, snap, ticks });
        Ok(())
    }

    fn packet(&mut self, start: u64, order: Order, block: &[u8], id: u32, at: usize) -> Result<Packet, Fault> {
        let interface = self.interface_of(start, id)?;
        let high = u64::from(order.u32_at(block, 4)) << 32;
        let stamp = high | u64::from(order.u32_at(block, 8));
        let length = order.u32_at(block, 12) as usize;
        let data = slice(start, block, at, length)?;
        let time = u128::from(stamp) * 1_000_000_000 / u128::from(interface.ticks.max(1));
        let time_ns = u64::try_from(time).unwrap_or(u64::MAX);
        Ok(Packet { time_ns, data, length: order.u32_at(block, 16), interface })
    }

    fn simple_packet(&mut self, start: u64, order: Order, block: &[u8]) -> Result<Packet, Fault> {
        let interface = self.interface_of(start, 0)?;
        // The length is the packet's on the wire; what was captured fills the block, or the snapshot length.
        let length = order.u32_at(block, 0);
        let snap = if interface.snap == 0 { usize::MAX } else { interface.snap as usize };
        let captured = (length as usize).min(block.len().saturating_sub(4)).min(snap);
        Ok(Packet { time_ns: 0, data: slice(start, block, 4, captured)?, length, interface })
    }

    fn interface_of(&mut self, start: u64, id: u32) -> Result<Interface, Fault> {
        let Kind::Pcapng { interfaces, .. } = &self.kind else { return Err((start, "no interface".to_owned())) };
        let found = interfaces.get(id as usize).copied();
        let found = found.ok_or_else(|| (start, format!("a packet of interface {id}, which is not described")))?;
        self.check_link(found.link, start)?;
        Ok(found)
    }

    fn check_link(&mut self, link: u32, offset: u64) -> Result<(), Fault> {
        let first = *self.link.get_or_insert(link);
        match self.links {
            Links::Ethernet if link != ETHERNET => {
                Err((offset, format!("link type {link}: programs run on Ethernet frames only (link type {ETHERNET})")))
            }
            Links::OfOneKind if link != first => {
                Err((offset, format!("a packet of link type {link}, after others of link type {first}")))
            }
            Links::Ethernet | Links::OfOneKind => Ok(()),
        }
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Fault> {
        let start = self.offset;
        self.array_or_end(what)?.ok_or_else(|| (start, format!("the file ends where {what} should be")))
    }

    /// `None` if the file ends exactly here.
    fn array_or_end<const N: usize>(&mut self, what: &str) -> Result<Option<[u8; N]>, Fault> {
        let start = self.offset;
        let bytes = self.some_bytes(N)?;
        match bytes.try_into() {
            Ok(array) => Ok(Some(array)),
            Err(bytes) if bytes.is_empty() => Ok(None),
            Err(_) => Err((start, format!("the file ends inside of {what}"))),
        }
    }

    fn bytes(&mut self, length: usize, what: &str) -> Result<Vec<u8>, Fault> {
        let start = self.offset;
        let bytes = self.some_bytes(length)?;
        if bytes.len() < length {
            return Err((start, format!("the file ends inside of {what} of {length} bytes")));
        }
        Ok(bytes)
    }

    /// As many as there are, at most `length`.
    fn some_bytes(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        let read = (&mut self.from).take(length as u64).read_to_end(&mut bytes);
        read.map_err(|error| (self.offset, error.to_string()))?;
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }
}

fn check_block(start: u64, length: usize, least: usize) -> Result<(), Fault> {
    if length < least || !length.is_multiple_of(4) || length > MAX_BLOCK {
        return Err((start, format!("a block of {length} bytes; it has {least} to {MAX_BLOCK}, in steps of 4")));
    }
    Ok(())
}

fn slice(start: u64, block: &[u8], at: usize, length: usize) -> Result<Vec<u8>, Fault> {
    if length > MAX_PACKET {
        return Err((start, format!("a packet of {length} bytes is over the limit of {MAX_PACKET}")));
    }
    let data = block.get(at..at + length);
    data.map(<[u8]>::to_vec).ok_or_else(|| (start, format!("a packet of {length} bytes reaches beyond its block")))
}

/// Time stamps a second, by the option's byte: a power of ten, or with the top bit of two.
fn resolution(byte: u8) -> u64 {
    let exponent = u32::from(byte & 0x7f);
    let ticks = if byte & 0x80 != 0 { 2u64.checked_pow(exponent) } else { 10u64.checked_pow(exponent) };
    ticks.unwrap_or(u64::MAX)
}

/// Writes a capture: little-endian pcap with nanoseconds.
pub struct Writer<W: Write> {
    to: W,
}

/// Creates a capture of packets of this link type.
pub fn create(path: &Path, link: u32) -> Result<Writer<BufWriter<File>>, CliError> {
    let file = File::create(path).map_err(|e| CliError::file(path, e))?;
    Writer::new(BufWriter::new(file), link).map_err(|e| CliError::file(path, e))
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    pub fn new(mut to: W, link: u32) -> io::Result<Writer<W>> {
        for word in [NANOSECONDS, 4 << 16 | 2, 0, 0, MAX_PACKET as u32, link] {
            to.write_all(&word.to_le_bytes())?;
        }
        Ok(Writer { to })
    }

    /// Writes a packet of which these bytes are there, of so many on the wire.
    pub fn packet(&mut self, time_ns: u64, data: &[u8], length: u32) -> io::Result<()> {
        let seconds = (time_ns / 1_000_000_000) as u32;
        for word in [seconds, (time_ns % 1_000_000_000) as u32, data.len() as u32, length] {
            self.to.write_all(&word.to_le_bytes())?;
        }
        self.to.write_all(data)
    }

    /// Writes what is buffered.
    pub fn finish(mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Packet>, Fault> {
        let mut reader = Reader::new(bytes, Links::Ethernet)?;
        let mut packets = Vec::new();
        while let Some(packet) = reader.next()? {
            packets.push(packet);
        }
        Ok(packets)
    }

    fn pcapng(order: Order) -> Vec<u8> {
        let w = |n: u32| match order {
            Order::Little => n.to_le_bytes(),
            Order::Big => n.to_be_bytes(),
        };
        let h = |n: u16| match order {
            Order::Little => n.to_le_bytes(),
            Order::Big => n.to_be_bytes(),
        };
        let block = |kind: u32, body: &[u8]| {
            let length = body.len() as u32 + 12;
            [&w(kind)[..], &w(length), body, &w(length)].concat()
        };
        let section = [&w(ORDER)[..], &h(1), &h(0), &[0xff; 8]].concat();
        // Nanoseconds, then the end of the options.
        let interface = [&h(1)[..], &h(0), &w(0), &h(TSRESOL), &h(1), &[9, 0, 0, 0], &h(0), &h(0)].concat();
        let packet = [&w(0)[..], &w(1), &w(5), &w(3), &w(3), b"abc\0"].concat();
        let simple = [&w(2)[..], b"xy\0\0"].concat();
        let unknown = b"what";
        [
            block(SECTION, &section),
            block(INTERFACE, &interface),
            block(99, unknown),
            block(PACKET, &packet),
            block(3, &simple),
        ]
        .concat()
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, ETHERNET).unwrap();
        writer.packet(3_000_000_007, b"hello", 5).unwrap();
        writer.packet(0, b"", 0).unwrap();
        writer.finish().unwrap();
        let read = all(&bytes).unwrap();
        let seen = |packet: &Packet| (packet.time_ns, packet.data.clone(), packet.length);
        assert_eq!(seen(&read[0]), (3_000_000_007, b"hello".to_vec(), 5));
        assert_eq!(seen(&read[1]), (0, Vec::new(), 0));
        // Every way to cut it is told, but for those between packets.
        for length in 0..bytes.len() {
            assert_eq!(all(&bytes[..length]).is_ok(), [24, 45].contains(&length), "{length}");
        }
    }

    #[test]
    fn pcap_of_either_order_and_resolution() {
        let header = |magic: u32| [magic, 2 << 16 | 4, 0, 0, 65535, 1, 1, 2, 1, 1].map(u32::to_be_bytes).concat();
        for (magic, time_ns) in [(MICROSECONDS, 1_000_002_000), (NANOSECONDS, 1_000_000_002)] {
            let bytes = [&header(magic)[..], b"x"].concat();
            let read = all(&bytes).unwrap();
            assert_eq!(read.len(), 1);
            assert_eq!((read[0].time_ns, &read[0].data[..]), (time_ns, &b"x"[..]));
        }
    }

    #[test]
    fn pcapng_of_either_order() {
        for order in [Order::Little, Order::Big] {
            let bytes = pcapng(order);
            let read = all(&bytes).unwrap();
            assert_eq!(read.len(), 2);
            assert_eq!((read[0].time_ns, &read[0].data[..]), ((1 << 32) + 5, &b"abc"[..]));
            assert_eq!(read[1].data, b"xy");
            // Where a cut lies between blocks, there is nothing wrong with what is left.
            let ends = (0..bytes.len()).filter(|length| all(&bytes[..*length]).is_ok()).count();
            assert_eq!(ends, 4);
        }
    }

    #[test]
    fn limits_and_foreign_files_are_told() {
        let mut huge = Writer::new(Vec::new(), ETHERNET).unwrap().to;
        huge.extend([0u32, 0, 1 << 31, 1 << 31].map(u32::to_le_bytes).concat());
        assert_eq!(all(&huge).unwrap_err().0, 24);
        let mut raw = Writer::new(Vec::new(), ETHERNET).unwrap().to;
        raw[20] = 101;
        assert!(all(&raw).unwrap_err().1.contains("link type 101"));
        assert_eq!(all(b"GIF89a").unwrap_err().0, 0);
        let mut block = pcapng(Order::Little);
        block[4..8].copy_from_slice(&(u32::MAX - 3).to_le_bytes());
        assert!(all(&block).unwrap_err().1.contains("block"));
    }

    #[test]
    fn what_was_cut_and_other_links() {
        let header = [MICROSECONDS, 4 << 16 | 2, 0, 0, 3, 101, 1, 2, 4, 9].map(u32::to_le_bytes).concat();
        let bytes = [&header[..], b"abcd"].concat();
        assert_eq!(all(&bytes).unwrap_err(), (20, all(&bytes).unwrap_err().1));
        let mut reader = Reader::new(&bytes[..], Links::OfOneKind).unwrap();
        let packet = reader.next().unwrap().unwrap();
        assert_eq!((packet.snapped(), packet.length, packet.interface.link), (&b"abc"[..], 9, 101));
        // Two interfaces with a packet each, of different link types.
        let w = u32::to_le_bytes;
        let block = |kind: u32, body: &[u8]| {
            let length = body.len() as u32 + 12;
            [&w(kind)[..], &w(length), body, &w(length)].concat()
        };
        let section = block(SECTION, &[&w(ORDER)[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
        let interface = |link: u32| block(INTERFACE, &[w(link), w(0)].concat());
        let packet = |id: u32| block(PACKET, &[id, 0, 0, 0, 7].map(w).concat());
        let bytes = [section, interface(1), interface(113), packet(0), packet(1)].concat();
        let mut reader = Reader::new(&bytes[..], Links::OfOneKind).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().length, 7);
        assert!(reader.next().unwrap_err().1.contains("link type 113, after others of link type 1"));
    }
}
