// A section name that says no program type: the loader's error, the verifier never sees the program.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("liz")
int bad_section(void *ctx)
{
	(void)ctx;
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
