// No license section: helpers that are only for GPL-compatible programs are out of reach.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int no_license(struct xdp_md *ctx)
{
	(void)ctx;
	bpf_printk("hello");
	return XDP_PASS;
}
