// The address of a local variable where the map belongs.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct data {
	__u32 uid;
	__u32 pid;
};

SEC("tp/syscalls/sys_enter_execve")
int lookup_not_a_map(void *ctx)
{
	struct data data = { .uid = bpf_get_current_uid_gid() };
	__u32 *found = bpf_map_lookup_elem(&data, &data.uid);

	(void)ctx;
	return found ? *found : 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
