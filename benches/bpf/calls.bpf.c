// Functions that call functions, which the compiler was told not to inline.
#include "bench.h"

static __noinline __u32 mix(__u32 a, __u32 b)
{
	a ^= ROTL32(b, 5);
	b += a * 9;
	return a ^ b;
}

static __noinline __u32 twice(__u32 a, __u32 b)
{
	return mix(a, b) + mix(b, a);
}

SEC("xdp")
int calls(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u32 sum = 1;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 256; i++)
		sum = twice(sum, WORD32(data, i * 4));
	return sum;
}
