// A socket that is looked up is held: ending without releasing it leaks it.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

// A TCP connection to look up: all zeros will do, nothing here ever runs.
static __always_inline struct bpf_sock *look_up(struct xdp_md *ctx)
{
	struct bpf_sock_tuple tuple = {};

	return bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
}

SEC("xdp")
int socket_leak(struct xdp_md *ctx)
{
	struct bpf_sock *sk = look_up(ctx);

	return sk ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
