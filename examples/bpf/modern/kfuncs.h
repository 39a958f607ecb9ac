// Functions of the kernel that these examples call, as the kernel's types declare them.
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

// Not every program looks at its context.
#pragma clang diagnostic ignored "-Wunused-parameter"

#define __ksym_function __attribute__((section(".ksyms")))
#define __kptr __attribute__((btf_type_tag("kptr")))
#define __percpu_kptr __attribute__((btf_type_tag("percpu_kptr")))
#define __contains(name, node) __attribute__((btf_decl_tag("contains:" #name ":" #node)))
#define private(name) SEC(".data." #name) __hidden __attribute__((aligned(8)))

// What headers of older kernels do not have.
struct bpf_list_head {
	__u64 opaque[2];
};

struct bpf_list_node {
	__u64 opaque[3];
};

struct bpf_rb_root {
	__u64 opaque[2];
};

struct bpf_rb_node {
	__u64 opaque[4];
};

struct bpf_iter_num {
	__u64 opaque[1];
};

extern void *bpf_obj_new_impl(__u64 type, void *meta) __ksym_function;
extern void bpf_obj_drop_impl(void *object, void *meta) __ksym_function;
extern void *bpf_percpu_obj_new_impl(__u64 type, void *meta) __ksym_function;
extern void bpf_percpu_obj_drop_impl(void *object, void *meta) __ksym_function;
extern int bpf_list_push_front_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta, __u64 off) __ksym_function;
extern struct bpf_list_node *bpf_list_pop_back(struct bpf_list_head *head) __ksym_function;
extern int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
			       _Bool(less)(struct bpf_rb_node *a, const struct bpf_rb_node *b), void *meta,
			       __u64 off) __ksym_function;
extern struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) __ksym_function;
extern struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root, struct bpf_rb_node *node) __ksym_function;
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym_function;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym_function;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym_function;
extern void bpf_throw(__u64 cookie) __ksym_function;

#define bpf_obj_new(type) ((type *)bpf_obj_new_impl(bpf_core_type_id_local(type), 0))
#define bpf_obj_drop(object) bpf_obj_drop_impl(object, 0)

char LICENSE[] SEC("license") = "Dual MIT/GPL";
