// SPDX-License-Identifier: GPL-2.0-only
// The model of the data path, row by row as bpf/README.md has it ("The walk of each kind of packet").
/* link: user/core/explain.c user/core/explain_rows.c user/core/explain_flow.c user/core/explain_open.c user/core/format.c user/core/rows.c user/core/address.c */
#include "unit/test.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/explain.h"
#include "core/format.h"

#define NS_PER_S UINT64_C(1000000000)
#define NOW      (1000000 * NS_PER_S)
#define ANY      0xffff /* a random port */

/* C client, V VIP, B backend, N node, as in the page. */
#define C4  "10.1.0.5"
#define V4  "10.96.0.10"
#define B4  "10.1.1.11"
#define B4B "10.1.2.12"
#define N4  "192.0.2.1"
#define C6  "fd00:1::5"
#define V6  "fd00:96::10"
#define B6  "fd00:1:1::11"

/* ---- maps in memory ---------------------------------------------------------------------------------------------- */

struct row {
	enum explain_map map;
	int family;
	uint8_t key[48];
	uint8_t value[256];
	size_t key_len, value_len;
};

static struct row rows[64];
static size_t n_rows;
static struct sl_config config;
static int get_failure;

static const size_t key_sizes[2][EXPLAIN_MAPS] = {
	{ sizeof(struct sl4_service_key), 4, 4, 4, 4, 4, sizeof(struct sl4_flow_key),
	  sizeof(struct sl4_flow_key), sizeof(struct sl4_affinity_key),
	  sizeof(struct sl4_frag_key) },
	{ sizeof(struct sl6_service_key), 4, 4, 4, 4, 4, sizeof(struct sl6_flow_key),
	  sizeof(struct sl6_flow_key), sizeof(struct sl6_affinity_key),
	  sizeof(struct sl6_frag_key) },
};

static struct row *find(int family, enum explain_map map, const void *key)
{
	size_t len = key_sizes[family == 6][map];

	for (size_t i = 0; i < n_rows; i++)
		if (rows[i].map == map && rows[i].family == family &&
		    !memcmp(rows[i].key, key, len))
			return &rows[i];
	return NULL;
}

static void put(int family, enum explain_map map, const void *key, const void *value,
		size_t value_len)
{
	struct row *r = find(family, map, key);

	if (!r) {
		assert_true(n_rows < sizeof(rows) / sizeof(rows[0]));
		r = &rows[n_rows++];
	}
	*r = (struct row){ .map = map, .family = family, .value_len = value_len };
	assert_true(value_len <= sizeof(r->value));
	memcpy(r->key, key, key_sizes[family == 6][map]);
	memcpy(r->value, value, value_len);
}

static int get(void *ctx, int family, enum explain_map map, const void *key, void *ret_value)
{
	const struct row *r = find(family, map, key);

	(void)ctx;
	if (get_failure)
		return get_failure;
	if (!r)
		return -ENOENT;
	memcpy(ret_value, r->value, r->value_len);
	return 0;
}

static struct address addr(const char *text)
{
	struct address a;

	assert_int_equal(address_parse(text, &a), 0);
	return a;
}

static void set_filter(const char *text, bool backend)
{
	const struct address a = addr(text);
	uint32_t bit = row_filter_bit(&a), word = bit / 64 + (backend ? SL_FILTER_WORDS : 0);
	const struct row *r = find(a.family, EXPLAIN_FILTER, &word);
	uint64_t value = r ? *(const uint64_t *)(const void *)r->value : 0;

	value |= UINT64_C(1) << (bit % 64);
	put(a.family, EXPLAIN_FILTER, &word, &value, sizeof(value));
}

static void put_backend(uint32_t id, const char *text, uint16_t port, uint16_t flags)
{
	const struct row_backend b = {
		.addr = addr(text), .port = port, .flags = flags, .gen = 5, .service = 1
	};
	uint8_t value[sizeof(struct sl6_backend)];

	row_encode_backend(b.addr.family, &b, value);
	put(b.addr.family, EXPLAIN_BACKENDS, &id, value,
	    b.addr.family == 4 ? sizeof(struct sl4_backend) : sizeof(struct sl6_backend));
	set_filter(text, true);
}

/* Fields of s that are not set get the usual; slot is the service's port. */
static void put_service(const char *vip, uint16_t port, uint8_t proto, struct row_service s)
{
	const struct sl_slot_ref ref = { port, 3 };
	uint8_t key[ROW_KEY_MAX] = { 0 }, value[sizeof(struct sl6_service)];
	uint32_t slot = port;
	int family;

	s.key = (struct row_service_key){ addr(vip), port, proto };
	family = s.key.vip.family;
	s.gen = 3;
	if (port)
		s.kind = s.kind ? s.kind : SL_KIND_CLUSTER_IP;
	s.service = port ? 1 : 0;
	row_encode_key(family, &s.key, key);
	row_encode_service(family, &s, value);
	put(family, EXPLAIN_SERVICES, key, &ref, sizeof(ref));
	put(family, EXPLAIN_RECORDS, &slot, value,
	    family == 4 ? sizeof(struct sl4_service) : sizeof(struct sl6_service));
	set_filter(vip, false);
}

static void put_ring(int family, uint32_t line, const uint32_t *ids, size_t n)
{
	struct sl_ring_line value = { 0 };

	memcpy(value.backend, ids, n * sizeof(*ids));
	put(family, EXPLAIN_RINGS, &line, &value, sizeof(value));
}

