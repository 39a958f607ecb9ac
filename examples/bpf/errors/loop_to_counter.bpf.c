// A loop up to a number that only the running program knows: following it never ends.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

int c = 1;

SEC("xdp")
int loop_to_counter(struct xdp_md *ctx)
{
	(void)ctx;
	for (int i = 0; i < c; i++)
		bpf_printk("Looping %d", i);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
