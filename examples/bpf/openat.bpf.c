// Counts the files that each process opens.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

// The tracepoint's record; its first 8 bytes belong to the kernel and cannot be read.
struct sys_enter_openat {
	__u64 hidden;
	__s64 number;
	__u64 directory;
	const char *path;
	__u64 flags;
	__u64 mode;
};

struct process {
	__u32 pid;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct process);
	__type(value, __u64);
} opened SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_openat")
int openat(struct sys_enter_openat *ctx)
{
	struct process process = { .pid = bpf_get_current_pid_tgid() >> 32 };
	__u64 one = 1, *files;

	if (!ctx->path)
		return 0;
	bpf_get_current_comm(process.comm, sizeof(process.comm));
	files = bpf_map_lookup_elem(&opened, &process);
	if (files)
		__sync_fetch_and_add(files, 1);
	else
		bpf_map_update_elem(&opened, &process, &one, BPF_NOEXIST);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
