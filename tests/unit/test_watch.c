// SPDX-License-Identifier: GPL-2.0-only
// What an API server's answers do to the objects of one kind, and what it is asked next. A… are the client's requirements.
/* link: user/source/kube/watch.c user/source/kube/watch_read.c user/source/kube/watch_objects.c user/source/kube/watch_end.c user/source/kube/scan.c user/source/value_json.c user/source/decode.c user/source/decode_read.c user/source/decode_service.c user/source/decode_slice.c user/source/decode_node.c user/source/decode_ingress.c user/source/decode_secret.c user/source/field.c user/source/object.c user/source/value.c user/core/model.c user/core/model_ingress.c user/core/address.c user/base/buf.c user/base/table.c user/base/options_value.c user/base/arena.c */
/* libs: cjson */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "source/kube/watch.h"
#include "unit/recorder.h"

static const struct watch_config services = {
	.kind = OBJECT_SERVICE,
	.api_version = "v1",
	.path = "/api/v1/services",
	.selector = "labelSelector=x",
};
static const struct watch_config cidrs = {
	.kind = OBJECT_SERVICE_CIDR,
	.optional = true,
	.api_version = "networking.k8s.io/v1",
	.path = "/apis/networking.k8s.io/v1/servicecidrs",
	.selector = "",
};

static struct recorder recorder;
static struct watch *watch;
static struct watch_step step;
static uint64_t now_ns, luck;

static int start(const struct watch_config *config)
{
	struct source_sink sink = recorder_sink(&recorder);

	now_ns = 1000 * CLOCK_NS_PER_S;
	luck = 0;
	return watch_new(config, &sink, 1, &watch);
}

static int setup(void **state)
{
	(void)state;
	return start(&services);
}

static int teardown(void **state)
{
	(void)state;
	watch_free(watch);
	watch = NULL;
	buf_done(&recorder.said);
	return 0;
}

/* ---- the words of the tests ------------------------------------------------------------------------- */

static void told(const char *expected)
{
	assert_string_equal(buf_str(&recorder.said), expected);
	buf_reset(&recorder.said);
}

/* Asks at once; the target holds this. */
static void asks_now(const char *part)
{
	assert_int_equal(watch_next(watch, now_ns, luck, &step), WATCH_REQUEST);
	if (!strstr(step.target, part))
		fail_msg("'%s' lacks '%s'", step.target, part);
}

static void asks_no(const char *part)
{
	if (strstr(step.target, part))
		fail_msg("'%s' has '%s'", step.target, part);
}

/* Waits; the clock then stands where the wait ends. How long it was, in ms. */
static uint64_t waits(void)
{
	uint64_t from_ns = now_ns;

	assert_int_equal(watch_next(watch, now_ns, luck, &step), WATCH_WAIT);
	assert_true(step.wait_until_ns > now_ns && step.wait_until_ns != UINT64_MAX);
	now_ns = step.wait_until_ns;
	return (now_ns - from_ns) / CLOCK_NS_PER_MS;
}

static void waits_between(uint64_t low_ms, uint64_t high_ms)
{
	uint64_t ms = waits();

	if (ms < low_ms || ms > high_ms)
		fail_msg("waited %llu ms", (unsigned long long)ms);
}

static int feed(const char *text)
{
	return watch_bytes(watch, now_ns, text, strlen(text));
}

static void ends(enum watch_end how)
{
	watch_end(watch, now_ns, luck, how);
}

/* The whole answer to what was asked. */
static void answers(unsigned status, const char *body)
{
	watch_head(watch, now_ns, status, NULL);
	ends(feed(body) < 0 ? WATCH_END_CUT : WATCH_END_CLEAN);
}

#define OBJECT(name, ip, version)                                                    \
	"{\"metadata\":{\"namespace\":\"d\",\"name\":\"" name "\",\"uid\":\"u-" name \
	"\",\"resourceVersion\":\"" version "\"},\"spec\":{\"clusterIP\":\"" ip      \
	"\",\"clusterIPs\":[\"" ip "\"],\"ipFamilies\":[\"IPv4\"],"                  \
	"\"ports\":[{\"port\":80}]}}"
