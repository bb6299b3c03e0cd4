// SPDX-License-Identifier: GPL-2.0-only
/* A stream of a client: its request to an exchange, the exchange's answer to nghttp2. */
/* Must not know sockets or other streams. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ingress/answer.h"
#include "ingress/client.h"
#include "ingress/front2.h"
#include "ingress/front2_state.h"
#include "ingress/report.h"
#include "ingress/settings.h"

static struct stream *of(struct front *front)
{
	return (struct stream *)((char *)front - offsetof(struct stream, front));
}

static nghttp2_session *session_of(const struct stream *s)
{
	return s->h2.h2->pipe.session;
}

/* Whatever nghttp2 was told leaves at the end of the turn. */
static void later(const struct stream *s)
{
	loop_post(s->h2.h2->pipe.turn);
}

/* ---- beginning ---------------------------------------------------------------------------------------------------- */

static struct stream *stream_new(struct front2 *f, int32_t id)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->front = (struct front){ .ops = &front2_ops,
				   .worker = f->client->worker,
				   .client = f->client };
	s->f = f;
	http2_stream_init(&s->h2, &f->h2);
	http2_stream_number(&s->h2, id);
	nghttp2_session_set_stream_user_data(f->h2.pipe.session, id, &s->h2);
	return s;
}

static bool is_grpc(const struct http1_head *head, const char *bytes)
{
	const struct http1_field *f = http1_field_find(head, bytes, "content-type", NULL);

	return f && f->value_len >= 16 &&
	       strncasecmp(bytes + f->value_at, "application/grpc", 16) == 0;
}

/* What is malformed gets no answer but a reset (RFC 9113 8.1.1); what is too much, or not for us, gets one. */
static void refuse(struct stream *s, enum http1_fault fault)
{
	unsigned status = http1_fault_status(fault);

	if (status == 400) {
		report_refused(&s->front, status, http1_fault_text(fault));
		stream_reset(s, NGHTTP2_PROTOCOL_ERROR);
		s->is_reset = false; /* it counts as the client's doing */
		return;
	}
	answer_refused(&s->front, status, http1_fault_text(fault));
}

int stream_open(struct front2 *f, int32_t id, bool ended)
{
	struct stream *s = stream_new(f, id);
	struct http1_head head;
	int n;

	if (!s)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	http1_head_init(&head, HTTP1_REQUEST, &f->client->worker->settings->request_limits);
	n = http2_block_end(&f->h2.block, ended, &head);
	s->h2.got_all = s->told_all = ended;
	if (n == HTTP2_NO_MEMORY) {
		stream_reset(s, NGHTTP2_INTERNAL_ERROR);
		return 0;
	}
	if (n < 0) {
		refuse(s, (enum http1_fault) - n);
		return 0;
	}
	s->has_body = head.body != HTTP1_NO_BODY;
	s->may_be_quiet = head.expects_continue || is_grpc(&head, f->h2.block.text.data);
	if (exchange_start(&s->front, &head, f->h2.block.text.data) < 0)
		stream_reset(s, NGHTTP2_REFUSED_STREAM);
	return 0;
}

/* ---- the request's body ---------------------------------------------------------------------------------------------- */

static size_t offer(void *arg, const char *data, size_t len)
{
	struct stream *s = arg;

	if (!s->front.exchange || !s->has_body) /* nobody wants it any more */
		return len;
	return exchange_request_body(s->front.exchange, data, len);
}

static void tell_end(struct stream *s)
{
	struct exchange *x = s->front.exchange;
	struct http1_head trailer;

	if (s->told_all || !s->h2.got_all || http2_take_waits(&s->h2.take))
		return;
	s->told_all = true;
	if (!x || !s->has_body)
		return;
	if (http2_stream_trailer(&s->h2, &trailer))
		exchange_request_end(x, &trailer, s->h2.trailer.data);
	else
		exchange_request_end(x, NULL, NULL);
}

void stream_data(struct stream *s, const char *data, size_t len)
{
	if (http2_take_data(&s->h2.take, data, len, offer, s) < 0)
		stream_reset(s, NGHTTP2_INTERNAL_ERROR);
}

void stream_data_end(struct stream *s)
{
	s->h2.got_all = true;
	tell_end(s);
}

void stream_trailer(struct stream *s)
{
	if (http2_stream_take_trailer(&s->h2) < 0)
		stream_reset(s, NGHTTP2_PROTOCOL_ERROR);
}

void stream_resume(struct stream *s)
{
	http2_take_resume(&s->h2.take, offer, s);
	tell_end(s);
}

/* ---- the answer -------------------------------------------------------------------------------------------------------- */

