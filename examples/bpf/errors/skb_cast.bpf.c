// A kernel pointer keeps its type whatever C casts it to: here a field that lies beyond the end of struct sk_buff.
// It needs the kernel's own types (BTF), to know the tracepoint and the size of the structure.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tp_btf/kfree_skb")
int skb_cast(__u64 *ctx)
{
	__u8 *skb = (void *)ctx[0];

	return *(__u32 *)(skb + 1264);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
