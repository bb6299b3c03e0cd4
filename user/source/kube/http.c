// SPDX-License-Identifier: GPL-2.0-only
/* Requests from beginning to end; which server is asked, and when it is given up. */
/* Must not know what is asked for, nor what the answers mean. */
#include "source/kube/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/loop.h"
#include "source/kube/auth.h"
#include "source/kube/http_state.h"

#define PROBE_MS    900L
#define STUCK_NS    CLOCK_NS_PER_S /* connecting for so long: the SYN was lost */
#define WATCHDOG_NS (30 * CLOCK_NS_PER_S)
#define WATCHDOG_MS 15000L

/* This pool's server gave no answer. True if another one can be tried at once. */
static bool move_on(struct kube_http *http, const struct pool *pool)
{
	bool first = pool == http->pools && !pool->retired;

	if (first) /* also of a single server: connections that failed are not used again */
		kube_pool_retire(http);
	if (http->n_servers < 2)
		return false;
	if (!first)
		return true;
	http->current = (http->current + 1) % http->n_servers;
	http->stats.moves++;
	if (++http->tried < http->n_servers)
		return true;
	http->tried = 0;
	return false;
}

/* ---- transfers -------------------------------------------------------------------------------------- */

static void unlink_transfer(struct kube_transfer *t)
{
	struct pool *pool = t->pool;

	if (t->next)
		t->next->prev = t->prev;
	if (t->prev)
		t->prev->next = t->next;
	else
		pool->first = t->next;
	if (pool->retired)
		loop_post(pool->http->sweeper);
}

static enum kube_http_end end_of(const struct kube_transfer *t, CURLcode code, bool missed)
{
	if (missed)
		return KUBE_HTTP_MISSED;
	if (code == CURLE_OK && t->status)
		return KUBE_HTTP_CLEAN;
	return t->status ? KUBE_HTTP_CUT : KUBE_HTTP_FAILED;
}

static void on_watchdog_end(struct kube_http *http, CURLcode code)
{
	http->watchdog = NULL;
	if (code != CURLE_OPERATION_TIMEDOUT)
		return;
	http->stats.misses++;
	if (http->n_servers > 1)
		http->current = (http->current + 1) % http->n_servers;
	kube_http_give_up(http);
}

/*
 * The server can be reached: who still waits for an answer to a SYN that was lost would wait for the next one, which TCP sends
 * later and later.
 */
static bool is_stuck(const struct kube_transfer *t, uint64_t now_ns)
{
	curl_off_t connected_us = 0;

	curl_easy_getinfo(t->easy, CURLINFO_CONNECT_TIME_T, &connected_us);
	return !t->probed && !t->watchdog && !t->status && !connected_us &&
	       now_ns - t->started_ns >= STUCK_NS;
}

static void retry_connecting(struct kube_http *http)
{
	struct pool *pool = http->pools;
	uint64_t now_ns = clock_now_ns();
	struct kube_transfer *t = pool && !pool->retired ? pool->first : NULL;

	while (t) {
		if (is_stuck(t, now_ns)) {
			kube_http_finish(t, CURLE_OPERATION_TIMEDOUT, true);
			t = pool->first; /* whose end it is may have begun and ended others */
		} else {
			t = t->next;
		}
	}
}

static void on_probe_end(struct kube_http *http, const struct kube_transfer *t, CURLcode code)
{
	bool reached = code == CURLE_OK && t->probe_server < http->n_servers;

	if (reached && http->current != t->probe_server) {
		http->current = t->probe_server;
		kube_pool_retire(http);
	}
	if (reached)
		retry_connecting(http);
	t->probed(t->ops.ctx, reached);
}

void kube_http_finish(struct kube_transfer *t, CURLcode code, bool missed)
{
	struct kube_http *http = t->pool->http;
	enum kube_http_end how = end_of(t, code, missed);
	bool may_retry = missed;

	curl_multi_remove_handle(t->pool->multi, t->easy);
	unlink_transfer(t);
	if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CERTPROBLEM ||
	    t->status == 401)
		auth_refresh(http->auth, clock_now_ns(), AUTH_NOW);
	if (t->status)
		http->tried = 0;
	if (t->probed) {
		on_probe_end(http, t, code);
	} else if (t->watchdog) {
		if (!missed)
			on_watchdog_end(http, code);
		else
			http->watchdog = NULL;
	} else {
		/* one slow answer to a write says nothing about the connection: the watchdog looks after that */
		if (how == KUBE_HTTP_FAILED && !(t->sends && code == CURLE_OPERATION_TIMEDOUT))
			may_retry = move_on(http, t->pool);
		t->ops.end(t->ops.ctx, how, may_retry, *t->why ? t->why : curl_easy_strerror(code));
	}
	kube_transfer_free(t);
}

static int start(struct kube_transfer *t, struct pool *pool)
{
	if (curl_multi_add_handle(pool->multi, t->easy) != CURLM_OK)
		return -ENOMEM;
	t->pool = pool;
	t->started_ns = clock_now_ns();
	t->next = pool->first;
	if (t->next)
		t->next->prev = t;
	pool->first = t;
	return 0;
}

