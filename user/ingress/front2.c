// SPDX-License-Identifier: GPL-2.0-only
/* A client's connection of HTTP/2: the session, its limits, its deadlines, its end. */
/* Must not know where a request goes. */
#include "ingress/front2.h"

#include <errno.h>
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

static struct front2 *of(struct http2_session *h2)
{
	return (struct front2 *)((char *)h2 - offsetof(struct front2, h2));
}

static uint64_t now(const struct front2 *f)
{
	return worker_now_ns(f->client->worker);
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

static void front2_free(void *arg)
{
	struct front2 *f = arg;

	http2_session_done(&f->h2);
	free(f);
}

static void close_now(struct front2 *f, enum ending why, bool reset)
{
	struct http2_stream *s, *next;
	struct worker *worker = f->client->worker;

	if (f->h2.dead)
		return;
	f->h2.dead = true;
	for (s = TAILQ_FIRST(&f->h2.streams); s; s = next) {
		next = TAILQ_NEXT(s, link);
		stream_bury(stream_of(s), why);
	}
	http2_session_stop(&f->h2);
	client_close(f->client, reset);
	f->grave = (struct worker_grave){ .free = front2_free, .arg = f };
	worker_bury(worker, &f->grave);
}

static void fail(struct front2 *f, int rc)
{
	switch (rc) {
	case -ENODATA:
		close_now(f, ENDING_CLIENT_CLOSED, false);
		return;
	case -ECANCELED: /* on_header, on_frame: the code was said */
		http2_pipe_flush(&f->h2.pipe);
		close_now(f, ENDING_CLIENT_FAULT, false);
		return;
	case -ENOMEM:
		close_now(f, ENDING_NO_MEMORY, true);
		return;
	case -EPROTO:
		http2_pipe_flush(&f->h2.pipe);
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
	http2_session_terminate(&f->h2, NGHTTP2_ENHANCE_YOUR_CALM);
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/*
 * A stream whose number was passed over is closed (RFC 9113 5.1.1). nghttp2 cannot tell it from one that was there and ended, where
 * frames may still be on their way, and lets it be; the last numbers that were passed over are easy to know.
 */
static int on_begin_frame(struct http2_session *h2, const nghttp2_frame_hd *hd)
{
	struct front2 *f = of(h2);

	if (hd->type == NGHTTP2_CONTINUATION) {
		if (f->block_is_bad && hd->flags & NGHTTP2_FLAG_END_HEADERS)
			f->block_since_ns = 0;
		return 0;
	}
	f->block_since_ns = 0; /* whichever there was has ended */
	f->block_is_bad = false;
	if (hd->type != NGHTTP2_HEADERS)
		return 0;
	if (hd->stream_id > f->last_id) {
		if (hd->stream_id > f->last_id + 2) {
			f->skipped_from = f->last_id + 2;
			f->skipped_to = hd->stream_id - 2;
		}
		f->last_id = hd->stream_id;
	} else if (hd->stream_id >= f->skipped_from && hd->stream_id <= f->skipped_to) {
		http2_session_terminate(&f->h2, NGHTTP2_PROTOCOL_ERROR);
	}
	return 0;
}

static enum http1_kind on_block(struct http2_session *h2, const nghttp2_frame *frame,
				struct http2_stream *s, const struct http1_limits **ret_limits)
{
	struct front2 *f = of(h2);
	bool opens = frame->headers.cat == NGHTTP2_HCAT_REQUEST;

	(void)s;
	f->block_since_ns = now(f);
	*ret_limits = opens ? &f->client->worker->settings->request_limits : &http1_limits_trailer;
	return opens ? HTTP1_REQUEST : HTTP1_TRAILER;
}

/* The rest of its last frame is for nobody, and may take as long as the connection may be idle. */
static void on_bad_block(struct http2_session *h2, const nghttp2_frame *frame)
{
	of(h2)->block_is_bad = true;
	if (frame->hd.flags & NGHTTP2_FLAG_END_HEADERS)
		of(h2)->block_since_ns = 0;
}

static int on_headers(struct front2 *f, const nghttp2_frame *frame, struct http2_stream *s)
{
	bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	f->block_since_ns = 0;
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		return stream_open(f, frame->hd.stream_id, ended);
	if (s)
		stream_trailer(stream_of(s));
	if (s && ended)
		stream_data_end(stream_of(s));
	return 0;
}

static int on_frame(struct http2_session *h2, const nghttp2_frame *frame, struct http2_stream *s)
{
	struct front2 *f = of(h2);

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		return on_headers(f, frame, s);
	case NGHTTP2_DATA:
		if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
			if (s)
				stream_data_end(stream_of(s));
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

static void on_data(struct http2_stream *s, const char *bytes, size_t len)
{
	stream_data(stream_of(s), bytes, len);
}

/* The answer is out; whatever else the client would send of its request is for nobody (RFC 9113 8.1). */
static int on_sent(struct http2_session *h2, const nghttp2_frame *frame, struct http2_stream *s)
{
	struct front2 *f = of(h2);
	bool is_reset = s && stream_of(s)->is_reset;

	if (frame->hd.type == NGHTTP2_RST_STREAM) {
		/* Ours, for what came of the origin or is over: not the client's doing. */
		if (is_reset || frame->rst_stream.error_code == NGHTTP2_NO_ERROR)
			return 0;
		if (!may_reset(f))
			http2_session_terminate(&f->h2, NGHTTP2_ENHANCE_YOUR_CALM);
		return 0;
	}
	if (!s || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
	    (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS))
		return 0;
	earn(&f->resets, FRONT2_RESETS);
	if (!s->got_all && !is_reset)
		nghttp2_submit_rst_stream(h2->pipe.session, NGHTTP2_FLAG_NONE, s->id,
					  NGHTTP2_NO_ERROR);
	return 0;
}

/* ---- a turn ------------------------------------------------------------------------------------------------------- */

static void on_room(struct http2_stream *s)
{
	if (stream_of(s)->front.exchange)
		exchange_front_room(stream_of(s)->front.exchange);
}

/* Streams that nghttp2 has closed: their exchanges are told, unless all that is missing is their own last word. */
static void settle(struct front2 *f)
{
	struct http2_stream *h2;

	while (!f->h2.dead && (h2 = http2_session_next_gone(&f->h2))) {
		struct stream *s = stream_of(h2);

		if (s->front.exchange && h2->error == NGHTTP2_NO_ERROR && s->answered &&
		    !h2->send.left)
			continue;
		stream_bury(s, ENDING_COMPLETE);
	}
}

static void write_frames(struct front2 *f)
{
	int rc = http2_session_write(&f->h2);

	if (http2_pipe_is_empty(&f->h2.pipe))
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
	sock_end_write(f->h2.pipe.sock);
	client_deadline(f->client, now(f) + LINGER_NS);
}

static void read_frames(struct front2 *f)
{
	int rc = http2_pipe_read(&f->h2.pipe);

	if (rc < 0 && f->h2.pipe.ended) /* many close without a word, in TLS too */
		close_now(f,
			  rc == -ENODATA || rc == -EPROTO ? ENDING_CLIENT_CLOSED
							  : ENDING_CLIENT_RESET,
			  false);
	else if (rc < 0)
		fail(f, rc);
	else
		loop_post(f->h2.pipe.turn);
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
	return f->h2.n_streams
		       ? UINT64_MAX
		       : after(f->idle_since_ns, f->client->worker->settings->keep_alive_ns);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When the client has held it up for too long, with a body that does not come or by not taking what waits. UINT64_MAX: it does not. */
static uint64_t stall_due(const struct stream *s, uint64_t limit)
{
	const struct http2_stream *h2 = &s->h2;
	uint64_t since = h2->send.moved_ns;

	if (h2->is_closed || s->is_reset)
		return UINT64_MAX;
	if (h2->is_waiting || http2_send_waits(&h2->send)) {
		if (h2->is_waiting && h2->waits_since_ns > since)
			since = h2->waits_since_ns;
		return after(since, limit);
	}
	if (h2->got_all || !s->has_body || s->may_be_quiet || !s->front.exchange ||
	    http2_take_waits(&h2->take))
		return UINT64_MAX;
	return after(h2->take.moved_ns, limit);
}

/* When somebody may have held something up for too long. What begins to do so later is due later. */
static uint64_t next_look(const struct front2 *f, uint64_t limit)
{
	uint64_t at = after(now(f), limit);
	struct http2_stream *s;

	if (f->stuck_since_ns)
		at = sooner(at, after(f->stuck_since_ns, limit));
	TAILQ_FOREACH(s, &f->h2.streams, link)
	at = sooner(at, stall_due(stream_of(s), limit));
	return at;
}

/* What the connection itself waits for; streams are looked at while there are some. */
static void set_deadline(struct front2 *f)
{
	uint64_t limit = f->client->worker->settings->client_ns;
	uint64_t at = sooner(head_due(f), stream_due(f));

	if (!f->h2.n_streams && !f->stuck_since_ns)
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
static void on_turn(struct http2_session *h2)
{
	struct front2 *f = of(h2);
	unsigned before = h2->n_streams;
	struct http2_stream *s;

	if (h2->dead || f->lingers)
		return;
	TAILQ_FOREACH(s, &h2->streams, link)
	if (http2_take_waits(&s->take))
		stream_resume(stream_of(s));
	write_frames(f);
	http2_session_give_room(h2);
	if (f->h2.dead)
		return;
	write_frames(f);
	settle(f);
	if (f->h2.dead)
		return;
	if (before && !f->h2.n_streams)
		f->idle_since_ns = now(f);
	if (http2_pipe_is_empty(&h2->pipe) &&
	    ((!h2->n_streams && f->draining) || http2_session_is_over(h2))) {
		linger(f);
		return;
	}
	if (f->h2.pipe.readable) {
		read_frames(f);
		if (f->h2.dead)
			return;
	}
	if (!f->block_since_ns)
		http2_session_drop_block(h2);
	set_deadline(f);
}

/* ---- the connection's events ---------------------------------------------------------------------------------------- */

/* Until the client ends its half, or time is up. */
static void drop_bytes(struct front2 *f)
{
	ssize_t n;

	do
		n = sock_read(f->h2.pipe.sock, f->client->worker->scratch, WORKER_SCRATCH);
	while (n > 0);
	if (n != -EAGAIN)
		close_now(f, ENDING_CLIENT_CLOSED, false);
}

static void on_events(void *state, uint32_t events)
{
	struct front2 *f = state;
	int rc;

	if (f->h2.dead)
		return;
	if (events & EPOLLERR) {
		close_now(f, ENDING_CLIENT_RESET, true);
		return;
	}
	if (f->lingers) {
		drop_bytes(f);
		return;
	}
	rc = http2_session_events(&f->h2, events);
	if (rc < 0) {
		fail(f, rc);
		return;
	}
	if (rc > 0)
		f->stuck_since_ns = 0;
	if (f->h2.pipe.readable)
		read_frames(f);
}

/* ---- deadlines ------------------------------------------------------------------------------------------------------ */

static void reset_stalled(struct front2 *f, uint64_t limit)
{
	struct http2_stream *h2;

	TAILQ_FOREACH(h2, &f->h2.streams, link)
	{
		struct stream *s = stream_of(h2);
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
	nghttp2_session *session = f->h2.pipe.session;

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

	if (f->h2.dead)
		return;
	if (f->lingers || (limit && f->stuck_since_ns && now(f) >= f->stuck_since_ns + limit)) {
		close_now(f, ENDING_CLIENT_TIMEOUT, !f->lingers);
		return;
	}
	if (now(f) >= head_due(f))
		http2_session_terminate(&f->h2, NGHTTP2_ENHANCE_YOUR_CALM);
	else if (now(f) >= stream_due(f))
		http2_session_terminate(&f->h2, NGHTTP2_NO_ERROR);
	if (f->drain_ns && now(f) >= f->drain_ns)
		second_goaway(f);
	if (limit)
		reset_stalled(f, limit);
	if (now(f) >= f->look_ns)
		f->look_ns = 0;
	loop_post(f->h2.pipe.turn);
}

/* The first GOAWAY names no stream yet, so that requests that are on their way are still served. */
static void on_drain(void *state)
{
	struct front2 *f = state;

	if (f->h2.dead || f->drain_ns || f->draining)
		return;
	nghttp2_submit_shutdown_notice(f->h2.pipe.session);
	f->drain_ns = now(f) + DRAIN_NS;
	loop_post(f->h2.pipe.turn);
}

static void on_cut(void *state, enum ending why)
{
	struct front2 *f = state;

	if (f->h2.dead)
		return;
	http2_session_terminate(&f->h2, NGHTTP2_NO_ERROR);
	http2_pipe_flush(&f->h2.pipe);
	close_now(f, why, true);
}

static const struct client_ops client_ops = {
	.events = on_events,
	.timeout = on_timeout,
	.drain = on_drain,
	.cut = on_cut,
};

/* ---- beginning ------------------------------------------------------------------------------------------------------ */

static const nghttp2_settings_entry our_settings[] = {
	{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, FRONT2_STREAMS },
	{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_WINDOW },
	{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 64 * 1024 },
};

static const struct http2_session_ops session_ops = {
	.settings = our_settings,
	.n_settings = sizeof(our_settings) / sizeof(our_settings[0]),
	.begin_frame = on_begin_frame,
	.bad_block = on_bad_block,
	.block = on_block,
	.frame = on_frame,
	.data = on_data,
	.sent = on_sent,
	.room = on_room,
	.turn = on_turn,
};

int front2_new(struct client *client, const char *bytes, size_t len)
{
	struct front2 *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return -ENOMEM;
	f->client = client;
	f->idle_since_ns = now(f);
	f->last_id = -1; /* the first is 1 */
	f->resets = (struct front2_budget){ FRONT2_RESETS, now(f) };
	f->idle_frames = (struct front2_budget){ FRONT2_IDLE_FRAMES, now(f) };
	rc = http2_session_init(&f->h2, &session_ops, client->worker, &client->sock);
	if (rc < 0) {
		http2_session_stop(&f->h2);
		front2_free(f);
		return -ENOMEM;
	}
	client->ops = &client_ops;
	client->state = f;
	rc = len ? http2_pipe_feed(&f->h2.pipe, bytes, len) : 0;
	if (rc < 0)
		fail(f, rc);
	else
		on_events(f, EPOLLIN);
	return 0;
}
