// What a process sends through a library that encrypts: the buffer's address at the start of the function, its text at the end.
#include "probe.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u64);
} pending SEC(".maps");

struct sent {
	__u32 pid;
	int len;
	char text[32];
};
const struct sent *unused_sent __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
} output SEC(".maps");

SEC("uprobe//usr/lib/libssl.so:SSL_write")
int BPF_KPROBE(write_enter, void *ssl, const void *buffer)
{
	__u64 thread = bpf_get_current_pid_tgid(), address = (__u64)buffer;

	bpf_map_update_elem(&pending, &thread, &address, BPF_ANY);
	return 0;
}

SEC("uretprobe//usr/lib/libssl.so:SSL_write")
int BPF_KRETPROBE(write_exit, int len)
{
	__u64 thread = bpf_get_current_pid_tgid(), *address = bpf_map_lookup_elem(&pending, &thread);
	struct sent sent = { .pid = thread >> 32, .len = len };

	if (!address)
		return 0;
	bpf_probe_read_user_str(sent.text, sizeof(sent.text), (const void *)*address);
	bpf_perf_event_output(ctx, &output, BPF_F_CURRENT_CPU, &sent, sizeof(sent));
	bpf_map_delete_elem(&pending, &thread);
	return 0;
}