#define FRAME(items, version, more)                                                                    \
	"{\"kind\":\"ServiceList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" version \
	"\"" more "},\"items\":[" items "]}"
#define CONTINUE(token)     ",\"continue\":\"" token "\""
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define BOOKMARK(version, more) \
	EVENT("BOOKMARK",       \
	      "{\"kind\":\"Service\",\"metadata\":{\"resourceVersion\":\"" version "\"" more "}}")
#define INITIAL_END ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}"
#define ERROR(code) EVENT("ERROR", "{\"kind\":\"Status\",\"code\":" code "}")

#define A1        OBJECT("a", "10.0.0.1", "1")
#define B2        OBJECT("b", "10.0.0.2", "2")
#define LISTED_AB "put Service d/a 10.0.0.1\nput Service d/b 10.0.0.2\nlisted Service\n"

/* Lists a and b at version 10 in a server that knows no lists in streams; the watch is under way. */
static void follow(void)
{
	asks_now("sendInitialEvents=true");
	answers(422, "{\"kind\":\"Status\"}");
	asks_now("limit=500");
	answers(200, FRAME(A1 "," B2, "10", ""));
	told(LISTED_AB);
	asks_now("&watch=true");
	watch_head(watch, now_ns, 200, NULL);
}

static struct watch_stats count(void)
{
	struct watch_stats stats;

	watch_count(watch, &stats);
	return stats;
}

/* ---- lists ------------------------------------------------------------------------------------------ */

TEST(a1_the_first_list_is_consistent_and_later_ones_do_not_go_back)
{
	asks_now("/api/v1/services?labelSelector=x&watch=true");
	asks_no("resourceVersion=");
	answers(400, "");
	asks_now("limit=500");
	asks_no("resourceVersion");
	answers(200, FRAME(A1, "10", ""));
	asks_now("resourceVersion=10");
	answers(410, "");
	asks_now("services?");
	assert_non_null(
		strstr(step.target, "resourceVersion=10&resourceVersionMatch=NotOlderThan"));
}

TEST(a2_versions_are_text)
{
	asks_now("watch");
	answers(422, "");
	asks_now("limit");
	answers(200, FRAME("", "a&b 1180591620717411303424", ""));
	asks_now("resourceVersion=a%26b%201180591620717411303424");
}

TEST(a2_versions_have_a_limit)
{
	char text[600];

	asks_now("watch");
	answers(422, "");
	asks_now("limit");
	snprintf(
		text, sizeof(text),
		"{\"kind\":\"ServiceList\",\"apiVersion\":\"v1\",\"items\":[],\"metadata\":{\"resourceVersion\":\"%0257d\"}}",
		1);
	answers(200, text);
	told("");
	waits_between(800, 1600);
}

TEST(a7_deletions_are_found_by_a_whole_list)
{
	follow();
	answers(410, "");
	asks_now("resourceVersion=10&resourceVersionMatch=NotOlderThan");
	asks_no("watch=");
	answers(200, FRAME(A1, "20", ""));
	told("gone Service d/b\nlisted Service\n");
	assert_int_equal(count().lists, 2);
}

TEST(a17_pages_count_together)
{
	asks_now("watch");
	answers(422, "");
	asks_now("limit=500");
	answers(200, FRAME(A1, "10", CONTINUE("t/1")));
	told("");
	asks_now("limit=500&continue=t%2F1");
	answers(200, FRAME(B2, "10", ""));
	told(LISTED_AB);
}

static void second_page(void)
{
	follow();
	answers(410, "");
	asks_now("resourceVersion=10");
	answers(410, "");
	asks_now("limit=500");
	asks_no("resourceVersion");
	answers(200, FRAME(A1, "20", CONTINUE("t1")));
	asks_now("continue=t1");
}

TEST(a17_an_expired_page_is_followed_by_one_full_list)
{
	second_page();
	answers(410, "{\"kind\":\"Status\",\"metadata\":{\"continue\":\"inconsistent\"}}");
	told("");
	asks_now("services?");
	asks_no("continue");
	asks_no("limit");
	answers(200, FRAME(A1, "20", ""));
	told("gone Service d/b\nlisted Service\n");
}

