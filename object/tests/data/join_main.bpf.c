// What `join_lib.bpf.c` lacks, and the other way round.
#define SEC(name) __attribute__((section(name), used))
#define __weak __attribute__((weak))
#define __hidden __attribute__((visibility("hidden")))
#define __uint(name, value) int (*name)[value]
#define __type(name, value) typeof(value) *name
typedef unsigned int u32;
typedef unsigned long long u64;

struct stats { u64 packets; u64 bytes; };
struct node { struct node *next; struct payload *what; };

struct {
	__uint(type, 1);
	__type(key, u32);
	__type(value, struct stats);
	__uint(max_entries, 16);
} own SEC(".maps");

// The same fields in another order.
extern struct {
	__uint(max_entries, 8);
	__uint(type, 2);
	__type(key, u32);
	__type(value, struct stats);
} shared __attribute__((section(".maps")));

extern u32 limit;
u32 calls = 3;
static u32 local_a = 11;
const volatile u32 level __weak = 1;
struct node list_main;

extern int add_one(int value);
extern int absent(int value) __weak;
int twice(int value) { return value * 2; }
__weak int both_have(int value) { return value + 100; }
__weak int strong_wins(int value) { return value + 1000; }
static __attribute__((noinline)) int local(int value)
{
	asm volatile("" : "+r"(value));
	return value + local_a;
}

static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;

SEC("xdp")
int entry(void *ctx)
{
	u32 key = 0;
	struct stats fresh = {1, 2}, *stats = lookup(&shared, &key);

	local_a++;
	update(&own, &key, &fresh, 0);
	if (stats)
		stats->packets++;
	calls++;
	return add_one(limit) + local(1) + both_have(1) + strong_wins(1) + level;
}

char LICENSE[] SEC("license") = "GPL";
