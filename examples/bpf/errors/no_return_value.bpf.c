// Exit without ever having set R0. C has no such function: it takes assembly.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
__attribute__((naked)) int no_return_value(void)
{
	asm volatile("exit");
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
