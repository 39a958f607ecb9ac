// Drops every IPv4 ICMP packet, counts the drops and says so in the trace pipe. Everything else passes.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} drop_count SEC(".maps");

SEC("xdp")
int drop_icmp(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	__u32 slot = 0;
	__u64 *drops;

	// One check covers both headers: a frame too short for IPv4 is none of our business.
	if ((void *)(ip + 1) > end)
		return XDP_PASS;
	if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_ICMP)
		return XDP_PASS;

	drops = bpf_map_lookup_elem(&drop_count, &slot);
	if (drops)
		__sync_fetch_and_add(drops, 1);
	bpf_printk("dropped an ICMP packet");
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
