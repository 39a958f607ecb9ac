// Tail calls out of functions: what the called program returns goes to who called the function, and the limit counts all of them.
#include "kfuncs.h"

int turn(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} again SEC(".maps") = {
	.values = { (void *)&turn },
};

__u32 turns, last = 1000;

static __attribute__((noinline)) int jump(struct xdp_md *ctx)
{
	// Once the limit is reached, the function goes on here.
	bpf_tail_call(ctx, &again, 0);
	return last;
}

// Each turn adds one to what the one that it jumped to returned.
SEC("xdp")
int turn(struct xdp_md *ctx)
{
	turns++;
	return jump(ctx) + 1;
}
