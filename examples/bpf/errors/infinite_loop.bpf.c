// A loop that changes nothing and never ends.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int infinite_loop(struct xdp_md *ctx)
{
	__u32 go = ctx->ingress_ifindex;

	while (go)
		barrier_var(go);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
