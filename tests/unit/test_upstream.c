// SPDX-License-Identifier: GPL-2.0-only
// Which endpoint a request gets: load, turns, keys, cookies, nearness, slow start, ejection, the budget of retries.
/* link: user/ingress/upstream.c user/ingress/upstream_choose.c user/ingress/epoch.c */
/* link: user/core/address.c user/base/table.c */
#include "unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ingress/epoch.h"
#include "ingress/upstream.h"
#include "unit/failmalloc.h"

#define S       CLOCK_NS_PER_S
#define NOW     (1000 * S)
#define PODS    256
#define FOREVER (NOW + 100000 * S)

static struct upstream_endpoint pods[PODS]; /* 10.0.0.i:80 */

static void make_pods(void)
{
	for (unsigned i = 0; i < PODS; i++)
		pods[i] = (struct upstream_endpoint){
			.addr = { .family = 4, .b = { 10, 0, 0, (uint8_t)i } }, .port = 80
		};
}

static struct upstream *make(const struct upstream_settings *settings, size_t n)
{
	struct upstream *u;

	make_pods();
	assert_int_equal(upstream_new(settings, NOW, &u), 0);
	assert_int_equal(upstream_set(u, pods, n, NOW, NULL), 0);
	return u;
}

/* Pod number, or -1; the request goes on. */
static int take(struct upstream *u, const struct upstream_pick *pick, struct origin **ret_origin)
{
	struct origin *o = upstream_take(u, pick);

	*ret_origin = o;
	return o ? o->addr.b[3] : -1;
}

static int ask(struct upstream *u, const struct upstream_pick *pick)
{
	struct origin *o;
	int pod = take(u, pick, &o);

	if (o)
		upstream_release(u, o, UPSTREAM_OK, pick->now_ns);
	return pod;
}

/* `n` requests for the endpoint with this number, with this result. */
static void end(struct upstream *u, unsigned pod, unsigned n, enum upstream_result result,
		uint64_t now_ns)
{
	struct upstream_pick pick = { .choice = UPSTREAM_ROUND_ROBIN, .now_ns = FOREVER };

	while (n) {
		struct origin *o = upstream_take(u, &pick);

		assert_non_null(o);
		n -= o->addr.b[3] == pod;
		upstream_release(u, o, o->addr.b[3] == pod ? result : UPSTREAM_ABANDONED, now_ns);
	}
}

TEST(without_endpoints_there_is_none)
{
	struct upstream *u = make(&upstream_defaults, 0);
	struct upstream_pick pick = { .now_ns = NOW };

	for (int c = UPSTREAM_LEAST; c <= UPSTREAM_HASH; c++) {
		pick.choice = (enum upstream_choice)c;
		assert_int_equal(ask(u, &pick), -1);
	}
	assert_false(upstream_is_ready(u));
	assert_int_equal(upstream_set(u, pods, 1, NOW, NULL), 0);
	assert_true(upstream_is_ready(u));
	for (int c = UPSTREAM_LEAST; c <= UPSTREAM_HASH; c++) {
		pick.choice = (enum upstream_choice)c;
		assert_int_equal(ask(u, &pick), 0);
	}
	upstream_drop(u);
}

TEST(endpoints_of_an_upstream_that_nobody_has_are_gone)
{
	struct upstream *u = make(&upstream_defaults, 1);
	struct upstream_pick pick = { .now_ns = NOW };
	struct origin *o, *kept;

	/* As a pool of idle connections keeps it. */
	assert_int_equal(take(u, &pick, &o), 0);
	kept = origin_hold(o);
	upstream_release(u, o, UPSTREAM_OK, NOW);
	assert_ptr_equal(upstream_hold(u), u);
	upstream_drop(u);
	assert_false(kept->gone);
	upstream_drop(u);
	assert_true(kept->gone);
	origin_drop(kept);
}

