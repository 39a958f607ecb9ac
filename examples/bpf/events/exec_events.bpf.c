// Sends an event for each program that is started, with a greeting that user space may choose for each user.
#include "probe.h"

struct greeting {
	char text[16];
};

struct event {
	int pid;
	int uid;
	char command[16];
	char message[16];
	char path[16];
};
// So that the types know it.
const struct event *unused_event __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
} output SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, int);
	__type(value, struct greeting);
} config SEC(".maps");

struct greeting usual = { "Hello World" };

SEC("kprobe/__x64_sys_execve")
int BPF_KPROBE(on_execve, struct pt_regs *call)
{
	struct event event = {};
	const struct greeting *chosen;
	const char *path;

	event.pid = bpf_get_current_pid_tgid() >> 32;
	event.uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(event.command, sizeof(event.command));
	chosen = bpf_map_lookup_elem(&config, &event.uid);
	bpf_probe_read_kernel(event.message, sizeof(event.message), chosen ? chosen : &usual);
	// Behind the wrapper of system calls the arguments are in registers of their own.
	path = (const char *)BPF_CORE_READ(call, di);
	bpf_probe_read_user_str(event.path, sizeof(event.path), path);
	bpf_perf_event_output(ctx, &output, BPF_F_CURRENT_CPU, &event, sizeof(event));
	return 0;
}
