// Functions in place of those of old.bpf.c, with program arrays of their own.
#define SEC(name) __attribute__((section(name), used))
#define NOINLINE __attribute__((noinline))
#define __uint(name, value) int (*name)[value]
#define __array(name, value) typeof(value) *name[]
typedef unsigned int u32;
typedef unsigned long long u64;

struct xdp_md { u32 data, data_end; };
struct __sk_buff { u32 len; };

static long (*const tail_call)(void *ctx, void *map, u32 index) = (void *)12;
extern void bpf_throw(u64 cookie) __attribute__((section(".ksyms")));

volatile int hits;

// Of the same name as a program of old.bpf.c, and another one.
SEC("xdp") int inner(struct xdp_md *xdp) { hits++; return 70; }
SEC("tc") int filter(struct __sk_buff *skb) { return 0; }
SEC("xdp") int unsafe(struct xdp_md *xdp) { return *(volatile char *)(long)xdp->data; }

#define ARRAY(name, ...)                                      \
	struct {                                              \
		__uint(type, 3);                              \
		__uint(max_entries, 2);                       \
		__uint(key_size, 4);                          \
		__array(values, int(void *));                 \
	} name SEC(".maps") = { .values = { __VA_ARGS__ } }

ARRAY(good, [1] = (void *)inner);
ARRAY(mixed, [0] = (void *)inner, [1] = (void *)filter);
ARRAY(bad, [0] = (void *)unsafe);

SEC("freplace/step") int jumps_on(struct xdp_md *xdp) { tail_call(xdp, &good, 1); return 1; }
SEC("freplace/step") int jumps_mixed(struct xdp_md *xdp) { tail_call(xdp, &mixed, 0); return 2; }
SEC("freplace/step") int jumps_bad(struct xdp_md *xdp) { tail_call(xdp, &bad, 0); return 3; }

// Of the same name as a function of old.bpf.c.
static NOINLINE int other(int number) { hits += number; return number * 3; }
SEC("freplace/entry") int whole(struct xdp_md *xdp) { return other(xdp->data_end - xdp->data); }
SEC("freplace/step") int stepped(struct xdp_md *xdp) { return other(100); }
SEC("freplace/other") int new_other(int number) { return number + 2; }

SEC("freplace/step") int throws(struct xdp_md *xdp) { if (xdp->data_end - xdp->data > 20) bpf_throw(33); return 1; }
SEC("freplace/entry") int throws_all(struct xdp_md *xdp) { if (xdp->data_end - xdp->data > 20) bpf_throw(44); return 1; }

char LICENSE[] SEC("license") = "GPL";
