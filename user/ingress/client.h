/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_CLIENT_H
#define INGRESS_CLIENT_H

/*
 * A connection of a client, from accept() to close(): what comes before HTTP (the PROXY header, the TLS handshake, which protocol
 * it is), and what its requests share. What speaks HTTP on it is its protocol: front1 or front2.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "core/address.h"
#include "ingress/ending.h"
#include "ingress/sock.h"
#include "ingress/wheel.h"
#include "ingress/worker.h"

struct listener;

/* What a protocol does for its connection; state is what it was begun with. */
struct client_ops {
	/* The socket has news (epoll's bits). */
	void (*events)(void *state, uint32_t events);
	/* The time set by client_deadline() is over. */
	void (*timeout)(void *state);
	/* No more requests than those that run: close when they are done, now if there are none. */
	void (*drain)(void *state);
	/* Is it between requests? Then it may be closed to make room for another. NULL: never. */
	bool (*is_idle)(const void *state);
	/* The connection ends now, whatever runs: abort that, then call client_close(). */
	void (*cut)(void *state, enum ending why);
};

struct client {
	struct worker *worker;
	struct sock sock;
	const struct client_ops *ops; /* NULL: no protocol yet */
	void *state;
	TAILQ_ENTRY(client) link; /* in the worker's */
	struct worker_grave grave;
	struct wheel_timer
		timer;       /* one for the connection: the protocol's own after it was chosen */
	struct address peer; /* of the connection, or as the PROXY header says */
	uint16_t peer_port;
	struct address tcp_peer; /* of the connection */
	uint16_t local_port;     /* where the client meant to connect to, as far as it is known */
	bool tls;
	bool proxied;     /* a PROXY header is still to come */
	bool trusted;     /* tcp_peer is one of --trusted-proxies */
	bool counted;     /* in the connections of its address */
	bool fin;         /* the client has ended its writing */
	struct buf first; /* bytes read before a protocol was chosen */
};

/* Takes over fd. */
void client_new(struct worker *worker, const struct listener *listener, int fd,
		const struct address *peer, uint16_t peer_port);

/* For protocols. */
void client_deadline(struct client *client, uint64_t deadline_ns); /* UINT64_MAX: none */
/* Ends the connection; client is freed at the end of the turn, state is the protocol's to bury. */
void client_close(struct client *client, bool reset);

/* How long a connection without a request is kept when draining begins: one may be on its way. */
#define CLIENT_GRACE_NS UINT64_C(1000000000)

/* For the worker: all connections. */
void client_drain_all(struct worker *worker);
void client_close_all(struct worker *worker, enum ending why);

#endif