TEST(the_less_busy_of_two_is_taken)
{
	struct upstream *u = make(&upstream_defaults, 8);
	struct origin *busy[8 * 100];
	unsigned n[8] = { 0 }, most = 0;

	/* All stay in flight: two choices keep them close together. */
	for (unsigned i = 0; i < 800; i++)
		n[take(u, &(struct upstream_pick){ .random = i, .now_ns = NOW }, &busy[i])]++;
	for (unsigned i = 0; i < 8; i++)
		most = n[i] > most ? n[i] : most;
	assert_in_range(most, 100, 105);
	/* One that holds everything is left alone by and by. */
	for (unsigned i = 0; i < 800; i++)
		if (busy[i]->addr.b[3] != 3)
			upstream_release(u, busy[i], UPSTREAM_OK, NOW);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_not_equal(ask(u, &(struct upstream_pick){ .random = i, .now_ns = NOW }),
				     3);
	for (unsigned i = 0; i < 800; i++)
		if (busy[i]->addr.b[3] == 3)
			upstream_release(u, busy[i], UPSTREAM_OK, NOW);
	upstream_drop(u);
}

TEST(idle_endpoints_get_equal_shares)
{
	struct upstream *u = make(&upstream_defaults, 10);
	unsigned n[10] = { 0 };

	for (unsigned i = 0; i < 10000; i++)
		n[ask(u, &(struct upstream_pick){ .random = i, .now_ns = NOW })]++;
	for (unsigned i = 0; i < 10; i++)
		assert_in_range(n[i], 850, 1150);
	upstream_drop(u);
}

TEST(in_turn)
{
	struct upstream *u = make(&upstream_defaults, 5);
	struct upstream_pick pick = { .choice = UPSTREAM_ROUND_ROBIN, .now_ns = NOW };
	int first = ask(u, &pick);

	for (int i = 1; i < 20; i++)
		assert_int_equal(ask(u, &pick), (first + i) % 5);
	upstream_drop(u);
}

TEST(a_newcomer_gets_its_share_bit_by_bit)
{
	static const struct {
		enum upstream_choice choice;
		unsigned after_ms, least, most; /* of 10,000 requests, among ten */
	} cases[] = {
		{ UPSTREAM_LEAST, 0, 5, 100 },
		{ UPSTREAM_LEAST, 5000, 400, 650 },
		{ UPSTREAM_LEAST, 10000, 850, 1150 },
		{ UPSTREAM_ROUND_ROBIN, 0, 5, 100 },
		{ UPSTREAM_ROUND_ROBIN, 5000, 400, 650 },
		{ UPSTREAM_ROUND_ROBIN, 10000, 1000, 1000 },
	};

	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct upstream *u = make(&upstream_defaults, 9);
		unsigned n = 0;

		assert_int_equal(upstream_set(u, pods, 10, NOW, NULL), 0);
		for (unsigned i = 0; i < 10000; i++)
			n += ask(u, &(struct upstream_pick){
					    .choice = cases[c].choice,
					    .random = i,
					    .now_ns = NOW +
						      cases[c].after_ms * CLOCK_NS_PER_MS }) == 9;
		if (n < cases[c].least || n > cases[c].most)
			fail_msg("%u ms after it came: %u of 10000", cases[c].after_ms, n);
		upstream_drop(u);
	}
}

TEST(newcomers_alone_are_not_spared)
{
	struct upstream *u = make(&upstream_defaults, 1);
	struct upstream_pick pick = { .now_ns = NOW };

	assert_int_equal(upstream_set(u, pods + 1, 2, NOW, NULL), 0);
	for (pick.random = 0; pick.random < 100; pick.random++)
		assert_in_range(ask(u, &pick), 1, 2);
	upstream_drop(u);
}

