/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_BACK2_STATE_H
#define INGRESS_BACK2_STATE_H

/* What a connection of HTTP/2 to an endpoint and its streams are, for back2*.c alone. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "ingress/back2.h"
#include "ingress/http2_head.h"
#include "ingress/http2_pipe.h"
#include "ingress/http2_stream.h"
#include "ingress/sock.h"
#include "ingress/worker.h"

struct call {
	struct back back;
	struct back2 *b;
	TAILQ_ENTRY(call) link;    /* in b->calls */
	TAILQ_ENTRY(call) waiting; /* in b->waiting, with is_waiting */
	STAILQ_ENTRY(call) gone;   /* in b->gone, with is_gone */
	struct worker_grave grave;
	int32_t id;             /* of the stream; 0: none yet */
	uint32_t error;         /* is_closed: nghttp2's code */
	struct http2_send send; /* the request's body */
	struct http2_take take; /* the answer's */
	struct buf trailer;     /* of the answer, as text */
	uint16_t interim;       /* answers of 1xx so far */
	bool has_body;          /* of the answer */
	bool got_head;          /* the final one */
	bool got_all;           /* END_STREAM has come */
	bool is_waiting;        /* the exchange waits for room */
	bool is_closed;         /* nghttp2 is done with it */
	bool is_gone;           /* and somebody is to be told */
	bool is_broken;         /* its answer is none */
};

enum back2_state {
	BACK2_CONNECTING,
	BACK2_SHAKING,
	BACK2_OPEN,
};

struct back2 {
	struct worker *worker;
	struct origin *origin; /* counted */
	struct sock sock;
	struct http2_pipe pipe;
	struct http2_block block;
	struct pool_entry entry; /* in the pool, with is_shared */
	struct wheel_timer timer;
	struct worker_grave grave;
	TAILQ_HEAD(, call) calls;
	TAILQ_HEAD(, call) waiting;
	STAILQ_HEAD(, call) gone;
	unsigned n_calls;
	enum back2_state state;
	bool tls;
	bool is_shared; /* takes new streams */
	bool was_used;  /* had a stream before */
	bool dead;
};

extern const struct back_ops back2_ops;

/* ---- back2_call.c ------------------------------------------------------------------------------------------------- */

/* NULL: no memory. */
struct call *call_new(struct back2 *b, struct exchange *x);
/* A complete block of fields: an interim or the final head, or trailers. */
void call_headers(struct call *c);
void call_data(struct call *c, const char *data, size_t len);
void call_data_end(struct call *c);
void call_resume(struct call *c);
/* nghttp2 is done with it: at the end of the turn. */
void call_leave(struct call *c);
/* It is over, whatever is missing fails like this. */
void call_bury(struct call *c, enum ending why, bool safe);

#endif
