// Tells of changes of a file's mode, and does not let them be where the file is called locked.
#include "probe.h"

SEC("lsm/path_chmod")
int BPF_PROG(on_chmod, const struct path *path, unsigned short mode, int ret)
{
	char name[32];

	if (ret)
		return ret;
	bpf_probe_read_kernel_str(name, sizeof(name), path->dentry->d_name.name);
	bpf_printk("Change mode of file name %s", name);
	return bpf_strncmp(name, 7, "locked") ? 0 : -1;
}
