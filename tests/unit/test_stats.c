// SPDX-License-Identifier: GPL-2.0-only
/* Counters: what is counted shows up under the right labels, never falls, and never makes more series than it may. */
/* link: user/ingress/stats.c user/ingress/stats_page.c user/ingress/ending.c user/base/metrics_text.c user/base/table.c user/base/buf.c */
#include "unit/test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "ingress/stats_internal.h"

#define MS UINT64_C(1000000)

static struct stats_hub *new_hub(unsigned workers)
{
	struct stats_hub *hub;

	assert_int_equal(stats_hub_new(workers, 1, &hub), 0);
	return hub;
}

static unsigned take(struct stats_hub *hub, const char *ingress)
{
	struct stats_labels labels = { "default", ingress, "", "/model", "ai-model-service" };

	return stats_slot_take(hub, &labels);
}

static void count(struct stats_hub *hub, unsigned worker, unsigned slot, uint16_t status)
{
	struct record record = {
		.method = { "POST", 4 },
		.status = status,
		.n_tries = 2,
		.begin_ns = 1000 * MS,
		.connect_ns = 1000 * MS,
		.connected_ns = 1001 * MS,
		.first_byte_ns = 1200 * MS,
		.end_ns = 3000 * MS,
		.bytes_in = 500,
		.bytes_out = 5000,
		.ending = status == 502 ? ENDING_ORIGIN_RESET : ENDING_COMPLETE,
	};

	stats_begin(stats_hub_worker(hub, worker), slot);
	stats_end(stats_hub_worker(hub, worker), slot, &record);
}

static const char *write_page(struct stats_hub *hub, bool nginx, struct buf *out)
{
	buf_reset(out);
	stats_write(hub, "sluice.dev/ingress", nginx, out);
	assert_false(out->failed);
	return buf_str(out);
}

#define LABELS(ingress)                                                                     \
	"{namespace=\"default\",ingress=\"" ingress "\",host=\"\",path=\"/model\",service=" \
	"\"ai-model-service\""

static void assert_line(const char *page, const char *line)
{
	char with_ends[512];

	snprintf(with_ends, sizeof(with_ends), "\n%s\n", line);
	if (!strstr(page, with_ends))
		fail_msg("no line %s in\n%s", line, page);
}

TEST(workers_are_added_up)
{
	struct stats_hub *hub = new_hub(3);
	struct buf out = { 0 };
	unsigned slot = take(hub, "a");
	const char *page;

	for (unsigned worker = 0; worker < 3; worker++)
		for (unsigned i = 0; i <= worker; i++)
			count(hub, worker, slot, 200);
	count(hub, 0, slot, 502);
	stats_begin(stats_hub_worker(hub, 1), slot); /* still runs */
	stats_gap(stats_hub_worker(hub, 2), slot, 20 * MS);
	stats_add(stats_hub_worker(hub, 0), STATS_CONNECTIONS, 2);
	stats_add(stats_hub_worker(hub, 1), STATS_CONNECTIONS, 1);
	stats_gauge(stats_hub_worker(hub, 0), GAUGE_CLIENTS,
		    3); /* closed by others: the sum counts */
	stats_gauge(stats_hub_worker(hub, 1), GAUGE_CLIENTS, -1);
	page = write_page(hub, true, &out);
	assert_line(page, "sluice_http_requests_total" LABELS("a") ",status=\"2xx\"} 6");
	assert_line(page, "sluice_http_requests_total" LABELS("a") ",status=\"5xx\"} 1");
	assert_line(page, "sluice_http_errors_total" LABELS("a") ",by=\"origin\"} 1");
	assert_line(page, "sluice_http_endings_total{by=\"origin\",ended=\"origin_reset\"} 1");
	assert_line(page, "sluice_http_active_requests" LABELS("a") "} 1");
	assert_line(page, "sluice_http_retries_total" LABELS("a") "} 7");
	assert_line(page, "sluice_http_response_bytes_total" LABELS("a") "} 35000");
	assert_line(page, "sluice_http_request_duration_seconds_bucket" LABELS("a") ",le=\"1\"} 0");
	assert_line(page,
		    "sluice_http_request_duration_seconds_bucket" LABELS("a") ",le=\"2.5\"} 7");
	assert_line(page, "sluice_http_request_duration_seconds_sum" LABELS("a") "} 14");
	assert_line(page, "sluice_http_first_byte_seconds_bucket" LABELS("a") ",le=\"0.1\"} 0");
	assert_line(page, "sluice_http_first_byte_seconds_bucket" LABELS("a") ",le=\"0.25\"} 7");
	assert_line(page, "sluice_http_chunk_gap_seconds_bucket" LABELS("a") ",le=\"0.025\"} 1");
	assert_line(page, "sluice_http_connections_total 3");
	assert_line(page, "sluice_http_connections 2");
	assert_line(page, "nginx_ingress_controller_requests" LABELS(
				  "a") ",controller_class="
				       "\"sluice.dev/ingress\",method=\"POST\",status=\"200\"} 6");
	assert_line(page, "nginx_ingress_controller_request_duration_seconds_count" LABELS(
				  "a") ",controller_class=\"sluice.dev/ingress\"} 7");
	assert_null(strstr(write_page(hub, false, &out), "nginx_"));
	stats_slot_drop(hub, slot);
	stats_hub_free(hub);
	buf_done(&out);
}

