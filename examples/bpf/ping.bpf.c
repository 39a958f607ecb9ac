// Answers pings before the host sees them: turns each IPv4 echo request round, sends a clone of it back out of the
// interface that it came from, and drops the original.
#include "packet.h"
#include <linux/pkt_cls.h>

#define ICMP_ECHO 8
#define ICMP_ECHOREPLY 0

// <linux/icmp.h> needs the C library's headers of a 32-bit machine here: an echo message by hand (RFC 792).
struct icmp_echo {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be16 id;
	__be16 sequence;
};

#define MAC_DESTINATION offsetof(struct ethhdr, h_dest)
#define MAC_SOURCE offsetof(struct ethhdr, h_source)
#define IP_SOURCE (ETH_HLEN + offsetof(struct iphdr, saddr))
#define IP_DESTINATION (ETH_HLEN + offsetof(struct iphdr, daddr))
#define ICMP_TYPE (ETH_HLEN + sizeof(struct iphdr) + offsetof(struct icmp_echo, type))
#define ICMP_CHECKSUM (ETH_HLEN + sizeof(struct iphdr) + offsetof(struct icmp_echo, checksum))

SEC("tc")
int ping(struct __sk_buff *skb)
{
	void *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = (void *)(long)skb->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct icmp_echo *icmp = (void *)(ip + 1);
	__u8 becomes = ICMP_ECHOREPLY;
	__u8 destination[ETH_ALEN], source[ETH_ALEN];
	__u32 to, from;

	if (!FITS(icmp, sizeof(*icmp), end))
		return TC_ACT_OK;
	if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 || ip->protocol != IPPROTO_ICMP)
		return TC_ACT_OK;
	if (icmp->type != ICMP_ECHO)
		return TC_ACT_OK;

	// The stores below invalidate every pointer into the packet: take what they need first.
	__builtin_memcpy(destination, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(source, eth->h_source, ETH_ALEN);
	to = ip->daddr;
	from = ip->saddr;

	bpf_skb_store_bytes(skb, MAC_DESTINATION, source, ETH_ALEN, 0);
	bpf_skb_store_bytes(skb, MAC_SOURCE, destination, ETH_ALEN, 0);
	// The header's checksum is a sum: swapping two of its words leaves it as it is.
	bpf_skb_store_bytes(skb, IP_SOURCE, &to, sizeof(to), 0);
	bpf_skb_store_bytes(skb, IP_DESTINATION, &from, sizeof(from), 0);
	// The checksum adds 16-bit words: the type is the upper half of the first, on the wire.
	bpf_l4_csum_replace(skb, ICMP_CHECKSUM, bpf_htons(ICMP_ECHO << 8), bpf_htons(ICMP_ECHOREPLY << 8), 2);
	bpf_skb_store_bytes(skb, ICMP_TYPE, &becomes, sizeof(becomes), 0);
	bpf_clone_redirect(skb, skb->ifindex, 0);
	return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
