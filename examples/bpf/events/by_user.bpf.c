// Counts system calls by user: two calls by probes, all of them by a raw tracepoint. The programs share a map.
#include "probe.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u64);
	__type(value, __u64);
} by_user SEC(".maps");

static int count(void)
{
	__u64 user = bpf_get_current_uid_gid() & 0xffffffff, one = 1, *known;

	known = bpf_map_lookup_elem(&by_user, &user);
	if (known)
		__sync_fetch_and_add(known, 1);
	else
		bpf_map_update_elem(&by_user, &user, &one, BPF_ANY);
	return 0;
}

SEC("kprobe/__x64_sys_execve")
int on_execve(void *ctx)
{
	return count();
}

SEC("kprobe/__x64_sys_openat")
int on_openat(void *ctx)
{
	return count();
}

SEC("raw_tp/sys_enter")
int on_any(void *ctx)
{
	return count();
}
