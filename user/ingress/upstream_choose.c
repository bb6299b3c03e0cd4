// SPDX-License-Identifier: GPL-2.0-only
/* Chooses one of several endpoints: by load, in turn, by a key, by a cookie. */
/* Must not know what requests are, or how endpoints come and go. */
#include "base/digit.h"
#include "base/table.h"
#include "ingress/upstream_list.h"

#define TRIES 10 /* of finding two at random before all are looked at */

/* What an endpoint may be like: the best is tried first. */
enum grade {
	HEALTHY, /* not tried for this request, not ejected */
	UNTRIED, /* not tried */
	ANY,     /* better than no answer */
	GRADES,
};

/* Part of a list, and what is asked of its endpoints. */
struct field {
	const struct upstream *upstream;
	const struct upstream_list *list;
	const struct upstream_pick *pick;
	size_t n; /* the first n */
	enum grade grade;
	uint64_t random;
	uint64_t bound; /* requests in flight that they must be below */
};

static uint64_t draw(struct field *f)
{
	f->random += UINT64_C(0x9e3779b97f4a7c15);
	return upstream_mix(f->random);
}

static size_t draw_below(struct field *f, size_t below)
{
	return (size_t)((draw(f) >> 32) * below >> 32);
}

static unsigned load_of(const struct origin *o)
{
	return atomic_load_explicit(&o->in_flight, memory_order_relaxed);
}

static bool was_tried(const struct upstream_pick *pick, const struct origin *o)
{
	for (size_t i = 0; i < pick->n_tried; i++)
		if (pick->tried[i] == o)
			return true;
	return false;
}

static bool is_fit(const struct field *f, const struct origin *o)
{
	if (atomic_load_explicit(&o->gone, memory_order_relaxed) || load_of(o) >= f->bound)
		return false;
	if (f->grade < ANY && was_tried(f->pick, o))
		return false;
	return f->grade > HEALTHY ||
	       f->pick->now_ns >= atomic_load_explicit(&o->ejected_until_ns, memory_order_relaxed);
}

/* A newcomer gets its share of chances bit by bit: its caches are cold. */
static bool is_warm(struct field *f, const struct origin *o)
{
	uint64_t slow_ns = f->upstream->settings.slow_start_ns, age_ns;

	if (!o->new_ns)
		return true;
	age_ns = f->pick->now_ns > o->new_ns ? f->pick->now_ns - o->new_ns : 0;
	return age_ns >= slow_ns || draw(f) % 1024 < 32 + age_ns * 992 / slow_ns;
}

/* ---- the choices ------------------------------------------------------------------------------------------------- */

/* The least busy of all; from anywhere on, so that it is not always the first of equals. */
static struct origin *least_of_all(struct field *f)
{
	size_t from = f->n ? draw_below(f, f->n) : 0;
	struct origin *best = NULL;

	for (size_t i = 0; i < f->n; i++) {
		struct origin *o = f->list->origin[(from + i) % f->n];

		if (is_fit(f, o) && (!best || load_of(o) < load_of(best)))
			best = o;
	}
	return best;
}

static struct origin *least_of_two(struct field *f)
{
	struct origin *one = NULL;

	for (int i = 0; i < TRIES && f->n > 1; i++) {
		struct origin *o = f->list->origin[draw_below(f, f->n)];

		if (o == one || !is_fit(f, o) || !is_warm(f, o))
			continue;
		if (one)
			return load_of(o) < load_of(one) ? o : one;
		one = o;
	}
	return one ? one : least_of_all(f);
}

static struct origin *in_turn(struct field *f, unsigned turn)
{
	struct origin *cold = NULL;

	for (size_t i = 0; i < f->n; i++) {
		struct origin *o = f->list->origin[(turn + i) % f->n];

		if (!is_fit(f, o))
			continue;
		if (is_warm(f, o))
			return o;
		cold = cold ? cold : o;
	}
	return cold;
}

/* Requests in flight that no endpoint should pass: per_cent of the mean, this request counted. */
static uint64_t bound_of(const struct field *f, unsigned per_cent)
{
	uint64_t sum = 1;

	for (size_t i = 0; i < f->list->n; i++)
		sum += load_of(f->list->origin[i]);
	return (sum * per_cent + f->list->n * 100 - 1) / (f->list->n * 100);
}

