// SPDX-License-Identifier: GPL-2.0-only
/* Writes heads and bodies of HTTP/1.1 to a socket, as few writes as can be without holding anything back. */
/* Must not know who is at the other end. */
#include "ingress/send1.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void send1_init(struct send1 *s, struct sock *sock, struct worker_task *task)
{
	*s = (struct send1){ .sock = sock, .task = task };
}

void send1_done(struct send1 *s)
{
	worker_give_buf(s->sock->worker, &s->out);
}

static void later(struct send1 *s)
{
	worker_task(s->sock->worker, s->task);
}

static void fail(struct send1 *s, int error)
{
	if (!s->error)
		s->error = error;
	later(s);
}

bool send1_waits(const struct send1 *s)
{
	return s->out.len > s->at || s->sock->left;
}

struct buf *send1_text(struct send1 *s)
{
	if (!s->out.data)
		s->out = worker_take_buf(s->sock->worker);
	return &s->out;
}

void send1_put(struct send1 *s)
{
	if (s->out.failed)
		fail(s, -ENOMEM);
	else if (!s->full)
		later(s);
}

void send1_begin(struct send1 *s, enum http1_body body)
{
	s->chunked = body == HTTP1_CHUNKED;
	s->left = 0;
}

/* What of `out` is gone; its memory goes back once all of it is. */
static void drop_out(struct send1 *s, size_t n)
{
	s->at += n;
	if (s->at < s->out.len)
		return;
	s->at = 0;
	s->out.len = 0;
	worker_give_buf(s->sock->worker, &s->out);
}

int send1_flush(struct send1 *s)
{
	if (s->error)
		return s->error;
	while (s->out.len > s->at) {
		struct iovec piece = { s->out.data + s->at, s->out.len - s->at };
		ssize_t n = sock_writev(s->sock, &piece, 1);

		if (n == -EAGAIN) {
			s->full = true;
			return -EAGAIN;
		}
		if (n < 0) {
			s->error = (int)n;
			return s->error;
		}
		drop_out(s, (size_t)n);
	}
	s->full = sock_flush(s->sock) == -EAGAIN;
	return s->full ? -EAGAIN : 0;
}

/* Gathered: all of it is taken. */
static size_t gather(struct send1 *s, const char *data, size_t len)
{
	struct buf *out = send1_text(s);

	if (s->chunked)
		buf_printf(out, "%zx\r\n", len);
	buf_put(out, data, len);
	if (s->chunked)
		buf_put(out, "\r\n", 2);
	send1_put(s);
	return len;
}

/* Written with what waits before it: how much of data is gone. */
static size_t write_through(struct send1 *s, const char *data, size_t len)
{
	struct iovec pieces[4];
	char line[20];
	size_t before = s->out.len - s->at, line_len = 0, total = 0;
	bool ends;
	ssize_t n;
	int used = 0;

	if (s->chunked && s->left == 0) {
		s->left = len;
		line_len = (size_t)snprintf(line, sizeof(line), "%zx\r\n", len);
	}
	if (s->chunked && s->left < len)
		len = (size_t)s->left;
	ends = s->chunked && s->left == len;
	if (before)
		pieces[used++] = (struct iovec){ s->out.data + s->at, before };
	if (line_len)
		pieces[used++] = (struct iovec){ line, line_len };
	pieces[used++] = (struct iovec){ (char *)data, len };
	if (ends)
		pieces[used++] = (struct iovec){ "\r\n", 2 };
	for (int i = 0; i < used; i++)
		total += pieces[i].iov_len;
	n = sock_writev(s->sock, pieces, used);
	if (n < 0 && n != -EAGAIN) {
		fail(s, (int)n);
		return 0;
	}
	if (n < 0)
		n = 0;
	s->full = (size_t)n < total || s->sock->left;
	if ((size_t)n < before) { /* the line is promised now, and must stay as it is */
		drop_out(s, (size_t)n);
		buf_put(send1_text(s), line, line_len);
		return 0;
	}
	if (before)
		drop_out(s, before);
	n -= (ssize_t)before;
	if ((size_t)n < line_len) {
		buf_put(send1_text(s), line + n, line_len - (size_t)n);
		return 0;
	}
	n -= (ssize_t)line_len;
	if ((size_t)n < len) {
		s->left -= s->left ? (uint64_t)n : 0;
		return (size_t)n;
	}
	s->left -= s->left ? len : 0;
	n -= (ssize_t)len;
	if (ends && n < 2)
		buf_put(send1_text(s), &"\r\n"[n], (size_t)(2 - n));
	return len;
}

size_t send1_body(struct send1 *s, const char *data, size_t len)
{
	size_t taken = 0, n;

	if (s->error || len == 0)
		return 0;
	if (!s->full && len + (s->out.len - s->at) <= SEND1_GATHER && s->left == 0)
		return gather(s, data, len);
	if (s->full && send1_flush(s) < 0)
		return 0;
	do {
		n = write_through(s, data + taken, len - taken);
		taken += n;
	} while (n && taken < len && !s->full);
	if (s->out.failed)
		fail(s, -ENOMEM);
	return taken;
}

void send1_end(struct send1 *s, const struct http1_head *trailer, const char *bytes)
{
	if (!s->chunked)
		return;
	s->chunked = false;
	http1_write_last_chunk(send1_text(s), trailer, bytes);
	send1_put(s);
}
