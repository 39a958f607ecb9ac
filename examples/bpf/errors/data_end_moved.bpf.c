// Moving the packet's end would make every later check worthless.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int data_end_moved(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u8 *end = (void *)(long)ctx->data_end;

	end++;
	// The compiler would move the addition to the other side of the comparison.
	barrier_var(end);
	if (data + 1 > end)
		return XDP_DROP;
	return *data ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
