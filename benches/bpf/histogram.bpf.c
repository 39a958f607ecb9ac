// Counts how often each byte occurs; gives a mix of all counts.
#include "bench.h"

static __u32 counts[256];

SEC("xdp")
int histogram(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u64 mix = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 256; i++)
		counts[i] = 0;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < SIZE; i++)
		counts[data[i]]++;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 256; i++)
		mix = mix * 31 + counts[i];
	return fold(mix);
}
