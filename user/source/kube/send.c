// SPDX-License-Identifier: GPL-2.0-only
/* Requests that change something, or read one thing: one answer each, to a callback. */
/* Must not know what they are about. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/loop.h"
#include "source/kube/kube_internal.h"

#define ANSWER_MAX ((size_t)1 << 20)

struct kube_send {
	struct kube *kube;
	struct kube_send *prev, *next;
	struct kube_http_request request; /* its texts are ours */
	kube_answer_fn *fn;
	void *ctx;
	struct kube_transfer *transfer; /* NULL: waits to be begun */
	bool tried_login;               /* it was sent again with a credential read anew */
	bool too_large;
	unsigned status;
	struct buf answer;
};

static void send_free(struct kube_send *s)
{
	if (s->next)
		s->next->prev = s->prev;
	if (s->prev)
		s->prev->next = s->next;
	else if (s->kube->sends == s)
		s->kube->sends = s->next;
	s->kube->n_sends--;
	free((char *)(uintptr_t)s->request.method);
	free((char *)(uintptr_t)s->request.target);
	free((char *)(uintptr_t)s->request.content_type);
	free((char *)(uintptr_t)s->request.body);
	buf_done(&s->answer);
	free(s);
}

static void answer(struct kube_send *s, const char *why)
{
	const struct kube_answer a = {
		.status = why ? 0 : s->status,
		.body = buf_str(&s->answer),
		.len = s->answer.len,
		.why = why,
	};

	s->fn(s->ctx, &a);
	send_free(s);
}

static void on_head(void *ctx, unsigned status, const char *retry_after)
{
	struct kube_send *s = ctx;

	(void)retry_after;
	s->status = status;
}

static int on_bytes(void *ctx, const char *bytes, size_t len)
{
	struct kube_send *s = ctx;

	s->too_large = s->answer.len + len > ANSWER_MAX;
	return s->too_large ? -EFBIG : buf_put(&s->answer, bytes, len);
}

static void on_end(void *ctx, enum kube_http_end how, bool may_retry, const char *why)
{
	struct kube_send *s = ctx;

	(void)may_retry;
	s->transfer = NULL;
	if (how == KUBE_HTTP_CLEAN && s->status == 401 && !s->tried_login) {
		s->tried_login = true; /* the credential was read anew by now */
		loop_post(s->kube->send_work);
	} else if (how == KUBE_HTTP_CLEAN && !s->answer.failed) {
		answer(s, NULL);
	} else {
		answer(s, s->too_large ? "the answer is larger than 1 MiB" : why);
	}
}

/* False: it waits for a credential. */
static bool begin(struct kube_send *s)
{
	const struct kube_http_ops ops = {
		.ctx = s, .head = on_head, .bytes = on_bytes, .end = on_end
	};
	int rc;

	if (!kube_may_ask(s->kube))
		return false;
	buf_reset(&s->answer);
	s->status = 0;
	rc = kube_http_send(s->kube->http, &s->request, &ops, &s->transfer);
	if (rc < 0)
		answer(s, strerrordesc_np(-rc));
	return true;
}

static void on_work(void *arg)
{
	struct kube *kube = arg;
	struct kube_send *s, *next;

	for (s = kube->sends; s; s = next) {
		next = s->next;
		if (!s->transfer && !begin(s))
			return;
	}
}

static char *copy(const void *bytes, size_t len)
{
	char *to = calloc(1, len + 1);

	if (to)
		memcpy(to, bytes, len);
	return to;
}

static int copy_request(struct kube_send *s, const struct kube_http_request *r)
{
	const char *type = r->content_type ? r->content_type : "application/json";

	s->request.method = copy(r->method, strlen(r->method));
	s->request.target = copy(r->target, strlen(r->target));
	s->request.content_type = copy(type, strlen(type));
	s->request.body = r->body ? copy(r->body, r->body_len) : NULL;
	s->request.body_len = r->body_len;
	return s->request.method && s->request.target && s->request.content_type &&
			       (s->request.body || !r->body)
		       ? 0
		       : -ENOMEM;
}

int kube_send(struct kube *kube, const struct kube_http_request *request, kube_answer_fn *fn,
	      void *ctx, struct kube_send **ret_send)
{
	struct kube_send *s;

	if (kube->n_sends >= KUBE_SENDS_MAX)
		return -EBUSY;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->kube = kube;
	s->fn = fn;
	s->ctx = ctx;
	s->next = kube->sends;
	if (s->next)
		s->next->prev = s;
	kube->sends = s;
	kube->n_sends++;
	if (copy_request(s, request) < 0) {
		send_free(s);
		return -ENOMEM;
	}
	loop_post(kube->send_work);
	if (ret_send)
		*ret_send = s;
	return 0;
}

void kube_send_cancel(struct kube_send *s)
{
	if (!s)
		return;
	kube_http_cancel(s->transfer);
	send_free(s);
}

int kube_sends_init(struct kube *kube)
{
	return loop_add_deferred(kube->loop, on_work, kube, &kube->send_work);
}

void kube_sends_kick(struct kube *kube)
{
	loop_post(kube->send_work);
}

void kube_sends_done(struct kube *kube)
{
	struct kube_send *s, *next;

	for (s = kube->sends; s; s = next) {
		next = s->next;
		kube_send_cancel(s);
	}
	if (kube->send_work)
		loop_remove(kube->send_work);
}
