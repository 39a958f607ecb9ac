__u32 table[16];

SEC("xdp")
int count(struct xdp_md *ctx)
{
	__u32 queue = ctx->rx_queue_index;

	if (queue <= 16)
		table[queue]++;
	return XDP_PASS;
}
-- right
__u32 table[16];

SEC("xdp")
int count(struct xdp_md *ctx)
{
	__u32 queue = ctx->rx_queue_index;

	if (queue < 16)
		table[queue]++;
	return XDP_PASS;
}
