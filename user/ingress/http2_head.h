/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_HTTP2_HEAD_H
#define INGRESS_HTTP2_HEAD_H

/*
 * Field blocks of HTTP/2 to heads and back. Pure: no frames, no nghttp2 session.
 *
 * A received block is written as a head of HTTP/1.1 and read by http1_head_read(): one parser decides for both protocols. Whatever
 * the text could say that the block did not (a byte that ends a line, a second framing) is refused before it is written.
 * Cookie crumbs are joined, :authority becomes Host, a body of unknown length is "chunked". Fields of a connection, which HTTP/2
 * does not have, make a block malformed (RFC 9113 8.2.2); "te: trailers" is kept.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "ingress/http1.h"

/* ---- received --------------------------------------------------------------------------------------------------- */

/* Names and values of a block, with 32 bytes for each field (RFC 9113 6.5.2): beyond that nothing is even looked at, and
 * who sends it is not worth a connection. */
#define HTTP2_BLOCK_MAX (256 * 1024)

struct http2_pseudo {
	uint32_t at; /* in `pseudo` */
	uint32_t len;
	bool is_there;
};

/* All-zero is valid and owns nothing. */
struct http2_block {
	enum http1_kind kind;
	enum http1_fault fault; /* the first that was met */
	struct buf text;        /* lines of fields behind the first line */
	struct buf pseudo;      /* values of pseudo-fields */
	struct http2_pseudo method, scheme, authority, path, status;
	uint32_t bytes;      /* seen */
	uint32_t room;       /* text is not grown beyond this */
	uint32_t cookie_end; /* where a further crumb goes; 0: no cookie yet */
	bool regular;        /* a field that is no pseudo-field has come */
	bool has_length;     /* Content-Length */
};

/* Starts a block; limits say how much of it is kept (more is a fault, not an error). */
void http2_block_begin(struct http2_block *block, enum http1_kind kind,
		       const struct http1_limits *limits);

/* A field as HPACK gives it. 0; -ENOMEM; -E2BIG: the block passes HTTP2_BLOCK_MAX. */
int http2_block_add(struct http2_block *block, const char *name, size_t name_len, const char *value,
		    size_t value_len);

/*
 * The block is complete; ended: nothing follows it. head was prepared by http1_head_init() (and http1_head_answers()) and is read
 * from block->text, which is its bytes from then on. The head's length (> 0), -(enum http1_fault), or -ENOMEM - HTTP1_FAULTS.
 */
int http2_block_end(struct http2_block *block, bool ended, struct http1_head *head);
#define HTTP2_NO_MEMORY (-(int)HTTP1_FAULTS - 1)

void http2_block_done(struct http2_block *block);

/* ---- sent --------------------------------------------------------------------------------------------------------- */

#define HTTP2_NV_MAX (HTTP1_FIELDS_MAX + 32)

/* Fields for nghttp2, which copies them (in lower case) when they are submitted. */
struct http2_nv {
	nghttp2_nv nv[HTTP2_NV_MAX];
	size_t n;
	char status[3];
	char length[20];
};

/* A response as http1_write_response() would write it: out->set replaces, out->body is the framing. 0, or -EINVAL: a field
 * to be set is none, or there are more than fit. What nv points to are bytes, out and nv itself. */
int http2_nv_response(struct http2_nv *nv, const struct http1_head *head, const char *bytes,
		      const struct http1_out *out);

/* A request that was composed as text and read again as a head. scheme: "https" or "http". */
int http2_nv_request(struct http2_nv *nv, const struct http1_head *head, const char *bytes,
		     const char *scheme);

/* Trailers. */
int http2_nv_trailer(struct http2_nv *nv, const struct http1_head *trailer, const char *bytes);

#endif
