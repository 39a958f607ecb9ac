// A state machine over text: counts words, numbers and lines.
#include "bench.h"

enum state { SPACE, WORD, NUMBER };

SEC("xdp")
int words(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u32 words = 0, numbers = 0, lines = 0;
	enum state state = SPACE;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < SIZE; i++) {
		__u8 c = data[i];

		if (c == '\n')
			lines++;
		if (c == ' ' || c == '\n' || c == '\t') {
			state = SPACE;
		} else if (state == SPACE && c >= '0' && c <= '9') {
			state = NUMBER;
			numbers++;
		} else if (state == SPACE) {
			state = WORD;
			words++;
		}
	}
	return words << 20 | numbers << 10 | lines;
}
