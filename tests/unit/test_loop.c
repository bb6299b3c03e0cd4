// SPDX-License-Identifier: GPL-2.0-only
// The event loop: descriptors, timers, deferred work, signals, and removal from within callbacks.
/* link: user/base/loop.c user/base/clock.c */
#include "unit/test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"

#define MS CLOCK_NS_PER_MS

static struct loop *loop;
static char trace[4096]; /* what ran, one letter a callback */

static int start(void **state)
{
	(void)state;
	trace[0] = '\0';
	return loop_new(&loop);
}

static int stop(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

static void note(void *letter)
{
	strcat(trace, letter);
}

static void note_and_stop(void *letter)
{
	note(letter);
	loop_stop(loop, 7);
}

/* A loop that hangs fails the test instead of the run. */
static void run_at_most(uint64_t limit_ns)
{
	struct loop_event *limit;

	assert_int_equal(loop_add_timer(loop, note_and_stop, "!", &limit), 0);
	assert_int_equal(loop_arm(limit, limit_ns, 0), 0);
	assert_int_equal(loop_run(loop), 7);
	loop_remove(limit);
	assert_null(strchr(trace, '!'));
}

TEST(timers_fire_in_order_of_their_deadlines)
{
	enum { TIMERS = 40 };
	static char letters[TIMERS][2];
	/* Between which a deadline lies: this thread may stand still for longer than two of them are apart. */
	uint64_t earliest_ns[TIMERS], latest_ns[TIMERS];
	struct loop_event *timer, *last;

	for (int i = 0; i < TIMERS; i++) {
		/* 0, 7, 14, … mod 40: added out of order, each with a deadline of its own */
		int at = i * 7 % TIMERS;
		uint64_t delay_ns = (uint64_t)(1 + at) * MS / 4;

		letters[at][0] = (char)('A' + at);
		assert_int_equal(loop_add_timer(loop, note, letters[at], &timer), 0);
		earliest_ns[at] = clock_now_ns() + delay_ns;
		assert_int_equal(loop_arm(timer, delay_ns, 0), 0);
		latest_ns[at] = clock_now_ns() + delay_ns;
		assert_true(loop_is_armed(timer));
	}
	assert_int_equal(loop_add_timer(loop, note_and_stop, "", &last), 0);
	assert_int_equal(loop_arm(last, 30 * MS, 0), 0);
	run_at_most(5000 * MS);
	assert_int_equal(strlen(trace), TIMERS);
	for (int i = 0; i < TIMERS; i++) {
		assert_non_null(strchr(trace, letters[i][0]));
		for (int later = i + 1; later < TIMERS; later++)
			assert_true(earliest_ns[trace[i] - 'A'] <= latest_ns[trace[later] - 'A']);
	}
	assert_false(loop_is_armed(timer));
}

static struct loop_event *periodic;
static int ticks;

static void tick(void *end)
{
	if (++ticks < 3)
		return;
	loop_disarm(periodic);
	loop_arm(end, 20 * MS, 0); /* time enough for a tick that should not come */
}

TEST(a_periodic_timer_goes_on_until_it_is_disarmed)
{
	struct loop_event *end;
	uint64_t begin_ns = clock_now_ns();

	ticks = 0;
	loop_add_timer(loop, note_and_stop, "", &end);
	loop_add_timer(loop, tick, end, &periodic);
	loop_arm(periodic, 2 * MS, 3 * MS);
	run_at_most(5000 * MS);
	assert_int_equal(ticks, 3);
	assert_true(clock_now_ns() - begin_ns >= (2 + 3 + 3 + 20) * MS);
}

TEST(arming_again_moves_a_timer)
{
	struct loop_event *moved, *end;

	loop_add_timer(loop, note, "m", &moved);
	loop_arm(moved, 1 * MS, 0);
	loop_arm(moved, 3600 * CLOCK_NS_PER_S, 0);
	loop_add_timer(loop, note_and_stop, "e", &end);
	loop_arm(end, 10 * MS, 0);
	run_at_most(5000 * MS);
	assert_string_equal(trace, "e");
	loop_arm(moved, 1 * MS, 0);
	loop_arm(end, 10 * MS, 0);
	run_at_most(5000 * MS);
	assert_string_equal(trace, "eme"); /* once: it does not stand in two places */
	loop_arm(moved, UINT64_MAX, 0);    /* beyond what a clock can say: never */
	assert_int_equal(loop_turn(loop, 0), 0);
}

static struct loop_event *self;
static int rearmed;

static void arm_again(void *arg)
{
	(void)arg;
	if (++rearmed < 5)
		loop_arm(self, 0, 0);
	else
		loop_stop(loop, 7);
}

TEST(a_timer_that_rearms_itself_with_no_delay_lets_the_turn_end)
{
	rearmed = 0;
	loop_add_timer(loop, arm_again, NULL, &self);
	loop_arm(self, 0, 0);
	assert_int_equal(loop_turn(loop, 1000 * MS), 1);
	assert_int_equal(rearmed, 1);
	run_at_most(5000 * MS);
	assert_int_equal(rearmed, 5);
}

static void read_one(void *letter, int fd, uint32_t events)
{
	char c;

	assert_true(events & EPOLLIN);
	assert_int_equal(read(fd, &c, 1), 1);
	note(letter);
}

TEST(a_descriptor_is_watched_until_it_is_removed)
{
	struct loop_event *event;
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	assert_int_equal(loop_add_fd(loop, fd[0], EPOLLIN, read_one, "r", &event), 0);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_int_equal(write(fd[1], "abc", 3), 3);
	assert_int_equal(loop_turn(loop, 1000 * MS), 1);
	assert_int_equal(loop_turn(loop, 1000 * MS), 1);
	assert_int_equal(loop_set_fd_events(event, 0), 0);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_int_equal(loop_set_fd_events(event, EPOLLIN), 0);
	assert_int_equal(loop_turn(loop, 1000 * MS), 1);
	assert_int_equal(write(fd[1], "d", 1), 1);
	loop_remove(event);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_string_equal(trace, "rrr");
	close(fd[0]);
	close(fd[1]);
}

TEST(refuses_what_cannot_be_watched)
{
	struct loop_event *event = NULL;
	int fd[2];

	assert_int_equal(loop_add_fd(loop, -1, EPOLLIN, read_one, "", &event), -EBADF);
	assert_int_equal(loop_add_signal(loop, 9999, NULL, NULL, &event), -EINVAL);
	assert_null(event);
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(loop_add_fd(loop, fd[0], EPOLLIN, read_one, "", &event), 0);
	assert_int_equal(loop_add_fd(loop, fd[0], EPOLLIN, read_one, "", &event), -EEXIST);
	loop_remove(NULL);
	loop_remove(event);
	close(fd[0]);
	close(fd[1]);
}

static struct loop_event *both[2];

static void remove_both(void *arg, int fd, uint32_t events)
{
	(void)arg, (void)fd, (void)events;
	note("x");
	loop_remove(both[0]);
	loop_remove(both[1]);
}

/* Both are ready in one turn: whichever runs first removes both, and the other must not run. */
TEST(an_event_removed_in_its_turn_does_not_run)
{
	int a[2], b[2];

	assert_int_equal(pipe(a), 0);
	assert_int_equal(pipe(b), 0);
	loop_add_fd(loop, a[0], EPOLLIN, remove_both, NULL, &both[0]);
	loop_add_fd(loop, b[0], EPOLLIN, remove_both, NULL, &both[1]);
	assert_int_equal(write(a[1], "1", 1), 1);
	assert_int_equal(write(b[1], "1", 1), 1);
	assert_int_equal(loop_turn(loop, 1000 * MS), 1);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_string_equal(trace, "x");
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
}

static struct loop_event *timers[3];

static void remove_timers(void *arg)
{
	(void)arg;
	note("t");
	for (int i = 0; i < 3; i++)
		loop_remove(timers[i]);
}

TEST(a_periodic_timer_may_remove_itself_and_others)
{
	for (int i = 0; i < 3; i++) {
		loop_add_timer(loop, remove_timers, NULL, &timers[i]);
		loop_arm(timers[i], 0, 1);
	}
	assert_int_equal(loop_turn(loop, 1000 * MS), 1);
	assert_int_equal(loop_turn(loop, 2 * MS), 0);
	assert_string_equal(trace, "t");
}

static struct loop_event *deferred[2];

static void post_both(void *letter)
{
	note(letter);
	loop_post(deferred[0]);
	loop_post(deferred[1]);
}

TEST(deferred_work_runs_once_a_turn_in_order_of_posting)
{
	loop_add_deferred(loop, note, "a", &deferred[0]);
	loop_add_deferred(loop, note, "b", &deferred[1]);
	loop_post(deferred[1]);
	loop_post(deferred[0]);
	loop_post(deferred[1]);
	assert_int_equal(loop_turn(loop, UINT64_MAX), 2); /* does not wait */
	assert_string_equal(trace, "ba");
	assert_int_equal(loop_turn(loop, 0), 0);
}

TEST(deferred_work_posted_by_a_callback_runs_in_the_same_turn_and_by_deferred_work_in_the_next)
{
	struct loop_event *timer;

	loop_add_deferred(loop, post_both, "p", &deferred[0]);
	loop_add_deferred(loop, note, "b", &deferred[1]);
	loop_add_timer(loop, post_both, "t", &timer);
	loop_arm(timer, 0, 0);
	assert_int_equal(loop_turn(loop, 1000 * MS), 3);
	assert_string_equal(trace, "tpb");
	assert_int_equal(loop_turn(loop, UINT64_MAX), 1);
	assert_string_equal(trace, "tpbp");
	assert_int_equal(loop_turn(loop, UINT64_MAX), 2);
	assert_string_equal(trace, "tpbppb");
}

static void remove_other(void *arg)
{
	(void)arg;
	note("r");
	loop_post(
		deferred[1]); /* stands in the queue for the next turn, and goes before it comes */
	loop_remove(deferred[1]);
}

TEST(deferred_work_removed_while_it_is_posted_does_not_run)
{
	loop_add_deferred(loop, remove_other, NULL, &deferred[0]);
	loop_add_deferred(loop, note, "b", &deferred[1]);
	loop_post(deferred[0]);
	loop_post(deferred[1]);
	assert_int_equal(loop_turn(loop, 0), 1);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_string_equal(trace, "r");
}

static void on_signal(void *letter, int signo)
{
	assert_int_equal(signo, SIGUSR1);
	note_and_stop(letter);
}

TEST(a_signal_arrives_as_a_callback)
{
	struct loop_event *event;

	assert_int_equal(loop_add_signal(loop, SIGUSR1, on_signal, "s", &event), 0);
	raise(SIGUSR1);
	run_at_most(5000 * MS);
	assert_string_equal(trace, "s");
}

TEST(a_turn_waits_no_longer_than_told)
{
	uint64_t begin_ns = clock_now_ns(), took_ns;

	assert_int_equal(loop_turn(loop, 20 * MS), 0);
	took_ns = clock_now_ns() - begin_ns;
	assert_true(took_ns >= 20 * MS);
	assert_true(took_ns < 5000 * MS);
	assert_true(loop_now_ns(loop) >= begin_ns + 20 * MS);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

RUN(LOOP_TEST(timers_fire_in_order_of_their_deadlines),
    LOOP_TEST(a_periodic_timer_goes_on_until_it_is_disarmed), LOOP_TEST(arming_again_moves_a_timer),
    LOOP_TEST(a_timer_that_rearms_itself_with_no_delay_lets_the_turn_end),
    LOOP_TEST(a_descriptor_is_watched_until_it_is_removed),
    LOOP_TEST(refuses_what_cannot_be_watched), LOOP_TEST(an_event_removed_in_its_turn_does_not_run),
    LOOP_TEST(a_periodic_timer_may_remove_itself_and_others),
    LOOP_TEST(deferred_work_runs_once_a_turn_in_order_of_posting),
    LOOP_TEST(
	    deferred_work_posted_by_a_callback_runs_in_the_same_turn_and_by_deferred_work_in_the_next),
    LOOP_TEST(deferred_work_removed_while_it_is_posted_does_not_run),
    LOOP_TEST(a_signal_arrives_as_a_callback), LOOP_TEST(a_turn_waits_no_longer_than_told))
