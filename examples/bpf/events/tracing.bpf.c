// What programs at tracepoints, functions and hooks of security modules read of the kernel: for ring3::sim, ring3/tests/sim.rs.
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#define __TARGET_ARCH_x86
// Names of registers as the kernel's own structure has them.
#define __VMLINUX_H__
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

// Each macro for programs names the context.
#pragma clang diagnostic ignored "-Wunused-parameter"

// The parts of the kernel's structures that are used; where they lie, the loader finds out (CO-RE).
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
typedef struct {
	unsigned int val;
} kuid_t;

struct cred {
	kuid_t uid;
};

struct task_struct {
	int pid;
	int tgid;
	struct task_struct *real_parent;
	const struct cred *cred;
	char comm[16];
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct file {
	unsigned int f_flags;
	struct path f_path;
};

struct filename {
	const char *name;
};

struct pt_regs {
	unsigned long si, di, ax;
};

struct trace_event_raw_sched_process_exec {
	unsigned int __data_loc_filename;
	int pid;
	int old_pid;
};
#pragma clang attribute pop

struct event {
	__u32 pid;
	__u32 parent;
	__u32 uid;
	char comm[16];
	char text[32];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} started SEC(".maps");

static struct event *begin(struct task_struct *task)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return 0;
	__builtin_memset(event, 0, sizeof(*event));
	event->pid = BPF_CORE_READ(task, tgid);
	event->parent = BPF_CORE_READ(task, real_parent, tgid);
	event->uid = BPF_CORE_READ(task, cred, uid.val);
	BPF_CORE_READ_STR_INTO(&event->comm, task, comm);
	return event;
}

// Direct loads through typed pointers.
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid)
{
	struct event *event;

	if (task->tgid != task->pid)
		return 0;
	event = begin(task);
	if (!event)
		return 0;
	event->parent = task->real_parent->tgid;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

// The same event, as a record with a text behind it.
SEC("tp/sched/sched_process_exec")
int exec_record(struct trace_event_raw_sched_process_exec *ctx)
{
	char file[32] = "";
	unsigned int place = ctx->__data_loc_filename;

	bpf_probe_read_kernel_str(file, sizeof(file), (void *)ctx + (place & 0xffff));
	bpf_printk("%d runs %s", ctx->pid, file);
	return 0;
}

SEC("kprobe/do_unlinkat")
int BPF_KPROBE(unlink_enter, int dfd, struct filename *name)
{
	struct event *event = begin((void *)bpf_get_current_task());

	if (!event)
		return 0;
	bpf_probe_read_kernel_str(event->text, sizeof(event->text), BPF_CORE_READ(name, name));
	bpf_ringbuf_submit(event, 0);
	return dfd;
}

SEC("kretprobe/do_unlinkat")
int BPF_KRETPROBE(unlink_exit, long ret)
{
	bpf_printk("unlink: %ld", ret);
	return 0;
}

SEC("fentry/vfs_open")
int BPF_PROG(open_enter, const struct path *path, struct file *file)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	__u64 now = bpf_ktime_get_ns();
	char name[32];

	bpf_probe_read_kernel_str(name, sizeof(name), path->dentry->d_name.name);
	bpf_printk("%s %u", name, file->f_flags);
	bpf_map_update_elem(&started, &pid, &now, BPF_ANY);
	return 0;
}

SEC("fexit/vfs_open")
int BPF_PROG(open_exit, const struct path *path, struct file *file, int ret)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	__u64 *then = bpf_map_lookup_elem(&started, &pid);

	if (then)
		bpf_printk("took %llu ns, gave %d", bpf_ktime_get_ns() - *then, ret);
	return 0;
}

// Nobody but user 0 opens what is called secret.
SEC("lsm/file_open")
int BPF_PROG(guard_open, struct file *file, int ret)
{
	char name[32];

	if (ret)
		return ret;
	bpf_probe_read_kernel_str(name, sizeof(name), file->f_path.dentry->d_name.name);
	if ((__u32)bpf_get_current_uid_gid() && !bpf_strncmp(name, 7, "secret"))
		return -13;
	return 0;
}

SEC("tp/syscalls/sys_enter_openat")
int open_call(void *ctx)
{
	const char *path;
	char text[32];

	// struct trace_event_raw_sys_enter: the arguments begin at 16.
	path = (const char *)((unsigned long *)ctx)[3];
	if (bpf_probe_read_user_str(text, sizeof(text), path) < 0)
		return 1;
	bpf_printk("openat %s", text);
	return 0;
}

SEC("uprobe//bin/bash:readline")
int BPF_KPROBE(prompt, const char *text)
{
	char copy[16];

	bpf_probe_read_user_str(copy, sizeof(copy), text);
	bpf_printk("prompt %s", copy);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
