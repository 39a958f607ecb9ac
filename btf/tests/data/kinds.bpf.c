#include <stdbool.h>
#define SEC(n) __attribute__((section(n), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
typedef unsigned int u32; typedef unsigned long long u64; typedef unsigned char u8;
enum color { RED, GREEN = 7, BLUE = 4000000000u };
enum neg { MINUS = -5, PLUS = 5 };
enum big { HUGE = 0x123456789abcdefULL, SMALL = 1 };
enum bigneg { BN = -0x123456789abcdefLL };
struct inner { u8 a:3, b:5; signed int c:7; enum color d:4; };
union un { u32 w; u8 b[4]; };
struct fwd; union fwdu;
struct outer { char name[16]; struct inner in; union un un; bool flag; float f; double d; struct fwd *p; union fwdu *q; enum color col; enum neg neg; enum big big; enum bigneg bn; u64 arr[3][2]; long neg_one; unsigned __int128 wide; const volatile u32 cv; u32 * restrict r; u8 bytes[4]; };
struct { __uint(type, 1); __uint(max_entries, 8); __type(key, u32); __type(value, struct outer); } m SEC(".maps");
struct outer ro = { .name = "hello" };
static volatile const u32 knob = 5;
struct outer initd SEC(".data.init") = { .name="abc", .in={.a=5,.b=17,.c=-3,.d=GREEN}, .un={.w=0x01020304}, .flag=1,.f=1.5,.d=-2.25,.col=GREEN,.neg=MINUS,.big=HUGE,.bn=BN,.arr={{1,2},{3,4},{5,6}},.neg_one=-1,.wide=5,.cv=9,.bytes={1,2,3,4}};
__attribute__((btf_decl_tag("tagged"))) int tagged;
int __attribute__((btf_type_tag("ttag"))) *tt;
static __attribute__((noinline)) int sub(int a, u64 *b) { return a + *b; }
__attribute__((noinline)) int gsub(int a) { return a * 3 + ro.flag; }
SEC("xdp") int prog(void *ctx) { u64 x = knob + ro.col; return sub(x, &x) + gsub(x) + tagged + initd.flag + (tt != 0); }
char LICENSE[] SEC("license") = "GPL";