TEST(one_key_one_endpoint)
{
	struct upstream *u = make(&upstream_defaults, 10), *v = make(&upstream_defaults, 10);
	struct upstream_pick pick = { .choice = UPSTREAM_HASH, .now_ns = NOW };
	int first[10000], moved = 0;
	unsigned n[10] = { 0 };

	for (unsigned i = 0; i < 10000; i++) {
		pick.hash = i;
		pick.random = i * 7;
		first[i] = ask(u, &pick);
		n[first[i]]++;
		assert_int_equal(ask(v, &pick), first[i]); /* every replica says the same */
	}
	for (unsigned i = 0; i < 10; i++)
		assert_in_range(n[i], 850, 1150);
	/* One leaves: only its keys move. */
	assert_int_equal(upstream_set(u, pods, 9, NOW, NULL), 0);
	for (unsigned i = 0; i < 10000; i++) {
		pick.hash = i;
		if (first[i] != 9)
			assert_int_equal(ask(u, &pick), first[i]);
	}
	/* One comes: it takes a share, from all of them, and nothing else moves. */
	assert_int_equal(upstream_set(u, pods, 11, NOW, NULL), 0);
	for (unsigned i = 0; i < 10000; i++) {
		int now;

		pick.hash = i;
		now = ask(u, &pick);
		if (now != first[i]) {
			assert_int_equal(now, 10);
			moved++;
		}
	}
	assert_in_range(moved, 800, 1020);
	upstream_drop(u);
	upstream_drop(v);
}

TEST(a_bound_spreads_a_hot_key)
{
	struct upstream *u = make(&upstream_defaults, 4);
	struct origin *busy[400];
	struct upstream_pick pick = {
		.choice = UPSTREAM_HASH, .hash = 7, .bound = 125, .now_ns = NOW
	};
	unsigned n[4] = { 0 }, most = 0, least = 400;

	for (unsigned i = 0; i < 400; i++)
		n[take(u, &pick, &busy[i])]++;
	for (unsigned i = 0; i < 4; i++) {
		most = n[i] > most ? n[i] : most;
		least = n[i] < least ? n[i] : least;
	}
	assert_in_range(most, 120, 126); /* a quarter above the mean of 100 */
	assert_in_range(least, 1, 80);   /* and no more spread than that */
	for (unsigned i = 0; i < 400; i++)
		upstream_release(u, busy[i], UPSTREAM_OK, NOW);
	memset(n, 0, sizeof(n));
	pick.bound = 0;
	for (unsigned i = 0; i < 400; i++)
		n[take(u, &pick, &busy[i])]++;
	for (unsigned i = 0; i < 400; i++)
		upstream_release(u, busy[i], UPSTREAM_OK, NOW);
	for (unsigned i = 0; i < 4; i++)
		assert_true(n[i] == 0 || n[i] == 400);
	upstream_drop(u);
}

TEST(a_cookie_finds_its_endpoint_and_tells_no_address)
{
	struct upstream_settings other = upstream_defaults;
	struct upstream *u = make(&upstream_defaults, 20), *twin = make(&upstream_defaults, 20);
	struct upstream *foreign;
	char value[UPSTREAM_STICKY_LEN + 1];
	struct upstream_pick pick = { .sticky = value,
				      .sticky_len = UPSTREAM_STICKY_LEN,
				      .now_ns = NOW };
	struct origin *o;
	int pod = take(u, &(struct upstream_pick){ .now_ns = NOW, .random = 77 }, &o),
	    elsewhere = 0;

	other.seed = 1;
	foreign = make(&other, 20);
	upstream_sticky(o, value);
	assert_int_equal(strlen(value), UPSTREAM_STICKY_LEN);
	assert_int_equal(strspn(value, "0123456789abcdef"), UPSTREAM_STICKY_LEN);
	for (pick.random = 0; pick.random < 100; pick.random++) {
		assert_int_equal(ask(u, &pick), pod);
		assert_int_equal(ask(twin, &pick), pod);
		elsewhere += ask(foreign, &pick) != pod; /* without the seed it is just a number */
	}
	assert_in_range(elsewhere, 80, 100);
	/* It left: another one is found, and the cookie says nothing about which. */
	upstream_release(u, o, UPSTREAM_OK, NOW);
	assert_int_equal(upstream_set(u, pods + 20, 5, NOW, NULL), 0);
	assert_in_range(ask(u, &pick), 20, 24);
	value[3] = 'x';
	assert_in_range(ask(twin, &pick), 0, 19);
	pick.sticky_len = 3;
	assert_in_range(ask(twin, &pick), 0, 19);
	upstream_drop(u);
	upstream_drop(twin);
	upstream_drop(foreign);
}

