// A program that gives up: the exception ends all of it, from wherever it is thrown, and gives its value back.
#include "kfuncs.h"

__attribute__((noinline)) static int check(unsigned int length)
{
	if (length > 60)
		bpf_throw(64);
	return length;
}

SEC("tc")
int throws(struct __sk_buff *skb)
{
	return check(skb->len) ? 1 : 0;
}
