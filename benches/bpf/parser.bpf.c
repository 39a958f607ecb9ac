// Parses 16 frames of 64 bytes each, four times: Ethernet, up to two VLAN tags, ARP, IPv4 with options, IPv6, TCP, UDP, ICMP.
// Gives a mix of what was found.
#include "bench.h"
#include <linux/if_ether.h>
#include <linux/icmpv6.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_endian.h>

#define FRAMES 16
#define FRAME 64
#define ROUNDS 4

enum found { NOTHING, ARP, IPV4_OTHER, IPV4_ICMP, IPV4_FRAGMENT, IPV6_OTHER, IPV6_ICMP, TCP, UDP };

static __always_inline __u16 word16(const __u8 *at)
{
	return bpf_ntohs(*(const __u16 *)at);
}

static __always_inline __u32 ports(const __u8 *at, enum found found)
{
	return (__u32)found << 24 ^ (__u32)word16(at) << 8 ^ word16(at + 2);
}

static __always_inline __u32 ipv4(const __u8 *at, const __u8 *end)
{
	__u32 header, protocol;

	if (at + 20 > end || at[0] >> 4 != 4)
		return NOTHING;
	header = (at[0] & 15) * 4;
	if (header < 20 || word16(at + 2) < header)
		return NOTHING;
	if (word16(at + 6) & 0x1fff)
		return IPV4_FRAGMENT << 24 | word16(at + 4);
	protocol = at[9];
	at += header;
	if (protocol == IPPROTO_ICMP)
		return at + 4 > end ? NOTHING : IPV4_ICMP << 24 | at[0] << 8 | at[1];
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return IPV4_OTHER << 24 | protocol;
	return at + 4 > end ? NOTHING : ports(at, protocol == IPPROTO_TCP ? TCP : UDP);
}

static __always_inline __u32 ipv6(const __u8 *at, const __u8 *end)
{
	__u32 next;

	if (at + 40 > end || at[0] >> 4 != 6)
		return NOTHING;
	next = at[6];
	at += 40;
	if (next == IPPROTO_ICMPV6)
		return at + 4 > end ? NOTHING : IPV6_ICMP << 24 | at[0] << 8 | at[1];
	if (next != IPPROTO_TCP && next != IPPROTO_UDP)
		return IPV6_OTHER << 24 | next;
	return at + 4 > end ? NOTHING : ports(at, next == IPPROTO_TCP ? TCP : UDP);
}

static __always_inline __u32 frame(const __u8 *at, const __u8 *end)
{
	__u32 type = word16(at + 12), mix = 0;

	at += 14;
	for (__u32 tags = 0; tags < 2 && (type == ETH_P_8021Q || type == ETH_P_8021AD); tags++) {
		if (at + 4 > end)
			return NOTHING;
		mix = mix * 31 + (word16(at) & 0xfff);
		type = word16(at + 2);
		at += 4;
	}
	if (type == ETH_P_IP)
		return mix ^ ipv4(at, end);
	if (type == ETH_P_IPV6)
		return mix ^ ipv6(at, end);
	return mix ^ (type == ETH_P_ARP ? ARP << 24 : NOTHING);
}

SEC("xdp")
int parser(struct xdp_md *ctx)
{
	const __u8 *data = PACKET(ctx);
	const __u8 *end = (void *)(long)ctx->data_end;
	__u64 mix = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < ROUNDS * FRAMES; i++)
		mix = mix * 31 + frame(data + i % FRAMES * FRAME, end);
	return fold(mix);
}
