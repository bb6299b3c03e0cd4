/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_BACK2_STATE_H
#define INGRESS_BACK2_STATE_H

/* What a connection of HTTP/2 to an endpoint and its streams are, for back2*.c alone. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ingress/back2.h"
#include "ingress/http2_session.h"
#include "ingress/sock.h"
#include "ingress/worker.h"

struct call {
	struct http2_stream h2;
	struct back back;
	struct back2 *b;
	struct worker_grave grave;
	uint16_t interim; /* answers of 1xx so far */
	bool has_body;    /* of the answer */
	bool got_head;    /* the final one */
	bool is_broken;   /* its answer is none */
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
	struct http2_session h2;
	struct pool_entry entry; /* in the pool, with is_shared */
	struct wheel_timer timer;
	struct worker_grave grave;
	enum back2_state state;
	bool tls;
	bool is_shared; /* takes new streams */
	bool was_used;  /* had a stream before */
};

static inline struct call *call_of(struct http2_stream *h2)
{
	return (struct call *)((char *)h2 - offsetof(struct call, h2));
}

extern const struct back_ops back2_ops;

/* ---- back2_call.c ------------------------------------------------------------------------------------------------- */

/* NULL: no memory. */
struct call *call_new(struct back2 *b, struct exchange *x);
/* A complete block of fields: an interim or the final head, or trailers. */
void call_headers(struct call *c);
void call_data(struct call *c, const char *data, size_t len);
void call_data_end(struct call *c);
void call_resume(struct call *c);
/* It is over, whatever is missing fails like this. */
void call_bury(struct call *c, enum ending why, bool safe);

#endif
