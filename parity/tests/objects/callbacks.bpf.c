#include "types.h"

// Whole, as a declaration alone fits no structure of the kernel.
struct bpf_map { unsigned int id; };

extern struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
extern int bpf_wq_init(struct bpf_wq *wq, void *p__map, unsigned int flags) __weak __ksym;
extern int bpf_wq_start(struct bpf_wq *wq, unsigned int flags) __weak __ksym;
extern int bpf_wq_set_callback_impl(struct bpf_wq *wq, int (callback_fn)(void *map, int *key, void *value), unsigned int flags__k, void *aux__ign) __ksym;
extern int bpf_task_work_schedule_signal_impl(struct task_struct *task, struct bpf_task_work *tw, void *map__map, int (*callback)(struct bpf_map *map, void *key, void *value), void *aux__prog) __ksym __weak;
extern int bpf_task_work_schedule_resume_impl(struct task_struct *task, struct bpf_task_work *tw, void *map__map, int (*callback)(struct bpf_map *map, void *key, void *value), void *aux__prog) __ksym __weak;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
struct elem { int a; struct bpf_wq w; struct bpf_timer t; int b; };
struct { __uint(type, HASH); __uint(max_entries, 4); __type(key,int); __type(value,struct elem);} h SEC(".maps");
struct { __uint(type, ARRAY); __uint(max_entries, 4); __type(key,int); __type(value,struct elem);} ar SEC(".maps");
struct twe { int a; struct bpf_task_work tw; char data[8]; };
struct { __uint(type, HASH); __uint(max_entries, 4); __type(key,int); __type(value,struct twe);} twm SEC(".maps");
struct { __uint(type, ARRAY); __uint(max_entries, 4); __type(key,int); __type(value,struct twe);} twa SEC(".maps");
struct tel { struct bpf_timer t; };
struct inner { __uint(type, ARRAY); __uint(max_entries, 4); __type(key,int); __type(value,struct tel);} in1 SEC(".maps");
struct { __uint(type, ARRAY_OF_MAPS); __uint(max_entries, 2); __type(key,int); __type(value,int); __array(values, struct inner); } outer SEC(".maps") = { .values = { &in1 } };
struct wel { struct bpf_wq w; };
struct innerw { __uint(type, ARRAY); __uint(max_entries, 4); __type(key,int); __type(value,struct wel);} inw SEC(".maps");
struct { __uint(type, ARRAY_OF_MAPS); __uint(max_entries, 2); __type(key,int); __type(value,int); __array(values, struct innerw); } outerw SEC(".maps") = { .values = { &inw } };

static int wcb(void *map, int *key, void *value) { bpf_copy_from_user(value, 4, 0); return 0; }
static int wcb1(void *map, int *key, void *value) { BARRIER; return 1; }
static int wcb_rec(void *map, int *key, void *value) { struct elem *e = value; bpf_wq_set_callback_impl(&e->w, wcb_rec, 0, 0); bpf_wq_start(&e->w, 0); return 0; }
static int wcb_key(void *map, int *key, void *value) { struct elem *e = value; int k = *key; e->a = k; struct elem *x = bpf_map_lookup_elem(map, &k); if (x) x->b = 1; return 0; }
static int wcb_wq(void *map, int *key, void *value) { struct elem *e = value; e->w.__opaque[0] = 0; return 0; }

