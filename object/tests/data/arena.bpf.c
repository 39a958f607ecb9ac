// Variables of an arena, changed by a program.
#define SEC(name) __attribute__((section(name), used))
#define __arena __attribute__((address_space(1)))
#define __uint(name, value) int (*name)[value]

struct {
	__uint(type, 33);
	__uint(map_flags, 1024);
	__uint(max_entries, 10);
} arena SEC(".maps");

int __arena counter = 5;
int __arena table[3] = {1, 2, 3};

SEC("syscall") int counts(void *ctx)
{
	// A program that only names variables names the arena too.
	asm volatile("" :: "r"(&arena));
	return ++counter * 10 + table[2];
}

char LICENSE[] SEC("license") = "GPL";
