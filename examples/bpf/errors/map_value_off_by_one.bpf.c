// "<=" instead of "<": one past the end of a global array.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__u32 c = 1;
char message[12] = "Hello World";

SEC("tp/syscalls/sys_enter_execve")
int map_value_off_by_one(void *ctx)
{
	__u32 at = c;

	(void)ctx;
	if (at <= sizeof(message)) {
		char letter = message[at];

		bpf_printk("%c", letter);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
