// Records of network byte order in packed structures, which a compiler for BPF reads byte by byte: adds up what they hold, and writes
// sums back byte by byte into a buffer.
#include "bench.h"
#include <bpf/bpf_endian.h>

#define RECORD 30
#define RECORDS (SIZE / RECORD)

struct record {
	__u8 kind;
	__be16 port;
	__be32 from, to;
	__be64 stamp;
	__u8 flags;
	__be16 length;
	__le64 cookie;
} __attribute__((packed));

struct answer {
	__u8 kind;
	__be32 sum;
	__be64 total;
	__be16 port;
} __attribute__((packed));

SEC("xdp")
int byte_order(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	struct answer answer = {};
	__u64 mix = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < RECORDS; i++) {
		const struct record *at = (void *)(data + i * RECORD);
		__u32 from = bpf_ntohl(at->from), to = bpf_ntohl(at->to);
		__u64 stamp = bpf_be64_to_cpu(at->stamp);

		answer.kind = at->kind ^ at->flags;
		answer.sum = bpf_htonl(from + to);
		answer.total = bpf_cpu_to_be64(stamp + at->cookie);
		answer.port = bpf_htons(bpf_ntohs(at->port) + bpf_ntohs(at->length));
		HIDE(answer);
		mix = mix * 31 + answer.kind + bpf_ntohl(answer.sum) + bpf_be64_to_cpu(answer.total) + bpf_ntohs(answer.port);
	}
	return fold(mix);
}
