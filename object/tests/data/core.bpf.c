/* CO-RE relocations of every kind; the kernel they are for is in core_kernel.bpf.c. */
#define SEC(name) __attribute__((section(name), used))
#define CORE __attribute__((preserve_access_index))
typedef unsigned int u32;
typedef unsigned long long u64;

struct inner___old { int before; u32 count; } CORE;
struct task {
	int pid;
	u32 narrow;
	u64 wide;
	int grows;
	struct { int hidden; };
	int list[4];
	unsigned int bits : 5;
	int gone;
	struct inner___old in;
} CORE;
struct absent { int x; } CORE;
enum color { RED = 1, BLUE = 2, PINK = 3 };
typedef struct { int x; } CORE nickname;
struct alike { int a; void *p; };
struct unlike { u64 a; };

#define FIELD(kind, expr) __builtin_preserve_field_info(expr, kind)
#define ENUMVAL(type, value, kind) __builtin_preserve_enum_value(*(type *)value, kind)
#define TYPE(type, kind) __builtin_preserve_type_info(*(type *)0, kind)

SEC("xdp") int offsets(struct task *t) { return t->pid + t->hidden + t->list[2] + t->in.count; }
SEC("xdp") int resized(struct task *t) { t->wide = 1; return t->narrow; }
SEC("xdp") u64 unsafe_resize(struct task *t) { return t->grows; }
SEC("xdp") int address(struct task *t) { return *(volatile char *)&t->list[3]; }
SEC("xdp") int missing(struct task *t) { return t->gone; }
SEC("xdp") int guarded(struct task *t) { return FIELD(2, t->gone) ? t->gone : 7; }
SEC("xdp") int exists(struct task *t) { return FIELD(2, t->pid) + 2 * FIELD(2, ((struct absent *)t)->x); }
SEC("xdp") int size(struct task *t) { return FIELD(1, t->wide) + FIELD(1, t->list); }
SEC("xdp") int bit_field(struct task *t)
{
	return FIELD(0, t->bits) + 100 * FIELD(1, t->bits) + FIELD(3, t->bits) + FIELD(4, t->bits) + FIELD(5, t->bits);
}
SEC("xdp") int types(void *ctx)
{
	return TYPE(struct task, 0) + 2 * TYPE(struct absent, 0) + 4 * TYPE(nickname, 0);
}
SEC("xdp") int type_sizes(void *ctx) { return TYPE(struct inner___old, 1) + 1000 * TYPE(struct absent, 1); }
SEC("xdp") int matches(void *ctx) { return TYPE(struct alike, 2) + 2 * TYPE(struct unlike, 2); }
SEC("xdp") u64 local_id(void *ctx) { return __builtin_btf_type_id(*(struct task *)0, 0); }
SEC("xdp") u64 target_id(void *ctx) { return __builtin_btf_type_id(*(struct task *)0, 1); }
SEC("xdp") u64 no_target_id(void *ctx) { return __builtin_btf_type_id(*(struct absent *)0, 1); }
SEC("xdp") int enum_exists(void *ctx) { return ENUMVAL(enum color, BLUE, 0) + 2 * ENUMVAL(enum color, PINK, 0); }
SEC("xdp") u64 enum_value(void *ctx) { return ENUMVAL(enum color, BLUE, 1); }
SEC("xdp") u64 enum_missing(void *ctx) { return ENUMVAL(enum color, PINK, 1); }
