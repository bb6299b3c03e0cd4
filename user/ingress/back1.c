// SPDX-License-Identifier: GPL-2.0-only
/* Writes requests of HTTP/1.1 to an endpoint and reads what it answers. */
/* Must not know who asked, or which endpoints there are. */
#include "ingress/back1.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "ingress/connect.h"
#include "ingress/recv1.h"
#include "ingress/send1.h"
#include "ingress/settings.h"
#include "ingress/sock.h"
#include "ingress/stats.h"
#include "ingress/tls.h"
#include "ingress/upstream.h"

#define READ_FIRST       (16 * 1024)
#define READ_LEAST       (4 * 1024)
#define READ_KEPT        (4 * 1024)
#define INTERIM_MAX      32 /* answers of 1xx before the final one */
#define KEEP_ALIVE_MAX_S 60
#define ONE_SHOT_NS      (500 * CLOCK_NS_PER_MS)

enum state {
	CONNECTING,
	SHAKING, /* hands, for TLS */
	IDLE,
	HEAD, /* an exchange has it, the final answer's head is not complete */
	BODY,
	TUNNEL,
	ENDED, /* the answer is complete */
};

struct back1 {
	struct back back;
	struct sock sock;
	struct pool_entry entry;
	struct wheel_timer timer;
	struct worker_task task;
	struct worker_grave grave;
	struct send1 send;
	struct recv1 recv;
	struct buf in;           /* bytes that wait */
	struct http1_head *head; /* one that is not complete; else NULL */
	uint64_t idle_ns;        /* how long the connection may be idle */
	uint32_t read_size;
	enum state state;
	uint8_t interim; /* answers of 1xx */
	bool readable;   /* there may be bytes in the socket */
	bool fin;        /* the endpoint has ended its writing */
	bool stalled;    /* the exchange did not take all of a body */
	bool keep;       /* the endpoint wants to go on */
	bool half_done;  /* the client has ended its half of a tunnel: so do we once all is sent */
	bool request_done; /* all of it was given to us */
	bool pumping;
	bool dead;
};

static void pump(struct back1 *b);

