// Says what system calls do, with a program for each kind, by tail calls.
#include "probe.h"

struct args {
	__u64 args[2];
};

int timer(struct args *ctx);
int started(struct args *ctx);
int silent(struct args *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 500);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct args *));
} calls SEC(".maps") = {
	.values = {
		[21] = (void *)&silent,
		[22] = (void *)&silent,
		[59] = (void *)&started,
		[222] = (void *)&timer,
		[223] = (void *)&timer,
		[224] = (void *)&timer,
		[225] = (void *)&timer,
		[226] = (void *)&timer,
	},
};

SEC("raw_tp/sys_enter")
int begin(struct args *ctx)
{
	bpf_tail_call(ctx, &calls, ctx->args[1]);
	bpf_printk("Another system call: %d", (int)ctx->args[1]);
	return 0;
}

SEC("raw_tp")
int started(struct args *ctx)
{
	bpf_printk("A program is started");
	return 0;
}

SEC("raw_tp")
int timer(struct args *ctx)
{
	switch (ctx->args[1]) {
	case 222:
		bpf_printk("A timer is made");
		break;
	case 226:
		bpf_printk("A timer is deleted");
		break;
	default:
		bpf_printk("Something else about timers");
	}
	return 0;
}

SEC("raw_tp")
int silent(struct args *ctx)
{
	return 0;
}
