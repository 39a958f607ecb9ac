SEC("tc")
int copy(struct __sk_buff *skb)
{
	char buf[64];
	__u32 len = skb->len;

	if (len == 0)
		return 0;
	bpf_skb_load_bytes(skb, 0, buf, len);
	return buf[0];
}
-- right
SEC("tc")
int copy(struct __sk_buff *skb)
{
	char buf[64];
	__u32 len = skb->len;

	if (len == 0 || len > sizeof(buf))
		return 0;
	bpf_skb_load_bytes(skb, 0, buf, len);
	return buf[0];
}
