/* What the programs here need of Linux's types. */
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
typedef int s32; typedef long long s64; typedef u8 __u8; typedef u16 __u16; typedef u32 __u32; typedef u64 __u64;
typedef s32 __s32; typedef s64 __s64; typedef u16 __be16; typedef u32 __be32; typedef u32 __wsum;
#define __ksym __attribute__((section(".ksyms")))
#define __weak __attribute__((weak))
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
#define CORE __attribute__((preserve_access_index))
#define TAG(x) __attribute__((btf_decl_tag("arg:" #x)))
#define KPTR __attribute__((btf_type_tag("kptr")))
#define CONTAINS(name, node) __attribute__((btf_decl_tag("contains:" #name ":" #node)))
#define NI __attribute__((noinline))
#define BARRIER __asm__ volatile("" ::: "memory")
enum { HASH = 1, ARRAY = 2, ARRAY_OF_MAPS = 12, RINGBUF = 27, ARENA = 33 };
struct bpf_map;
struct mm_struct;
struct task_struct { int pid; struct mm_struct *mm; struct task_struct *parent; struct task_struct *real_parent; } CORE;
struct vm_area_struct { u64 vm_start; } CORE;
struct __sk_buff { u32 len; };
struct pt_regs { u64 r15; };
typedef struct pt_regs bpf_user_pt_regs_t;
struct bpf_iter__task { void *meta; struct task_struct *task; };
struct bpf_dynptr { u64 __opaque[2]; } __attribute__((aligned(8)));
struct bpf_timer { u64 __opaque[2]; } __attribute__((aligned(8)));
struct bpf_wq { u64 __opaque[2]; } __attribute__((aligned(8)));
struct bpf_task_work { u64 __opaque; } __attribute__((aligned(8)));
struct bpf_spin_lock { u32 val; };
struct bpf_res_spin_lock { u32 val; };
struct bpf_refcount { u32 __opaque[1]; } __attribute__((aligned(4)));
struct bpf_list_head { u64 __opaque[2]; } __attribute__((aligned(8)));
struct bpf_list_node { u64 __opaque[3]; } __attribute__((aligned(8)));
struct bpf_rb_root { u64 __opaque[2]; } __attribute__((aligned(8)));
struct bpf_rb_node { u64 __opaque[4]; } __attribute__((aligned(8)));
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static u32 (*const bpf_get_prandom_u32)(void) = (void *)7;
static long (*const bpf_spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*const bpf_spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;
static long (*const bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*const bpf_ringbuf_reserve_dynptr)(void *ring, u32 size, u64 flags, struct bpf_dynptr *at) = (void *)198;
static void (*const bpf_ringbuf_discard_dynptr)(struct bpf_dynptr *at, u64 flags) = (void *)200;
static long (*const bpf_dynptr_read)(void *to, u32 len, const struct bpf_dynptr *from, u32 off, u64 flags) = (void *)201;
static long (*const bpf_dynptr_write)(const struct bpf_dynptr *to, u32 off, void *from, u32 len, u64 flags) = (void *)202;
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;
static long (*const bpf_for_each_map_elem)(void *map, void *callback, void *context, u64 flags) = (void *)164;
static long (*const bpf_timer_init)(struct bpf_timer *timer, void *map, u64 flags) = (void *)169;
static long (*const bpf_timer_set_callback)(struct bpf_timer *timer, void *callback) = (void *)170;
static long (*const bpf_timer_start)(struct bpf_timer *timer, u64 ns, u64 flags) = (void *)171;
static long (*const bpf_find_vma)(struct task_struct *task, u64 at, void *callback, void *context, u64 flags) = (void *)180;
static void *(*const bpf_kptr_xchg)(void *field, void *value) = (void *)194;
static long (*const bpf_copy_from_user)(void *to, u32 size, const void *from) = (void *)148;
char _license[] SEC("license") = "GPL";
