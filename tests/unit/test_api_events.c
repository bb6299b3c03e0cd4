// SPDX-License-Identifier: GPL-2.0-only
// Events: what is sent, how repeated ones are counted, and that there are never many. Clock, timer and API server are the test's.
/* link: user/agent/api_events.c user/base/buf.c user/base/table.c user/base/json.c user/base/log.c */
/* libs: cjson */
#include "unit/test.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api_events.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"

#define S CLOCK_NS_PER_S

static struct {
	uint64_t now_ns, due_ns; /* due: 0 = the timer is not armed */
	loop_fn *fn;
	void *arg;
	kube_answer_fn *answer; /* a request is under way */
	void *answer_ctx;
	char method[8], target[256], type[64], body[4096];
	unsigned int requests, cancelled;
} fake;

uint64_t clock_now_ns(void)
{
	return fake.now_ns;
}

uint64_t clock_wall_ns(void)
{
	return fake.now_ns + UINT64_C(1700000000) * S + 123456789;
}

int loop_add_timer(struct loop *loop, loop_fn *fn, void *arg, struct loop_event **ret_event)
{
	(void)loop;
	fake.fn = fn;
	fake.arg = arg;
	*ret_event = (struct loop_event *)&fake;
	return 0;
}

int loop_arm(struct loop_event *timer, uint64_t delay_ns, uint64_t period_ns)
{
	(void)timer;
	(void)period_ns;
	fake.due_ns = fake.now_ns + delay_ns;
	return 0;
}

void loop_remove(struct loop_event *event)
{
	(void)event;
}

int source_send(struct source *source, const struct kube_http_request *r, kube_answer_fn *fn,
		void *ctx, struct kube_send **ret_send)
{
	(void)source;
	assert_null(fake.answer); /* one at a time */
	fake.answer = fn;
	fake.answer_ctx = ctx;
	snprintf(fake.method, sizeof(fake.method), "%s", r->method);
	snprintf(fake.target, sizeof(fake.target), "%s", r->target);
	snprintf(fake.type, sizeof(fake.type), "%s", r->content_type ? r->content_type : "");
	snprintf(fake.body, sizeof(fake.body), "%.*s", (int)r->body_len, r->body);
	fake.requests++;
	*ret_send = (struct kube_send *)&fake;
	return 0;
}

void kube_send_cancel(struct kube_send *send)
{
	(void)send;
	fake.cancelled++;
	fake.answer = NULL;
}

/* ---- the world --------------------------------------------------------------------------------------- */

static struct api_events *events;
static struct source source;

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.now_ns = 1000 * S;
	source.kube = (struct kube *)&fake;
	return api_events_new(NULL, &source, "node-1", &events);
}

static int teardown(void **state)
{
	(void)state;
	api_events_free(events);
	return 0;
}

static void tell(const char *name, const char *note)
{
	const struct api_event event = { .api_version = "v1",
					 .kind = "Service",
					 .namespace = "shop",
					 .name = name,
					 .uid = "u",
					 .warning = true,
					 .reason = "Misconfigured",
					 .action = "Program",
					 .note = note };

	api_events_tell(events, &event);
}

/* Time goes on until a request is under way, at most for ns. */
static bool asked_within(uint64_t ns)
{
	uint64_t end_ns = fake.now_ns + ns;

	while (!fake.answer && fake.due_ns && fake.due_ns <= end_ns) {
		fake.now_ns = fake.due_ns > fake.now_ns ? fake.due_ns : fake.now_ns;
		fake.due_ns = 0;
		fake.fn(fake.arg);
	}
	if (!fake.answer)
		fake.now_ns = end_ns;
	return fake.answer != NULL;
}

static void answer(unsigned int status)
{
	const struct kube_answer a = { .status = status, .body = "", .why = status ? NULL : "cut" };
	kube_answer_fn *fn = fake.answer;

	assert_non_null(fn);
	fake.answer = NULL;
	fn(fake.answer_ctx, &a);
}

static struct api_events_stats stats(void)
{
	struct api_events_stats s;

	api_events_count(events, &s);
	return s;
}

/* ---- tests ------------------------------------------------------------------------------------------- */

TEST(one_event_as_the_api_wants_it)
{
	cJSON *json;
	const cJSON *about, *meta;

	tell("web", "a \"note\"\nof two lines");
	assert_true(asked_within(0));
	assert_string_equal(fake.method, "POST");
	assert_string_equal(fake.target, "/apis/events.k8s.io/v1/namespaces/shop/events");
	json = cJSON_Parse(fake.body);
	assert_non_null(json);
	about = cJSON_GetObjectItem(json, "regarding");
	meta = cJSON_GetObjectItem(json, "metadata");
	assert_string_equal(cJSON_GetObjectItem(json, "note")->valuestring,
			    "a \"note\"\nof two lines");
	assert_string_equal(cJSON_GetObjectItem(json, "eventTime")->valuestring,
			    "2023-11-14T22:30:00.123456Z");
	assert_string_equal(cJSON_GetObjectItem(json, "type")->valuestring, "Warning");
	assert_string_equal(cJSON_GetObjectItem(json, "reportingInstance")->valuestring, "node-1");
	assert_string_equal(cJSON_GetObjectItem(about, "uid")->valuestring, "u");
	assert_string_equal(cJSON_GetObjectItem(meta, "namespace")->valuestring, "shop");
	assert_int_equal(strncmp(cJSON_GetObjectItem(meta, "name")->valuestring, "web.", 4), 0);
	assert_int_equal(strlen(cJSON_GetObjectItem(meta, "name")->valuestring), 4 + 16);
	cJSON_Delete(json);
	answer(201);
	assert_int_equal(stats().sent, 1);
	assert_false(asked_within(3600 * S));
}