TEST(a17_a_failed_page_starts_the_list_again)
{
	second_page();
	answers(503, "");
	told("");
	waits_between(800, 1600);
	asks_now("limit=500");
	asks_no("continue");
	answers(200, FRAME(A1, "20", CONTINUE("t1")));
	asks_now("continue=t1");
	watch_head(watch, now_ns, 200, NULL);
	assert_int_equal(feed("{\"kind\":\"ServiceList\",\"items\":[" B2), 0);
	ends(WATCH_END_CLEAN);
	told("");
	waits_between(1600, 3200);
	asks_now("limit=500");
	asks_no("continue");
}

TEST(a17_a_cut_list_is_not_trusted)
{
	second_page();
	watch_head(watch, now_ns, 200, NULL);
	assert_int_equal(feed(FRAME("", "20", "")), 0);
	ends(WATCH_END_CUT);
	told("");
}

/* Whatever is answered to a list, nothing is gone. */
TEST(a19_refusals_and_nonsense_empty_nothing)
{
	static const struct {
		unsigned status;
		const char *body;
	} lies[] = {
		{ 404, "{\"kind\":\"Status\",\"code\":404}" },
		{ 403, "" },
		{ 501, "" },
		{ 204, "" },
		{ 200, "" },
		{ 200, "{}" },
		{ 200, "<html><body>It works!</body></html>" },
		{ 200, "{\"kind\":\"Status\",\"status\":\"Success\"}" },
		{ 200,
		  "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[]}" },
		{ 200,
		  "{\"kind\":\"ServiceList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"9\"}}" },
		{ 200,
		  "{\"kind\":\"ServiceList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[]}" },
		{ 200,
		  "{\"kind\":\"ServiceList\",\"apiVersion\":\"v1\",\"items\":[],\"metadata\":{\"resourceVersion\":\"9\"" },
	};
	size_t i;

	follow();
	answers(410, "");
	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		asks_now("services");
		answers(lies[i].status, lies[i].body);
		told("");
		waits();
	}
	asks_now("services");
	answers(200, FRAME(A1 "," B2, "30", ""));
	told("listed Service\n");
}

TEST(kinds_that_are_not_served_have_no_objects)
{
	teardown(NULL);
	start(&cidrs);
	asks_now("servicecidrs");
	answers(404, "");
	told("listed ServiceCIDR\n");
	/* It may just have started: not believed at once. */
	for (uint64_t ms = 800; ms <= 3200; ms *= 2) {
		waits_between(ms, 2 * ms);
		asks_now("servicecidrs");
		answers(404, "");
	}
	waits_between(300000, 600000);
	asks_now("servicecidrs");
	answers(404, "");
	waits_between(300000, 600000);
	told("");
}

TEST(a_list_of_other_things_is_none)
{
	asks_now("watch");
	answers(422, "");
	asks_now("limit");
	answers(200, FRAME("{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"p\"}}",
			   "10", ""));
	told("listed Service\n");
	assert_int_equal(count().skipped, 1);
}

/* ---- lists in streams ------------------------------------------------------------------------------- */

#define INITIAL                                      \
	EVENT("ADDED", A1)                           \
	EVENT("ADDED", B2)                           \
	EVENT("ADDED", OBJECT("c", "10.0.0.3", "3")) \
	EVENT("DELETED", OBJECT("c", "10.0.0.3", "4"))

TEST(a8_a_stream_begins_with_a_list)
{
	asks_now("watch=true&allowWatchBookmarks=true&timeoutSeconds=300&sendInitialEvents=true&"
		 "resourceVersionMatch=NotOlderThan");
	watch_head(watch, now_ns, 200, NULL);
	assert_int_equal(feed(INITIAL), 0);
	told("");
	assert_int_equal(feed(BOOKMARK("10", INITIAL_END)), 0);
	told(LISTED_AB);
	assert_int_equal(feed(EVENT("MODIFIED", OBJECT("a", "10.0.0.9", "11"))), 0);
	told("put Service d/a 10.0.0.9\n");
	now_ns += 2 * CLOCK_NS_PER_S;
	ends(WATCH_END_CLEAN);
	asks_now("resourceVersion=11");
	asks_no("sendInitialEvents");
}