static uint64_t now(const struct back1 *b)
{
	return worker_now_ns(b->back.worker);
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

static void back1_free(void *arg)
{
	struct back1 *b = arg;

	origin_drop(b->back.origin);
	tls_origin_drop(b->entry.tls);
	buf_done(&b->in);
	free(b->head);
	free(b);
}

static void close_now(struct back1 *b)
{
	struct worker *worker = b->back.worker;

	if (b->dead)
		return;
	b->dead = true;
	b->back.exchange = NULL;
	worker_task_cancel(worker, &b->task);
	worker_clear_timer(worker, &b->timer);
	send1_done(&b->send);
	sock_close(&b->sock, false);
	stats_gauge(worker->stats, GAUGE_ORIGINS, -1);
	b->grave = (struct worker_grave){ .free = back1_free, .arg = b };
	worker_bury(worker, &b->grave);
}

/* The exchange hears of it; so does nobody when there is none. */
static void fail(struct back1 *b, enum ending why, bool safe)
{
	struct exchange *x = b->back.exchange;

	if (b->dead)
		return;
	if (b->head) /* a part of an answer: it was not closed before the request came */
		b->back.reused = false;
	close_now(b);
	if (x)
		exchange_back_failed(x, why, safe);
}

static void leave_pool(struct back1 *b)
{
	if (b->state == IDLE)
		pool_remove(b->back.worker->pool, &b->entry);
}

/* ---- answers --------------------------------------------------------------------------------------------------- */

/* "timeout=5, max=100": how long the endpoint keeps an idle connection, in seconds. */
static void read_keep_alive(struct back1 *b, const struct http1_head *head, const char *bytes)
{
	const struct http1_field *f = http1_field_find(head, bytes, "keep-alive", NULL);
	uint64_t s = 0;

	b->idle_ns = b->back.worker->settings->origin_idle_ns;
	for (size_t i = 0; f && i + 8 < f->value_len; i++) {
		const char *at = bytes + f->value_at + i;

		if (strncasecmp(at, "timeout=", 8) != 0)
			continue;
		for (i += 8; i < f->value_len && s < KEEP_ALIVE_MAX_S; i++) {
			char c = bytes[f->value_at + i];

			if (c < '0' || c > '9')
				break;
			s = s * 10 + (uint64_t)(c - '0');
		}
		if (s > KEEP_ALIVE_MAX_S)
			s = KEEP_ALIVE_MAX_S;
		/* A second less than it says, as its clock started earlier. */
		b->idle_ns = s > 1 ? (s - 1) * CLOCK_NS_PER_S : s ? ONE_SHOT_NS : 0;
		return;
	}
}

static void response_done(struct back1 *b, const char *trailer_bytes)
{
	struct exchange *x = b->back.exchange;

	b->state = ENDED;
	b->back.exchange = NULL;
	exchange_response_end(x, trailer_bytes ? &b->back.worker->head : NULL, trailer_bytes);
}

/* Bytes used; 0: there are not enough. */
static size_t take_head(struct back1 *b, const char *bytes, size_t len)
{
	struct http1_head *head = b->head ? b->head : &b->back.worker->head;
	int n;

	if (!b->head) {
		http1_head_init(head, HTTP1_RESPONSE, &http1_limits_response);
		http1_head_answers(head, b->back.is_head, b->back.asked_upgrade);
	}
	n = http1_head_read(head, bytes, len);
	if (n == HTTP1_PARTIAL && !b->head) {
		b->head = malloc(sizeof(*b->head));
		if (!b->head) {
			fail(b, ENDING_NO_MEMORY, false);
			return len;
		}
		memcpy(b->head, head, sizeof(*head));
	}
	if (n == HTTP1_PARTIAL)
		return 0;
	if (n < 0 || (head->status < 200 && head->status != 101 && ++b->interim > INTERIM_MAX)) {
		fail(b, ENDING_ORIGIN_FAULT, false);
		return len;
	}
	if (head->status >= 200 || head->status == 101) {
		b->keep = head->reusable;
		if (b->keep)
			read_keep_alive(b, head, bytes);
		b->state = head->body == HTTP1_TUNNEL ? TUNNEL : BODY;
		recv1_begin(&b->recv, head->body, head->body_len);
	}
	exchange_response(b->back.exchange, head, bytes);
	free(b->head);
	b->head = NULL;
	if (!b->dead && b->state == BODY && b->recv.body == HTTP1_NO_BODY)
		response_done(b, NULL);
	return (size_t)n;
}

/* Bytes used; *ret_stop: no more for now. */
static size_t take_body(struct back1 *b, const char *bytes, size_t len, bool *ret_stop)
{
	struct recv1_piece piece;
	int rc = recv1_next(&b->recv, bytes, len, &b->back.worker->head, &piece);
	size_t n;

	if (rc < 0) {
		fail(b, ENDING_ORIGIN_FAULT, false);
		return len;
	}
	if (rc == RECV1_END) {
		response_done(b, piece.trailer_bytes);
		return piece.skip;
	}
	if (rc == RECV1_MORE) {
		*ret_stop = true;
		return piece.skip;
	}
	n = exchange_response_body(b->back.exchange, piece.data, piece.len);
	if (b->dead)
		return len;
	recv1_took(&b->recv, n, piece.len);
	b->stalled = n < piece.len;
	*ret_stop = b->stalled;
	if (!b->stalled && recv1_is_complete(&b->recv))
		response_done(b, NULL);
	return piece.skip + n;
}

static size_t process(struct back1 *b, const char *bytes, size_t len)
{
	size_t at = 0;
	bool stop = false;

	while (at < len && !stop && !b->dead) {
		size_t n;

		switch (b->state) {
		case HEAD:
			n = take_head(b, bytes + at, len - at);
			stop = n == 0;
			at += n;
			break;
		case BODY:
			at += take_body(b, bytes + at, len - at, &stop);
			break;
		case TUNNEL:
			n = exchange_response_body(b->back.exchange, bytes + at, len - at);
			stop = b->stalled = !b->dead && n < len - at;
			at += n;
			break;
		default: /* bytes that nobody asked for */
			b->keep = false;
			return len;
		}
	}
	return at;
}

/* The answer is complete: is the connection good for another? */
static void settle(struct back1 *b)
{
	struct worker *worker = b->back.worker;

	if (b->dead || b->state != ENDED)
		return;
	if (!b->keep || !b->request_done || b->in.len || b->fin || b->idle_ns == 0 ||
	    send1_waits(&b->send) || b->send.error || worker->draining) {
		close_now(b);
		return;
	}
	if (!pool_put(worker->pool, b->back.origin, &b->entry)) {
		close_now(b);
		return;
	}
	b->state = IDLE;
	worker_set_timer(worker, &b->timer, now(b) + b->idle_ns);
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

static void on_end(struct back1 *b)
{
	b->readable = false;
	b->fin = true;
	if (b->state == TUNNEL || (b->state == BODY && b->recv.body == HTTP1_UNTIL_CLOSE)) {
		b->keep = false;
		response_done(b, NULL);
	} else if (b->state != ENDED) {
		fail(b, ENDING_ORIGIN_CLOSED, false);
	}
}

static void on_error(struct back1 *b, int error)
{
	if (b->state != ENDED)
		fail(b, error == -EPROTO ? ENDING_ORIGIN_FAULT : ENDING_ORIGIN_RESET, false);
	else
		b->keep = false;
}

static void adapt(struct back1 *b, size_t asked, size_t got)
{
	if (got == asked && b->read_size < WORKER_SCRATCH)
		b->read_size = b->read_size * 2 < WORKER_SCRATCH ? b->read_size * 2
								 : WORKER_SCRATCH;
	else if (got < asked / 4 && b->read_size > READ_LEAST)
		b->read_size /= 2;
}

/* One read and what it brings; false: nothing more to do for now. */
static bool read_once(struct back1 *b)
{
	struct worker *worker = b->back.worker;
	bool kept = b->in.len > 0;
	size_t size = kept ? READ_KEPT : b->read_size, used;
	ssize_t n;

	if (kept && buf_reserve(&b->in, size) < 0) {
		fail(b, ENDING_NO_MEMORY, false);
		return false;
	}
	n = sock_read(&b->sock, kept ? b->in.data + b->in.len : worker->scratch, size);
	if (n == -EAGAIN) {
		b->readable = false;
		return false;
	}
	if (n <= 0) {
		if (n == 0)
			on_end(b);
		else
			on_error(b, (int)n);
		return false;
	}
	if ((size_t)n < size && !b->sock.ssl && !b->fin)
		b->readable = false;
	if (kept) {
		b->in.len += (size_t)n;
		return true;
	}
	adapt(b, size, (size_t)n);
	used = process(b, worker->scratch, (size_t)n);
	if (!b->dead && used < (size_t)n &&
	    buf_put(&b->in, worker->scratch + used, (size_t)n - used) < 0)
		fail(b, ENDING_NO_MEMORY, false);
	return !b->dead;
}

static void pump(struct back1 *b)
{
	if (b->pumping || b->dead)
		return;
	b->pumping = true;
	while (!b->dead) {
		if (b->in.len) {
			buf_consume(&b->in, process(b, b->in.data, b->in.len));
			if (!b->in.len)
				buf_done(&b->in);
		}
		if (b->dead || b->stalled || b->state == ENDED || !b->readable || !read_once(b))
			break;
	}
	b->pumping = false;
	settle(b);
}

static void end_half(struct back1 *b)
{
	if (!b->half_done)
		return;
	b->half_done = false;
	sock_end_write(&b->sock);
}

/* ---- what happens on the socket ---------------------------------------------------------------------------------- */

static void on_task(void *arg)
{
	struct back1 *b = arg;
	int rc;

	if (b->dead || b->state == CONNECTING || b->state == SHAKING)
		return;
	/* One that is full is for EPOLLOUT to flush, as whoever waits for room must hear of it. */
	rc = b->send.full && !b->send.error ? -EAGAIN : send1_flush(&b->send);
	if (rc < 0 && rc != -EAGAIN) {
		/* It does not listen any more, and may have said why. */
		b->readable = true;
		b->keep = false;
		pump(b);
		if (!b->dead && b->state == HEAD && !b->readable)
			fail(b, ENDING_ORIGIN_RESET, false);
		return;
	}
	if (rc == 0)
		end_half(b);
	if (!b->stalled && (b->in.len || b->readable))
		pump(b);
}

/* Connected, and what of the TLS handshake can be done. 0: the way is open; -EAGAIN; or it has failed. */
static void go_on_connecting(struct back1 *b, uint32_t events)
{
	int rc = 0;

	if (b->state == CONNECTING) {
		rc = events & (EPOLLOUT | EPOLLERR | EPOLLHUP) ? connect_result(b->sock.fd)
							       : -EAGAIN;
		if (rc == 0)
			b->state = SHAKING;
	}
	if (rc == 0)
		rc = sock_handshake(&b->sock);
	if (rc == -EAGAIN)
		return;
	if (rc < 0) {
		fail(b, b->state == SHAKING ? ENDING_ORIGIN_TLS : ENDING_ORIGIN_CONNECT, true);
		return;
	}
	worker_clear_timer(b->back.worker, &b->timer);
	b->state = HEAD;
	exchange_back_ready(b->back.exchange, &b->back);
	if (!b->dead)
		pump(b);
}

static void on_events(void *arg, uint32_t events)
{
	struct back1 *b = arg;

	if (b->dead)
		return;
	if (b->state == CONNECTING || b->state == SHAKING) {
		go_on_connecting(b, events);
		return;
	}
	if (b->state == IDLE) {
		if (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) {
			leave_pool(b);
			close_now(b);
		}
		return;
	}
	if (events & EPOLLRDHUP)
		b->fin = true;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) || b->sock.ssl)
		b->readable = true;
	if (events & EPOLLOUT && b->send.full) {
		if (send1_flush(&b->send) < 0) {
			if (b->send.error)
				worker_task(b->back.worker, &b->task);
		} else {
			end_half(b);
			if (b->back.exchange)
				exchange_back_room(b->back.exchange);
		}
	}
	pump(b);
}

