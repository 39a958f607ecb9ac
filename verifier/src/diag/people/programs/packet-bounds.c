SEC("xdp")
int first(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;

	return data[13] == 8 ? XDP_PASS : XDP_DROP;
}
-- right
SEC("xdp")
int first(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u8 *end = (void *)(long)ctx->data_end;

	if (data + 14 > end)
		return XDP_DROP;
	return data[13] == 8 ? XDP_PASS : XDP_DROP;
}
