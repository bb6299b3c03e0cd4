// SPDX-License-Identifier: GPL-2.0-only
/* A connection of HTTP/2 to an endpoint: from connect() to its end, whichever streams are on it. */
/* Must not know what a request is about. */
#include "ingress/back2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "ingress/back2_state.h"
#include "ingress/connect.h"
#include "ingress/settings.h"
#include "ingress/stats.h"
#include "ingress/tls.h"
#include "ingress/upstream.h"

static uint64_t now(const struct back2 *b)
{
	return worker_now_ns(b->worker);
}

static struct back2 *of(struct pool_entry *entry)
{
	return (struct back2 *)((char *)entry - offsetof(struct back2, entry));
}

static struct back2 *of_session(struct http2_session *h2)
{
	return (struct back2 *)((char *)h2 - offsetof(struct back2, h2));
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

static void back2_free(void *arg)
{
	struct back2 *b = arg;

	http2_session_done(&b->h2);
	tls_origin_drop(b->entry.tls);
	origin_drop(b->origin);
	free(b);
}

/* No new streams. */
static void leave_pool(struct back2 *b)
{
	if (b->is_shared)
		pool_unshare(b->worker->pool, &b->entry);
	b->is_shared = false;
}

/* Whatever is not complete fails like this; what only waits for its client to take it stays. */
static void fail_calls(struct back2 *b, enum ending why, bool safe)
{
	struct http2_stream *h2, *next;

	for (h2 = TAILQ_FIRST(&b->h2.streams); h2; h2 = next) {
		struct call *c = call_of(h2);

		next = TAILQ_NEXT(h2, link);
		if (h2->id)
			nghttp2_session_set_stream_user_data(b->h2.pipe.session, h2->id, NULL);
		http2_stream_recall(h2);
		h2->is_closed = h2->send.stopped = h2->take.stopped = true;
		if (!c->back.exchange || !h2->got_all || !c->got_head)
			call_bury(c, why, safe || !h2->id);
	}
}

/* The connection is over; safe: the endpoint cannot have acted on anything. */
static void close_now(struct back2 *b, enum ending why, bool safe, bool reset)
{
	struct worker *worker = b->worker;

	if (b->h2.dead)
		return;
	b->h2.dead = true;
	leave_pool(b);
	worker_clear_timer(worker, &b->timer);
	sock_close(&b->sock, reset);
	stats_gauge(worker->stats, GAUGE_ORIGINS, -1);
	fail_calls(b, why, safe);
	b->grave = (struct worker_grave){ .free = back2_free, .arg = b };
	if (b->h2.n_streams)
		return;
	http2_session_stop(&b->h2);
	worker_bury(worker, &b->grave);
}

static void fail(struct back2 *b, int rc)
{
	if (b->h2.pipe.ended)
		close_now(b, rc == -ENODATA ? ENDING_ORIGIN_CLOSED : ENDING_ORIGIN_RESET, false,
			  false);
	else if (rc == -ENOMEM)
		close_now(b, ENDING_NO_MEMORY, false, true);
	else if (rc == -EPROTO || rc == -ECANCELED)
		close_now(b, ENDING_ORIGIN_FAULT, false, true);
	else
		close_now(b, ENDING_ORIGIN_RESET, false, true);
}

/* ---- what nghttp2 tells ------------------------------------------------------------------------------------------- */

static enum http1_kind on_block(struct http2_session *h2, const nghttp2_frame *frame,
				struct http2_stream *s, const struct http1_limits **ret_limits)
{
	bool trailer = s && call_of(s)->got_head;

