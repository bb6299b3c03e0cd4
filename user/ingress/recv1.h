/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_RECV1_H
#define INGRESS_RECV1_H

/*
 * A body of HTTP/1.1 on its way in: bytes of a connection taken apart into data, its end, and trailers. Pure.
 *
 *	recv1_begin(&r, head.body, head.body_len);
 *	while ((rc = recv1_next(&r, bytes, len, &head, &piece)) == RECV1_DATA)
 *		offer piece.data; recv1_took(&r, n); bytes += piece.skip + n …
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ingress/http1.h"

struct recv1 {
	enum http1_body body;
	bool trailers; /* the last chunk was there */
	struct http1_chunks chunks;
	uint64_t left; /* HTTP1_LENGTH: data still to come */
	size_t held;   /* data at the front that is out of its chunk already, and was not taken */
};

enum {
	RECV1_MORE =
		0, /* skip piece.skip bytes; what is left is kept and offered with more behind it */
	RECV1_DATA = 1, /* piece.data */
	RECV1_END =
		2, /* skip piece.skip bytes; trailers are in the head that was given, if `trailers` */
};

struct recv1_piece {
	size_t skip; /* bytes of framing before the data */
	const char *data;
	size_t len;
	const char *trailer_bytes; /* what the trailers' slices refer to; NULL: there are none */
};

void recv1_begin(struct recv1 *r, enum http1_body body, uint64_t length);

/* head: room for trailers. One of the above, or -(enum http1_fault). */
int recv1_next(struct recv1 *r, const char *bytes, size_t len, struct http1_head *head,
	       struct recv1_piece *ret_piece);

/* n bytes of the last piece were taken; it was len bytes long. */
void recv1_took(struct recv1 *r, size_t n, size_t len);

/* True when a body with a length is complete: nothing more need come to know it. */
bool recv1_is_complete(const struct recv1 *r);

#endif
