// Bounded loops over the options of a TCP header (RFC 9293, section 3.1): counts them by kind and remembers the maximum
// segment size. A segment whose list is broken is dropped.
#include "packet.h"

#define OPTIONS_MAX 40 // bytes: a header has at most 60, the first 20 are fixed
#define HEADERS_MAX (ETH_HLEN + sizeof(struct iphdr) + 60)
#define BROKEN (-1)
#define KIND_END 0
#define KIND_NOP 1
#define KIND_MSS 2

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} kinds SEC(".maps");

__u32 last_mss; // of the last segment that had the option; host order

static __always_inline void count(__u32 kind)
{
	__u64 *seen = bpf_map_lookup_elem(&kinds, &kind);

	if (seen)
		__sync_fetch_and_add(seen, 1);
}

// The TCP header of an IPv4 packet, or NULL if this is none or it does not fit.
static __always_inline struct tcphdr *tcp_header(struct xdp_md *ctx, void *end)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *tcp = (void *)(ip + 1);

	if (!FITS(tcp, sizeof(*tcp), end))
		return NULL;
	if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 || ip->protocol != IPPROTO_TCP)
		return NULL;
	return tcp;
}

// One step through the packet itself: takes the offsets of an option and of the list's end, gives the offset of the next
// option. A global function, so that the verifier looks at it once: inside the loop, every path through the options seen
// so far would multiply with every path through this one.
__attribute__((noinline)) int next_option(struct xdp_md *ctx, __u32 at, __u32 stop)
{
	void *end = (void *)(long)ctx->data_end;
	__u8 *option = (void *)(long)ctx->data;
	__u8 length;

	if (at > HEADERS_MAX || stop > HEADERS_MAX)
		return BROKEN;
	option += at;
	if (!FITS(option, 1, end))
		return BROKEN;
	count(option[0]);
	if (option[0] == KIND_END)
		return stop;
	if (option[0] == KIND_NOP)
		return at + 1;
	if (at + 2 > stop || !FITS(option, 2, end))
		return BROKEN;
	length = option[1];
	if (length < 2 || at + length > stop)
		return BROKEN;
	if (option[0] == KIND_MSS && length == 4) {
		if (!FITS(option, 4, end))
			return BROKEN;
		last_mss = option[2] << 8 | option[3];
	}
	return at + length;
}

SEC("xdp")
int tcp_options(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct tcphdr *tcp = tcp_header(ctx, end);
	int at = ETH_HLEN + sizeof(struct iphdr) + sizeof(struct tcphdr);
	int stop;

	if (!tcp)
		return XDP_PASS;
	if (tcp->doff < 5)
		return XDP_DROP;
	stop = ETH_HLEN + sizeof(struct iphdr) + tcp->doff * 4;
	for (int i = 0; i < OPTIONS_MAX && at < stop; i++) {
		at = next_option(ctx, at, stop);
		if (at == BROKEN)
			return XDP_DROP;
	}
	return XDP_PASS;
}

// Copies the options to the stack, whose bytes may be read at an offset that is only known to be in range.
SEC("xdp")
int tcp_options_copy(struct xdp_md *ctx)
{
	struct tcphdr *tcp = tcp_header(ctx, (void *)(long)ctx->data_end);
	__u8 options[OPTIONS_MAX + 4] = {};
	__u32 from = ETH_HLEN + sizeof(struct iphdr) + sizeof(struct tcphdr);
	__u32 size, at = 0;

	if (!tcp)
		return XDP_PASS;
	if (tcp->doff < 5)
		return XDP_DROP;
	size = tcp->doff * 4 - sizeof(*tcp);
	if (size == 0)
		return XDP_PASS;
	if (size > OPTIONS_MAX || bpf_xdp_load_bytes(ctx, from, options, size))
		return XDP_DROP;
	for (int i = 0; i < OPTIONS_MAX && at < size; i++) {
		__u32 kind, length = 1;

		if (at >= OPTIONS_MAX)
			break;
		kind = options[at];
		count(kind);
		if (kind == KIND_END)
			break;
		if (kind != KIND_NOP) {
			if (at + 2 > size)
				return XDP_DROP;
			length = options[at + 1];
			if (length < 2 || at + length > size)
				return XDP_DROP;
			if (kind == KIND_MSS && length == 4)
				last_mss = options[at + 2] << 8 | options[at + 3];
		}
		at += length;
	}
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
