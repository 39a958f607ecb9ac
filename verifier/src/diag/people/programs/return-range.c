SEC("cgroup_skb/egress")
int allow(struct __sk_buff *skb)
{
	return skb->len;
}
-- right
SEC("cgroup_skb/egress")
int allow(struct __sk_buff *skb)
{
	return skb->len < 1500;
}
