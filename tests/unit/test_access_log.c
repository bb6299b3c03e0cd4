// SPDX-License-Identifier: GPL-2.0-only
/* The access log: what a line says, that it is JSON whatever a client sends, and that nobody waits for a slow reader. */
/* link: user/ingress/access_log.c user/ingress/access_log_format.c user/ingress/ending.c user/base/json.c user/base/buf.c user/base/log.c user/base/clock.c user/core/address.c */
/* libs: cjson */
#include "unit/test.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "ingress/access_log.h"
#include "ingress/rule.h"

#define MS   UINT64_C(1000000)
#define WALL UINT64_C(1767225600123000000) /* 2026-01-01T00:00:00.123Z */
#define TEXT(s)                    \
	{                          \
		(s), sizeof(s) - 1 \
	}
#define DEADLINE (10 * CLOCK_NS_PER_S)

static const struct route model_route = {
	.namespace = "default",
	.ingress = "ai-model-ingress",
	.host = "",
	.path = "/model",
	.service = "ai-model-service",
	.port = 80,
};
static const struct rule model_rule = { .route = &model_route };

static struct record example(void)
{
	return (struct record){
		.rule = &model_rule,
		.pod = "default/ai-model-1",
		.protocol = "HTTP/1.1",
		.method = TEXT("POST"),
		.host = TEXT("model.example"),
		.path = TEXT("/model/v1/chat"),
		.query = TEXT("key=secret"),
		.request_id = TEXT("7f1c"),
		.client = { .family = 4, .b = { 192, 0, 2, 7 } },
		.client_port = 40000,
		.status = 200,
		.ending = ENDING_COMPLETE,
		.phase = PHASE_DONE,
		.n_tries = 2,
		.tries = { { .addr = { .family = 4, .b = { 10, 244, 1, 11 } },
			     .port = 8080,
			     .ending = ENDING_ORIGIN_CONNECT },
			   { .addr = { .family = 6, .b = { 0xfd } },
			     .port = 8080,
			     .status = 200 } },
		.bytes_in = 12,
		.bytes_out = 3456,
		.begin_ns = 1000 * MS,
		.connect_ns = 1001 * MS,
		.connected_ns = 1003 * MS + 500000,
		.first_byte_ns = 1100 * MS,
		.end_ns = 2123 * MS,
		.gap_max_ns = 40 * MS,
	};
}

static cJSON *line_of(const struct record *record, bool with_query, struct buf *out)
{
	cJSON *json;

	buf_reset(out);
	access_log_format(record, with_query, WALL, out);
	assert_true(out->len > 1);
	assert_int_equal(out->data[out->len - 1], '\n');
	assert_null(memchr(out->data, '\n', out->len - 1));
	json = cJSON_Parse(out->data);
	if (!json)
		fail_msg("no JSON: %s", out->data);
	return json;
}

static const char *text_of(const cJSON *json, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItem(json, key));
}

static double number_of(const cJSON *json, const char *key)
{
	const cJSON *item = cJSON_GetObjectItem(json, key);

	if (!item)
		fail_msg("%s is missing", key);
	return cJSON_GetNumberValue(item);
}

TEST(a_line_says_what_happened)
{
	struct record record = example();
	struct buf out = { 0 };
	cJSON *json = line_of(&record, false, &out), *tries = cJSON_GetObjectItem(json, "tries");

	assert_string_equal(text_of(json, "time"), "2025-12-31T23:59:59.000Z");
	assert_string_equal(text_of(json, "method"), "POST");
	assert_string_equal(text_of(json, "client"), "192.0.2.7");
	assert_string_equal(text_of(json, "namespace"), "default");
	assert_string_equal(text_of(json, "ingress"), "ai-model-ingress");
	assert_string_equal(text_of(json, "rule_path"), "/model");
	assert_string_equal(text_of(json, "service"), "ai-model-service");
	assert_string_equal(text_of(json, "service_port"), "80");
	assert_string_equal(text_of(json, "pod"), "default/ai-model-1");
	assert_int_equal(cJSON_GetArraySize(tries), 2);
	assert_string_equal(text_of(cJSON_GetArrayItem(tries, 0), "ended"), "origin_connect");
	assert_string_equal(text_of(cJSON_GetArrayItem(tries, 0), "origin"), "10.244.1.11:8080");
	assert_string_equal(text_of(cJSON_GetArrayItem(tries, 1), "origin"), "[fd00::]:8080");
	assert_true(number_of(json, "total_ms") == 1123);
	assert_true(number_of(json, "connect_ms") == 2.5);
	assert_true(number_of(json, "first_byte_ms") == 100);
	assert_true(number_of(json, "gap_max_ms") == 40);
	assert_true(number_of(json, "bytes_out") == 3456);
	assert_string_equal(text_of(json, "ended"), "complete");
	assert_null(cJSON_GetObjectItem(json, "why"));
	assert_null(cJSON_GetObjectItem(json, "query"));
	cJSON_Delete(json);
	json = line_of(&record, true, &out);
	assert_string_equal(text_of(json, "query"), "key=secret");
	cJSON_Delete(json);
	buf_done(&out);
}

