// Rotations of both widths by constants and by what was computed, bit tests and bit fields.
#include "bench.h"

SEC("xdp")
int rotates(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u64 a = 0x9e3779b97f4a7c15ull;
	__u32 b = 1;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < SIZE / 8; i++) {
		__u64 word = WORD64(data, i * 8);

		a ^= word;
		a = ROTL64(a, 27) * 5;
		b += (a >> 13) & 0x7ff;
		b = ROTL32(b, 11) ^ (__u32)a;
		if (word & (1ull << 37))
			b += (word >> 40) & 0xff;
		if (b & 0x40)
			a += b;
	}
	return fold(a) ^ b;
}
