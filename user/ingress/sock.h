/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_SOCK_H
#define INGRESS_SOCK_H

/*
 * A connected socket, with or without TLS: what protocols read from and write to. Edge-triggered: it is registered with the
 * worker's loop once, for everything, and never again. Whoever got -EAGAIN is called back when it is worth another try.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct loop_event;
struct ssl_st; /* SSL of OpenSSL */
struct worker;

struct sock {
	int fd;
	struct ssl_st *ssl;       /* NULL: plain */
	struct loop_event *event; /* of fd */
	bool handshake;           /* of TLS, not over yet */
	bool read_ended;          /* FIN or close_notify has come */
	bool want_write_to_read; /* TLS: reading waits until the socket can be written, and the other way round */
	bool want_read_to_write;
};

/* Bytes read (> 0), 0 at a clean end, -EAGAIN, -ECONNRESET, -EPROTO (TLS: also an end without close_notify) or another
 * -errno. */
ssize_t sock_read(struct sock *sock, void *to, size_t size);
/* Bytes written, at least one, or -EAGAIN, -EPIPE, -ECONNRESET, -EPROTO … TLS: the pieces are gathered into as few records
 * as they fit in; after -EAGAIN the same bytes must come again (they may have moved). */
ssize_t sock_writev(struct sock *sock, const struct iovec *pieces, int n);
/* 0 when the handshake is over, -EAGAIN, or -errno (why: the error queue of OpenSSL). At once for a plain socket. */
int sock_handshake(struct sock *sock);
/* Ends the writing half: FIN, after a close_notify. */
void sock_end_write(struct sock *sock);
/* Removes the event and closes; reset: so that the peer sees RST, not a clean end. */
void sock_close(struct sock *sock, bool reset);

#endif
