// Objects of a program's own, in a list and in a tree, each under its lock: of each three packets the shortest and the one that came first.
#include "kfuncs.h"

struct seen {
	struct bpf_rb_node by_length;
	__u32 length;
};

struct last {
	struct bpf_list_node node;
	__u32 length;
};

private(tree) struct bpf_spin_lock tree_lock;
private(tree) struct bpf_rb_root tree __contains(seen, by_length);
private(list) struct bpf_spin_lock list_lock;
private(list) struct bpf_list_head list __contains(last, node);

__u32 packets, shortest, first;

static _Bool is_shorter(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct seen, by_length)->length < container_of(b, struct seen, by_length)->length;
}

static void take_shortest(void)
{
	struct bpf_rb_node *node;
	struct seen *seen;

	bpf_spin_lock(&tree_lock);
	node = bpf_rbtree_first(&tree);
	if (node)
		node = bpf_rbtree_remove(&tree, node);
	bpf_spin_unlock(&tree_lock);
	if (!node)
		return;
	seen = container_of(node, struct seen, by_length);
	shortest = seen->length;
	bpf_obj_drop(seen);
}

static void take_first(void)
{
	struct bpf_list_node *node;
	struct last *last;

	bpf_spin_lock(&list_lock);
	node = bpf_list_pop_back(&list);
	bpf_spin_unlock(&list_lock);
	if (!node)
		return;
	last = container_of(node, struct last, node);
	first = last->length;
	bpf_obj_drop(last);
}

SEC("tc")
int keep(struct __sk_buff *skb)
{
	struct seen *seen = bpf_obj_new(struct seen);
	struct last *last;

	if (!seen)
		return 2;
	seen->length = skb->len;
	bpf_spin_lock(&tree_lock);
	bpf_rbtree_add_impl(&tree, &seen->by_length, is_shorter, 0, 0);
	bpf_spin_unlock(&tree_lock);
	last = bpf_obj_new(struct last);
	if (!last)
		return 2;
	last->length = skb->len;
	bpf_spin_lock(&list_lock);
	bpf_list_push_front_impl(&list, &last->node, 0, 0);
	bpf_spin_unlock(&list_lock);
	if (++packets % 3 == 0) {
		take_shortest();
		take_first();
	}
	return 0;
}
