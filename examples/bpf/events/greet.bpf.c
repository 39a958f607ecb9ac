// Says hello whenever a program is started.
#include "probe.h"

SEC("kprobe/__x64_sys_execve")
int hello(void *ctx)
{
	bpf_printk("Hello World");
	return 0;
}
