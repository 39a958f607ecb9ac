// A load balancer for TCP: what the client sends goes to one of two backends, what they answer goes to the client.
// It rewrites the addresses, recomputes the header's checksum and sends the frame back out of the same interface.
#include "packet.h"

// The hosts of 172.17.0.0/24, by the last byte of their IPv4 and of their MAC address.
#define BACKEND_A 2
#define BACKEND_B 3
#define CLIENT 4
#define BALANCER 5
#define HOST(n) IPV4(172, 17, 0, n)

// Which backend: 0 or 1 for that one, anything else for a choice at random. Set it before the program is loaded.
const volatile __s32 pick = -1;

static __always_inline __u8 backend(void)
{
	__u32 coin = pick == 0 || pick == 1 ? (__u32)pick : bpf_get_prandom_u32();

	return coin & 1 ? BACKEND_B : BACKEND_A;
}

static __always_inline __u16 ipv4_checksum(struct iphdr *ip)
{
	__u64 sum;

	ip->check = 0;
	sum = bpf_csum_diff(NULL, 0, (__be32 *)ip, sizeof(*ip), 0);
	for (int i = 0; i < 4; i++)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

SEC("xdp")
int lb(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	__u8 to = CLIENT;

	if (!FITS(eth, sizeof(*eth), end))
		return XDP_ABORTED;
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if (!FITS(ip, sizeof(*ip), end))
		return XDP_ABORTED;
	if (ip->protocol != IPPROTO_TCP)
		return XDP_PASS;

	if (ip->saddr == HOST(CLIENT))
		to = backend();
	ip->daddr = HOST(to);
	ip->saddr = HOST(BALANCER);
	eth->h_dest[5] = to;
	eth->h_source[5] = BALANCER;
	ip->check = ipv4_checksum(ip);
	return XDP_TX;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