/*
 * Rendezvous: the key meets each endpoint's in a number, the largest has it. Who comes or goes moves its own keys alone, and
 * which is next after a full or failing one is as stable. Most often the first look, at the numbers alone, decides.
 */
static struct origin *by_key(const struct field *f)
{
	uint64_t bound = f->pick->bound > 100 ? bound_of(f, f->pick->bound) : UINT64_MAX;
	uint64_t top = 0, score;
	struct origin *best = NULL;
	size_t at = 0;

	for (size_t i = 0; i < f->n; i++) {
		score = upstream_mix(f->list->keys[i] ^ f->pick->hash);
		if (i == 0 || score > top) {
			top = score;
			at = i;
		}
	}
	if (f->n && is_fit(f, f->list->origin[at]) && load_of(f->list->origin[at]) < bound)
		return f->list->origin[at];
	for (size_t i = 0; i < f->n; i++) {
		struct origin *o = f->list->origin[i];

		if (!is_fit(f, o) || load_of(o) >= bound)
			continue;
		score = upstream_mix(f->list->keys[i] ^ f->pick->hash);
		if (!best || score > top) {
			top = score;
			best = o;
		}
	}
	return best;
}

static struct origin *choose(struct field *f, unsigned turn)
{
	struct origin *o;

	switch (f->pick->choice) {
	case UPSTREAM_ROUND_ROBIN:
		return in_turn(f, turn);
	case UPSTREAM_HASH:
		o = by_key(f);
		return o ? o : least_of_all(f);
	case UPSTREAM_LEAST:
		break;
	}
	return f->grade == HEALTHY ? least_of_two(f) : least_of_all(f);
}

/* ---- near ones first --------------------------------------------------------------------------------------------- */

/* Of those that are not too busy: a near one, or any. Somebody is not, but may be unfit for another reason: then NULL. */
static struct origin *choose_near(struct field *f, unsigned turn)
{
	size_t n[] = { f->pick->near == UPSTREAM_SAME_NODE ? f->list->n_node : 0, f->list->n_zone,
		       f->list->n };
	struct origin *o = NULL;

	f->bound = bound_of(f, 125);
	for (size_t i = 0; !o && i < sizeof(n) / sizeof(n[0]); i++) {
		f->n = n[i];
		o = choose(f, turn);
	}
	f->bound = UINT64_MAX;
	f->n = f->list->n;
	return o;
}

struct origin *upstream_find(const struct upstream_list *list, const char *sticky, size_t len)
{
	uint64_t key = 0;

	if (len != UPSTREAM_STICKY_LEN)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		int d = digit_hex((unsigned char)sticky[i]);

		if (d < 0)
			return NULL;
		key = key << 4 | (uint64_t)d;
	}
	for (size_t i = 0; i < list->n; i++)
		if (list->keys[i] == key)
			return list->origin[i];
	return NULL;
}

static struct origin *choose_sticky(const struct field *f)
{
	struct origin *o = upstream_find(f->list, f->pick->sticky, f->pick->sticky_len);

	return o && is_fit(f, o) ? o : NULL;
}

struct origin *upstream_choose(struct upstream *upstream, const struct upstream_list *list,
			       const struct upstream_pick *pick)
{
	struct field f = { upstream, list, pick, list->n, HEALTHY, pick->random, UINT64_MAX };
	struct origin *o = pick->sticky ? choose_sticky(&f) : NULL;
	unsigned turn = 0;

	if (o || !list->n)
		return o;
	if (pick->choice == UPSTREAM_ROUND_ROBIN)
		turn = atomic_fetch_add_explicit(&upstream->turn, 1, memory_order_relaxed);
	if (pick->near != UPSTREAM_ANYWHERE && list->n_zone)
		o = choose_near(&f, turn);
	for (int grade = HEALTHY; !o && grade < GRADES; grade++) {
		f.grade = (enum grade)grade;
		o = choose(&f, turn);
	}
	return o;
}
