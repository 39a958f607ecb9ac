// What tracing tools show of a function: calls by command, results and durations by powers of two.
#include "probe.h"

#define SLOTS 32

struct name {
	char text[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct name);
	__type(value, __u64);
} by_command SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} started SEC(".maps");

// Slot n counts what is at least 2^n and below twice that.
__u64 results[SLOTS], durations[SLOTS];

static __u32 slot(__u64 value)
{
	__u32 log = 0;

	for (int step = 16; step; step /= 2)
		if (value >> step) {
			value >>= step;
			log += step;
		}
	return log & (SLOTS - 1);
}

SEC("kprobe/vfs_read")
int BPF_KPROBE(on_enter)
{
	__u32 thread = bpf_get_current_pid_tgid();
	__u64 now = bpf_ktime_get_ns(), one = 1, *calls;
	struct name command = {};

	bpf_get_current_comm(command.text, sizeof(command.text));
	calls = bpf_map_lookup_elem(&by_command, &command);
	if (calls)
		__sync_fetch_and_add(calls, 1);
	else
		bpf_map_update_elem(&by_command, &command, &one, BPF_NOEXIST);
	bpf_map_update_elem(&started, &thread, &now, BPF_ANY);
	return 0;
}

SEC("kretprobe/vfs_read")
int BPF_KRETPROBE(on_exit, long result)
{
	__u32 thread = bpf_get_current_pid_tgid();
	__u64 *then = bpf_map_lookup_elem(&started, &thread);

	if (!then)
		return 0;
	if (result >= 0)
		__sync_fetch_and_add(&results[slot(result)], 1);
	__sync_fetch_and_add(&durations[slot(bpf_ktime_get_ns() - *then)], 1);
	bpf_map_delete_elem(&started, &thread);
	return 0;
}
