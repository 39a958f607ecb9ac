// Programs that are asked about addresses, options of sockets and settings.
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define PROXY 0x7f000001 // 127.0.0.1

volatile __u32 redirected;

// Connections to port 80 go to a proxy on this machine.
SEC("cgroup/connect4")
int to_proxy(struct bpf_sock_addr *ctx)
{
	if (ctx->sk->protocol != 6 || ctx->user_port != bpf_htons(80))
		return 1;
	ctx->user_ip4 = bpf_htonl(PROXY);
	ctx->user_port = bpf_htons(3128);
	redirected++;
	return 1;
}

// A type of service (level SOL_IP, IP_TOS) is 0x20 at most.
SEC("cgroup/setsockopt")
int tos_limit(struct bpf_sockopt *ctx)
{
	__u8 *value = ctx->optval, *end = ctx->optval_end;

	if (ctx->level == 0 && ctx->optname == 1 && value + 1 <= end && *value > 0x20)
		*value = 0x20;
	return 1;
}

// Nobody writes to settings of the network, but for tcp_wmem.
SEC("cgroup/sysctl")
int settings(struct bpf_sysctl *ctx)
{
	char name[32] = {};

	if (!ctx->write)
		return 1;
	if (bpf_sysctl_get_name(ctx, name, sizeof(name), BPF_F_SYSCTL_BASE_NAME) < 0)
		return 0;
	return __builtin_memcmp(name, "tcp_wmem", 8) == 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
