// Functions in place of those of old.bpf.c. Which program each is for stands in the table of the test.
#define SEC(name) __attribute__((section(name), used))
#define NOINLINE __attribute__((noinline))
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned char u8;

struct __sk_buff { u32 len, pkt_type, mark, queue_mapping, protocol; };
struct xdp_md { u32 data, data_end; };
struct bpf_sock_addr { u32 user_family, user_ip4; };
struct pt_regs { u64 r15; };
struct point { int x, y; };
struct other { int x, y; };
enum color { RED, BLUE };
enum paint { WHITE, GREY, BLACK };

static long (*const pull_data)(struct __sk_buff *skb, u32 len) = (void *)39;
static u64 (*const random_bind)(struct bpf_sock_addr *addr, void *to, int len) = (void *)64;

volatile int seen;

SEC("freplace/pick") int new_pick(int number) { seen += number; return number + 7; }
SEC("freplace/pick") u32 unsigned_pick(u32 number) { return number; }
SEC("freplace/pick") u64 wide_result(int number) { return number; }
SEC("freplace/pick") int wide_number(u64 number) { return number; }
SEC("freplace/pick") int no_number(void) { return 1; }
SEC("freplace/pick") int two_numbers(int number, int more) { return number + more; }
SEC("freplace/pick") void no_result(int number) { seen = number; }
SEC("freplace/pick") int pointed(struct __sk_buff *skb) { return 1; }
static NOINLINE int loops(int number) { int sum = 0; for (int i = 0; i < 20; i++) sum += number ^ seen; return sum; }
SEC("freplace/pick") int calls(int number) { return loops(number) + 1; }
SEC("freplace/pick") int leaks(int number) { return number == 3 ? *(volatile int *)(long)number : 0; }
SEC("freplace/two") int new_two(int first, u64 second) { return first + second; }
SEC("freplace/length") int new_length(struct __sk_buff *skb) { return skb->len + 1; }
SEC("freplace/length") int xdp_length(struct xdp_md *xdp) { return 1; }
SEC("freplace/length") int byte_length(u8 *byte) { return 1; }
SEC("freplace/length") int pulling_length(struct __sk_buff *skb) { return pull_data(skb, 0); }
SEC("freplace/length") int out_of_context(struct __sk_buff *skb) { return *((volatile int *)skb + 300); }
SEC("freplace/pulls") int new_pulls(struct __sk_buff *skb) { return pull_data(skb, 14); }
SEC("freplace/far") int new_far(struct point *point) { return point ? point->y : 1; }
SEC("freplace/far") int unchecked_far(struct point *point) { return point->y; }
SEC("freplace/far") int other_far(struct other *point) { return 1; }
SEC("freplace/painted") int new_painted(enum color color) { return color + 1; }
SEC("freplace/painted") int more_colors(enum paint paint) { return paint; }
SEC("freplace/dead") int new_dead(int number) { return number; }
SEC("freplace/hidden") int new_hidden(int number) { return number; }
SEC("freplace/hidden_point") int new_hidden_point(struct point *point) { return 1; }
SEC("freplace/nowhere") int new_nowhere(int number) { return number; }
SEC("freplace/root") int new_root(struct __sk_buff *skb) { return skb->mark; }
SEC("freplace/xdp_root") int new_xdp_root(struct xdp_md *xdp) { return xdp->data_end - xdp->data > 20 ? 1 : 2; }
SEC("freplace/connect") int new_connect(struct bpf_sock_addr *addr) { return addr->user_ip4 & 1; }
SEC("freplace/connect") int wild_connect(struct bpf_sock_addr *addr) { return addr->user_ip4; }
SEC("freplace/kprobe_root") int new_kprobe_root(struct pt_regs *regs) { return regs->r15; }
static NOINLINE int deep(int number) { volatile char room[300]; for (int i = 0; i < 300; i++) room[i] = number; return room[number & 127]; }
SEC("freplace/pick") int deeper(int number) { volatile char room[300]; for (int i = 0; i < 300; i++) room[i] = number; return deep(room[number & 127]); }
SEC("freplace/untyped") int new_untyped(u32 *skb) { return 1; }
SEC("freplace/entered") int new_entered(u64 *ctx) { return 0; }
SEC("freplace/traced") int new_traced(u64 *ctx) { return 0; }
SEC("freplace/new_pick") int again(int number) { return number; }

char LICENSE[] SEC("license") = "GPL";
