// Programs that ask the kernel around them: iterators, names of files, arguments of functions, stacks, areas of memory. For
// ring3/tests/sim_helpers.rs. Made by `clang -g -O2 -target bpf -mcpu=v3 -c sim.bpf.c` and `llvm-strip -g sim.o` (libbpf-dev).
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#define __TARGET_ARCH_x86
#define __VMLINUX_H__
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#pragma clang diagnostic ignored "-Wunused-parameter"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct pt_regs {
	unsigned long di, ax;
};
struct task_struct {
	int pid;
	char comm[16];
};
struct path {
	void *mnt;
};
struct vm_area_struct {
	unsigned long vm_start, vm_end;
};
struct list_head {
	struct list_head *next, *prev;
};
struct sk_buff {
	unsigned int len;
};
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};
#pragma clang attribute pop

SEC("iter/task") int dump_tasks(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	static const char last[] = "all\n";

	if (!task) {
		bpf_seq_write(seq, last, sizeof(last) - 1);
		return 0;
	}
	if (ctx->meta->seq_num == 0)
		BPF_SEQ_PRINTF(seq, "%8s name\n", "pid");
	BPF_SEQ_PRINTF(seq, "%8d %s\n", task->pid, task->comm);
	return 0;
}

// Wants a task again that it has seen.
SEC("iter/task") int again(struct bpf_iter__task *ctx)
{
	BPF_SEQ_PRINTF(ctx->meta->seq, "x");
	return ctx->meta->seq_num == 1;
}

// Prints more than there is room for.
SEC("iter/task") int floods(struct bpf_iter__task *ctx)
{
	static const char line[] = "0123456789012345678901234567890123456789012345678901234567890123";
	int failed = 0;

	for (int i = 0; i < 600; i++)
		if (bpf_seq_write(ctx->meta->seq, line, 64) < 0)
			failed++;
	bpf_printk("%d", failed);
	return 0;
}

// Prints the number of each as the kernel prints what has a type.
SEC("iter/task") int shows(struct bpf_iter__task *ctx)
{
	int number = ctx->meta->seq_num;
	struct btf_ptr ptr = { &number, bpf_core_type_id_kernel(int) };

	bpf_seq_printf_btf(ctx->meta->seq, &ptr, sizeof(ptr), 0);
	return 0;
}

SEC("fentry/vfs_truncate") int BPF_PROG(truncated, struct path *path, long length)
{
	char name[32] = {};
	long len = bpf_d_path(path, name, sizeof(name));

	bpf_printk("%ld %s", len, name);
	return 0;
}

SEC("fexit/vfs_truncate") int truncate_done(__u64 *ctx)
{
	__u64 length = 0, result = 0, none = 7;
	long wrong = bpf_get_func_arg(ctx, 2, &none);

	bpf_get_func_arg(ctx, 1, &length);
	bpf_get_func_ret(ctx, &result);
	bpf_printk("%d %d %d", (int)bpf_get_func_arg_cnt(ctx), (int)length, (int)result);
	bpf_printk("%ld", wrong);
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 16);
	__uint(key_size, 4);
	__uint(value_size, 8 * 8);
} stacks SEC(".maps");

__u64 frames[8];
long taken, ident;

SEC("kprobe/do_exit") int stack(struct pt_regs *ctx)
{
	ident = bpf_get_stackid(ctx, &stacks, 0);
	taken = bpf_get_stack(ctx, frames, sizeof(frames), BPF_F_USER_STACK | 1);
	return 0;
}

__u64 area_size;

static long found(struct task_struct *task, struct vm_area_struct *area, void *data)
{
	area_size = area->vm_end - area->vm_start + *(__u64 *)data;
	return 0;
}

SEC("raw_tp/sys_enter") int area(void *ctx)
{
	__u64 more = 1;

	return bpf_find_vma(bpf_get_current_task_btf(), 0x5123, found, &more, 0);
}

char shown[128];

SEC("raw_tp/sys_exit") int show(void *ctx)
{
	struct list_head list = { (void *)0x10, 0 };
	struct btf_ptr ptr = { &list, bpf_core_type_id_kernel(struct list_head) };

	return bpf_snprintf_btf(shown, sizeof(shown), &ptr, sizeof(ptr), BTF_F_COMPACT | BTF_F_PTR_RAW);
}

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} packets SEC(".maps");

SEC("tp_btf/netif_receive_skb") int BPF_PROG(received, struct sk_buff *skb)
{
	unsigned int len = skb->len;

	bpf_printk("%ld", bpf_skb_output(skb, &packets, BPF_F_CURRENT_CPU | 4ULL << 32, &len, sizeof(len)));
	return 0;
}

SEC("raw_tp/sched_switch") int registers(void *ctx)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());

	return regs->di;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
