// SPDX-License-Identifier: GPL-2.0-only
/* A client's connection of HTTP/2: the session, its limits, its deadlines, its end. */
/* Must not know where a request goes. */
#include "ingress/front2.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "ingress/client.h"
#include "ingress/front2_state.h"
#include "ingress/settings.h"
#include "ingress/sock.h"

#define DRAIN_NS  CLOCK_NS_PER_S       /* between the two GOAWAYs: longer than any round trip */
#define LINGER_NS (2 * CLOCK_NS_PER_S) /* for what is on its way when we close */

static uint64_t now(const struct front2 *f)
{
	return worker_now_ns(f->client->worker);
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

static void front2_free(void *arg)
{
	struct front2 *f = arg;

	/* Not before: nghttp2 may have been on the stack, and what it calls at its end finds no stream any more. */
	nghttp2_session_del(f->pipe.session);
	http2_block_done(&f->block);
	free(f);
}

static void close_now(struct front2 *f, enum ending why, bool reset)
{
	struct stream *s, *next;
	struct worker *worker = f->client->worker;

	if (f->dead)
		return;
	f->dead = true;
	for (s = TAILQ_FIRST(&f->streams); s; s = next) {
		next = TAILQ_NEXT(s, link);
		nghttp2_session_set_stream_user_data(f->pipe.session, s->id, NULL);
		stream_bury(s, why);
	}
	http2_pipe_done(&f->pipe);
	client_close(f->client, reset);
	f->grave = (struct worker_grave){ .free = front2_free, .arg = f };
	worker_bury(worker, &f->grave);
}

/* GOAWAY with this code, once it is written the connection ends. */
static void terminate(struct front2 *f, uint32_t code)
{
	nghttp2_session_terminate_session(f->pipe.session, code);
	loop_post(f->pipe.turn);
}

static void fail(struct front2 *f, int rc)
{
	switch (rc) {
	case -ENODATA:
		close_now(f, ENDING_CLIENT_CLOSED, false);
		return;
	case -ECANCELED: /* on_header, on_frame: the code was said */
		http2_pipe_flush(&f->pipe);
		close_now(f, ENDING_CLIENT_FAULT, false);
		return;
	case -ENOMEM:
		close_now(f, ENDING_NO_MEMORY, true);
		return;
	case -EPROTO:
		http2_pipe_flush(&f->pipe);
		close_now(f, ENDING_CLIENT_FAULT, false);
		return;
	default:
		close_now(f, ENDING_CLIENT_RESET, true);
		return;
	}
}

/* ---- budgets ------------------------------------------------------------------------------------------------------ */

static bool spend(struct front2 *f, struct front2_budget *b, uint32_t most, uint32_t a_second)
{
	uint64_t back = (now(f) - b->since_ns) * a_second / CLOCK_NS_PER_S;

	if (back) {
		b->left = back < most - b->left ? b->left + (uint32_t)back : most;
		b->since_ns = now(f);
	}
	if (!b->left)
		return false;
	b->left--;
	return true;
}

static void earn(struct front2_budget *b, uint32_t most)
{
	if (b->left < most)
		b->left++;
}

/* A stream that was reset by the client, or by us for what the client did. */
static bool may_reset(struct front2 *f)
{
	return spend(f, &f->resets, FRONT2_RESETS, FRONT2_RESETS_A_SECOND);
}

static bool may_idle(struct front2 *f)
{
	return spend(f, &f->idle_frames, FRONT2_IDLE_FRAMES, FRONT2_IDLE_FRAMES_A_SECOND);
}

/* ---- what nghttp2 tells ------------------------------------------------------------------------------------------- */

static int calm(struct front2 *f)
{
	terminate(f, NGHTTP2_ENHANCE_YOUR_CALM);
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/*
 * A stream whose number was passed over is closed (RFC 9113 5.1.1). nghttp2 cannot tell it from one that was there and ended, where
 * frames may still be on their way, and lets it be; the last numbers that were passed over are easy to know.
 */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
	struct front2 *f = arg;

	if (hd->type != NGHTTP2_HEADERS)
		return 0;
	if (hd->stream_id > f->last_id) {
		if (hd->stream_id > f->last_id + 2) {
			f->skipped_from = f->last_id + 2;
			f->skipped_to = hd->stream_id - 2;
		}
		f->last_id = hd->stream_id;
	} else if (hd->stream_id >= f->skipped_from && hd->stream_id <= f->skipped_to) {
		nghttp2_session_terminate_session(session, NGHTTP2_PROTOCOL_ERROR);
		loop_post(f->pipe.turn);
	}
	return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct front2 *f = arg;
	bool opens = frame->headers.cat == NGHTTP2_HCAT_REQUEST;

	(void)session;
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	if (!f->block.text.data)
		f->block.text = worker_take_buf(f->client->worker);
	if (!f->block.pseudo.data)
		f->block.pseudo = worker_take_buf(f->client->worker);
	http2_block_begin(&f->block, opens ? HTTP1_REQUEST : HTTP1_TRAILER,
			  opens ? &f->client->worker->settings->request_limits
				: &http1_limits_trailer);
	f->block_since_ns = now(f);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
		     void *arg)
{
	struct front2 *f = arg;
	int rc;

	(void)session;
	(void)flags;
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	rc = http2_block_add(&f->block, (const char *)name, name_len, (const char *)value,
			     value_len);
	if (rc == -E2BIG)
		return calm(f);
	return rc < 0 ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
}

/* What nghttp2 would leave out makes the whole malformed. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
			     const uint8_t *name, size_t name_len, const uint8_t *value,
			     size_t value_len, uint8_t flags, void *arg)
{
	struct front2 *f = arg;

	(void)session;
	(void)name;
	(void)name_len;
	(void)value;
	(void)value_len;
	(void)flags;
	if (frame->hd.type == NGHTTP2_HEADERS && !f->block.fault)
		f->block.fault = HTTP1_BAD_BYTE;
	return 0;
}

static struct stream *stream_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

static int on_headers(struct front2 *f, const nghttp2_frame *frame)
{
	bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	struct stream *s = stream_of(f->pipe.session, frame->hd.stream_id);

	f->block_since_ns = 0;
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		return stream_open(f, frame->hd.stream_id, ended);
	if (s)
		stream_trailer(s);
	if (s && ended)
		stream_data_end(s);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct front2 *f = arg;
	struct stream *s;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		return on_headers(f, frame);
	case NGHTTP2_DATA:
		s = stream_of(session, frame->hd.stream_id);
		if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
			if (s)
				stream_data_end(s);
			return 0;
		}
		return frame->hd.length || may_idle(f) ? 0 : calm(f);
	case NGHTTP2_SETTINGS:
		f->settings_came = true;
		return may_idle(f) ? 0 : calm(f);
	case NGHTTP2_PING:
	case NGHTTP2_PRIORITY:
		return may_idle(f) ? 0 : calm(f);
	case NGHTTP2_RST_STREAM:
		return may_reset(f) ? 0 : calm(f);
	default:
		return 0;
	}
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
		   size_t len, void *arg)
{
	struct front2 *f = arg;
	struct stream *s = stream_of(session, id);

	(void)flags;
	nghttp2_session_consume_connection(session, len);
	loop_post(f->pipe.turn);
	if (s)
		stream_data(s, (const char *)data, len);
	else
		nghttp2_session_consume_stream(session, id, len);
	return 0;
}

/* The answer is out; whatever else the client would send of its request is for nobody (RFC 9113 8.1). */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct front2 *f = arg;
	struct stream *s = stream_of(session, frame->hd.stream_id);

	if (frame->hd.type == NGHTTP2_RST_STREAM) {
		/* Ours, for what came of the origin or is over: not the client's doing. */
		if ((s && s->is_reset) || frame->rst_stream.error_code == NGHTTP2_NO_ERROR)
			return 0;
		if (!may_reset(f))
			terminate(f, NGHTTP2_ENHANCE_YOUR_CALM);
		return 0;
	}
	if (!s || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
	    (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS))
		return 0;
	earn(&f->resets, FRONT2_RESETS);
	if (!s->got_all && !s->is_reset)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
	return 0;
}

