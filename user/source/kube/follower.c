// SPDX-License-Identifier: GPL-2.0-only
/* Carries out what a watch wants, and tells in words what keeps it from going on. */
/* Must not know what objects say. */
#include "source/kube/follower.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/loop.h"
#include "source/object.h"

/* ---- what the API server answers -------------------------------------------------------------------- */

static void tell(struct follower *f, const char *reason)
{
	struct source_sink *sink = &f->kube->sink;

	if (!reason && !f->problem)
		return;
	f->problem = reason != NULL;
	f->unreachable = false;
	sink->problem(sink->ctx, f->what, reason);
}

static void on_head(void *ctx, unsigned status, const char *retry_after)
{
	struct follower *f = ctx;

	watch_head(f->watch, clock_now_ns(), status, retry_after);
	f->kube->may_kick = true;
	if (status == 200 && !f->broken && !f->ended)
		tell(f, NULL);
}

static int on_bytes(void *ctx, const char *bytes, size_t len)
{
	struct follower *f = ctx;

	if (f->ended && len)
		tell(f, NULL);
	f->ended = f->ended && !len;
	return watch_bytes(f->watch, clock_now_ns(), bytes, len);
}

static void tell_status(struct follower *f, unsigned status)
{
	char reason[160];

	if (!status || status == 200 || status == 410)
		return;
	if (f->config.optional && (status == 404 || status == 403)) {
		tell(f, NULL); /* it was reached, and such a kind need not be there */
		return;
	}
	snprintf(reason, sizeof(reason), "the API server answers %u%s: what it said before is kept",
		 status,
		 status == 401   ? " (the token or certificate is not accepted)"
		 : status == 403 ? " (may this account list and watch them?)"
		 : status == 404 ? " (is this the API server's address?)"
				 : "");
	tell(f, reason);
}

static void tell_failure(struct follower *f, const char *why)
{
	struct kube_http_stats stats;
	struct buf reason = { 0 };

	if (f->unreachable)
		return;
	kube_http_count(f->kube->http, &stats);
	buf_printf(&reason,
		   "the API server at %s cannot be reached (%s): what it said before is kept",
		   stats.server, why);
	if (!reason.failed) {
		tell(f, buf_str(&reason));
		f->unreachable = true;
	}
	buf_done(&reason);
}

static void step(struct follower *f);

static void on_end(void *ctx, enum kube_http_end how, bool may_retry, const char *why)
{
	struct follower *f = ctx;
	struct watch_stats stats, after;
	enum watch_end end = how == KUBE_HTTP_CLEAN ? WATCH_END_CLEAN
			     : may_retry            ? WATCH_END_MOVED
			     : how == KUBE_HTTP_CUT ? WATCH_END_CUT
						    : WATCH_END_UNREACHABLE;

	f->transfer = NULL;
	watch_count(f->watch, &stats);
	if (how == KUBE_HTTP_FAILED)
		tell_failure(f, why);
	else
		tell_status(f, stats.last_status);
	watch_end(f->watch, clock_now_ns(), kube_random(), end);
	watch_count(f->watch, &after);
	if (after.broken > stats.broken && stats.last_status == 200) {
		f->broken = true;
		tell(f,
		     "the API server's answer is no list of these objects: what it said before is kept");
	}
	if (after.ended > stats.ended) {
		f->ended = true;
		tell(f, "the API server ends watches at once: what it said before is kept");
	}
	if (watch_is_down(f->watch))
		kube_start_probing(f->kube);
	step(f);
}

static int request(struct follower *f, const struct watch_step *next)
{
	const struct kube_http_ops ops = {
		.ctx = f, .head = on_head, .bytes = on_bytes, .end = on_end
	};

	if (!kube_may_ask(f->kube))
		return -EAGAIN; /* we shall be woken */
	return kube_http_get(f->kube->http, next->target, next->stream, &ops, &f->transfer);
}

static void step(struct follower *f)
{
	struct watch_step next;
	enum watch_todo todo;
	uint64_t now_ns = clock_now_ns();

	while ((todo = watch_next(f->watch, now_ns, kube_random(), &next)) != WATCH_WAIT) {
		if (todo == WATCH_REQUEST && request(f, &next) < 0) {
			watch_end(f->watch, now_ns, kube_random(), WATCH_END_UNREACHABLE);
		} else if (todo == WATCH_ABORT) {
			kube_http_cancel(f->transfer);
			f->transfer = NULL;
			watch_end(f->watch, now_ns, kube_random(), WATCH_END_CUT);
		}
	}
	(void)loop_arm(f->timer, next.wait_until_ns > now_ns ? next.wait_until_ns - now_ns : 0, 0);
}

