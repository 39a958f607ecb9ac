__attribute__((noinline)) int twice(long number)
{
	volatile long kept = number;

	return kept * 2;
}

SEC("xdp")
int answer(struct xdp_md *ctx)
{
	return twice((long)ctx) ? XDP_PASS : XDP_DROP;
}
-- right
__attribute__((noinline)) int twice(long number)
{
	volatile long kept = number;

	return kept * 2;
}

SEC("xdp")
int answer(struct xdp_md *ctx)
{
	return twice(ctx->rx_queue_index) ? XDP_PASS : XDP_DROP;
}