TEST(a8_half_an_initial_list_is_not_seen)
{
	size_t cut, len = strlen(INITIAL);

	for (cut = 0; cut <= len; cut++) {
		asks_now("sendInitialEvents");
		watch_head(watch, now_ns, 200, NULL);
		assert_int_equal(watch_bytes(watch, now_ns, INITIAL, cut), 0);
		ends(WATCH_END_CUT);
		told("");
		if (watch_next(watch, now_ns, luck, &step) == WATCH_WAIT) {
			now_ns = step.wait_until_ns;
			asks_now("limit=500");
		}
		answers(200, FRAME(A1 "," B2, "10", ""));
		told(LISTED_AB);
		teardown(NULL);
		setup(NULL);
	}
}

TEST(a8_a_server_that_ignores_it_is_found_out)
{
	asks_now("sendInitialEvents");
	watch_head(watch, now_ns, 200, NULL);
	assert_int_equal(feed(EVENT("ADDED", A1)), 0);
	waits_between(10000, 10000);
	assert_int_equal(watch_next(watch, now_ns, luck, &step), WATCH_ABORT);
	ends(WATCH_END_CUT);
	told("");
	asks_now("limit=500");
	answers(200, FRAME(A1, "10", ""));
	asks_now("resourceVersion=10");
	answers(410, "");
	asks_now("resourceVersion=10");
	asks_no("sendInitialEvents"); /* remembered */
}

/* ---- streams ---------------------------------------------------------------------------------------- */

TEST(a3_bookmarks_move_the_version_only)
{
	char text[200];
	int i;

	follow();
	for (i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), BOOKMARK("%d", ""), 100 + i);
		assert_int_equal(feed(text), 0);
	}
	told("");
	now_ns += 2 * CLOCK_NS_PER_S;
	ends(WATCH_END_CUT);
	asks_now("resourceVersion=10099");
}

TEST(a5_a_410_inside_of_a_stream)
{
	follow();
	assert_int_equal(feed(EVENT("DELETED", B2) ERROR("410")), -ECANCELED);
	told("gone Service d/b\n");
	ends(WATCH_END_CUT);
	asks_now("resourceVersion=2&resourceVersionMatch=NotOlderThan");
	answers(200, FRAME(A1, "20", ""));
	told("listed Service\n");
	assert_int_equal(count().lists, 2);
	assert_int_equal(count().expired, 1);
}

TEST(a5_a_410_as_the_first_event_again_and_again)
{
	unsigned lists;

	follow();
	for (lists = 2; lists < 12; lists++) {
		assert_int_equal(feed(ERROR("410")), -ECANCELED);
		ends(WATCH_END_CUT);
		if (watch_next(watch, now_ns, luck, &step) == WATCH_WAIT) {
			now_ns = step.wait_until_ns;
			asks_now("resourceVersionMatch");
		}
		answers(200, FRAME(A1 "," B2, "20", ""));
		told("listed Service\n");
		asks_now("watch=true");
		watch_head(watch, now_ns, 200, NULL);
	}
	assert_true(now_ns > 1020 * CLOCK_NS_PER_S); /* ten at once would be a storm */
}

TEST(a6_a_version_ahead_of_the_server)
{
	follow();
	answers(410, "");
	asks_now("resourceVersion=10");
	answers(504, "{\"kind\":\"Status\",\"message\":\"Too large resource version\"}");
	told("");
	waits_between(800, 1600);
	asks_now("limit=500");
	asks_no("resourceVersion");
}

