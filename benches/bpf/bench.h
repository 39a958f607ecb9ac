// What the measured programs share: each gets a packet of SIZE bytes and returns 32 bits that depend on all of its work.
#pragma once
#include <stddef.h>
#ifdef NATIVE
#include "native.h"
#else
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#endif

#define SIZE 1024

// The packet; the verifier follows the comparison. A shorter packet ends the program with 0.
#define PACKET(ctx)                                                      \
	({                                                               \
		__u8 *start_ = (void *)(long)(ctx)->data;                \
		if (start_ + SIZE > (__u8 *)(void *)(long)(ctx)->data_end) \
			return 0;                                        \
		start_;                                                  \
	})

#define WORD32(bytes, off) (*(__u32 *)((bytes) + (off)))
#define WORD64(bytes, off) (*(__u64 *)((bytes) + (off)))
#define ROTL32(x, n) (((x) << (n)) | ((x) >> (32 - (n))))
#define ROTL64(x, n) (((x) << (n)) | ((x) >> (64 - (n))))

// The compiler forgets what it knows of this memory.
#define HIDE(memory) asm volatile("" : "+m"(memory))

static __always_inline __u32 fold(__u64 x)
{
	return (__u32)x ^ (__u32)(x >> 32);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
