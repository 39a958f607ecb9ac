/* What libbpf 1.0 does not take any more: maps without BTF, and a program that calls another. */
#define SEC(name) __attribute__((section(name), used))
typedef unsigned int u32;
struct bpf_map_def { u32 type, key_size, value_size, max_entries, map_flags; };
static void *(*lookup)(void *map, const void *key) = (void *)1;

struct bpf_map_def SEC("maps") counts = { .type = 1, .key_size = 4, .value_size = 8, .max_entries = 10, .map_flags = 1 };
struct bpf_map_def SEC("maps") table = { .type = 2, .key_size = 4, .value_size = 2, .max_entries = 3 };

SEC("socket") int prog(void *ctx)
{
	u32 key = 0;
	return lookup(&table, &key) != lookup(&counts, &key);
}

SEC("xdp") __attribute__((noinline)) int called(void *ctx)
{
	u32 key = 1;
	return lookup(&table, &key) ? 2 : 1;
}

SEC("xdp") int caller(void *ctx) { return called(ctx) + called(ctx); }

char _license[] SEC("license") = "GPL";
