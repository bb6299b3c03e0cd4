// SPDX-License-Identifier: GPL-2.0-only
/* Reads and writes of one socket, plain or by OpenSSL, under one set of error codes. */
/* Must not know protocols above TLS. */
#include "ingress/sock.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"
#include "ingress/worker.h"

#define RECORD_MAX 16384 /* bytes of plain text in a record of TLS */

static void on_fd(void *arg, int fd, uint32_t events)
{
	struct sock *sock = arg;
	struct worker *worker = sock->worker;

	(void)fd;
	sock->fn(sock->arg, events);
	worker_run_tasks(worker); /* sock may be gone */
}

int sock_open(struct sock *sock, struct worker *worker, int fd,
	      void (*fn)(void *arg, uint32_t events), void *arg)
{
	*sock = (struct sock){ .fd = fd, .worker = worker, .fn = fn, .arg = arg };
	return loop_add_fd(worker->loop, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_fd, sock,
			   &sock->event);
}

/* What OpenSSL's last call on it means. */
static int ssl_error(struct sock *sock, int rc)
{
	int code = errno;

	switch (SSL_get_error(sock->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		return code ? -code : -EPROTO;
	default:
		return -EPROTO;
	}
}

static ssize_t ssl_read(struct sock *sock, void *to, size_t size)
{
	int rc;

	ERR_clear_error();
	errno = 0;
	rc = SSL_read(sock->ssl, to, size > INT32_MAX ? INT32_MAX : (int)size);
	if (rc > 0)
		return rc;
	rc = ssl_error(sock, rc);
	if (rc == 0)
		sock->read_ended = true;
	return rc;
}

ssize_t sock_read(struct sock *sock, void *to, size_t size)
{
	ssize_t n;

	if (sock->read_ended)
		return 0;
	if (sock->error)
		return sock->error;
	if (sock->ssl)
		return ssl_read(sock, to, size);
	do
		n = recv(sock->fd, to, size, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		sock->read_ended = true;
	return n;
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

/* n bytes at text: 1 and they are gone; 0: they stay with the caller until next time (the very same ones); or -errno. */
static int ssl_write(struct sock *sock, const char *text, size_t n)
{
	int rc;

	ERR_clear_error();
	errno = 0;
	rc = SSL_write(sock->ssl, text, (int)n);
	if (rc > 0)
		return 1;
	rc = ssl_error(sock, rc);
	return rc == -EAGAIN ? 0 : rc == 0 ? -EPIPE : rc;
}

static int flush_record(struct sock *sock)
{
	int rc;

	if (!sock->left)
		return 0;
	rc = ssl_write(sock, sock->record, sock->left);
	if (rc == 0)
		return -EAGAIN;
	sock->left = 0;
	free(sock->record);
	sock->record = NULL;
	return rc < 0 ? rc : 0;
}

int sock_flush(struct sock *sock)
{
	if (sock->error)
		return sock->error;
	return sock->ssl ? flush_record(sock) : 0;
}

/* The next record's text: in place if one piece holds all of it, gathered otherwise. */
static const char *gather(const struct iovec *pieces, int n, size_t skip, char *to, size_t *ret_len)
{
	size_t len = 0;

	for (int i = 0; i < n && len < RECORD_MAX; i++) {
		const char *from = pieces[i].iov_base;
		size_t more = pieces[i].iov_len;

		if (skip >= more) {
			skip -= more;
			continue;
		}
		from += skip;
		more -= skip;
		skip = 0;
		if (len == 0 && (more >= RECORD_MAX || i + 1 == n)) {
			*ret_len = more < RECORD_MAX ? more : RECORD_MAX;
			return from;
		}
		if (more > RECORD_MAX - len)
			more = RECORD_MAX - len;
		memcpy(to + len, from, more);
		len += more;
	}
	*ret_len = len;
	return to;
}

static ssize_t ssl_writev(struct sock *sock, const struct iovec *pieces, int n)
{
	char space[RECORD_MAX];
	size_t done = 0;
	int rc = flush_record(sock);

	if (rc < 0)
		return rc;
	for (;;) {
		size_t len;
		const char *text = gather(pieces, n, done, space, &len);

		if (len == 0)
			return (ssize_t)done;
		rc = ssl_write(sock, text, len);
		if (rc < 0)
			return done ? (ssize_t)done : rc; /* the next call meets it again */
		if (rc == 0) {
			sock->record = malloc(len);
			if (!sock->record)
				return -ENOMEM;
			memcpy(sock->record, text, len);
			sock->left = (uint32_t)len;
			return (ssize_t)(done + len);
		}
		done += len;
	}
}

ssize_t sock_writev(struct sock *sock, const struct iovec *pieces, int n)
{
	struct msghdr message = { .msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)n };
	ssize_t sent;

	if (sock->error)
		return sock->error;
	vanish_watch(sock);
	if (sock->ssl)
		return ssl_writev(sock, pieces, n);
	do
		sent = n == 1 ? send(sock->fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL)
			      : sendmsg(sock->fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

/* ---- beginning and end --------------------------------------------------------------------------------------- */

int sock_handshake(struct sock *sock)
{
	int rc;

	if (!sock->handshake)
		return 0;
	ERR_clear_error();
	errno = 0;
	rc = SSL_do_handshake(sock->ssl);
	if (rc == 1) {
		sock->handshake = false;
		return 0;
	}
	rc = ssl_error(sock, rc);
	return rc == 0 ? -EPROTO : rc;
}

void sock_end_write(struct sock *sock)
{
	if (sock->fd < 0)
		return;
	if (sock->ssl && !sock->handshake && sock_flush(sock) == 0) {
		ERR_clear_error();
		SSL_shutdown(sock->ssl);
	}
	shutdown(sock->fd, SHUT_WR);
}

void sock_close(struct sock *sock, bool reset)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (sock->fd < 0)
		return;
	loop_remove(sock->event);
	sock->event = NULL;
	vanish_forget(sock);
	if (sock->ssl) {
		if (!reset && !sock->handshake && sock_flush(sock) == 0) {
			ERR_clear_error();
			SSL_shutdown(sock->ssl);
		}
		SSL_free(sock->ssl);
		sock->ssl = NULL;
	}
	free(sock->record);
	sock->record = NULL;
	sock->left = 0;
	if (reset)
		setsockopt(sock->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(sock->fd);
	sock->fd = -1;
}
