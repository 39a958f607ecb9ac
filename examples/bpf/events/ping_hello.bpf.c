// Greets pings, requests and answers, and lets or does not let them through.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// Kinds of ICMP messages.
#define ICMP_ECHO 8
#define ICMP_ECHOREPLY 0

struct icmphdr {
	__u8 type;
	__u8 code;
	__sum16 check;
	__u32 rest;
};

// XDP_PASS, or XDP_DROP where they are to be dropped.
volatile int verdict = XDP_PASS;

SEC("xdp")
int ping_hello(struct xdp_md *ctx)
{
	void *start = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = start;
	struct iphdr *ip = start + sizeof(*eth);
	struct icmphdr *icmp = (void *)(ip + 1);

	if ((void *)(icmp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5)
		return XDP_PASS;
	if (ip->protocol != 1 /* ICMP */)
		return XDP_PASS;
	if (icmp->type == ICMP_ECHO)
		bpf_printk("Hello ping");
	else if (icmp->type == ICMP_ECHOREPLY)
		bpf_printk("Hello answer");
	else
		return XDP_PASS;
	return verdict;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
