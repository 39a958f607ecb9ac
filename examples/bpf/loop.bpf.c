// Loops whose body is a callback: bpf_loop and bpf_for_each_map_elem.
#include "packet.h"

struct sum {
	__u64 total;
	__u32 stop_at;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} squares SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} ports SEC(".maps");

__u64 result; // what the last run found
__s64 turns; // how often its callback ran, as the helper says

static long add_index(__u32 index, void *data)
{
	struct sum *sum = data;

	sum->total += index;
	return index == sum->stop_at; // 1 ends the loop
}

SEC("xdp")
int loop_sum(struct xdp_md *ctx)
{
	struct sum sum = { .total = 0, .stop_at = 5 };

	(void)ctx;
	turns = bpf_loop(1000, add_index, &sum, 0);
	result = sum.total;
	return sum.total; // 0 + 1 + ... + 5 = 15
}

static long add_element(void *map, const __u32 *key, __u64 *value, void *data)
{
	struct sum *sum = data;

	(void)map;
	sum->total += *key * 1000 + *value;
	return 0;
}

static long square(__u32 index, void *data)
{
	__u64 *slot = bpf_map_lookup_elem(&squares, &index);

	(void)data;
	if (slot)
		*slot = (__u64)index * index;
	return 0;
}

SEC("xdp")
int each_array(struct xdp_md *ctx)
{
	struct sum sum = {};

	(void)ctx;
	bpf_loop(8, square, NULL, 0);
	turns = bpf_for_each_map_elem(&squares, add_element, &sum, 0);
	result = sum.total;
	return sum.total; // 28 * 1000 + 140
}

// Removes each element that it visits.
static long forget(void *map, const __u32 *key, __u64 *value, void *data)
{
	struct sum *sum = data;

	sum->total += *value;
	bpf_map_delete_elem(map, key);
	return 0;
}

SEC("xdp")
int each_hash(struct xdp_md *ctx)
{
	struct sum sum = {};

	(void)ctx;
	// Not `port` itself: its address goes to a helper, so it lives in memory, where the verifier does not count along.
	for (int i = 1; i <= 4; i++) {
		__u32 port = i;
		__u64 value = i * 100;

		bpf_map_update_elem(&ports, &port, &value, BPF_ANY);
	}
	turns = bpf_for_each_map_elem(&ports, forget, &sum, 0);
	result = sum.total;
	return sum.total; // 1000, and the map is empty again
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
