// What a kernel was built with (__kconfig): values of its configuration, its release, and code that only some of them need.
#include "probe.h"

extern int LINUX_KERNEL_VERSION __kconfig;
extern unsigned int CONFIG_HZ __kconfig;
extern enum libbpf_tristate CONFIG_BPF_LSM __kconfig __weak;

SEC("raw_tp/sys_enter")
int on_call(void *ctx)
{
	bpf_printk("%d ticks a second, each %d us", CONFIG_HZ, 1000000 / CONFIG_HZ);
	if (CONFIG_BPF_LSM == TRI_YES)
		bpf_printk("hooks of security modules");
	if (LINUX_KERNEL_VERSION >= KERNEL_VERSION(6, 0, 0))
		bpf_printk("Linux %d.%d", LINUX_KERNEL_VERSION >> 16, LINUX_KERNEL_VERSION >> 8 & 0xff);
	return 0;
}
