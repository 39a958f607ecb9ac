// The smallest program that says something.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int hello_plain(void *ctx)
{
	(void)ctx;
	bpf_printk("Hello World");
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
