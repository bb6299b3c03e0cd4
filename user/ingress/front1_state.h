/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_FRONT1_STATE_H
#define INGRESS_FRONT1_STATE_H

/* A client's connection of HTTP/1.1, for front1*.c alone. */
#include "ingress/client.h"
#include "ingress/exchange.h"
#include "ingress/recv1.h"
#include "ingress/send1.h"
#include "ingress/sock.h"
#include "ingress/worker.h"

/* Bytes of a body that nobody wants, before the connection is given up for it. */
#define FRONT1_DISCARD_MAX (64 * 1024)

/* What bytes of the client are for. */
enum front1_state {
	HEAD,
	BODY,    /* of the request, to the exchange */
	NOTHING, /* the request is complete: what comes is the next one, and waits */
	DISCARD, /* the exchange is over, the request's body is not */
	TUNNEL,
	TUNNEL_ENDED, /* the client has ended its half */
	LINGER,       /* we have ended ours, and wait for the client to see what was said */
};

struct front1 {
	struct front front;
	struct client *client;
	struct sock *sock;
	struct worker_grave grave;
	struct worker_task task;
	struct send1 send;
	struct recv1 recv;
	struct buf in;           /* bytes that wait */
	struct http1_head *head; /* one that is not complete; else NULL */
	uint64_t progress_ns;    /* the client last sent or took something */
	uint64_t discarded;      /* bytes */
	uint32_t read_size;
	enum front1_state state;
	uint8_t minor; /* of the request's version */
	enum http1_body answer_body;
	bool readable;     /* there may be bytes in the socket */
	bool stalled;      /* the exchange did not take all of a body */
	bool keep;         /* the client wants to go on */
	bool may_not_come; /* the client waits for 100 before it sends its body */
	bool answering;    /* the final answer's head was given */
	bool answered;     /* and its end */
	bool closing;      /* no request after this one */
	bool pumping;
	bool dead;
};

/* Closes it; the exchange knows already. */
void front1_close(struct front1 *f, bool reset);

/* ---- front1_answer.c ---- */

extern const struct front_ops front1_ops;

#endif