#define RING(family, line, ...)                                   \
	put_ring(family, line, (const uint32_t[]){ __VA_ARGS__ }, \
		 sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)

#define READY (SL_BACKEND_IN_CLUSTER | SL_BACKEND_SERVING)

/* One service with a cluster IP, V:80 TCP and UDP, backend B:8080 (id 1). */
static int setup(void **state)
{
	static const struct sl_name name = {
		.namespace = "default", .name = "web", .port_name = "http", .port = 80
	};
	const uint32_t id = 1;

	(void)state;
	n_rows = 0;
	get_failure = 0;
	memset(&config, 0, sizeof(config));
	config.snat_low = 61000;
	config.snat_high = 61099;
	memcpy(config.node4, addr(N4).b, 4);
	memcpy(config.cidrs4[0].addr, "\x0a\x60\x00\x00", 4);
	memcpy(config.cidrs4[0].mask, "\xff\xff\x00\x00", 4);
	for (int family = 4; family <= 6; family += 2) {
		const char *vip = family == 4 ? V4 : V6;

		put(family, EXPLAIN_NAMES, &id, &name, sizeof(name));
		put_service(vip, 80, IPPROTO_TCP,
			    (struct row_service){ .cluster_len = 1, .cluster_line = 1 });
		put_service(vip, 0, 0, (struct row_service){ .kind = SL_KIND_ADDRESS });
		put_backend(1, family == 4 ? B4 : B6, 8080, READY);
		RING(family, 1, 1);
	}
	return 0;
}

/* ---- flows ---------------------------------------------------------------------------------------------------------- */

/* "10.1.0.5:40000 > 10.96.0.10:80" */
static struct explain_tuple tuple(const char *text, uint8_t proto)
{
	struct explain_tuple t = { .proto = proto };
	char from[64], to[64];

	assert_int_equal(sscanf(text, "%63s > %63s", from, to), 2);
	assert_int_equal(format_parse_endpoint(from, &t.saddr, &t.sport), 0);
	assert_int_equal(format_parse_endpoint(to, &t.daddr, &t.dport), 0);
	return t;
}

struct entry {
	enum sl_flow_state state;
	uint64_t idle_s;
	uint32_t backend; /* 0 = 1 */
	uint32_t gen;     /* 0 = as the backend */
	uint16_t flags;
};
#define ENTRY(state_, ...) ((struct entry){ .state = state_, ##__VA_ARGS__ })

#define FILL(k, v, key, to, e)                                          \
	do {                                                            \
		memcpy((k)->saddr, (key)->saddr.b, sizeof((k)->saddr)); \
		memcpy((k)->daddr, (key)->daddr.b, sizeof((k)->daddr)); \
		(k)->sport = (key)->sport, (k)->dport = (key)->dport;   \
		(k)->proto = (key)->proto;                              \
		memcpy((v)->saddr, (to)->saddr.b, sizeof((v)->saddr));  \
		memcpy((v)->daddr, (to)->daddr.b, sizeof((v)->daddr));  \
		(v)->sport = (to)->sport, (v)->dport = (to)->dport;     \
		(v)->backend = (e)->backend ? (e)->backend : 1;         \
		(v)->backend_gen = (e)->gen ? (e)->gen : 5;             \
		(v)->service = 1;                                       \
		(v)->flags = (e)->flags;                                \
		(v)->state = (e)->state;                                \
		(v)->seen = sl_tick(NOW - (e)->idle_s * NS_PER_S);      \
	} while (0)

static void put_flow(enum sl_flow_kind kind, const char *from, const char *becomes, uint8_t proto,
		     struct entry e)
{
	const struct explain_tuple key = tuple(from, proto), to = tuple(becomes, proto);
	enum explain_map map = proto == IPPROTO_TCP ? EXPLAIN_FLOWS_TCP : EXPLAIN_FLOWS_UDP;

	if (key.saddr.family == 4) {
		struct sl4_flow_key k = { .kind = kind };
		struct sl4_flow v = { 0 };

		FILL(&k, &v, &key, &to, &e);
		put(4, map, &k, &v, sizeof(v));
	} else {
		struct sl6_flow_key k = { .kind = kind };
		struct sl6_flow v = { 0 };

		FILL(&k, &v, &key, &to, &e);
		put(6, map, &k, &v, sizeof(v));
	}
}

/* ---- asking ---------------------------------------------------------------------------------------------------------- */

static struct explain_answer answer;

static int teardown(void **state)
{
	(void)state;
	explain_answer_done(&answer);
	return 0;
}

static struct explain_packet packet(enum explain_hook hook, uint8_t proto, const char *text,
				    uint8_t tcp_flags)
{
	return (struct explain_packet){
		.hook = hook, .tuple = tuple(text, proto), .tcp_flags = tcp_flags, .now_ns = NOW
	};
}

static void ask(const struct explain_packet *p)
{
	const struct explain_maps maps = { .get = get, .config = config };

	explain_answer_done(&answer);
	assert_int_equal(explain(&maps, p, &answer), 0);
}

static void want_reason(enum sl_reason reason)
{
	if (answer.reason != reason)
		for (size_t i = 0; i < answer.n_steps; i++)
			print_error("    %s\n", answer.steps[i]);
	assert_string_equal(format_reason_name(answer.reason), format_reason_name(reason));
	assert_int_equal(answer.verdict, format_reason_verdict(reason));
}

static void asks(enum explain_hook hook, uint8_t proto, const char *text, uint8_t tcp_flags,
		 enum sl_reason reason)
{
	const struct explain_packet p = packet(hook, proto, text, tcp_flags);

