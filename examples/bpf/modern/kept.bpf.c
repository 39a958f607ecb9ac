// An object that a map's element owns: put there when a task begins to sleep, taken out when it is done.
#include "kfuncs.h"

struct sleep {
	__u64 since;
	__u32 pid;
};

struct entry {
	struct sleep __kptr *sleep;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct entry);
} sleeping SEC(".maps");

SEC("tp/syscalls/sys_enter_nanosleep")
int begins(void *ctx)
{
	__u32 pid = bpf_get_current_pid_tgid();
	struct entry none = {}, *entry;
	struct sleep *sleep;

	bpf_map_update_elem(&sleeping, &pid, &none, BPF_ANY);
	entry = bpf_map_lookup_elem(&sleeping, &pid);
	if (!entry)
		return 0;
	sleep = bpf_obj_new(struct sleep);
	if (!sleep)
		return 0;
	sleep->since = bpf_ktime_get_ns();
	sleep->pid = pid;
	sleep = bpf_kptr_xchg(&entry->sleep, sleep);
	if (sleep)
		bpf_obj_drop(sleep);
	return 0;
}

SEC("tp/syscalls/sys_exit_nanosleep")
int ends(void *ctx)
{
	__u32 pid = bpf_get_current_pid_tgid();
	struct entry *entry = bpf_map_lookup_elem(&sleeping, &pid);
	struct sleep *sleep;

	if (!entry)
		return 0;
	sleep = bpf_kptr_xchg(&entry->sleep, 0);
	if (!sleep)
		return 0;
	bpf_printk("%d slept for %llu ns", sleep->pid, bpf_ktime_get_ns() - sleep->since);
	bpf_obj_drop(sleep);
	return 0;
}
