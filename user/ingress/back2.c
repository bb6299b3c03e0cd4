// SPDX-License-Identifier: GPL-2.0-only
/* A connection of HTTP/2 to an endpoint: from connect() to its end, whichever streams are on it. */
/* Must not know what a request is about. */
#include "ingress/back2.h"

#include <errno.h>
#include <pthread.h>
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

/* ---- the end ---------------------------------------------------------------------------------------------------- */

static void back2_free(void *arg)
{
	struct back2 *b = arg;

	nghttp2_session_del(b->pipe.session);
	http2_block_done(&b->block);
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
	struct call *c, *next;

	for (c = TAILQ_FIRST(&b->calls); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->id)
			nghttp2_session_set_stream_user_data(b->pipe.session, c->id, NULL);
		if (c->is_gone)
			STAILQ_REMOVE(&b->gone, c, call, gone);
		c->is_gone = false;
		c->is_closed = c->send.stopped = c->take.stopped = true;
		if (!c->back.exchange || !c->got_all || !c->got_head)
			call_bury(c, why, safe || !c->id);
	}
}

/* The connection is over; safe: the endpoint cannot have acted on anything. */
static void close_now(struct back2 *b, enum ending why, bool safe, bool reset)
{
	struct worker *worker = b->worker;

	if (b->dead)
		return;
	b->dead = true;
	leave_pool(b);
	worker_clear_timer(worker, &b->timer);
	sock_close(&b->sock, reset);
	stats_gauge(worker->stats, GAUGE_ORIGINS, -1);
	fail_calls(b, why, safe);
	b->grave = (struct worker_grave){ .free = back2_free, .arg = b };
	if (b->n_calls)
		return;
	http2_pipe_done(&b->pipe);
	worker_bury(worker, &b->grave);
}

static void fail(struct back2 *b, int rc)
{
	if (b->pipe.ended)
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

static struct call *call_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct back2 *b = arg;
	const struct call *c = call_of(session, frame->hd.stream_id);
	bool trailer = c && c->got_head;

	if (!b->block.text.data)
		b->block.text = worker_take_buf(b->worker);
	if (!b->block.pseudo.data)
		b->block.pseudo = worker_take_buf(b->worker);
	http2_block_begin(&b->block, trailer ? HTTP1_TRAILER : HTTP1_RESPONSE,
			  trailer ? &http1_limits_trailer : &http1_limits_response);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
		     void *arg)
{
	struct back2 *b = arg;
	int rc = http2_block_add(&b->block, (const char *)name, name_len, (const char *)value,
				 value_len);

	(void)frame;
	(void)flags;
	if (rc == -E2BIG)
		nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
	return rc < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* What nghttp2 would leave out makes the whole malformed. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
			     const uint8_t *name, size_t name_len, const uint8_t *value,
			     size_t value_len, uint8_t flags, void *arg)
{
	struct back2 *b = arg;

	(void)session;
	(void)frame;
	(void)name;
	(void)name_len;
	(void)value;
	(void)value_len;
	(void)flags;
	if (!b->block.fault)
		b->block.fault = HTTP1_BAD_BYTE;
	return 0;
}

/* Memory for a block is only kept while one is received. */
static void drop_block(struct back2 *b)
{
	worker_give_buf(b->worker, &b->block.text);
	worker_give_buf(b->worker, &b->block.pseudo);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct back2 *b = arg;
	struct call *c = call_of(session, frame->hd.stream_id);
	bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	if (frame->hd.type == NGHTTP2_GOAWAY) {
		leave_pool(b);
		loop_post(b->pipe.turn);
		return 0;
	}
	if (!c || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS) {
		c->got_all = ended;
		call_headers(c);
		drop_block(b);
	}
	if (ended)
		call_data_end(c);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
		   size_t len, void *arg)
{
	struct back2 *b = arg;
	struct call *c = call_of(session, id);

	(void)flags;
	nghttp2_session_consume_connection(session, len);
	loop_post(b->pipe.turn);
	if (c)
		call_data(c, (const char *)data, len);
	else
		nghttp2_session_consume_stream(session, id, len);
	return 0;
}

