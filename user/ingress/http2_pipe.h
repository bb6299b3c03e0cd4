/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_HTTP2_PIPE_H
#define INGRESS_HTTP2_PIPE_H

/*
 * A session of nghttp2 over a socket, for either side: reads into it, collects the frames it makes, and writes them, those of a
 * whole turn of the loop at once. nghttp2 is not entered while it is on the stack: then things wait for the end of the turn.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "base/loop.h"

struct sock;
struct worker;

#define HTTP2_PIPE_WRITE \
	(64 * 1024) /* this much is written at once, and not only at the end of the turn */
#define HTTP2_PIPE_MAX \
	(128 * 1024) /* waits for the socket at most, but for frames that carry no data */

struct http2_pipe {
	nghttp2_session *session; /* the owner makes it and frees it */
	struct worker *worker;
	struct sock *sock;
	struct loop_event *turn; /* loop_post() it, and `turn` is called at the end of this one */
	struct buf out;          /* frames */
	size_t out_at;           /* of them, written */
	size_t read_size;
	bool readable; /* the socket may have bytes */
	bool full;     /* the socket takes nothing: EPOLLOUT will tell */
	bool inside;   /* nghttp2 is on the stack */
	bool held;     /* the owner had data that did not fit */
	bool fin;      /* EPOLLRDHUP came: to be read to its end */
	bool ended;    /* that was read, or an error */
	int error;     /* what ended it, or 0: nothing moves any more */
};

/* 0 or -ENOMEM; session is set afterwards. */
int http2_pipe_init(struct http2_pipe *pipe, struct worker *worker, struct sock *sock,
		    loop_fn *on_turn, void *arg);
void http2_pipe_done(struct http2_pipe *pipe);

/* Feeds bytes. 0; -EPROTO: the peer breaks the protocol or floods; -ECANCELED: one of the owner's callbacks failed; -ENOMEM. */
int http2_pipe_feed(struct http2_pipe *pipe, const char *bytes, size_t len);

/* Reads and feeds. 0: there is nothing more for now; 1: there may be more, but others want their turn; -ENODATA: a clean end; the
 * errors above, or of the socket. */
int http2_pipe_read(struct http2_pipe *pipe);

/* Collects what nghttp2 has, as far as there is room; writes only if it is much. 0; -errno of the socket, -ENOMEM, which stays in
 * error. */
int http2_pipe_fill(struct http2_pipe *pipe);
/* Collects and writes. The same. */
int http2_pipe_flush(struct http2_pipe *pipe);
/* The socket may take bytes again: the same, what TLS has kept first. */
int http2_pipe_writable(struct http2_pipe *pipe);

/* More data would be taken. */
bool http2_pipe_has_room(const struct http2_pipe *pipe);
/* Everything that there was is with the kernel. */
bool http2_pipe_is_empty(const struct http2_pipe *pipe);

/* For an nghttp2_send_data_callback: a frame's header with its payload. 0, or an error of nghttp2's. The owner sees to it that
 * there was room, or says that it `held` data back. */
int http2_pipe_data(struct http2_pipe *pipe, const uint8_t *header, const char *bytes, size_t len);

/* For nghttp2_session_server_new3() and nghttp2_session_client_new3(): the 16 KiB in which a session makes its frames are pages
 * of their own, so that those it does not write to take no memory. */
nghttp2_mem *http2_mem(void);

/* One session of HTTP/2 is like another: limits against what a peer may do to us. Never freed; NULL: no memory. */
const nghttp2_option *http2_options(bool client);

#endif
