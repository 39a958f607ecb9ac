typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

/* Of itself, through a typedef, a function and an array. */
struct node;
typedef struct node node_t;
typedef int (*visit_t)(node_t *, const struct node *const *, ...);
struct node {
	node_t *next;
	visit_t visit;
	struct node *children[2];
	int (*table[3])(struct node *);
	int (*grid)[4];
	const char *const volatile name;
};

/* Padding that C would not make, and padding that it would. */
struct spread {
	u8 a;
	u64 b;
	u8 c __attribute__((aligned(32)));
	u16 d;
} __attribute__((aligned(128)));
struct holder { u8 first; struct spread inner; };
struct page { u8 first; u8 last __attribute__((aligned(4096))); };

struct tight { u8 a; u64 b; u16 c; } __attribute__((packed));
struct around { u8 a; struct tight t; u32 b; };
struct odd { u32 a; u16 b; } __attribute__((packed));
struct tight_hole { u8 a; u8 gap[7]; u64 b; u8 c; } __attribute__((packed, aligned(2)));

struct bits {
	u32 a : 3;
	u32 : 0;
	u32 b : 30;
	u32 c : 5;
	u64 d : 40;
	u8 e;
	int f : 1;
	_Bool g : 1;
	u16 : 9;
	u16 h : 3;
};
struct packed_bits { u8 a : 3; u32 b : 29; u64 c : 33; u8 d; } __attribute__((packed));

union any { u8 a; u32 b; struct { u16 lo, hi; } __attribute__((packed)) halves; };
union wide { u8 a; u32 b; } __attribute__((aligned(64)));
struct inside {
	union { struct { u8 a, b; }; u16 both; };
	enum { ONE = 1, TWO } which;
	struct { union wide w; int z; } named[2];
	u8 tail[];
};
struct empty {};
struct bare { struct empty e; u8 last; };

enum small { S = 1 } __attribute__((packed));
enum medium { M = 300 } __attribute__((packed));
enum huge { H = 0x8000000000000000ULL, LOW = 1 };
enum deep { D = -0x7fffffffffffffffLL - 1 };
struct enums { enum small s; enum medium m; enum huge h; enum deep d; };

/* C has one name space for tags and another for the rest. */
typedef struct { u32 small; } small;
typedef enum { ALONE = -1 } alone_t;
enum { NOBODY = 77 };

struct keep {
	struct node a; struct spread b; struct holder c; struct page d; struct tight e; struct around f; struct odd g;
	struct tight_hole h; struct bits i; struct packed_bits j; union any k; union wide l; struct bare n;
	struct enums o; small p; alone_t q; unsigned __int128 r; struct inside s;
};
struct keep keep;
int nobody[NOBODY];
int number(void) { enum { HERE = 5 } x = HERE; return x + NOBODY; }