TEST(near_ones_first_until_they_are_busy)
{
	struct upstream *u = make(&upstream_defaults, 0);
	struct upstream_pick pick = { .near = UPSTREAM_SAME_NODE, .now_ns = NOW };
	struct origin *busy[600];
	unsigned n[6] = { 0 };

	pods[3].same_node = pods[3].same_zone = true;
	pods[1].same_zone = pods[5].same_zone = true;
	assert_int_equal(upstream_set(u, pods, 6, NOW, NULL), 0);
	for (pick.random = 0; pick.random < 100; pick.random++)
		assert_int_equal(ask(u, &pick), 3);
	pick.near = UPSTREAM_SAME_ZONE;
	for (pick.random = 0; pick.random < 100; pick.random++)
		n[ask(u, &pick)]++;
	assert_int_equal(n[1] + n[3] + n[5], 100);
	assert_true(n[1] > 15 && n[3] > 15 && n[5] > 15);
	pick.near = UPSTREAM_SAME_NODE;
	memset(n, 0, sizeof(n));
	for (pick.random = 0; pick.random < 600; pick.random++)
		n[take(u, &pick, &busy[pick.random])]++;
	assert_in_range(n[3], 115, 127); /* a quarter above the mean, then the zone, then all */
	assert_in_range(n[1], 110, 127);
	assert_in_range(n[0], 60, 100);
	for (unsigned i = 0; i < 600; i++)
		upstream_release(u, busy[i], UPSTREAM_OK, NOW);
	/* None is near: everyone. */
	assert_int_equal(upstream_set(u, pods + 6, 4, NOW, NULL), 0);
	assert_in_range(ask(u, &pick), 6, 9);
	upstream_drop(u);
}

/* Whatever is drawn and however it is chosen: nobody is ever above the quarter, as somebody always is below it. */
TEST(busy_near_ones_are_not_chosen_among_all_either)
{
	struct upstream *u = make(&upstream_defaults, 0);
	struct upstream_pick pick = { .near = UPSTREAM_SAME_NODE, .now_ns = NOW };
	struct origin *busy[60];

	pods[0].same_node = pods[0].same_zone = pods[1].same_zone = true;
	assert_int_equal(upstream_set(u, pods, 3, NOW, NULL), 0);
	for (unsigned i = 0; i < 300; i++) {
		unsigned load[3] = { 0 };

		pick.choice = i % 2 ? UPSTREAM_ROUND_ROBIN : UPSTREAM_LEAST;
		for (unsigned k = 0; k < 60; k++) {
			int pod;

			pick.random = i * 1000 + k;
			pod = take(u, &pick, &busy[k]);
			assert_in_range(pod, 0, 2);
			assert_true(++load[pod] <= ((k + 1) * 125 + 299) / 300);
		}
		for (unsigned k = 0; k < 60; k++)
			upstream_release(u, busy[k], UPSTREAM_OK, NOW);
	}
	upstream_drop(u);
}

TEST(what_was_tried_is_tried_last)
{
	struct upstream *u = make(&upstream_defaults, 3);
	struct origin *tried[3];
	struct upstream_pick pick = { .now_ns = NOW };

	for (int c = UPSTREAM_LEAST; c <= UPSTREAM_HASH; c++) {
		unsigned seen = 0;

		pick = (struct upstream_pick){ .choice = (enum upstream_choice)c,
					       .tried = tried,
					       .now_ns = NOW };
		for (pick.n_tried = 0; pick.n_tried < 3; pick.n_tried++)
			seen |= 1u << take(u, &pick, &tried[pick.n_tried]);
		assert_int_equal(seen, 7);
		assert_in_range(ask(u, &pick), 0, 2);
		for (int i = 0; i < 3; i++)
			upstream_release(u, tried[i], UPSTREAM_OK, NOW);
	}
	upstream_drop(u);
}

