// SPDX-License-Identifier: GPL-2.0-only
// Barriers that a thread waits for while the loop goes on, under ThreadSanitizer.
/* link: user/agent/grace.c user/base/loop.c user/base/clock.c */
#include "unit/test.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "agent/grace.h"
#include "base/clock.h"
#include "base/loop.h"
#include "dp/maps.h"

#define ROUNDS 1000

static sem_t may_pass;
static atomic_int passed;
static int fail_every;

/* Stands for the kernel's: takes as long as the test wants. */
int dp_barrier(struct dp *dp)
{
	(void)dp;
	sem_wait(&may_pass);
	return ++passed % fail_every ? 0 : -EAGAIN;
}

struct told {
	struct grace *grace;
	int n, failed;
};

static void on_passed(void *ctx, int rc)
{
	struct told *told = ctx;

	assert_false(grace_is_under_way(told->grace));
	told->n++;
	told->failed += rc < 0;
	assert_true(rc == 0 || rc == -EAGAIN);
	if (told->n < ROUNDS) {
		grace_begin(told->grace);
		sem_post(&may_pass);
	}
}

static void turn_until(struct loop *loop, const int *n, int want)
{
	uint64_t end_ns = clock_now_ns() + 60 * CLOCK_NS_PER_S;

	while (*n < want && clock_now_ns() < end_ns)
		assert_true(loop_turn(loop, CLOCK_NS_PER_S) >= 0);
	assert_int_equal(*n, want);
}

TEST(the_loop_goes_on_and_hears_of_each)
{
	struct told told = { 0 };
	struct loop *loop;

	fail_every = 10;
	passed = 0;
	assert_int_equal(sem_init(&may_pass, 0, 0), 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(grace_new(loop, NULL, on_passed, &told, &told.grace), 0);
	assert_false(grace_is_under_way(told.grace));
	grace_begin(told.grace);
	assert_true(grace_is_under_way(told.grace));
	assert_int_equal(loop_turn(loop, 10 * CLOCK_NS_PER_MS), 0); /* it is not waited for */
	assert_true(grace_is_under_way(told.grace));
	assert_int_equal(told.n, 0);
	sem_post(&may_pass);
	turn_until(loop, &told.n, ROUNDS);
	assert_int_equal(told.failed, ROUNDS / fail_every);
	assert_int_equal(passed, ROUNDS);
	grace_free(told.grace);
	loop_free(loop);
}

/* Nobody is told any more, and what is under way has ended. */
TEST(an_end_in_the_middle)
{
	struct told told = { .n = ROUNDS };
	struct loop *loop;

	fail_every = 10;
	passed = 0;
	assert_int_equal(sem_init(&may_pass, 0, 0), 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(grace_new(loop, NULL, on_passed, &told, &told.grace), 0);
	grace_begin(told.grace);
	sem_post(&may_pass);
	grace_free(told.grace);
	assert_int_equal(told.n, ROUNDS);
	assert_int_equal(loop_turn(loop, 0), 0);
	loop_free(loop);
	grace_free(NULL);
}

RUN(cmocka_unit_test(the_loop_goes_on_and_hears_of_each), cmocka_unit_test(an_end_in_the_middle))
