// Binary search for each of the first 128 words of a packet in a sorted table; gives a mix of the places.
#include "bench.h"

#define COUNT 256

// Squares: sorted, not evenly spaced.
#define ENTRY(n) (__u32)(n) * (n)
#define ENTRIES4(n) ENTRY(n), ENTRY((n) + 1), ENTRY((n) + 2), ENTRY((n) + 3)
#define ENTRIES16(n) ENTRIES4(n), ENTRIES4((n) + 4), ENTRIES4((n) + 8), ENTRIES4((n) + 12)
#define ENTRIES64(n) ENTRIES16(n), ENTRIES16((n) + 16), ENTRIES16((n) + 32), ENTRIES16((n) + 48)

static const __u32 table[COUNT] = { ENTRIES64(0), ENTRIES64(64), ENTRIES64(128), ENTRIES64(192) };

SEC("xdp")
int search(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u64 mix = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 128; i++) {
		__u32 key = WORD32(data, i * 4) & 0xffff;
		__u32 low = 0;

		// The last entry that is not more than the key: the first always is.
#pragma clang loop unroll(disable)
		for (__u32 step = COUNT / 2; step > 0; step /= 2) {
			__u32 at = (low + step) % COUNT;

			if (table[at] <= key)
				low = at;
		}
		mix = mix * 31 + low;
	}
	return fold(mix);
}
