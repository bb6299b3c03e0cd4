/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_FRONT2_H
#define INGRESS_FRONT2_H

/*
 * HTTP/2 on a client's connection: one front for each stream. The connection's owner (client) has the socket, tells what
 * happens to it, and is told when nothing is left to do; nothing here opens or closes one.
 *
 * Frames of all streams of a turn leave in one write at its end, or before that when they are many. A request's body that the
 * origin does not take waits here, at most a stream's window; the window moves only by what was taken. The connection's moves by
 * what came, so one stream that stands does not hold up its siblings.
 *
 * Not offered: CONNECT, WebSocket over HTTP/2 (RFC 8441), push. Browsers then open HTTP/1.1 connections for WebSocket.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct front2;
struct sock;
struct worker;

#define FRONT2_STREAMS     128          /* at once, on one connection */
#define FRONT2_WINDOW      (64 * 1024)  /* of a stream, at first */
#define FRONT2_WINDOW_MAX  (256 * 1024) /* of a stream whose origin keeps up */
#define FRONT2_WINDOW_ALL  (1024 * 1024)
#define FRONT2_OUT_MAX     (128 * 1024) /* waiting for the socket; more is not taken from origins */
#define FRONT2_PREFACE     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define FRONT2_PREFACE_LEN 24

/* Nanoseconds; UINT64_MAX: no limit. */
struct front2_times {
	uint64_t head_ns; /* from the first byte of a field block to its last; the preface too */
	uint64_t body_ns; /* without a byte of a request's body that there is room for */
	uint64_t send_ns; /* without the client taking a byte of what waits for it */
	uint64_t idle_ns; /* without a stream */
};

struct front2_owner {
	struct worker *worker;
	struct client *client;
	struct sock *sock;                /* the handshake is over */
	const struct front2_times *times; /* lives as long as the front2 */
	/* There is nothing left to do: close, and front2_free(), now or later. reset: the client broke the protocol or does not
	 * listen. Called once at most, and never from within front2_new(), front2_drain() or a call of an exchange. */
	void (*done)(struct client *client, bool reset);
};

/*
 * first[0, len) was read before it was known that this is HTTP/2 (prior knowledge; the preface is part of it). 0, -ENOMEM, or
 * -EPROTO: that is no HTTP/2.
 */
int front2_new(const struct front2_owner *owner, const char *first, size_t len,
	       struct front2 **ret_front2);

/* EPOLLIN, EPOLLOUT, EPOLLRDHUP … as epoll says it; also once after front2_new(). */
void front2_events(struct front2 *f, uint32_t events);

/* GOAWAY, twice: the first lets requests on their way come, a second later the second names the last. done() follows when the
 * last stream has ended. */
void front2_drain(struct front2 *f);

/* Streams that are there. */
unsigned front2_streams(const struct front2 *f);

/* Exchanges that run are told that the client is gone. NULL is fine. */
void front2_free(struct front2 *f);

#endif
