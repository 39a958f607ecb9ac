// Files that are opened, and what came of it: the name at the start of the call, the result at its end.
#include "probe.h"

struct opened {
	__u32 pid;
	int result;
	char command[16];
	char name[64];
};
const struct opened *unused_opened __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} started SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} output SEC(".maps");

SEC("tp/syscalls/sys_enter_openat")
int on_enter(struct trace_event_raw_sys_enter *ctx)
{
	__u32 thread = bpf_get_current_pid_tgid();
	__u64 name = ctx->args[1];

	bpf_map_update_elem(&started, &thread, &name, BPF_ANY);
	return 0;
}

SEC("tp/syscalls/sys_exit_openat")
int on_exit(struct trace_event_raw_sys_exit *ctx)
{
	__u32 thread = bpf_get_current_pid_tgid();
	__u64 *name = bpf_map_lookup_elem(&started, &thread);
	struct opened *opened;

	if (!name)
		return 0;
	opened = bpf_ringbuf_reserve(&output, sizeof(*opened), 0);
	if (opened) {
		__builtin_memset(opened, 0, sizeof(*opened));
		opened->pid = bpf_get_current_pid_tgid() >> 32;
		opened->result = ctx->ret;
		bpf_get_current_comm(opened->command, sizeof(opened->command));
		bpf_probe_read_user_str(opened->name, sizeof(opened->name), (const void *)*name);
		bpf_ringbuf_submit(opened, 0);
	}
	bpf_map_delete_elem(&started, &thread);
	return 0;
}
