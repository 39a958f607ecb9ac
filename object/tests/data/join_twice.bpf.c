// Has a strong function that `join_lib.bpf.c` has.
#define SEC(name) __attribute__((section(name), used))
int strong_wins(int value) { return value; }
SEC("xdp") int third(void *ctx) { return strong_wins(1); }
char LICENSE[] SEC("license") = "GPL";