	ask(&p);
	want_reason(reason);
}

/* The packet becomes exactly this; NULL: stays as it is. */
static void want_after(const char *text)
{
	char buf[2][FORMAT_ENDPOINT_LEN], got[2 * FORMAT_ENDPOINT_LEN];

	if (!text) {
		assert_false(answer.rewritten);
		return;
	}
	assert_true(answer.rewritten);
	assert_false(answer.after_any_backend);
	snprintf(got, sizeof(got), "%s > %s",
		 format_endpoint(&answer.after.saddr, answer.after.sport, buf[0]),
		 format_endpoint(&answer.after.daddr, answer.after.dport, buf[1]));
	assert_string_equal(got, text);
}

static void want_one_backend(uint32_t id)
{
	assert_int_equal(answer.n_backends, 1);
	assert_int_equal(answer.backends[0].id, id);
}

static void want_step(const char *part)
{
	for (size_t i = 0; i < answer.n_steps; i++)
		if (strstr(answer.steps[i], part))
			return;
	fail_msg("no step says '%s'", part);
}

#define REQUEST C4 ":40000 > " V4 ":80"
#define SENT    C4 ":40000 > " B4 ":8080"
#define ANSWER  B4 ":8080 > " C4 ":40000"
#define REPLY   V4 ":80 > " C4 ":40000"

/* ---- a pod to a VIP ---------------------------------------------------------------------------------------------------- */

TEST(a_syn_opens_a_flow)
{
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NEW_FLOW);
	want_after(SENT);
	want_one_backend(1);
	want_step("filter: 10.96.0.10 may be ours");
	want_step("flow: no request entry");
	want_step("service: default/web:http, record 80");
	want_step("ring: 1 endpoint, random");
	assert_int_equal(answer.service, 1);
}

TEST(a_syn_opens_a_flow_v6)
{
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, "[" C6 "]:40000 > [" V6 "]:80", EXPLAIN_SYN,
	     SL_REASON_NEW_FLOW);
	want_after("[fd00:1::5]:40000 > [fd00:1:1::11]:8080");
}

TEST(random_allows_every_distinct_usable_backend)
{
	put_backend(2, B4B, 8080, READY);
	put_backend(3, "10.1.3.13", 8080, SL_BACKEND_SERVING);
	RING(4, 1, 1, 2, 1, 3);
	put_service(V4, 80, IPPROTO_TCP,
		    (struct row_service){ .cluster_len = 4, .cluster_line = 1 });
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NEW_FLOW);
	assert_int_equal(answer.n_backends, 2);
	assert_true(answer.after_any_backend);
	assert_true(answer.may_tear);
}

TEST(the_answer_is_the_vips)
{
	put_flow(SL_FLOW_REPLY, ANSWER, REPLY, IPPROTO_TCP, ENTRY(SL_STATE_NEW));
	asks(EXPLAIN_POD_OUT, IPPROTO_TCP, ANSWER, EXPLAIN_SYN | EXPLAIN_ACK, SL_REASON_REPLY);
	want_after(REPLY);
	want_one_backend(1);
}

TEST(data_follows_its_flow_and_no_map_of_services_is_asked)
{
	put_flow(SL_FLOW_REQUEST, REQUEST, SENT, IPPROTO_TCP,
		 ENTRY(SL_STATE_CONFIRMED, .idle_s = 80000));
	put_service(V4, 80, IPPROTO_TCP, (struct row_service){ .cluster_len = 0 });
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_ACK, SL_REASON_FLOW);
	want_after(SENT);
	want_step("request entry, confirmed, last packet 22h13m ago");
}

TEST(tcp_data_goes_on_to_an_endpoint_that_left)
{
	put_flow(SL_FLOW_REQUEST, REQUEST, SENT, IPPROTO_TCP, ENTRY(SL_STATE_CONFIRMED));
	put_backend(1, B4, 8080, 0);
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_ACK, SL_REASON_FLOW);
	want_after(SENT);
}

TEST(a_syn_on_an_endpoint_that_left_is_a_new_flow)
{
	put_flow(SL_FLOW_REQUEST, REQUEST, SENT, IPPROTO_TCP, ENTRY(SL_STATE_CONFIRMED));
	put_backend(1, B4, 8080, SL_BACKEND_SERVING | SL_BACKEND_TERMINATING);
	put_backend(2, B4B, 8080, READY);
	RING(4, 1, 2);
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NEW_FLOW);
	want_one_backend(2);
}

TEST(a_syn_on_a_closing_flow_is_a_new_flow)
{
	put_flow(SL_FLOW_REQUEST, REQUEST, C4 ":40000 > " B4B ":1", IPPROTO_TCP,
		 ENTRY(SL_STATE_CLOSING));
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NEW_FLOW);
	want_after(SENT);
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_ACK, SL_REASON_FLOW);
	want_after(C4 ":40000 > " B4B ":1");
}

TEST(a_syn_ack_on_a_closing_flow_is_a_direct_connections)
{
	put_flow(SL_FLOW_REPLY, ANSWER, REPLY, IPPROTO_TCP, ENTRY(SL_STATE_CLOSING));
	asks(EXPLAIN_POD_OUT, IPPROTO_TCP, ANSWER, EXPLAIN_SYN | EXPLAIN_ACK,
	     SL_REASON_NOT_SERVICE);
	want_after(NULL);
	want_step("of a direct connection");
	asks(EXPLAIN_POD_OUT, IPPROTO_TCP, ANSWER, EXPLAIN_ACK, SL_REASON_REPLY);
	want_after(REPLY);
}

