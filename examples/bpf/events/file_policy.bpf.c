// A policy of files: who opens one below /etc/ is told of, and ended if it may not.
#include "probe.h"

#define SIGKILL 9

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct cred {
	struct {
		unsigned int val;
	} uid;
};
#pragma clang attribute pop

int end_users = 1;

SEC("kprobe/security_file_open")
int BPF_KPROBE(on_open, struct file *file)
{
	const struct dentry *name = BPF_CORE_READ(file, f_path.dentry), *folder = BPF_CORE_READ(name, d_parent);
	char text[32] = "", above[8] = "";

	bpf_probe_read_kernel_str(text, sizeof(text), BPF_CORE_READ(name, d_name.name));
	bpf_probe_read_kernel_str(above, sizeof(above), BPF_CORE_READ(folder, d_name.name));
	if (bpf_strncmp(above, 4, "etc"))
		return 0;
	bpf_printk("/etc/%s opened by %d", text, (__u32)(bpf_get_current_pid_tgid() >> 32));
	if (end_users && (__u32)bpf_get_current_uid_gid())
		bpf_send_signal(SIGKILL);
	return 0;
}
