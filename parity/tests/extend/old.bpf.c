// Programs whose functions are replaced by those of new.bpf.c.
#define SEC(name) __attribute__((section(name), used))
#define NOINLINE __attribute__((noinline))
typedef unsigned int u32;
typedef unsigned long long u64;

struct __sk_buff { u32 len, pkt_type, mark, queue_mapping, protocol; };
struct xdp_md { u32 data, data_end; };
struct bpf_sock_addr { u32 user_family, user_ip4; };
struct pt_regs { u64 r15; };
struct point { int x, y; };
enum color { RED, BLUE };

static long (*const pull_data)(struct __sk_buff *skb, u32 len) = (void *)39;
static int (*const trace)(const char *text, u32 size, ...) = (void *)6;

volatile int sink;

NOINLINE int pick(int number) { sink = number; return number * 2; }
NOINLINE int two(int first, u64 second) { sink = first; return second; }
NOINLINE int length(struct __sk_buff *skb) { sink = 1; return skb->len; }
NOINLINE int pulls(struct __sk_buff *skb) { return pull_data(skb, 0); }
NOINLINE int far(struct point *point) { return point ? point->x : 0; }
NOINLINE int painted(enum color color) { sink = color; return color; }
NOINLINE int dead(int number) { sink = number; return number; }
static NOINLINE int hidden(int number) { sink = number; return number + 1; }
static NOINLINE int hidden_point(struct point *point) { sink = point->x; return point->y; }

SEC("tc") int root(struct __sk_buff *skb)
{
	struct point point = { 1, 2 };
	int sum = pick(skb->len) + two(skb->mark, 5) + length(skb) + pulls(skb) + far(&point) + painted(skb->mark);

	if (0)
		sum += dead(1);
	return sum + hidden(skb->mark) + hidden_point(&point);
}

SEC("xdp") int xdp_root(struct xdp_md *xdp) { return pick(xdp->data_end - xdp->data); }
SEC("cgroup/connect4") int connect(struct bpf_sock_addr *addr) { return pick(addr->user_ip4) & 1; }
SEC("kprobe/vfs_read") int kprobe_root(struct pt_regs *regs) { return pick(1); }
// What its types say is no context.
SEC("tc") int untyped(u32 *skb) { return *skb; }
SEC("fentry/vfs_read") int entered(u64 *ctx) { return pick(1) & 0; }
SEC("raw_tp/sys_enter") int traced(u64 *ctx) { return pick(1); }
SEC("lsm/file_open") int opened(u64 *ctx) { return pick(1) & 0; }

char LICENSE[] SEC("license") = "GPL";