TEST(equal_labels_are_one_slot)
{
	struct stats_hub *hub = new_hub(1);
	unsigned a = take(hub, "a"), b = take(hub, "b"), again = take(hub, "a");

	assert_int_equal(a, again);
	assert_int_not_equal(a, b);
	assert_true(a > STATS_SLOT_OTHER && b > STATS_SLOT_OTHER);
	stats_hub_free(hub);
}

/* ("a", "bc") is not ("ab", "c"). */
TEST(labels_do_not_run_into_each_other)
{
	struct stats_hub *hub = new_hub(1);
	struct stats_labels one = { "a", "bc", "", "", "" }, two = { "ab", "c", "", "", "" };

	assert_int_not_equal(stats_slot_take(hub, &one), stats_slot_take(hub, &two));
	stats_hub_free(hub);
}

/* A name that comes back while its slot is there goes on counting; a slot that others get begins at zero. */
TEST(a_slot_given_away_begins_at_zero)
{
	struct stats_hub *hub = new_hub(2);
	struct buf out = { 0 };
	unsigned slot = take(hub, "old"), other;
	char name[32];

	count(hub, 0, slot, 200);
	count(hub, 1, slot, 404);
	stats_slot_drop(hub, slot);
	assert_int_equal(take(hub, "old"), slot);
	assert_line(write_page(hub, false, &out),
		    "sluice_http_requests_total" LABELS("old") ",status=\"2xx\"} 1");
	stats_slot_drop(hub, slot);

	/* all others are held */
	for (unsigned i = STATS_SLOT_OTHER + 2; i < STATS_SLOTS; i++) {
		snprintf(name, sizeof(name), "i%u", i);
		take(hub, name);
	}
	other = take(hub, "new");
	assert_int_equal(other, slot);
	assert_int_equal(take(hub, "newer"), STATS_SLOT_OTHER); /* no room */
	write_page(hub, false, &out);
	assert_null(strstr(out.data, "\"old\""));
	assert_null(strstr(out.data, "\"new\""));
	count(hub, 1, other, 404);
	assert_line(write_page(hub, false, &out),
		    "sluice_http_requests_total" LABELS("new") ",status=\"4xx\"} 1");
	assert_line(out.data, "sluice_http_request_duration_seconds_count" LABELS("new") "} 1");
	stats_hub_free(hub);
	buf_done(&out);
}

static size_t series_of_rules(const char *page)
{
	size_t n = 0;

	for (const char *line = page; line && *line; line = strchr(line, '\n'), line += !!line)
		n += *line != '#' && strstr(line, "{namespace=") &&
		     strstr(line, "{namespace=") < strchr(line, '\n');
	return n;
}

static uint64_t requests_of(const char *page)
{
	uint64_t sum = 0;

	for (const char *at = page; (at = strstr(at, "\nsluice_http_requests_total{")); at++)
		sum += strtoull(strchr(at, '}') + 1, NULL, 10);
	return sum;
}

