// SPDX-License-Identifier: GPL-2.0-only
// When sockets of lost backends are looked for: after a loss, once more if one comes meanwhile, again if the kernel refused.
/* link: user/agent/sweep.c user/base/loop.c user/base/log.c */
#include "unit/test.h"

#include <errno.h>
#include <string.h>

#include "agent/sweep.h"
#include "base/clock.h"
#include "base/loop.h"
#include "dp/maps.h"
#include "dp/sockets.h"

#define MS CLOCK_NS_PER_MS
#define S  CLOCK_NS_PER_S

/* ---- what stands around it: a clock that the test moves, and a kernel that answers as it is told ---- */

static uint64_t now_ns;
static struct sockets_result result;
static int fails_new, fails_step; /* what the kernel says, 0: nothing is wrong */
static int pieces;                /* of each sweep */
static int begun, left, freed;

uint64_t clock_now_ns(void)
{
	return now_ns;
}

uint64_t clock_wall_ns(void)
{
	return now_ns;
}

int dp_meta_read(const struct dp *dp, struct sl_meta *ret_meta)
{
	(void)dp;
	memset(ret_meta, 0, sizeof(*ret_meta));
	return 0;
}

int sockets_sweep_new(struct dp *dp, uint32_t seed, struct sockets_sweep **ret_sweep)
{
	(void)dp;
	(void)seed;
	begun++;
	left = pieces;
	if (fails_new)
		return fails_new;
	*ret_sweep = (struct sockets_sweep *)&result;
	return 0;
}

int sockets_sweep_step(struct sockets_sweep *sweep)
{
	(void)sweep;
	return fails_step ? fails_step : --left > 0;
}

const struct sockets_result *sockets_sweep_result(const struct sockets_sweep *sweep)
{
	(void)sweep;
	return &result;
}

void sockets_sweep_free(struct sockets_sweep *sweep)
{
	freed += sweep != NULL;
}

/* ---- */

static struct loop *loop;
static struct sweep *sweep;

static int setup(void **state)
{
	(void)state;
	now_ns = 1000 * S;
	result = (struct sockets_result){ 0 };
	fails_new = fails_step = begun = freed = 0;
	pieces = 1;
	return loop_new(&loop) || sweep_new(loop, NULL, &sweep);
}

static int teardown(void **state)
{
	(void)state;
	sweep_free(sweep);
	loop_free(loop);
	return 0;
}

/* Turns at this moment, until there is nothing to do any more. */
static void turns_after(uint64_t ns)
{
	now_ns += ns;
	while (loop_turn(loop, 0) > 0)
		;
}

TEST(a_loss_is_looked_at_at_once_and_what_comes_meanwhile_once_more)
{
	turns_after(1 * S);
	assert_int_equal(begun, 0);
	pieces = 3;
	sweep_want(sweep);
	sweep_want(sweep);
	loop_turn(loop, 0);
	assert_int_equal(begun, 1);
	sweep_want(sweep); /* its sockets may have been passed already */
	turns_after(0);
	assert_int_equal(freed, 1);
	assert_int_equal(begun, 1);
	turns_after(49 * MS);
	assert_int_equal(begun, 1);
	turns_after(1 * MS);
	assert_int_equal(begun, 2);
	assert_int_equal(freed, 2);
	turns_after(100 * S);
	assert_int_equal(begun, 2);
	assert_int_equal(sweep_count(sweep)->sweeps, 2);
}

/* Nobody else would tell those sockets: the next loss may be days away. */
static void is_tried_again(int *fails, int rc)
{
	result.destroyed = 2;
	*fails = rc;
	sweep_want(sweep);
	turns_after(0);
	assert_int_equal(begun, 1);
	turns_after(999 * MS);
	assert_int_equal(begun, 1);
	turns_after(1 * MS);
	assert_int_equal(begun, 2);
	*fails = 0;
	turns_after(1999 * MS);
	assert_int_equal(begun, 2);
	turns_after(1 * MS);
	assert_int_equal(begun, 3);
	assert_int_equal(sweep_count(sweep)->sweeps, 1);
	turns_after(1000 * S);
	assert_int_equal(begun, 3);
}

TEST(one_that_cannot_begin_is_tried_again)
{
	is_tried_again(&fails_new, -EMFILE);
}

TEST(one_that_breaks_off_is_tried_again)
{
	is_tried_again(&fails_step, -ENOBUFS);
}

/* A kernel that never answers is asked once a minute; a loss meanwhile does not wait for that. */
TEST(tries_grow_rare)
{
	fails_step = -ENOENT;
	sweep_want(sweep);
	turns_after(0);
	for (int i = 0; i < 6; i++) /* 1, 2, 4 … 32 s */
		turns_after((1 * S) << i);
	assert_int_equal(begun, 7);
	for (int i = 0; i < 3; i++) {
		turns_after(60 * S - 1);
		assert_int_equal(begun, 7 + i);
		turns_after(1);
		assert_int_equal(begun, 8 + i);
	}
	turns_after(10 * S);
	sweep_want(sweep);
	turns_after(0);
	assert_int_equal(begun, 11);
	assert_int_equal(sweep_count(sweep)->sweeps, 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

RUN(T(a_loss_is_looked_at_at_once_and_what_comes_meanwhile_once_more),
    T(one_that_cannot_begin_is_tried_again), T(one_that_breaks_off_is_tried_again),
    T(tries_grow_rare))