TEST(a_local_flow_needs_the_local_list)
{
	put_flow(SL_FLOW_REQUEST, REQUEST, C4 ":40000 > " B4B ":1", IPPROTO_TCP,
		 ENTRY(SL_STATE_CONFIRMED, .flags = SL_FLOW_LOCAL_LIST));
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NEW_FLOW);
	put_backend(1, B4, 8080, READY | SL_BACKEND_IN_LOCAL);
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_FLOW);
}

TEST(udp_leaves_an_endpoint_that_serves_no_more)
{
	put_service(V4, 80, IPPROTO_UDP,
		    (struct row_service){ .cluster_len = 1, .cluster_line = 1 });
	put_flow(SL_FLOW_REQUEST, REQUEST, C4 ":40000 > " B4B ":1", IPPROTO_UDP,
		 ENTRY(SL_STATE_CONFIRMED));
	put_backend(1, B4, 8080, SL_BACKEND_SERVING | SL_BACKEND_TERMINATING);
	asks(EXPLAIN_POD_IN, IPPROTO_UDP, REQUEST, 0, SL_REASON_FLOW);
	put_backend(1, B4, 8080, SL_BACKEND_IN_CLUSTER);
	asks(EXPLAIN_POD_IN, IPPROTO_UDP, REQUEST, 0, SL_REASON_NEW_FLOW);
	want_after(SENT);
}

TEST(an_id_with_another_owner_serves_nobody)
{
	put_service(V4, 80, IPPROTO_UDP,
		    (struct row_service){ .cluster_len = 1, .cluster_line = 1 });
	put_flow(SL_FLOW_REQUEST, REQUEST, C4 ":40000 > " B4B ":1", IPPROTO_UDP,
		 ENTRY(SL_STATE_CONFIRMED, .gen = 4));
	asks(EXPLAIN_POD_IN, IPPROTO_UDP, REQUEST, 0, SL_REASON_NEW_FLOW);
}

/* ---- time ---------------------------------------------------------------------------------------------------------------- */

TEST(an_entry_lives_for_the_idle_time_of_its_state)
{
	static const struct {
		uint8_t proto;
		enum sl_flow_state state;
		uint64_t idle_s;
	} cases[] = {
		{ IPPROTO_TCP, SL_STATE_NEW, 60 },
		{ IPPROTO_TCP, SL_STATE_REPLIED, 60 },
		{ IPPROTO_TCP, SL_STATE_CONFIRMED, 86400 },
		{ IPPROTO_TCP, SL_STATE_HALF_CLOSED, 3600 },
		{ IPPROTO_TCP, SL_STATE_CLOSING, 30 },
		{ IPPROTO_UDP, SL_STATE_NEW, 30 },
		{ IPPROTO_UDP, SL_STATE_CONFIRMED, 120 },
		{ IPPROTO_SCTP, SL_STATE_CONFIRMED, 210 },
		{ IPPROTO_SCTP, SL_STATE_NEW, 30 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(explain_idle_ns(cases[i].proto, cases[i].state),
				 cases[i].idle_s * NS_PER_S);
		put_service(V4, 80, cases[i].proto, (struct row_service){ .cluster_len = 0 });
		put_flow(SL_FLOW_REQUEST, REQUEST, SENT, cases[i].proto,
			 ENTRY(cases[i].state, .idle_s = cases[i].idle_s - 1));
		asks(EXPLAIN_POD_IN, cases[i].proto, REQUEST, EXPLAIN_ACK, SL_REASON_FLOW);
		put_flow(SL_FLOW_REQUEST, REQUEST, SENT, cases[i].proto,
			 ENTRY(cases[i].state, .idle_s = cases[i].idle_s));
		asks(EXPLAIN_POD_IN, cases[i].proto, REQUEST, EXPLAIN_ACK, SL_REASON_NO_ENDPOINT);
	}
}

TEST(an_entry_lives_while_its_twin_is_fresh)
{
	put_flow(SL_FLOW_REQUEST, REQUEST, SENT, IPPROTO_TCP,
		 ENTRY(SL_STATE_HALF_CLOSED, .idle_s = 4000));
	put_flow(SL_FLOW_REPLY, ANSWER, REPLY, IPPROTO_TCP,
		 ENTRY(SL_STATE_HALF_CLOSED, .idle_s = 3000));
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_ACK, SL_REASON_FLOW);
	/* the other direction belongs to another flow */
	put_flow(SL_FLOW_REPLY, ANSWER, "10.96.0.99:80 > " C4 ":40000", IPPROTO_TCP,
		 ENTRY(SL_STATE_HALF_CLOSED, .idle_s = 3000));
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_ACK, SL_REASON_UNKNOWN_TCP_FLOW);
}

TEST(another_cpus_clock_may_be_ahead)
{
	put_flow(SL_FLOW_REQUEST, REQUEST, SENT, IPPROTO_TCP,
		 ENTRY(SL_STATE_CONFIRMED, .idle_s = (uint64_t)-1));
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_ACK, SL_REASON_FLOW);
	want_step("last packet 0ms ago");
}

/* ---- choice ---------------------------------------------------------------------------------------------------------------- */

