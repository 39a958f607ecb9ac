// After its release a socket is no socket any more.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

// A TCP connection to look up: all zeros will do, nothing here ever runs.
static __always_inline struct bpf_sock *look_up(struct xdp_md *ctx)
{
	struct bpf_sock_tuple tuple = {};

	return bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
}

SEC("xdp")
int socket_released_twice(struct xdp_md *ctx)
{
	struct bpf_sock *sk = look_up(ctx);

	if (!sk)
		return XDP_DROP;
	bpf_sk_release(sk);
	bpf_sk_release(sk);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
