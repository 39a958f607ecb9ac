// Look-ups in a hash table of keys of 8 bytes; what is missing is put in. Values depend on the key alone, so that
// the result is the same however often it runs.
#include "bench.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u64);
	__type(value, __u64);
} flows SEC(".maps");

SEC("xdp")
int hash_map(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u64 sum = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 512; i++) {
		__u64 key = data[i] * 0x10001ull;
		__u64 *value = bpf_map_lookup_elem(&flows, &key);

		if (value) {
			sum += *value;
		} else {
			__u64 fresh = key ^ 0x5555;

			if (bpf_map_update_elem(&flows, &key, &fresh, BPF_ANY))
				return 0;
			sum += fresh;
		}
	}
	return fold(sum);
}
