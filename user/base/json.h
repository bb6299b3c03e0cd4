// SPDX-License-Identifier: GPL-2.0-only
/* Pieces of JSON text. Pure. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* A string in quotes, escaped as RFC 8259 asks. Bytes that are no UTF-8 are passed as they are. */
void json_string(struct buf *out, const char *text);
/*
 * The same of bytes that may be anything, for readers that insist on UTF-8: at most `room` bytes go to `out`, without quotes and
 * without a NUL; what is no UTF-8 becomes U+FFFD; text that does not fit is cut between characters. How many were written.
 */
size_t json_escape(const char *text, size_t len, char *out, size_t room);
/* "key": — with a comma before it unless it is the first. */
void json_key(struct buf *out, const char *key, bool first);
static inline const char *json_bool(bool value)
{
	return value ? "true" : "false";
}

#endif
