// A look-up may find nothing: its result cannot be used before it is compared with NULL.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct message {
	char text[12];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct message);
} messages SEC(".maps");

SEC("tp/syscalls/sys_enter_execve")
int unchecked_lookup(void *ctx)
{
	__u32 uid = bpf_get_current_uid_gid();
	struct message *message = bpf_map_lookup_elem(&messages, &uid);

	(void)ctx;
	bpf_printk("%c", message->text[0]);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
