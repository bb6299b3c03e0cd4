// SPDX-License-Identifier: GPL-2.0-only
/* Keeps idle connections by endpoint, and says which connection a request gets. */
/* Must not know HTTP. */
#include "ingress/pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/table.h"
#include "ingress/back1.h"
#include "ingress/back2.h"
#include "ingress/settings.h"
#include "ingress/stats.h"
#include "ingress/upstream.h"
#include "ingress/worker.h"

/* The connections to one endpoint: idle ones, the newest first, and those of HTTP/2, which are shared. */
struct pool_origin {
	struct origin *origin; /* counted */
	LIST_HEAD(, pool_entry) idle;
	LIST_HEAD(, pool_entry) shared;
	size_t n_idle;
};

struct pool {
	struct worker *worker;
	struct table origins; /* by the address of struct origin: nobody outside can choose those */
};

struct pool *pool_new(struct worker *worker)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->worker = worker;
	table_init(&pool->origins, 0);
	return pool;
}

static void close_idle(struct pool *pool, struct pool_origin *of)
{
	struct pool_entry *entry;

	while ((entry = LIST_FIRST(&of->idle))) {
		pool_remove(pool, entry);
		back1_close_idle(entry);
	}
}

static void leave_shared(struct pool_origin *of, void (*leave)(struct pool_entry *entry))
{
	struct pool_entry *entry;

	while ((entry = LIST_FIRST(&of->shared))) {
		LIST_REMOVE(entry, link);
		leave(entry);
	}
}

static void forget(struct pool *pool, struct pool_origin *of)
{
	table_remove(&pool->origins, &of->origin, sizeof(of->origin));
	origin_drop(of->origin);
	free(of);
}

void pool_drop_gone(struct pool *pool)
{
	struct table_entry *entry;

	table_for_each(entry, &pool->origins) {
		struct pool_origin *of = entry->value;

		if (!atomic_load_explicit(&of->origin->gone, memory_order_relaxed))
			continue;
		close_idle(pool, of);
		leave_shared(of, back2_retire);
		forget(pool, of);
	}
}

void pool_free(struct pool *pool)
{
	struct table_entry *entry;

	if (!pool)
		return;
	table_for_each(entry, &pool->origins) {
		struct pool_origin *of = entry->value;

		close_idle(pool, of);
		leave_shared(of, back2_cut);
		forget(pool, of);
	}
	table_done(&pool->origins, NULL);
	free(pool);
}

void pool_remove(struct pool *pool, struct pool_entry *entry)
{
	LIST_REMOVE(entry, link);
	entry->of->n_idle--;
	stats_gauge(pool->worker->stats, GAUGE_ORIGINS_IDLE, -1);
}

static struct pool_origin *get(struct pool *pool, struct origin *origin)
{
	struct pool_origin *of = table_get(&pool->origins, &origin, sizeof(origin));

	if (of)
		return of;
	of = calloc(1, sizeof(*of));
	if (!of)
		return NULL;
	of->origin = origin_hold(origin);
	if (table_put(&pool->origins, &origin, sizeof(origin), of, NULL) < 0) {
		origin_drop(origin);
		free(of);
		return NULL;
	}
	return of;
}

bool pool_put(struct pool *pool, struct origin *origin, struct pool_entry *entry)
{
	struct pool_origin *of;

	if (atomic_load_explicit(&origin->gone, memory_order_relaxed))
		return false;
	of = get(pool, origin);
	if (!of || of->n_idle >= pool->worker->settings->idle_per_origin)
		return false;
	entry->of = of;
	LIST_INSERT_HEAD(&of->idle, entry, link);
	of->n_idle++;
	stats_gauge(pool->worker->stats, GAUGE_ORIGINS_IDLE, 1);
	return true;
}

bool pool_share(struct pool *pool, struct origin *origin, struct pool_entry *entry)
{
	struct pool_origin *of;

	if (atomic_load_explicit(&origin->gone, memory_order_relaxed))
		return false;
	of = get(pool, origin);
	if (!of)
		return false;
	entry->of = of;
	LIST_INSERT_HEAD(&of->shared, entry, link);
	return true;
}

void pool_unshare(struct pool *pool, struct pool_entry *entry)
{
	(void)pool;
	LIST_REMOVE(entry, link);
}

/* A stream on a connection that has room, or a new one. */
static int open_stream(struct pool *pool, const struct back_want *want, struct exchange *x,
		       struct back **ret_back)
{
	struct pool_origin *of = table_get(&pool->origins, &want->origin, sizeof(want->origin));
	struct pool_entry *entry;

	for (entry = of ? LIST_FIRST(&of->shared) : NULL; entry; entry = LIST_NEXT(entry, link)) {
		int rc = entry->tls == want->tls ? back2_join(entry, x, ret_back) : -EAGAIN;

		if (rc == 0)
			stats_add(pool->worker->stats, STATS_ORIGIN_REUSED, 1);
		if (rc != -EAGAIN)
			return rc;
	}
	stats_add(pool->worker->stats, STATS_ORIGIN_CONNECTIONS, 1);
	return back2_connect(pool->worker, want, x, ret_back);
}

static struct back *reuse(struct pool *pool, const struct back_want *want, struct exchange *x)
{
	struct pool_origin *of = table_get(&pool->origins, &want->origin, sizeof(want->origin));
	struct pool_entry *entry, *next;

	for (entry = of ? LIST_FIRST(&of->idle) : NULL; entry; entry = next) {
		struct back *back;

		next = LIST_NEXT(entry, link);
		if (entry->tls != want->tls)
			continue;
		pool_remove(pool, entry);
		back = back1_reuse(entry, x);
		if (back)
			return back;
	}
	return NULL;
}

int pool_open(struct worker *worker, const struct back_want *want, struct exchange *x,
	      struct back **ret_back)
{
	struct back *back;

	if (want->http2)
		return open_stream(worker->pool, want, x, ret_back);
	back = want->fresh ? NULL : reuse(worker->pool, want, x);
	if (back) {
		stats_add(worker->stats, STATS_ORIGIN_REUSED, 1);
		*ret_back = back;
		return 0;
	}
	stats_add(worker->stats, STATS_ORIGIN_CONNECTIONS, 1);
	return back1_connect(worker, want, x, ret_back);
}
