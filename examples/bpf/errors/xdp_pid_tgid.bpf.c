// A tracing helper in a packet program: Linux 5.15 has none of it ("unknown func"), 6.18 accepts it.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int xdp_pid_tgid(struct xdp_md *ctx)
{
	(void)ctx;
	return bpf_get_current_pid_tgid() ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
