// Copies a packet to memory of the program byte by byte, and compares the two eight bytes at a time.
#include "bench.h"

static __u8 copy[SIZE] __attribute__((aligned(8)));

SEC("xdp")
int memory(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u32 same = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < SIZE; i++)
		copy[i] = data[i];
	copy[100] ^= 1;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < SIZE; i += 8)
		same += WORD64(copy, i) == WORD64(data, i);
	return same << 8 | copy[100];
}
