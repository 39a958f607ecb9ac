// Arithmetic in which each step needs the one before: nothing to overlap but the engine's own work.
#include "bench.h"

SEC("xdp")
int alu_chain(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u64 x = WORD64(data, 0);

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 500; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		x *= 0x2545f491;
		x += i;
	}
	return fold(x);
}
