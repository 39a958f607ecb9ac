// Functions that stay functions: static ones that the verifier follows into, and global ones that it checks by
// themselves, knowing only the types of their arguments.
#include "packet.h"

__u64 calls; // of the global functions

// Static: its caller's knowledge of the pointers comes along.
static __attribute__((noinline)) __u32 read_protocol(struct ethhdr *eth, void *end)
{
	struct iphdr *ip = (void *)(eth + 1);

	if (!FITS(ip, sizeof(*ip), end) || eth->h_proto != bpf_htons(ETH_P_IP))
		return 256;
	return ip->protocol;
}

// Global: `weight` can be anything, `total` may be NULL.
__attribute__((noinline)) int add_weight(__u64 *total, __u32 weight)
{
	calls++;
	if (!total)
		return -1;
	*total += weight;
	return *total > 100;
}

// Global, with the context; calls another global one and a static one.
__attribute__((noinline)) int weigh(struct xdp_md *ctx)
{
	__u64 total = ctx->ingress_ifindex;
	__u32 protocol = read_protocol((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	int heavy = add_weight(&total, protocol * 10);

	calls++;
	return heavy ? heavy : add_weight(NULL, 0);
}

SEC("xdp")
int subprogs(struct xdp_md *ctx)
{
	int heavy = weigh(ctx);

	return heavy > 0 ? XDP_DROP : XDP_PASS;
}

// The frames of a chain of calls share 512 bytes of stack.
static __attribute__((noinline)) __u32 inner(__u32 x)
{
	volatile __u32 room[32] = {};

	room[x & 31] = x;
	return room[7] + 1;
}

static __attribute__((noinline)) __u32 middle(__u32 x)
{
	volatile __u32 room[32] = {};

	room[x & 31] = inner(x);
	return room[7] + 1;
}

SEC("xdp")
int nested(struct xdp_md *ctx)
{
	volatile __u32 room[32] = {};

	room[7] = middle(ctx->rx_queue_index + 7);
	return room[7];
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
