// No error: a loop whose end the verifier can see. It follows it ten times.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int loop_ten(struct xdp_md *ctx)
{
	(void)ctx;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 10; i++)
		bpf_printk("Looping %d", i);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
