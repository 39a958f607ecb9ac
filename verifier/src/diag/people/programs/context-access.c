SEC("xdp")
int move(struct xdp_md *ctx)
{
	ctx->ingress_ifindex = 7;
	return XDP_PASS;
}
-- right
SEC("xdp")
int move(struct xdp_md *ctx)
{
	return bpf_redirect(7, 0);
}