static void on_timer(void *arg)
{
	step(arg);
}

/* ---- what the watch tells --------------------------------------------------------------------------- */

static void put_slice(void *ctx, const struct endpoint_slice *slice)
{
	struct follower *f = ctx;
	struct kube *kube = f->kube;

	if (kube->discovers && api_endpoints_are_in(slice) &&
	    api_endpoints_take(&kube->endpoints, slice) > 0)
		loop_post(kube->endpoints_work);
	kube->sink.put_slice(kube->sink.ctx, slice);
}

/* The other kinds are given on as they are. */
#define PASS_ON(function, type)                                                   \
	static void function(void *ctx, const struct type *object)                \
	{                                                                         \
		struct source_sink *sink = &((struct follower *)ctx)->kube->sink; \
		sink->function(sink->ctx, object);                                \
	}
PASS_ON(put_service, service)
PASS_ON(put_node, node)
PASS_ON(put_service_cidr, service_cidr)
PASS_ON(put_ingress, ingress)
PASS_ON(put_ingress_class, ingress_class)
PASS_ON(put_secret, secret)

/* Two followers may see one Secret: by its type, and by its name. It is gone when the last one says so. */
static bool another_has(const struct follower *f, const char *namespace, const char *name)
{
	const struct follower *other;

	for (other = f->kube->followers; other; other = other->next)
		if (other != f && other->config.kind == f->config.kind &&
		    watch_has(other->watch, namespace, name))
			return true;
	return false;
}

static void gone(void *ctx, enum object_kind kind, const char *namespace, const char *name)
{
	struct follower *f = ctx;
	struct source_sink *sink = &f->kube->sink;

	if (!another_has(f, namespace, name))
		sink->gone(sink->ctx, kind, namespace, name);
}

static void listed(void *ctx, enum object_kind kind)
{
	struct follower *f = ctx;
	struct source_sink *sink = &f->kube->sink;

	f->broken = false;
	if (watch_is_following(f->watch)) /* not a 403 that stands for none */
		tell(f, NULL);
	if (kind == OBJECT_SECRET)
		kube_secrets_listed(f->kube);
	else
		sink->listed(sink->ctx, kind);
}

static void problem(void *ctx, const char *object, const char *reason)
{
	struct source_sink *sink = &((struct follower *)ctx)->kube->sink;

	sink->problem(sink->ctx, object, reason);
}

/* ---- beginning and end ------------------------------------------------------------------------------ */

static void follower_free(struct follower *f)
{
	if (f->timer)
		loop_remove(f->timer);
	watch_free(f->watch);
	free(f->path);
	free(f->selector);
	free(f);
}

static int begin(struct follower *f, bool own)
{
	const struct source_sink sink = {
		.ctx = f,
		.put_service = put_service,
		.put_slice = put_slice,
		.put_node = put_node,
		.put_service_cidr = put_service_cidr,
		.put_ingress = put_ingress,
		.put_ingress_class = put_ingress_class,
		.put_secret = put_secret,
		.gone = gone,
		.listed = listed,
		.problem = problem,
	};
	int rc;

	if (own) {
		f->path = strdup(f->config.path);
		f->selector = strdup(f->config.selector);
		f->config.path = f->path;
		f->config.selector = f->selector;
		if (!f->path || !f->selector)
			return -ENOMEM;
	}
	rc = watch_new(&f->config, &sink, kube_random(), &f->watch);
	if (rc == 0)
		rc = loop_add_timer(f->kube->loop, on_timer, f, &f->timer);
	return rc == 0 ? loop_arm(f->timer, 0, 0) : rc;
}

int follower_add(struct kube *kube, const struct watch_config *config, bool own, const char *what)
{
	struct follower *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return -ENOMEM;
	f->kube = kube;
	f->config = *config;
	snprintf(f->what, sizeof(f->what), "%s", what);
	rc = begin(f, own);
	if (rc < 0) {
		follower_free(f);
		return rc;
	}
	f->next = kube->followers;
	kube->followers = f;
	return 0;
}

void follower_remove(struct follower *f, bool drop)
{
	struct follower **at = &f->kube->followers;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	kube_http_cancel(f->transfer);
	if (drop) {
		watch_drop(f->watch);
		tell(f, NULL);
	}
	follower_free(f);
}

void follower_wake(struct follower *f)
{
	(void)loop_arm(f->timer, 0, 0);
}
