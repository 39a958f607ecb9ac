/* Every way to define a map, and global data of every kind. */
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int (*name)[val]
#define __ulong(name, val) enum { __c_##name = val } name
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*tail_call)(void *ctx, void *map, u32 index) = (void *)12;

struct stats { u64 packets; u64 bytes; };
enum mode { MODE_PASS, MODE_DROP = 5 };

struct {
	__uint(type, 1);
	__uint(max_entries, 64);
	__uint(map_flags, 1);
	__type(key, u32);
	__type(value, struct stats);
	__uint(pinning, 1);
} by_proto SEC(".maps");

struct {
	__uint(type, 2);
	__uint(key_size, 4);
	__uint(value_size, 16);
	__uint(max_entries, 3);
} sized SEC(".maps");

struct {
	__uint(type, 27);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct inner {
	__uint(type, 2);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} inner_a SEC(".maps"), inner_b SEC(".maps");

struct {
	__uint(type, 12);
	__uint(max_entries, 4);
	__type(key, u32);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { [1] = &inner_b, [3] = &inner_a } };

int target_one(void *ctx);
int target_two(void *ctx);
struct {
	__uint(type, 3);
	__uint(max_entries, 8);
	__uint(key_size, 4);
	__array(values, int(void *));
} jumps SEC(".maps") = { .values = { [0] = &target_two, [5] = &target_one } };

struct {
	__uint(type, 9);
	__type(key, u32);
	__type(value, u8[7]);
	__uint(max_entries, 10);
	__ulong(map_extra, 0x123456789aULL);
} extra SEC(".maps");

const volatile u32 limit = 3;
const volatile char label[16] = "abc";
static volatile const u8 hidden_ro = 9;
u64 total = 0x1122334455667788;
short negative = -2;
_Bool flag = 1;
enum mode mode = MODE_DROP;
struct { struct stats inner[2]; u8 last; } nested = { .last = 7 };
u64 zeroed;
static volatile u32 static_zero;
u32 cold SEC(".data.cold") = 0xabcd;
static volatile const u32 only_static SEC(".rodata.fixed") = 1;

SEC("xdp") int target_one(void *ctx)
{
	u32 key = 1;
	struct stats *s = lookup(&by_proto, &key);
	if (!s)
		return limit;
	total += s->packets + negative + hidden_ro + cold;
	zeroed += static_zero + flag + mode + nested.last + only_static;
	return label[1];
}

SEC("?xdp") int target_two(void *ctx)
{
	u32 key = 2;
	void *a = lookup(&sized, &key), *b = lookup(&outer, &key), *c = lookup(&extra, &key), *d = lookup(&by_proto, &key);
	tail_call(ctx, &jumps, 5);
	return (a != 0) + (b != 0) + (c != 0) + (d != 0);
}

char _license[] SEC("license") = "Dual MIT/GPL";
u32 _version SEC("version") = 0x61200;
