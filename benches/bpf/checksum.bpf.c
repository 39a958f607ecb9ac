// The Internet checksum (RFC 1071) of a packet.
#include "bench.h"

SEC("xdp")
int checksum(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u32 sum = 0;

	for (__u32 i = 0; i < SIZE; i += 2)
		sum += *(__u16 *)(data + i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}
