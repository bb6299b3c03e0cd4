// SPDX-License-Identifier: GPL-2.0-only
/* A stream to an endpoint: an exchange's request to nghttp2, the endpoint's answer to the exchange. */
/* Must not know sockets or other streams. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/back2_state.h"

#define INTERIM_MAX 32 /* answers of 1xx before the final one */

/* What we composed ourselves is not what a client may send: fields of ours have come on top. */
static const struct http1_limits composed = { 65536, 65536, 131072, HTTP1_FIELDS_MAX };

static struct call *of(struct back *back)
{
	return (struct call *)((char *)back - offsetof(struct call, back));
}

static nghttp2_session *session_of(const struct call *c)
{
	return c->b->pipe.session;
}

static void later(const struct call *c)
{
	loop_post(c->b->pipe.turn);
}

struct call *call_new(struct back2 *b, struct exchange *x)
{
	struct call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->back = (struct back){ .ops = &back2_ops,
				 .worker = b->worker,
				 .origin = b->origin,
				 .exchange = x,
				 .reused = b->was_used && !b->n_calls };
	c->b = b;
	http2_send_init(&c->send, &b->pipe);
	http2_take_init(&c->take, &b->pipe, BACK2_WINDOW_MAX);
	TAILQ_INSERT_TAIL(&b->calls, c, link);
	b->n_calls++;
	return c;
}

/* ---- the request -------------------------------------------------------------------------------------------------- */

static int submit(struct call *c, const struct http2_nv *nv, enum http1_body body)
{
	nghttp2_data_provider data;

	if (body == HTTP1_NO_BODY)
		return nghttp2_submit_request(session_of(c), NULL, nv->nv, nv->n, NULL, c);
	data = http2_send_begin(&c->send, UINT64_MAX);
	return nghttp2_submit_request(session_of(c), NULL, nv->nv, nv->n, &data, c);
}

static int back_head(struct back *back, const char *text, size_t len, enum http1_body body)
{
	struct call *c = of(back);
	struct http1_head head;
	struct http2_nv nv;
	int rc;

	http1_head_init(&head, HTTP1_REQUEST, &composed);
	if (http1_head_read(&head, text, len) != (int)len ||
	    http2_nv_request(&nv, &head, text, c->b->tls ? "https" : "http") < 0)
		return -EINVAL;
	rc = submit(c, &nv, body);
	if (rc < 0)
		return rc == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPIPE;
	c->id = c->send.id = c->take.id = rc;
	c->b->was_used = true;
	later(c);
	return 0;
}

static void unwait(struct call *c)
{
	if (c->is_waiting)
		TAILQ_REMOVE(&c->b->waiting, c, waiting);
	c->is_waiting = false;
}

static size_t back_body(struct back *back, const char *data, size_t len)
{
	struct call *c = of(back);
	size_t n = http2_send_body(&c->send, data, len);

	if (n < len && !c->is_waiting) {
		c->is_waiting = true;
		TAILQ_INSERT_TAIL(&c->b->waiting, c, waiting);
	}
	return n;
}

/* RST_STREAM, if there is a stream. */
static void reset(struct call *c, uint32_t code)
{
	c->send.stopped = true;
	if (c->is_closed)
		return;
	if (c->id)
		nghttp2_submit_rst_stream(session_of(c), NGHTTP2_FLAG_NONE, c->id, code);
	else
		call_leave(c);
	later(c);
}

static void back_end(struct back *back, const struct http1_head *trailer, const char *bytes)
{
	struct call *c = of(back);

	if (http2_send_end(&c->send, trailer, bytes) < 0)
		reset(c, NGHTTP2_INTERNAL_ERROR);
}

static void back_abort(struct back *back, enum ending why)
{
	struct call *c = of(back);

	(void)why;
	back->exchange = NULL;
	unwait(c);
	if (c->is_closed)
		call_leave(c);
	else
		reset(c, NGHTTP2_CANCEL);
}

/* Not at once: whoever says it may stand on the bytes. */
static void back_resume(struct back *back)
{
	later(of(back));
}

