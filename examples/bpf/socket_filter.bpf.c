// Socket filters: the return value is how many bytes of the packet the socket gets to see.
#include "packet.h"

#define HEADERS (ETH_HLEN + sizeof(struct iphdr))
#define ALL 0xffffffff

// Everything of TCP, the headers of ICMP, nothing of the rest. The packet is read through a helper.
SEC("socket")
int keep(struct __sk_buff *skb)
{
	struct iphdr ip;
	__be16 ethertype;

	if (bpf_skb_load_bytes(skb, offsetof(struct ethhdr, h_proto), &ethertype, sizeof(ethertype)))
		return 0;
	if (ethertype != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
		return 0;
	switch (ip.protocol) {
	case IPPROTO_TCP:
		return ALL;
	case IPPROTO_ICMP:
		return HEADERS;
	default:
		return 0;
	}
}

__u64 load_byte(void *skb, __u64 offset) asm("llvm.bpf.load.byte");
__u64 load_half(void *skb, __u64 offset) asm("llvm.bpf.load.half");

// UDP to port 53, read with the packet loads of classic BPF: one past the end returns 0 at once.
SEC("socket")
int keep_dns(struct __sk_buff *skb)
{
	__u64 header;

	if (load_half(skb, offsetof(struct ethhdr, h_proto)) != ETH_P_IP)
		return 0;
	if (load_byte(skb, ETH_HLEN + offsetof(struct iphdr, protocol)) != IPPROTO_UDP)
		return 0;
	header = (load_byte(skb, ETH_HLEN) & 15) * 4;
	if (load_half(skb, ETH_HLEN + header + offsetof(struct udphdr, dest)) != 53)
		return 0;
	return skb->len;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
