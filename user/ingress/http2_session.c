// SPDX-License-Identifier: GPL-2.0-only
/* A connection of HTTP/2 and its streams, whichever side it is. */
/* Must not know exchanges, clients or endpoints. */
#include "ingress/http2_session.h"

#include <errno.h>
#include <sys/epoll.h>

#include "ingress/sock.h"
#include "ingress/worker.h"

/* ---- what nghttp2 tells ------------------------------------------------------------------------------------------- */

static struct http2_stream *stream_of(nghttp2_session *session, int32_t id)
{
	return id ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
	struct http2_session *h2 = arg;

	(void)session;
	return h2->ops->begin_frame(h2, hd);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct http2_session *h2 = arg;
	struct worker *worker = h2->pipe.worker;
	const struct http1_limits *limits;
	enum http1_kind kind;

	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	if (!h2->block.text.data)
		h2->block.text = worker_take_buf(worker);
	if (!h2->block.pseudo.data)
		h2->block.pseudo = worker_take_buf(worker);
	kind = h2->ops->block(h2, frame, stream_of(session, frame->hd.stream_id), &limits);
	http2_block_begin(&h2->block, kind, limits);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
		     void *arg)
{
	struct http2_session *h2 = arg;
	int rc;

	(void)session;
	(void)flags;
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	rc = http2_block_add(&h2->block, (const char *)name, name_len, (const char *)value,
			     value_len);
	if (rc == -E2BIG) {
		http2_session_terminate(h2, NGHTTP2_ENHANCE_YOUR_CALM);
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	return rc < 0 ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
}

/* What nghttp2 would leave out makes the whole malformed. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
			     const uint8_t *name, size_t name_len, const uint8_t *value,
			     size_t value_len, uint8_t flags, void *arg)
{
	struct http2_session *h2 = arg;

	(void)session;
	(void)name;
	(void)name_len;
	(void)value;
	(void)value_len;
	(void)flags;
	if (frame->hd.type == NGHTTP2_HEADERS && !h2->block.fault)
		h2->block.fault = HTTP1_BAD_BYTE;
	return 0;
}

static int on_bad_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
	struct http2_session *h2 = arg;

	(void)session;
	(void)error;
	if (frame->hd.type == NGHTTP2_HEADERS)
		h2->ops->bad_block(h2, frame);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct http2_session *h2 = arg;

	return h2->ops->frame(h2, frame, stream_of(session, frame->hd.stream_id));
}

/* The connection's window opens by what came, so a stream that stands does not hold up its siblings. */
static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
		   size_t len, void *arg)
{
	struct http2_session *h2 = arg;
	struct http2_stream *s = stream_of(session, id);

	(void)flags;
	nghttp2_session_consume_connection(session, len);
	loop_post(h2->pipe.turn);
	if (s)
		h2->ops->data(s, (const char *)data, len);
	else
		nghttp2_session_consume_stream(session, id, len);
	return 0;
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct http2_session *h2 = arg;

	return h2->ops->sent(h2, frame, stream_of(session, frame->hd.stream_id));
}

static int on_closed(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct http2_stream *s = stream_of(session, id);

	(void)arg;
	if (!s)
		return 0;
	s->error = code;
	http2_stream_leave(s);
	return 0;
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

static void on_turn(void *arg)
{
	struct http2_session *h2 = arg;

	h2->ops->turn(h2);
}

static void set_callbacks(nghttp2_session_callbacks *c, const struct http2_session_ops *ops)
{
	if (ops->begin_frame)
		nghttp2_session_callbacks_set_on_begin_frame_callback(c, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(c, on_invalid_header);
	if (ops->bad_block)
		nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, on_bad_frame);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	if (ops->sent)
		nghttp2_session_callbacks_set_on_frame_send_callback(c, on_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_closed);
	nghttp2_session_callbacks_set_send_data_callback(c, http2_send_frame);
}

static int make(struct http2_session *h2)
{
	const struct http2_session_ops *ops = h2->ops;
	const nghttp2_option *options = http2_options(ops->is_client);
	nghttp2_session_callbacks *c;
	int rc;

	if (!options || nghttp2_session_callbacks_new(&c))
		return -ENOMEM;
	set_callbacks(c, ops);
	rc = (ops->is_client ? nghttp2_session_client_new3 : nghttp2_session_server_new3)(
		&h2->pipe.session, c, h2, options, http2_mem());
	nghttp2_session_callbacks_del(c); /* the session has a copy */
	return rc ? -ENOMEM : 0;
}

int http2_session_init(struct http2_session *h2, const struct http2_session_ops *ops,
		       struct worker *worker, struct sock *sock)
{
	h2->ops = ops;
	TAILQ_INIT(&h2->streams);
	TAILQ_INIT(&h2->waiting);
	STAILQ_INIT(&h2->gone);
	if (http2_pipe_init(&h2->pipe, worker, sock, on_turn, h2) < 0 || make(h2) < 0 ||
	    nghttp2_submit_settings(h2->pipe.session, NGHTTP2_FLAG_NONE, ops->settings,
				    ops->n_settings) ||
	    nghttp2_session_set_local_window_size(h2->pipe.session, NGHTTP2_FLAG_NONE, 0,
						  HTTP2_WINDOW_ALL))
		return -ENOMEM;
	return 0;
}

void http2_session_stop(struct http2_session *h2)
{
	http2_pipe_done(&h2->pipe);
}

void http2_session_done(struct http2_session *h2)
{
	nghttp2_session_del(h2->pipe.session);
	http2_block_done(&h2->block);
}

void http2_session_terminate(struct http2_session *h2, uint32_t code)
{
	nghttp2_session_terminate_session(h2->pipe.session, code);
	loop_post(h2->pipe.turn);
}

bool http2_session_is_over(const struct http2_session *h2)
{
	nghttp2_session *session = h2->pipe.session;

	return !nghttp2_session_want_read(session) && !nghttp2_session_want_write(session);
}

/* ---- a turn ------------------------------------------------------------------------------------------------------- */

int http2_session_events(struct http2_session *h2, uint32_t events)
{
	struct http2_pipe *pipe = &h2->pipe;
	int rc;

	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) || pipe->sock->ssl)
		pipe->readable = true;
	if (events & (EPOLLRDHUP | EPOLLERR))
		pipe->fin = true;
	if (!pipe->full || !(events & EPOLLOUT || pipe->sock->ssl))
		return 0;
	rc = http2_pipe_writable(pipe);
	if (rc < 0)
		return rc;
	loop_post(pipe->turn);
	return 1;
}