#define S SEC("syscall")
#define G(m) int k = 0; struct elem *e = bpf_map_lookup_elem(&m, &k); if (!e) return 0
S int w1(void *c) { G(h); if (bpf_wq_init(&e->w, &h, 0)) return 0; bpf_wq_set_callback_impl(&e->w, wcb, 0, 0); bpf_wq_start(&e->w, 0); return 0; }
S int w2(void *c) { G(h); if (bpf_wq_init(&e->w, &ar, 0)) return 0; return 0; }
S int w3(void *c) { G(h); bpf_wq_set_callback_impl(&e->w, wcb1, 0, 0); return 0; }
S int w4(void *c) { G(h); bpf_wq_set_callback_impl(&e->w, wcb_rec, 0, 0); return 0; }
S int w5(void *c) { G(h); bpf_wq_set_callback_impl(&e->w, wcb_key, 0, 0); return 0; }
S int w6(void *c) { G(h); bpf_wq_set_callback_impl(&e->w, wcb_wq, 0, 0); return 0; }
S int w7(void *c) { G(h); bpf_wq_set_callback_impl((void*)&e->t, wcb, 0, 0); return 0; }
S int w8(void *c) { int k = 0; struct elem *e = bpf_map_lookup_elem(&h, &k); bpf_wq_start(&e->w, 0); return 0; }
S int w9(void *c) { int k[8] = {}; BARRIER; bpf_wq_start((void*)k, 0); return 0; }
S int w10(void *c) { G(h); bpf_wq_start((void*)e + bpf_get_prandom_u32() % 8, 0); return 0; }
S int w11(void *c) { G(h); bpf_wq_init(&e->w, &h, bpf_get_prandom_u32()); bpf_wq_set_callback_impl(&e->w, wcb, bpf_get_prandom_u32(), 0); return 0; }
S int w12(void *c) { G(h); bpf_wq_set_callback_impl(&e->w, (void*)5, 0, 0); return 0; }
S int w13(void *c) { G(h); bpf_wq_set_callback_impl(&e->w, (void*)e, 0, 0); return 0; }
SEC("tc") int w14(struct __sk_buff *c) { G(h); if (bpf_wq_init(&e->w, &h, 0)) return 0; bpf_wq_set_callback_impl(&e->w, wcb, 0, 0); bpf_wq_start(&e->w, 0); return 0; }
SEC("kprobe/do_exit") int w15(void *c) { G(h); bpf_wq_start(&e->w, 0); return 0; }
SEC("tp_btf/task_newtask") int w16(void *c) { G(h); bpf_wq_set_callback_impl(&e->w, wcb, 0, 0); return 0; }
S int w17(void *c) { G(h); bpf_timer_init((void*)&e->w, &h, 1); return 0; }
static int spin(void *map, int *key, void *value) { bpf_rcu_read_lock(); return 0; }
S int w18(void *c) { G(h); bpf_wq_set_callback_impl(&e->w, spin, 0, 0); return 0; }
static int acq(void *map, int *key, void *value) { struct task_struct *t = bpf_task_acquire(bpf_get_current_task_btf()); return 0; }
S int w19(void *c) { G(h); bpf_wq_set_callback_impl(&e->w, acq, 0, 0); return 0; }
static int big(void *map, int *key, void *value) { char b[400]; bpf_probe_read_kernel(b, 400, 0); return 0; }
S int w20(void *c) { char b[400]; bpf_probe_read_kernel(b, 400, 0); G(h); bpf_wq_set_callback_impl(&e->w, big, 0, 0); return 0; }

static int tcb(struct bpf_map *map, void *key, void *value) { bpf_copy_from_user(value, 4, 0); return bpf_get_prandom_u32(); }
static int tcb2(struct bpf_map *map, void *key, void *value) { struct twe *e = value; e->tw.__opaque = 0; return 0; }
static int tcb3(struct bpf_map *map, void *key, void *value) { long r; asm volatile("%0 = 5 ll" : "=r"(r)); return r; }
#define GT(m) int k = 0; struct twe *e = bpf_map_lookup_elem(&m, &k); if (!e) return 0
#define CUR bpf_get_current_task_btf()
SEC("tp_btf/task_newtask") int t1(u64 *ctx) { struct task_struct *task = (typeof(struct task_struct *))ctx[0]; u64 f = (typeof(u64))ctx[1]; GT(twm); bpf_task_work_schedule_signal_impl(task, &e->tw, &twm, tcb, 0); return 0; }
SEC("perf_event") int t2(void *ctx) { GT(twm); bpf_task_work_schedule_resume_impl(CUR, &e->tw, &twm, tcb, 0); return 0; }
SEC("perf_event") int t3(void *ctx) { GT(twm); bpf_task_work_schedule_resume_impl(CUR, &e->tw, &twa, tcb, 0); return 0; }
SEC("perf_event") int t4(void *ctx) { GT(twm); bpf_task_work_schedule_resume_impl(CUR, &e->tw, &twm, tcb2, 0); return 0; }
SEC("perf_event") int t5(void *ctx) { GT(twm); bpf_task_work_schedule_resume_impl(CUR, (void*)&e->a, &twm, tcb, 0); return 0; }
SEC("perf_event") int t6(void *ctx) { GT(twm); bpf_task_work_schedule_resume_impl(0, &e->tw, &twm, tcb, 0); return 0; }
SEC("perf_event") int t7(void *ctx) { int k = 0; struct twe *e = bpf_map_lookup_elem(&twm, &k); bpf_task_work_schedule_resume_impl(CUR, &e->tw, &twm, tcb, 0); return 0; }
SEC("perf_event") int t8(void *ctx) { int k[4] = {}; BARRIER; bpf_task_work_schedule_resume_impl(CUR, (void*)k, &twm, tcb, 0); return 0; }
SEC("perf_event") int t9(void *ctx) { GT(twm); bpf_task_work_schedule_resume_impl(CUR, &e->tw, 0, tcb, 0); return 0; }
SEC("perf_event") int t10(void *ctx) { GT(twm); bpf_task_work_schedule_resume_impl(CUR, &e->tw, &twm, 0, 0); return 0; }
SEC("perf_event") int t11(void *ctx) { GT(twm); bpf_task_work_schedule_resume_impl(CUR, &e->tw, &twm, tcb3, 0); return 0; }

