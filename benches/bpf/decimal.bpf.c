// Writes numbers in decimal, the last digit first: division and modulo, and the stack.
#include "bench.h"

#define DIGITS 10

SEC("xdp")
int decimal(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u64 mix = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 64; i++) {
		__u32 number = WORD32(data, i * 4);
		volatile __u8 text[DIGITS];

#pragma clang loop unroll(disable)
		for (__u32 digit = 0; digit < DIGITS; digit++, number /= 10)
			text[digit] = '0' + number % 10;
#pragma clang loop unroll(disable)
		for (__u32 digit = 0; digit < DIGITS; digit++)
			mix = mix * 31 + text[digit];
	}
	return fold(mix);
}
