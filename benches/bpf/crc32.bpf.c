// CRC-32 of a packet as Ethernet has it: by a table, and of its first 64 bytes bit by bit.
#include "bench.h"

#define POLYNOMIAL 0xedb88320u
#define STEP(c) (((c) >> 1) ^ (POLYNOMIAL & -((c) & 1)))
#define STEP2(c) STEP(STEP(c))
#define STEP4(c) STEP2(STEP2(c))
#define ENTRY(n) STEP4(STEP4((__u32)(n)))
#define ENTRIES4(n) ENTRY(n), ENTRY((n) + 1), ENTRY((n) + 2), ENTRY((n) + 3)
#define ENTRIES16(n) ENTRIES4(n), ENTRIES4((n) + 4), ENTRIES4((n) + 8), ENTRIES4((n) + 12)
#define ENTRIES64(n) ENTRIES16(n), ENTRIES16((n) + 16), ENTRIES16((n) + 32), ENTRIES16((n) + 48)

static const __u32 table[256] = { ENTRIES64(0), ENTRIES64(64), ENTRIES64(128), ENTRIES64(192) };

SEC("xdp")
int crc32(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u32 crc = ~0u;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < SIZE; i++)
		crc = (crc >> 8) ^ table[(crc ^ data[i]) & 0xff];
	return ~crc;
}

SEC("xdp")
int crc32_bits(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u32 crc = ~0u;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 64; i++) {
		crc ^= data[i];
#pragma clang loop unroll(disable)
		for (__u32 bit = 0; bit < 8; bit++)
			crc = STEP(crc);
	}
	return ~crc;
}
