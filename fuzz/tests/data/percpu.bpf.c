// SPDX-License-Identifier: MIT OR Apache-2.0
// Objects for each CPU, by bpf_percpu_obj_new: `fuzz/tests/percpu.rs` has what Linux says of each program.
// clang-19 -O2 -g -target bpf -mcpu=v3 -c percpu.bpf.c -o percpu.bpf.o && llvm-strip-19 -g percpu.bpf.o
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define ksym __attribute__((section(".ksyms")))
#define percpu_kptr __attribute__((btf_type_tag("percpu_kptr")))
#define kptr __attribute__((btf_type_tag("kptr")))
#define type_id(type) __builtin_btf_type_id(*(type *)0, 0)
#define NEW(type) ((type *)percpu_new(type_id(type), 0))
#define DROP(object) percpu_drop(object, 0)
#define PROGRAM(name) SEC("tc") int name(void *context)

extern void *bpf_percpu_obj_new_impl(u64 id, void *meta) ksym;
extern void bpf_percpu_obj_drop_impl(void *object, void *meta) ksym;
extern void *bpf_obj_new_impl(u64 id, void *meta) ksym;
extern void bpf_obj_drop_impl(void *object, void *meta) ksym;
#define percpu_new bpf_percpu_obj_new_impl
#define percpu_drop bpf_percpu_obj_drop_impl

static void *(*const lookup)(void *map, const void *key) = (void *)1;
static void *(*const per_cpu_ptr)(const void *pointer, u32 cpu) = (void *)153;
static void *(*const this_cpu_ptr)(const void *pointer) = (void *)154;
static void *(*const exchange)(void *field, void *object) = (void *)194;

struct bpf_spin_lock { u32 val; };
struct three { long a, b, c; };
struct one { long a; };
struct pointer { char *p; };
struct lock { struct bpf_spin_lock lock; };
struct bytes600 { char b[600]; };
struct bytes512 { char b[512]; };
struct nested { struct { int a; struct { long b[3]; } in; } m; };
struct flexible { int n; char b[]; };

struct percpu_value { struct three percpu_kptr *object; };
struct plain_value { struct three kptr *object; };
struct { int (*type)[2]; int (*max_entries)[1]; int *key; struct percpu_value *value; } array SEC(".maps");
struct { int (*type)[2]; int (*max_entries)[1]; int *key; struct plain_value *value; } plain SEC(".maps");

#define VALUE(name, type, map) int key = 0; struct type *name = lookup(&map, &key); if (!name) return 0
#define MADE(name, type) struct type *name = NEW(struct type); if (!name) return 0
#define LOADED(name) VALUE(value, percpu_value, array); struct three *name = value->object; if (!name) return 0

PROGRAM(new_drop) { MADE(p, three); DROP(p); return 0; }
PROGRAM(fits) { MADE(p, bytes512); DROP(p); return 0; }
PROGRAM(inner_structures) { MADE(p, nested); DROP(p); return 0; }
PROGRAM(not_dropped) { struct three *p = NEW(struct three); return p != 0; }
PROGRAM(read_itself) { MADE(p, three); long x = p->a; DROP(p); return x; }
PROGRAM(null_dropped) { DROP(NEW(struct three)); return 0; }
PROGRAM(dropped_as_plain) { MADE(p, three); bpf_obj_drop_impl(p, 0); return 0; }
PROGRAM(plain_dropped) { void *p = bpf_obj_new_impl(type_id(struct three), 0); if (!p) return 0; DROP(p); return 0; }
PROGRAM(of_pointer) { MADE(p, pointer); DROP(p); return 0; }
PROGRAM(of_lock) { MADE(p, lock); DROP(p); return 0; }
PROGRAM(of_flexible) { MADE(p, flexible); DROP(p); return 0; }
PROGRAM(too_large) { MADE(p, bytes600); DROP(p); return 0; }
PROGRAM(no_such_type) { void *p = percpu_new(1ULL << 33, 0); if (!p) return 0; DROP(p); return 0; }
PROGRAM(of_number) { void *p = percpu_new(type_id(int), 0); if (!p) return 0; DROP(p); return 0; }
PROGRAM(own_this_cpu) { MADE(p, three); struct three *q = this_cpu_ptr(p); q->a = 1; DROP(p); return 0; }
PROGRAM(dropped_this_cpu) { MADE(p, three); DROP(p); struct three *q = this_cpu_ptr(p); return q->a; }
PROGRAM(exchanged) { VALUE(v, percpu_value, array); MADE(p, three); p = exchange(&v->object, p); if (p) DROP(p); return 0; }
PROGRAM(used_in_map) { VALUE(v, percpu_value, array); MADE(p, three); struct three *old = exchange(&v->object, p); if (old) DROP(old); struct three *q = this_cpu_ptr(p); q->c = 3; return q->b; }
PROGRAM(dropped_in_map) { VALUE(v, percpu_value, array); MADE(p, three); struct three *old = exchange(&v->object, p); if (old) DROP(old); DROP(p); return 0; }
PROGRAM(taken_not_dropped) { VALUE(v, percpu_value, array); return exchange(&v->object, 0) != 0; }
PROGRAM(other_type) { VALUE(v, percpu_value, array); MADE(p, one); void *old = exchange(&v->object, p); if (old) DROP(old); return 0; }
PROGRAM(plain_into_percpu) { VALUE(v, percpu_value, array); void *p = bpf_obj_new_impl(type_id(struct three), 0); if (!p) return 0; p = exchange(&v->object, p); if (p) DROP(p); return 0; }
PROGRAM(percpu_into_plain) { VALUE(v, plain_value, plain); MADE(p, three); void *old = exchange(&v->object, p); if (old) bpf_obj_drop_impl(old, 0); return 0; }
PROGRAM(loaded) { LOADED(p); struct three *q = this_cpu_ptr(p); q->a = 5; q = per_cpu_ptr(p, 0); return q ? q->c : 2; }
PROGRAM(loaded_never_null) { LOADED(p); struct three *q = per_cpu_ptr(p, 7); return q->c; }
PROGRAM(loaded_beyond) { LOADED(p); long *q = per_cpu_ptr(p, 7); return q[3]; }
PROGRAM(loaded_beyond_written) { LOADED(p); long *q = per_cpu_ptr(p, 7); q[3] = 1; return 0; }
PROGRAM(loaded_read) { LOADED(p); return p->a; }
PROGRAM(loaded_null) { VALUE(v, percpu_value, array); struct three *q = this_cpu_ptr(v->object); return q->a; }
PROGRAM(loaded_dropped) { LOADED(p); DROP(p); return 0; }
PROGRAM(loaded_twice) { LOADED(p); struct three *q = this_cpu_ptr(p); q = this_cpu_ptr(q); return q->a; }
PROGRAM(loaded_one_dropped) { LOADED(p); bpf_obj_drop_impl(this_cpu_ptr(p), 0); return 0; }
PROGRAM(stored) { VALUE(v, percpu_value, array); MADE(p, three); *(volatile long *)&v->object = (long)p; return 0; }

char gpl[] SEC("license") = "GPL";
