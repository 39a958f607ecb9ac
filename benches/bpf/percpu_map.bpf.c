// Counters of one processor: look-ups in a per-CPU array, each value written and read.
#include "bench.h"

#define ENTRIES 64

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ENTRIES);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

SEC("xdp")
int percpu_map(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u64 sum = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 512; i++) {
		__u32 key = i < ENTRIES ? i : data[i] % ENTRIES;
		__u64 *value = bpf_map_lookup_elem(&counters, &key);

		if (!value)
			return 0;
		if (i < ENTRIES)
			*value = i;
		*value += data[i];
		sum += *value;
	}
	return fold(sum);
}
