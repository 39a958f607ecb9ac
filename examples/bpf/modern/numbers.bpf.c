// Loops of today's kernels: an iterator over numbers, and a function that is called until it says stop.
#include "kfuncs.h"

SEC("xdp")
int sum(struct xdp_md *ctx)
{
	struct bpf_iter_num numbers;
	int *number, sum = 0;

	bpf_iter_num_new(&numbers, 0, 10);
	while ((number = bpf_iter_num_next(&numbers)))
		sum += *number;
	bpf_iter_num_destroy(&numbers);
	return sum;
}

static long add(__u32 at, void *sum)
{
	*(int *)sum += at;
	return at == 5;
}

SEC("xdp")
int stops(struct xdp_md *ctx)
{
	int sum = 0;

	bpf_loop(100, add, &sum, 0);
	return sum;
}