/* It lags for half a minute, whatever is asked: few requests, no word of it to anybody, and then the list that it has. */
TEST(a6_a_server_that_lags_is_not_hammered)
{
	uint64_t end_ns;
	int n = 0;

	follow();
	answers(410, "");
	for (end_ns = now_ns + 30 * CLOCK_NS_PER_S; now_ns < end_ns; n++) {
		asks_now("services");
		answers(504, "{\"kind\":\"Status\",\"message\":\"Too large resource version\"}");
		told("");
		waits();
	}
	assert_true(n <= 8);
	asks_now("services");
	answers(200, FRAME(A1 "," B2, "30", ""));
	told("listed Service\n");
	asks_now("resourceVersion=30");
}

#define STREAM                                           \
	EVENT("MODIFIED", OBJECT("a", "10.0.0.9", "11")) \
	"{\"type\":\"ADDED\", \"object\" :" OBJECT("c", "10.0.0.3", "12") "}" EVENT("DELETED", B2)
#define STREAM_TOLD "put Service d/a 10.0.0.9\nput Service d/c 10.0.0.3\ngone Service d/b\n"

TEST(a9_cuts_between_reads_change_nothing)
{
	size_t cut, len = strlen(STREAM);

	for (cut = 0; cut <= len; cut++) {
		follow();
		assert_int_equal(watch_bytes(watch, now_ns, STREAM, cut), 0);
		assert_int_equal(watch_bytes(watch, now_ns, &STREAM[cut], len - cut), 0);
		told(STREAM_TOLD);
		teardown(NULL);
		setup(NULL);
	}
}

TEST(a9_an_object_too_large_means_a_new_list)
{
	char *text = malloc(9 << 20);

	assert_non_null(text);
	memset(text, 'x', 9 << 20);
	memcpy(text, "{\"type\":\"", 9);
	follow();
	assert_int_equal(watch_bytes(watch, now_ns, text, 9 << 20), -EFBIG);
	ends(WATCH_END_CUT);
	free(text);
	told("");
	assert_int_equal(count().broken, 1);
	waits_between(800, 1600);
	asks_now("resourceVersion=10&resourceVersionMatch");
}

/* The state is that of the whole events in front of the cut, and the next watch goes on behind them. */
TEST(a10_half_an_object_is_never_applied)
{
	static const char *const versions[] = { "resourceVersion=10", "resourceVersion=11",
						"resourceVersion=12", "resourceVersion=2" };
	size_t cut, len = strlen(STREAM);

	for (cut = 0; cut <= len; cut++) {
		unsigned n;

		follow();
		assert_int_equal(watch_bytes(watch, now_ns, STREAM, cut), 0);
		n = recorder.said.len ? (unsigned)count().events : 0;
		buf_reset(&recorder.said);
		now_ns += 2 * CLOCK_NS_PER_S;
		ends(WATCH_END_CUT);
		asks_now(versions[n]);
		watch_head(watch, now_ns, 200, NULL);
		assert_int_equal(feed(STREAM), 0);
		ends(WATCH_END_CLEAN);
		assert_int_equal(count().objects, 2);
		assert_int_equal(count().syncs, 1);
		teardown(NULL);
		setup(NULL);
	}
}

TEST(a11_error_events)
{
	follow();
	assert_int_equal(
		feed(EVENT("ERROR", "{\"code\":429,\"details\":{\"retryAfterSeconds\":5}}")),
		-ECANCELED);
	ends(WATCH_END_CUT);
	waits_between(5000, 6000);
	for (int i = 0; i < 3; i++) {
		asks_now("watch=true");
		watch_head(watch, now_ns, 200, NULL);
		assert_int_equal(feed(ERROR("500")), -ECANCELED);
		ends(WATCH_END_CUT);
		waits();
	}
	asks_now("watch=true");
	watch_head(watch, now_ns, 200, NULL);
	assert_int_equal(feed(ERROR("500")), -ECANCELED);
	ends(WATCH_END_CUT);
	waits();
	asks_now("resourceVersionMatch"); /* enough: a list */
	told("");
	assert_int_equal(count().watches, 5);
}