static int on_closed(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct stream *s = stream_of(session, id);

	(void)arg;
	if (!s)
		return 0;
	s->error = code;
	stream_leave(s);
	return 0;
}

static nghttp2_session_callbacks *callbacks;

static void make_callbacks(void)
{
	nghttp2_session_callbacks *c;

	if (nghttp2_session_callbacks_new(&c))
		return;
	nghttp2_session_callbacks_set_on_begin_frame_callback(c, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(c, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_frame_send_callback(c, on_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_closed);
	nghttp2_session_callbacks_set_send_data_callback(c, http2_send_frame);
	callbacks = c;
}

/* ---- a turn ------------------------------------------------------------------------------------------------------- */

/* Streams that nghttp2 has closed: their exchanges are told, unless all that is missing is their own last word. */
static void settle(struct front2 *f)
{
	struct stream *s;

	while ((s = STAILQ_FIRST(&f->gone)) && !f->dead) {
		STAILQ_REMOVE_HEAD(&f->gone, gone);
		s->is_gone = false;
		if (s->front.exchange && s->error == NGHTTP2_NO_ERROR && s->answered &&
		    !s->send.left)
			continue;
		stream_bury(s, ENDING_COMPLETE);
	}
}

/* Asks whoever waits whether there is more, each once; who still waits goes to the end of the queue. */
static void give_room(struct front2 *f)
{
	for (unsigned n = f->n_streams; n && !f->dead && http2_pipe_has_room(&f->pipe); n--) {
		struct stream *s = TAILQ_FIRST(&f->waiting);

		if (!s)
			break;
		TAILQ_REMOVE(&f->waiting, s, waiting);
		if (!http2_send_has_room(&s->send)) {
			TAILQ_INSERT_TAIL(&f->waiting, s, waiting);
			continue;
		}
		s->is_waiting = false;
		if (s->front.exchange)
			exchange_front_room(s->front.exchange);
	}
}

/* Data that was held back for want of room. */
static void release(struct front2 *f)
{
	struct stream *s;

	f->pipe.held = false;
	for (s = TAILQ_FIRST(&f->streams); s; s = TAILQ_NEXT(s, link))
		http2_send_release(&s->send);
}

static void write_frames(struct front2 *f)
{
	int rc;

	do {
		if (f->pipe.held && http2_pipe_has_room(&f->pipe))
			release(f);
		rc = http2_pipe_flush(&f->pipe);
	} while (rc == 0 && f->pipe.held && http2_pipe_has_room(&f->pipe));
	if (http2_pipe_is_empty(&f->pipe))
		f->stuck_since_ns = 0;
	else if (!f->stuck_since_ns)
		f->stuck_since_ns = now(f);
	if (rc < 0)
		fail(f, rc);
}

/* Our half first, so that the last frames arrive whatever the client is still sending. */
static void linger(struct front2 *f)
{
	f->lingers = true;
	sock_end_write(f->pipe.sock);
	client_deadline(f->client, now(f) + LINGER_NS);
}

static void read_frames(struct front2 *f)
{
	int rc = http2_pipe_read(&f->pipe);

	if (rc < 0 && f->pipe.ended) /* many close without a word, in TLS too */
		close_now(f,
			  rc == -ENODATA || rc == -EPROTO ? ENDING_CLIENT_CLOSED
							  : ENDING_CLIENT_RESET,
			  false);
	else if (rc < 0)
		fail(f, rc);
	else
		loop_post(f->pipe.turn);
}

static uint64_t after(uint64_t since_ns, uint64_t limit_ns)
{
	return limit_ns ? since_ns + limit_ns : UINT64_MAX;
}

/* When a field block, or the client's first frame, is overdue; and the next stream. UINT64_MAX: nothing of the kind is awaited. */
static uint64_t head_due(const struct front2 *f)
{
	const struct settings *settings = f->client->worker->settings;

	if (f->block_since_ns)
		return after(f->block_since_ns, settings->head_ns);
	return f->settings_came ? UINT64_MAX : after(f->idle_since_ns, settings->head_ns);
}

static uint64_t stream_due(const struct front2 *f)
{
	return f->n_streams ? UINT64_MAX
			    : after(f->idle_since_ns, f->client->worker->settings->keep_alive_ns);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When the client has held it up for too long, with a body that does not come or by not taking what waits. UINT64_MAX: it does not. */
static uint64_t stall_due(const struct stream *s, uint64_t limit)
{
	uint64_t since = s->send.moved_ns;

	if (s->is_closed || s->is_reset)
		return UINT64_MAX;
	if (s->is_waiting || http2_send_waits(&s->send)) {
		if (s->is_waiting && s->waits_since_ns > since)
			since = s->waits_since_ns;
		return after(since, limit);
	}
	if (s->got_all || !s->has_body || s->may_be_quiet || !s->front.exchange ||
	    http2_take_waits(&s->take))
		return UINT64_MAX;
	return after(s->take.moved_ns, limit);
}

/* When somebody may have held something up for too long. What begins to do so later is due later. */
static uint64_t next_look(const struct front2 *f, uint64_t limit)
{
	uint64_t at = after(now(f), limit);
	const struct stream *s;

	if (f->stuck_since_ns)
		at = sooner(at, after(f->stuck_since_ns, limit));
	for (s = TAILQ_FIRST(&f->streams); s; s = TAILQ_NEXT(s, link))
		at = sooner(at, stall_due(s, limit));
	return at;
}

/* What the connection itself waits for; streams are looked at while there are some. */
static void set_deadline(struct front2 *f)
{
	uint64_t limit = f->client->worker->settings->client_ns;
	uint64_t at = sooner(head_due(f), stream_due(f));

	if (!f->n_streams && !f->stuck_since_ns)
		f->look_ns = 0;
	else if (!f->look_ns) /* and then stays: turns do not put it off */
		f->look_ns = next_look(f, limit);
	if (f->look_ns)
		at = sooner(at, f->look_ns);
	if (f->drain_ns)
		at = sooner(at, f->drain_ns);
	client_deadline(f->client, at);
}

/* Everything that a turn left to be done. */
static void on_turn(void *arg)
{
	struct front2 *f = arg;
	unsigned before = f->n_streams;
	struct stream *s;

	if (f->dead || f->lingers)
		return;
	for (s = TAILQ_FIRST(&f->streams); s; s = TAILQ_NEXT(s, link))
		if (http2_take_waits(&s->take))
			stream_resume(s);
	write_frames(f);
	give_room(f);
	if (f->dead)
		return;
	write_frames(f);
	settle(f);
	if (f->dead)
		return;
	if (before && !f->n_streams)
		f->idle_since_ns = now(f);
	if (http2_pipe_is_empty(&f->pipe) &&
	    ((!f->n_streams && f->draining) || (!nghttp2_session_want_read(f->pipe.session) &&
						!nghttp2_session_want_write(f->pipe.session)))) {
		linger(f);
		return;
	}
	if (f->pipe.readable) {
		read_frames(f);
		if (f->dead)
			return;
	}
	if (!f->block_since_ns) {
		worker_give_buf(f->client->worker, &f->block.text);
		worker_give_buf(f->client->worker, &f->block.pseudo);
	}
	set_deadline(f);
}

/* ---- the connection's events ---------------------------------------------------------------------------------------- */

/* Until the client ends its half, or time is up. */
static void drop_bytes(struct front2 *f)
{
	ssize_t n;

	do
		n = sock_read(f->pipe.sock, f->client->worker->scratch, WORKER_SCRATCH);
	while (n > 0);
	if (n != -EAGAIN)
		close_now(f, ENDING_CLIENT_CLOSED, false);
}

static void on_events(void *state, uint32_t events)
{
	struct front2 *f = state;

	if (f->dead)
		return;
	if (events & EPOLLERR) {
		close_now(f, ENDING_CLIENT_RESET, true);
		return;
	}
	if (f->lingers) {
		drop_bytes(f);
		return;
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP) || f->pipe.sock->ssl)
		f->pipe.readable = true;
	if (events & EPOLLRDHUP)
		f->pipe.fin = true;
	if (f->pipe.full && (events & EPOLLOUT || f->pipe.sock->ssl)) {
		int rc = http2_pipe_writable(&f->pipe);

		if (rc < 0) {
			fail(f, rc);
			return;
		}
		f->stuck_since_ns = 0;
		loop_post(f->pipe.turn);
	}
	if (f->pipe.readable)
		read_frames(f);
}

/* ---- deadlines ------------------------------------------------------------------------------------------------------ */

static void reset_stalled(struct front2 *f, uint64_t limit)
{
	struct stream *s;

	for (s = TAILQ_FIRST(&f->streams); s; s = TAILQ_NEXT(s, link)) {
		struct exchange *x = s->front.exchange;

		if (now(f) < stall_due(s, limit))
			continue;
		s->front.exchange = NULL;
		stream_reset(s, NGHTTP2_CANCEL);
		if (x)
			exchange_client_gone(x, ENDING_CLIENT_TIMEOUT);
	}
}

static void second_goaway(struct front2 *f)
{
	nghttp2_session *session = f->pipe.session;

	f->drain_ns = 0;
	f->draining = true;
	nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE,
			      nghttp2_session_get_last_proc_stream_id(session), NGHTTP2_NO_ERROR,
			      NULL, 0);
}

static void on_timeout(void *state)
{
	struct front2 *f = state;
	uint64_t limit = f->client->worker->settings->client_ns;

	if (f->dead)
		return;
	if (f->lingers || (limit && f->stuck_since_ns && now(f) >= f->stuck_since_ns + limit)) {
		close_now(f, ENDING_CLIENT_TIMEOUT, !f->lingers);
		return;
	}
	if (now(f) >= head_due(f))
		terminate(f, NGHTTP2_ENHANCE_YOUR_CALM);
	else if (now(f) >= stream_due(f))
		terminate(f, NGHTTP2_NO_ERROR);
	if (f->drain_ns && now(f) >= f->drain_ns)
		second_goaway(f);
	if (limit)
		reset_stalled(f, limit);
	if (now(f) >= f->look_ns)
		f->look_ns = 0;
	loop_post(f->pipe.turn);
}

/* The first GOAWAY names no stream yet, so that requests that are on their way are still served. */
static void on_drain(void *state)
{
	struct front2 *f = state;

	if (f->dead || f->drain_ns || f->draining)
		return;
	nghttp2_submit_shutdown_notice(f->pipe.session);
	f->drain_ns = now(f) + DRAIN_NS;
	loop_post(f->pipe.turn);
}

static void on_cut(void *state, enum ending why)
{
	struct front2 *f = state;

	if (f->dead)
		return;
	terminate(f, NGHTTP2_NO_ERROR);
	http2_pipe_flush(&f->pipe);
	close_now(f, why, true);
}

static const struct client_ops client_ops = {
	.events = on_events,
	.timeout = on_timeout,
	.drain = on_drain,
	.cut = on_cut,
};

/* ---- beginning ------------------------------------------------------------------------------------------------------ */

static int begin_session(struct front2 *f)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static const nghttp2_settings_entry ours[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, FRONT2_STREAMS },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, FRONT2_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 64 * 1024 },
	};
	nghttp2_session *session;

	pthread_once(&once, make_callbacks);
	if (!callbacks || !http2_options(false) ||
	    nghttp2_session_server_new3(&f->pipe.session, callbacks, f, http2_options(false),
					http2_mem()))
		return -ENOMEM;
	session = f->pipe.session;
	if (nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, ours,
				    sizeof(ours) / sizeof(ours[0])) ||
	    nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, FRONT2_WINDOW_ALL))
		return -ENOMEM;
	return 0;
}

int front2_new(struct client *client, const char *bytes, size_t len)
{
	struct front2 *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return -ENOMEM;
	f->client = client;
	TAILQ_INIT(&f->streams);
	TAILQ_INIT(&f->waiting);
	STAILQ_INIT(&f->gone);
	f->idle_since_ns = now(f);
	f->last_id = -1; /* the first is 1 */
	f->resets = (struct front2_budget){ FRONT2_RESETS, now(f) };
	f->idle_frames = (struct front2_budget){ FRONT2_IDLE_FRAMES, now(f) };
	rc = http2_pipe_init(&f->pipe, client->worker, &client->sock, on_turn, f);
	if (rc == 0)
		rc = begin_session(f);
	if (rc < 0) {
		http2_pipe_done(&f->pipe);
		front2_free(f);
		return -ENOMEM;
	}
	client->ops = &client_ops;
	client->state = f;
	rc = len ? http2_pipe_feed(&f->pipe, bytes, len) : 0;
	if (rc < 0)
		fail(f, rc);
	else
		on_events(f, EPOLLIN);
	return 0;
}