int kube_http_get(struct kube_http *http, const char *target, bool stream,
		  const struct kube_http_ops *ops, struct kube_transfer **ret_transfer)
{
	struct pool *pool = kube_pool_current(http);
	struct kube_transfer *t;
	int rc = pool ? kube_transfer_prepare(http, target, stream, &t) : -ENOMEM;

	if (rc < 0)
		return rc;
	t->ops = *ops;
	rc = start(t, pool);
	if (rc < 0)
		kube_transfer_free(t);
	else
		*ret_transfer = t;
	return rc;
}

int kube_http_send(struct kube_http *http, const struct kube_http_request *request,
		   const struct kube_http_ops *ops, struct kube_transfer **ret_transfer)
{
	struct pool *pool = kube_pool_current(http);
	struct kube_transfer *t;
	int rc = pool ? kube_transfer_prepare(http, request->target, false, &t) : -ENOMEM;

	if (rc < 0)
		return rc;
	t->ops = *ops;
	t->sends = true;
	rc = kube_transfer_set_request(t, request);
	if (rc == 0)
		rc = start(t, pool);
	if (rc < 0)
		kube_transfer_free(t);
	else
		*ret_transfer = t;
	return rc;
}

void kube_http_cancel(struct kube_transfer *t)
{
	if (!t)
		return;
	curl_multi_remove_handle(t->pool->multi, t->easy);
	unlink_transfer(t);
	kube_transfer_free(t);
}

/* ---- is it there? ----------------------------------------------------------------------------------- */

static void on_watchdog(void *arg)
{
	struct kube_http *http = arg;
	struct pool *pool = http->pools;
	struct kube_transfer *t;

	if (http->watchdog || !pool || pool->retired || !pool->first)
		return;
	if (kube_transfer_prepare(http, "/version", false, &t) < 0)
		return;
	t->watchdog = true;
	curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, WATCHDOG_MS);
	if (start(t, pool) < 0)
		kube_transfer_free(t);
	else
		http->watchdog = t;
}

void kube_http_probe(struct kube_http *http, void (*fn)(void *ctx, bool reached), void *ctx)
{
	struct pool *pool = http->pools && !http->pools->retired ? http->pools
								 : kube_pool_new(http);
	struct kube_transfer *t = pool ? kube_transfer_new() : NULL;

	if (!t)
		return;
	http->probed = http->probed < http->n_servers ? http->probed : 0;
	t->probed = fn;
	t->ops.ctx = ctx;
	t->probe_server = http->probed++;
	curl_easy_setopt(t->easy, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, PROBE_MS);
	if (kube_transfer_set_address(t, &http->servers[t->probe_server], true, "/") < 0 ||
	    start(t, pool) < 0)
		kube_transfer_free(t);
}

/* ---- beginning, end, looking ------------------------------------------------------------------------ */

int kube_http_set_servers(struct kube_http *http, const struct kube_server *servers, size_t n)
{
	struct kube_server *copy = calloc(n, sizeof(*copy));
	size_t i, current = n;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, servers, n * sizeof(*copy));
	for (i = 0; i < n && http->n_servers; i++)
		if (kube_server_is_same(&copy[i], &http->servers[http->current]))
			current = i;
	if (current == n)
		kube_pool_retire(http);
	free(http->servers);
	http->servers = copy;
	http->n_servers = n;
	http->current = current < n ? current : 0;
	http->probed = http->current;
	http->tried = 0;
	return 0;
}

int kube_http_new(struct loop *loop, struct auth *auth, struct kube_http **ret_http)
{
	struct kube_http *http = calloc(1, sizeof(*http));
	int rc;

	if (!http || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(http);
		return -ENOMEM;
	}
	http->loop = loop;
	http->auth = auth;
	http->auth_generation = auth_generation(auth);
	rc = loop_add_deferred(loop, kube_pool_sweep, http, &http->sweeper);
	if (rc == 0)
		rc = loop_add_timer(loop, on_watchdog, http, &http->watchdog_timer);
	if (rc == 0)
		rc = loop_arm(http->watchdog_timer, WATCHDOG_NS, WATCHDOG_NS);
	if (rc < 0)
		kube_http_free(http);
	else
		*ret_http = http;
	return rc;
}

void kube_http_free(struct kube_http *http)
{
	struct pool *pool, *next;
	struct kube_transfer *t;

	if (!http)
		return;
	for (pool = http->pools; pool; pool = next) {
		next = pool->next;
		while ((t = pool->first)) {
			pool->first = t->next; /* as unlinking will do once more */
			kube_http_cancel(t);
		}
		kube_pool_free(pool);
	}
	loop_remove(http->watchdog_timer);
	loop_remove(http->sweeper);
	free(http->servers);
	free(http);
	curl_global_cleanup();
}

void kube_http_count(const struct kube_http *http, struct kube_http_stats *ret_stats)
{
	*ret_stats = http->stats;
	ret_stats->server = http->n_servers ? http->servers[http->current].host : "";
}
