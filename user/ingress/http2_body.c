// SPDX-License-Identifier: GPL-2.0-only
/* Bodies of a stream: into frames, and out of them with a window that follows who takes them. */
/* Must not know heads, exchanges or which side it is. */
#include "ingress/http2_body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/exchange.h"
#include "ingress/worker.h"

#define SMALL       4096 /* bytes that wait for the end of the turn rather than make a frame at once */
#define WIDE_BEHIND 32768 /* bytes that were taken before the window grows */

/* ---- sent --------------------------------------------------------------------------------------------------------- */

void http2_send_init(struct http2_send *s, struct http2_pipe *pipe)
{
	*s = (struct http2_send){ .pipe = pipe, .left = UINT64_MAX };
}

void http2_send_done(struct http2_send *s)
{
	buf_done(&s->out);
	free(s->fields);
	s->fields = NULL;
}

static size_t pending(const struct http2_send *s)
{
	return s->now ? s->now_len : s->out.len - s->out_at;
}

bool http2_send_waits(const struct http2_send *s)
{
	return s->out.len > 0;
}

bool http2_send_has_room(const struct http2_send *s)
{
	nghttp2_session *session = s->pipe->session;

	return s->out.len == 0 && http2_pipe_has_room(s->pipe) &&
	       nghttp2_session_get_stream_remote_window_size(session, s->id) > 0 &&
	       nghttp2_session_get_remote_window_size(session) > 0;
}

/* nghttp2 asks for the body again, and whatever it makes of it leaves at the end of the turn. */
static void wake(struct http2_send *s)
{
	nghttp2_session_resume_data(s->pipe->session, s->id);
	loop_post(s->pipe->turn);
}

void http2_send_release(struct http2_send *s)
{
	if (s->out.len && !s->stopped)
		wake(s);
}

/* Behind what waits already. */
static size_t keep(struct http2_send *s, const char *data, size_t len)
{
	size_t room = FRONT_KEEP - 1 - (s->out.len - s->out_at);
	size_t n = len < room ? len : room;

	if (!s->out.data)
		s->out = worker_take_buf(s->pipe->worker);
	if (!s->out.len)
		s->moved_ns = worker_now_ns(s->pipe->worker);
	buf_consume(&s->out, s->out_at);
	s->out_at = 0;
	if (n && buf_put(&s->out, data, n) < 0) {
		s->out.failed = false;
		n = 0;
	}
	wake(s);
	return n;
}

/* Straight into frames, without a copy in between. */
static size_t pass(struct http2_send *s, const char *data, size_t len)
{
	size_t before;

	s->now = data;
	s->now_len = len;
	do {
		before = s->now_len;
		wake(s);
		http2_pipe_fill(s->pipe);
	} while (s->now_len && s->now_len < before && http2_pipe_has_room(s->pipe));
	len -= s->now_len;
	s->now = NULL;
	s->now_len = 0;
	return len;
}

size_t http2_send_body(struct http2_send *s, const char *data, size_t len)
{
	if (s->stopped)
		return len;
	return s->out.len || len < SMALL || s->pipe->inside ? keep(s, data, len)
							    : pass(s, data, len);
}

static struct http2_trailer *copy_trailer(const struct http1_head *trailer, const char *bytes)
{
	struct http2_trailer *copy;
	struct http2_nv nv;
	size_t size = 0;
	uint8_t *text;

	if (http2_nv_trailer(&nv, trailer, bytes) < 0)
		return NULL;
	for (size_t i = 0; i < nv.n; i++)
		size += sizeof(nv.nv[i]) + nv.nv[i].namelen + nv.nv[i].valuelen;
	copy = malloc(sizeof(*copy) + size);
	if (!copy)
		return NULL;
	copy->n = nv.n;
	memcpy(copy->nv, nv.nv, nv.n * sizeof(nv.nv[0]));
	text = (uint8_t *)&copy->nv[nv.n];
	for (size_t i = 0; i < nv.n; i++) {
		nghttp2_nv *to = &copy->nv[i];

		to->name = memcpy(text, to->name, to->namelen);
		to->value = memcpy(text + to->namelen, to->value, to->valuelen);
		text += to->namelen + to->valuelen;
	}
	return copy;
}

