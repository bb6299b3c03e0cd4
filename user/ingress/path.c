// SPDX-License-Identifier: GPL-2.0-only
/* Decodes, resolves and encodes request paths. */
/* Must not know routes or where paths come from. */
#include "ingress/path.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/digit.h"

static int decode(const char *raw, size_t len, char *out, size_t *ret_len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (raw[i] != '%') {
			out[n] = raw[i];
			if (!out[n++])
				return -EINVAL;
			continue;
		}
		if (len - i < 3 || digit_hex(raw[i + 1]) < 0 || digit_hex(raw[i + 2]) < 0)
			return -EINVAL;
		out[n] = (char)(digit_hex(raw[i + 1]) << 4 | digit_hex(raw[i + 2]));
		if (!out[n++])
			return -EINVAL;
		i += 2;
	}
	*ret_len = n;
	return 0;
}

/* How many dots [at, end) is, escapes included: 1, 2, or 0 for anything else. */
static unsigned dots(const char *path, size_t at, size_t end, bool encoded)
{
	unsigned n = 0;

	while (at < end && n < 3) {
		if (path[at] == '.')
			at++;
		else if (encoded && end - at >= 3 && path[at] == '%' && path[at + 1] == '2' &&
			 (path[at + 2] | 0x20) == 'e')
			at += 3;
		else
			return 0;
		n++;
	}
	return n < 3 ? n : 0;
}

static bool is_slashes(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] != '/')
			return false;
	return true;
}

/* In place. -EINVAL if it climbs above the root, after having stayed there. */
static int resolve(char *path, size_t *len, bool encoded)
{
	size_t n = 0, at = 0, end;
	int rc = 0;

	while (at < *len) {
		bool slash;

		for (; at < *len && path[at] == '/'; at++)
			;
		for (end = at; end < *len && path[end] != '/'; end++)
			;
		slash = end < *len;
		switch (dots(path, at, end, encoded)) {
		case 1:
			slash = true;
			break;
		case 2:
			if (n == 0)
				rc = -EINVAL;
			while (n > 0 && path[--n] != '/')
				;
			slash = true;
			break;
		default:
			if (end == at)
				break;
			path[n++] = '/';
			memmove(path + n, path + at, end - at);
			n += end - at;
		}
		at = end;
		if (slash && at >= *len) { /* ended by a dot segment: it names a folder */
			path[n++] = '/';
			break;
		}
		if (at < *len && is_slashes(path + at, *len - at)) { /* ended by slashes */
			path[n++] = '/';
			break;
		}
	}
	if (n == 0)
		path[n++] = '/';
	*len = n;
	return rc;
}

int path_normalise(const char *raw, size_t len, char *out, size_t *ret_len)
{
	size_t n;
	int rc;

	if (len > 0 && raw[0] != '/')
		return -EINVAL;
	rc = decode(raw, len, out, &n);
	if (rc)
		return rc;
	out[n] = '\0';
	if (n == 0) {
		memcpy(out, "/", 2);
		*ret_len = 1;
		return 0;
	}
	rc = resolve(out, &n, false);
	if (rc)
		return rc;
	out[n] = '\0';
	*ret_len = n;
	return 0;
}

void path_resolve(char *path, size_t *len)
{
	resolve(path, len, true);
}

static int encode(struct buf *out, const char *text, size_t len, const char *also)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c <= 0x20 || c >= 0x7f || strchr("%?#\\\"<>", c) || strchr(also, c))
			buf_printf(out, "%%%02X", c);
		else
			buf_putc(out, (char)c);
	}
	return out->failed ? -ENOMEM : 0;
}

int path_encode(struct buf *out, const char *path, size_t len)
{
	return encode(out, path, len, "");
}

int path_encode_argument(struct buf *out, const char *text, size_t len)
{
	return encode(out, text, len, "&+=;");
}