TEST(series_are_bounded_and_nothing_is_lost)
{
	struct stats_hub *hub = new_hub(1);
	struct buf out = { 0 };
	char name[32];

	for (unsigned i = 0; i < 1500; i++) {
		unsigned slot;

		snprintf(name, sizeof(name), "i%u", i);
		slot = take(hub, name);
		for (uint16_t status = 100; status < 600; status += 50)
			count(hub, 0, slot, status);
	}
	write_page(hub, true, &out);
	/* and those that belong to no rule or to all others */
	assert_true(series_of_rules(out.data) > STATS_SERIES_MAX / 2);
	assert_true(series_of_rules(out.data) <= STATS_SERIES_MAX + 400);
	assert_int_equal(requests_of(out.data), 15000);
	assert_non_null(strstr(out.data, "ingress=\"i0\""));
	assert_non_null(strstr(out.data, "ingress=\"other\""));
	/* who has series keeps them */
	assert_line(out.data, "sluice_http_requests_total" LABELS("i0") ",status=\"2xx\"} 2");
	stats_hub_free(hub);
	buf_done(&out);
}

TEST(beyond_what_can_have_series_all_workers_count_among_the_others)
{
	struct stats_hub *hub = new_hub(2);
	unsigned slots[2 * STATS_PLACES], n = 2 * STATS_PLACES;
	struct buf out = { 0 };
	char name[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "i%u", i);
		slots[i] = take(hub, name);
	}
	for (unsigned i = 0; i < n; i++)
		count(hub, 0, slots[i], 200);
	for (unsigned i = n; i-- > 0;)
		count(hub, 1, slots[i], 200);
	for (unsigned i = 0; i < n; i++)
		for (unsigned w = 0; w < 2; w++)
			assert_true((hub->workers[w].slots[slots[i]] != NULL) ==
				    (i < STATS_PLACES));
	write_page(hub, true, &out);
	assert_int_equal(requests_of(out.data), 2 * n);
	assert_line(out.data, "sluice_http_requests_total" LABELS("i0") ",status=\"2xx\"} 2");
	stats_hub_free(hub);
	buf_done(&out);
}

TEST(series_of_those_who_left_are_free_again)
{
	struct stats_hub *hub = new_hub(1);
	struct buf out = { 0 };
	char name[32];

	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < STATS_SLOTS; i++) {
			unsigned slot;

			snprintf(name, sizeof(name), "r%ui%u", round, i);
			slot = take(hub, name);
			if (i < 200)
				count(hub, 0, slot, 200);
			stats_slot_drop(hub, slot);
			if (i == 199)
				write_page(hub, false, &out);
		}
	write_page(hub, false, &out);
	assert_non_null(strstr(out.data, "\"r1i5\""));
	assert_null(strstr(out.data, "\"r0i5\""));
	stats_hub_free(hub);
	buf_done(&out);
}

static void *count_much(void *arg)
{
	struct stats_hub *hub = arg;

	for (int i = 0; i < 20000; i++)
		count(hub, 0, STATS_SLOT_OTHER + 1, 200);
	return NULL;
}

TEST(the_page_is_read_while_it_is_counted)
{
	struct stats_hub *hub = new_hub(1);
	struct buf out = { 0 };
	uint64_t last = 0;
	pthread_t thread;

	assert_int_equal(take(hub, "a"), STATS_SLOT_OTHER + 1);
	assert_int_equal(pthread_create(&thread, NULL, count_much, hub), 0);
	while (last < 20000) {
		uint64_t now = requests_of(write_page(hub, true, &out));

		assert_true(now >= last);
		last = now;
	}
	pthread_join(thread, NULL);
	stats_hub_free(hub);
	buf_done(&out);
}

RUN(cmocka_unit_test(workers_are_added_up), cmocka_unit_test(equal_labels_are_one_slot),
    cmocka_unit_test(labels_do_not_run_into_each_other),
    cmocka_unit_test(a_slot_given_away_begins_at_zero),
    cmocka_unit_test(series_are_bounded_and_nothing_is_lost),
    cmocka_unit_test(series_of_those_who_left_are_free_again),
    cmocka_unit_test(beyond_what_can_have_series_all_workers_count_among_the_others),
    cmocka_unit_test(the_page_is_read_while_it_is_counted))
