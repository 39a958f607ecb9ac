// Small looks into the kernel: an argument, the parent of a task by two ways, the name of a file.
#include "probe.h"

SEC("kprobe/vfs_read")
int BPF_KPROBE(on_read, struct file *file, char *to, unsigned long count)
{
	bpf_printk("Reading %d bytes.", (int)count);
	return 0;
}

SEC("raw_tp/sys_exit")
int parent(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task(), *before = 0;
	int step = 0;

	// One step after the other, and all at once.
	bpf_core_read(&before, sizeof(before), &task->real_parent);
	bpf_core_read(&step, sizeof(step), &before->tgid);
	bpf_printk("parents %d %d", step, BPF_CORE_READ(task, real_parent, tgid));
	return 0;
}

SEC("fentry/vfs_open")
int BPF_PROG(on_open, const struct path *path)
{
	char name[32];

	bpf_probe_read_kernel_str(name, sizeof(name), path->dentry->d_name.name);
	bpf_printk("opens %s", name);
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(sum, struct pt_regs *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();

	bpf_printk("%s calls %ld", task->comm, id);
	return 0;
}
