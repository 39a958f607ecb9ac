// Counts packets and bytes by protocol, and reports each new IPv4 flow in a ring buffer. Lets everything pass.
#include "packet.h"

struct protocol {
	__u16 ethertype; // in host order
	__u8 ip_protocol; // 0 where the frame is neither IPv4 nor IPv6
	__u8 zero;
};

struct traffic {
	__u64 packets;
	__u64 bytes;
};

struct flow {
	__u32 source; // addresses and ports as on the wire
	__u32 destination;
	__u16 source_port; // 0 where the protocol has none, or in a later fragment
	__u16 destination_port;
	__u32 ip_protocol;
};

struct new_flow {
	struct flow flow;
	__u32 bytes; // of its first packet
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct protocol);
	__type(value, struct traffic);
} protocols SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct flow);
	__type(value, struct traffic);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

#define OFFSET_MASK 0x1fff // of a fragment, in the header's frag_off
#define IPV6_NEXT_HEADER 6 // offset in the IPv6 header

static __always_inline void count(void *map, const void *key, __u64 bytes)
{
	struct traffic first = { .packets = 1, .bytes = bytes };
	struct traffic *seen = bpf_map_lookup_elem(map, key);

	// Another CPU may insert between the look-up and the update: look again, its entry is the one to add to.
	if (!seen) {
		if (!bpf_map_update_elem(map, key, &first, BPF_NOEXIST))
			return;
		seen = bpf_map_lookup_elem(map, key);
		if (!seen)
			return;
	}
	__sync_fetch_and_add(&seen->packets, 1);
	__sync_fetch_and_add(&seen->bytes, bytes);
}

static __always_inline void follow(struct iphdr *ip, void *end, __u32 bytes)
{
	struct flow flow = { .source = ip->saddr, .destination = ip->daddr, .ip_protocol = ip->protocol };
	__u16 *ports = (void *)ip + ip->ihl * 4;
	struct new_flow *event;
	int known;

	if ((ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP) &&
	    !(ip->frag_off & bpf_htons(OFFSET_MASK)) && FITS(ports, 4, end)) {
		flow.source_port = ports[0];
		flow.destination_port = ports[1];
	}

	known = bpf_map_lookup_elem(&flows, &flow) != NULL;
	count(&flows, &flow, bytes);
	if (known)
		return;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return;
	event->flow = flow;
	event->bytes = bytes;
	bpf_ringbuf_submit(event, 0);
}

SEC("xdp")
int flows_by_protocol(struct xdp_md *ctx)
{
	void *start = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = start;
	struct protocol protocol = {};
	__u32 bytes = end - start;
	void *next = eth + 1;

	if (!FITS(eth, sizeof(*eth), end))
		return XDP_PASS;
	protocol.ethertype = bpf_ntohs(eth->h_proto);
	if (protocol.ethertype == ETH_P_IP && FITS(next, sizeof(struct iphdr), end)) {
		protocol.ip_protocol = ((struct iphdr *)next)->protocol;
		follow(next, end, bytes);
	} else if (protocol.ethertype == ETH_P_IPV6 && FITS(next, IPV6_NEXT_HEADER + 1, end)) {
		protocol.ip_protocol = ((__u8 *)next)[IPV6_NEXT_HEADER];
	}
	count(&protocols, &protocol, bytes);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
