struct slot {
	struct bpf_spin_lock lock;
	__u32 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

SEC("tc")
int count(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct slot *slot = bpf_map_lookup_elem(&slots, &key);

	if (!slot)
		return 0;
	bpf_spin_lock(&slot->lock);
	slot->count = bpf_get_prandom_u32();
	bpf_spin_unlock(&slot->lock);
	return 0;
}
-- right
struct slot {
	struct bpf_spin_lock lock;
	__u32 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

SEC("tc")
int count(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct slot *slot = bpf_map_lookup_elem(&slots, &key);
	__u32 random = bpf_get_prandom_u32();

	if (!slot)
		return 0;
	bpf_spin_lock(&slot->lock);
	slot->count = random;
	bpf_spin_unlock(&slot->lock);
	return 0;
}
