// A thousand look-ups in maps of a thousand entries, and nothing else to speak of: what one costs.
#include "bench.h"

#define ENTRIES 1000

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ENTRIES);
	__type(key, __u32);
	__type(value, __u64);
} row SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ENTRIES);
	__type(key, __u32);
	__type(value, __u64);
} rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENTRIES);
	__type(key, __u64);
	__type(value, __u64);
} table SEC(".maps");

SEC("xdp")
int array_lookups(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u64 sum = data[0];

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < ENTRIES; i++) {
		__u32 key = i;
		__u64 *value = bpf_map_lookup_elem(&row, &key);

		if (value)
			sum += *value + i;
	}
	return fold(sum);
}

SEC("xdp")
int percpu_lookups(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u64 sum = data[0];

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < ENTRIES; i++) {
		__u32 key = i;
		__u64 *value = bpf_map_lookup_elem(&rows, &key);

		if (value)
			sum += *value + i;
	}
	return fold(sum);
}

// What is missing is put in by the first run. Keys follow each other in no order that a table keeps.
SEC("xdp")
int hash_lookups(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u64 sum = data[0];

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < ENTRIES; i++) {
		__u64 key = i * 0x9e3779b97f4a7c15ull;
		__u64 *value = bpf_map_lookup_elem(&table, &key);

		if (value) {
			sum += *value;
		} else {
			__u64 fresh = i;

			if (bpf_map_update_elem(&table, &key, &fresh, BPF_ANY))
				return 0;
			sum += fresh;
		}
	}
	return fold(sum);
}
