// SPDX-License-Identifier: GPL-2.0-only
/* Election by a Lease: several replicas against an API server that may be slow, silent or gone; never two that lead. */
/* link: user/ingress/leader.c user/base/json.c user/base/buf.c */
/* libs: cjson */
#include "unit/test.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/leader.h"

#define S  UINT64_C(1000000000)
#define MS UINT64_C(1000000)

/* An API server that knows one Lease, and what is to become of each request. */
struct server {
	char *lease; /* NULL: none */
	unsigned version;
	bool silent; /* it carries out, but the answer is lost */
	bool down;
	bool forbids;
	unsigned requests, writes;
};

struct replica {
	struct leader leader;
	struct leader_request request;
	bool dead, asked;
	uint64_t skew_ns;   /* its wall clock */
	uint64_t answer_ns; /* when the answer comes; a request is carried out when it is sent */
	unsigned status;
	char *body;
};

static char *with_version(const char *body, unsigned version)
{
	cJSON *json = cJSON_Parse(body), *meta = cJSON_GetObjectItem(json, "metadata");
	char text[16], *out;

	if (!json)
		fail_msg("no JSON: %s", body);
	snprintf(text, sizeof(text), "%u", version);
	cJSON_DeleteItemFromObject(meta, "resourceVersion");
	cJSON_AddStringToObject(meta, "resourceVersion", text);
	out = cJSON_PrintUnformatted(json);
	cJSON_Delete(json);
	return out;
}

static bool has_version(const char *body, unsigned version)
{
	cJSON *json = cJSON_Parse(body);
	const char *text = cJSON_GetStringValue(
		cJSON_GetObjectItem(cJSON_GetObjectItem(json, "metadata"), "resourceVersion"));
	bool same = text && (unsigned)atoi(text) == version;

	cJSON_Delete(json);
	return same;
}

static unsigned serve(struct server *s, const struct leader_request *q, char **ret_body)
{
	const char *body = buf_str(&q->body);

	s->requests++;
	*ret_body = NULL;
	if (s->down)
		return 0;
	if (s->forbids)
		return 403;
	if (strcmp(q->method, "GET") == 0) {
		assert_string_equal(buf_str(&q->target),
				    "/apis/coordination.k8s.io/v1/namespaces/ns/leases/proxy");
		*ret_body = s->lease ? strdup(s->lease) : NULL;
		return s->lease ? 200 : 404;
	}
	if (strcmp(q->method, "POST") == 0) {
		if (s->lease)
			return 409;
		assert_string_equal(buf_str(&q->target),
				    "/apis/coordination.k8s.io/v1/namespaces/ns/leases");
	} else if (!s->lease || !has_version(body, s->version)) {
		return s->lease ? 409 : 404;
	}
	s->writes++;
	free(s->lease);
	s->lease = with_version(body, ++s->version);
	*ret_body = strdup(s->lease);
	return strcmp(q->method, "POST") == 0 ? 201 : 200;
}

#define REPLICAS 3

struct world {
	struct server server;
	struct replica replicas[REPLICAS];
	uint64_t now_ns, latency_ns;
	uint32_t random;
	uint64_t led_ns, alone_ns; /* how long somebody led; nobody */
};

static uint32_t next_random(struct world *w)
{
	w->random = w->random * 1664525 + 1013904223;
	return w->random;
}

static struct world new_world(void)
{
	static const char *const names[] = { "a", "b", "c" };
	struct world w = { .now_ns = 100 * S, .latency_ns = 5 * MS, .random = 1 };

	for (int i = 0; i < REPLICAS; i++)
		leader_init(&w.replicas[i].leader, names[i], "ns", "proxy");
	w.replicas[1].skew_ns = 3600 * S;
	return w;
}

static void world_done(struct world *w)
{
	free(w->server.lease);
	for (int i = 0; i < REPLICAS; i++) {
		buf_done(&w->replicas[i].request.target);
		buf_done(&w->replicas[i].request.body);
		free(w->replicas[i].body);
	}
}

static int n_leading(const struct world *w)
{
	int n = 0;

	for (int i = 0; i < REPLICAS; i++)
		n += !w->replicas[i].dead && leader_leads(&w->replicas[i].leader, w->now_ns);
	return n;
}

static int who_leads(const struct world *w)
{
	for (int i = 0; i < REPLICAS; i++)
		if (!w->replicas[i].dead && leader_leads(&w->replicas[i].leader, w->now_ns))
			return i;
	return -1;
}

static void step_replica(struct world *w, struct replica *r)
{
	uint64_t next;

	if (r->asked && w->now_ns >= r->answer_ns) {
		r->asked = false;
		leader_answer(&r->leader, w->now_ns, next_random(w), r->status, r->body);
		free(r->body);
		r->body = NULL;
	}
	if (!leader_next(&r->leader, w->now_ns, w->now_ns + r->skew_ns + 1700000000 * S,
			 &r->request, &next))
		return;
	assert_false(r->asked);
	r->asked = true;
	r->answer_ns = w->now_ns + w->latency_ns;
	r->status = serve(&w->server, &r->request, &r->body);
	if (w->server.silent) {
		free(r->body);
		r->body = NULL;
		r->status = 0;
		r->answer_ns = w->now_ns + 3 * S;
	}
}

