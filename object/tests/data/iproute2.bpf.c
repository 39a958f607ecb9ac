// Maps as iproute2 had them.
#define SEC(name) __attribute__((section(name), used))
struct bpf_elf_map {
	unsigned int type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx;
};
struct bpf_elf_map flows SEC("maps") = {.type = 1, .size_key = 4, .size_value = 8, .max_elem = 100, .pinning = 2};
struct bpf_elf_map own SEC("maps") = {.type = 2, .size_key = 4, .size_value = 8, .max_elem = 1};

static void *(*lookup)(void *map, const void *key) = (void *)1;

SEC("tc") int counts(void *ctx)
{
	int key = 0;
	return !!lookup(&flows, &key) + !!lookup(&own, &key);
}
char LICENSE[] SEC("license") = "GPL";