static int submit_final(struct stream *s, const struct http2_nv *nv, const struct http1_out *out)
{
	bool known = out->body == HTTP1_LENGTH;
	nghttp2_data_provider body;

	if (out->body == HTTP1_NO_BODY || (known && !out->body_len)) {
		s->h2.send.left = 0;
		return nghttp2_submit_response(session_of(s), s->h2.id, nv->nv, nv->n, NULL);
	}
	body = http2_send_begin(&s->h2.send, known ? out->body_len : UINT64_MAX);
	return nghttp2_submit_response(session_of(s), s->h2.id, nv->nv, nv->n, &body);
}

static int front_head(struct front *front, const struct http1_head *head, const char *bytes,
		      const struct http1_out *out)
{
	struct stream *s = of(front);
	struct http2_nv nv;
	int rc = head->status == 101 ? -EINVAL : http2_nv_response(&nv, head, bytes, out);

	if (rc < 0)
		return rc;
	if (s->h2.is_closed || s->is_reset)
		return 0;
	if (head->status < 200) {
		rc = nghttp2_submit_headers(session_of(s), NGHTTP2_FLAG_NONE, s->h2.id, NULL, nv.nv,
					    nv.n, NULL);
	} else {
		rc = submit_final(s, &nv, out);
		s->answered = s->may_be_quiet = rc >= 0;
	}
	later(s);
	return rc >= 0 ? 0 : rc == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EINVAL;
}

static size_t front_body(struct front *front, const char *data, size_t len)
{
	return http2_stream_body(&of(front)->h2, data, len);
}

static void front_end(struct front *front, const struct http1_head *trailer, const char *bytes)
{
	struct stream *s = of(front);

	s->front.exchange = NULL;
	http2_stream_unwait(&s->h2);
	if (s->h2.is_closed)
		http2_stream_leave(&s->h2);
	else if (http2_send_end(&s->h2.send, trailer, bytes) < 0)
		stream_reset(s, NGHTTP2_INTERNAL_ERROR);
	/* What the origin left of the request is for nobody. */
	if (http2_take_waits(&s->h2.take))
		stream_resume(s);
	later(s);
}

/* Why the client sees a reset. */
static uint32_t code_of(const struct stream *s, enum ending why)
{
	switch (why) {
	case ENDING_CLIENT_TIMEOUT:
	case ENDING_DRAINED:
		return NGHTTP2_CANCEL;
	case ENDING_CLIENT_FAULT:
		return NGHTTP2_PROTOCOL_ERROR;
	default:
		return s->answered ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_REFUSED_STREAM;
	}
}

static void front_abort(struct front *front, enum ending why)
{
	struct stream *s = of(front);

	s->front.exchange = NULL;
	http2_stream_unwait(&s->h2);
	if (s->h2.is_closed) {
		http2_stream_leave(&s->h2);
		return;
	}
	if (http2_send_waits(&s->h2.send)) /* what was given should arrive */
		http2_pipe_fill(&s->f->h2.pipe);
	stream_reset(s, code_of(s, why));
}

/* Not at once: whoever says it may stand on the bytes. */
static void front_resume(struct front *front)
{
	later(of(front));
}

const struct front_ops front2_ops = {
	.protocol = "HTTP/2.0",
	.head = front_head,
	.body = front_body,
	.end = front_end,
	.abort = front_abort,
	.resume = front_resume,
};

/* ---- the end ------------------------------------------------------------------------------------------------------------- */

void stream_reset(struct stream *s, uint32_t code)
{
	if (s->h2.is_closed || s->is_reset)
		return;
	s->is_reset = true;
	http2_stream_reset(&s->h2, code);
}

static void stream_free(void *arg)
{
	struct stream *s = arg;

	http2_stream_done(&s->h2);
	free(s);
}

/* As the log has it. */
static enum ending ending_of(const struct stream *s)
{
	switch (s->h2.error) {
	case NGHTTP2_NO_ERROR:
	case NGHTTP2_CANCEL:
	case NGHTTP2_REFUSED_STREAM:
	case NGHTTP2_INTERNAL_ERROR:
		return ENDING_CLIENT_RESET;
	default:
		return ENDING_CLIENT_FAULT;
	}
}

void stream_bury(struct stream *s, enum ending why)
{
	struct exchange *x = s->front.exchange;

	http2_stream_remove(&s->h2);
	s->front.exchange = NULL;
	if (x)
		exchange_client_gone(x, why == ENDING_COMPLETE ? ending_of(s) : why);
	s->grave = (struct worker_grave){ .free = stream_free, .arg = s };
	worker_bury(s->front.worker, &s->grave);
}
