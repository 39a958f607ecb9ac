// Calls a helper that does next to nothing.
#include "bench.h"

SEC("xdp")
int helper_calls(struct xdp_md *ctx)
{
	__u64 sum = 0;

	(void)ctx;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 1000; i++)
		sum += bpf_get_prandom_u32() ^ i;
	return fold(sum);
}
