// The way to define maps before BTF: a section of fixed records. libbpf 1.0 refuses it, older loaders and objects have it.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct map_definition {
	__u32 type;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	__u32 map_flags;
};

struct map_definition SEC("maps") packets = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = sizeof(__u32),
	.value_size = sizeof(__u64),
	.max_entries = 2,
};

struct map_definition SEC("maps") sources = {
	.type = BPF_MAP_TYPE_HASH,
	.key_size = sizeof(__u32),
	.value_size = sizeof(__u64),
	.max_entries = 16,
	.map_flags = BPF_F_NO_PREALLOC,
};

SEC("xdp")
int legacy_maps(struct xdp_md *ctx)
{
	__u32 key = ctx->ingress_ifindex;
	__u64 one = 1, *slot = bpf_map_lookup_elem(&sources, &key);

	if (!slot)
		bpf_map_update_elem(&sources, &key, &one, BPF_NOEXIST);
	key = 1;
	slot = bpf_map_lookup_elem(&packets, &key);
	if (slot)
		__sync_fetch_and_add(slot, 1);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
