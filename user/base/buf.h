/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BASE_BUF_H
#define BASE_BUF_H

/*
 * A growable buffer of bytes or text. All-zero is empty and valid: `struct buf out = { 0 };`, buf_done() at the end.
 *
 * Writers return 0 or -ENOMEM. An allocation failure sticks in `failed`, and later writes do nothing: a caller
 * that composes a page may write it all and check once (buf_take, or b->failed). Whatever is in there is
 * followed by a NUL that is not counted, so data is a C string when no byte of it is NUL.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data;  /* NULL while nothing was written; use buf_str() for a string */
	size_t len;  /* bytes, the NUL behind them not counted */
	size_t size; /* allocated */
	bool failed; /* an allocation failed; content is incomplete */
};

int buf_reserve(struct buf *buf, size_t more); /* room for `more` bytes behind len */
int buf_put(struct buf *buf, const void *bytes, size_t len);
int buf_puts(struct buf *buf, const char *text);
int buf_putc(struct buf *buf, char c);
int buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *buf, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/* Drops the first len bytes (at most all); the rest moves to the front. */
void buf_consume(struct buf *buf, size_t len);

/* Forgets content and failure, keeps the memory. */
void buf_reset(struct buf *buf);

/* The content as a string; "" while empty. Valid until the next write. */
const char *buf_str(const struct buf *buf);

/* Hands the content on as a malloc()ed string and leaves an empty buffer; NULL when something failed. */
char *buf_take(struct buf *buf);

void buf_done(struct buf *buf);

#endif
