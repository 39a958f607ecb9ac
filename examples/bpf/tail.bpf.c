// Dispatch by tail call: one program per IP protocol, found in a program array that is filled from the object.
#include "packet.h"

#define ITSELF 31 // a slot that no listed protocol uses

int count_icmp(struct xdp_md *ctx);
int count_tcp(struct xdp_md *ctx);
int count_udp(struct xdp_md *ctx);
int forever(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 32);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} handlers SEC(".maps") = {
	.values = {
		[IPPROTO_ICMP] = (void *)&count_icmp,
		[IPPROTO_TCP] = (void *)&count_tcp,
		[IPPROTO_UDP] = (void *)&count_udp,
		[ITSELF] = (void *)&forever,
	},
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 32);
	__type(key, __u32);
	__type(value, __u64);
} handled SEC(".maps");

__u32 unhandled; // packets for which the array has no program
__u32 turns; // how often `forever` ran

static __always_inline void count(__u32 slot)
{
	__u64 *packets = bpf_map_lookup_elem(&handled, &slot);

	if (packets)
		__sync_fetch_and_add(packets, 1);
}

SEC("xdp")
int count_icmp(struct xdp_md *ctx)
{
	(void)ctx;
	count(IPPROTO_ICMP);
	return XDP_DROP;
}

SEC("xdp")
int count_tcp(struct xdp_md *ctx)
{
	(void)ctx;
	count(IPPROTO_TCP);
	return XDP_TX;
}

SEC("xdp")
int count_udp(struct xdp_md *ctx)
{
	(void)ctx;
	count(IPPROTO_UDP);
	return XDP_PASS;
}

// Calls itself until the limit on tail calls makes the call fall through; returns how often it ran.
SEC("xdp")
int forever(struct xdp_md *ctx)
{
	turns++;
	bpf_tail_call(ctx, &handlers, ITSELF);
	return turns;
}

SEC("xdp")
int dispatch(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);

	if (!FITS(ip, sizeof(*ip), end) || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	bpf_tail_call(ctx, &handlers, ip->protocol);
	// Only where the slot is empty or out of range.
	unhandled++;
	return XDP_ABORTED;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
