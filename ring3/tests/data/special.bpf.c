// Map values with parts that only helpers may touch, but for the last, whose pointer leads to a struct that is only declared.
// clang-19 -g -O2 -target bpf -c special.bpf.c -o special.bpf.o
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct task_struct;

struct locked {
	struct {
		struct bpf_spin_lock inner[1];
	} outer;
	int value;
};

struct timed {
	struct bpf_timer timer;
	int value;
};

struct pointed {
	struct task_struct __attribute__((btf_type_tag("kptr"))) *task;
	int value;
};

#define MAP(NAME, VALUE)                                                                           \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(max_entries, 1);                                                            \
		__type(key, __u32);                                                                \
		__type(value, VALUE);                                                              \
	} NAME##_map SEC(".maps");                                                                 \
	SEC("xdp") int NAME(struct xdp_md *ctx)                                                    \
	{                                                                                          \
		__u32 key = 0;                                                                     \
		char *value = bpf_map_lookup_elem(&NAME##_map, &key);                              \
		if (value)                                                                         \
			value[0] = 1;                                                              \
		return XDP_PASS;                                                                   \
	}

MAP(locked, struct locked)
MAP(timed, struct timed)
MAP(pointed, struct pointed)
