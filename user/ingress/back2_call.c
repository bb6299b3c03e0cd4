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
	return c->b->h2.pipe.session;
}

static void later(const struct call *c)
{
	loop_post(c->b->h2.pipe.turn);
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
				 .reused = b->was_used && !b->h2.n_streams };
	c->b = b;
	http2_stream_init(&c->h2, &b->h2);
	return c;
}

/* ---- the request -------------------------------------------------------------------------------------------------- */

static int submit(struct call *c, const struct http2_nv *nv, enum http1_body body)
{
	nghttp2_data_provider data;

	if (body == HTTP1_NO_BODY)
		return nghttp2_submit_request(session_of(c), NULL, nv->nv, nv->n, NULL, &c->h2);
	data = http2_send_begin(&c->h2.send, UINT64_MAX);
	return nghttp2_submit_request(session_of(c), NULL, nv->nv, nv->n, &data, &c->h2);
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
	http2_stream_number(&c->h2, rc);
	c->b->was_used = true;
	later(c);
	return 0;
}

static size_t back_body(struct back *back, const char *data, size_t len)
{
	return http2_stream_body(&of(back)->h2, data, len);
}

/* RST_STREAM, if there is a stream. */
static void reset(struct call *c, uint32_t code)
{
	c->h2.send.stopped = true;
	if (c->h2.is_closed)
		return;
	if (c->h2.id)
		http2_stream_reset(&c->h2, code);
	else
		http2_stream_leave(&c->h2);
}

static void back_end(struct back *back, const struct http1_head *trailer, const char *bytes)
{
	struct call *c = of(back);

	if (http2_send_end(&c->h2.send, trailer, bytes) < 0)
		reset(c, NGHTTP2_INTERNAL_ERROR);
}

static void back_abort(struct back *back, enum ending why)
{
	struct call *c = of(back);

	(void)why;
	back->exchange = NULL;
	http2_stream_unwait(&c->h2);
	if (c->h2.is_closed)
		http2_stream_leave(&c->h2);
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

	if (!x || !c->h2.got_all || !c->got_head || http2_take_waits(&c->h2.take))
		return;
	c->back.exchange = NULL;
	http2_stream_unwait(&c->h2);
	if (http2_stream_trailer(&c->h2, &trailer))
		exchange_response_end(x, &trailer, c->h2.trailer.data);
	else
		exchange_response_end(x, NULL, NULL);
	/* Nobody reads the rest of a request that was answered. */
	if (!c->h2.is_closed && (!c->h2.send.ended || http2_send_waits(&c->h2.send)))
		reset(c, NGHTTP2_CANCEL);
}

static void take_head(struct call *c)
{
	struct http1_head head;
	int n;

	http1_head_init(&head, HTTP1_RESPONSE, &http1_limits_response);
	http1_head_answers(&head, c->back.is_head, false);
	n = http2_block_end(&c->b->h2.block, c->h2.got_all, &head);
	if (n < 0 || (head.status < 200 && (c->h2.got_all || ++c->interim > INTERIM_MAX))) {
		spoil(c);
		return;
	}
	if (head.status >= 200) {
		c->got_head = true;
		c->has_body = head.body != HTTP1_NO_BODY;
	}
	exchange_response(c->back.exchange, &head, c->b->h2.block.text.data);
}

void call_headers(struct call *c)
{
	if (!c->back.exchange)
		return;
	if (!c->got_head)
		take_head(c);
	else if (http2_stream_take_trailer(&c->h2) < 0)
		spoil(c);
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
	else if (http2_take_data(&c->h2.take, data, len, offer, c) < 0)
		spoil(c);
}

void call_data_end(struct call *c)
{
	c->h2.got_all = true;
	finish(c);
}

void call_resume(struct call *c)
{
	http2_take_resume(&c->h2.take, offer, c);
	finish(c);
}

/* ---- the end ------------------------------------------------------------------------------------------------------------ */

static void call_free(void *arg)
{
	struct call *c = arg;

	http2_stream_done(&c->h2);
	free(c);
}

void call_bury(struct call *c, enum ending why, bool safe)
{
	struct exchange *x = c->back.exchange;

	http2_stream_remove(&c->h2);
	c->back.exchange = NULL;
	c->grave = (struct worker_grave){ .free = call_free, .arg = c };
	worker_bury(c->back.worker, &c->grave);
	if (x)
		exchange_back_failed(x, why, safe);
}