TEST(a11_other_error_events_mean_a_new_list)
{
	static const char *const codes[] = { "403", "400", "999999999999", "-1" };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		char text[100];

		snprintf(text, sizeof(text), ERROR("%s"), codes[i]);
		follow();
		assert_int_equal(feed(text), -ECANCELED);
		ends(WATCH_END_CUT);
		told("");
		if (watch_next(watch, now_ns, luck, &step) == WATCH_WAIT) {
			assert_true(step.wait_until_ns <= now_ns + 1600 * CLOCK_NS_PER_MS);
			now_ns = step.wait_until_ns;
			asks_now("resourceVersion=10&resourceVersionMatch=NotOlderThan");
		} else {
			assert_non_null(strstr(step.target, "resourceVersionMatch=NotOlderThan"));
		}
		answers(200, FRAME(A1 "," B2, "30", ""));
		told("listed Service\n");
		assert_int_equal(count().lists, 2);
		teardown(NULL);
		setup(NULL);
	}
}

TEST(a12_unknown_events_and_fields_are_passed_over)
{
	follow();
	assert_int_equal(feed(EVENT("RENAMED", A1) EVENT(
				 "ADDED", "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":"
					  "{\"name\":\"p\",\"resourceVersion\":\"12\"}}")),
			 0);
	told("");
	assert_int_equal(count().skipped, 2);
	assert_int_equal(
		feed("{\"new\":{\"type\":[{}]},"
		     "\"type\":\"MODIFIED\",\"object\":" OBJECT("a", "10.0.0.7", "13") "}"),
		0);
	told("put Service d/a 10.0.0.7\n");
}

TEST(a13_clean_ends_are_followed_at_once)
{
	follow();
	for (int i = 0; i < 100; i++) {
		now_ns += 2 * CLOCK_NS_PER_S;
		ends(WATCH_END_CLEAN);
		asks_now("resourceVersion=10");
		watch_head(watch, now_ns, 200, NULL);
	}
	told("");
	assert_int_equal(count().lists, 1);
}

TEST(a14_streams_that_end_at_once_are_failures)
{
	uint64_t end_ns;
	int n = 0;

	follow();
	for (end_ns = now_ns + 30 * CLOCK_NS_PER_S; now_ns < end_ns; n++) {
		ends(WATCH_END_CLEAN);
		waits();
		asks_now("watch=true");
		watch_head(watch, now_ns, 200, NULL);
	}
	assert_true(n <= 10);
	told("");
}

/* ---- waiting ---------------------------------------------------------------------------------------- */

TEST(a15_attempts_become_rare)
{
	uint64_t end_ns;
	int n = 0;

	luck = 12345678901234567ULL;
	for (end_ns = now_ns + 600 * CLOCK_NS_PER_S; now_ns < end_ns; n++) {
		asks_now("services");
		luck = luck * 6364136223846793005ULL + 1442695040888963407ULL;
		ends(WATCH_END_UNREACHABLE);
		waits_between(n ? 1600 : 800, 60000);
	}
	assert_true(n <= 40);
	told("");
}

TEST(a15_a_hundred_do_not_come_together)
{
	unsigned in_second[64] = { 0 }, most = 0;

	for (uint64_t i = 0; i < 1000; i++) {
		luck = 0;
		for (int n = 0; n < 6; n++) {
			asks_now("services");
			luck = i * (30 * CLOCK_NS_PER_S / 1000);
			ends(WATCH_END_UNREACHABLE);
			if (n < 5)
				waits();
		}
		in_second[waits() / 1000 % 64]++;
		teardown(NULL);
		setup(NULL);
	}
	for (int i = 0; i < 64; i++)
		most = in_second[i] > most ? in_second[i] : most;
	assert_true(most <= 100);
}

TEST(a16_an_outage_costs_one_watch_and_no_list)
{
	follow();
	now_ns += 5 * CLOCK_NS_PER_S;
	ends(WATCH_END_CUT);
	for (int i = 0; i < 5; i++) {
		asks_now("resourceVersion=10");
		ends(WATCH_END_UNREACHABLE);
		assert_true(watch_is_down(watch));
		waits();
	}
	asks_now("resourceVersion=10");
	ends(WATCH_END_UNREACHABLE);
	watch_kick(watch, now_ns, 0); /* it answers again */
	asks_now("&watch=true");
	watch_head(watch, now_ns, 200, NULL);
	assert_false(watch_is_down(watch));
	assert_int_equal(count().lists, 1);
	told("");
}

