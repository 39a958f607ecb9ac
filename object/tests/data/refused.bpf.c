/* Programs that need what is not there yet, beside one that does not. */
#define SEC(name) __attribute__((section(name), used))
#define __kconfig __attribute__((section(".kconfig")))
#define __ksym __attribute__((section(".ksyms")))
typedef unsigned int u32;

struct task { int pid; int tgid; } __attribute__((preserve_access_index));

extern int CONFIG_HZ __kconfig;
extern const void runqueues __ksym;
extern int some_kfunc(void *p) __ksym;

SEC("xdp") int plain(void *ctx) { return 2; }
SEC("xdp") int core(struct task *t) { return t->tgid + t->pid; }
SEC("xdp") int kconfig(void *ctx) { return CONFIG_HZ; }
SEC("xdp") int ksym(void *ctx) { return (long)&runqueues >> 3; }
SEC("xdp") int kfunc(void *ctx) { return some_kfunc(ctx); }
SEC("liz") int unknown(void *ctx) { return 0; }