static void on_timeout(void *arg)
{
	struct back1 *b = arg;

	if (b->state == CONNECTING || b->state == SHAKING) {
		fail(b, b->state == SHAKING ? ENDING_ORIGIN_TLS : ENDING_ORIGIN_CONNECT, true);
	} else if (b->state == IDLE) {
		leave_pool(b);
		close_now(b);
	}
}

/* ---- what the exchange says ---------------------------------------------------------------------------------------- */

static struct back1 *of(struct back *back)
{
	return (struct back1 *)((char *)back - offsetof(struct back1, back));
}

static int back_head(struct back *back, const char *text, size_t len, enum http1_body body)
{
	struct back1 *b = of(back);

	if (buf_put(send1_text(&b->send), text, len) < 0)
		return -ENOMEM;
	send1_put(&b->send);
	send1_begin(&b->send, body);
	b->request_done = body == HTTP1_NO_BODY;
	b->state = HEAD;
	b->interim = 0;
	return 0;
}

static size_t back_body(struct back *back, const char *data, size_t len)
{
	struct back1 *b = of(back);
	size_t n = send1_body(&b->send, data, len);

	return b->send.error ? len : n; /* what it says about that is still to be read */
}

static void back_end(struct back *back, const struct http1_head *trailer, const char *bytes)
{
	struct back1 *b = of(back);

	b->request_done = true;
	if (b->state == TUNNEL) {
		b->half_done = true;
		worker_task(back->worker, &b->task);
		return;
	}
	send1_end(&b->send, trailer, bytes);
}

