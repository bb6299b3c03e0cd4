/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_SOCK_H
#define INGRESS_SOCK_H

/*
 * A connected socket, with or without TLS: what protocols read from and write to. Edge-triggered: it is registered with the
 * worker's loop once, for everything, and never again. Whoever got -EAGAIN is called back when it is worth another try.
 *
 * Whatever happens on it calls fn(arg, events): EPOLLIN (bytes, or an end), EPOLLOUT, EPOLLRDHUP (FIN), EPOLLERR, EPOLLHUP.
 * With TLS, EPOLLIN and EPOLLOUT may each be what reading or writing waited for, so both are tried again.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "ingress/vanish.h"

struct loop_event;
struct ssl_st; /* SSL of OpenSSL */
struct worker;

struct sock {
	int fd;
	bool handshake;           /* of TLS, not over yet */
	bool read_ended;          /* FIN or close_notify has come, and was read */
	int error;                /* -errno: its peer was given up; reads and writes say so */
	uint32_t left;            /* plain text in `record` that OpenSSL has not got rid of */
	struct ssl_st *ssl;       /* NULL: plain */
	struct loop_event *event; /* of fd */
	char *record;             /* TLS: a record that did not go out at once, or NULL */
	struct worker *worker;
	void (*fn)(void *arg, uint32_t events);
	void *arg;
	struct vanish_watch watch; /* for a peer that answers nothing any more */
};

/* Takes over fd (non-blocking), at success only. ssl may be set afterwards, and handshake with it. 0 or -errno. */
int sock_open(struct sock *sock, struct worker *worker, int fd,
	      void (*fn)(void *arg, uint32_t events), void *arg);

/* Bytes read (> 0), 0 at a clean end, -EAGAIN, -ECONNRESET, -EPROTO (TLS: also an end without close_notify) or another
 * -errno. Fewer than size (plain): there are no more for now. TLS: call until -EAGAIN. */
ssize_t sock_read(struct sock *sock, void *to, size_t size);
/* Bytes taken, at least one, or -EAGAIN, -EPIPE, -ECONNRESET, -EPROTO … TLS: the pieces are gathered into as few records as
 * they fit in; what was taken may still wait in here, see sock_flush(). */
ssize_t sock_writev(struct sock *sock, const struct iovec *pieces, int n);
/* 0: everything that was taken is with the kernel; -EAGAIN: not yet, EPOLLOUT tells; or -errno. */
int sock_flush(struct sock *sock);
/* 0 when the handshake is over, -EAGAIN, or -errno (why: the error queue of OpenSSL). At once for a plain socket. */
int sock_handshake(struct sock *sock);
/* Ends the writing half: FIN, after a close_notify. */
void sock_end_write(struct sock *sock);
/* Removes the event and closes; reset: so that the peer sees RST, not a clean end. Works twice. */
void sock_close(struct sock *sock, bool reset);

#endif
