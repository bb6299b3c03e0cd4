/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_KUBE_SCAN_H
#define SOURCE_KUBE_SCAN_H

/*
 * Cuts what an API server sends into its objects, however it was cut on the way here.
 *
 * A stream (watch) is objects one behind the other, with or without white space between them (RFC 8259 text; newlines
 * between events are a custom only). A list is one object; each element of its member `items` is handed over as soon as it
 * is whole, and at the end the rest, with items left empty.
 *
 * Only brackets, strings and escapes are looked at; whoever takes an object parses it. The outcome depends on the bytes
 * alone, never on how they were split between calls.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define SCAN_OBJECT_MAX ((size_t)8 << 20) /* bytes of one object */
#define SCAN_LIST_MAX \
	((uint64_t)1 << 29) /* bytes of one list, what is between its objects included */
#define SCAN_DEPTH_MAX 64   /* brackets inside each other */

enum scan_kind { SCAN_STREAM, SCAN_LIST };

enum scan_part {
	SCAN_OBJECT, /* an object of the stream, an element of the list */
	SCAN_REST,   /* of a list: all but its items */
};

/*
 * A part, NUL-terminated, valid during the call. spoilt: it held what no text may (invalid UTF-8, a NUL, also as \u0000);
 * these bytes are '?' now, so that the object can still be named, but it must not be used. Anything but 0 ends the scan.
 */
typedef int scan_fn(void *ctx, enum scan_part part, const char *text, size_t len, bool spoilt);

struct scan {
	enum scan_kind kind;
	scan_fn *fn;
	void *ctx;
	int code;   /* what ended it; 0 = nothing did */
	bool whole; /* of a list: its last bracket was read */
	unsigned depth;
	uint64_t square;               /* bit n: bracket n is '[' */
	unsigned utf8_left, utf8_have; /* bytes of a character that are to come, that are kept */
	uint8_t utf8_low, utf8_high;   /* bounds of the next continuation byte */
	bool in_string, escaped, spoilt, rest_spoilt;
	unsigned hex_left, hex; /* of \uXXXX */
	bool is_items;          /* the member whose value comes next is `items` */
	bool in_items;
	bool want_comma; /* between elements */
	bool any_item;
	unsigned key_len;
	char key[8]; /* the last string directly in a list's object */
	uint64_t seen;
	struct buf part, rest;
};

void scan_init(struct scan *scan, enum scan_kind kind, scan_fn *fn, void *ctx);
void scan_done(struct scan *scan);

/*
 * Takes the next bytes. 0; -EBADMSG (no such JSON, or too deep), -EFBIG (an object or list too large), -ENOMEM, or what the
 * function returned; and the same again from then on.
 */
int scan_feed(struct scan *scan, const char *bytes, size_t len);

/* True if nothing is half read: between two objects of a stream, or behind the end of a list. */
bool scan_is_whole(const struct scan *scan);

#endif
