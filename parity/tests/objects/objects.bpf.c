#include "types.h"

extern void *bpf_obj_new_impl(u64 local_type_id, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *kptr, void *meta) __ksym;
extern void *bpf_refcount_acquire_impl(void *kptr, void *meta) __ksym;
extern int bpf_list_push_front_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta, u64 off) __ksym;
extern struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) __ksym;
extern struct bpf_list_node *bpf_list_front(struct bpf_list_head *head) __ksym;
extern int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
			       _Bool (less)(struct bpf_rb_node *a, const struct bpf_rb_node *b), void *meta, u64 off) __ksym;
extern struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) __ksym;
extern struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root, struct bpf_rb_node *node) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
#define bpf_core_type_id_local(type) __builtin_btf_type_id(*(typeof(type) *)0, 0)
#define new(type) ((type *)bpf_obj_new_impl(bpf_core_type_id_local(type), 0))
#define drop(p) bpf_obj_drop_impl(p, 0)
#define container_of(ptr, type, member) ((type *)((void *)(ptr) - __builtin_offsetof(type, member)))
#define S SEC("tc")

struct plain { u64 a; void *p; };
struct item { u64 key; struct bpf_list_node node; };
struct leaf { u64 key; struct bpf_rb_node node; };
struct shared { u64 key; struct bpf_refcount ref; struct bpf_list_node list; struct bpf_rb_node tree; };
struct locked { struct bpf_spin_lock lock; struct bpf_list_head items CONTAINS(item, node); u64 n; };
struct place { struct plain KPTR *kept; };
struct { __uint(type, ARRAY); __uint(max_entries, 1); __type(key, int); __type(value, struct place); } places SEC(".maps");
#define PRIVATE(name) SEC(".data." #name) __attribute__((visibility("hidden"), aligned(8)))
PRIVATE(A) struct bpf_spin_lock la;
PRIVATE(A) struct bpf_list_head items CONTAINS(item, node);
PRIVATE(A) struct bpf_rb_root leaves CONTAINS(leaf, node);
PRIVATE(A) struct bpf_list_head shared_items CONTAINS(shared, list);
PRIVATE(A) struct bpf_rb_root shared_leaves CONTAINS(shared, tree);
PRIVATE(B) struct bpf_spin_lock lb;