	(void)h2;
	(void)frame;
	*ret_limits = trailer ? &http1_limits_trailer : &http1_limits_response;
	return trailer ? HTTP1_TRAILER : HTTP1_RESPONSE;
}

static int on_frame(struct http2_session *h2, const nghttp2_frame *frame, struct http2_stream *s)
{
	bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	if (frame->hd.type == NGHTTP2_GOAWAY) {
		leave_pool(of_session(h2));
		loop_post(h2->pipe.turn);
		return 0;
	}
	if (!s || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS) {
		s->got_all = ended;
		call_headers(call_of(s));
		http2_session_drop_block(h2);
	}
	if (ended)
		call_data_end(call_of(s));
	return 0;
}

static void on_data(struct http2_stream *s, const char *bytes, size_t len)
{
	call_data(call_of(s), bytes, len);
}

static void on_room(struct http2_stream *s)
{
	if (call_of(s)->back.exchange)
		exchange_back_room(call_of(s)->back.exchange);
}

/* ---- a turn ------------------------------------------------------------------------------------------------------- */

/* A stream that nghttp2 has closed, whose answer may not be complete. */
static void settle_one(struct call *c)
{
	uint32_t error = c->h2.error;

	if (c->h2.got_all && c->got_head && !error && !c->is_broken && c->back.exchange)
		return; /* what came waits for the client, and is all there */
	if (error !=
	    NGHTTP2_REFUSED_STREAM) /* the endpoint had the request, so it was not too late */
		c->back.reused = false;
	if (c->is_broken || error == NGHTTP2_PROTOCOL_ERROR ||
	    error == NGHTTP2_FLOW_CONTROL_ERROR || error == NGHTTP2_STREAM_CLOSED)
		call_bury(c, ENDING_ORIGIN_FAULT, false);
	else
		call_bury(c, ENDING_ORIGIN_RESET, error == NGHTTP2_REFUSED_STREAM && !c->got_head);
}

static void settle(struct back2 *b)
{
	struct http2_stream *s;

	while ((s = http2_session_next_gone(&b->h2)))
		settle_one(call_of(s));
}

static void resume_all(struct back2 *b)
{
	struct http2_stream *s, *next;

	for (s = TAILQ_FIRST(&b->h2.streams); s; s = next) {
		next = TAILQ_NEXT(s, link);
		if (!http2_take_waits(&s->take))
			continue;
		call_resume(call_of(s));
		if (s->is_closed && !http2_take_waits(&s->take))
			http2_stream_leave(s);
	}
}

static void write_frames(struct back2 *b)
{
	int rc = http2_session_write(&b->h2);

	if (rc < 0)
		fail(b, rc);
}

static void read_frames(struct back2 *b)
{
	int rc = http2_pipe_read(&b->h2.pipe);

	if (rc < 0) {
		/* An answer that came before the end of the connection counts; streams that GOAWAY named are safe. */
		settle(b);
		fail(b, rc);
	} else {
		loop_post(b->h2.pipe.turn);
	}
}

/* The connection is gone, answers that are all there are not. */
static void outlive(struct back2 *b)
{
	bool some = b->h2.n_streams > 0;

	resume_all(b);
	settle(b);
	if (some && !b->h2.n_streams) {
		http2_session_stop(&b->h2);
		worker_bury(b->worker, &b->grave);
	}
}

static void on_turn(struct http2_session *h2)
{
	struct back2 *b = of_session(h2);

	if (b->h2.dead) {
		outlive(b);
		return;
	}
	if (b->state != BACK2_OPEN)
		return;
	resume_all(b);
	write_frames(b);
	http2_session_give_room(h2);
	if (!b->h2.dead)
		write_frames(b);
	settle(b);
	if (b->h2.dead)
		return;
	if (http2_session_is_over(h2))
		leave_pool(b);
	if (!b->h2.n_streams && !b->is_shared) {
		if (http2_pipe_is_empty(&b->h2.pipe))
			close_now(b, ENDING_ORIGIN_CLOSED, false, false);
		return;
	}
	if (http2_session_is_over(h2)) {
		close_now(b, ENDING_ORIGIN_FAULT, false, false);
		return;
	}
	if (b->h2.n_streams)
		worker_clear_timer(b->worker, &b->timer);
	else
		worker_set_timer(b->worker, &b->timer,
				 now(b) + b->worker->settings->origin_idle_ns);
	if (b->h2.pipe.readable)
		read_frames(b);
}

static const nghttp2_settings_entry our_settings[] = {
	{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
	{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_WINDOW },
	{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 64 * 1024 },
};

static const struct http2_session_ops session_ops = {
	.is_client = true,
	.settings = our_settings,
	.n_settings = sizeof(our_settings) / sizeof(our_settings[0]),
	.block = on_block,
	.frame = on_frame,
	.data = on_data,
	.room = on_room,
	.turn = on_turn,
};

/* ---- connecting ------------------------------------------------------------------------------------------------------ */

/* Everybody who waited for the connection. */
static void open_now(struct back2 *b)
{
	struct http2_stream *s, *next;

	b->state = BACK2_OPEN;
	worker_clear_timer(b->worker, &b->timer);
	for (s = TAILQ_FIRST(&b->h2.streams); s && !b->h2.dead; s = next) {
		struct call *c = call_of(s);

		next = TAILQ_NEXT(s, link);
		if (c->back.exchange)
			exchange_back_ready(c->back.exchange, &c->back);
	}
	if (!b->h2.dead)
		loop_post(b->h2.pipe.turn);
}

static void shake(struct back2 *b)
{
	int rc = sock_handshake(&b->sock);

	if (rc == -EAGAIN)
		return;
	if (rc < 0) {
		close_now(b, ENDING_ORIGIN_TLS, true, false);
		return;
	}
	open_now(b);
}

static void on_connecting(struct back2 *b, uint32_t events)
{
	int rc;

	if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		return;
	rc = connect_result(b->sock.fd);
	if (rc < 0) {
		close_now(b, ENDING_ORIGIN_CONNECT, true, false);
		return;
	}
	if (!b->tls) {
		open_now(b);
		return;
	}
	b->state = BACK2_SHAKING;
	shake(b);
}

static void on_events(void *arg, uint32_t events)
{
	struct back2 *b = arg;
	int rc;

	if (b->h2.dead)
		return;
	if (b->state == BACK2_CONNECTING)
		on_connecting(b, events);
	else if (b->state == BACK2_SHAKING)
		shake(b);
	if (b->h2.dead || b->state != BACK2_OPEN)
		return;
	rc = http2_session_events(&b->h2, events);
	if (rc < 0) {
		fail(b, rc);
		return;
	}
	if (b->h2.pipe.readable)
		read_frames(b);
}

static void on_timeout(void *arg)
{
	struct back2 *b = arg;

	if (b->state != BACK2_OPEN) {
		close_now(b, b->state == BACK2_SHAKING ? ENDING_ORIGIN_TLS : ENDING_ORIGIN_CONNECT,
			  true, false);
		return;
	}
	if (b->h2.n_streams)
		return;
	leave_pool(b);
	http2_session_terminate(&b->h2, NGHTTP2_NO_ERROR);
}

static int start_tls(struct back2 *b, const struct back_want *want)
{
	b->tls = want->tls != NULL;
	if (!b->tls)
		return 0;
	b->entry.tls = tls_origin_hold(want->tls);
	b->sock.ssl = tls_connect(want->tls, b->sock.fd);
	b->sock.handshake = true;
	return b->sock.ssl ? 0 : -ENOMEM;
}

int back2_connect(struct worker *worker, const struct back_want *want, struct exchange *x,
		  struct back **ret_back)
{
	int fd, rc = connect_start(want->origin, worker->settings, &fd);
	struct back2 *b;
	struct call *c;

	if (rc < 0 && rc != -EINPROGRESS)
		return rc;
	b = calloc(1, sizeof(*b));
	if (!b || sock_open(&b->sock, worker, fd, on_events, b) < 0) {
		free(b);
		close(fd);
		return -ENOMEM;
	}
	b->worker = worker;
	b->origin = origin_hold(want->origin);
	b->timer = (struct wheel_timer){ .fn = on_timeout, .arg = b };
	stats_gauge(worker->stats, GAUGE_ORIGINS, 1);
	/* Also when it is connected: its first event is on its way, and tells. */
	b->state = BACK2_CONNECTING;
	if (http2_session_init(&b->h2, &session_ops, worker, &b->sock) < 0 ||
	    start_tls(b, want) < 0 || !(c = call_new(b, x))) {
		close_now(b, ENDING_NO_MEMORY, true, false);
		return -ENOMEM;
	}
	b->is_shared = pool_share(worker->pool, b->origin, &b->entry);
	if (want->connect_ns)
		worker_set_timer(worker, &b->timer, now(b) + want->connect_ns);
	*ret_back = &c->back;
	return -EINPROGRESS;
}

/* ---- for the pool ------------------------------------------------------------------------------------------------------ */

static bool has_room(const struct back2 *b)
{
	uint32_t limit;

	if (b->h2.n_streams >= BACK2_STREAMS || !b->is_shared)
		return false;
	if (b->state != BACK2_OPEN)
		return true;
	limit = nghttp2_session_get_remote_settings(b->h2.pipe.session,
						    NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
	return b->h2.n_streams < limit && nghttp2_session_check_request_allowed(b->h2.pipe.session);
}

int back2_join(struct pool_entry *entry, struct exchange *x, struct back **ret_back)
{
	struct back2 *b = of(entry);
	struct call *c;

	if (!has_room(b))
		return -EAGAIN;
	c = call_new(b, x);
	if (!c)
		return -ENOMEM;
	*ret_back = &c->back;
	return b->state == BACK2_OPEN ? 0 : -EINPROGRESS;
}

void back2_retire(struct pool_entry *entry)
{
	struct back2 *b = of(entry);

	b->is_shared = false;
	if (b->state == BACK2_OPEN)
		loop_post(b->h2.pipe.turn);
}

void back2_cut(struct pool_entry *entry)
{
	struct back2 *b = of(entry);

	b->is_shared = false;
	close_now(b, ENDING_ORIGIN_CLOSED, false, false);
}
