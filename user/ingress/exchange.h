/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_EXCHANGE_H
#define INGRESS_EXCHANGE_H

/*
 * One request and its answer, between a front (the client's side) and a back (the origin's), whatever they speak.
 *
 * Heads are struct http1_head over text, in every protocol. Bodies are pushed: the side that reads calls the exchange, the
 * exchange calls the other side, and the result says how many bytes were taken. What was not taken stays with the reader, which
 * stops reading until it is told to resume. Framing (chunks, Content-Length, DATA frames) never crosses: a body is bytes, then an
 * end with or without trailers, or it is aborted.
 *
 * Everything here happens on one worker's thread. A side may be told to abort from within one of its own calls to the exchange (its
 * `exchange` is NULL from then on); it then finishes at its next return to its loop, so no call destroys what its caller stands on. The other way round, no operation of
 * a side calls the exchange before it has returned: what it finds out meanwhile it tells from its loop, or from a task.
 */
#include <stdbool.h>
#include <stddef.h>

#include "ingress/ending.h"
#include "ingress/http1.h"

struct back;
struct client;
struct exchange;
struct front;
struct worker;

/* ---- the client's side: what a protocol offers ----------------------------------------------------------------- */

struct front_ops {
	const char *protocol; /* "HTTP/1.1", "HTTP/2.0": for logs and forwarded fields */
	/* An answer's head, which the front writes in its own form: fields as http1_write_response() would, out->set
	 * included. 1xx may come before the final one. 0; -EINVAL, -ENOMEM: nothing was sent. */
	int (*head)(struct front *front, const struct http1_head *head, const char *bytes,
		    const struct http1_out *out);
	/* Bytes of the body: how many were taken (sent, or kept by the front, at most FRONT_KEEP of them). Fewer than len: the
	 * front calls exchange_front_room() once it can take more. Data leaves at once: never held back for more. */
	size_t (*body)(struct front *front, const char *data, size_t len);
	/* The body is complete. trailer may be NULL. The front is free for its next request (pipelining included) when it
	 * has sent everything; the exchange is over for it when this returns. */
	void (*end)(struct front *front, const struct http1_head *trailer, const char *bytes);
	/* The answer cannot be completed: the client must see that (RST_STREAM; a close without the last chunk; RST where the
	 * close would be the end). */
	void (*abort)(struct front *front, enum ending why);
	/* There is room again for the request's body. */
	void (*resume)(struct front *front);
};

#define FRONT_KEEP (64 * 1024)

/* Embedded in the front's own struct. */
struct front {
	const struct front_ops *ops;
	struct worker *worker;
	struct client *client;     /* the connection, shared by the streams of one */
	struct exchange *exchange; /* NULL: none is running */
};

/*
 * A head was read, completely and without fault. has_body as head->body says. The bytes are borrowed for the call. The exchange
 * may already be over when this returns (front->exchange is NULL then). -ENOMEM: nothing was started, the front closes.
 */
int exchange_start(struct front *front, const struct http1_head *head, const char *bytes);

/* How much of the request's body was taken; the rest is offered again after resume(). */
size_t exchange_request_body(struct exchange *x, const char *data, size_t len);
void exchange_request_end(struct exchange *x, const struct http1_head *trailer, const char *bytes);
/* The client is gone or broke the protocol; the origin's side is closed at once. The front is on its own afterwards. */
void exchange_client_gone(struct exchange *x, enum ending why);
/* The front can take bytes again. */
void exchange_front_room(struct exchange *x);

/* ---- the origin's side ------------------------------------------------------------------------------------------ */

struct back_ops {
	/* A request's head: text of HTTP/1.1 as composed by the exchange, borrowed for the call; body says what follows.
	 * 0 or -errno: nothing was sent that an origin could act on. */
	int (*head)(struct back *back, const char *text, size_t len, enum http1_body body);
	size_t (*body)(struct back *back, const char *data, size_t len); /* as front_ops.body */
	void (*end)(struct back *back, const struct http1_head *trailer, const char *bytes);
	/* Nobody wants the answer any more: the connection is closed, the stream reset. The back is gone. */
	void (*abort)(struct back *back, enum ending why);
	/* There is room again for the answer's body. */
	void (*resume)(struct back *back);
};

struct origin;

struct back {
	const struct back_ops *ops;
	struct worker *worker;
	struct origin *origin; /* counted */
	struct exchange *exchange;
	bool reused; /* had an exchange before: a failure before the first byte may just be an idle connection's end */
	bool is_head, asked_upgrade; /* of the request, set by the exchange before head() */
};

/* Connected, TLS included: head() may be called. Only after pool_open() said -EINPROGRESS. */
void exchange_back_ready(struct exchange *x, struct back *back);
/* Before the answer's head was complete, or amid the body. safe: the origin has certainly not acted on the request (connection
 * refused, GOAWAY with a lower id, REFUSED_STREAM). The back is gone. */
void exchange_back_failed(struct exchange *x, enum ending why, bool safe);
/* An answer's head: 1xx any number of times, then the final one. */
void exchange_response(struct exchange *x, const struct http1_head *head, const char *bytes);
size_t exchange_response_body(struct exchange *x, const char *data, size_t len);
/* Complete. The back goes to its pool or ends, as its protocol says; x is not to be used again. */
void exchange_response_end(struct exchange *x, const struct http1_head *trailer, const char *bytes);
void exchange_back_room(struct exchange *x);

#endif
