// Functions that get what a program throws, which no instruction refers to.
typedef unsigned long long u64;
struct __sk_buff {
	unsigned int len;
};

#define SEC(name) __attribute__((section(name), used))
#define CALLBACK(name) __attribute__((btf_decl_tag("exception_callback:" #name)))

extern void bpf_throw(u64 cookie) __attribute__((section(".ksyms")));

__attribute__((noinline)) int helper_of_both(u64 cookie)
{
	return (int)cookie + 1;
}

__attribute__((noinline)) int caught(u64 cookie)
{
	return helper_of_both(cookie);
}

SEC("tc")
CALLBACK(caught)
int throws(struct __sk_buff *skb)
{
	bpf_throw(skb->len);
	return 0;
}

// Calls it too: it is there once.
SEC("tc")
CALLBACK(helper_of_both)
int calls_it(struct __sk_buff *skb)
{
	bpf_throw(1);
	return helper_of_both(skb->len);
}

SEC("tc")
int throws_plainly(struct __sk_buff *skb)
{
	bpf_throw(skb->len);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