/* ---- ejection ----------------------------------------------------------------------------------------------------- */

/* Leaves no trace. */
static bool is_asked(struct upstream *u, int pod, uint64_t now_ns)
{
	struct upstream_pick pick = { .choice = UPSTREAM_ROUND_ROBIN, .now_ns = now_ns };
	bool asked = false;

	for (int i = 0; i < 50 && !asked; i++) {
		struct origin *o;

		asked = take(u, &pick, &o) == pod;
		upstream_release(u, o, UPSTREAM_ABANDONED, now_ns);
	}
	return asked;
}

TEST(failing_endpoints_are_left_alone_longer_each_time)
{
	struct upstream *u = make(&upstream_defaults, 4);
	uint64_t now = NOW;

	end(u, 2, 4, UPSTREAM_FAILED, now);
	end(u, 2, 1, UPSTREAM_OK, now); /* not in a row */
	end(u, 2, 4, UPSTREAM_FAILED, now);
	end(u, 2, 3, UPSTREAM_ABANDONED, now); /* says nothing */
	assert_true(is_asked(u, 2, now));
	end(u, 2, 1, UPSTREAM_FAILED, now);
	for (unsigned last_s = 2; last_s <= 64; last_s *= 2) {
		unsigned s = last_s < 60 ? last_s : 60;

		assert_false(is_asked(u, 2, now));
		assert_false(is_asked(u, 2, now + s * S - 1));
		assert_true(is_asked(u, 2, now + s * S));
		now += s * S;
		end(u, 2, 1, UPSTREAM_FAILED, now); /* one is enough now */
	}
	now += 60 * S;
	end(u, 2, 1, UPSTREAM_OK, now);
	end(u, 2, 5, UPSTREAM_FAILED, now + S); /* soon after: not forgotten */
	assert_false(is_asked(u, 2, now + 60 * S));
	now += 61 * S;
	end(u, 2, 1, UPSTREAM_OK, now + 61 * S); /* well for as long as it was away */
	now += 62 * S;
	end(u, 2, 5, UPSTREAM_FAILED, now);
	assert_false(is_asked(u, 2, now + S));
	assert_true(is_asked(u, 2, now + 2 * S));
	upstream_drop(u);
}

TEST(never_more_than_half)
{
	struct upstream *u = make(&upstream_defaults, 5);
	struct upstream_pick pick = { .choice = UPSTREAM_ROUND_ROBIN, .now_ns = NOW };
	unsigned seen = 0;

	for (unsigned i = 0; i < 4; i++)
		end(u, i, 5, UPSTREAM_FAILED, NOW);
	for (int i = 0; i < 50; i++)
		seen |= 1u << ask(u, &pick);
	assert_int_equal(seen, 1 << 2 | 1 << 3 | 1 << 4);
	/* Fewer endpoints: the promise holds for those that are left. */
	assert_int_equal(upstream_set(u, pods, 2, NOW, NULL), 0);
	for (seen = 0, pick.random = 0; pick.random < 50; pick.random++)
		seen |= 1u << ask(u, &pick);
	assert_true(seen == 1 || seen == 2);
	assert_int_equal(upstream_set(u, pods, 1, NOW, NULL), 0);
	assert_int_equal(ask(u, &pick), 0);
	upstream_drop(u);
}

TEST(one_alone_is_never_ejected_and_never_means_never)
{
	struct upstream_settings never = upstream_defaults;
	struct upstream *u = make(&upstream_defaults, 1);

	end(u, 0, 50, UPSTREAM_FAILED, NOW);
	assert_true(is_asked(u, 0, NOW));
	upstream_drop(u);
	never.eject_failures = 0;
	u = make(&never, 4);
	end(u, 0, 50, UPSTREAM_FAILED, NOW);
	assert_true(is_asked(u, 0, NOW));
	upstream_drop(u);
}

