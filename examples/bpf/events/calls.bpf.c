// How often programs are started, in an array that user space asks.
#include "probe.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} counted SEC(".maps");

SEC("kprobe/sys_execve")
int count_execve(void *ctx)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&counted, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}
