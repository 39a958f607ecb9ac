// The start of a program as six kinds of programs see it.
#include "probe.h"

struct linux_binprm {
	const char *filename;
} __attribute__((preserve_access_index));

SEC("kprobe/__x64_sys_execve")
int BPF_KPROBE(by_system_call, struct pt_regs *call)
{
	char path[32];

	bpf_probe_read_user_str(path, sizeof(path), (const char *)BPF_CORE_READ(call, di));
	bpf_printk("kprobe of the system call: %s", path);
	return 0;
}

SEC("kprobe/bprm_execve")
int BPF_KPROBE(by_function, struct linux_binprm *bprm)
{
	char path[32];

	bpf_probe_read_kernel_str(path, sizeof(path), BPF_CORE_READ(bprm, filename));
	bpf_printk("kprobe of a function: %s", path);
	return 0;
}

SEC("fentry/begin_new_exec")
int BPF_PROG(by_fentry, struct linux_binprm *bprm)
{
	char path[32];

	bpf_probe_read_kernel_str(path, sizeof(path), bprm->filename);
	bpf_printk("fentry: %s", path);
	return 0;
}

SEC("tp/syscalls/sys_enter_execve")
int by_record(struct trace_event_raw_sys_enter *ctx)
{
	char path[32];

	bpf_probe_read_user_str(path, sizeof(path), (const char *)ctx->args[0]);
	bpf_printk("tracepoint: %s", path);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(by_typed_arguments, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	char path[32];

	bpf_probe_read_kernel_str(path, sizeof(path), bprm->filename);
	bpf_printk("typed raw tracepoint: %s, of %d", path, task->real_parent->tgid);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int by_arguments(struct bpf_raw_tracepoint_args *ctx)
{
	struct linux_binprm *bprm = (void *)ctx->args[2];
	char path[32];

	bpf_probe_read_kernel_str(path, sizeof(path), BPF_CORE_READ(bprm, filename));
	bpf_printk("raw tracepoint: %s", path);
	return 0;
}