TEST(affinity_brings_the_client_back)
{
	struct sl4_affinity_key key = { .service = 1 };
	struct sl_affinity value = { .backend = 2,
				     .backend_gen = 5,
				     .seen_ns = NOW - 99 * NS_PER_S };

	memcpy(key.client, addr(C4).b, 4);
	put_backend(2, B4B, 8080, READY);
	RING(4, 1, 1);
	put_service(V4, 80, IPPROTO_TCP,
		    (struct row_service){ .cluster_len = 1, .cluster_line = 1, .affinity_s = 100 });
	put(4, EXPLAIN_AFFINITY, &key, &value, sizeof(value));
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NEW_FLOW);
	want_one_backend(2);

	put_backend(2, B4B, 8080, SL_BACKEND_SERVING); /* left the list in force */
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NEW_FLOW);
	want_one_backend(1);

	put_backend(2, B4B, 8080, READY);
	value.seen_ns = NOW - 100 * NS_PER_S;
	put(4, EXPLAIN_AFFINITY, &key, &value, sizeof(value));
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NEW_FLOW);
	want_one_backend(1);
	want_step("affinity: the client's is over");
}

TEST(maglev_gives_one_backend_and_takes_over_unknown_flows)
{
	put_backend(2, B4B, 8080, READY);
	RING(4, 1, 1, 2);
	put_service(V4, 80, IPPROTO_TCP,
		    (struct row_service){ .cluster_len = 2,
					  .cluster_line = 1,
					  .algorithm = SL_ALGORITHM_MAGLEV });
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_ACK, SL_REASON_NEW_FLOW);
	assert_int_equal(answer.n_backends, 1);
	assert_false(answer.after_any_backend);
}

TEST(local_policy_takes_local_endpoints_only)
{
	put_backend(2, B4B, 8080, READY | SL_BACKEND_IN_LOCAL);
	RING(4, 2, 2);
	put_service(V4, 80, IPPROTO_TCP,
		    (struct row_service){ .cluster_len = 1,
					  .cluster_line = 1,
					  .local_len = 1,
					  .local_line = 2,
					  .flags = SL_SERVICE_INTERNAL_LOCAL });
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NEW_FLOW);
	want_one_backend(2);
}

/* ---- refusals --------------------------------------------------------------------------------------------------------------- */

TEST(no_endpoint_is_refused_with_an_answer)
{
	put_service(V4, 80, IPPROTO_TCP, (struct row_service){ .cluster_len = 0 });
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NO_ENDPOINT);
	assert_true(answer.answered);
	assert_true(strlen(answer.advice) > 0);
	want_after(NULL);
}

TEST(no_local_endpoint_is_dropped_where_others_are_elsewhere)
{
	struct row_service s = { .cluster_len = 1,
				 .cluster_line = 1,
				 .flags = SL_SERVICE_INTERNAL_LOCAL | SL_SERVICE_ANY_ENDPOINT };

	put_service(V4, 80, IPPROTO_TCP, s);
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NO_LOCAL_ENDPOINT);
	s.flags = SL_SERVICE_INTERNAL_LOCAL;
	put_service(V4, 80, IPPROTO_TCP, s);
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NO_ENDPOINT);
}

TEST(other_ports_and_protocols_of_a_cluster_ip_are_refused)
{
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, C4 ":40000 > " V4 ":81", EXPLAIN_SYN,
	     SL_REASON_UNKNOWN_PORT);
	asks(EXPLAIN_POD_IN, IPPROTO_SCTP, REQUEST, 0, SL_REASON_UNKNOWN_PORT);
	asks(EXPLAIN_POD_IN, IPPROTO_ICMP, C4 " > " V4, 0, SL_REASON_UNKNOWN_PORT);
	assert_true(answer.answered);
}

TEST(addresses_of_the_range_that_nobody_has_are_dropped)
{
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, C4 ":40000 > 10.96.7.7:80", EXPLAIN_SYN,
	     SL_REASON_UNALLOCATED);
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, C4 ":40000 > 10.97.7.7:80", EXPLAIN_SYN,
	     SL_REASON_NOT_SERVICE);
	set_filter("10.96.7.7", false); /* shares a bit with a service */
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, C4 ":40000 > 10.96.7.7:80", EXPLAIN_SYN,
	     SL_REASON_UNALLOCATED);
}

TEST(unknown_tcp_flows_are_reset_and_a_reset_is_not_answered)
{
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_ACK, SL_REASON_UNKNOWN_TCP_FLOW);
	assert_true(answer.answered);
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_RST, SL_REASON_UNKNOWN_TCP_FLOW);
	assert_false(answer.answered);
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN | EXPLAIN_ACK,
	     SL_REASON_UNKNOWN_TCP_FLOW);
}

TEST(sctp_with_another_target_port_is_refused_by_name)
{
	put_service(V4, 80, IPPROTO_SCTP,
		    (struct row_service){
			    .cluster_len = 1, .cluster_line = 1, .flags = SL_SERVICE_SCTP_PORT });
	asks(EXPLAIN_POD_IN, IPPROTO_SCTP, REQUEST, 0, SL_REASON_SCTP_PORT);
}

TEST(no_pod_has_a_service_address)
{
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, V4 ":80 > " C4 ":40000", EXPLAIN_ACK,
	     SL_REASON_SPOOFED_VIP);
	asks(EXPLAIN_UPLINK_IN, IPPROTO_TCP, V4 ":80 > " C4 ":40000", EXPLAIN_ACK,
	     SL_REASON_NOT_SERVICE);
}

