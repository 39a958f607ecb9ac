// SPDX-License-Identifier: MIT OR Apache-2.0
// Two fields of a structure of the kernel, found by CO-RE.

typedef unsigned int __u32;

struct task_struct {
	int pid;
	int tgid;
} __attribute__((preserve_access_index));

static long (*const probe_read_kernel)(void *to, __u32 size, const void *from) = (void *)113;
static struct task_struct *(*const get_current_task)(void) = (void *)35;

char _license[] __attribute__((section("license"))) = "Dual MIT/GPL";

__attribute__((section("raw_tp/sys_enter"))) int fields(void *ctx)
{
	struct task_struct *task = get_current_task();
	int pid = 0, tgid = 0;

	probe_read_kernel(&pid, sizeof(pid), &task->pid);
	probe_read_kernel(&tgid, sizeof(tgid), &task->tgid);
	return pid == tgid ? 1 : 2;
}