/* ---- changes ------------------------------------------------------------------------------------------------------ */

TEST(what_is_known_stays_over_changes)
{
	struct upstream *u = make(&upstream_defaults, 3);
	struct origin *kept, *left, *o;
	struct upstream_pick pick = { .choice = UPSTREAM_ROUND_ROBIN, .now_ns = NOW };
	size_t n_left;

	do { /* one stays in flight at number 1, one at number 2 */
		if (take(u, &pick, &kept) != 1)
			upstream_release(u, kept, UPSTREAM_OK, NOW);
	} while (kept->addr.b[3] != 1);
	do {
		if (take(u, &pick, &left) != 2)
			upstream_release(u, left, UPSTREAM_OK, NOW);
	} while (left->addr.b[3] != 2);
	end(u, 1, 5, UPSTREAM_FAILED, NOW);
	pods[5] = pods[1]; /* twice, and in another order */
	assert_int_equal(
		upstream_set(u, (struct upstream_endpoint[]){ pods[3], pods[1] }, 2, NOW, &n_left),
		0);
	assert_int_equal(n_left, 2);
	assert_int_equal(
		upstream_set(u, (struct upstream_endpoint[]){ pods[5], pods[4], pods[3], pods[1] },
			     4, NOW, &n_left),
		0);
	assert_int_equal(n_left, 0);
	assert_false(kept->gone);
	assert_true(left->gone);
	assert_int_equal(kept->in_flight, 1);
	assert_true(is_asked(u, 3, FOREVER) && is_asked(u, 4, FOREVER));
	assert_true(is_asked(u, 1, FOREVER) && !is_asked(u, 1, NOW));
	upstream_release(u, left, UPSTREAM_OK, NOW); /* it runs to its end */
	upstream_release(u, kept, UPSTREAM_OK, NOW);
	/* The same place, another pod: nothing is known of it. */
	pods[3].pod = "ns/other";
	assert_int_equal(upstream_set(u, pods + 3, 1, NOW, &n_left), 0);
	assert_int_equal(n_left, 3);
	assert_int_equal(take(u, &pick, &o), 3);
	assert_string_equal(o->pod, "ns/other");
	upstream_release(u, o, UPSTREAM_OK, NOW);
	upstream_drop(u);
}

static void count(void *ctx, const struct origin *origin)
{
	*(unsigned *)ctx = *(unsigned *)ctx * 10 + origin->addr.b[3];
}

TEST(a_page_lists_them)
{
	struct upstream *u = make(&upstream_defaults, 0);
	unsigned digits = 0;

	pods[2].same_node = true;
	pods[4].same_zone = true;
	assert_int_equal(upstream_set(u, pods + 1, 4, NOW, NULL), 0);
	upstream_each(u, count, &digits);
	assert_int_equal(digits, 2413);
	upstream_drop(u);
}

TEST(retries_are_a_tenth_and_three_a_second)
{
	struct upstream *u = make(&upstream_defaults, 2);
	uint64_t now = NOW;
	unsigned n = 0;

	while (upstream_may_retry(u, now))
		n++;
	assert_int_equal(n, 3);
	for (unsigned i = 0; i < 1000; i++)
		ask(u, &(struct upstream_pick){ .now_ns = now });
	for (n = 0; upstream_may_retry(u, now); n++)
		;
	assert_int_equal(n, 100);
	for (n = 0; now < NOW + 10 * S; now += S / 100)
		n += upstream_may_retry(u, now);
	assert_in_range(n, 29, 30);
	for (n = 0, now += 1000000 * S; upstream_may_retry(u, now); n++)
		;
	assert_int_equal(n, 1000); /* a calm saves up no more */
	/* Second tries bring nothing in. */
	for (unsigned i = 0; i < 1000; i++) {
		struct origin *none = NULL;

		ask(u, &(struct upstream_pick){ .now_ns = now, .tried = &none, .n_tried = 1 });
	}
	assert_false(upstream_may_retry(u, now));
	upstream_drop(u);
}

