// Has what `join_lib.bpf.c` has, of another type or once too often.
#define SEC(name) __attribute__((section(name), used))
int both_have(long value, int more) { return value + more; }
SEC("xdp") int third(void *ctx) { return both_have(1, 2); }
char LICENSE[] SEC("license") = "GPL";
