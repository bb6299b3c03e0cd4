// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes strings and keys of JSON. Pure.
 * Must not know what is written.
 */
#include "base/json.h"

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