int http2_send_end(struct http2_send *s, const struct http1_head *trailer, const char *bytes)
{
	s->ended = true;
	if (s->stopped || !s->begun || s->left == 0)
		return 0;
	if (trailer && trailer->n_fields && s->left == UINT64_MAX) {
		s->fields = copy_trailer(trailer, bytes);
		if (!s->fields)
			return -ENOMEM;
	}
	wake(s);
	return 0;
}

/* That was all of it: END_STREAM, or trailers that carry it. */
static void finish(nghttp2_session *session, struct http2_send *s, uint32_t *flags)
{
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (!s->fields)
		return;
	if (nghttp2_submit_trailer(session, s->id, s->fields->nv, s->fields->n) == 0)
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	free(s->fields);
	s->fields = NULL;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t len,
			 uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct http2_send *s = source->ptr;
	size_t n = pending(s);

	(void)id;
	(void)to;
	(void)arg;
	if (n == 0 && s->ended) {
		finish(session, s, flags);
		return 0;
	}
	if (n == 0)
		return NGHTTP2_ERR_DEFERRED;
	if (!http2_pipe_has_room(s->pipe)) {
		s->pipe->held = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	n = n < len ? n : len;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n == s->left || (s->ended && n == pending(s)))
		finish(session, s, flags);
	return (ssize_t)n;
}

nghttp2_data_provider http2_send_begin(struct http2_send *s, uint64_t length)
{
	s->begun = true;
	s->left = length;
	return (nghttp2_data_provider){ .source = { .ptr = s }, .read_callback = read_body };
}

int http2_send_frame(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header,
		     size_t len, nghttp2_data_source *source, void *arg)
{
	struct http2_send *s = source->ptr;
	const char *bytes = s->now ? s->now : buf_str(&s->out) + s->out_at;
	int rc = http2_pipe_data(s->pipe, header, bytes, len);

	(void)session;
	(void)frame;
	(void)arg;
	if (rc)
		return rc;
	s->moved_ns = worker_now_ns(s->pipe->worker);
	if (s->left != UINT64_MAX)
		s->left -= len;
	if (s->now) {
		s->now += len;
		s->now_len -= len;
		return 0;
	}
	s->out_at += len;
	if (s->out_at == s->out.len) {
		s->out_at = 0;
		worker_give_buf(s->pipe->worker, &s->out);
	}
	return 0;
}

/* ---- received ------------------------------------------------------------------------------------------------------- */

void http2_take_init(struct http2_take *t, struct http2_pipe *pipe, uint32_t window_max)
{
	*t = (struct http2_take){ .pipe = pipe,
				  .window_max = window_max,
				  .moved_ns = worker_now_ns(pipe->worker) };
}

void http2_take_done(struct http2_take *t)
{
	buf_done(&t->in);
}

/* The peer may send as much again; one that is taken as fast as it comes may have more on its way. */
static void consume(struct http2_take *t, size_t n)
{
	t->moved_ns = worker_now_ns(t->pipe->worker);
	t->taken += n;
	if (t->stopped)
		return;
	if (!t->is_wide && t->taken >= WIDE_BEHIND) {
		t->is_wide = true;
		nghttp2_session_set_local_window_size(t->pipe->session, NGHTTP2_FLAG_NONE, t->id,
						      (int32_t)t->window_max);
	}
	nghttp2_session_consume_stream(t->pipe->session, t->id, n);
	loop_post(t->pipe->turn);
}

int http2_take_data(struct http2_take *t, const char *data, size_t len, http2_take_fn *fn,
		    void *arg)
{
	size_t n = t->in.len ? 0 : fn(arg, data, len);

	if (n)
		consume(t, n);
	if (n == len)
		return 0;
	if (!t->in.data)
		t->in = worker_take_buf(t->pipe->worker);
	buf_consume(&t->in, t->in_at); /* so that no more than a window is ever kept */
	t->in_at = 0;
	return buf_put(&t->in, data + n, len - n);
}

void http2_take_resume(struct http2_take *t, http2_take_fn *fn, void *arg)
{
	while (t->in.len) {
		size_t n = fn(arg, t->in.data + t->in_at, t->in.len - t->in_at);

		if (n == 0)
			return;
		t->in_at += n;
		if (t->in_at == t->in.len) {
			t->in_at = 0;
			worker_give_buf(t->pipe->worker, &t->in);
		}
		consume(t, n);
	}
}
