// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes strings and keys of JSON. Pure.
 * Must not know what is written.
 */
#include "base/json.h"

#include <string.h>

void json_string(struct buf *out, const char *text)
{
	buf_putc(out, '"');
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c == '"' || *c == '\\')
			buf_printf(out, "\\%c", *c);
		else if (*c < 0x20)
			buf_printf(out, "\\u%04x", *c);
		else
			buf_putc(out, (char)*c);
	}
	buf_putc(out, '"');
}

void json_key(struct buf *out, const char *key, bool first)
{
	if (!first)
		buf_putc(out, ',');
	json_string(out, key);
	buf_putc(out, ':');
}

/* Length of the UTF-8 character in front, or 0 if there is none. */
static size_t utf8_len(const unsigned char *c, size_t len)
{
	size_t n = *c < 0xc2 ? 0 : *c < 0xe0 ? 2 : *c < 0xf0 ? 3 : *c < 0xf5 ? 4 : 0;

	if (!n || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	/* overlong forms, surrogates, beyond U+10FFFF */
	if ((*c == 0xe0 && c[1] < 0xa0) || (*c == 0xed && c[1] > 0x9f) ||
	    (*c == 0xf0 && c[1] < 0x90) || (*c == 0xf4 && c[1] > 0x8f))
		return 0;
	return n;
}

size_t json_escape(const char *text, size_t len, char *out, size_t room)
{
	static const char hex[] = "0123456789abcdef";
	static const char control[] = { '\\', 'u', '0', '0' };
	static const char replacement[] = { '\xef', '\xbf', '\xbd' };
	const unsigned char *c = (const unsigned char *)text, *end = c + len;
	size_t at = 0;

	while (c < end) {
		char piece[6];
		const char *from = piece;
		size_t used = 1, n;

		if (*c >= 0x20 && *c < 0x7f && *c != '"' && *c != '\\') {
			if (at == room)
				break;
			out[at++] = (char)*c++;
			continue;
		}
		if (*c == '"' || *c == '\\') {
			piece[0] = '\\';
			piece[1] = (char)*c;
			n = 2;
		} else if (*c < 0x80) {
			memcpy(piece, control, sizeof(control));
			piece[4] = hex[*c >> 4];
			piece[5] = hex[*c & 15];
			n = 6;
		} else if ((n = utf8_len(c, (size_t)(end - c)))) {
			from = (const char *)c;
			used = n;
		} else {
			memcpy(piece, replacement, sizeof(replacement));
			n = 3;
		}
		if (n > room - at)
			break;
		memcpy(out + at, from, n);
		at += n;
		c += used;
	}
	return at;
}
