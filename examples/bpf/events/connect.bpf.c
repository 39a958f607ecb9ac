// Who connects to where by TCP.
#include "probe.h"

struct in_addr {
	unsigned int s_addr;
} __attribute__((preserve_access_index));

struct sockaddr_in {
	unsigned short sin_port;
	struct in_addr sin_addr;
} __attribute__((preserve_access_index));

SEC("kprobe/tcp_v4_connect")
int BPF_KPROBE(on_connect, void *socket, struct sockaddr_in *to)
{
	unsigned int address = BPF_CORE_READ(to, sin_addr.s_addr);
	unsigned short port = BPF_CORE_READ(to, sin_port);

	bpf_printk("[tcpconnect] to %pI4 port %d", &address, __builtin_bswap16(port));
	return 0;
}
