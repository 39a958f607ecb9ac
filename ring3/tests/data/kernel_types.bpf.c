// A small stand-in for the kernel's types: the structure and the tracepoint that examples/bpf/errors/skb_cast.bpf.c needs,
// with the size that struct sk_buff has in the Linux 6.18 that examples/expected comes from.
// clang-19 -g -O2 -target bpf -c kernel_types.bpf.c -o kernel_types.bpf.o
struct sk_buff {
	char bytes[224];
};

typedef void (*btf_trace_kfree_skb)(void *, struct sk_buff *, void *, int, struct sk_buff *);

btf_trace_kfree_skb tracepoint;