static int fv(struct task_struct *task, struct vm_area_struct *vma, void *data) { *(long*)data = vma->vm_start; return task->pid & 1; }
static int fv2(struct task_struct *task, struct vm_area_struct *vma, void *data) { return 2; }
static int fv3(struct task_struct *task, struct vm_area_struct *vma, void *data) { *(volatile long*)vma = 1; return 0; }
static int fv4(struct task_struct *task, struct vm_area_struct *vma, void *data) { bpf_task_release(task); return 0; }
SEC("tp_btf/task_newtask") int v1(u64 *ctx) { struct task_struct *task = (typeof(struct task_struct *))ctx[0]; u64 f = (typeof(u64))ctx[1]; long d = 0; bpf_find_vma(task, 5, fv, &d, 0); return 0; }
SEC("tp_btf/task_newtask") int v2(u64 *ctx) { struct task_struct *task = (typeof(struct task_struct *))ctx[0]; u64 f = (typeof(u64))ctx[1]; long d = 0; bpf_find_vma(task, 5, fv2, &d, 0); return 0; }
SEC("tp_btf/task_newtask") int v3(u64 *ctx) { struct task_struct *task = (typeof(struct task_struct *))ctx[0]; u64 f = (typeof(u64))ctx[1]; long d = 0; bpf_find_vma(task, 5, fv3, &d, 0); return 0; }
SEC("tp_btf/task_newtask") int v4(u64 *ctx) { struct task_struct *task = (typeof(struct task_struct *))ctx[0]; u64 f = (typeof(u64))ctx[1]; long d = 0; bpf_find_vma(task, 5, fv4, &d, 0); return 0; }
SEC("tp_btf/task_newtask") int v5(u64 *ctx) { struct task_struct *task = (typeof(struct task_struct *))ctx[0]; u64 f = (typeof(u64))ctx[1]; long d = 0; bpf_find_vma((void*)&d, 5, fv, &d, 0); return 0; }
SEC("tp_btf/task_newtask") int v6(u64 *ctx) { struct task_struct *task = (typeof(struct task_struct *))ctx[0]; u64 f = (typeof(u64))ctx[1]; long d = 0; bpf_find_vma(task, 5, fv, task, 0); return 0; }
SEC("tp_btf/task_newtask") int v7(u64 *ctx) { struct task_struct *task = (typeof(struct task_struct *))ctx[0]; u64 f = (typeof(u64))ctx[1]; bpf_find_vma(task, 5, fv, 0, 0); return 0; }
SEC("tp_btf/task_newtask") int v8(u64 *ctx) { struct task_struct *task = (typeof(struct task_struct *))ctx[0]; u64 f = (typeof(u64))ctx[1]; bpf_find_vma(task, 5, fv2, 0, f); return 0; }
static int fv9(struct task_struct *task, struct vm_area_struct *vma, long *data) { *data += 8; return 0; }
SEC("tp_btf/task_newtask") int v9(u64 *ctx) { struct task_struct *task = (typeof(struct task_struct *))ctx[0]; u64 f = (typeof(u64))ctx[1]; long d = 0; bpf_find_vma(task, 5, fv9, &d, 0); char *x = (void*)&d; BARRIER; bpf_probe_read_kernel(&d, 1, (void *)(long)x[d & 8]); return 0; }
SEC("tp_btf/task_newtask") int v10(u64 *ctx) { struct task_struct *task = (typeof(struct task_struct *))ctx[0]; u64 f = (typeof(u64))ctx[1]; long d = 0; bpf_find_vma(task, 5, fv9, &d, 0); return d == 0 ? 0 : 0; }
SEC("xdp") int v11(void *c) { long d = 0; bpf_find_vma(CUR, 5, fv, &d, 0); return 0; }
SEC("kprobe/do_exit") int v12(void *c) { long d = 0; bpf_find_vma(CUR, 5, fv, &d, 0); return 0; }