TEST(a_line_says_who_ended_it_and_why)
{
	struct record record = example();
	struct buf out = { 0 };
	cJSON *json;

	record.ending = ENDING_ORIGIN_TIMEOUT;
	record.phase = PHASE_WAIT;
	json = line_of(&record, false, &out);
	assert_string_equal(text_of(json, "ended_by"), "origin");
	assert_string_equal(text_of(json, "ended"), "origin_timeout");
	assert_string_equal(text_of(json, "phase"), "wait");
	assert_string_equal(text_of(json, "why"), "the endpoint sent or took nothing for too long");
	cJSON_Delete(json);
	record.reason = "client is not in allowlist-source-range";
	json = line_of(&record, false, &out);
	assert_string_equal(text_of(json, "why"), "client is not in allowlist-source-range");
	cJSON_Delete(json);
	buf_done(&out);
}

TEST(nothing_is_a_line_too)
{
	struct record record = { 0 };
	struct buf out = { 0 };
	cJSON *json = line_of(&record, true, &out);

	assert_true(number_of(json, "status") == 0);
	cJSON_Delete(json);
	buf_done(&out);
}

/* Every byte in every text, everything as long as it can be: still one line of JSON, within its room. */
TEST(whatever_a_client_sends_is_json)
{
	static char wild[20000], names[300];
	struct route route = { .namespace = names,
			       .ingress = names,
			       .host = names,
			       .path = names,
			       .service = names,
			       .port_name = names };
	struct rule rule = { .route = &route };
	struct record record = example();
	struct buf out = { 0 };

	memset(names, '"', sizeof(names) - 1);
	for (int round = 0; round < 256; round++) {
		struct record_text *texts[] = { &record.method,  &record.host,  &record.path,
						&record.query,   &record.agent, &record.request_id,
						&record.trace_id };

		for (size_t i = 0; i < sizeof(wild); i++)
			wild[i] = round == 255 ? '\1' : (char)((i * 7 + (size_t)round) & 0xff);
		for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
			*texts[i] = (struct record_text){ wild + i, sizeof(wild) - i };
		record.rule = &rule;
		record.pod = record.protocol = record.reason = names;
		record.client = (struct address){ .family = 6,
						  .b = { 0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8,
							 9, 10, 11, 12 } };
		record.n_tries = 65535;
		for (int i = 0; i < RECORD_TRIES; i++)
			record.tries[i] = (struct record_try){ record.client, 65535, 599,
							       ENDING_ORIGIN_TIMEOUT };
		record.bytes_in = record.bytes_out = UINT64_MAX;
		record.begin_ns = record.connect_ns = 1;
		record.connected_ns = record.first_byte_ns = record.end_ns = UINT64_MAX;
		record.gap_max_ns = UINT64_MAX;
		cJSON_Delete(line_of(&record, true, &out));
		assert_true(out.len < ACCESS_LOG_LINE);
	}
	buf_done(&out);
}

