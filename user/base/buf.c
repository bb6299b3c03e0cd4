// SPDX-License-Identifier: GPL-2.0-only
// Growable bytes and text, with a sticky out-of-memory mark.
// Must not know what is written into it.
#include "base/buf.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int buf_reserve(struct buf *buf, size_t more)
{
	size_t want = buf->size ? buf->size : 64;
	char *grown;

	if (buf->failed)
		return -ENOMEM;
	if (more >= SIZE_MAX / 2 - buf->len)
		goto fail;
	if (buf->data && buf->len + more + 1 <= buf->size)
		return 0;
	while (want < buf->len + more + 1)
		want *= 2;
	grown = realloc(buf->data, want);
	if (!grown)
		goto fail;
	buf->data = grown;
	buf->size = want;
	buf->data[buf->len] = '\0';
	return 0;
fail:
	buf->failed = true;
	return -ENOMEM;
}

int buf_put(struct buf *buf, const void *bytes, size_t len)
{
	int rc = buf_reserve(buf, len);

	if (rc < 0)
		return rc;
	if (len)
		memcpy(buf->data + buf->len, bytes, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
	return 0;
}

int buf_puts(struct buf *buf, const char *text)
{
	return buf_put(buf, text, strlen(text));
}

int buf_putc(struct buf *buf, char c)
{
	return buf_put(buf, &c, 1);
}

int buf_vprintf(struct buf *buf, const char *format, va_list args)
{
	va_list again;
	size_t room;
	int len, rc;

	rc = buf_reserve(buf, 1);
	if (rc < 0)
		return rc;
	va_copy(again, args);
	room = buf->size - buf->len;
	len = vsnprintf(buf->data + buf->len, room, format, args);
	if (len >= 0 && (size_t)len < room) {
		buf->len += (size_t)len;
		goto out;
	}
	buf->data[buf->len] = '\0';
	if (len < 0)
		buf->failed = true; /* a format the libc refuses */
	rc = len < 0 ? -EINVAL : buf_reserve(buf, (size_t)len);
	if (!rc) {
		vsnprintf(buf->data + buf->len, buf->size - buf->len, format, again);
		buf->len += (size_t)len;
	}
out:
	va_end(again);
	return rc;
}

int buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;
	int rc;

	va_start(args, format);
	rc = buf_vprintf(buf, format, args);
	va_end(args);
	return rc;
}

void buf_consume(struct buf *buf, size_t len)
{
	if (len > buf->len)
		len = buf->len;
	if (!len)
		return;
	buf->len -= len;
	memmove(buf->data, buf->data + len, buf->len + 1);
}

void buf_reset(struct buf *buf)
{
	buf->len = 0;
	buf->failed = false;
	if (buf->data)
		buf->data[0] = '\0';
}

const char *buf_str(const struct buf *buf)
{
	return buf->data ? buf->data : "";
}

char *buf_take(struct buf *buf)
{
	char *data = NULL;

	if (!buf_reserve(buf, 0)) {
		data = buf->data;
		buf->data = NULL;
	}
	buf_done(buf);
	return data;
}

void buf_done(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){ 0 };
}