static int timer_cb(void *map, int *key, struct tel *v) { bpf_timer_start(&v->t, 1, 0); return 0; }
#define GI(o, var) struct inner *var; { int z = 0; var = bpf_map_lookup_elem(&o, &z); if (!var) return 0; }
S int m1(void *c) { GI(outer, i) int k = 0; struct tel *v = bpf_map_lookup_elem(i, &k); if (!v) return 0; bpf_timer_init(&v->t, i, 1); bpf_timer_set_callback(&v->t, timer_cb); bpf_timer_start(&v->t, 1, 0); return 0; }
S int m2(void *c) { GI(outer, i) GI(outer, j) int k = 0; struct tel *v = bpf_map_lookup_elem(i, &k); if (!v) return 0; bpf_timer_init(&v->t, j, 1); return 0; }
S int m3(void *c) { GI(outer, i) int k = 0; struct tel *v = bpf_map_lookup_elem(i, &k); if (!v) return 0; bpf_timer_init(&v->t, &in1, 1); return 0; }
S int m4(void *c) { GI(outer, i) int k = 0; struct tel *v = bpf_map_lookup_elem(&in1, &k); if (!v) return 0; bpf_timer_init(&v->t, i, 1); return 0; }
S int m5(void *c) { int z = 0; struct inner *i = bpf_map_lookup_elem(&outer, &z); if (!i) return 0; struct inner *j = i; if (bpf_get_prandom_u32()) { j = bpf_map_lookup_elem(&outer, &z); if (!j) return 0; } int k = 0; struct tel *v = bpf_map_lookup_elem(i, &k); if (!v) return 0; bpf_timer_init(&v->t, j, 1); return 0; }
S int m6(void *c) { struct innerw *i; int z = 0; i = bpf_map_lookup_elem(&outerw, &z); if (!i) return 0; int k = 0; struct wel *v = bpf_map_lookup_elem(i, &k); if (!v) return 0; bpf_wq_init(&v->w, i, 0);  return 0; }
S int m7(void *c) { struct innerw *i, *j; int z = 0; i = bpf_map_lookup_elem(&outerw, &z); if (!i) return 0; j = bpf_map_lookup_elem(&outerw, &z); if (!j) return 0; int k = 0; struct wel *v = bpf_map_lookup_elem(i, &k); if (!v) return 0; bpf_wq_init(&v->w, j, 0);  return 0; }
S int m8(void *c) { GI(outer, i) int k = 0; struct tel *v; for (int n = 0; n < 100; n++) { v = bpf_map_lookup_elem(i, &k); if (!v) return 0; BARRIER; bpf_timer_start(&v->t, n, 0); BARRIER; } return 0; }
static long fe(struct bpf_map *map, int *key, struct tel *v, void *c) { bpf_timer_init(&v->t, map, 1); return 0; }
S int m9(void *c) { bpf_for_each_map_elem(&in1, fe, 0, 0); return 0; }
S int m10(void *c) { GI(outer, i) bpf_for_each_map_elem(i, fe, 0, 0); return 0; }
static long fe2(struct bpf_map *map, int *key, struct tel *v, struct inner **c) { bpf_timer_init(&v->t, *c, 1); return 0; }
S int m11(void *c) { GI(outer, i) GI(outer, j) bpf_for_each_map_elem(i, fe2, &j, 0); return 0; }
