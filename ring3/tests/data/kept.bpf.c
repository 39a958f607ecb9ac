// SPDX-License-Identifier: MIT OR Apache-2.0
// What maps keep beside plain values, and objects of the program: locks, timers, lists, trees, pointers, exceptions.
// clang -target bpf -mcpu=v3 -g -O2 -c kept.bpf.c -o kept.bpf.o
typedef unsigned int u32;
typedef unsigned long long u64;
#define SEC(name) __attribute__((section(name), used))
#define KSYM __attribute__((section(".ksyms")))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define __contains(type, node) __attribute__((btf_decl_tag("contains:" #type ":" #node)))
#define __kptr __attribute__((btf_type_tag("kptr")))
#define container_of(ptr, type, member) ((type *)((void *)(ptr) - __builtin_offsetof(type, member)))
#define local_id(type) __builtin_btf_type_id(*(type *)0, 0)

char _license[] SEC("license") = "GPL";

struct __sk_buff { u32 len; u32 pkt_type; u32 mark; };
struct bpf_spin_lock { u32 val; };
struct bpf_timer { u64 opaque[2]; } __attribute__((aligned(8)));
struct bpf_list_head { u64 opaque[2]; } __attribute__((aligned(8)));
struct bpf_list_node { u64 opaque[3]; } __attribute__((aligned(8)));
struct bpf_rb_root { u64 opaque[2]; } __attribute__((aligned(8)));
struct bpf_rb_node { u64 opaque[4]; } __attribute__((aligned(8)));

static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;
static long (*timer_init)(struct bpf_timer *timer, void *map, u64 flags) = (void *)169;
static long (*timer_set_callback)(struct bpf_timer *timer, void *callback) = (void *)170;
static long (*timer_start)(struct bpf_timer *timer, u64 nsecs, u64 flags) = (void *)171;
static long (*timer_cancel)(struct bpf_timer *timer) = (void *)172;
static long (*probe_read_kernel)(void *dst, u32 size, const void *from) = (void *)113;
static void *(*kptr_xchg)(void *dst, void *ptr) = (void *)194;

extern void *bpf_obj_new_impl(u64 id, void *meta) KSYM;
extern void bpf_obj_drop_impl(void *object, void *meta) KSYM;
extern int bpf_list_push_front_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta, u64 off) KSYM;
extern int bpf_list_push_back_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta, u64 off) KSYM;
extern struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) KSYM;
extern int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
			       _Bool (less)(struct bpf_rb_node *a, const struct bpf_rb_node *b), void *meta, u64 off) KSYM;
extern struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root, struct bpf_rb_node *node) KSYM;
extern struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) KSYM;
extern void bpf_throw(u64 cookie) KSYM;

struct counted { u64 count; struct bpf_spin_lock lock; u32 pad; };
struct { __uint(type, 2); __uint(max_entries, 1); __type(key, u32); __type(value, struct counted); } counts SEC(".maps");

SEC("tc") int lock(struct __sk_buff *skb)
{
	u32 key = 0;
	struct counted *value = lookup(&counts, &key);

	if (!value)
		return 1;
	spin_lock(&value->lock);
	value->count++;
	spin_unlock(&value->lock);
	return value->count;
}

struct timed { u64 fired; struct bpf_timer timer; };
struct { __uint(type, 1); __uint(max_entries, 8); __type(key, u32); __type(value, struct timed); } timers SEC(".maps");

static int tick(void *map, u32 *key, struct timed *value)
{
	u32 number = 0;

	probe_read_kernel(&number, sizeof(number), key);
	value->fired += 100 + number;
	if (value->fired < 300)
		timer_start(&value->timer, 1000, 0);
	return 0;
}

SEC("tc") int timer(struct __sk_buff *skb)
{
	u32 key = 7;
	struct timed fresh = {}, *value;

	update(&timers, &key, &fresh, 0);
	value = lookup(&timers, &key);
	if (!value)
		return 1;
	if (timer_start(&value->timer, 5000, 0) != -22 || timer_init(&value->timer, &timers, 1))
		return 2;
	if (timer_init(&value->timer, &timers, 1) != -16 || timer_cancel(&value->timer) != 0)
		return 3;
	timer_set_callback(&value->timer, tick);
	timer_start(&value->timer, 5000, 0);
	if (timer_cancel(&value->timer) != 1)
		return 4;
	return timer_start(&value->timer, 5000, 0);
}

