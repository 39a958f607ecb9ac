// An automaton over text with a switch for each byte: finds strings with escapes, comments, numbers and names.
#include "bench.h"

enum state { BLANK, NAME, NUMBER, STRING, ESCAPE, SLASH, COMMENT };

SEC("xdp")
int automaton(struct xdp_md *ctx)
{
	__u8 *data = PACKET(ctx);
	__u32 names = 0, numbers = 0, strings = 0, comments = 0, other = 0;
	enum state state = BLANK;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < SIZE; i++) {
		__u8 byte = data[i] & 0x7f;

		switch (state) {
		case STRING:
			if (byte == '"')
				state = BLANK;
			else if (byte == '\\')
				state = ESCAPE;
			continue;
		case ESCAPE:
			state = STRING;
			continue;
		case COMMENT:
			if (byte < 8)
				state = BLANK;
			continue;
		case SLASH:
			if (byte == '/') {
				comments++;
				state = COMMENT;
				continue;
			}
			other++;
			state = BLANK;
			break;
		case NAME:
			if ((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9'))
				continue;
			state = BLANK;
			break;
		case NUMBER:
			if (byte >= '0' && byte <= '9')
				continue;
			state = BLANK;
			break;
		case BLANK:
			break;
		}
		if (byte >= 'a' && byte <= 'z') {
			names++;
			state = NAME;
		} else if (byte >= '0' && byte <= '9') {
			numbers++;
			state = NUMBER;
		} else if (byte == '"') {
			strings++;
			state = STRING;
		} else if (byte == '/') {
			state = SLASH;
		} else if (byte >= '!') {
			other++;
		}
	}
	return names << 20 ^ numbers << 15 ^ strings << 10 ^ comments << 5 ^ other;
}
