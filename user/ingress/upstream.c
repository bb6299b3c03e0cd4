// SPDX-License-Identifier: GPL-2.0-only
/* Keeps the endpoints behind a Service port over all changes, and what is known of each. */
/* Must not know requests, connections, or where endpoints are learnt from. */
#include "ingress/upstream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/table.h"
#include "ingress/epoch.h"
#include "ingress/upstream_list.h"

#define RETRY        1000           /* the budget's unit is a thousandth */
#define RETRY_SHARE  (RETRY / 10)   /* for each request */
#define RETRY_SECOND (3 * RETRY)    /* for each second */
#define RETRY_MAX    (1000 * RETRY) /* what a calm can save up for a burst */

const struct upstream_settings upstream_defaults = {
	.slow_start_ns = 10 * CLOCK_NS_PER_S,
	.eject_failures = 5,
	.eject_ns = 2 * CLOCK_NS_PER_S,
	.eject_max_ns = 60 * CLOCK_NS_PER_S,
};

/* ---- origins ----------------------------------------------------------------------------------------------------- */

struct origin *origin_hold(struct origin *origin)
{
	atomic_fetch_add_explicit(&origin->refs, 1, memory_order_relaxed);
	return origin;
}

void origin_drop(struct origin *origin)
{
	if (!origin || atomic_fetch_sub(&origin->refs, 1) != 1)
		return;
	free(origin->pod);
	free(origin);
}

static struct origin *new_origin(const struct upstream_settings *settings,
				 const struct upstream_endpoint *e, uint64_t new_ns)
{
	struct origin *o = calloc(1, sizeof(*o));
	uint8_t text[1 + sizeof(e->addr.b) + 2];

	if (!o)
		return NULL;
	text[0] = e->addr.family;
	memcpy(text + 1, e->addr.b, sizeof(e->addr.b));
	text[sizeof(text) - 2] = (uint8_t)(e->port >> 8);
	text[sizeof(text) - 1] = (uint8_t)e->port;
	o->addr = e->addr;
	o->port = e->port;
	o->key = table_hash(settings->seed, text, sizeof(text));
	o->new_ns = new_ns;
	o->refs = 1;
	if (e->pod && !(o->pod = strdup(e->pod))) {
		free(o);
		return NULL;
	}
	return o;
}