TEST(a_record_of_another_generation_is_torn)
{
	uint8_t key[ROW_KEY_MAX] = { 0 };
	const struct row_service_key k = { addr(V4), 80, IPPROTO_TCP };
	const struct sl_slot_ref ref = { 80, 4 };

	row_encode_key(4, &k, key);
	put(4, EXPLAIN_SERVICES, key, &ref, sizeof(ref));
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_TORN);
}

TEST(what_cannot_be_parsed_is_malformed_if_it_is_to_a_service)
{
	struct explain_packet p = packet(EXPLAIN_POD_IN, IPPROTO_TCP, C4 " > " V4, 0);

	p.malformed = true;
	ask(&p);
	want_reason(SL_REASON_MALFORMED);
	p.tuple.daddr = addr("8.8.8.8");
	ask(&p);
	want_reason(SL_REASON_NOT_SERVICE);
}

TEST(nothing_answers_what_comes_from_no_one_host)
{
	put_service(V4, 80, IPPROTO_TCP, (struct row_service){ .cluster_len = 0 });
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, "0.0.0.0:40000 > " V4 ":80", EXPLAIN_SYN,
	     SL_REASON_NO_ENDPOINT);
	assert_false(answer.answered);
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, "224.0.0.1:40000 > " V4 ":80", EXPLAIN_SYN,
	     SL_REASON_NO_ENDPOINT);
	assert_false(answer.answered);
}

/* ---- hairpin ----------------------------------------------------------------------------------------------------------------- */

TEST(a_pod_that_reaches_itself)
{
	put_backend(1, C4, 8080, READY);
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_HAIRPIN);
	want_after(C4 ":40000 > " C4 ":8080");

	put_flow(SL_FLOW_SNAT, C4 ":40000 > " C4 ":8080", N4 ":61005 > " C4 ":8080", IPPROTO_TCP,
		 ENTRY(SL_STATE_NEW));
	asks(EXPLAIN_POD_OUT, IPPROTO_TCP, C4 ":40000 > " C4 ":8080", EXPLAIN_SYN, SL_REASON_FLOW);
	want_after(N4 ":61005 > " C4 ":8080");

	put_flow(SL_FLOW_UNSNAT, C4 ":8080 > " N4 ":61005", C4 ":8080 > " C4 ":40000", IPPROTO_TCP,
		 ENTRY(SL_STATE_NEW));
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, C4 ":8080 > " N4 ":61005", EXPLAIN_SYN | EXPLAIN_ACK,
	     SL_REASON_REPLY);
	want_after(C4 ":8080 > " C4 ":40000");

	put_flow(SL_FLOW_REPLY, C4 ":8080 > " C4 ":40000", REPLY, IPPROTO_TCP, ENTRY(SL_STATE_NEW));
	asks(EXPLAIN_POD_OUT, IPPROTO_TCP, C4 ":8080 > " C4 ":40000", EXPLAIN_SYN | EXPLAIN_ACK,
	     SL_REASON_REPLY);
	want_after(REPLY);
}

TEST(a_pod_that_reaches_itself_needs_the_nodes_address_and_a_port_of_it)
{
	put_backend(1, C4, 8080, READY);
	config.snat_high = config.snat_low;
	put_flow(SL_FLOW_UNSNAT, C4 ":8080 > " N4 ":61000", C4 ":8080 > " C4 ":50000", IPPROTO_TCP,
		 ENTRY(SL_STATE_CONFIRMED));
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_SNAT_PORTS);
	memset(config.node4, 0, 4);
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NO_NODE_ADDRESS);
}

TEST(the_draw_may_or_may_not_be_a_hairpin)
{
	put_backend(2, C4, 8080, READY);
	RING(4, 1, 1, 2);
	put_service(V4, 80, IPPROTO_TCP,
		    (struct row_service){ .cluster_len = 2, .cluster_line = 1 });
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NEW_FLOW);
	assert_int_equal(answer.backends[0].reason, SL_REASON_NEW_FLOW);
	assert_int_equal(answer.backends[1].reason, SL_REASON_HAIRPIN);
}

/* ---- two flows that look alike --------------------------------------------------------------------------------------------------- */

TEST(a_reply_tuple_in_use_gets_another_port)
{
	put_flow(SL_FLOW_REPLY, ANSWER, "10.96.0.11:80 > " C4 ":40000", IPPROTO_TCP,
		 ENTRY(SL_STATE_CONFIRMED));
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NEW_FLOW);
	assert_true(answer.after_any_port);
	/* its own former entry is no other flow */
	put_flow(SL_FLOW_REPLY, ANSWER, REPLY, IPPROTO_TCP, ENTRY(SL_STATE_CONFIRMED));
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NEW_FLOW);
	assert_false(answer.after_any_port);
}

TEST(a_flow_the_other_way_round_gets_another_port)
{
	put_flow(SL_FLOW_REPLY, C4 ":40000 > " B4 ":8080", "10.96.0.11:80 > " B4 ":8080",
		 IPPROTO_TCP, ENTRY(SL_STATE_CONFIRMED));
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NEW_FLOW);
	assert_false(
		answer.after_any_port); /* C is no endpoint, so its packets are not looked at on their way out */
	set_filter(C4, true);
	asks(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN, SL_REASON_NEW_FLOW);
	assert_true(answer.after_any_port);
}

TEST(sctp_cannot_get_another_port)
{
	put_service(V4, 80, IPPROTO_SCTP,
		    (struct row_service){ .cluster_len = 1, .cluster_line = 1 });
	put_flow(SL_FLOW_REPLY, ANSWER, "10.96.0.11:80 > " C4 ":40000", IPPROTO_SCTP,
		 ENTRY(SL_STATE_CONFIRMED));
	asks(EXPLAIN_POD_IN, IPPROTO_SCTP, REQUEST, 0, SL_REASON_PORT_COLLISION);
}

