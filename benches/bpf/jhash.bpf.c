// Bob Jenkins' lookup3 (in the public domain), twelve bytes a round, over a packet but its last four bytes.
#include "bench.h"

#define ROUNDS ((SIZE - 4) / 12)

SEC("xdp")
int jhash(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u32 a, b, c;

	a = b = c = 0xdeadbeef + ROUNDS * 12;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < ROUNDS; i++, data += 12) {
		a += WORD32(data, 0);
		b += WORD32(data, 4);
		c += WORD32(data, 8);
		a -= c, a ^= ROTL32(c, 4), c += b;
		b -= a, b ^= ROTL32(a, 6), a += c;
		c -= b, c ^= ROTL32(b, 8), b += a;
		a -= c, a ^= ROTL32(c, 16), c += b;
		b -= a, b ^= ROTL32(a, 19), a += c;
		c -= b, c ^= ROTL32(b, 4), b += a;
	}
	c ^= b, c -= ROTL32(b, 14);
	a ^= c, a -= ROTL32(c, 11);
	b ^= a, b -= ROTL32(a, 25);
	c ^= b, c -= ROTL32(b, 16);
	a ^= c, a -= ROTL32(c, 4);
	b ^= a, b -= ROTL32(a, 14);
	c ^= b, c -= ROTL32(b, 24);
	return c;
}
