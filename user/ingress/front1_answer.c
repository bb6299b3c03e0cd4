// SPDX-License-Identifier: GPL-2.0-only
/* Writes what an exchange answers, as HTTP/1.1. */
/* Must not know what the client sends. */
#include "ingress/front1_state.h"

static struct front1 *of(struct front *front)
{
	return (struct front1 *)((char *)front - offsetof(struct front1, front));
}

/* Is what is left of the request's body worth reading for the sake of the connection? */
static bool is_worth_reading(const struct front1 *f)
{
	if (f->state != BODY)
		return true;
	return !f->may_not_come &&
	       (f->recv.body == HTTP1_CHUNKED || f->recv.left <= FRONT1_DISCARD_MAX);
}

static enum http1_body framing(const struct front1 *f, enum http1_body body)
{
	if (body == HTTP1_CHUNKED || body == HTTP1_UNTIL_CLOSE)
		return f->minor ? HTTP1_CHUNKED : HTTP1_UNTIL_CLOSE;
	return body;
}

static int front_head(struct front *front, const struct http1_head *head, const char *bytes,
		      const struct http1_out *out)
{
	struct front1 *f = of(front);
	struct http1_out o = *out;
	bool final = head->status >= 200 || head->status == 101;
	int rc;

	if (!final && f->minor == 0)
		return 0; /* HTTP/1.0 knows no interim answers */
	o.minor = f->minor;
	o.body = final ? framing(f, out->body) : HTTP1_NO_BODY;
	if (final && head->status != 101) {
		f->closing |= !f->keep || out->close || o.body == HTTP1_UNTIL_CLOSE ||
			      f->client->worker->draining || !is_worth_reading(f);
		o.close = f->closing;
	}
	rc = http1_write_response(send1_text(&f->send), head, bytes, &o);
	if (rc < 0)
		return rc;
	send1_put(&f->send);
	if (!final) {
		f->may_not_come &= head->status != 100;
		return 0;
	}
	f->answering = true;
	f->answer_body = o.body;
	send1_begin(&f->send, o.body);
	if (head->status == 101) {
		f->state = TUNNEL;
		f->closing = true;
	}
	return 0;
}

static size_t front_body(struct front *front, const char *data, size_t len)
{
	struct front1 *f = of(front);

	f->progress_ns = worker_now_ns(f->client->worker);
	return send1_body(&f->send, data, len);
}

static void front_end(struct front *front, const struct http1_head *trailer, const char *bytes)
{
	struct front1 *f = of(front);

	f->front.exchange = NULL;
	f->answered = true;
	f->stalled = false;
	if (f->state == BODY)
		f->state = DISCARD;
	else if (f->state == TUNNEL) /* what the client says meanwhile is for nobody */
		f->state = TUNNEL_ENDED;
	send1_end(&f->send, f->minor ? trailer : NULL, bytes);
	worker_task(f->client->worker, &f->task);
}

static void front_abort(struct front *front, enum ending why)
{
	struct front1 *f = of(front);

	(void)why;
	f->front.exchange = NULL;
	if (f->dead)
		return;
	/* What was given so far should arrive, but for a body whose end is the close: that end must not look like one. */
	if (!f->answering || f->answer_body == HTTP1_UNTIL_CLOSE ||
	    f->answer_body == HTTP1_TUNNEL) {
		front1_close(f, true);
		return;
	}
	send1_flush(&f->send);
	front1_close(f, false);
}

/* Not at once: whoever says it may stand on bytes in the scratch memory. */
static void front_resume(struct front *front)
{
	struct front1 *f = of(front);

	f->stalled = false;
	worker_task(f->client->worker, &f->task);
}

const struct front_ops front1_ops = {
	.protocol = "HTTP/1.1",
	.head = front_head,
	.body = front_body,
	.end = front_end,
	.abort = front_abort,
	.resume = front_resume,
};
