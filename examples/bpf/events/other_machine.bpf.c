// Compiled for the registers of arm64, which a kernel for another machine does not have.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct user_pt_regs {
	unsigned long long regs[31];
};
#pragma clang attribute pop

SEC("kprobe/__arm64_sys_execve")
int on_execve(struct user_pt_regs *ctx)
{
	bpf_printk("path %llx", BPF_CORE_READ(ctx, regs[0]));
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
