// See `join_main.bpf.c`.
#define SEC(name) __attribute__((section(name), used))
#define __weak __attribute__((weak))
#define __uint(name, value) int (*name)[value]
#define __type(name, value) typeof(value) *name
typedef unsigned int u32;
typedef unsigned long long u64;

struct stats { u64 packets; u64 bytes; };
struct payload { int of_lib; };
struct node { struct node *next; struct payload *what; };

struct {
	__uint(type, 2);
	__uint(max_entries, 8);
	__type(key, u32);
	__type(value, struct stats);
} shared SEC(".maps");

extern struct {
	__uint(type, 1);
	__type(key, u32);
	__type(value, struct stats);
	__uint(max_entries, 16);
} own __attribute__((section(".maps")));

u32 limit = 40;
extern u32 calls;
static u32 local_a = 500;
const volatile u32 level __weak = 2;
struct node list_lib;
struct payload payload;

extern int twice(int value);
int add_one(int value) { return twice(value) + 1; }
__weak int both_have(int value) { return value + 200; }
int strong_wins(int value) { return value + 2000; }
static __attribute__((noinline)) int local(int value)
{
	asm volatile("" : "+r"(value));
	return value + local_a;
}

static void *(*lookup)(void *map, const void *key) = (void *)1;

SEC("xdp")
int second(void *ctx)
{
	u32 key = 0;
	struct stats *stats = lookup(&own, &key);

	local_a++;
	return local(calls) + (stats ? stats->bytes : 0);
}

char LICENSE[] SEC("license") = "GPL";
