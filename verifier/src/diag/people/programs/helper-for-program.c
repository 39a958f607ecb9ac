SEC("xdp")
int load(struct xdp_md *ctx)
{
	char byte;

	bpf_skb_load_bytes(ctx, 0, &byte, 1);
	return XDP_PASS;
}
-- right
SEC("xdp")
int load(struct xdp_md *ctx)
{
	char byte;

	bpf_xdp_load_bytes(ctx, 0, &byte, 1);
	return XDP_PASS;
}
