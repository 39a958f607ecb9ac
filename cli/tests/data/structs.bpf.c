// Global variables of structures, for skeletons: nested, packed, with bits, without names, of one name twice.
// clang-19 -g -O2 -target bpf -ffile-compilation-dir=. -c structs.bpf.c -o structs.bpf.o && llvm-strip-19 -g structs.bpf.o
#define SEC(name) __attribute__((section(name), used))
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

enum level { LOW = -1, HIGH = 1 };
struct inner { u8 bytes[3]; u32 count; };
struct odd { u8 first; u64 second; } __attribute__((packed));
struct config {
	u32 user;
	enum level level;
	char text[12];
	struct inner inner[2];
	struct odd odd;
	struct { u32 low : 3, high : 5; } bits;
	union { u64 whole; u8 parts[8]; };
	void *to;
	struct config *next;
	_Bool on;
} __attribute__((aligned(16)));
typedef struct { int x, y; } point_t;
/* As a section is called. */
struct bss { u32 number; };

struct config config = { .user = 7, .text = "seven" };
struct inner table[4];
point_t corner = { 1, 2 };
const volatile struct odd limits = { 1, 2 };
struct bss zeros;
union { u32 number; u8 bytes[4]; } either;

SEC("socket") int reads(void *ctx)
{
	return config.user + table[1].count + corner.x + limits.first + zeros.number + either.number;
}

char LICENSE[] SEC("license") = "GPL";