/* Runs for so long, ten milliseconds a step, and looks after each that no two lead. */
static void run(struct world *w, uint64_t ns)
{
	for (uint64_t end = w->now_ns + ns; w->now_ns < end; w->now_ns += 10 * MS) {
		for (int i = 0; i < REPLICAS; i++)
			if (!w->replicas[i].dead)
				step_replica(w, &w->replicas[i]);
		assert_true(n_leading(w) <= 1);
		if (n_leading(w))
			w->led_ns += 10 * MS;
		else
			w->alone_ns += 10 * MS;
	}
}

TEST(one_of_several_leads_and_stays)
{
	struct world w = new_world();
	int first;

	run(&w, 2 * S);
	first = who_leads(&w);
	assert_true(first >= 0);
	run(&w, 600 * S);
	assert_int_equal(who_leads(&w), first);
	assert_true(w.alone_ns <= 2 * S);
	assert_true(w.server.writes <= 305); /* a renewal each two seconds */
	assert_true(w.server.requests <= 305 + 2 * 1300);
	world_done(&w);
}

TEST(another_takes_over_from_one_that_was_killed)
{
	for (int round = 0; round < 50; round++) {
		struct world w = new_world();
		uint64_t took_ns = 0;
		int first;

		w.random = (uint32_t)round;
		run(&w, 5 * S + (uint64_t)round * 37 * MS);
		first = who_leads(&w);
		w.replicas[first].dead = true;
		while (who_leads(&w) < 0) {
			run(&w, 10 * MS);
			took_ns += 10 * MS;
			assert_true(took_ns < 20 * S);
		}
		assert_int_not_equal(who_leads(&w), first);
		assert_true(took_ns <= 8 * S); /* so that addresses are right ten seconds after */
		world_done(&w);
	}
}

TEST(one_that_ends_gives_it_back)
{
	struct world w = new_world();
	int first;

	run(&w, 5 * S);
	first = who_leads(&w);
	leader_release(&w.replicas[first].leader);
	run(&w, 100 * MS);
	assert_true(leader_is_released(&w.replicas[first].leader));
	assert_non_null(strstr(w.server.lease, "\"holderIdentity\":\"\""));
	w.alone_ns = 0;
	run(&w, 5 * S);
	assert_true(who_leads(&w) >= 0 && who_leads(&w) != first);
	assert_true(w.alone_ns <= 2 * S);
	world_done(&w);
}

TEST(without_an_answer_nobody_leads_for_long)
{
	struct world w = new_world();

	run(&w, 5 * S);
	w.server.down = true;
	run(&w, LEADER_GIVE_UP_NS + 100 * MS);
	assert_int_equal(n_leading(&w), 0);
	run(&w, 60 * S);
	w.server.down = false;
	run(&w, 4 * S);
	assert_int_equal(n_leading(&w), 1);
	world_done(&w);
}

/* A renewal was carried out, and its answer lost: what is known is looked up anew, and nobody else leads meanwhile. */
TEST(lost_answers_do_not_make_two)
{
	struct world w = new_world();

	for (int round = 0; round < 20; round++) {
		run(&w, 3 * S + (uint64_t)round * 91 * MS);
		w.server.silent = true;
		run(&w, (uint64_t)(round % 7) * S);
		w.server.silent = false;
	}
	run(&w, 10 * S);
	assert_int_equal(n_leading(&w), 1);
	world_done(&w);
}

TEST(answers_may_be_slow)
{
	struct world w = new_world();

	w.latency_ns = 1500 * MS;
	run(&w, 120 * S);
	assert_int_equal(n_leading(&w), 1);
	assert_true(w.alone_ns < 10 * S);
	world_done(&w);
}

TEST(what_is_forbidden_is_said)
{
	struct world w = new_world();

	w.server.forbids = true;
	run(&w, 60 * S);
	assert_int_equal(n_leading(&w), 0);
	assert_non_null(w.replicas[0].leader.complaint);
	assert_non_null(strstr(w.replicas[0].leader.complaint, "Leases"));
	assert_true(w.server.requests <= 3 * 125); /* no storm */
	w.server.forbids = false;
	run(&w, 4 * S);
	assert_int_equal(n_leading(&w), 1);
	assert_null(w.replicas[who_leads(&w)].leader.complaint);
	world_done(&w);
}

TEST(nonsense_is_no_lease)
{
	static const char *const bodies[] = {
		"", "{", "[]", "{\"metadata\":3}",
		("{\"metadata\":{},\"spec\":{\"leaseDurationSeconds\":-1e300,"
		 "\"leaseTransitions\":1e300,\"holderIdentity\":7}}")
	};
	struct leader_request q = { 0 };

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct leader l;
		uint64_t next;

		leader_init(&l, "a", "ns", "proxy");
		assert_true(leader_next(&l, 1 * S, 1 * S, &q, &next));
		leader_answer(&l, 1 * S, 0, 200, bodies[i]);
		assert_false(leader_leads(&l, 1 * S));
		if (leader_next(&l, 10 * S, 10 * S, &q, &next))
			leader_answer(&l, 10 * S, 0, 200, bodies[i]);
		assert_false(leader_leads(&l, 10 * S));
	}
	buf_done(&q.target);
	buf_done(&q.body);
}

RUN(cmocka_unit_test(one_of_several_leads_and_stays),
    cmocka_unit_test(another_takes_over_from_one_that_was_killed),
    cmocka_unit_test(one_that_ends_gives_it_back),
    cmocka_unit_test(without_an_answer_nobody_leads_for_long),
    cmocka_unit_test(lost_answers_do_not_make_two), cmocka_unit_test(answers_may_be_slow),
    cmocka_unit_test(what_is_forbidden_is_said), cmocka_unit_test(nonsense_is_no_lease))
