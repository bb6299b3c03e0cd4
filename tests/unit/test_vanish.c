// SPDX-License-Identifier: GPL-2.0-only
// Who has vanished, by what the kernel says of a connection; and what sockets are told to begin with.
/* link: user/ingress/vanish.c */
#include "unit/test.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "ingress/settings.h"
#include "ingress/sock.h"
#include "ingress/worker.h"

#define S    CLOCK_NS_PER_S
#define LATE UINT32_C(3600000) /* ms */

static uint64_t now_ns;

uint64_t worker_now_ns(const struct worker *worker)
{
	(void)worker;
	return now_ns;
}

void worker_set_timer(struct worker *worker, struct wheel_timer *timer, uint64_t deadline_ns)
{
	(void)worker;
	timer->deadline_ns = deadline_ns;
}

/* ---- the verdict -------------------------------------------------------------------------------------------------- */

/* Looks each second for so long at a connection of which `info` is true at first; whatever is an age grows. */
static bool is_given_up(struct tcp_info info, unsigned looks, uint64_t *doubt_ns)
{
	bool over = false;

	for (unsigned i = 0; i <= looks && !over; i++) {
		over = vanish_is_over(&info, now_ns, 30 * S, doubt_ns);
		info.tcpi_last_data_sent += 1000;
		info.tcpi_last_ack_recv += 1000;
		info.tcpi_last_data_recv += 1000;
		now_ns += S;
	}
	return over;
}

static void who_answers_nothing_is_given_up_after_the_time_and_not_before(void **state)
{
	/* Idle for an hour before: that is no silence. */
	struct tcp_info sent = { .tcpi_unacked = 1,
				 .tcpi_last_ack_recv = LATE,
				 .tcpi_last_data_recv = LATE };
	struct tcp_info probed = { .tcpi_probes = 1,
				   .tcpi_notsent_bytes = 1,
				   .tcpi_last_data_sent = LATE + 5000,
				   .tcpi_last_ack_recv = LATE,
				   .tcpi_last_data_recv = LATE };
	uint64_t doubt_ns;

	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct tcp_info *info = i ? &probed : &sent;

		now_ns = 10000 * S;
		doubt_ns = 0;
		assert_true(vanish_is_outstanding(info));
		assert_false(is_given_up(*info, 29, &doubt_ns));
		assert_true(is_given_up(*info, 0, &doubt_ns));
	}
}

static void who_answered_everything_is_there_however_long_his_window_is_closed(void **state)
{
	/* The last of our data, the answer to the last probe of it, and the next one in a minute. */
	struct tcp_info closed = { .tcpi_notsent_bytes = 1,
				   .tcpi_last_data_sent = 90000,
				   .tcpi_last_ack_recv = 1000,
				   .tcpi_last_data_recv = LATE };
	/* Bytes that were dropped, acknowledged with a window of nothing, and sent again more and more rarely. */
	struct tcp_info dropped = { .tcpi_unacked = 3,
				    .tcpi_last_data_sent = 1010,
				    .tcpi_last_ack_recv = 1000,
				    .tcpi_last_data_recv = LATE };
	uint64_t doubt_ns = 0;

	(void)state;
	now_ns = 10000 * S;
	assert_true(vanish_is_outstanding(&closed));
	assert_false(is_given_up(closed, 100, &doubt_ns));
	assert_false(is_given_up(dropped, 100, &doubt_ns));
}

static void an_answer_ends_the_doubt(void **state)
{
	struct tcp_info info = { .tcpi_probes = 1,
				 .tcpi_last_ack_recv = 60000,
				 .tcpi_last_data_recv = 60000 };
	uint64_t doubt_ns = 0;

	(void)state;
	now_ns = 10000 * S;
	assert_false(is_given_up(info, 25, &doubt_ns));
	/* Between two looks there was one, and the next probe has none yet. */
	info.tcpi_last_ack_recv = 500;
	assert_false(is_given_up(info, 25, &doubt_ns));
	/* Bytes of the peer's own are an answer, too. */
	info.tcpi_last_data_recv = 500;
	info.tcpi_last_ack_recv = 60000;
	assert_false(is_given_up(info, 29, &doubt_ns));
	info.tcpi_last_data_recv += 30000;
	assert_true(is_given_up(info, 0, &doubt_ns));
}

static void nothing_outstanding_is_left_to_keep_alive(void **state)
{
	struct tcp_info info = { .tcpi_last_data_sent = LATE,
				 .tcpi_last_ack_recv = LATE,
				 .tcpi_last_data_recv = LATE };

	(void)state;
	assert_false(vanish_is_outstanding(&info));
}

/* ---- options ------------------------------------------------------------------------------------------------------- */

static int get(int fd, int level, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
	return value;
}

static void keep_alive_gives_up_in_that_time_and_what_a_predecessor_set_is_undone(void **state)
{
	static const unsigned times_s[] = { 1, 2, 3, 4, 10, 30, 31, 60, 600, 3600 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ms = 30000;

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof(times_s) / sizeof(times_s[0]); i++) {
		int total, each;

		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
		vanish_set_options(fd, times_s[i] * S);
		assert_int_equal(get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
		assert_int_equal(get(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
		each = get(fd, IPPROTO_TCP, TCP_KEEPINTVL);
		total = get(fd, IPPROTO_TCP, TCP_KEEPIDLE) +
			each * get(fd, IPPROTO_TCP, TCP_KEEPCNT);
		assert_true(total >= (int)times_s[i] && total <= (int)times_s[i] + each);
	}
	vanish_set_options(fd, 0);
	assert_int_equal(get(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	close(fd);
}

/* ---- looks --------------------------------------------------------------------------------------------------------- */

static void on_event(void *arg, uint32_t events)
{
	(void)events;
	++*(unsigned *)arg;
}

static void what_is_no_connection_any_more_is_not_looked_at_again(void **state)
{
	struct settings settings = { .vanished_ns = 30 * S };
	struct worker *worker = calloc(1, sizeof(*worker));
	unsigned told = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sock one = { .fd = fd, .worker = worker, .fn = on_event, .arg = &told }, two = one;

	(void)state;
	assert_non_null(worker);
	worker->settings = &settings;
	TAILQ_INIT(&worker->watched);
	now_ns = 100 * S;
	vanish_watch(&one);
	vanish_watch(&two);
	vanish_watch(&one);
	assert_true(worker->look.deadline_ns > now_ns && worker->look.deadline_ns < now_ns + 3 * S);
	vanish_forget(&two);
	vanish_forget(&two);
	now_ns = worker->look.deadline_ns;
	worker->look.fn(worker->look.arg);
	assert_true(TAILQ_EMPTY(&worker->watched));
	assert_int_equal(told, 0);
	assert_int_equal(one.error, 0);
	settings.vanished_ns = 0;
	vanish_watch(&one);
	assert_true(TAILQ_EMPTY(&worker->watched));
	free(worker);
	close(fd);
}

RUN(cmocka_unit_test(who_answers_nothing_is_given_up_after_the_time_and_not_before),
    cmocka_unit_test(who_answered_everything_is_there_however_long_his_window_is_closed),
    cmocka_unit_test(an_answer_ends_the_doubt),
    cmocka_unit_test(nothing_outstanding_is_left_to_keep_alive),
    cmocka_unit_test(keep_alive_gives_up_in_that_time_and_what_a_predecessor_set_is_undone),
    cmocka_unit_test(what_is_no_connection_any_more_is_not_looked_at_again))
