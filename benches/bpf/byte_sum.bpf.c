// Adds up the bytes of a packet.
#include "bench.h"

SEC("xdp")
int byte_sum(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u64 sum = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < SIZE; i++)
		sum += data[i];
	return fold(sum);
}
