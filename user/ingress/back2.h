/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_BACK2_H
#define INGRESS_BACK2_H

/*
 * HTTP/2 to an origin: one connection, shared by exchanges of the worker, one back for each stream. The pool has the socket,
 * connected and shaken hands, tells what happens to it, and is told when the connection takes no more streams and when
 * nothing is left to do.
 *
 * SETTINGS_MAX_CONCURRENT_STREAMS, GOAWAY and REFUSED_STREAM are obeyed; a stream that was certainly not acted on fails as safe to
 * retry. What a client does not take waits here, at most a stream's window.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ingress/exchange.h"

struct back2;

struct back2_owner {
	struct worker *worker;
	struct origin *origin; /* borrowed; each back gets it, the pool counts */
	struct sock *sock;
	void *arg;
	/* A stream is over, however it ended; whoever waits for room can have it. back is gone after this. May be NULL. */
	void (*stream_ended)(void *arg, struct back *back);
	/* No new streams: GOAWAY, an error, the end. Those that are there may go on. */
	void (*closing)(void *arg);
	/* Nothing is left to do: close, and back2_free(). After closing(); once; not from within back2_new() or back2_open(). */
	void (*done)(void *arg, bool reset);
};

int back2_new(const struct back2_owner *owner, struct back2 **ret_back2); /* 0 or -ENOMEM */

/* As epoll says it; also once after back2_new(). */
void back2_events(struct back2 *b, uint32_t events);

/* Streams it would take now, on top of those that are there; 0 once it is closing. */
unsigned back2_room(const struct back2 *b);
unsigned back2_streams(const struct back2 *b);

/* A stream for an exchange: ready for head() at once. 0, -ENOMEM, or -EAGAIN: no room. */
int back2_open(struct back2 *b, struct exchange *x, struct back **ret_back);

/* GOAWAY; done() follows when the last stream has ended. */
void back2_close(struct back2 *b);

/* Exchanges that run fail as ENDING_ORIGIN_RESET. NULL is fine. */
void back2_free(struct back2 *b);

#endif