S int make(void *c) { struct plain *p = new(struct plain); if (!p) return 0; p->a = 1; u64 a = p->a; drop(p); return a & 1; }
S int make_leak(void *c) { new(struct plain); return 0; }
S int make_unchecked(void *c) { struct plain *p = new(struct plain); p->a = 1; return 0; }
S int drop_twice(void *c) { struct plain *p = new(struct plain); if (!p) return 0; drop(p); drop(p); return 0; }
S int use_dropped(void *c) { struct plain *p = new(struct plain); if (!p) return 0; drop(p); return p->a; }
S int drop_inside(void *c) { struct plain *p = new(struct plain); if (!p) return 0; drop((void *)p + 8); return 0; }
S int drop_stack(void *c) { u64 x = 0; drop(&x); return 0; }
S int make_a_number(void *c) { int *p = new(int); if (p) drop(p); return 0; }
S int beyond(void *c) { struct plain *p = new(struct plain); if (!p) return 0; *(volatile u64 *)((void *)p + 16) = 1; drop(p); return 0; }
S int touch_node(void *c) { struct item *i = new(struct item); if (!i) return 0; *(volatile u64 *)&i->node = 1; drop(i); return 0; }
S int push(void *c) { struct item *i = new(struct item); if (!i) return 0; bpf_spin_lock(&la); bpf_list_push_front_impl(&items, &i->node, 0, 0); i->key = 1; bpf_spin_unlock(&la); return 0; }
S int push_use_after(void *c) { struct item *i = new(struct item); if (!i) return 0; bpf_spin_lock(&la); bpf_list_push_front_impl(&items, &i->node, 0, 0); bpf_spin_unlock(&la); return i->key; }
S int push_drop(void *c) { struct item *i = new(struct item); if (!i) return 0; bpf_spin_lock(&la); bpf_list_push_front_impl(&items, &i->node, 0, 0); bpf_spin_unlock(&la); drop(i); return 0; }
S int push_twice(void *c) { struct item *i = new(struct item); if (!i) return 0; bpf_spin_lock(&la); bpf_list_push_front_impl(&items, &i->node, 0, 0); bpf_list_push_front_impl(&items, &i->node, 0, 0); bpf_spin_unlock(&la); return 0; }
S int push_unlocked(void *c) { struct item *i = new(struct item); if (!i) return 0; bpf_list_push_front_impl(&items, &i->node, 0, 0); return 0; }
S int push_other_lock(void *c) { struct item *i = new(struct item); if (!i) return 0; bpf_spin_lock(&lb); bpf_list_push_front_impl(&items, &i->node, 0, 0); bpf_spin_unlock(&lb); return 0; }
S int push_other_type(void *c) { struct shared *i = new(struct shared); if (!i) return 0; bpf_spin_lock(&la); bpf_list_push_front_impl(&items, &i->list, 0, 0); bpf_spin_unlock(&la); return 0; }
S int push_no_node(void *c) { struct item *i = new(struct item); if (!i) return 0; bpf_spin_lock(&la); bpf_list_push_front_impl(&items, (void *)i, 0, 0); bpf_spin_unlock(&la); return 0; }
S int push_no_head(void *c) { struct item *i = new(struct item); if (!i) return 0; bpf_spin_lock(&la); bpf_list_push_front_impl((void *)&leaves, &i->node, 0, 0); bpf_spin_unlock(&la); return 0; }
S int pop(void *c) { bpf_spin_lock(&la); struct bpf_list_node *n = bpf_list_pop_front(&items); bpf_spin_unlock(&la); if (!n) return 0; drop(container_of(n, struct item, node)); return 0; }
S int pop_leak(void *c) { bpf_spin_lock(&la); struct bpf_list_node *n = bpf_list_pop_front(&items); bpf_spin_unlock(&la); return 0; }
S int pop_node(void *c) { bpf_spin_lock(&la); struct bpf_list_node *n = bpf_list_pop_front(&items); bpf_spin_unlock(&la); if (!n) return 0; drop(n); return 0; }
S int front(void *c) { u64 k = 0; bpf_spin_lock(&la); struct bpf_list_node *n = bpf_list_front(&items); if (n) k = container_of(n, struct item, node)->key; bpf_spin_unlock(&la); return k & 1; }
S int front_after(void *c) { bpf_spin_lock(&la); struct bpf_list_node *n = bpf_list_front(&items); if (!n) { bpf_spin_unlock(&la); return 0; } bpf_spin_unlock(&la); return container_of(n, struct item, node)->key; }
S int front_drop(void *c) { bpf_spin_lock(&la); struct bpf_list_node *n = bpf_list_front(&items); bpf_spin_unlock(&la); if (n) drop(container_of(n, struct item, node)); return 0; }
static _Bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b) { return container_of(a, struct leaf, node)->key < container_of(b, struct leaf, node)->key; }
static _Bool less_remove(struct bpf_rb_node *a, const struct bpf_rb_node *b) { bpf_rbtree_remove(&leaves, a); return 0; }
static _Bool less_unlock(struct bpf_rb_node *a, const struct bpf_rb_node *b) { bpf_spin_unlock(&la); return 0; }
static _Bool less_add(struct bpf_rb_node *a, const struct bpf_rb_node *b) { bpf_rbtree_add_impl(&leaves, a, less, 0, 0); return 0; }
#define ADD(cmp) struct leaf *l = new(struct leaf); if (!l) return 0; bpf_spin_lock(&la); bpf_rbtree_add_impl(&leaves, &l->node, cmp, 0, 0)
S int add(void *c) { ADD(less); l->key = 1; bpf_spin_unlock(&la); return 0; }
S int add_remove_inside(void *c) { ADD(less_remove); bpf_spin_unlock(&la); return 0; }
S int add_unlock_inside(void *c) { ADD(less_unlock); bpf_spin_unlock(&la); return 0; }
S int add_add_inside(void *c) { ADD(less_add); bpf_spin_unlock(&la); return 0; }
S int add_remove(void *c) { ADD(less); struct bpf_rb_node *n = bpf_rbtree_remove(&leaves, &l->node); bpf_spin_unlock(&la); if (n) drop(container_of(n, struct leaf, node)); return 0; }
S int first_remove(void *c) { struct bpf_rb_node *n; bpf_spin_lock(&la); n = bpf_rbtree_first(&leaves); if (!n) { bpf_spin_unlock(&la); return 0; } n = bpf_rbtree_remove(&leaves, n); bpf_spin_unlock(&la); if (n) drop(container_of(n, struct leaf, node)); return 0; }
S int first_remove_leak(void *c) { struct bpf_rb_node *n; bpf_spin_lock(&la); n = bpf_rbtree_first(&leaves); if (!n) { bpf_spin_unlock(&la); return 0; } bpf_rbtree_remove(&leaves, n); bpf_spin_unlock(&la); return 0; }
S int first_unchecked(void *c) { bpf_spin_lock(&la); struct bpf_rb_node *n = bpf_rbtree_first(&leaves); u64 k = container_of(n, struct leaf, node)->key; bpf_spin_unlock(&la); return k; }
static _Bool less_shared(struct bpf_rb_node *a, const struct bpf_rb_node *b) { return container_of(a, struct shared, tree)->key < container_of(b, struct shared, tree)->key; }
S int share(void *c) { struct shared *s = new(struct shared), *t; if (!s) return 0; t = bpf_refcount_acquire_impl(s, 0); bpf_spin_lock(&la); bpf_list_push_front_impl(&shared_items, &s->list, 0, 0); bpf_rbtree_add_impl(&shared_leaves, &t->tree, less_shared, 0, 0); bpf_spin_unlock(&la); return 0; }
S int share_leak(void *c) { struct shared *s = new(struct shared); if (!s) return 0; bpf_refcount_acquire_impl(s, 0); drop(s); return 0; }
S int share_borrowed(void *c) { struct shared *s = new(struct shared), *t; if (!s) return 0; bpf_spin_lock(&la); bpf_list_push_front_impl(&shared_items, &s->list, 0, 0); t = bpf_refcount_acquire_impl(s, 0); bpf_spin_unlock(&la); if (t) drop(t); return 0; }
S int share_borrowed_unchecked(void *c) { struct shared *s = new(struct shared), *t; if (!s) return 0; bpf_spin_lock(&la); bpf_list_push_front_impl(&shared_items, &s->list, 0, 0); t = bpf_refcount_acquire_impl(s, 0); bpf_spin_unlock(&la); drop(t); return 0; }
S int share_uncounted(void *c) { struct item *s = new(struct item), *t; if (!s) return 0; t = bpf_refcount_acquire_impl(s, 0); drop(s); if (t) drop(t); return 0; }
S int own_lock(void *c) { struct locked *l = new(struct locked); if (!l) return 0; struct item *i = new(struct item); if (!i) { drop(l); return 0; } bpf_spin_lock(&l->lock); bpf_list_push_front_impl(&l->items, &i->node, 0, 0); l->n = 1; bpf_spin_unlock(&l->lock); drop(l); return 0; }
S int own_lock_other(void *c) { struct locked *l = new(struct locked), *m; if (!l) return 0; m = new(struct locked); if (!m) { drop(l); return 0; } bpf_spin_lock(&l->lock); bpf_spin_unlock(&m->lock); drop(l); drop(m); return 0; }
S int own_lock_none(void *c) { struct plain *l = new(struct plain); if (!l) return 0; bpf_spin_lock((void *)l); bpf_spin_unlock((void *)l); drop(l); return 0; }
S int stash(void *c) { int k = 0; struct place *p = bpf_map_lookup_elem(&places, &k); if (!p) return 0; struct plain *o = new(struct plain); if (!o) return 0; o = bpf_kptr_xchg(&p->kept, o); if (o) drop(o); return 0; }
S int stash_leak(void *c) { int k = 0; struct place *p = bpf_map_lookup_elem(&places, &k); if (!p) return 0; struct plain *o = new(struct plain); if (!o) return 0; bpf_kptr_xchg(&p->kept, o); return 0; }
S int stash_other(void *c) { int k = 0; struct place *p = bpf_map_lookup_elem(&places, &k); if (!p) return 0; struct item *o = new(struct item); if (!o) return 0; o = bpf_kptr_xchg(&p->kept, o); if (o) drop(o); return 0; }
S int stash_use(void *c) { int k = 0; struct place *p = bpf_map_lookup_elem(&places, &k); if (!p) return 0; struct plain *o = new(struct plain); if (!o) return 0; struct plain *q = bpf_kptr_xchg(&p->kept, o); if (q) drop(q); return o->a; }
S int look(void *c) { int k = 0; struct place *p = bpf_map_lookup_elem(&places, &k); if (!p) return 0; struct plain *o = p->kept; return o ? o->a & 1 : 0; }
S int look_drop(void *c) { int k = 0; struct place *p = bpf_map_lookup_elem(&places, &k); if (!p) return 0; struct plain *o = p->kept; if (o) drop(o); return 0; }
S int look_outside(void *c) { int k = 0; struct place *p = bpf_map_lookup_elem(&places, &k); if (!p) return 0; bpf_rcu_read_lock(); struct plain *o = p->kept; bpf_rcu_read_unlock(); return o ? o->a & 1 : 0; }
S int look_inside(void *c) { int k = 0; struct place *p = bpf_map_lookup_elem(&places, &k); if (!p) return 0; bpf_rcu_read_lock(); struct plain *o = p->kept; if (o) o->a = 5; bpf_rcu_read_unlock(); return 0; }