static int on_closed(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct call *c = call_of(session, id);

	(void)arg;
	if (!c)
		return 0;
	c->error = code;
	call_leave(c);
	return 0;
}

static nghttp2_session_callbacks *callbacks;

static void make_callbacks(void)
{
	nghttp2_session_callbacks *c;

	if (nghttp2_session_callbacks_new(&c))
		return;
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(c, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_closed);
	nghttp2_session_callbacks_set_send_data_callback(c, http2_send_frame);
	callbacks = c;
}

/* ---- a turn ------------------------------------------------------------------------------------------------------- */

/* A stream that nghttp2 has closed, whose answer may not be complete. */
static void settle_one(struct call *c)
{
	if (c->got_all && c->got_head && !c->error && !c->is_broken && c->back.exchange)
		return; /* what came waits for the client, and is all there */
	if (c->error !=
	    NGHTTP2_REFUSED_STREAM) /* the endpoint had the request, so it was not too late */
		c->back.reused = false;
	if (c->is_broken || c->error == NGHTTP2_PROTOCOL_ERROR ||
	    c->error == NGHTTP2_FLOW_CONTROL_ERROR || c->error == NGHTTP2_STREAM_CLOSED)
		call_bury(c, ENDING_ORIGIN_FAULT, false);
	else
		call_bury(c, ENDING_ORIGIN_RESET,
			  c->error == NGHTTP2_REFUSED_STREAM && !c->got_head);
}

static void settle(struct back2 *b)
{
	struct call *c;

	while ((c = STAILQ_FIRST(&b->gone))) {
		STAILQ_REMOVE_HEAD(&b->gone, gone);
		c->is_gone = false;
		settle_one(c);
	}
}

static void give_room(struct back2 *b)
{
	for (unsigned n = b->n_calls; n && !b->dead && http2_pipe_has_room(&b->pipe); n--) {
		struct call *c = TAILQ_FIRST(&b->waiting);

		if (!c)
			break;
		TAILQ_REMOVE(&b->waiting, c, waiting);
		if (!http2_send_has_room(&c->send)) {
			TAILQ_INSERT_TAIL(&b->waiting, c, waiting);
			continue;
		}
		c->is_waiting = false;
		if (c->back.exchange)
			exchange_back_room(c->back.exchange);
	}
}

static void resume_all(struct back2 *b)
{
	struct call *c, *next;

	for (c = TAILQ_FIRST(&b->calls); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (!http2_take_waits(&c->take))
			continue;
		call_resume(c);
		if (c->is_closed && !http2_take_waits(&c->take))
			call_leave(c);
	}
}

static void release(struct back2 *b)
{
	struct call *c;

	b->pipe.held = false;
	for (c = TAILQ_FIRST(&b->calls); c; c = TAILQ_NEXT(c, link))
		http2_send_release(&c->send);
}

static void write_frames(struct back2 *b)
{
	int rc;

	do {
		if (b->pipe.held && http2_pipe_has_room(&b->pipe))
			release(b);
		rc = http2_pipe_flush(&b->pipe);
	} while (rc == 0 && b->pipe.held && http2_pipe_has_room(&b->pipe));
	if (rc < 0)
		fail(b, rc);
}

static void read_frames(struct back2 *b)
{
	int rc = http2_pipe_read(&b->pipe);

	if (rc < 0) {
		/* An answer that came before the end of the connection counts; streams that GOAWAY named are safe. */
		settle(b);
		fail(b, rc);
	} else {
		loop_post(b->pipe.turn);
	}
}

/* The connection is gone, answers that are all there are not. */
static void outlive(struct back2 *b)
{
	bool some = b->n_calls > 0;

	resume_all(b);
	settle(b);
	if (some && !b->n_calls) {
		http2_pipe_done(&b->pipe);
		worker_bury(b->worker, &b->grave);
	}
}

