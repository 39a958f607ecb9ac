// A helper that needs a socket buffer, in a program that has none.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int xdp_skb_helper(struct xdp_md *ctx)
{
	__u8 first = 0;

	bpf_skb_load_bytes(ctx, 0, &first, sizeof(first));
	return first ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
