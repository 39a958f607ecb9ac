// The first 8 bytes of a tracepoint's record are not for programs.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct sys_enter_execve {
	__u16 common_type;
	__u8 common_flags;
	__u8 common_preempt_count;
	__s32 common_pid;
	__s64 number;
	const char *path;
};

SEC("tp/syscalls/sys_enter_execve")
int tracepoint_common(struct sys_enter_execve *ctx)
{
	return ctx->common_pid;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
