#include "types.h"

extern int bpf_res_spin_lock(struct bpf_res_spin_lock *lock) __weak __ksym;
extern void bpf_res_spin_unlock(struct bpf_res_spin_lock *lock) __weak __ksym;
extern int bpf_res_spin_lock_irqsave(struct bpf_res_spin_lock *lock, unsigned long *flags__irq_flag) __weak __ksym;
extern void bpf_res_spin_unlock_irqrestore(struct bpf_res_spin_lock *lock, unsigned long *flags__irq_flag) __weak __ksym;
extern void bpf_local_irq_save(unsigned long *) __weak __ksym;
extern void bpf_local_irq_restore(unsigned long *) __weak __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
struct elem { int a; struct bpf_res_spin_lock l; int b; };
struct both { struct bpf_spin_lock s; struct bpf_res_spin_lock l; int b; };
struct se { struct bpf_spin_lock s; int b; };
struct { __uint(type, ARRAY); __uint(max_entries, 4); __type(key,int); __type(value,struct elem);} ar SEC(".maps");
struct { __uint(type, HASH); __uint(max_entries, 4); __type(key,int); __type(value,struct elem);} h SEC(".maps");
struct { __uint(type, ARRAY); __uint(max_entries, 4); __type(key,int); __type(value,struct se);} sa SEC(".maps");
struct bpf_res_spin_lock g1 SEC(".data.A");
struct bpf_res_spin_lock g2 SEC(".data.B");
#define G(m, e) struct elem *e; { int k = 0; e = bpf_map_lookup_elem(&m, &k); if (!e) return 0; }
#define GS(m, e) struct se *e; { int k = 0; e = bpf_map_lookup_elem(&m, &k); if (!e) return 0; }
#define S SEC("tc")
S int l1(void *c) { G(ar, e); if (bpf_res_spin_lock(&e->l)) return 0; e->b = 1; bpf_res_spin_unlock(&e->l); return 0; }
S int l2(void *c) { G(ar, e); int r = bpf_res_spin_lock(&e->l); return 0; }
S int l3(void *c) { G(ar, e); bpf_res_spin_lock(&e->l); bpf_res_spin_unlock(&e->l); return 0; }
S int l4(void *c) { G(ar, e); if (bpf_res_spin_lock(&e->l)) return 0; if (!bpf_res_spin_lock(&e->l)) bpf_res_spin_unlock(&e->l); bpf_res_spin_unlock(&e->l); return 0; }
S int l5(void *c) { G(ar, e); G(ar, f); if (bpf_res_spin_lock(&e->l)) return 0; if (!bpf_res_spin_lock(&f->l)) bpf_res_spin_unlock(&f->l); bpf_res_spin_unlock(&e->l); return 0; }
S int l6(void *c) { G(ar, e); G(ar, f); if (bpf_res_spin_lock(&e->l)) return 0; if (bpf_res_spin_lock(&f->l)) { bpf_res_spin_unlock(&e->l); return 0; } bpf_res_spin_unlock(&e->l); bpf_res_spin_unlock(&f->l); return 0; }
S int l7(void *c) { G(ar, e); G(h, f); if (bpf_res_spin_lock(&e->l)) return 0; bpf_res_spin_unlock(&f->l); return 0; }
S int l8(void *c) { G(ar, e); bpf_res_spin_unlock(&e->l); return 0; }
S int l9(void *c) { if (bpf_res_spin_lock(&g1)) return 0; if (bpf_res_spin_lock(&g2)) { bpf_res_spin_unlock(&g1); return 0; } bpf_res_spin_unlock(&g2); bpf_res_spin_unlock(&g1); return 0; }
S int l10(void *c) { if (bpf_res_spin_lock(&g1)) return 0; if (bpf_res_spin_lock(&g1)) { bpf_res_spin_unlock(&g1); return 0; } bpf_res_spin_unlock(&g1); bpf_res_spin_unlock(&g1); return 0; }
S int l11(void *c) { G(ar, e); GS(sa, s); bpf_spin_lock(&s->s); if (!bpf_res_spin_lock(&e->l)) bpf_res_spin_unlock(&e->l); bpf_spin_unlock(&s->s); return 0; }
S int l12(void *c) { G(ar, e); GS(sa, s); if (bpf_res_spin_lock(&e->l)) return 0; bpf_spin_lock(&s->s); bpf_spin_unlock(&s->s); bpf_res_spin_unlock(&e->l); return 0; }
S int l13(void *c) { G(ar, e); if (bpf_res_spin_lock(&e->l)) return 0; bpf_ktime_get_ns(); bpf_res_spin_unlock(&e->l); return 0; }
S int l14(void *c) { unsigned long f; G(ar, e); if (bpf_res_spin_lock_irqsave(&e->l, &f)) return 0; e->b = 1; bpf_res_spin_unlock_irqrestore(&e->l, &f); return 0; }
S int l15(void *c) { unsigned long f; G(ar, e); if (bpf_res_spin_lock_irqsave(&e->l, &f)) return 0; bpf_res_spin_unlock(&e->l); bpf_local_irq_restore(&f); return 0; }
S int l16(void *c) { unsigned long f; G(ar, e); if (bpf_res_spin_lock_irqsave(&e->l, &f)) return 0; bpf_local_irq_restore(&f); return 0; }
S int l17(void *c) { unsigned long f; G(ar, e); bpf_local_irq_save(&f); if (bpf_res_spin_lock(&e->l)) { bpf_local_irq_restore(&f); return 0;} bpf_res_spin_unlock_irqrestore(&e->l, &f); return 0; }
S int l18(void *c) { unsigned long f, f2; G(ar, e); G(ar, x); if (bpf_res_spin_lock_irqsave(&e->l, &f)) return 0; if (bpf_res_spin_lock_irqsave(&x->l, &f2)) { bpf_res_spin_unlock_irqrestore(&e->l, &f); return 0; } bpf_res_spin_unlock_irqrestore(&x->l, &f2); bpf_res_spin_unlock_irqrestore(&e->l, &f); return 0; }
S int l19(void *c) { unsigned long f, f2; G(ar, e); G(ar, x); if (bpf_res_spin_lock_irqsave(&e->l, &f)) return 0; if (bpf_res_spin_lock_irqsave(&x->l, &f2)) { bpf_res_spin_unlock_irqrestore(&e->l, &f); return 0; } bpf_res_spin_unlock_irqrestore(&x->l, &f); bpf_res_spin_unlock_irqrestore(&e->l, &f2); return 0; }
S int l20(void *c) { int x[4] = {}; BARRIER; if (bpf_res_spin_lock((void*)x)) return 0; bpf_res_spin_unlock((void*)x); return 0; }
S int l21(void *c) { G(ar, e); if (bpf_res_spin_lock((void*)&e->a)) return 0; return 0; }
S int l22(void *c) { GS(sa, e); if (bpf_res_spin_lock((void*)&e->s)) return 0; return 0; }
S int l23(void *c) { G(ar, e); bpf_spin_lock((void*)&e->l); bpf_spin_unlock((void*)&e->l); return 0; }
S int l24(void *c) { int k = 0; struct elem *e = bpf_map_lookup_elem(&h, &k); if (bpf_res_spin_lock((void*)e)) return 0; return 0; }
S int l25(void *c) { G(ar, e); if (bpf_res_spin_lock((void*)&e->l + (bpf_get_prandom_u32() & 3))) return 0; return 0; }
S int l26(void *c) { G(ar, e); int r = bpf_res_spin_lock(&e->l); if (r == 0) bpf_res_spin_unlock(&e->l); return r < -4095 ? 5 : 0; }
S int l27(void *c) { G(ar, e); for (int i = 0; i < 20; i++) { if (bpf_res_spin_lock(&e->l)) continue; e->b++; bpf_res_spin_unlock(&e->l); } return 0; }
S int l28(void *c) { G(ar, e); if (bpf_res_spin_lock(&e->l)) return 0; bpf_rcu_read_lock(); bpf_res_spin_unlock(&e->l); return 0; }
S int l29(void *c) { G(ar, e); e->l.val = 0; return 0; }
SEC("kprobe/do_exit") int l30(void *c) { G(ar, e); if (bpf_res_spin_lock(&e->l)) return 0; bpf_res_spin_unlock(&e->l); return 0; }
SEC("socket") int l31(void *c) { G(ar, e); if (bpf_res_spin_lock(&e->l)) return 0; bpf_res_spin_unlock(&e->l); return 0; }
SEC("tp_btf/task_newtask") int l32(void *c) { G(ar, e); if (bpf_res_spin_lock(&e->l)) return 0; bpf_res_spin_unlock(&e->l); return 0; }
SEC("syscall") int l33(void *c) { G(ar, e); if (bpf_res_spin_lock(&e->l)) return 0; bpf_res_spin_unlock(&e->l); return 0; }
static __attribute__((noinline)) int sub(struct elem *e) { BARRIER; if (bpf_res_spin_lock(&e->l)) return 1; return 0; }
S int l34(void *c) { G(ar, e); if (sub(e)) return 0; bpf_res_spin_unlock(&e->l); return 0; }
__attribute__((noinline)) int gsub(int e) { BARRIER; return e; }
S int l35(void *c) { G(ar, e); if (bpf_res_spin_lock(&e->l)) return 0; gsub(5); bpf_res_spin_unlock(&e->l); return 0; }
S int l36(void *c) { unsigned long f; G(ar, e); bpf_res_spin_lock_irqsave(&e->l, &f); return 0; }
S int l37(void *c) { unsigned long f; G(ar, e); if (bpf_res_spin_lock_irqsave(&e->l, (void*)e)) return 0; return 0; }
S int l38(void *c) { unsigned long f; G(ar, e); if (bpf_res_spin_lock_irqsave(&e->l, &f)) {bpf_local_irq_restore(&f); return 0; } bpf_res_spin_unlock_irqrestore(&e->l, &f); return 0; }

S int l40(void *c) { G(ar, e); if (bpf_res_spin_lock(&e->l)) return 0; struct task_struct *t = bpf_task_acquire((void*)0); bpf_res_spin_unlock(&e->l); return 0; }
SEC("fentry.s/bpf_fentry_test1") int l41(void *c) { G(ar, e); if (bpf_res_spin_lock(&e->l)) return 0; bpf_res_spin_unlock(&e->l); return 0; }
