// Structs of functions: the kernel's own for tests, a congestion control, and some that are wrong.
// clang-19 -g -O2 -target bpf -mcpu=v3 -ffile-compilation-dir=. -c ops.bpf.c -o ops.o && llvm-strip-19 -g ops.o
#define SEC(name) __attribute__((section(name), used))
#define CORE __attribute__((preserve_access_index))
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

struct bpf_dummy_ops_state { int val; } CORE;
struct sock { int unused; } CORE;
struct tcp_sock { u32 snd_cwnd, snd_ssthresh, prior_cwnd; } CORE;
struct ack_sample;

struct bpf_dummy_ops {
	int (*test_1)(struct bpf_dummy_ops_state *state);
	int (*test_2)(struct bpf_dummy_ops_state *state, int a1, unsigned short a2, char a3, unsigned long a4);
	int (*test_sleepable)(struct bpf_dummy_ops_state *state);
};

struct tcp_congestion_ops {
	u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, u32 ack, u32 acked);
	u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
	u32 flags;
};

// A flavour with members that the kernel has not.
struct tcp_congestion_ops___later {
	u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, u32 ack, u32 acked);
	u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
	u32 weather;
};

SEC("struct_ops") int first(u64 *ctx)
{
	struct bpf_dummy_ops_state *state = (void *)ctx[0];
	int value;

	if (!state)
		return -7;
	value = state->val;
	state->val = 0x5a;
	return value;
}

SEC("struct_ops") int second(u64 *ctx)
{
	struct bpf_dummy_ops_state *state = (void *)ctx[0];

	state->val = ctx[1];
	return (int)ctx[1] + (unsigned short)ctx[2] + (signed char)ctx[3] + (int)ctx[4];
}

SEC("struct_ops") u32 threshold(u64 *ctx)
{
	struct tcp_sock *tcp = (void *)ctx[0];
	u32 half = tcp->snd_cwnd >> 1;

	return half > 2 ? half : 2;
}

SEC("struct_ops") void avoid(u64 *ctx)
{
	struct tcp_sock *tcp = (void *)ctx[0];

	tcp->snd_cwnd = tcp->snd_cwnd + (u32)ctx[2];
}

SEC("struct_ops") u32 undo(u64 *ctx)
{
	struct tcp_sock *tcp = (void *)ctx[0];

	return tcp->prior_cwnd > tcp->snd_cwnd ? tcp->prior_cwnd : tcp->snd_cwnd;
}

SEC(".struct_ops") struct bpf_dummy_ops dummy = { .test_1 = (void *)first, .test_2 = (void *)second };
SEC(".struct_ops.link") struct tcp_congestion_ops reno = {
	.ssthresh = (void *)threshold, .cong_avoid = (void *)avoid, .undo_cwnd = (void *)undo, .name = "ring3_reno", .flags = 1,
};
SEC(".struct_ops.link") struct tcp_congestion_ops nameless = {
	.ssthresh = (void *)threshold, .cong_avoid = (void *)avoid, .undo_cwnd = (void *)undo,
};
SEC(".struct_ops.link") struct tcp_congestion_ops flagged = {
	.ssthresh = (void *)threshold, .cong_avoid = (void *)avoid, .undo_cwnd = (void *)undo, .name = "flagged", .flags = 0x100,
};
SEC(".struct_ops.link") struct tcp_congestion_ops partial = { .ssthresh = (void *)threshold, .name = "partial" };
SEC(".struct_ops.link") struct tcp_congestion_ops___later sunny = {
	.ssthresh = (void *)threshold, .cong_avoid = (void *)avoid, .undo_cwnd = (void *)undo, .name = "sunny", .weather = 1,
};
SEC(".struct_ops.link") struct tcp_congestion_ops___later dull = {
	.ssthresh = (void *)threshold, .cong_avoid = (void *)avoid, .undo_cwnd = (void *)undo, .name = "dull",
};

char LICENSE[] SEC("license") = "GPL";