/* ---- ICMP ------------------------------------------------------------------------------------------------------------------------- */

static void ask_icmp(enum explain_hook hook, const char *outer, const char *quoted)
{
	struct explain_packet p = packet(hook, IPPROTO_ICMP, outer, 0);

	p.icmp_error = true;
	p.has_quoted = true;
	p.quoted = tuple(quoted, IPPROTO_TCP);
	ask(&p);
}

TEST(errors_about_requests_come_from_the_vip)
{
	put_flow(SL_FLOW_REPLY, ANSWER, REPLY, IPPROTO_TCP, ENTRY(SL_STATE_CONFIRMED));
	ask_icmp(EXPLAIN_POD_OUT, B4 " > " C4, SENT);
	want_reason(SL_REASON_ICMP_ERROR);
	want_after(V4 " > " C4);
	ask_icmp(EXPLAIN_POD_OUT, "9.9.9.9 > " C4, SENT); /* a router keeps its address */
	want_reason(SL_REASON_ICMP_ERROR);
	want_after("9.9.9.9 > " C4);
}

TEST(errors_about_replies_go_to_the_backend)
{
	put_flow(SL_FLOW_REQUEST, REQUEST, SENT, IPPROTO_TCP, ENTRY(SL_STATE_CONFIRMED));
	ask_icmp(EXPLAIN_POD_IN, "9.9.9.9 > " V4, REPLY);
	want_reason(SL_REASON_ICMP_ERROR);
	want_after("9.9.9.9 > " B4);
	want_one_backend(1);
}

TEST(errors_about_no_flow_stop_at_a_vip)
{
	ask_icmp(EXPLAIN_POD_IN, "9.9.9.9 > " V4, REPLY);
	want_reason(SL_REASON_ICMP_NO_FLOW);
	ask_icmp(EXPLAIN_POD_OUT, "9.9.9.9 > " C4, SENT);
	want_reason(SL_REASON_NOT_SERVICE);
}

TEST(errors_of_a_hairpin_flow_come_to_the_node)
{
	put_flow(SL_FLOW_UNSNAT, C4 ":8080 > " N4 ":61005", C4 ":8080 > " C4 ":40000", IPPROTO_TCP,
		 ENTRY(SL_STATE_CONFIRMED));
	ask_icmp(EXPLAIN_POD_IN, C4 " > " N4, N4 ":61005 > " C4 ":8080");
	want_reason(SL_REASON_ICMP_ERROR);
	want_after(C4 " > " C4);
}

/* ---- fragments ----------------------------------------------------------------------------------------------------------------------- */

static void put_frag(uint32_t id, uint32_t tag, uint64_t idle_s)
{
	const struct sl_frag value = {
		.sport = 40000, .dport = 80, .tag = tag, .seen_ns = NOW - idle_s * NS_PER_S
	};
	struct sl4_frag_key key = { .id = id, .proto = IPPROTO_UDP, .hook = SL_HOOK_INGRESS };

	memcpy(key.saddr, addr(C4).b, 4);
	memcpy(key.daddr, addr(V4).b, 4);
	put(4, EXPLAIN_FRAGS, &key, &value, sizeof(value));
}

TEST(later_fragments_follow_the_first)
{
	struct explain_packet p = packet(EXPLAIN_POD_IN, IPPROTO_UDP, C4 " > " V4, 0);
	const uint32_t tag = 77 ^ (uint32_t)IPPROTO_UDP << 24;

	p.fragment = EXPLAIN_LATER_FRAGMENT;
	p.fragment_id = 77;
	put_flow(SL_FLOW_REQUEST, REQUEST, SENT, IPPROTO_UDP, ENTRY(SL_STATE_CONFIRMED));
	ask(&p);
	want_reason(SL_REASON_FRAGMENT);

	put_frag(77, tag, 29);
	ask(&p);
	want_reason(SL_REASON_FLOW);
	assert_int_equal(address_cmp(&answer.after.daddr, &(struct address){ 4, { 10, 1, 1, 11 } }),
			 0);

	put_frag(77, tag, 30);
	ask(&p);
	want_reason(SL_REASON_FRAGMENT);
	put_frag(77, tag ^ 1, 0);
	ask(&p);
	want_reason(SL_REASON_FRAGMENT);
}

TEST(a_first_fragment_is_like_any_packet)
{
	struct explain_packet p = packet(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN);

	p.fragment = EXPLAIN_FIRST_FRAGMENT;
	ask(&p);
	want_reason(SL_REASON_NEW_FLOW);
}

/* ---- from the node -------------------------------------------------------------------------------------------------------------------- */

TEST(a_call_of_the_node_is_translated)
{
	asks(EXPLAIN_NODE_CALL, IPPROTO_TCP, N4 " > " V4 ":80", 0, SL_REASON_SOCKET);
	want_one_backend(1);
	assert_string_equal(format_verdict(answer.verdict), "forward");
	asks(EXPLAIN_NODE_CALL, IPPROTO_TCP, N4 " > " V4 ":81", 0, SL_REASON_UNKNOWN_PORT);
	asks(EXPLAIN_NODE_CALL, IPPROTO_TCP, N4 " > 10.96.7.7:80", 0, SL_REASON_NOT_SERVICE);
	put_service(V4, 80, IPPROTO_TCP, (struct row_service){ .cluster_len = 0 });
	asks(EXPLAIN_NODE_CALL, IPPROTO_TCP, N4 " > " V4 ":80", 0, SL_REASON_NO_ENDPOINT);
	assert_true(answer.answered);
}