void upstream_sticky(const struct origin *origin, char ret_value[UPSTREAM_STICKY_LEN + 1])
{
	snprintf(ret_value, UPSTREAM_STICKY_LEN + 1, "%016llx", (unsigned long long)origin->key);
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

static struct upstream_list *new_list(size_t n)
{
	size_t origins = n * sizeof(struct origin *);
	struct upstream_list *list = calloc(1, sizeof(*list) + origins + n * sizeof(uint64_t));

	if (list)
		list->keys = (uint64_t *)((char *)list->origin + origins);
	return list;
}

static void free_list(void *what)
{
	struct upstream_list *list = what;

	for (size_t i = 0; i < list->n; i++)
		origin_drop(list->origin[i]);
	free(list);
}

static int compare_place(const struct address *a, uint16_t a_port, const struct address *b,
			 uint16_t b_port)
{
	int rc = address_cmp(a, b);

	return rc ? rc : (int)a_port - (int)b_port;
}

/* Of the list that is replaced. */
struct old {
	struct origin *origin;
	bool stays;
};

static int compare_old(const void *one, const void *two)
{
	const struct origin *a = ((const struct old *)one)->origin,
			    *b = ((const struct old *)two)->origin;

	return compare_place(&a->addr, a->port, &b->addr, b->port);
}

/* By place. NULL: no memory. */
static struct old *sort_old(const struct upstream_list *list)
{
	struct old *old = calloc(list->n + 1, sizeof(*old));

	if (!old)
		return NULL;
	for (size_t i = 0; i < list->n; i++)
		old[i].origin = list->origin[i];
	qsort(old, list->n, sizeof(*old), compare_old);
	return old;
}

static int distance(const struct upstream_endpoint *e)
{
	return e->same_node ? 0 : e->same_zone ? 1 : 2;
}

static int compare_endpoints(const void *one, const void *two)
{
	const struct upstream_endpoint *a = *(const struct upstream_endpoint *const *)one,
				       *b = *(const struct upstream_endpoint *const *)two;
	int rc = compare_place(&a->addr, a->port, &b->addr, b->port);

	return rc ? rc : (a > b) - (a < b); /* of equals the first stays the first */
}

static int compare_distance(const void *one, const void *two)
{
	const struct upstream_endpoint *a = *(const struct upstream_endpoint *const *)one,
				       *b = *(const struct upstream_endpoint *const *)two;
	int rc = distance(a) - distance(b);

	return rc ? rc : compare_endpoints(one, two);
}

/* Pointers to the endpoints, each place once, as they stand in a list. NULL: no memory. */
static const struct upstream_endpoint **arrange(const struct upstream_endpoint *endpoints,
						size_t *n)
{
	const struct upstream_endpoint **order = calloc(*n + 1, sizeof(*order));
	size_t kept = 0;

	if (!order)
		return NULL;
	for (size_t i = 0; i < *n; i++)
		order[i] = &endpoints[i];
	qsort(order, *n, sizeof(*order), compare_endpoints);
	for (size_t i = 0; i < *n; i++)
		if (!kept || compare_place(&order[kept - 1]->addr, order[kept - 1]->port,
					   &order[i]->addr, order[i]->port) != 0)
			order[kept++] = order[i];
	qsort(order, kept, sizeof(*order), compare_distance);
	*n = kept;
	return order;
}

static bool is_same_pod(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* The same endpoint among the old ones, which stays; or NULL. */
static struct origin *find_old(struct old *old, size_t n_old, const struct upstream_endpoint *e)
{
	struct origin place = { .addr = e->addr, .port = e->port };
	struct old key = { .origin = &place }, *found;

	found = n_old ? bsearch(&key, old, n_old, sizeof(*old), compare_old) : NULL;
	if (!found || !is_same_pod(found->origin->pod, e->pod))
		return NULL;
	found->stays = true;
	return found->origin;
}

/* At most half may be left alone: those whose time is up first come back. */
static void spare_half(const struct upstream_list *list, uint64_t now_ns)
{
	for (;;) {
		struct origin *first = NULL;
		size_t n = 0;

		for (size_t i = 0; i < list->n; i++) {
			struct origin *o = list->origin[i];

			if (o->ejected_until_ns <= now_ns)
				continue;
			n++;
			if (!first || o->ejected_until_ns < first->ejected_until_ns)
				first = o;
		}
		if (n * 2 <= list->n)
			return;
		first->ejected_until_ns = 0;
	}
}

static struct upstream_list *make_list(const struct upstream *u, struct old *old, size_t n_old,
				       const struct upstream_endpoint *const *order, size_t n,
				       uint64_t now_ns)
{
	struct upstream_list *list = new_list(n);

	for (size_t i = 0; list && i < n; i++) {
		struct origin *o = find_old(old, n_old, order[i]);

		o = o ? origin_hold(o) : new_origin(&u->settings, order[i], n_old ? now_ns : 0);
		if (!o) {
			free_list(list);
			return NULL;
		}
		list->origin[list->n] = o;
		list->keys[list->n++] = o->key;
		list->n_node += distance(order[i]) == 0;
		list->n_zone += distance(order[i]) <= 1;
	}
	return list;
}

/* Those that do not stay, and their number. The others must not look gone for a moment: somebody may be choosing. */
static size_t mark_gone(const struct old *old, size_t n_old)
{
	size_t n = 0;

	for (size_t i = 0; i < n_old; i++) {
		if (old[i].stays)
			continue;
		old[i].origin->gone = true;
		n++;
	}
	return n;
}

int upstream_set(struct upstream *u, const struct upstream_endpoint *endpoints, size_t n,
		 uint64_t now_ns, size_t *ret_left)
{
	struct upstream_list *was = atomic_load(&u->list), *list = NULL;
	struct old *old = sort_old(was);
	const struct upstream_endpoint **order = arrange(endpoints, &n);
	size_t left;

	if (old && order)
		list = make_list(u, old, was->n, order, n, now_ns);
	free(order);
	if (!list) {
		free(old);
		return -ENOMEM;
	}
	spare_half(list, now_ns);
	atomic_store(&u->list, list);
	left = mark_gone(old, was->n);
	free(old);
	epoch_retire(was, free_list);
	if (ret_left)
		*ret_left = left;
	return 0;
}

void upstream_each(struct upstream *u, void (*fn)(void *ctx, const struct origin *origin),
		   void *ctx)
{
	const struct upstream_list *list;

	epoch_enter();
	list = atomic_load(&u->list);
	for (size_t i = 0; i < list->n; i++)
		fn(ctx, list->origin[i]);
	epoch_leave();
}

/* ---- upstreams --------------------------------------------------------------------------------------------------- */

int upstream_new(const struct upstream_settings *settings, uint64_t now_ns,
		 struct upstream **ret_upstream)
{
	struct upstream *u = calloc(1, sizeof(*u));
	struct upstream_list *none = new_list(0);

	if (!u || !none) {
		free(u);
		free(none);
		return -ENOMEM;
	}
	u->refs = 1;
	u->settings = *settings;
	u->list = none;
	u->turn = (unsigned)upstream_mix(
		(uintptr_t)u); /* not every replica begins at the same endpoint */
	u->budget = RETRY_SECOND;
	u->budget_ns = now_ns;
	pthread_mutex_init(&u->lock, NULL);
	*ret_upstream = u;
	return 0;
}

struct upstream *upstream_hold(struct upstream *u)
{
	atomic_fetch_add_explicit(&u->refs, 1, memory_order_relaxed);
	return u;
}

bool upstream_is_shared(const struct upstream *u)
{
	return atomic_load(&u->refs) > 1;
}

void upstream_drop(struct upstream *u)
{
	struct upstream_list *list;

	if (!u || atomic_fetch_sub(&u->refs, 1) != 1)
		return;
	list = u->list; /* who reads it holds the upstream */
	/* Nobody asks for these again: whoever keeps connections to them may let go. */
	for (size_t i = 0; i < list->n; i++)
		atomic_store(&list->origin[i]->gone, true);
	free_list(list);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

bool upstream_is_ready(struct upstream *u)
{
	bool ready;

	epoch_enter();
	ready = atomic_load(&u->list)->n > 0;
	epoch_leave();
	return ready;
}

bool upstream_knows(struct upstream *u, const char *sticky, size_t len)
{
	bool knows;

	epoch_enter();
	knows = upstream_find(atomic_load(&u->list), sticky, len) != NULL;
	epoch_leave();
	return knows;
}

/* ---- one request ------------------------------------------------------------------------------------------------- */

struct origin *upstream_take(struct upstream *u, const struct upstream_pick *pick)
{
	const struct upstream_list *list;
	struct origin *o;

	epoch_enter();
	do { /* again only if all that were seen left meanwhile */
		list = atomic_load(&u->list);
		o = upstream_choose(u, list, pick);
	} while (!o && list != atomic_load(&u->list));
	if (o) {
		origin_hold(o);
		atomic_fetch_add_explicit(&o->in_flight, 1, memory_order_relaxed);
	}
	epoch_leave();
	if (o && pick->n_tried == 0)
		atomic_fetch_add_explicit(&u->started, 1, memory_order_relaxed);
	return o;
}

/* How long the n-th ejection in a row lasts. */
static uint64_t ejection_ns(const struct upstream_settings *s, unsigned n)
{
	uint64_t ns = s->eject_ns;

	while (--n && ns < s->eject_max_ns)
		ns *= 2;
	return ns < s->eject_max_ns ? ns : s->eject_max_ns;
}

static size_t count_ejected(const struct upstream_list *list, uint64_t now_ns)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		n += atomic_load(&list->origin[i]->ejected_until_ns) > now_ns;
	return n;
}

/* Leaves the endpoint alone for a while, unless half of them are left alone already. */
static void eject(struct upstream *u, struct origin *o, uint64_t now_ns)
{
	const struct upstream_list *list;

	pthread_mutex_lock(&u->lock);
	epoch_enter();
	list = atomic_load(&u->list);
	if (o->ejected_until_ns <= now_ns && (count_ejected(list, now_ns) + 1) * 2 <= list->n) {
		unsigned n = atomic_fetch_add(&o->ejections, 1) + 1;

		o->ejected_until_ns = now_ns + ejection_ns(&u->settings, n);
		o->failures = u->settings.eject_failures - 1; /* one more, and it goes again */
	}
	epoch_leave();
	pthread_mutex_unlock(&u->lock);
}

static void note_success(struct upstream *u, struct origin *o, uint64_t now_ns)
{
	unsigned n = atomic_load_explicit(&o->ejections, memory_order_relaxed);

	if (atomic_load_explicit(&o->failures, memory_order_relaxed))
		o->failures = 0;
	/* Well for as long as it was left alone: forgotten. */
	if (n && now_ns > o->ejected_until_ns + ejection_ns(&u->settings, n))
		o->ejections = 0;
}

void upstream_release(struct upstream *u, struct origin *o, enum upstream_result result,
		      uint64_t now_ns)
{
	atomic_fetch_sub_explicit(&o->in_flight, 1, memory_order_relaxed);
	if (result == UPSTREAM_OK)
		note_success(u, o, now_ns);
	else if (result == UPSTREAM_FAILED && u->settings.eject_failures &&
		 atomic_fetch_add(&o->failures, 1) + 1 >= u->settings.eject_failures)
		eject(u, o, now_ns);
	origin_drop(o);
}

bool upstream_may_retry(struct upstream *u, uint64_t now_ns)
{
	uint64_t started = atomic_load_explicit(&u->started, memory_order_relaxed), passed_ms;
	bool may;

	pthread_mutex_lock(&u->lock);
	passed_ms = now_ns > u->budget_ns ? (now_ns - u->budget_ns) / CLOCK_NS_PER_MS : 0;
	u->budget += (started - u->budget_started) * RETRY_SHARE + passed_ms * RETRY_SECOND / 1000;
	u->budget_started = started;
	u->budget_ns += passed_ms * CLOCK_NS_PER_MS;
	if (u->budget > RETRY_MAX)
		u->budget = RETRY_MAX;
	may = u->budget >= RETRY;
	if (may)
		u->budget -= RETRY;
	pthread_mutex_unlock(&u->lock);
	return may;
}
