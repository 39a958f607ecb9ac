//! Inputs that every program gets.

use ring3_platform::ProgType;

/// The longest generated input, in bytes: more than the kernel's test run takes.
pub const MAX_INPUT: usize = 70_000;

/// Bytes of a page: the kernel's test run puts the start of longer packets into one.
const PAGE: usize = 4096;
/// Arguments of a raw tracepoint, at most, in bytes.
const ARGUMENTS: usize = 12 * 8;

/// Ethernet types.
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const VLAN: u16 = 0x8100;
const IPV6: u16 = 0x86dd;

/// Protocols of IP.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// Addresses of Ethernet: to another host, from one.
const MACS: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

/// Those that are given first, then packets or contexts for programs of this type: empty, short, whole, cut, oversize and random
/// ones. The same each time.
pub fn inputs(kind: ProgType, given: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let generated = if ring3::takes_packet(kind) { packets() } else { contexts() };
    given.iter().cloned().chain(generated).collect()
}

fn contexts() -> Vec<Vec<u8>> {
    let mut random = Random(0x5eed);
    let numbers: Vec<u8> = (0..ARGUMENTS as u64 / 8).flat_map(u64::to_ne_bytes).collect();
    [0, 1, 8, 16, 64, ARGUMENTS, ARGUMENTS + 8, PAGE]
        .map(|len| random.bytes(len))
        .into_iter()
        .chain([vec![0; ARGUMENTS], vec![0xff; ARGUMENTS], numbers])
        .collect()
}

fn packets() -> Vec<Vec<u8>> {
    let mut random = Random(0x5eed);
    let mut all: Vec<Vec<u8>> = vec![Vec::new(), vec![0], vec![0; 13], vec![0; 14], vec![0; 60], vec![0xff; 64]];
    all.push(frame(ARP, &[&[0, 1, 8, 0, 6, 4, 0, 1], &[0; 38][..]].concat()));
    let whole = [
        frame(IPV4, &ipv4(ICMP, &icmp(8, &[7; 56]))),
        frame(IPV4, &ipv4(ICMP, &icmp(0, &[7; 8]))),
        frame(IPV4, &ipv4(TCP, &tcp(443, &[2, 4, 5, 0xb4, 1, 3, 3, 7, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0], b"hello"))),
        frame(IPV4, &ipv4(TCP, &tcp(80, &[], b"GET / HTTP/1.1\r\n\r\n"))),
        frame(
            IPV4,
            &ipv4(UDP, &udp(53, b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03dns\x00\x00\x01\x00\x01")),
        ),
        frame(IPV4, &ipv4(UDP, &udp(9, &[0; 1000]))),
        frame(IPV6, &ipv6(TCP, &tcp(22, &[], b"SSH-2.0"))),
        frame(IPV6, &ipv6(UDP, &udp(53, &[1; 40]))),
        frame(IPV6, &ipv6(ICMPV6, &icmp(128, &[9; 32]))),
        frame(VLAN, &[&[0x20, 0x05, 0x08, 0x00], &ipv4(UDP, &udp(4789, &[3; 60]))[..]].concat()),
    ];
    for frame in &whole {
        // The header of IP begins at 14; cuts are within it, within the one behind it, and before the last byte.
        all.extend(
            [15, 33, 34, 37, 42, 53].into_iter().filter(|cut| *cut < frame.len()).map(|cut| frame[..cut].to_vec()),
        );
        all.push(frame[..frame.len() - 1].to_vec());
    }
    all.extend(whole.clone());
    for frame in &whole {
        let mut spoilt = frame.clone();
        for _ in 0..3 {
            let at = random.below(spoilt.len());
            spoilt[at] = random.next() as u8;
        }
        all.push(spoilt);
    }
    all.extend([14, 20, 60, 128, 1514].map(|len| random.bytes(len)));
    let long = |len: usize| frame(IPV4, &ipv4(UDP, &udp(9, &vec![0x5a; len.saturating_sub(42)])));
    all.extend([1514, 3000, PAGE, 9014, MAX_INPUT].map(long));
    all
}

fn frame(kind: u16, content: &[u8]) -> Vec<u8> {
    [&MACS[..], &kind.to_be_bytes(), content].concat()
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}

fn ipv4(protocol: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = length(20 + content.len());
    let mut header = [0x45, 0, high, low, 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    [&header[..], content].concat()
}

fn ipv6(protocol: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = length(content.len());
    let mut header = vec![0x60, 0, 0, 0, high, low, protocol, 64];
    for last in [1, 2] {
        header.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    [&header[..], content].concat()
}

fn icmp(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, 0, 0, 0, 0, 1, 0, 1], content].concat();
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

fn udp(port: u16, content: &[u8]) -> Vec<u8> {
    [&40_000u16.to_be_bytes()[..], &port.to_be_bytes(), &length(8 + content.len()), &[0, 0], content].concat()
}

/// A SYN with options, of which there are whole words; with data if there is some.
fn tcp(port: u16, options: &[u8], content: &[u8]) -> Vec<u8> {
    let words = 5 + options.len() as u8 / 4;
    let rest = [0, 0, 0, 1, 0, 0, 0, 0, words << 4, 2, 0xff, 0xff, 0, 0, 0, 0];
    [&40_000u16.to_be_bytes()[..], &port.to_be_bytes(), &rest, options, content].concat()
}

/// The checksum of IP (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Random numbers (xorshift), the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit.max(1)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_of_every_length_and_sound() {
        let all = inputs(ProgType::Xdp, &[vec![1, 2, 3]]);
        assert_eq!(all[0], [1, 2, 3]);
        for wanted in [|len| len == 0, |len| len < 14, |len| len == 14, |len| len > 4096usize] {
            assert!(all.iter().any(|packet| wanted(packet.len())));
        }
        let echo = frame(IPV4, &ipv4(ICMP, &icmp(8, &[7; 56])));
        assert_eq!((checksum(&echo[14..34]), checksum(&echo[34..]), echo.len()), (0, 0, 98));
        assert!(all.contains(&echo));
        assert_eq!(all, inputs(ProgType::Xdp, &[vec![1, 2, 3]]));
        assert!(inputs(ProgType::RawTracepoint, &[]).iter().any(Vec::is_empty));
    }
}
