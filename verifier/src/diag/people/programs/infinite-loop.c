SEC("xdp")
int wait(struct xdp_md *ctx)
{
	volatile int rounds = 0;

	while (1)
		rounds++;
	return XDP_PASS;
}
-- right
SEC("xdp")
int wait(struct xdp_md *ctx)
{
	volatile int rounds = 0;

	for (int i = 0; i < 100; i++)
		rounds++;
	return XDP_PASS;
}
