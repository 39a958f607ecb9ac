// SipHash-2-4 of a packet, eight bytes a round.
#include "bench.h"

#define ROUND()                                                               \
	do {                                                                  \
		v0 += v1, v1 = ROTL64(v1, 13), v1 ^= v0, v0 = ROTL64(v0, 32); \
		v2 += v3, v3 = ROTL64(v3, 16), v3 ^= v2;                      \
		v0 += v3, v3 = ROTL64(v3, 21), v3 ^= v0;                      \
		v2 += v1, v1 = ROTL64(v1, 17), v1 ^= v2, v2 = ROTL64(v2, 32); \
	} while (0)

SEC("xdp")
int siphash(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	const __u64 k0 = 0x0706050403020100, k1 = 0x0f0e0d0c0b0a0908;
	__u64 v0 = k0 ^ 0x736f6d6570736575, v1 = k1 ^ 0x646f72616e646f6d;
	__u64 v2 = k0 ^ 0x6c7967656e657261, v3 = k1 ^ 0x7465646279746573;
	__u64 last = (__u64)SIZE << 56;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < SIZE; i += 8) {
		__u64 word = WORD64(data, i);

		v3 ^= word;
		ROUND();
		ROUND();
		v0 ^= word;
	}
	v3 ^= last;
	ROUND();
	ROUND();
	v0 ^= last;
	v2 ^= 0xff;
	ROUND();
	ROUND();
	ROUND();
	ROUND();
	return fold(v0 ^ v1 ^ v2 ^ v3);
}
