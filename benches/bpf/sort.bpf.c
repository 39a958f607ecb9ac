// Insertion sort of the first 64 words of a packet; gives a mix that depends on their order.
#include "bench.h"

#define COUNT 64

static __u32 numbers[COUNT];

SEC("xdp")
int sort(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u64 mix = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < COUNT; i++) {
		__u32 number = WORD32(data, i * 4);
		__u32 at = i;

#pragma clang loop unroll(disable)
		for (; at > 0; at--) {
			__u32 before = numbers[(at - 1) % COUNT];

			if (before <= number)
				break;
			numbers[at % COUNT] = before;
		}
		numbers[at % COUNT] = number;
	}
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < COUNT; i++)
		mix = mix * 31 + numbers[i];
	return fold(mix);
}