const struct back_ops back2_ops = {
	.head = back_head,
	.body = back_body,
	.end = back_end,
	.abort = back_abort,
	.resume = back_resume,
};

/* ---- the answer ------------------------------------------------------------------------------------------------------- */

/* The endpoint broke the rules of this stream. */
static void spoil(struct call *c)
{
	c->is_broken = true;
	reset(c, NGHTTP2_PROTOCOL_ERROR);
}

static void finish(struct call *c)
{
	struct exchange *x = c->back.exchange;
	struct http1_head trailer;

	if (!x || !c->got_all || !c->got_head || http2_take_waits(&c->take))
		return;
	c->back.exchange = NULL;
	unwait(c);
	http1_head_init(&trailer, HTTP1_TRAILER, &http1_limits_trailer);
	if (c->trailer.len && http1_head_read(&trailer, c->trailer.data, c->trailer.len) > 0)
		exchange_response_end(x, &trailer, c->trailer.data);
	else
		exchange_response_end(x, NULL, NULL);
	/* Nobody reads the rest of a request that was answered. */
	if (!c->is_closed && (!c->send.ended || http2_send_waits(&c->send)))
		reset(c, NGHTTP2_CANCEL);
}

static void take_head(struct call *c)
{
	struct http1_head head;
	int n;

	http1_head_init(&head, HTTP1_RESPONSE, &http1_limits_response);
	http1_head_answers(&head, c->back.is_head, false);
	n = http2_block_end(&c->b->block, c->got_all, &head);
	if (n < 0 || (head.status < 200 && (c->got_all || ++c->interim > INTERIM_MAX))) {
		spoil(c);
		return;
	}
	if (head.status >= 200) {
		c->got_head = true;
		c->has_body = head.body != HTTP1_NO_BODY;
	}
	exchange_response(c->back.exchange, &head, c->b->block.text.data);
}

static void take_trailer(struct call *c)
{
	struct http1_head head;
	int n;

	http1_head_init(&head, HTTP1_TRAILER, &http1_limits_trailer);
	n = http2_block_end(&c->b->block, true, &head);
	if (n < 0 || buf_put(&c->trailer, c->b->block.text.data, (size_t)n) < 0)
		spoil(c);
}

void call_headers(struct call *c)
{
	if (!c->back.exchange)
		return;
	if (c->got_head)
		take_trailer(c);
	else
		take_head(c);
}

static size_t offer(void *arg, const char *data, size_t len)
{
	struct call *c = arg;

	return c->back.exchange ? exchange_response_body(c->back.exchange, data, len) : len;
}

void call_data(struct call *c, const char *data, size_t len)
{
	if (len && c->back.exchange && !c->has_body)
		spoil(c);
	else if (http2_take_data(&c->take, data, len, offer, c) < 0)
		spoil(c);
}

void call_data_end(struct call *c)
{
	c->got_all = true;
	finish(c);
}

void call_resume(struct call *c)
{
	http2_take_resume(&c->take, offer, c);
	finish(c);
}

/* ---- the end ------------------------------------------------------------------------------------------------------------ */

static void close_call(struct call *c)
{
	c->is_closed = c->send.stopped = c->take.stopped = true;
	unwait(c);
}

void call_leave(struct call *c)
{
	close_call(c);
	if (!c->is_gone)
		STAILQ_INSERT_TAIL(&c->b->gone, c, gone);
	c->is_gone = true;
	later(c);
}

static void call_free(void *arg)
{
	struct call *c = arg;

	http2_send_done(&c->send);
	http2_take_done(&c->take);
	buf_done(&c->trailer);
	free(c);
}

void call_bury(struct call *c, enum ending why, bool safe)
{
	struct exchange *x = c->back.exchange;

	close_call(c);
	c->back.exchange = NULL;
	TAILQ_REMOVE(&c->b->calls, c, link);
	c->b->n_calls--;
	c->grave = (struct worker_grave){ .free = call_free, .arg = c };
	worker_bury(c->back.worker, &c->grave);
	if (x)
		exchange_back_failed(x, why, safe);
}