TEST(a_call_in_a_pod_is_translated_for_tcp_without_affinity_if_wanted)
{
	asks(EXPLAIN_POD_CALL, IPPROTO_TCP, C4 " > " V4 ":80", 0, SL_REASON_NOT_SERVICE);
	config.flags = SL_CONFIG_SOCKET_PODS;
	asks(EXPLAIN_POD_CALL, IPPROTO_TCP, C4 " > " V4 ":80", 0, SL_REASON_SOCKET);
	asks(EXPLAIN_POD_CALL, IPPROTO_UDP, C4 " > " V4 ":80", 0, SL_REASON_NOT_SERVICE);
	put_service(V4, 80, IPPROTO_TCP,
		    (struct row_service){ .cluster_len = 1, .cluster_line = 1, .affinity_s = 10 });
	asks(EXPLAIN_POD_CALL, IPPROTO_TCP, C4 " > " V4 ":80", 0, SL_REASON_NOT_SERVICE);
	asks(EXPLAIN_NODE_CALL, IPPROTO_TCP, C4 " > " V4 ":80", 0, SL_REASON_SOCKET);
}

TEST(what_no_call_served_is_refused_at_the_uplink)
{
	asks(EXPLAIN_UPLINK_OUT, IPPROTO_TCP, N4 ":40000 > " V4 ":81", EXPLAIN_SYN,
	     SL_REASON_UNKNOWN_PORT);
	asks(EXPLAIN_UPLINK_OUT, IPPROTO_TCP, N4 ":40000 > 10.96.7.7:81", EXPLAIN_SYN,
	     SL_REASON_UNALLOCATED);
	asks(EXPLAIN_UPLINK_OUT, IPPROTO_TCP, N4 ":40000 > " V4 ":80", EXPLAIN_SYN,
	     SL_REASON_NOT_SERVICE);
	asks(EXPLAIN_POD_OUT, IPPROTO_TCP, N4 ":40000 > " V4 ":81", EXPLAIN_SYN,
	     SL_REASON_NOT_SERVICE);
}

TEST(a_map_that_cannot_be_read_is_no_answer)
{
	const struct explain_packet p = packet(EXPLAIN_POD_IN, IPPROTO_TCP, REQUEST, EXPLAIN_SYN);
	const struct explain_maps maps = { .get = get, .config = config };
	struct explain_answer untouched = { .service = 4711 };

	get_failure = -EPERM;
	assert_int_equal(explain(&maps, &p, &untouched), -EPERM);
	assert_int_equal(untouched.service, 4711);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

RUN(T(a_syn_opens_a_flow), T(a_syn_opens_a_flow_v6), T(random_allows_every_distinct_usable_backend),
    T(the_answer_is_the_vips), T(data_follows_its_flow_and_no_map_of_services_is_asked),
    T(tcp_data_goes_on_to_an_endpoint_that_left), T(a_syn_on_an_endpoint_that_left_is_a_new_flow),
    T(a_syn_on_a_closing_flow_is_a_new_flow), T(another_cpus_clock_may_be_ahead),
    T(a_syn_ack_on_a_closing_flow_is_a_direct_connections), T(a_local_flow_needs_the_local_list),
    T(udp_leaves_an_endpoint_that_serves_no_more), T(an_id_with_another_owner_serves_nobody),
    T(an_entry_lives_for_the_idle_time_of_its_state), T(an_entry_lives_while_its_twin_is_fresh),
    T(affinity_brings_the_client_back), T(maglev_gives_one_backend_and_takes_over_unknown_flows),
    T(local_policy_takes_local_endpoints_only), T(no_endpoint_is_refused_with_an_answer),
    T(no_local_endpoint_is_dropped_where_others_are_elsewhere),
    T(other_ports_and_protocols_of_a_cluster_ip_are_refused),
    T(addresses_of_the_range_that_nobody_has_are_dropped),
    T(unknown_tcp_flows_are_reset_and_a_reset_is_not_answered),
    T(sctp_with_another_target_port_is_refused_by_name), T(no_pod_has_a_service_address),
    T(a_record_of_another_generation_is_torn),
    T(what_cannot_be_parsed_is_malformed_if_it_is_to_a_service),
    T(nothing_answers_what_comes_from_no_one_host), T(a_pod_that_reaches_itself),
    T(a_pod_that_reaches_itself_needs_the_nodes_address_and_a_port_of_it),
    T(the_draw_may_or_may_not_be_a_hairpin), T(a_reply_tuple_in_use_gets_another_port),
    T(a_flow_the_other_way_round_gets_another_port), T(sctp_cannot_get_another_port),
    T(errors_about_requests_come_from_the_vip), T(errors_about_replies_go_to_the_backend),
    T(errors_about_no_flow_stop_at_a_vip), T(errors_of_a_hairpin_flow_come_to_the_node),
    T(later_fragments_follow_the_first), T(a_first_fragment_is_like_any_packet),
    T(a_call_of_the_node_is_translated),
    T(a_call_in_a_pod_is_translated_for_tcp_without_affinity_if_wanted),
    T(what_no_call_served_is_refused_at_the_uplink), T(a_map_that_cannot_be_read_is_no_answer))
