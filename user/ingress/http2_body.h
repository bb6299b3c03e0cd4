/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_HTTP2_BODY_H
#define INGRESS_HTTP2_BODY_H

/*
 * Bodies of one stream of HTTP/2, either side's: the one that is sent, made into frames as far as windows and socket let it, and
 * the one that is received, whose window opens by what was taken. Embedded in the owner's stream.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "ingress/http2_head.h"
#include "ingress/http2_pipe.h"

/* ---- sent --------------------------------------------------------------------------------------------------------- */

/* Trailers that wait for the end of the body: one block with what nv points to. */
struct http2_trailer {
	size_t n;
	nghttp2_nv nv[];
};

struct http2_send {
	struct http2_pipe *pipe;
	int32_t id;
	struct buf out; /* bytes that wait, at most FRONT_KEEP */
	size_t out_at;
	const char *now; /* the same, but the caller's, for the length of http2_send_body() */
	size_t now_len;
	uint64_t left;     /* of its Content-Length; UINT64_MAX: unknown */
	uint64_t moved_ns; /* when a byte last became part of a frame, or the first began to wait */
	struct http2_trailer *fields; /* or NULL */
	bool begun;                   /* the head was submitted, with a body */
	bool ended;                   /* that was all */
	bool stopped;                 /* closed or reset: what comes is swallowed */
};

void http2_send_init(struct http2_send *s, struct http2_pipe *pipe);
void http2_send_done(struct http2_send *s);

/* For nghttp2_submit_request() and nghttp2_submit_response(); marks it begun. length as left. */
nghttp2_data_provider http2_send_begin(struct http2_send *s, uint64_t length);

/* How much was taken. Small pieces wait for the end of the turn, large ones become frames at once. */
size_t http2_send_body(struct http2_send *s, const char *data, size_t len);
/* No more of it. trailer may be NULL. 0 or -ENOMEM: the trailers are lost, the owner resets. */
int http2_send_end(struct http2_send *s, const struct http1_head *trailer, const char *bytes);

/* More would be taken now. */
bool http2_send_has_room(const struct http2_send *s);
/* There is something that has not become a frame. */
bool http2_send_waits(const struct http2_send *s);
/* The pipe has room again for what it held back. */
void http2_send_release(struct http2_send *s);

/* For nghttp2_session_callbacks_set_send_data_callback(). */
int http2_send_frame(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header,
		     size_t len, nghttp2_data_source *source, void *arg);

/* ---- received ------------------------------------------------------------------------------------------------------- */

struct http2_take {
	struct http2_pipe *pipe;
	int32_t id;
	uint32_t window_max; /* once it keeps up */
	struct buf in;       /* bytes that were not taken, at most a window of them */
	size_t in_at;
	uint64_t taken;    /* so far */
	uint64_t moved_ns; /* when bytes last were */
	bool is_wide;
	bool stopped; /* closed: there is no window any more */
};

/* Gives bytes on; how many were taken. */
typedef size_t http2_take_fn(void *arg, const char *data, size_t len);

void http2_take_init(struct http2_take *t, struct http2_pipe *pipe, uint32_t window_max);
void http2_take_done(struct http2_take *t);

/* Bytes have come. What fn does not take waits. 0 or -ENOMEM. */
int http2_take_data(struct http2_take *t, const char *data, size_t len, http2_take_fn *fn,
		    void *arg);
/* Offers what waits once more. */
void http2_take_resume(struct http2_take *t, http2_take_fn *fn, void *arg);

static inline bool http2_take_waits(const struct http2_take *t)
{
	return t->in.len > 0;
}

#endif