TEST(what_is_repeated_is_counted)
{
	char name[256];

	tell("web", "x");
	assert_true(asked_within(0));
	tell("web", "x"); /* while the first is on its way */
	answer(201);
	assert_false(asked_within(29 * S));
	for (int i = 0; i < 5; i++)
		tell("web", "x");
	assert_true(asked_within(2 * S));
	assert_string_equal(fake.method, "PATCH");
	assert_string_equal(fake.type, "application/merge-patch+json");
	assert_non_null(strstr(fake.body, "\"count\":7"));
	assert_non_null(strstr(fake.body, "\"lastObservedTime\":\"2023-11-14T22:30:29.123456Z\""));
	snprintf(name, sizeof(name), "%s", fake.target);
	answer(404); /* it is over there */
	assert_true(asked_within(0));
	assert_string_equal(fake.method, "POST");
	assert_int_equal(strncmp(name, fake.target, strlen(fake.target)), 0);
	answer(409); /* or was not */
	assert_true(asked_within(31 * S));
	assert_string_equal(fake.method, "PATCH");
	answer(200);
	tell("web", "another"); /* is another Event */
	assert_true(asked_within(0));
	assert_string_equal(fake.method, "POST");
	answer(201);
	assert_int_equal(stats().dropped, 0);
}

TEST(there_are_never_many)
{
	char name[32];

	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		tell(name, "x");
	}
	for (int i = 0; i < EVENTS_BURST; i++) {
		assert_true(asked_within(0));
		answer(201);
	}
	assert_false(asked_within(2 * S - 1));
	assert_true(asked_within(1));
	answer(201);
	for (unsigned int i = 0; i < 30; i++) {
		assert_true(asked_within(2 * S));
		answer(201);
	}
	assert_int_equal(fake.requests, EVENTS_BURST + 31);
	assert_true(stats().dropped > 1400); /* what there is no room for is dropped at once */
}

TEST(without_the_right_it_is_quiet_for_a_while)
{
	log_set_level(LOG_LEVEL_ERR);
	tell("a", "x");
	tell("b", "x");
	assert_true(asked_within(0));
	answer(403);
	assert_false(asked_within(100 * S));
	tell("c", "x");
	assert_false(asked_within(199 * S));
	assert_int_equal(stats().dropped, 3);
	fake.now_ns += 2 * S;
	tell("d", "x"); /* perhaps somebody has given it */
	assert_true(asked_within(0));
	answer(201);
	assert_int_equal(stats().sent, 1);
}

TEST(failures_are_tried_a_few_times)
{
	tell("a", "x");
	for (int i = 0; i < 5; i++) {
		assert_true(asked_within(6 * S));
		answer(i % 2 ? 503 : 0);
	}
	assert_false(asked_within(3600 * S));
	assert_int_equal(fake.requests, 5);
	assert_int_equal(stats().dropped, 1);
	tell("a", "x"); /* happens again: a try of its own */
	assert_true(asked_within(0));
	answer(422);
	assert_false(asked_within(3600 * S));
	assert_int_equal(stats().dropped, 2);
}

TEST(long_notes_are_cut_between_characters)
{
	char note[2048];
	cJSON *json;

	memset(note, 'x', sizeof(note));
	memcpy(note + 1023, "\xc3\xa4", 2); /* would be cut in two */
	note[sizeof(note) - 1] = 0;
	tell("a", note);
	assert_true(asked_within(0));
	json = cJSON_Parse(fake.body);
	assert_int_equal(strlen(cJSON_GetObjectItem(json, "note")->valuestring), 1023);
	cJSON_Delete(json);
}

TEST(a_folder_takes_none)
{
	source.kube = NULL;
	tell("a", "x");
	assert_false(asked_within(3600 * S));
	assert_int_equal(stats().dropped, 0);
}

TEST(ended_while_one_is_under_way)
{
	tell("a", "x");
	assert_true(asked_within(0));
	api_events_free(events);
	assert_int_equal(fake.cancelled, 1);
	assert_int_equal(setup(NULL), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

RUN(T(one_event_as_the_api_wants_it), T(what_is_repeated_is_counted), T(there_are_never_many),
    T(without_the_right_it_is_quiet_for_a_while), T(failures_are_tried_a_few_times),
    T(long_notes_are_cut_between_characters), T(a_folder_takes_none),
    T(ended_while_one_is_under_way))
