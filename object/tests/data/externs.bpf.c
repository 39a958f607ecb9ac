// What other places provide, against `externs_kernel.bpf.c`; maps that are none; references to maps by number.
#define SEC(name) __attribute__((section(name), used))
#define __weak __attribute__((weak))
#define __ksym __attribute__((section(".ksyms")))
#define __arena __attribute__((address_space(1)))
#define CALLBACK(name) __attribute__((btf_decl_tag("exception_callback:" #name)))
#define __uint(name, value) int (*name)[value]
typedef unsigned int u32;

struct task { int pid; };
struct other { int pid; };

// The same, by another name, and with other arguments.
extern int task_pid(struct task *task) __ksym;
extern int task_pid___known(struct other *task) __weak __ksym;
extern int task_pid___two(struct task *task, int more) __weak __ksym;
extern int task_pid___strict(struct task *task, int more) __ksym;
extern const int jiffies __weak __ksym;
extern const struct task jiffies___other __weak __ksym;

SEC("xdp") int calls(void *ctx) { return task_pid(ctx); }
SEC("xdp") int calls_by_another_name(void *ctx) { return task_pid___known ? task_pid___known(ctx) : 7; }
SEC("xdp") int calls_with_more(void *ctx) { return task_pid___two ? task_pid___two(ctx, 1) : 7; }
SEC("xdp") int calls_the_missing(void *ctx) { return task_pid___two(ctx, 1); }
SEC("xdp") int insists_on_more(void *ctx) { return task_pid___strict(ctx, 1); }
SEC("xdp") int reads_variable(void *ctx) { return jiffies; }
SEC("xdp") int reads_another_variable(void *ctx) { return jiffies___other.pid; }

struct {
	__uint(type, 1);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 8);
	__uint(wrong, 1);
} broken SEC(".maps");

struct def {
	__uint(type, 2);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 8);
};
extern struct def elsewhere __attribute__((section(".maps")));
struct def whole SEC(".maps");

struct {
	__uint(type, 33);
	__uint(map_flags, 1024);
	__uint(max_entries, 10);
} arena SEC(".maps");

static void *(*lookup)(void *map, const void *key) = (void *)1;

SEC("xdp") int uses_broken(void *ctx) { u32 key = 0; return !!lookup(&broken, &key); }
SEC("xdp") int uses_whole(void *ctx) { u32 key = 0; return !!lookup(&whole, &key); }
SEC("xdp") int uses_elsewhere(void *ctx) { u32 key = 0; return !!lookup(&elsewhere, &key); }

int __arena counter = 5;
int __arena table[3] = {1, 2, 3};

SEC("syscall") int in_arena(void *ctx)
{
	return (long)&counter + (long)&table + (long)&arena;
}

// Map 9, and map 0 beside a relocated one.
SEC("xdp") __attribute__((naked)) int by_number(void *ctx)
{
	asm volatile(".byte 0x18, 0x11, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0; r0 = 0; exit" ::: "r0", "r1");
}

__attribute__((noinline)) static int local_callback(unsigned long long cookie)
{
	asm volatile("");
	return cookie;
}
__attribute__((noinline)) int good_callback(unsigned long long cookie) { return 1; }
__attribute__((noinline)) int other_callback(unsigned long long cookie) { return 2; }
SEC("tc") CALLBACK(local_callback) int throws_to_static(void *ctx) { return local_callback(1); }
SEC("tc") CALLBACK(absent) int throws_to_nothing(void *ctx) { return 0; }
SEC("tc") CALLBACK(good_callback) CALLBACK(other_callback) int throws_to_two(void *ctx) { return 0; }

static long (*read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*read_user_str)(void *to, u32 size, const void *from) = (void *)114;
char last[8];

SEC("kprobe/do_exit") int reads(void *ctx)
{
	return read_kernel(last, sizeof(last), ctx) + read_user_str(last, sizeof(last), ctx);
}

char LICENSE[] SEC("license") = "GPL";
