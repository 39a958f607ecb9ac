// Small choices without a pattern: smallest, largest, clamped and absolute values of words.
#include "bench.h"

SEC("xdp")
int select(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u64 sum = 0;
	__u32 low = ~0u, high = 0, before = 0;
	__s32 track = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < SIZE / 4; i++) {
		__u32 word = WORD32(data, i * 4);
		__u32 distance = word > before ? word - before : before - word;
		__u32 clamped = distance < 1000 ? 1000 : distance;

		if (clamped > 1u << 30)
			clamped = 1u << 30;
		if (word < low)
			low = word;
		if (word > high)
			high = word;
		track += (__s32)word < 0 ? -3 : 2;
		if (track < 0)
			track = 7;
		sum += clamped + (__u32)track;
		before = word;
	}
	return fold(sum * 31 + (low ^ high));
}
