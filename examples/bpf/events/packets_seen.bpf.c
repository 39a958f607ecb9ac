// Packets where the kernel receives and drops them: typed pointers, and a structure written as text by its types.
#include "probe.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct net_device {
	int ifindex;
};

struct sk_buff {
	struct net_device *dev;
	unsigned int len;
};
#pragma clang attribute pop

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(on_receive, struct sk_buff *skb)
{
	static char text[64];
	struct btf_ptr pointer = { .ptr = &skb->len, .type_id = bpf_core_type_id_kernel(unsigned int) };

	if (bpf_snprintf_btf(text, sizeof(text), &pointer, sizeof(pointer), 0) < 0)
		return 0;
	bpf_printk("received: %s", text);
	return 0;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(on_drop, struct sk_buff *skb)
{
	bpf_printk("dropped on interface %d", skb->dev->ifindex);
	return 0;
}
