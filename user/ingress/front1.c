// SPDX-License-Identifier: GPL-2.0-only
/* Reads a client's requests of HTTP/1.1 one after the other, and decides what follows each. */
/* Must not know where a request goes. */
#include "ingress/front1.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "ingress/answer.h"
#include "ingress/front1_state.h"
#include "ingress/settings.h"
#include "ingress/stats.h"

#define READ_FIRST (16 * 1024) /* bytes of a read, at first */
#define READ_LEAST (4 * 1024)
#define READ_HEAD  (4 * 1024)
#define LINGER_NS  (2 * CLOCK_NS_PER_S)

static void pump(struct front1 *f);
static void advance(struct front1 *f);

static uint64_t now(const struct front1 *f)
{
	return worker_now_ns(f->client->worker);
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

static void front1_free(void *arg)
{
	struct front1 *f = arg;

	buf_done(&f->in);
	free(f->head);
	free(f);
}

void front1_close(struct front1 *f, bool reset)
{
	struct worker *worker = f->client->worker;

	if (f->dead)
		return;
	f->dead = true;
	worker_task_cancel(worker, &f->task);
	send1_done(&f->send);
	client_close(f->client, reset);
	f->grave = (struct worker_grave){ .free = front1_free, .arg = f };
	worker_bury(worker, &f->grave);
}

/* The exchange, if there is one, hears that nobody wants its answer. */
static void give_up(struct front1 *f, enum ending why, bool reset)
{
	struct exchange *x = f->front.exchange;

	if (x) {
		f->front.exchange = NULL;
		exchange_client_gone(x, why);
	}
	front1_close(f, reset);
}

/* Our half ends; the client's bytes are thrown away until it has ended its own, as a close() would reset what it has not read. */
static void linger(struct front1 *f)
{
	if (f->state == LINGER)
		return;
	if (f->client->fin || (f->state == NOTHING && !f->readable && !f->in.len)) {
		front1_close(f, false);
		return;
	}
	f->state = LINGER;
	buf_done(&f->in);
	sock_end_write(f->sock);
	client_deadline(f->client, now(f) + LINGER_NS);
	pump(f);
}

/* ---- heads ----------------------------------------------------------------------------------------------------- */

/* Answered without an exchange; what else the client sends is of no use, as where it ends is not known. */
static void answer_and_close(struct front1 *f, unsigned status, const char *reason)
{
	f->closing = true;
	f->state = DISCARD;
	f->discarded = FRONT1_DISCARD_MAX;
	answer_refused(&f->front, status, reason);
}

static void refuse(struct front1 *f, enum http1_fault fault)
{
	stats_add(f->client->worker->stats, STATS_FAULTS, 1);
	f->answering = f->answered = false;
	answer_and_close(f, http1_fault_status(fault), http1_fault_text(fault));
}

static void begin_request(struct front1 *f, const struct http1_head *head)
{
	f->minor = head->minor;
	f->keep = head->reusable;
	f->may_not_come = head->expects_continue;
	f->answering = f->answered = f->stalled = false;
	f->discarded = 0;
	f->progress_ns = now(f);
	f->state = head->body == HTTP1_NO_BODY ? NOTHING : BODY;
	recv1_begin(&f->recv, head->body, head->body_len);
	client_deadline(f->client, f->progress_ns + f->client->worker->settings->client_ns);
}

/* Bytes used; 0: there are not enough. */
static size_t take_head(struct front1 *f, const char *bytes, size_t len)
{
	struct worker *worker = f->client->worker;
	const struct settings *settings = worker->settings;
	struct http1_head *head = f->head ? f->head : &worker->head;
	int n;

	if (!f->head)
		http1_head_init(head, HTTP1_REQUEST, &settings->request_limits);
	n = http1_head_read(head, bytes, len);
	if (n == HTTP1_PARTIAL && !f->head) {
		f->head = malloc(sizeof(*f->head));
		if (!f->head) {
			front1_close(f, true);
			return len;
		}
		memcpy(f->head, head, sizeof(*head));
		client_deadline(f->client, now(f) + settings->head_ns);
	}
	if (n == HTTP1_PARTIAL)
		return 0;
	if (n < 0) {
		refuse(f, (enum http1_fault) - n);
	} else if (f->client->fin && !settings->half_close) {
		front1_close(f, false); /* nobody is there to answer */
	} else {
		begin_request(f, head);
		if (exchange_start(&f->front, head, bytes) < 0)
			front1_close(f, true);
	}
	free(f->head);
	f->head = NULL;
	return n < 0 ? len : (size_t)n;
}

/* ---- bodies ---------------------------------------------------------------------------------------------------- */

static void body_fault(struct front1 *f, enum http1_fault fault)
{
	struct exchange *x = f->front.exchange;

	f->front.exchange = NULL;
	stats_add(f->client->worker->stats, STATS_FAULTS, 1);
	if (x)
		exchange_client_gone(x, ENDING_CLIENT_FAULT);
	if (f->answering && !f->answered) {
		front1_close(f, true);
		return;
	}
	if (!f->answered)
		answer_and_close(f, http1_fault_status(fault), NULL);
	f->closing = true;
	f->discarded = FRONT1_DISCARD_MAX;
	f->state = DISCARD;
	worker_task(f->client->worker, &f->task);
}

static void body_complete(struct front1 *f, const char *trailer_bytes)
{
	struct worker *worker = f->client->worker;

	f->state = NOTHING;
	if (f->front.exchange)
		exchange_request_end(f->front.exchange, trailer_bytes ? &worker->head : NULL,
				     trailer_bytes);
	advance(f);
}

/* How much of a piece is done with. */
static size_t offer(struct front1 *f, const char *data, size_t len)
{
	size_t n;

	f->progress_ns = now(f);
	if (f->state == DISCARD) {
		f->discarded += len;
		if (f->discarded > FRONT1_DISCARD_MAX)
			f->closing = true;
		return len;
	}
	n = exchange_request_body(f->front.exchange, data, len);
	if (n < len && f->state == DISCARD) /* it just ended */
		n = len;
	f->stalled = n < len;
	return n;
}

/* Bytes used; *ret_stop: no more for now. */
static size_t take_body(struct front1 *f, const char *bytes, size_t len, bool *ret_stop)
{
	struct recv1_piece piece;
	size_t n;
	int rc;

	f->may_not_come = false;
	if (f->state == DISCARD && f->closing) {
		advance(f);
		*ret_stop = f->state == DISCARD;
		return len;
	}
	rc = recv1_next(&f->recv, bytes, len, &f->client->worker->head, &piece);
	if (rc < 0) {
		body_fault(f, (enum http1_fault) - rc);
		return len;
	}
	if (rc == RECV1_END) {
		body_complete(f, piece.trailer_bytes);
		return piece.skip;
	}
	if (rc == RECV1_MORE) {
		*ret_stop = true;
		return piece.skip;
	}
	n = offer(f, piece.data, piece.len);
	recv1_took(&f->recv, n, piece.len);
	*ret_stop = n < piece.len;
	if (n == piece.len && recv1_is_complete(&f->recv))
		body_complete(f, NULL);
	return piece.skip + n;
}

static size_t take_tunnel(struct front1 *f, const char *bytes, size_t len, bool *ret_stop)
{
	size_t n = exchange_request_body(f->front.exchange, bytes, len);

	f->progress_ns = now(f);
	f->stalled = n < len;
	*ret_stop = f->stalled;
	return n;
}

/* Bytes used of what is there. */
static size_t process(struct front1 *f, const char *bytes, size_t len)
{
	size_t at = 0;
	bool stop = false;

	while (at < len && !stop && !f->dead) {
		switch (f->state) {
		case HEAD: {
			size_t n = take_head(f, bytes + at, len - at);

			stop = n == 0;
			at += n;
			break;
		}
		case BODY:
		case DISCARD:
			at += take_body(f, bytes + at, len - at, &stop);
			break;
		case TUNNEL:
			at += take_tunnel(f, bytes + at, len - at, &stop);
			break;
		case NOTHING:
			return at;
		case TUNNEL_ENDED:
		case LINGER:
			return len;
		}
	}
	return at;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

static void on_end(struct front1 *f)
{
	f->client->fin = true;
	f->readable = false;
	switch (f->state) {
	case TUNNEL:
		f->state = TUNNEL_ENDED;
		exchange_request_end(f->front.exchange, NULL, NULL);
		return;
	case TUNNEL_ENDED:
		return;
	default:
		break;
	}
	give_up(f, ENDING_CLIENT_CLOSED, false);
}

static void on_error(struct front1 *f, int error)
{
	give_up(f, error == -EPROTO ? ENDING_CLIENT_FAULT : ENDING_CLIENT_RESET, true);
}

static void adapt(struct front1 *f, size_t asked, size_t got)
{
	if (got == asked && f->read_size < WORKER_SCRATCH)
		f->read_size = f->read_size * 2 < WORKER_SCRATCH ? f->read_size * 2
								 : WORKER_SCRATCH;
	else if (got < asked / 4 && f->read_size > READ_LEAST)
		f->read_size /= 2;
}

/* One read and what it brings; false: nothing more to do for now. */
static bool read_once(struct front1 *f)
{
	struct worker *worker = f->client->worker;
	bool kept = f->in.len > 0;
	size_t size = kept ? READ_HEAD : f->read_size, used;
	ssize_t n;

	if (kept && buf_reserve(&f->in, size) < 0) {
		give_up(f, ENDING_NO_MEMORY, true);
		return false;
	}
	n = sock_read(f->sock, kept ? f->in.data + f->in.len : worker->scratch, size);
	if (n == -EAGAIN) {
		f->readable = false;
		return false;
	}
	if (n <= 0) {
		if (n == 0)
			on_end(f);
		else
			on_error(f, (int)n);
		return false;
	}
	if ((size_t)n < size && !f->sock->ssl && !f->client->fin)
		f->readable = false;
	if (kept) {
		f->in.len += (size_t)n;
		return true;
	}
	adapt(f, size, (size_t)n);
	used = process(f, worker->scratch, (size_t)n);
	if (!f->dead && used < (size_t)n &&
	    buf_put(&f->in, worker->scratch + used, (size_t)n - used) < 0)
		give_up(f, ENDING_NO_MEMORY, true);
	return !f->dead;
}

static bool wants_bytes(const struct front1 *f)
{
	return !f->dead && !f->stalled && f->state != NOTHING;
}

static void pump(struct front1 *f)
{
	if (f->pumping || f->dead)
		return;
	f->pumping = true;
	while (!f->dead) {
		if (f->in.len && f->state != NOTHING) {
			size_t used = process(f, f->in.data, f->in.len);

			buf_consume(&f->in, used);
			if (!f->in.len)
				buf_done(&f->in);
		}
		if (!wants_bytes(f) || !f->readable || !read_once(f))
			break;
	}
	f->pumping = false;
}

/* ---- what follows an answer -------------------------------------------------------------------------------------- */

static void next_request(struct front1 *f)
{
	const struct settings *settings = f->client->worker->settings;

	f->state = HEAD;
	f->answering = f->answered = false;
	client_deadline(f->client, now(f) + settings->keep_alive_ns);
	if (f->in.len || f->readable)
		pump(f);
}

/* Once the answer is with the kernel: what next? */
static void advance(struct front1 *f)
{
	if (f->dead || !f->answered || send1_waits(&f->send))
		return;
	if (f->closing && (f->state == NOTHING || f->state == DISCARD || f->state == TUNNEL ||
			   f->state == TUNNEL_ENDED))
		linger(f);
	else if (f->state == NOTHING)
		next_request(f);
}

/* Runs when a callback is over. */
static void on_task(void *arg)
{
	struct front1 *f = arg;
	int rc;

	if (f->dead)
		return;
	/* One that is full is for EPOLLOUT to flush, as whoever waits for room must hear of it. */
	rc = f->send.full && !f->send.error ? -EAGAIN : send1_flush(&f->send);
	if (rc < 0 && rc != -EAGAIN) {
		if (f->state == LINGER || f->answered)
			front1_close(f, true);
		else
			give_up(f, ENDING_CLIENT_RESET, true);
		return;
	}
	if (rc == 0)
		f->progress_ns = now(f);
	advance(f);
	if (!f->dead && !f->stalled && (f->in.len || f->readable))
		pump(f);
}

static void on_room(struct front1 *f)
{
	int rc = send1_flush(&f->send);

	if (rc == -EAGAIN)
		return;
	if (rc < 0) {
		give_up(f, ENDING_CLIENT_RESET, true);
		return;
	}
	f->progress_ns = now(f);
	if (f->front.exchange)
		exchange_front_room(f->front.exchange);
	advance(f);
}

/* ---- what the client does ---------------------------------------------------------------------------------------- */

/* A FIN amid an exchange: is that an end of everything? */
static bool is_gone(const struct front1 *f)
{
	return f->client->fin && f->front.exchange && f->state != TUNNEL &&
	       f->state != TUNNEL_ENDED && !f->client->worker->settings->half_close;
}

static void on_events(void *state, uint32_t events)
{
	struct front1 *f = state;

	if (f->dead)
		return;
	if (events & EPOLLERR) {
		give_up(f, ENDING_CLIENT_RESET, true);
		return;
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP) || f->sock->ssl)
		f->readable = true;
	if (events & EPOLLOUT && f->send.full)
		on_room(f);
	if (f->dead)
		return;
	if (is_gone(f))
		give_up(f, ENDING_CLIENT_CLOSED, false);
	else
		pump(f);
}

static void time_out(struct front1 *f)
{
	struct exchange *x = f->front.exchange;

	f->front.exchange = NULL;
	if (x)
		exchange_client_gone(x, ENDING_CLIENT_TIMEOUT);
	if (f->answering || f->send.full)
		front1_close(f, true);
	else
		answer_and_close(f, 408, x ? NULL : "the request's head took too long");
}

static void on_timeout(void *state)
{
	struct front1 *f = state;
	uint64_t limit = f->client->worker->settings->client_ns;
	bool waits = f->send.full || (f->state == BODY && !f->stalled) || f->state == DISCARD;

	if (f->state == LINGER || (f->state == HEAD && !f->head))
		front1_close(f, false);
	else if (f->state == HEAD || (waits && limit && now(f) >= f->progress_ns + limit))
		time_out(f);
	else if (limit)
		client_deadline(f->client, (waits ? f->progress_ns : now(f)) + limit);
}

static void on_drain(void *state)
{
	struct front1 *f = state;

	if (f->state == HEAD && !f->head && !f->in.len && !f->closing) {
		client_deadline(f->client, now(f) + CLIENT_GRACE_NS);
		return; /* the answer to a request that is on its way will be the last: front_head() */
	}
	f->closing = true;
}

static bool is_idle(const void *state)
{
	const struct front1 *f = state;

	return f->state == HEAD && !f->head && !f->in.len;
}

static void on_cut(void *state, enum ending why)
{
	struct front1 *f = state;

	if (!f->dead)
		give_up(f, why, why != ENDING_COMPLETE);
}

/* ---- beginning -------------------------------------------------------------------------------------------------- */

static const struct client_ops client_ops = {
	.events = on_events,
	.timeout = on_timeout,
	.drain = on_drain,
	.is_idle = is_idle,
	.cut = on_cut,
};

int front1_new(struct client *client, const char *bytes, size_t len)
{
	struct front1 *f = calloc(1, sizeof(*f));
	size_t used;

	if (!f)
		return -ENOMEM;
	f->front = (struct front){ .ops = &front1_ops, .worker = client->worker, .client = client };
	f->client = client;
	f->sock = &client->sock;
	f->task = (struct worker_task){ .fn = on_task, .arg = f };
	send1_init(&f->send, f->sock, &f->task);
	f->read_size = READ_FIRST;
	f->readable = true;
	f->minor = 1;
	client->ops = &client_ops;
	client->state = f;
	f->pumping =
		true; /* bytes may be in the scratch memory: no read before they are looked at */
	used = process(f, bytes, len);
	f->pumping = false;
	if (!f->dead && used < len && buf_put(&f->in, bytes + used, len - used) < 0)
		give_up(f, ENDING_NO_MEMORY, true);
	worker_task(client->worker, &f->task);
	return 0;
}
