// "<=" instead of "<": one past the end of an array on the stack, which is the end of the stack.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__u32 c = 1;

struct data {
	__u32 uid;
	char message[12];
};

SEC("tp/syscalls/sys_enter_execve")
int stack_off_by_one(void *ctx)
{
	struct data data = { .message = "Hello World" };
	__u32 at = c;

	(void)ctx;
	data.uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(data.message, sizeof(data.message));
	if (at <= sizeof(data.message)) {
		char letter = data.message[at];

		bpf_printk("%c", letter);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
