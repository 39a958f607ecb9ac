// Lines that somebody types into a shell: what a function of the process returns.
#include "probe.h"

SEC("uretprobe//bin/bash:readline")
int BPF_KRETPROBE(on_line, const char *line)
{
	char text[64];

	if (bpf_probe_read_user_str(text, sizeof(text), line) < 0)
		return 0;
	bpf_printk("typed: %s", text);
	return 0;
}