struct item { u64 number; struct bpf_list_node node; };
struct leaf { u64 number; struct bpf_rb_node node; };
struct bpf_spin_lock list_lock SEC(".data.list");
struct bpf_list_head list_head __contains(item, node) SEC(".data.list");
struct bpf_spin_lock tree_lock SEC(".data.tree");
struct bpf_rb_root tree_root __contains(leaf, node) SEC(".data.tree");

static int put(u64 number, int front)
{
	struct item *item = bpf_obj_new_impl(local_id(struct item), 0);
	int ret;

	if (!item)
		return 1;
	item->number = number;
	spin_lock(&list_lock);
	ret = front ? bpf_list_push_front_impl(&list_head, &item->node, 0, 0) : bpf_list_push_back_impl(&list_head, &item->node, 0, 0);
	spin_unlock(&list_lock);
	return ret;
}

static u64 get(void)
{
	struct bpf_list_node *node;
	struct item *item;
	u64 number;

	spin_lock(&list_lock);
	node = bpf_list_pop_front(&list_head);
	spin_unlock(&list_lock);
	if (!node)
		return 9;
	item = container_of(node, struct item, node);
	number = item->number;
	bpf_obj_drop_impl(item, 0);
	return number;
}

SEC("tc") int list(struct __sk_buff *skb)
{
	u64 all = 0;

	if (put(1, 0) || put(2, 0) || put(3, 1))
		return 1;
	for (int i = 0; i < 4; i++)
		all = all * 10 + get();
	return all;
}

static _Bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct leaf, node)->number < container_of(b, struct leaf, node)->number;
}

static int grow(u64 number)
{
	struct leaf *leaf = bpf_obj_new_impl(local_id(struct leaf), 0);

	if (!leaf)
		return 1;
	leaf->number = number;
	spin_lock(&tree_lock);
	bpf_rbtree_add_impl(&tree_root, &leaf->node, less, 0, 0);
	spin_unlock(&tree_lock);
	return 0;
}

static u64 pick(void)
{
	struct bpf_rb_node *node;
	struct leaf *leaf;
	u64 number;

	spin_lock(&tree_lock);
	node = bpf_rbtree_first(&tree_root);
	if (!node) {
		spin_unlock(&tree_lock);
		return 9;
	}
	node = bpf_rbtree_remove(&tree_root, node);
	spin_unlock(&tree_lock);
	if (!node)
		return 8;
	leaf = container_of(node, struct leaf, node);
	number = leaf->number;
	bpf_obj_drop_impl(leaf, 0);
	return number;
}

SEC("tc") int tree(struct __sk_buff *skb)
{
	u64 all = 0;

	if (grow(4) || grow(2) || grow(6) || grow(1) || grow(3) || grow(5))
		return 1;
	for (int i = 0; i < 7; i++)
		all = all * 10 + pick();
	return all;
}

struct kept { struct item __kptr *item; };
struct { __uint(type, 2); __uint(max_entries, 1); __type(key, u32); __type(value, struct kept); } keeps SEC(".maps");

SEC("tc") int keep(struct __sk_buff *skb)
{
	u32 key = 0, number = 1000;
	struct kept *value = lookup(&keeps, &key);
	struct item *item = bpf_obj_new_impl(local_id(struct item), 0), *old;

	if (!item)
		return 1;
	item->number = skb->len;
	if (!value) {
		bpf_obj_drop_impl(item, 0);
		return 2;
	}
	old = kptr_xchg(&value->item, item);
	if (old) {
		number = old->number;
		bpf_obj_drop_impl(old, 0);
	}
	return number;
}

__attribute__((noinline)) static int thrower(u64 number)
{
	if (number > 60)
		bpf_throw(number);
	return number;
}

__attribute__((noinline)) int caught(u64 cookie)
{
	return cookie + 5000;
}

SEC("tc") __attribute__((btf_decl_tag("exception_callback:caught"))) int throws(struct __sk_buff *skb)
{
	return thrower(skb->len) + 1;
}
