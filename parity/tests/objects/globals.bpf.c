#include "types.h"

#define AS __attribute__((address_space(1)))
extern struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
struct { __uint(type, RINGBUF); __uint(max_entries, 4096); } rb SEC(".maps");
struct { __uint(type, ARRAY); __uint(max_entries, 1); __type(key,int); __type(value,long);} arr SEC(".maps");

NI int g_trusted(struct task_struct *t TAG(trusted)) { __asm__ volatile("":::"memory"); return t->pid; }
NI int g_trusted_null(struct task_struct *t TAG(trusted) TAG(nullable)) { __asm__ volatile("":::"memory"); if (!t) return 0; return t->pid; }
NI int g_trusted_null_bad(struct task_struct *t TAG(trusted) TAG(nullable)) { __asm__ volatile("":::"memory"); return t->pid; }
NI int g_trusted_acq(struct task_struct *t TAG(trusted)) { __asm__ volatile("":::"memory"); struct task_struct *x = bpf_task_acquire(t); if (x) bpf_task_release(x); return 0; }
NI int g_trusted_release(struct task_struct *t TAG(trusted)) { __asm__ volatile("":::"memory"); bpf_task_release(t); return 0; }
struct task_struct___flav { int pid; } __attribute__((preserve_access_index));
NI int g_flavor(struct task_struct___flav *t TAG(trusted)) { __asm__ volatile("":::"memory"); return t->pid; }
struct nosuchstruct { int x; };
NI int g_nomatch(struct nosuchstruct *t TAG(trusted)) { __asm__ volatile("":::"memory"); return !!t; }
NI int g_ambig(struct nf_conn *t TAG(trusted)) { __asm__ volatile("":::"memory"); return !!t; }
NI int g_void(void *t TAG(trusted)) { __asm__ volatile("":::"memory"); return !!t; }
NI int g_trusted_nonnull(struct task_struct *t TAG(trusted) TAG(nonnull)) { __asm__ volatile("":::"memory"); return t->pid; }
NI int g_untrusted(struct task_struct *t TAG(untrusted)) { __asm__ volatile("":::"memory"); return t->pid; }
NI int g_untrusted_w(struct task_struct *t TAG(untrusted)) { __asm__ volatile("":::"memory"); t->pid = 1; return 0; }
NI int g_untrusted_acq(struct task_struct *t TAG(untrusted)) { __asm__ volatile("":::"memory"); struct task_struct *x = bpf_task_acquire(t); if (x) bpf_task_release(x); return 0; }
NI int g_untr_void(void *t TAG(untrusted)) { __asm__ volatile("":::"memory"); return *(int*)t; }
NI int g_untr_char(char *t TAG(untrusted)) { __asm__ volatile("":::"memory"); return t[1000]; }
NI int g_untr_charw(char *t TAG(untrusted)) { __asm__ volatile("":::"memory"); t[1000] = 1; return 0; }
NI int g_untr_pp(char **t TAG(untrusted)) { __asm__ volatile("":::"memory"); return !!t; }
NI int g_untr_nullable(char *t TAG(untrusted) TAG(nullable)) { __asm__ volatile("":::"memory"); return t[1000]; }
NI int g_untr_local(struct nosuchstruct *t TAG(untrusted)) { __asm__ volatile("":::"memory"); return t->x; }
NI int g_arena(void *t TAG(arena)) { __asm__ volatile("":::"memory"); return !!t; }
NI int g_arena_nn(void *t TAG(arena) TAG(nonnull)) { __asm__ volatile("":::"memory"); return !!t; }
NI int g_nullable(int *t TAG(nullable)) { __asm__ volatile("":::"memory"); return !!t; }
NI int g_nonnull(int *t TAG(nonnull)) { __asm__ volatile("":::"memory"); return *t; }
NI int g_mem(int *t) { __asm__ volatile("":::"memory"); if (!t) return 0; return *t; }
NI int g_unknown(int *t TAG(whatever)) { __asm__ volatile("":::"memory"); return !!t; }
NI int g_tagint(int t TAG(nonnull)) { __asm__ volatile("":::"memory"); return t; }
NI int g_dynptr(struct bpf_dynptr *d) { __asm__ volatile("":::"memory"); char b[8]; return bpf_dynptr_read(b, 8, d, 0, 0); }
NI int g_dynptr_w(struct bpf_dynptr *d) { __asm__ volatile("":::"memory"); char b[8] = {}; return bpf_dynptr_write(d, 0, b, 8, 0); }
NI int g_dynptr_tag(struct bpf_dynptr *d TAG(nonnull)) { __asm__ volatile("":::"memory"); char b[8]; return bpf_dynptr_read(b, 8, d, 0, 0); }
NI int g_ctx(void *c TAG(ctx)) { __asm__ volatile("":::"memory"); return !!c; }
NI int g_ctx_u64(u64 *c TAG(ctx)) { __asm__ volatile("":::"memory"); return c[0]; }
NI int g_ctx_bad(struct task_struct *c TAG(ctx)) { __asm__ volatile("":::"memory"); return !!c; }
NI int g_ctx_nn(void *c TAG(ctx) TAG(nonnull)) { __asm__ volatile("":::"memory"); return !!c; }
NI int g_fwd(struct nodef *c) { __asm__ volatile("":::"memory"); return !!c; }
NI int g_voidp(void *c) { __asm__ volatile("":::"memory"); return !!c; }
NI int g_bigarr(int (*c)[4]) { __asm__ volatile("":::"memory"); return c ? (*c)[3] : 0; }
struct S { int a; }; 
NI int g_struct(struct S s) { __asm__ volatile("":::"memory"); return s.a; }
NI int g_float(float f) { __asm__ volatile("":::"memory"); return 1; }

