/* The types of a kernel that the relocations of core.bpf.c are answered with. */
typedef unsigned int u32;
typedef unsigned long long u64;

struct inner { u32 count; char more[12]; };
struct part { int hidden; };
struct task {
	char head[16];
	int pid;
	u64 narrow;
	u32 wide;
	long grows;
	union { struct { int pad; int hidden; }; long other; };
	int list[8];
	unsigned long low : 30;
	unsigned long bits : 7;
	struct inner in;
};
enum color { GREEN, RED = 5, BLUE___new = 0x12345678 };
typedef struct { long x; } nickname;
struct alike { char first; int a; void *p; };
struct unlike { u32 a; };

struct task task;
enum color color;
nickname nick;
struct alike alike;
struct unlike unlike;
