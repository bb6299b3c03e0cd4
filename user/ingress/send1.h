/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_SEND1_H
#define INGRESS_SEND1_H

/*
 * The writing side of an HTTP/1.1 connection, to a client or an origin: heads, bodies in their framing, and what the socket
 * did not take yet.
 *
 * What is small is gathered until the callback is over, so that a head, its body and the end leave in one write; then, or once
 * it is large, it is written: nothing waits for anything but the return of the callback.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "ingress/http1.h"
#include "ingress/sock.h"
#include "ingress/worker.h"

struct send1 {
	struct sock *sock;
	struct buf out;           /* to be written; its memory is the worker's while it is empty */
	size_t at;                /* bytes of it that are gone */
	uint64_t left;            /* bytes of the chunk that was begun and is not complete */
	bool chunked;             /* the body is */
	bool full;                /* the socket took less than there was: EPOLLOUT will come */
	int error;                /* -errno: nothing can be written any more */
	struct worker_task *task; /* the owner's: it calls send1_flush() and looks at error */
};

#define SEND1_GATHER (16 * 1024) /* bytes gathered at most */

void send1_init(struct send1 *s, struct sock *sock, struct worker_task *task);
void send1_done(struct send1 *s);

/* Where to compose a head; send1_put() when it is there. */
struct buf *send1_text(struct send1 *s);
void send1_put(struct send1 *s);

/* A body begins; its framing is in the head. */
void send1_begin(struct send1 *s, enum http1_body body);
/* How many of the bytes were taken; fewer than len: send1_flush() will say 0 when there is room again. */
size_t send1_body(struct send1 *s, const char *data, size_t len);
/* trailer may be NULL. */
void send1_end(struct send1 *s, const struct http1_head *trailer, const char *bytes);

/* 0: all of it is gone; -EAGAIN; or -errno. */
int send1_flush(struct send1 *s);
/* Bytes that wait. */
bool send1_waits(const struct send1 *s);

#endif
