// Everything that Linux fires for one system call, in its order: for ring3::sim, ring3/tests/all/sim.rs.
#include "probe.h"

SEC("tp_btf/sys_enter")
int BPF_PROG(all_start, struct pt_regs *regs, long id)
{
	bpf_printk("all %ld %ld", id, (long)regs->si);
	return 0;
}

SEC("tp/raw_syscalls/sys_enter")
int all_record(struct trace_event_raw_sys_enter *ctx)
{
	bpf_printk("record %ld %d", ctx->id, (int)ctx->args[2]);
	return 0;
}

SEC("tp/syscalls/sys_enter_read")
int one_record(struct trace_event_raw_sys_enter *ctx)
{
	char text[8] = "";

	bpf_probe_read_user_str(text, sizeof(text), (const void *)ctx->args[1]);
	bpf_printk("start %s", text);
	return 0;
}

SEC("kprobe/__x64_sys_read")
int BPF_KPROBE(call, struct pt_regs *regs)
{
	bpf_printk("call %d %lu", (int)BPF_CORE_READ(regs, di), BPF_CORE_READ(regs, dx));
	return 0;
}

SEC("fentry/__x64_sys_read")
int BPF_PROG(typed_call, const struct pt_regs *regs)
{
	bpf_printk("typed %lu", regs->dx);
	return 0;
}

SEC("kretprobe/__x64_sys_read")
int BPF_KRETPROBE(done, long result)
{
	bpf_printk("done %ld", result);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(all_end, struct pt_regs *regs, long result)
{
	bpf_printk("end %ld %ld %lu", result, (long)regs->ax, (unsigned long)bpf_ktime_get_ns());
	return 0;
}

SEC("tp/syscalls/sys_exit_read")
int one_end(struct trace_event_raw_sys_exit *ctx)
{
	bpf_printk("result %ld", ctx->ret);
	return 0;
}
