/* Calls in every direction: static and global subprograms, shared ones, callbacks. */
#define SEC(name) __attribute__((section(name), used))
#define noinline __attribute__((noinline))
typedef unsigned int u32;
typedef unsigned long long u64;

static long (*loop)(u32 count, void *callback, void *ctx, u64 flags) = (void *)181;
static u64 (*ktime)(void) = (void *)5;

u64 counter;

static noinline u64 leaf(u64 x) { return x * 3 + ktime(); }
static noinline u64 middle(u64 x) { return leaf(x) + leaf(x + 1); }
noinline int global_sub(u32 x) { return middle(x) > 5; }
__attribute__((visibility("hidden"))) noinline int hidden_sub(u32 x) { return ktime() + x; }
static noinline u64 unused_by_first(u64 x) { return x + ktime(); }

static long callback(u32 index, void *ctx) { counter += leaf(index); return 0; }

SEC("tc") int first(void *ctx)
{
	u64 r = global_sub(7);
	loop(10, callback, 0, 0);
	return r + hidden_sub(3) + leaf(2);
}

SEC("tc") int second(void *ctx) { return leaf(1) + unused_by_first(2) + middle(9); }

char LICENSE[] SEC("license") = "GPL";