TEST(bytes_that_are_no_utf8_are_replaced)
{
	static const char *const cases[][2] = {
		{ "a\xc3\xa9z", "a\xc3\xa9z" },
		{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
		{ "\xff", "\xef\xbf\xbd" },
		{ "\xc3", "\xef\xbf\xbd" },
		{ "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\n\"\\", "\n\"\\" },
	};
	struct buf out = { 0 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct record record = { .path = { cases[i][0], strlen(cases[i][0]) } };
		cJSON *json = line_of(&record, false, &out);

		assert_string_equal(text_of(json, "path"), cases[i][1]);
		cJSON_Delete(json);
	}
	buf_done(&out);
}

/* ---- the file ------------------------------------------------------------------------------------- */

static void pause_a_little(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
}

static size_t count_file(const char *path, struct buf *out)
{
	char bytes[65536];
	size_t lines = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	buf_reset(out);
	if (fd < 0)
		return 0;
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		buf_put(out, bytes, (size_t)n);
	close(fd);
	for (size_t i = 0; i < out->len; i++)
		lines += out->data[i] == '\n';
	return lines;
}

static void wait_for_file(const char *path, size_t lines, struct buf *out)
{
	uint64_t until = clock_now_ns() + DEADLINE;

	while (count_file(path, out) < lines) {
		if (clock_now_ns() > until)
			fail_msg("%s has not %zu lines: %s", path, lines, buf_str(out));
		pause_a_little();
	}
}

TEST(lines_of_all_workers_reach_the_file)
{
	char dir[] = "/tmp/sluice-test-XXXXXX", path[64], moved[64];
	struct record record = example();
	struct access_log_stats stats;
	struct buf out = { 0 };
	struct access_log *log;
	struct stat st;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/access.log", dir);
	snprintf(moved, sizeof(moved), "%s/access.log.1", dir);
	assert_int_equal(access_log_new(path, 3, false, NULL, &log), 0);
	for (unsigned i = 0; i < 300; i++)
		access_log_write(log, i % 3, &record, WALL);
	wait_for_file(path, 300, &out);
	assert_null(strstr(out.data, "secret"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777 & 0027, 0); /* nobody else's to read */

	/* moved away: what follows is in a file of the old name */
	assert_int_equal(rename(path, moved), 0);
	for (uint64_t until = clock_now_ns() + DEADLINE; stat(path, &st) < 0; pause_a_little()) {
		assert_true(clock_now_ns() < until);
		access_log_write(log, 0, &record, WALL);
	}
	access_log_count(log, &stats);
	access_log_free(log); /* writes the rest */
	assert_int_equal(count_file(path, &out) + count_file(moved, &out), stats.lines);
	assert_int_equal(stats.lost + stats.failed, 0);
	buf_done(&out);
	unlink(path);
	unlink(moved);
	rmdir(dir);
}

/* Nobody reads: writing lines goes on, nothing grows, what was lost is counted and said. */
TEST(a_reader_that_stops_loses_lines_and_holds_nobody)
{
	char dir[] = "/tmp/sluice-test-XXXXXX", path[64];
	struct record record = example();
	struct access_log_stats stats;
	struct access_log *log;
	struct buf out = { 0 };
	uint64_t start, written = 0;
	char bytes[65536];
	ssize_t n;
	int fd;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pipe", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(access_log_new(path, 1, false, NULL, &log), 0);
	start = clock_now_ns();
	do {
		access_log_write(log, 0, &record, WALL);
		written++;
		access_log_count(log, &stats);
	} while (!stats.lost && clock_now_ns() - start < DEADLINE);
	for (int i = 0; i < 1000; i++, written++)
		access_log_write(log, 0, &record, WALL);
	access_log_count(log, &stats);
	assert_true(stats.lost >= 1000);
	assert_int_equal(stats.lines + stats.lost, written);
	/* ahead by what is kept, what is being written and what the pipe holds, no more */
	assert_true(stats.lines * 300 < 3 * ACCESS_LOG_KEEP + 65536);

	/* it reads again: every line that was kept comes, and the word about the others */
	for (start = clock_now_ns(); clock_now_ns() - start < DEADLINE;) {
		n = read(fd, bytes, sizeof(bytes));
		if (n > 0)
			buf_put(&out, bytes, (size_t)n);
		else
			pause_a_little();
		if (out.data && strstr(out.data, "\"lost_lines\":"))
			break;
	}
	assert_non_null(strstr(buf_str(&out), "\"lost_lines\":"));
	close(fd);
	access_log_free(log);
	buf_done(&out);
	unlink(path);
	rmdir(dir);
}

TEST(a_reader_that_never_comes_back_does_not_keep_the_process)
{
	char dir[] = "/tmp/sluice-test-XXXXXX", path[64];
	struct record record = example();
	struct access_log *log;
	uint64_t start;
	int fd;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pipe", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(access_log_new(path, 1, false, NULL, &log), 0);
	for (int i = 0; i < 2000; i++)
		access_log_write(log, 0, &record, WALL);
	start = clock_now_ns();
	access_log_free(log);
	assert_true(clock_now_ns() - start < DEADLINE);
	close(fd);
	unlink(path);
	rmdir(dir);
}

TEST(a_place_that_cannot_be_written_is_named)
{
	struct err err = { 0 };
	struct access_log *log;

	assert_true(access_log_new("/nowhere/access.log", 1, false, &err, &log) < 0);
	assert_non_null(strstr(err.what, "--access-log /nowhere/access.log"));
}

RUN(cmocka_unit_test(a_line_says_what_happened), cmocka_unit_test(a_line_says_who_ended_it_and_why),
    cmocka_unit_test(nothing_is_a_line_too), cmocka_unit_test(whatever_a_client_sends_is_json),
    cmocka_unit_test(bytes_that_are_no_utf8_are_replaced),
    cmocka_unit_test(lines_of_all_workers_reach_the_file),
    cmocka_unit_test(a_reader_that_stops_loses_lines_and_holds_nobody),
    cmocka_unit_test(a_reader_that_never_comes_back_does_not_keep_the_process),
    cmocka_unit_test(a_place_that_cannot_be_written_is_named))
