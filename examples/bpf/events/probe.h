// What programs of these examples share: the macros of libbpf for their arguments, and parts of the kernel's structures, which the
// loader finds in the kernel's types (CO-RE).
#pragma once
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#define __TARGET_ARCH_x86
// Names of registers as the kernel's own structure has them.
#define __VMLINUX_H__
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

// Each macro for programs names the context.
#pragma clang diagnostic ignored "-Wunused-parameter"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct pt_regs {
	unsigned long r10, r8, dx, si, di, ax;
};

struct task_struct {
	int pid;
	int tgid;
	struct task_struct *real_parent;
	char comm[16];
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct file {
	struct path f_path;
};

struct trace_event_raw_sys_enter {
	long id;
	unsigned long args[6];
};

struct trace_event_raw_sys_exit {
	long id;
	long ret;
};
#pragma clang attribute pop

char LICENSE[] SEC("license") = "Dual MIT/GPL";
