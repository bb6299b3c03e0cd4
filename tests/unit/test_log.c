// SPDX-License-Identifier: GPL-2.0-only
// Log lines as they arrive at stderr: prefix, level, escapes, length, rate; and the clocks behind them.
/* link: user/base/log.c user/base/clock.c */
#include "unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static int stderr_fd = -1, pipe_fd[2];
static char got[8192];

/* From here to released() stderr is a pipe. */
static void captured(void)
{
	assert_int_equal(pipe(pipe_fd), 0);
	stderr_fd = dup(STDERR_FILENO);
	dup2(pipe_fd[1], STDERR_FILENO);
	close(pipe_fd[1]);
}

static const char *released(void)
{
	ssize_t len;

	dup2(stderr_fd, STDERR_FILENO);
	close(stderr_fd);
	len = read(pipe_fd[0], got, sizeof(got) - 1);
	got[len > 0 ? len : 0] = '\0';
	close(pipe_fd[0]);
	return got;
}

TEST(writes_time_level_and_text)
{
	const char *line;
	char level[8], z;
	int year, month, day, hour, minute, end = 0;
	float second;

	unsetenv("JOURNAL_STREAM");
	captured();
	log_warn("retry url=%s in_s=%d", "x", 3);
	line = released();
	assert_int_equal(sscanf(line, "%d-%d-%dT%d:%d:%f%c %7s %n", &year, &month, &day, &hour,
				&minute, &second, &z, level, &end),
			 8);
	assert_true(year >= 2024 && month >= 1 && month <= 12 && z == 'Z');
	assert_string_equal(level, "warn");
	assert_string_equal(line + end, "retry url=x in_s=3\n");
}

TEST(holds_back_what_is_below_the_level)
{
	captured();
	log_debug("not at start");
	log_set_level(LOG_LEVEL_ERR);
	log_warn("nor this");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("but this");
	log_set_level(LOG_LEVEL_INFO);
	released();
	assert_null(strstr(got, "not at start"));
	assert_null(strstr(got, "nor this"));
	assert_non_null(strstr(got, " debug but this\n"));
}

TEST(speaks_the_journals_way_only_to_the_journal)
{
	char stream[64];
	struct stat st;

	captured();
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_err("first");
	setenv("JOURNAL_STREAM", "1:1", 1); /* inherited, but our stderr is another */
	log_err("second");
	unsetenv("JOURNAL_STREAM");
	released();
	assert_memory_equal(got, "<3>first\n2", 10);
	assert_non_null(strstr(got, "Z error second\n"));
}

TEST(keeps_a_line_one_line)
{
	char longer[5000];

	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	captured();
	log_info("name=%s", "a\nb\x1b[0m\x7f\xc3\xa9");
	assert_non_null(strstr(released(), "name=a\\x0ab\\x1b[0m\\x7f\xc3\xa9\n"));
	captured();
	log_info("%s", longer);
	released();
	assert_int_equal(strlen(got), 2000 - 3);
	assert_int_equal(got[strlen(got) - 1], '\n');
}

TEST(limits_a_rate_and_counts_what_it_held_back)
{
	struct log_rate rate = { .burst = 2, .interval_ns = 10 };
	uint64_t held = 99;

	assert_true(log_rate_allows(&rate, 100, &held));
	assert_int_equal(held, 0);
	assert_true(log_rate_allows(&rate, 101, &held));
	assert_false(log_rate_allows(&rate, 102, &held));
	assert_false(log_rate_allows(&rate, 109, &held));
	assert_true(log_rate_allows(&rate, 110, &held));
	assert_int_equal(held, 2);
	assert_true(log_rate_allows(&rate, 111, &held));
	assert_int_equal(held, 0);
	assert_false(log_rate_allows(&rate, 112, &held));
}

TEST(reads_clocks_that_advance)
{
	uint64_t before = clock_now_ns();

	assert_true(clock_now_ns() >= before);
	assert_true(clock_wall_ns() > UINT64_C(1700000000) * CLOCK_NS_PER_S);
	assert_true(clock_wall_ns() < UINT64_C(5000000000) * CLOCK_NS_PER_S);
}

RUN(cmocka_unit_test(writes_time_level_and_text),
    cmocka_unit_test(holds_back_what_is_below_the_level),
    cmocka_unit_test(speaks_the_journals_way_only_to_the_journal),
    cmocka_unit_test(keeps_a_line_one_line),
    cmocka_unit_test(limits_a_rate_and_counts_what_it_held_back),
    cmocka_unit_test(reads_clocks_that_advance))