/* 403 while it has not read its own rules: once it answers at all, the long waits of the outage are over. */
TEST(a_server_that_is_back_but_refuses_is_asked_again_soon)
{
	follow();
	now_ns += 5 * CLOCK_NS_PER_S;
	ends(WATCH_END_CUT);
	for (int i = 0; i < 6; i++) {
		asks_now("watch=true");
		ends(WATCH_END_UNREACHABLE);
		waits();
	}
	asks_now("watch=true");
	answers(403, "{}");
	waits_between(800, 1600);
	asks_now("watch=true");
	answers(403, "{}");
	waits_between(1600, 3200);
	told("");
}

/* The same, where this watch itself waited while the server was away, and never saw that. */
TEST(a_first_refusal_is_followed_by_a_short_wait)
{
	follow();
	for (int i = 0; i < 6; i++) {
		ends(WATCH_END_CUT);
		waits();
		asks_now("watch=true");
		watch_head(watch, now_ns, 200, NULL);
	}
	ends(WATCH_END_CUT);
	waits_between(12800, 60000);
	asks_now("watch=true");
	answers(403, "{}");
	waits_between(800, 1600);
	told("");
}

TEST(a_server_that_is_back_but_overloaded_is_left_alone)
{
	follow();
	now_ns += 5 * CLOCK_NS_PER_S;
	ends(WATCH_END_CUT);
	for (int i = 0; i < 6; i++) {
		asks_now("watch=true");
		ends(WATCH_END_UNREACHABLE);
		waits();
	}
	asks_now("watch=true");
	answers(503, "{}");
	waits_between(12800, 60000);
	told("");
}

TEST(a_refusal_is_not_kicked)
{
	follow();
	answers(503, "");
	watch_kick(watch, now_ns, 0);
	waits_between(800, 1600);
}

static void retry_after(const char *text, uint64_t low_ms, uint64_t high_ms)
{
	asks_now("watch=true");
	watch_head(watch, now_ns, 429, text);
	luck = UINT64_MAX / 3;
	ends(WATCH_END_CLEAN);
	waits_between(low_ms, high_ms);
	luck = 0;
	now_ns += 200 * CLOCK_NS_PER_S; /* the backoff is forgotten */
}

TEST(a18_retry_after_is_obeyed_within_bounds)
{
	follow();
	now_ns += 2 * CLOCK_NS_PER_S;
	ends(WATCH_END_CLEAN);
	retry_after("3", 3000, 4000);
	retry_after("0", 800, 1600);
	retry_after("-1", 800, 1600);
	retry_after("1e9", 800, 1600);
	retry_after("99999999999999999999999999", 60000, 61000);
	retry_after("Fri, 31 Dec 2099 23:59:59 GMT", 800, 1600);
	told("");
}

TEST(a24_a_401_is_tried_once_more_at_once)
{
	follow();
	answers(401, "");
	asks_now("resourceVersion=10");
	answers(401, "");
	waits_between(800, 1600);
	asks_now("resourceVersion=10");
	watch_head(watch, now_ns, 200, NULL);
	told("");
}

TEST(silence_is_cut)
{
	follow();
	waits_between(180000, 180000);
	assert_int_equal(watch_next(watch, now_ns, luck, &step), WATCH_ABORT);
	ends(WATCH_END_CUT);
	asks_now("resourceVersion=10");
	told("");
}

TEST(a22_another_server_is_tried_at_once)
{
	follow();
	now_ns += 2 * CLOCK_NS_PER_S;
	ends(WATCH_END_MOVED);
	asks_now("resourceVersion=10");
	ends(WATCH_END_MOVED);
	asks_now("resourceVersion=10");
	ends(WATCH_END_UNREACHABLE);
	waits_between(800, 1600);
}

/* ---- objects ---------------------------------------------------------------------------------------- */