TEST(every_allocation_may_fail)
{
	struct upstream *u;
	struct upstream_pick pick = { .choice = UPSTREAM_ROUND_ROBIN, .now_ns = NOW };
	bool failed = true;

	make_pods();
	pods[2].pod = "ns/pod";
	for (unsigned n = 1; failed; n++) {
		int rc;

		failmalloc_at(n);
		rc = upstream_new(&upstream_defaults, NOW, &u);
		failed = failmalloc_done();
		assert_int_equal(rc, failed ? -ENOMEM : 0);
	}
	assert_int_equal(upstream_set(u, pods, 1, NOW, NULL), 0);
	failed = true;
	for (unsigned n = 1; failed; n++) {
		int rc;

		failmalloc_at(n);
		rc = upstream_set(u, pods, 4, NOW, NULL);
		failed = failmalloc_done();
		if (rc == 0)
			break; /* or only the memory to free the old list later was not there */
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(ask(u, &pick), 0);
		assert_int_equal(ask(u, &pick), 0);
	}
	assert_true(is_asked(u, 3, FOREVER));
	upstream_drop(u);
}

/* ---- reading without a lock ---------------------------------------------------------------------------------------- */

static unsigned freed;

static void on_free(void *what)
{
	free(what);
	freed++;
}

static void *read_for_a_while(void *arg)
{
	pthread_barrier_t *step = arg;

	epoch_enter();
	pthread_barrier_wait(step);
	pthread_barrier_wait(step);
	epoch_leave();
	pthread_barrier_wait(step);
	pthread_barrier_wait(step);
	return NULL;
}

TEST(nothing_is_freed_under_a_reader)
{
	pthread_barrier_t step;
	pthread_t reader;

	pthread_barrier_init(&step, NULL, 2);
	freed = 0;
	assert_int_equal(pthread_create(&reader, NULL, read_for_a_while, &step), 0);
	pthread_barrier_wait(&step);
	epoch_retire(malloc(1), on_free);
	epoch_collect();
	assert_int_equal(freed, 0);
	epoch_enter(); /* who comes later does not keep it */
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	epoch_collect();
	assert_int_equal(freed, 1);
	epoch_leave();
	epoch_retire(malloc(1), on_free);
	assert_int_equal(freed, 2);
	pthread_barrier_wait(&step);
	pthread_join(reader, NULL);
	pthread_barrier_destroy(&step);
}

RUN(cmocka_unit_test(without_endpoints_there_is_none),
    cmocka_unit_test(endpoints_of_an_upstream_that_nobody_has_are_gone),
    cmocka_unit_test(the_less_busy_of_two_is_taken),
    cmocka_unit_test(idle_endpoints_get_equal_shares), cmocka_unit_test(in_turn),
    cmocka_unit_test(a_newcomer_gets_its_share_bit_by_bit),
    cmocka_unit_test(newcomers_alone_are_not_spared), cmocka_unit_test(one_key_one_endpoint),
    cmocka_unit_test(a_bound_spreads_a_hot_key),
    cmocka_unit_test(a_cookie_finds_its_endpoint_and_tells_no_address),
    cmocka_unit_test(near_ones_first_until_they_are_busy),
    cmocka_unit_test(busy_near_ones_are_not_chosen_among_all_either),
    cmocka_unit_test(what_was_tried_is_tried_last),
    cmocka_unit_test(failing_endpoints_are_left_alone_longer_each_time),
    cmocka_unit_test(never_more_than_half),
    cmocka_unit_test(one_alone_is_never_ejected_and_never_means_never),
    cmocka_unit_test(what_is_known_stays_over_changes), cmocka_unit_test(a_page_lists_them),
    cmocka_unit_test(retries_are_a_tenth_and_three_a_second),
    cmocka_unit_test(every_allocation_may_fail), cmocka_unit_test(nothing_is_freed_under_a_reader))
