// SPDX-License-Identifier: GPL-2.0-only
// The wheel: never early, at most two ticks late, moved as often as anybody likes, also from its own callbacks.
/* link: user/ingress/wheel.c */
#include "unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "ingress/wheel.h"

#define START UINT64_C(123456789012345)
#define MS    UINT64_C(1000000)

static struct wheel wheel;
static uint64_t now_ns;

struct waiter {
	struct wheel_timer timer;
	uint64_t wanted_ns;
	unsigned called;
	uint64_t at_ns;
};

static void on_time(void *arg)
{
	struct waiter *w = arg;

	w->called++;
	w->at_ns = now_ns;
}

static void set(struct waiter *w, uint64_t after_ns)
{
	w->timer.fn = on_time;
	w->timer.arg = w;
	w->wanted_ns = now_ns + after_ns;
	wheel_set(&wheel, &w->timer, w->wanted_ns);
}

static void start(void)
{
	now_ns = START;
	wheel_init(&wheel, now_ns);
}

/* As a loop would: sleeps until the wheel says so. */
static void go(uint64_t ns)
{
	uint64_t until = now_ns + ns;

	while (now_ns < until) {
		uint64_t next = wheel_next(&wheel);

		now_ns = next < until ? next : until;
		wheel_run(&wheel, now_ns);
	}
}

static void check_on_time(const struct waiter *w)
{
	assert_int_equal(w->called, 1);
	assert_true(w->at_ns >= w->wanted_ns);
	assert_true(w->at_ns <= w->wanted_ns + 2 * WHEEL_TICK_NS);
}

TEST(deadlines_near_and_far_are_kept)
{
	static const uint64_t after[] = { 0,          1,           MS,           WHEEL_TICK_NS,
					  75000 * MS, 600000 * MS, 3600000 * MS, 69 * 1000 * MS };
	struct waiter w[8] = { 0 };

	start();
	assert_int_equal(wheel_next(&wheel), UINT64_MAX);
	for (int i = 0; i < 8; i++)
		set(&w[i], after[i]);
	go(3700000 * MS);
	for (int i = 0; i < 8; i++)
		check_on_time(&w[i]);
	assert_int_equal(wheel_next(&wheel), UINT64_MAX);
}

TEST(what_is_moved_away_waits_and_what_is_moved_here_does_not)
{
	struct waiter away = { 0 }, here = { 0 };

	start();
	set(&away, 100 * MS);
	set(&here, 60000 * MS);
	for (int i = 0; i < 1000; i++) { /* as a connection that is busy */
		go(50 * MS);
		set(&away, 100 * MS);
	}
	assert_int_equal(away.called, 0);
	set(&here, 200 * MS);
	go(1000 * MS);
	check_on_time(&away);
	check_on_time(&here);
}

TEST(what_is_cleared_is_not_called)
{
	struct waiter w[3] = { 0 };

	start();
	for (int i = 0; i < 3; i++)
		set(&w[i], 50 * MS);
	wheel_clear(&wheel, &w[1].timer);
	wheel_clear(&wheel, &w[1].timer);
	go(1000 * MS);
	assert_int_equal(w[0].called + w[2].called, 2);
	assert_int_equal(w[1].called, 0);
}

/* Callbacks that clear the others of their slot, and set themselves and others anew. */
static struct waiter same[4];

static void clears_all(void *arg)
{
	struct waiter *w = arg;

	w->called++;
	for (int i = 0; i < 4; i++)
		if (&same[i] != w)
			wheel_clear(&wheel, &same[i].timer);
}

static void again(void *arg)
{
	struct waiter *w = arg;

	if (++w->called < 5)
		wheel_set(&wheel, &w->timer, now_ns + 10 * MS);
}

TEST(callbacks_may_do_as_they_like)
{
	unsigned called = 0;
	struct waiter w = { .timer = { .fn = again } };

	start();
	memset(same, 0, sizeof(same));
	for (int i = 0; i < 4; i++) {
		set(&same[i], 30 * MS);
		same[i].timer.fn = clears_all;
	}
	w.timer.arg = &w;
	wheel_set(&wheel, &w.timer, now_ns + 10 * MS);
	go(1000 * MS);
	for (int i = 0; i < 4; i++)
		called += same[i].called;
	assert_int_equal(called, 1);
	assert_int_equal(w.called, 5);
}

TEST(a_late_run_calls_everything_that_is_due_and_nothing_else)
{
	struct waiter w[200] = { 0 };

	start();
	for (int i = 0; i < 200; i++)
		set(&w[i], (uint64_t)i * 1000 * MS);
	now_ns += 100500 * MS; /* nobody ran it for that long */
	wheel_run(&wheel, now_ns);
	for (int i = 0; i < 200; i++)
		assert_int_equal(w[i].called, i <= 100);
}

TEST(any_order_of_everything)
{
	struct waiter w[64] = { 0 };
	unsigned seed = 7;

	start();
	for (int step = 0; step < 200000; step++) {
		struct waiter *one = &w[rand_r(&seed) % 64];

		switch (rand_r(&seed) % 4) {
		case 0:
		case 1:
			one->called = 0;
			set(one, (uint64_t)rand_r(&seed) % (90000 * MS));
			break;
		case 2:
			wheel_clear(&wheel, &one->timer);
			one->wanted_ns = 0;
			one->called = 0;
			break;
		default:
			go((uint64_t)rand_r(&seed) % (300 * MS));
			for (int i = 0; i < 64; i++) {
				if (w[i].called)
					check_on_time(&w[i]);
				else if (w[i].wanted_ns)
					assert_true(w[i].wanted_ns + 2 * WHEEL_TICK_NS > now_ns);
			}
		}
	}
}

RUN(cmocka_unit_test(deadlines_near_and_far_are_kept),
    cmocka_unit_test(what_is_moved_away_waits_and_what_is_moved_here_does_not),
    cmocka_unit_test(what_is_cleared_is_not_called),
    cmocka_unit_test(callbacks_may_do_as_they_like),
    cmocka_unit_test(a_late_run_calls_everything_that_is_due_and_nothing_else),
    cmocka_unit_test(any_order_of_everything))