static void back_abort(struct back *back, enum ending why)
{
	(void)why;
	close_now(of(back));
}

static void back_resume(struct back *back)
{
	struct back1 *b = of(back);

	b->stalled = false;
	worker_task(back->worker, &b->task);
}

static const struct back_ops back_ops = {
	.head = back_head,
	.body = back_body,
	.end = back_end,
	.abort = back_abort,
	.resume = back_resume,
};

/* ---- beginning --------------------------------------------------------------------------------------------------- */

int back1_connect(struct worker *worker, const struct back_want *want, struct exchange *x,
		  struct back **ret_back)
{
	int fd, rc = connect_start(want->origin, worker->settings, &fd);
	struct back1 *b;

	if (rc < 0 && rc != -EINPROGRESS)
		return rc;
	b = calloc(1, sizeof(*b));
	if (!b || sock_open(&b->sock, worker, fd, on_events, b) < 0) {
		free(b);
		close(fd);
		return -ENOMEM;
	}
	b->back = (struct back){
		.ops = &back_ops,
		.worker = worker,
		.origin = origin_hold(want->origin),
		.exchange = x,
	};
	b->timer = (struct wheel_timer){ .fn = on_timeout, .arg = b };
	b->task = (struct worker_task){ .fn = on_task, .arg = b };
	send1_init(&b->send, &b->sock, &b->task);
	b->read_size = READ_FIRST;
	b->state = rc == 0 ? HEAD : CONNECTING;
	stats_gauge(worker->stats, GAUGE_ORIGINS, 1);
	if (want->tls) {
		b->entry.tls = tls_origin_hold(want->tls);
		b->sock.ssl = tls_connect(want->tls, fd);
		b->sock.handshake = true;
		if (!b->sock.ssl) {
			close_now(b);
			return -ENOMEM;
		}
		if (rc == 0) {
			b->state = SHAKING;
			rc = -EINPROGRESS; /* its first event is on its way */
		}
	}
	if (rc < 0 && want->connect_ns)
		worker_set_timer(worker, &b->timer, now(b) + want->connect_ns);
	*ret_back = &b->back;
	return rc;
}

static struct back1 *of_entry(struct pool_entry *entry)
{
	return (struct back1 *)((char *)entry - offsetof(struct back1, entry));
}

/* An end, or bytes that nobody asked for, of which nothing was told yet: they came in this turn, or with the last answer. They
 * would be taken for the next one. */
static bool is_at_its_end(struct back1 *b)
{
	char byte;

	return sock_read(&b->sock, &byte, 1) != -EAGAIN;
}

struct back *back1_reuse(struct pool_entry *entry, struct exchange *x)
{
	struct back1 *b = of_entry(entry);

	if (is_at_its_end(b)) {
		close_now(b);
		return NULL;
	}
	b->state = HEAD;
	b->back.exchange = x;
	b->back.reused = true;
	b->request_done = b->stalled = false;
	return &b->back;
}

void back1_close_idle(struct pool_entry *entry)
{
	close_now(of_entry(entry));
}