TEST(a_refused_object_keeps_its_last_state)
{
	follow();
	assert_int_equal(
		feed(EVENT(
			"MODIFIED",
			"{\"metadata\":{\"namespace\":\"d\",\"name\":\"a\",\"resourceVersion\":\"11\"},"
			"\"spec\":7}")),
		0);
	assert_non_null(strstr(buf_str(&recorder.said), "problem Service d/a: "));
	assert_null(strstr(buf_str(&recorder.said), "gone"));
	buf_reset(&recorder.said);
	assert_int_equal(feed(EVENT("MODIFIED", OBJECT("a", "10.0.0.8", "12"))), 0);
	told("put Service d/a 10.0.0.8\nsolved Service d/a\n");
}

TEST(a_spoilt_object_is_named)
{
	follow();
	assert_int_equal(feed(EVENT("MODIFIED", OBJECT("a", "10.0.0.8\xff", "12"))), 0);
	told("problem Service d/a: holds invalid UTF-8 or a NUL character: write it anew\n");
	assert_int_equal(feed(EVENT("DELETED", OBJECT("a", "10.0.0.8", "13"))), 0);
	told("solved Service d/a\ngone Service d/a\n");
}

TEST(a_sink_that_lost_something_gets_everything_again)
{
	follow();
	watch_relist(watch);
	assert_int_equal(watch_next(watch, now_ns, luck, &step), WATCH_ABORT);
	ends(WATCH_END_CUT);
	asks_now("resourceVersion=10&resourceVersionMatch");
	answers(200, FRAME(A1 "," B2, "10", ""));
	told(LISTED_AB);
}

#define ALONE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

RUN(ALONE(a1_the_first_list_is_consistent_and_later_ones_do_not_go_back),
    ALONE(a2_versions_are_text), ALONE(a2_versions_have_a_limit),
    ALONE(a7_deletions_are_found_by_a_whole_list), ALONE(a17_pages_count_together),
    ALONE(a17_an_expired_page_is_followed_by_one_full_list),
    ALONE(a17_a_failed_page_starts_the_list_again), ALONE(a17_a_cut_list_is_not_trusted),
    ALONE(a19_refusals_and_nonsense_empty_nothing),
    ALONE(kinds_that_are_not_served_have_no_objects), ALONE(a_list_of_other_things_is_none),
    ALONE(a8_a_stream_begins_with_a_list), ALONE(a8_half_an_initial_list_is_not_seen),
    ALONE(a8_a_server_that_ignores_it_is_found_out), ALONE(a3_bookmarks_move_the_version_only),
    ALONE(a5_a_410_inside_of_a_stream), ALONE(a5_a_410_as_the_first_event_again_and_again),
    ALONE(a6_a_version_ahead_of_the_server), ALONE(a6_a_server_that_lags_is_not_hammered),
    ALONE(a11_other_error_events_mean_a_new_list), ALONE(a9_cuts_between_reads_change_nothing),
    ALONE(a9_an_object_too_large_means_a_new_list), ALONE(a10_half_an_object_is_never_applied),
    ALONE(a11_error_events), ALONE(a12_unknown_events_and_fields_are_passed_over),
    ALONE(a13_clean_ends_are_followed_at_once), ALONE(a14_streams_that_end_at_once_are_failures),
    ALONE(a15_attempts_become_rare), ALONE(a15_a_hundred_do_not_come_together),
    ALONE(a16_an_outage_costs_one_watch_and_no_list),
    ALONE(a_server_that_is_back_but_refuses_is_asked_again_soon),
    ALONE(a_first_refusal_is_followed_by_a_short_wait),
    ALONE(a_server_that_is_back_but_overloaded_is_left_alone), ALONE(a_refusal_is_not_kicked),
    ALONE(a18_retry_after_is_obeyed_within_bounds), ALONE(a24_a_401_is_tried_once_more_at_once),
    ALONE(silence_is_cut), ALONE(a22_another_server_is_tried_at_once),
    ALONE(a_refused_object_keeps_its_last_state), ALONE(a_spoilt_object_is_named),
    ALONE(a_sink_that_lost_something_gets_everything_again))
