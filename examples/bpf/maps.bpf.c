// One program for each kind of map that the other examples do not use.
#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 128);
	__type(key, __u32);
	__type(value, __u64);
} recent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} sizes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 64);
	__type(key, __u16);
	__type(value, __u64);
} ethertypes SEC(".maps");

struct prefix {
	__u32 bits; // how many of the address count
	__u32 address; // as on the wire
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u32);
} routes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} samples SEC(".maps");

struct sample {
	__u32 packet_bytes;
	__u32 ingress_ifindex;
};

static __always_inline struct iphdr *ipv4_header(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);

	if (!FITS(ip, sizeof(*ip), end) || eth->h_proto != bpf_htons(ETH_P_IP))
		return NULL;
	return ip;
}

// lru_hash: packets by source address; the map makes room by itself.
SEC("xdp")
int count_recent(struct xdp_md *ctx)
{
	struct iphdr *ip = ipv4_header(ctx);
	__u64 one = 1, *seen;
	__u32 source;

	if (!ip)
		return XDP_PASS;
	source = ip->saddr;
	seen = bpf_map_lookup_elem(&recent, &source);
	if (seen)
		__sync_fetch_and_add(seen, 1);
	else
		bpf_map_update_elem(&recent, &source, &one, BPF_NOEXIST);
	return XDP_PASS;
}

// percpu_array and percpu_hash: nobody else writes this CPU's values, so plain additions do.
SEC("xdp")
int count_per_cpu(struct xdp_md *ctx)
{
	void *start = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = start;
	__u32 packets = 0, bytes = 1;
	__u64 one = 1, *slot;
	__u16 ethertype;

	slot = bpf_map_lookup_elem(&sizes, &packets);
	if (slot)
		*slot += 1;
	slot = bpf_map_lookup_elem(&sizes, &bytes);
	if (slot)
		*slot += end - start;

	if (!FITS(eth, sizeof(*eth), end))
		return XDP_PASS;
	ethertype = bpf_ntohs(eth->h_proto);
	slot = bpf_map_lookup_elem(&ethertypes, &ethertype);
	if (slot)
		*slot += 1;
	else
		bpf_map_update_elem(&ethertypes, &ethertype, &one, BPF_ANY);
	return XDP_PASS;
}

// lpm_trie: the verdict is the value of the longest prefix that covers the destination.
SEC("xdp")
int route(struct xdp_md *ctx)
{
	struct iphdr *ip = ipv4_header(ctx);
	struct prefix destination = { .bits = 32 };
	__u32 *verdict;

	if (!ip)
		return XDP_PASS;
	destination.address = ip->daddr;
	verdict = bpf_map_lookup_elem(&routes, &destination);
	return verdict ? *verdict : XDP_PASS;
}

// perf_event_array: a record with the packet's first bytes behind it.
SEC("xdp")
int sample(struct xdp_md *ctx)
{
	void *start = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct sample sample = { .packet_bytes = end - start, .ingress_ifindex = ctx->ingress_ifindex };
	__u64 flags = BPF_F_CURRENT_CPU | (__u64)ETH_HLEN << 32;

	// Nobody may be listening on this CPU; the packet passes all the same.
	bpf_perf_event_output(ctx, &samples, flags, &sample, sizeof(sample));
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
