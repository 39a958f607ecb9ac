// Which files are opened by whom: as text, and through a ring buffer.
#include "probe.h"

struct opened {
	char command[16];
	char filename[32];
	int dfd;
};
const struct opened *unused_opened __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} output SEC(".maps");

SEC("tp/syscalls/sys_enter_openat")
int on_openat(struct trace_event_raw_sys_enter *ctx)
{
	struct opened event = { .dfd = ctx->args[0] };

	bpf_get_current_comm(event.command, sizeof(event.command));
	bpf_probe_read_user_str(event.filename, sizeof(event.filename), (const char *)ctx->args[1]);
	bpf_printk("File %s", event.filename);
	bpf_printk("     opened by: %s", event.command);
	bpf_ringbuf_output(&output, &event, sizeof(event), 0);
	return 0;
}
