/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_FRONT2_STATE_H
#define INGRESS_FRONT2_STATE_H

/* What a client's connection of HTTP/2 and its streams are, for front2*.c alone. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ingress/exchange.h"
#include "ingress/http2_session.h"
#include "ingress/worker.h"

/* So many, and some more with time. */
struct front2_budget {
	uint32_t left;
	uint64_t since_ns; /* when it was looked at last */
};

struct stream {
	struct http2_stream h2;
	struct front front;
	struct front2 *f;
	struct worker_grave grave;
	bool has_body;     /* the exchange was told of one */
	bool may_be_quiet; /* a call of gRPC, or a body that waits for 100: no bytes for long is fine */
	bool told_all;     /* the exchange knows that END_STREAM has come */
	bool answered;     /* the final head is with nghttp2 */
	bool is_reset;     /* by us, of our own will */
};

struct front2 {
	struct http2_session h2;
	struct client *client;
	struct worker_grave grave;
	int32_t last_id;                  /* of a stream, that the client opened */
	int32_t skipped_from, skipped_to; /* numbers it passed over last */
	struct front2_budget resets, idle_frames;
	uint64_t
		block_since_ns; /* when a field block began that is not complete, and is kept; 0: none is */
	uint64_t idle_since_ns;  /* without a stream */
	uint64_t stuck_since_ns; /* the socket takes nothing; 0: it does */
	uint64_t look_ns;  /* when stalls are looked for next; 0: there is nothing to look at */
	uint64_t drain_ns; /* when the second GOAWAY is due; 0: not draining */
	bool draining;     /* that was sent */
	bool block_is_bad; /* it will not be complete: nothing is told of its end */
	bool lingers;      /* our half is closed, what still comes is dropped */
	bool settings_came;
};

static inline struct stream *stream_of(struct http2_stream *h2)
{
	return (struct stream *)((char *)h2 - offsetof(struct stream, h2));
}

extern const struct front_ops front2_ops;

/* ---- front2_stream.c ----------------------------------------------------------------------------------------------- */

/* A complete block of fields that opens a stream. 0, or an error of nghttp2's callbacks. */
int stream_open(struct front2 *f, int32_t id, bool ended);
/* A complete block behind a body. */
void stream_trailer(struct stream *s);
/* Bytes of a body; END_STREAM. */
void stream_data(struct stream *s, const char *data, size_t len);
void stream_data_end(struct stream *s);
/* The exchange may take more of what waits. */
void stream_resume(struct stream *s);
/* RST_STREAM. */
void stream_reset(struct stream *s, uint32_t code);
/* It is over: tells the exchange, if there still is one, and lets go of it. ENDING_COMPLETE: why is found out. */
void stream_bury(struct stream *s, enum ending why);

#endif
