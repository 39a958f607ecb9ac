// A function that stays one: the number of each system call, read in a subprogram.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static __attribute__((noinline)) int get_opcode(struct bpf_raw_tracepoint_args *ctx)
{
	return ctx->args[1];
}

SEC("raw_tp/sys_enter")
int hello_func(struct bpf_raw_tracepoint_args *ctx)
{
	int opcode = get_opcode(ctx);

	bpf_printk("Syscall: %d", opcode);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
