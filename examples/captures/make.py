#!/usr/bin/env python3
"""Makes the small captures of this folder; run it from anywhere, it needs only the standard library.

The bytes depend on nothing but this file: addresses, payloads and timestamps are fixed.
Formats: pcap (microseconds, little-endian, LINKTYPE_ETHERNET), Ethernet II, RFC 791, 792, 768, 826, 8200, 9293.
"""

import ipaddress
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent
START_SECONDS = 1_700_000_000  # of the first packet; each next one comes 1 ms later
SNAPLEN = 65535
LINKTYPE_ETHERNET = 1

ETH_IPV4, ETH_ARP, ETH_VLAN, ETH_IPV6 = 0x0800, 0x0806, 0x8100, 0x86DD
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

A_MAC, B_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
A, B, DNS = "10.0.0.1", "10.0.0.2", "10.0.0.53"
A6, B6 = "fd00::1", "fd00::2"


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(data):
    """The Internet checksum of RFC 1071 over `data`."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def eth(dst, src, kind, payload, vlan=None):
    tag = b"" if vlan is None else struct.pack("!HH", ETH_VLAN, vlan)
    return mac(dst) + mac(src) + tag + struct.pack("!H", kind) + payload


def ipv4(src, dst, proto, payload, ident=1, ttl=64, fragment=0x4000, options=b""):
    words = 5 + len(options) // 4
    addresses = ipaddress.IPv4Address(src).packed + ipaddress.IPv4Address(dst).packed
    total = words * 4 + len(payload)

    def header(check):
        fixed = struct.pack("!BBHHHBBH", 0x40 | words, 0, total, ident, fragment, ttl, proto, check)
        return fixed + addresses + options

    return header(checksum(header(0))) + payload


def ipv6(src, dst, proto, payload, hops=64):
    fixed = struct.pack("!IHBB", 6 << 28, len(payload), proto, hops)
    return fixed + ipaddress.IPv6Address(src).packed + ipaddress.IPv6Address(dst).packed + payload


def pseudo(src, dst, proto, length):
    """The pseudo header that TCP, UDP and ICMPv6 checksums start with."""
    a, b = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    tail = struct.pack("!BBH", 0, proto, length) if a.version == 4 else struct.pack("!IHBB", length, 0, 0, proto)
    return a.packed + b.packed + tail


def icmp(kind, code, ident, sequence, payload):
    def message(check):
        return struct.pack("!BBHHH", kind, code, check, ident, sequence) + payload

    return message(checksum(message(0)))


def icmpv6(src, dst, kind, ident, sequence, payload):
    def message(check):
        return struct.pack("!BBHHH", kind, 0, check, ident, sequence) + payload

    return message(checksum(pseudo(src, dst, ICMPV6, 8 + len(payload)) + message(0)))


def udp(src, dst, sport, dport, payload):
    length = 8 + len(payload)

    def datagram(check):
        return struct.pack("!HHHH", sport, dport, length, check) + payload

    return datagram(checksum(pseudo(src, dst, UDP, length) + datagram(0)) or 0xFFFF)


def tcp(src, dst, sport, dport, seq, ack, flags, payload=b"", options=b"", window=64240):
    assert len(options) % 4 == 0, "TCP options fill whole words"
    words = 5 + len(options) // 4

    def segment(check):
        fixed = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, words << 4, flags, window, check, 0)
        return fixed + options + payload

    return segment(checksum(pseudo(src, dst, TCP, words * 4 + len(payload)) + segment(0)))


NOP, END = b"\x01", b"\x00"


def mss(value):
    return struct.pack("!BBH", 2, 4, value)


def window_scale(shift):
    return struct.pack("!BBB", 3, 3, shift)


SACK_PERMITTED = struct.pack("!BB", 4, 2)


def timestamps(value, echo):
    return struct.pack("!BBII", 8, 10, value, echo)


def a_to_b(proto, payload, **options):
    return eth(B_MAC, A_MAC, ETH_IPV4, ipv4(A, B, proto, payload, **options))


def b_to_a(proto, payload, **options):
    return eth(A_MAC, B_MAC, ETH_IPV4, ipv4(B, A, proto, payload, **options))


def arp(operation, sender_mac, sender, target_mac, target, dst):
    body = struct.pack("!HHBBH", 1, ETH_IPV4, 6, 4, operation)
    body += mac(sender_mac) + ipaddress.IPv4Address(sender).packed
    body += mac(target_mac) + ipaddress.IPv4Address(target).packed
    return eth(dst, sender_mac, ETH_ARP, body)


def mixed():
    """A little of everything, with frames too short for their headers at the end."""
    syn_options = mss(1460) + SACK_PERMITTED + timestamps(1000, 0) + NOP + window_scale(7)
    ts = NOP + NOP + timestamps(1001, 2000)
    text = bytes(range(0x20, 0x40))
    return [
        arp(1, A_MAC, A, "00:00:00:00:00:00", B, "ff:ff:ff:ff:ff:ff"),
        arp(2, B_MAC, B, A_MAC, A, A_MAC),
        a_to_b(ICMP, icmp(8, 0, 0x77, 1, text)),
        b_to_a(ICMP, icmp(0, 0, 0x77, 1, text)),
        a_to_b(TCP, tcp(A, B, 40000, 80, 100, 0, SYN, options=syn_options)),
        b_to_a(TCP, tcp(B, A, 80, 40000, 500, 101, SYN | ACK, options=mss(1460))),
        a_to_b(TCP, tcp(A, B, 40000, 80, 101, 501, ACK, options=ts)),
        a_to_b(TCP, tcp(A, B, 40000, 80, 101, 501, PSH | ACK, b"GET / HTTP/1.0\r\n\r\n", ts)),
        b_to_a(TCP, tcp(B, A, 80, 40000, 501, 119, PSH | ACK, b"HTTP/1.0 204 No Content\r\n\r\n")),
        a_to_b(TCP, tcp(A, B, 40000, 80, 119, 528, FIN | ACK)),
        eth(B_MAC, A_MAC, ETH_IPV4, ipv4(A, DNS, UDP, udp(A, DNS, 5353, 53, b"\x12\x34\x01\x00" + bytes(8)))),
        eth(A_MAC, B_MAC, ETH_IPV4, ipv4(DNS, A, UDP, udp(DNS, A, 53, 5353, b"\x12\x34\x81\x80" + bytes(8)))),
        a_to_b(ICMP, icmp(8, 0, 0x77, 2, text)),
        # The port is closed: ICMP carries back the header of what it answers.
        b_to_a(ICMP, icmp(3, 3, 0, 0, ipv4(A, B, UDP, udp(A, B, 5000, 5001, b"")))),
        eth(B_MAC, A_MAC, ETH_IPV6, ipv6(A6, B6, ICMPV6, icmpv6(A6, B6, 128, 0x77, 1, text))),
        eth(B_MAC, A_MAC, ETH_IPV6, ipv6(A6, B6, TCP, tcp(A6, B6, 40001, 443, 7, 0, SYN, options=mss(1440)))),
        eth(B_MAC, A_MAC, ETH_IPV6, ipv6(A6, B6, UDP, udp(A6, B6, 5000, 53, b"six"))),
        # A second fragment, a header with options (router alert), a VLAN tag.
        a_to_b(UDP, text, ident=9, fragment=0x00B9),
        a_to_b(ICMP, icmp(8, 0, 0x77, 3, b""), options=b"\x94\x04\x00\x00"),
        eth(B_MAC, A_MAC, ETH_IPV4, ipv4(A, B, ICMP, icmp(8, 0, 0x77, 4, b"vlan")), vlan=7),
        # Too short: inside the IPv4 header, before its protocol, only an Ethernet header, inside the TCP header.
        a_to_b(ICMP, icmp(8, 0, 0x77, 5, b""))[:33],
        a_to_b(TCP, tcp(A, B, 40000, 80, 1, 1, ACK))[:18],
        eth(B_MAC, A_MAC, ETH_IPV4, b""),
        a_to_b(TCP, tcp(A, B, 40000, 80, 1, 1, ACK))[:40],
    ]


LB, CLIENT, BACKEND_A, BACKEND_B = (f"172.17.0.{n}" for n in (5, 4, 2, 3))


def lb_mac(address):
    """Container networks derive the MAC address from the IPv4 address."""
    return "02:42:" + ":".join(f"{byte:02x}" for byte in ipaddress.IPv4Address(address).packed)


def lb_frame(src, dst, proto, payload, ident):
    return eth(lb_mac(dst), lb_mac(src), ETH_IPV4, ipv4(src, dst, proto, payload, ident=ident))


def lb():
    """A client's connection to the load balancer, a backend's answers, and what the balancer has to leave alone."""
    syn = mss(1460) + SACK_PERMITTED + NOP + NOP
    get = b"GET / HTTP/1.0\r\n\r\n"
    return [
        lb_frame(CLIENT, LB, TCP, tcp(CLIENT, LB, 50000, 80, 1, 0, SYN, options=syn), 1),
        lb_frame(BACKEND_A, LB, TCP, tcp(BACKEND_A, LB, 80, 50000, 9, 2, SYN | ACK, options=syn), 2),
        lb_frame(CLIENT, LB, TCP, tcp(CLIENT, LB, 50000, 80, 2, 10, PSH | ACK, get), 3),
        lb_frame(BACKEND_B, LB, TCP, tcp(BACKEND_B, LB, 80, 50000, 10, 20, ACK), 4),
        lb_frame(CLIENT, LB, UDP, udp(CLIENT, LB, 5000, 53, b"no"), 5),
        lb_frame(CLIENT, LB, ICMP, icmp(8, 0, 1, 1, b"no"), 6),
        arp(1, lb_mac(CLIENT), CLIENT, "00:00:00:00:00:00", LB, "ff:ff:ff:ff:ff:ff"),
        lb_frame(CLIENT, LB, TCP, tcp(CLIENT, LB, 50000, 80, 1, 0, SYN), 7)[:18],
    ]


def ping():
    """Two echo requests with their replies, other ICMP, other protocols."""
    text = bytes(range(0x10, 0x48))
    return [
        a_to_b(ICMP, icmp(8, 0, 0x1234, 1, text)),
        b_to_a(ICMP, icmp(0, 0, 0x1234, 1, text)),
        a_to_b(ICMP, icmp(8, 0, 0x1234, 2, text)),
        b_to_a(ICMP, icmp(0, 0, 0x1234, 2, text)),
        # A checksum near its wrap: the update from 8 to 0 has to carry.
        a_to_b(ICMP, icmp(8, 0, 0xF7FF, 0, b"")),
        a_to_b(ICMP, icmp(13, 0, 1, 1, bytes(12))),
        a_to_b(UDP, udp(A, B, 5000, 5001, b"not a ping")),
        eth(B_MAC, A_MAC, ETH_IPV6, ipv6(A6, B6, ICMPV6, icmpv6(A6, B6, 128, 1, 1, text))),
        a_to_b(ICMP, icmp(8, 0, 0x1234, 3, text))[:36],
    ]


def tcp_options():
    """Every shape of the option list: none, one, all, padded, ended early, broken."""
    lists = [
        b"",
        mss(1460),
        mss(536) + SACK_PERMITTED + timestamps(7, 0) + NOP + window_scale(9),
        NOP + NOP + timestamps(8, 9),
        NOP * 7 + END,
        NOP * 36 + mss(9000),
        END + mss(1460)[:3],
        mss(1460) + window_scale(14) + END,
        bytes([254, 4, 0, 0]) + mss(1200),  # an experimental option before the one that matters
        bytes([2, 0, 5, 180]),  # a length of zero would never end
        bytes([8, 10, 0, 0]),  # longer than the header
        SACK_PERMITTED + bytes([2, 4]),  # ends inside its body
        NOP * 3 + bytes([2]),  # a kind without its length
    ]
    frames = []
    for number, options in enumerate(lists):
        port = 41000 + number
        frames.append(a_to_b(TCP, tcp(A, B, port, 80, 1, 0, SYN, options=options), ident=number + 1))
    # The data offset says more than the packet has; the same and less than a header.
    cut = a_to_b(TCP, tcp(A, B, 42000, 80, 1, 0, SYN, options=mss(1460) + NOP * 4))
    frames.append(cut[:-6])
    small = bytearray(a_to_b(TCP, tcp(A, B, 42001, 80, 1, 0, SYN)))
    small[14 + 20 + 12] = 0x40
    frames.append(bytes(small))
    frames.append(a_to_b(UDP, udp(A, B, 5000, 5001, b"not TCP")))
    return frames


HOST = "1.2.3.4"
ETH_RARP, ETH_QINQ, ETH_MPLS, ETH_PPPOE, ETH_LOOP = 0x8035, 0x88A8, 0x8847, 0x8864, 0x9000
IGMP, IPIP, IPV6_IN_IP, GRE, ESP, AH, PIM, VRRP, SCTP = 2, 4, 41, 47, 50, 51, 103, 112, 132
HOP_BY_HOP, FRAGMENT = 0, 44


def cut(frame, length):
    """A frame of which fewer bytes were captured than there were."""
    return frame[:length], len(frame)


def selection():
    """For filters: what they have to tell apart, above all `host 1.2.3.4 and udp port 53`."""
    query = b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\x01a\x00\x00\x01\x00\x01"

    def ask(src=HOST, dst=DNS, sport=5353, dport=53, **more):
        return ipv4(src, dst, UDP, udp(src, dst, sport, dport, query), **more)

    def to_b(kind, payload, **more):
        return eth(B_MAC, A_MAC, kind, payload, **more)

    plain = to_b(ETH_IPV4, ask())
    tagged = to_b(ETH_IPV4, ask(), vlan=100)
    long_udp = udp(HOST, DNS, 5353, 53, bytes(range(64)))
    port_53_tcp = tcp(HOST, DNS, 40000, 53, 1, 0, SYN, options=mss(1460))
    six = ipv6(A6, B6, UDP, udp(A6, B6, 5000, 53, query))
    sctp = struct.pack("!HHII", 53, 5000, 1, 0) + bytes(4)
    double = mac(B_MAC) + mac(A_MAC) + struct.pack("!HHHH", ETH_QINQ, 10, ETH_VLAN, 20) + struct.pack("!H", ETH_IPV4)
    llc = bytes.fromhex("aaaa03000000") + struct.pack("!H", ETH_IPV4)
    ospf_to_all = ipv4(A, "224.0.0.5", 89, bytes(24))
    frames = [
        plain,
        to_b(ETH_IPV4, ask(src=DNS, dst=HOST, sport=53, dport=5353)),
        to_b(ETH_IPV4, ask(dport=5300)),
        to_b(ETH_IPV4, ask(src=A)),
        to_b(ETH_IPV4, ask(src="1.2.3.5")),
        to_b(ETH_IPV4, ipv4(HOST, DNS, TCP, port_53_tcp)),
        to_b(ETH_IPV4, ipv4(HOST, DNS, SCTP, sctp)),
        to_b(ETH_IPV4, ipv4(HOST, DNS, ICMP, icmp(8, 0, 53, 53, b"ping"))),
        # Header options move the ports.
        to_b(ETH_IPV4, ask(options=b"\x94\x04\x00\x00")),
        to_b(ETH_IPV4, ask(options=NOP * 40)),
        # The first fragment has the ports, the later ones have something else in their place.
        to_b(ETH_IPV4, ipv4(HOST, DNS, UDP, long_udp[:32], ident=7, fragment=0x2000)),
        to_b(ETH_IPV4, ipv4(HOST, DNS, UDP, long_udp[32:64], ident=7, fragment=0x2004)),
        to_b(ETH_IPV4, ipv4(HOST, DNS, UDP, struct.pack("!HH", 53, 53) + long_udp[64:], ident=7, fragment=0x0008)),
        # Tags hide the rest from filters that do not ask for them.
        tagged,
        to_b(ETH_IPV4, ask(src=A), vlan=100),
        double + ask(),
        to_b(ETH_ARP, b"", vlan=5),
        # Cut short when captured: in the ports, before them, in the addresses, in the type, in the first address.
        cut(plain, 38),
        cut(plain, 37),
        cut(plain, 35),
        cut(plain, 33),
        cut(plain, 24),
        cut(plain, 20),
        cut(plain, 14),
        cut(plain, 13),
        cut(plain, 6),
        cut(plain, 0),
        cut(tagged, 30),
        cut(to_b(ETH_IPV4, ask(options=NOP * 40)), 60),
        # Sent as short as that.
        plain[:34],
        plain[:14],
        plain[:12],
        # A header that is longer than its packet, and one that is too short to be one.
        plain[:14] + b"\x4f" + plain[15:],
        plain[:14] + b"\x41" + plain[15:],
        plain[:14] + b"\x65" + plain[15:],
        to_b(ETH_IPV6, six),
        to_b(ETH_IPV6, ipv6(A6, B6, TCP, tcp(A6, B6, 40001, 53, 7, 0, SYN))),
        to_b(ETH_IPV6, ipv6(A6, B6, ICMPV6, icmpv6(A6, B6, 128, 1, 1, b"six"))),
        to_b(ETH_IPV6, ipv6(A6, B6, HOP_BY_HOP, bytes([UDP, 0, 1, 4, 0, 0, 0, 0]) + udp(A6, B6, 5000, 53, query))),
        to_b(ETH_IPV6, ipv6(A6, B6, FRAGMENT, bytes([UDP, 0, 0, 1, 0, 0, 0, 9]) + udp(A6, B6, 5000, 53, query))),
        to_b(ETH_IPV6, six, vlan=100),
        cut(to_b(ETH_IPV6, six), 50),
        # ARP and RARP have addresses elsewhere.
        arp(1, A_MAC, HOST, "00:00:00:00:00:00", DNS, "ff:ff:ff:ff:ff:ff"),
        arp(1, A_MAC, A, "00:00:00:00:00:00", B, "ff:ff:ff:ff:ff:ff"),
        cut(arp(2, A_MAC, HOST, B_MAC, DNS, B_MAC), 30),
        to_b(ETH_RARP, arp(3, A_MAC, "0.0.0.0", A_MAC, HOST, A_MAC)[14:]),
        # Neither.
        mac("01:80:c2:00:00:00") + mac(A_MAC) + struct.pack("!H", 38) + bytes.fromhex("424203") + bytes(43),
        mac(B_MAC) + mac(A_MAC) + struct.pack("!H", len(llc) + len(ask())) + llc + ask(),
        mac(B_MAC) + mac(A_MAC) + struct.pack("!H", 0x60) + b"\xff\xff" + bytes(30),
        to_b(ETH_MPLS, struct.pack("!I", 1000 << 12 | 1 << 8 | 64) + ask()),
        to_b(ETH_PPPOE, struct.pack("!BBHHH", 0x11, 0, 7, len(ask()) + 2, 0x0021) + ask()),
        to_b(ETH_LOOP, bytes(46)),
        mac("33:33:00:00:00:01") + mac(A_MAC) + struct.pack("!H", ETH_IPV6) + six,
        # Other protocols on the same host.
        to_b(ETH_IPV4, ipv4(HOST, DNS, IPIP, ask(src=A, dst=B))),
        to_b(ETH_IPV4, ipv4(A, B, IPIP, ask())),
        to_b(ETH_IPV4, ipv4(HOST, DNS, GRE, struct.pack("!HH", 0, ETH_IPV4) + ask())),
        to_b(ETH_IPV4, ipv4(HOST, DNS, ESP, bytes(24))),
        to_b(ETH_IPV4, ipv4(HOST, DNS, AH, bytes(24))),
        to_b(ETH_IPV4, ipv4(HOST, "224.0.0.1", IGMP, bytes.fromhex("1164ee9b00000000"))),
        mac("01:00:5e:00:00:05") + mac(A_MAC) + struct.pack("!H", ETH_IPV4) + ospf_to_all,
        to_b(ETH_IPV4, ipv4(A, "224.0.0.13", PIM, bytes(8))),
        to_b(ETH_IPV4, ipv4(A, "224.0.0.18", VRRP, bytes(8))),
        mac("ff:ff:ff:ff:ff:ff") + mac(A_MAC) + struct.pack("!H", ETH_IPV4) + ipv4(A, "10.0.0.255", UDP, udp(A, "10.0.0.255", 68, 67, b"")),
        # Longer than they say: padded to the least length of Ethernet.
        to_b(ETH_IPV4, ipv4(HOST, DNS, UDP, udp(HOST, DNS, 5353, 53, b""))) + bytes(18),
        to_b(ETH_IPV4, ipv4(A, B, TCP, tcp(A, B, 40000, 80, 1, 1, FIN | ACK))) + bytes(6),
        to_b(ETH_IPV4, ipv4(A, B, TCP, tcp(A, B, 40000, 80, 1, 1, RST))),
        to_b(ETH_IPV4, ipv4(A, B, TCP, tcp(A, B, 40000, 80, 1, 1, PSH | ACK, b"GET / HTTP/1.0\r\n\r\n"))),
        to_b(ETH_IPV4, ipv4(B, A, UDP, udp(B, A, 7, 6000, bytes(1400)))),
        cut(to_b(ETH_IPV4, ipv4(B, A, UDP, udp(B, A, 7, 6000, bytes(1400)))), 96),
    ]
    return frames


def write(name, frames):
    """A frame is its bytes, or those that were captured with the length that it had."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAPLEN, LINKTYPE_ETHERNET)
    for index, frame in enumerate(frames):
        frame, length = frame if isinstance(frame, tuple) else (frame, len(frame))
        microseconds = index * 1000
        out += struct.pack("<IIII", START_SECONDS + microseconds // 1_000_000, microseconds % 1_000_000, len(frame), length)
        out += frame
    (HERE / name).write_bytes(out)
    print(f"{name}: {len(frames)} frames, {len(out)} bytes")


def main():
    write("mixed.pcap", mixed())
    write("lb.pcap", lb())
    write("ping.pcap", ping())
    write("tcp_options.pcap", tcp_options())
    write("selection.pcap", selection())


if __name__ == "__main__":
    main()