/* Data that was held back for want of room. */
static void release(struct http2_session *h2)
{
	struct http2_stream *s;

	h2->pipe.held = false;
	TAILQ_FOREACH(s, &h2->streams, link)
	http2_send_release(&s->send);
}

int http2_session_write(struct http2_session *h2)
{
	struct http2_pipe *pipe = &h2->pipe;
	int rc;

	do {
		if (pipe->held && http2_pipe_has_room(pipe))
			release(h2);
		rc = http2_pipe_flush(pipe);
	} while (rc == 0 && pipe->held && http2_pipe_has_room(pipe));
	return rc;
}

void http2_session_give_room(struct http2_session *h2)
{
	for (unsigned n = h2->n_streams; n && !h2->dead && http2_pipe_has_room(&h2->pipe); n--) {
		struct http2_stream *s = TAILQ_FIRST(&h2->waiting);

		if (!s)
			break;
		TAILQ_REMOVE(&h2->waiting, s, waiting);
		if (!http2_send_has_room(&s->send)) {
			TAILQ_INSERT_TAIL(&h2->waiting, s, waiting);
			continue;
		}
		s->is_waiting = false;
		h2->ops->room(s);
	}
}

void http2_session_drop_block(struct http2_session *h2)
{
	worker_give_buf(h2->pipe.worker, &h2->block.text);
	worker_give_buf(h2->pipe.worker, &h2->block.pseudo);
}

struct http2_stream *http2_session_next_gone(struct http2_session *h2)
{
	struct http2_stream *s = STAILQ_FIRST(&h2->gone);

	if (s)
		http2_stream_recall(s);
	return s;
}

/* ---- a stream ----------------------------------------------------------------------------------------------------- */

void http2_stream_init(struct http2_stream *s, struct http2_session *h2)
{
	*s = (struct http2_stream){ .h2 = h2 };
	http2_send_init(&s->send, &h2->pipe);
	http2_take_init(&s->take, &h2->pipe, HTTP2_WINDOW_MAX);
	TAILQ_INSERT_TAIL(&h2->streams, s, link);
	h2->n_streams++;
}

void http2_stream_number(struct http2_stream *s, int32_t id)
{
	s->id = s->send.id = s->take.id = id;
}

void http2_stream_remove(struct http2_stream *s)
{
	http2_stream_close(s);
	http2_stream_recall(s);
	if (s->id)
		nghttp2_session_set_stream_user_data(s->h2->pipe.session, s->id, NULL);
	TAILQ_REMOVE(&s->h2->streams, s, link);
	s->h2->n_streams--;
}

void http2_stream_done(struct http2_stream *s)
{
	http2_send_done(&s->send);
	http2_take_done(&s->take);
	buf_done(&s->trailer);
}

size_t http2_stream_body(struct http2_stream *s, const char *data, size_t len)
{
	size_t n = http2_send_body(&s->send, data, len);

	if (n < len && !s->is_waiting) {
		s->is_waiting = true;
		s->waits_since_ns = worker_now_ns(s->h2->pipe.worker);
		TAILQ_INSERT_TAIL(&s->h2->waiting, s, waiting);
	}
	return n;
}

void http2_stream_unwait(struct http2_stream *s)
{
	if (s->is_waiting)
		TAILQ_REMOVE(&s->h2->waiting, s, waiting);
	s->is_waiting = false;
}

void http2_stream_reset(struct http2_stream *s, uint32_t code)
{
	s->send.stopped = true;
	nghttp2_submit_rst_stream(s->h2->pipe.session, NGHTTP2_FLAG_NONE, s->id, code);
	loop_post(s->h2->pipe.turn);
}

void http2_stream_close(struct http2_stream *s)
{
	s->is_closed = s->send.stopped = s->take.stopped = true;
	http2_stream_unwait(s);
}

void http2_stream_leave(struct http2_stream *s)
{
	http2_stream_close(s);
	if (!s->is_gone)
		STAILQ_INSERT_TAIL(&s->h2->gone, s, gone);
	s->is_gone = true;
	loop_post(s->h2->pipe.turn);
}

void http2_stream_recall(struct http2_stream *s)
{
	if (s->is_gone)
		STAILQ_REMOVE(&s->h2->gone, s, http2_stream, gone);
	s->is_gone = false;
}

int http2_stream_take_trailer(struct http2_stream *s)
{
	struct http2_block *block = &s->h2->block;
	struct http1_head head;
	int n;

	http1_head_init(&head, HTTP1_TRAILER, &http1_limits_trailer);
	n = http2_block_end(block, true, &head);
	return n < 0 ? n : buf_put(&s->trailer, block->text.data, (size_t)n);
}

bool http2_stream_trailer(const struct http2_stream *s, struct http1_head *ret_trailer)
{
	http1_head_init(ret_trailer, HTTP1_TRAILER, &http1_limits_trailer);
	return s->trailer.len && http1_head_read(ret_trailer, s->trailer.data, s->trailer.len) > 0;
}
