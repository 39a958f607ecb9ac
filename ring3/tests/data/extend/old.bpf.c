// Programs whose functions are replaced by those of new.bpf.c; one of them is in a program array.
// Made by `clang -g -O2 -target bpf -mcpu=v3 -c FILE.bpf.c` and `llvm-strip -g FILE.o`, as new.bpf.c.
#define SEC(name) __attribute__((section(name), used))
#define NOINLINE __attribute__((noinline))
#define __uint(name, value) int (*name)[value]
#define __array(name, value) typeof(value) *name[]
typedef unsigned int u32;

struct xdp_md { u32 data, data_end; };

static long (*const adjust_head)(struct xdp_md *xdp, int by) = (void *)44;
static long (*const tail_call)(void *ctx, void *map, u32 index) = (void *)12;

volatile int sink;

// May move the packet, as whatever a tail call leads to.
NOINLINE int step(struct xdp_md *xdp) { adjust_head(xdp, 0); return xdp->data_end - xdp->data; }
NOINLINE int other(int number) { sink = number; return number + 1; }

SEC("xdp") int entry(struct xdp_md *xdp) { return step(xdp) + other(1000); }
SEC("xdp") int inner(struct xdp_md *xdp) { return step(xdp) + 5; }

struct {
	__uint(type, 3);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__array(values, int(struct xdp_md *));
} jumps SEC(".maps") = { .values = { [0] = inner } };

SEC("xdp") int outer(struct xdp_md *xdp) { tail_call(xdp, &jumps, 0); return 9; }

char LICENSE[] SEC("license") = "GPL";
