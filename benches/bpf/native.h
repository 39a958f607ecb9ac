// The same sources for the machine itself (-DNATIVE): what <bpf/bpf_helpers.h> says, with helpers that are functions of the process
// and a context that holds whole addresses, as that of ring3 does.
#pragma once
#define xdp_md xdp_md_of_the_kernel
#include <linux/bpf.h>
#undef xdp_md

struct xdp_md {
	unsigned long data, data_end;
};

#define SEC(name) __attribute__((used))
#define __uint(name, value) int(*name)[value]
#define __type(name, type) typeof(type) *name
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))

// Set by whoever loads this. The first word of a map's variable is the map that the functions get.
struct helpers {
	void *(*lookup)(const void *map, const void *key);
	long (*update)(const void *map, const void *key, const void *value, __u64 flags);
	__u32 (*prandom)(void);
};
struct helpers helpers;

#define bpf_map_lookup_elem(map, key) helpers.lookup(*(void **)(map), key)
#define bpf_map_update_elem(map, key, value, flags) helpers.update(*(void **)(map), key, value, flags)
#define bpf_get_prandom_u32() helpers.prandom()
