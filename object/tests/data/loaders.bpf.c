// Maps as loaders of old had them in sections of their own: gobpf's, ir-keytable's, and iproute2's before maps were in maps.
#define SEC(name) __attribute__((section(name), used))
struct gobpf_map {
	unsigned int type, key_size, value_size, max_entries, map_flags, pinning;
	char namespace[256];
};
struct gobpf_map events SEC("maps/events") = {.type = 4, .key_size = 4, .value_size = 4, .max_entries = 256};
struct gobpf_map args SEC("maps/args") = {.type = 1, .key_size = 8, .value_size = 16, .max_entries = 100};
struct keytable_map {
	unsigned int type, key_size, value_size, max_entries, map_flags, inner_map_idx, numa_node;
};
struct keytable_map state SEC("lirc_mode2/maps") = {.type = 2, .key_size = 4, .value_size = 16, .max_entries = 1};
struct iproute2_map {
	unsigned int type, size_key, size_value, max_elem, flags, id, pinning;
};
struct iproute2_map server SEC("maps") = {.type = 15, .size_key = 4, .size_value = 8, .max_elem = 1, .pinning = 2};

static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*output)(void *ctx, void *map, unsigned long long flags, void *data, unsigned long long size) = (void *)25;

SEC("uprobe/getaddrinfo") int gobpf(void *ctx)
{
	unsigned long long key = 0;
	output(ctx, &events, 0, &key, sizeof key);
	return !!lookup(&args, &key);
}
SEC("lirc_mode2/decoder") int keytable(void *ctx)
{
	int key = 0;
	return !!lookup(&state, &key);
}
SEC("tc") int iproute2(void *ctx)
{
	int key = 0;
	return !!lookup(&server, &key);
}
char LICENSE[] SEC("license") = "GPL";