static void on_turn(void *arg)
{
	struct back2 *b = arg;
	nghttp2_session *session = b->pipe.session;

	if (b->dead) {
		outlive(b);
		return;
	}
	if (b->state != BACK2_OPEN)
		return;
	resume_all(b);
	write_frames(b);
	give_room(b);
	if (!b->dead)
		write_frames(b);
	settle(b);
	if (b->dead)
		return;
	if (!nghttp2_session_want_read(session) && !nghttp2_session_want_write(session))
		leave_pool(b);
	if (!b->n_calls && !b->is_shared) {
		if (http2_pipe_is_empty(&b->pipe))
			close_now(b, ENDING_ORIGIN_CLOSED, false, false);
		return;
	}
	if (!nghttp2_session_want_read(session) && !nghttp2_session_want_write(session)) {
		close_now(b, ENDING_ORIGIN_FAULT, false, false);
		return;
	}
	if (b->n_calls)
		worker_clear_timer(b->worker, &b->timer);
	else
		worker_set_timer(b->worker, &b->timer,
				 now(b) + b->worker->settings->origin_idle_ns);
	if (b->pipe.readable)
		read_frames(b);
}

/* ---- connecting ------------------------------------------------------------------------------------------------------ */

static int begin_session(struct back2 *b)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static const nghttp2_settings_entry ours[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, BACK2_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 64 * 1024 },
	};
	nghttp2_session *session;

	pthread_once(&once, make_callbacks);
	if (!callbacks || !http2_options(true) ||
	    nghttp2_session_client_new3(&b->pipe.session, callbacks, b, http2_options(true),
					http2_mem()))
		return -ENOMEM;
	session = b->pipe.session;
	if (nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, ours,
				    sizeof(ours) / sizeof(ours[0])) ||
	    nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, BACK2_WINDOW_ALL))
		return -ENOMEM;
	return 0;
}

/* Everybody who waited for the connection. */
static void open_now(struct back2 *b)
{
	struct call *c, *next;

	b->state = BACK2_OPEN;
	worker_clear_timer(b->worker, &b->timer);
	for (c = TAILQ_FIRST(&b->calls); c && !b->dead; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->back.exchange)
			exchange_back_ready(c->back.exchange, &c->back);
	}
	if (!b->dead)
		loop_post(b->pipe.turn);
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

	if (b->dead)
		return;
	if (b->state == BACK2_CONNECTING)
		on_connecting(b, events);
	else if (b->state == BACK2_SHAKING)
		shake(b);
	if (b->dead || b->state != BACK2_OPEN)
		return;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) || b->tls)
		b->pipe.readable = true;
	if (events & (EPOLLRDHUP | EPOLLERR))
		b->pipe.fin = true;
	if (b->pipe.full && (events & EPOLLOUT || b->tls)) {
		int rc = http2_pipe_writable(&b->pipe);

		if (rc < 0) {
			fail(b, rc);
			return;
		}
		loop_post(b->pipe.turn);
	}
	if (b->pipe.readable)
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
	if (b->n_calls)
		return;
	leave_pool(b);
	nghttp2_session_terminate_session(b->pipe.session, NGHTTP2_NO_ERROR);
	loop_post(b->pipe.turn);
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
	TAILQ_INIT(&b->calls);
	TAILQ_INIT(&b->waiting);
	STAILQ_INIT(&b->gone);
	stats_gauge(worker->stats, GAUGE_ORIGINS, 1);
	/* Also when it is connected: its first event is on its way, and tells. */
	b->state = BACK2_CONNECTING;
	if (http2_pipe_init(&b->pipe, worker, &b->sock, on_turn, b) < 0 || begin_session(b) < 0 ||
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

	if (b->n_calls >= BACK2_STREAMS || !b->is_shared)
		return false;
	if (b->state != BACK2_OPEN)
		return true;
	limit = nghttp2_session_get_remote_settings(b->pipe.session,
						    NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
	return b->n_calls < limit && nghttp2_session_check_request_allowed(b->pipe.session);
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
		loop_post(b->pipe.turn);
}

void back2_cut(struct pool_entry *entry)
{
	struct back2 *b = of(entry);

	b->is_shared = false;
	close_now(b, ENDING_ORIGIN_CLOSED, false, false);
}
