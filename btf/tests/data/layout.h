#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

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

typedef unsigned char u8;

typedef unsigned long long u64;

typedef unsigned short u16;

struct spread {
	u8 a;
	u64 b;
	long: 64;
	long: 64;
	u8 c;
	u16 d;
	char __pad36[92];
};

struct holder {
	u8 first;
	char __pad1[127];
	struct spread inner;
};

struct page {
	u8 first;
	char __pad1[4095];
	u8 last;
	char __pad4097[4095];
};

struct tight {
	u8 a;
	u64 b;
	u16 c;
} __attribute__((packed));

typedef unsigned int u32;

struct around {
	u8 a;
	struct tight t;
	u32 b;
};

struct odd {
	u32 a;
	u16 b;
} __attribute__((packed));

struct tight_hole {
	u8 a;
	u8 gap[7];
	u64 b;
	u8 c;
	long: 8;
} __attribute__((packed));

struct bits {
	u32 a: 3;
	u32 b: 30;
	u32 c: 5;
	u64 d: 40;
	u8 e;
	int f: 1;
	_Bool g: 1;
	long: 6;
	long: 9;
	u16 h: 3;
};

struct packed_bits {
	u8 a: 3;
	u32 b: 29;
	u64 c: 33;
	u8 d;
} __attribute__((packed));

union any {
	u8 a;
	u32 b;
	struct {
		u16 lo;
		u16 hi;
	} halves;
};

union wide {
	u8 a;
	u32 b;
	struct {
		long: 64;
		long: 64;
		long: 64;
		long: 64;
		long: 64;
		long: 64;
		long: 64;
		long: 64;
	};
};

struct empty {
};

struct bare {
	struct empty e;
	u8 last;
};

enum small {
	S = 1,
} __attribute__((mode(QI)));

enum medium {
	M = 300,
} __attribute__((mode(HI)));

enum huge {
	H = 9223372036854775808ULL,
	LOW = 1ULL,
};

enum deep {
	D = -9223372036854775807LL - 1,
};

struct enums {
	enum small s;
	enum medium m;
	enum huge h;
	enum deep d;
};

typedef struct {
	u32 small;
} small;

typedef enum {
	ALONE = -1,
} alone_t;

struct inside {
	union {
		struct {
			u8 a;
			u8 b;
		};
		u16 both;
	};
	enum {
		ONE = 1,
		TWO = 2,
	} which;
	long: 64;
	long: 64;
	long: 64;
	long: 64;
	long: 64;
	long: 64;
	long: 64;
	struct {
		union wide w;
		int z;
		long: 32;
		long: 64;
		long: 64;
		long: 64;
		long: 64;
		long: 64;
		long: 64;
		long: 64;
	} named[2];
	u8 tail[0];
};

struct keep {
	struct node a;
	long: 64;
	long: 64;
	long: 64;
	long: 64;
	long: 64;
	long: 64;
	long: 64;
	struct spread b;
	struct holder c;
	char __pad512[3584];
	struct page d;
	struct tight e;
	struct around f;
	struct odd g;
	struct tight_hole h;
	struct bits i;
	struct packed_bits j;
	union any k;
	long: 64;
	long: 64;
	long: 64;
	long: 64;
	union wide l;
	struct bare n;
	struct enums o;
	small p;
	alone_t q;
	unsigned __int128 r;
	struct inside s;
	char __pad12864[3520];
};

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