#define CUR bpf_get_current_task_btf()
#define P(name, expr) SEC("tp_btf/task_newtask") int name(u64 *ctx) { struct task_struct *task = (typeof(struct task_struct *))ctx[0]; u64 flags = (typeof(u64))ctx[1]; expr; return 0; }
P(c1, g_trusted(task))
P(c2, g_trusted(CUR))
P(c3, g_trusted(task->parent))
P(c4, g_trusted_null(task))
P(c5, g_trusted_null(0))
P(c6, g_trusted(0))
P(c7, g_trusted_null_bad(task))
P(c8, g_trusted_acq(task))
P(c9, g_trusted_release(task))
P(c10, g_flavor((void*)task))
P(c11, g_nomatch((void*)task))
P(c12, g_ambig((void*)task))
P(c13, g_void(task))
P(c14, g_trusted_nonnull(task))
P(c15, g_untrusted(task))
P(c16, g_untrusted_w(task))
P(c17, g_untrusted_acq(task))
P(c18, g_untr_void(task))
P(c19, g_untr_char((void*)5))
P(c20, g_untr_charw((void*)5))
P(c21, g_untr_pp((void*)5))
P(c23, g_untr_nullable((void*)5))
P(c24, g_untr_local((void*)5))
P(c25, g_arena((void*)5))
P(c26, g_arena(task))
P(c27, g_arena_nn((void*)5))
P(c28, g_nullable(0))
P(c29, g_nonnull(0))
P(c30, int x = 1; BARRIER; g_nonnull(&x))
P(c31, int k = 0; int *v = bpf_map_lookup_elem(&arr, &k); g_nonnull(v))
P(c32, int k = 0; int *v = bpf_map_lookup_elem(&arr, &k); g_mem(v))
P(c33, g_unknown(0))
P(c34, g_tagint(0))
P(c35, struct bpf_dynptr d; bpf_ringbuf_reserve_dynptr(&rb, 8, 0, &d); g_dynptr(&d); bpf_ringbuf_discard_dynptr(&d, 0))
P(c36, struct bpf_dynptr d; bpf_ringbuf_reserve_dynptr(&rb, 8, 0, &d); g_dynptr_w(&d); bpf_ringbuf_discard_dynptr(&d, 0))
P(c37, struct bpf_dynptr d; bpf_ringbuf_reserve_dynptr(&rb, 8, 0, &d); g_dynptr_tag(&d); bpf_ringbuf_discard_dynptr(&d, 0))
P(c38, struct bpf_dynptr d; bpf_ringbuf_reserve_dynptr(&rb, 8, 0, &d); g_dynptr((void*)&d + 8); bpf_ringbuf_discard_dynptr(&d, 0))
P(c39, g_dynptr((void*)task))
P(c40, struct bpf_dynptr d = {}; BARRIER; g_dynptr(&d))
P(c41, g_ctx(ctx))
P(c42, g_ctx_u64(ctx))
P(c43, g_ctx_bad((void*)ctx))
P(c44, g_ctx_nn(ctx))
P(c45, g_fwd(0))
P(c46, g_voidp(0))
P(c47, g_bigarr(0))
P(c48, g_trusted((void*)task->mm))
P(c49, g_trusted((void*)task + 8))
P(c50, bpf_rcu_read_lock(); g_trusted(task->real_parent); bpf_rcu_read_unlock())
P(c51, g_untrusted(0))
P(c52, g_trusted(ctx))
P(c53, g_ctx((void*)task))
P(c54, g_trusted((void*)&rb))
SEC("fentry/do_exit") int f1(u64 *ctx) { struct task_struct *task = (typeof(struct task_struct *))ctx[0]; return g_trusted(task->parent); }
SEC("kprobe/do_exit") int k1(struct pt_regs *ctx) { return g_ctx(ctx); }
SEC("kprobe/do_exit") int k2(struct pt_regs *ctx) { return g_ctx_u64((void*)ctx); }
NI int g_regs(struct pt_regs *c) { __asm__ volatile("":::"memory"); return c->r15; }
NI int g_uregs(bpf_user_pt_regs_t *c TAG(ctx)) { __asm__ volatile("":::"memory"); return c->r15; }
SEC("kprobe/do_exit") int k3(struct pt_regs *ctx) { return g_regs(ctx); }
SEC("kprobe/do_exit") int k4(struct pt_regs *ctx) { return g_uregs(ctx); }
SEC("perf_event") int pe1(struct bpf_perf_event_data *ctx) { return g_uregs((void*)ctx); }
NI int g_skb(struct __sk_buff *c) { __asm__ volatile("":::"memory"); return c->len; }
NI int g_kskb(struct sk_buff *c) { __asm__ volatile("":::"memory"); return !!c; }
NI int g_skbctx(struct sk_buff *c TAG(ctx)) { __asm__ volatile("":::"memory"); return !!c; }
SEC("tc") int t1(struct __sk_buff *ctx) { return g_skb(ctx); }
SEC("tc") int t2(struct __sk_buff *ctx) { return g_kskb((void*)ctx); }
SEC("tc") int t3(struct __sk_buff *ctx) { return g_skbctx((void*)ctx); }
SEC("tc") int t4(struct __sk_buff *ctx) { return g_ctx_u64((void*)ctx); }
SEC("xdp") int x1(struct xdp_md *ctx) { return g_ctx(ctx); }
SEC("xdp") int x2(struct xdp_md *ctx) { return g_skb((void*)ctx); }
SEC("raw_tp/sys_enter") int r1(void *ctx) { return g_ctx_u64(ctx); }
SEC("tp/syscalls/sys_enter_write") int tp1(void *ctx) { return g_ctx_u64(ctx); }
SEC("syscall") int s1(void *ctx) { return g_ctx_u64(ctx); }
SEC("iter/task") int i1(struct bpf_iter__task *ctx) { return 0 * g_ctx_u64((void*)ctx); }
NI int g_iter(struct bpf_iter__task *c TAG(ctx)) { __asm__ volatile("":::"memory"); struct task_struct *t = c->task; if (!t) return 0; return 0 * t->pid; }
SEC("iter/task") int i2(struct bpf_iter__task *ctx) { return g_iter(ctx) & 1; }
SEC("tp_btf/task_newtask") __attribute__((naked)) int uninit1(void) { __asm__ volatile("call g_untrusted; r0 = 0; exit;"); }
SEC("tp_btf/task_newtask") __attribute__((naked)) int uninit2(void) { __asm__ volatile("r1 = *(u64*)(r10-8); r2 = 1; call %[s]; call g_mem; r0 = 0; exit;" :: [s]"i"(5)); }
SEC("tp_btf/task_newtask") __attribute__((naked)) int uninit3(void) { __asm__ volatile("call 5; call g_tagint2; r0 = 0; exit;" ); }
SEC("tp_btf/task_newtask") __attribute__((naked)) int uninit4(void) { __asm__ volatile("call 5; call g_untrusted; r0 = 0; exit;" ); }
NI int g_tagint2(int t) { __asm__ volatile("":::"memory"); return t; }
SEC("tc") int keep(struct __sk_buff *c) { struct S s = {c->len}; return g_tagint2(5); }
struct { __uint(type, ARENA); __uint(map_flags, 1024); __uint(max_entries, 10);} arena SEC(".maps");
NI int g_arena2(char AS *t TAG(arena), int k) { __asm__ volatile(""::"r"(&arena):"memory"); return t[k]; }
P(a1, __asm__ volatile(""::"r"(&arena):"memory"); g_arena2((void AS*)bpf_get_prandom_u32(), 1))
P(a2, __asm__ volatile(""::"r"(&arena):"memory"); g_arena2((void AS*)bpf_get_prandom_u32()+3, 2))
P(a3, __asm__ volatile("r1 = %0; r2 = 0; call g_arena2"::"r"(ctx):"r1","r0","r2","r3","r4","r5"))
P(a4, __asm__ volatile("r1 = %0; r1 = addr_space_cast(r1,0,1); r2 = 0; call g_arena2"::"r"(task):"r1","r0","r2","r3","r4","r5"))
P(a5, __asm__ volatile("r1 = 0; call g_nonnull"::"r"(task):"r1","r0","r2","r3","r4","r5"))
