/* SPDX-License-Identifier: GPL-2.0-only */
/* Which backend a new flow gets: random, Maglev, affinity, local lists; and which answer where there is none. */
/* Must not know how programs choose: expectations come from the ABI's words and SL_ALGORITHM_'s. */
#include <stdio.h>
#include <string.h>

#include "core/ring.h"
#include "prog/life.h"

#include <bpf/bpf.h>

#define V  AT(VIP, 80)
#define V2 AT(VIP2, 80)
#define B1 AT(BACKEND1, 8080)
#define B2 AT(BACKEND2, 8080)
#define B3 AT(BACKEND3, 8080)
static const struct end all[3] = { { BACKEND1, 8080 }, { BACKEND2, 8080 }, { BACKEND3, 8080 } };

static struct end client(unsigned int i)
{
	return AT(CLIENT, (uint16_t)(20000 + i));
}

/* How many of n new flows each backend gets. */
static void spread(unsigned int n, uint8_t proto, unsigned int ret_got[3])
{
	memset(ret_got, 0, 3 * sizeof(*ret_got));
	for (unsigned int i = 0; i < n; i++) {
		struct packet first = proto == IPPROTO_TCP ? TCP(family, client(i), V, SYN)
							   : UDP(family, client(i), V);

		ret_got[picks(POD_IN, first, NEW_FLOW, all, 3)]++;
	}
}

static void random_is_even(void **state)
{
	unsigned int got[3];

	start(state);
	service(V, IPPROTO_TCP, READY(B1), READY(B2), READY(B3));
	spread(900, IPPROTO_TCP, got);
	/* 300 ± 5 standard deviations of 14 */
	for (int i = 0; i < 3; i++)
		if (got[i] < 230 || got[i] > 370)
			fail_msg("backend %d got %u of 900 flows", i, got[i]);
}

/* More backends than one ring line holds: each is reached, none beyond the list. */
static void long_lists(void **state)
{
	struct service_spec spec = { .at = V, .proto = IPPROTO_UDP };
	unsigned int got[SERVICE_BACKENDS] = { 0 };
	struct end backends[SERVICE_BACKENDS];

	start(state);
	for (int i = 0; i < SERVICE_BACKENDS; i++) {
		backends[i] = AT((enum host)(BACKEND1 + i % 4), (uint16_t)(8000 + i / 4));
		spec.backends[i].at = backends[i];
	}
	service_publish(&spec);
	for (unsigned int i = 0; i < 400; i++)
		got[picks(POD_IN, UDP(family, client(i), V), NEW_FLOW, backends,
			  SERVICE_BACKENDS)]++;
	for (int i = 0; i < SERVICE_BACKENDS; i++)
		if (!got[i])
			fail_msg("backend %d got none of 400 flows", i);
}

static void no_packet_to_terminating_ones(void **state)
{
	start(state);
	service(V, IPPROTO_UDP, { B1, TERMINATING_ENDPOINT }, READY(B2));
	for (unsigned int i = 0; i < 30; i++)
		forwards(POD_IN, UDP(family, client(i), V), NEW_FLOW, UDP(family, client(i), B2));
}

/* ---- Maglev --------------------------------------------------------------------------------------------------------- */

/* The backend that the ABI names: element (hash × length >> 32) of the table, the hash being that of the tuple with seed 0. */
static struct end maglev_choice(struct end from, struct end to, uint8_t proto)
{
	static uint32_t ids[70000];
	struct ring_backend backends[3] = { 0 };
	uint32_t hash, len = ring_maglev_len(3);

	for (int i = 0; i < 3; i++) {
		backends[i].addr.family = (uint8_t)family;
		memcpy(backends[i].addr.b, host_address(family, all[i].host), address_len(family));
		backends[i].port = all[i].port;
		backends[i].id = (uint32_t)i + 1;
	}
	assert_int_equal(ring_maglev(backends, 3, ids), 0);
	if (family == 4) {
		struct sl4_flow_key key = { .sport = from.port,
					    .dport = to.port,
					    .proto = proto,
					    .kind = SL_FLOW_REQUEST };

		memcpy(key.saddr, host_address(4, from.host), 4);
		memcpy(key.daddr, host_address(4, to.host), 4);
		hash = sl4_flow_hash(&key, 0);
	} else {
		struct sl6_flow_key key = { .sport = from.port,
					    .dport = to.port,
					    .proto = proto,
					    .kind = SL_FLOW_REQUEST };

		memcpy(key.saddr, host_address(6, from.host), 16);
		memcpy(key.daddr, host_address(6, to.host), 16);
		hash = sl6_flow_hash(&key, 0);
	}
	return all[ids[(uint64_t)hash * len >> 32] - 1];
}

static void maglev_is_the_table(void **state)
{
	start(state);
	service_with(V, IPPROTO_TCP, .algorithm = SL_ALGORITHM_MAGLEV,
		     .backends = { { .at = B1 }, { .at = B2 }, { .at = B3 } });
	for (unsigned int i = 0; i < 200; i++)
		forwards(POD_IN, TCP(family, client(i), V, SYN), NEW_FLOW,
			 TCP(family, client(i), maglev_choice(client(i), V, IPPROTO_TCP), SYN));
}

/* Another node may have seen the beginning: any packet finds the same backend. */
static void maglev_takes_unknown_flows_over(void **state)
{
	struct end b;

	start(state);
	service_with(V, IPPROTO_TCP, .algorithm = SL_ALGORITHM_MAGLEV,
		     .backends = { { .at = B1 }, { .at = B2 }, { .at = B3 } });
	for (unsigned int i = 0; i < 20; i++) {
		b = maglev_choice(client(i), V, IPPROTO_TCP);
		forwards(POD_IN, TCP(family, client(i), V, ACK, .payload = 5), NEW_FLOW,
			 TCP(family, client(i), b, ACK, .payload = 5));
		assert_int_equal(flow_count(IN_TCP), 0); /* an ACK flood confirms nothing */
		forwards(POD_OUT, TCP(family, b, client(i), ACK), REPLY,
			 TCP(family, V, client(i), ACK));
		forwards(POD_IN, TCP(family, client(i), V, ACK, .payload = 5), FLOW,
			 TCP(family, client(i), b, ACK, .payload = 5));
		flow_remove(SL_FLOW_REQUEST, IPPROTO_TCP, client(i), V);
		flow_remove(SL_FLOW_REPLY, IPPROTO_TCP, b, client(i));
	}
}

/* ---- affinity ------------------------------------------------------------------------------------------------------- */

static struct backend_spec three[] = { { { BACKEND1, 8080 }, 0 },
				       { { BACKEND2, 8080 }, 0 },
				       { { BACKEND3, 8080 }, 0 } };

static void affine_service(uint32_t affinity_s)
{
	struct service_spec spec = { .at = V, .proto = IPPROTO_TCP, .affinity_s = affinity_s };

	memcpy(spec.backends, three, sizeof(three));
	service_publish(&spec);
}

static void affinity_key(enum host host, uint32_t service, void *ret_key)
{
	struct sl4_affinity_key key4 = { .service = service };
	struct sl6_affinity_key key6 = { .service = service };

	memcpy(key4.client, host_address(4, host), 4);
	memcpy(key6.client, host_address(6, host), 16);
	if (family == 4)
		memcpy(ret_key, &key4, sizeof(key4));
	else
		memcpy(ret_key, &key6, sizeof(key6));
}

static void affinity_age(enum host host, uint32_t age_s)
{
	uint8_t key[sizeof(struct sl6_affinity_key)];
	struct sl_affinity value;
	int fd = harness_map(family == 4 ? "sl4_affinity" : "sl6_affinity");

	affinity_key(host, service_id(V, IPPROTO_TCP), key);
	assert_int_equal(bpf_map_lookup_elem(fd, key, &value), 0);
	value.seen_ns -= age_s * 1000000000ull;
	assert_int_equal(bpf_map_update_elem(fd, key, &value, BPF_EXIST), 0);
}

static void affinity_keeps_a_client(void **state)
{
	int first;

	start(state);
	affine_service(100);
	first = picks(POD_IN, TCP(family, client(0), V, SYN), NEW_FLOW, all, 3);
	for (unsigned int i = 1; i < 40; i++)
		forwards(POD_IN, TCP(family, client(i), V, SYN), NEW_FLOW,
			 TCP(family, client(i), all[first], SYN));
	/* other clients make choices of their own */
	for (enum host h = CLIENT2; h <= OUTSIDE; h++)
		picks(POD_IN, TCP(family, AT(h, 1), V, SYN), NEW_FLOW, all, 3);
	for (unsigned int i = 40; i < 50; i++)
		forwards(POD_IN, TCP(family, client(i), V, SYN), NEW_FLOW,
			 TCP(family, client(i), all[first], SYN));
}

/* Refreshed by new flows only; over after affinity_s. */
static void affinity_times_out(void **state)
{
	unsigned int changed = 0;
	int first, next;

	start(state);
	affine_service(100);
	first = picks(POD_IN, TCP(family, client(0), V, SYN), NEW_FLOW, all, 3);
	for (unsigned int i = 1; i < 40; i++) {
		affinity_age(CLIENT, 97);
		next = picks(POD_IN, TCP(family, client(i), V, SYN), NEW_FLOW, all, 3);
		assert_int_equal(next, first); /* each one renews it */
	}
	for (unsigned int i = 40; i < 80; i++) {
		affinity_age(CLIENT, 103);
		next = picks(POD_IN, TCP(family, client(i), V, SYN), NEW_FLOW, all, 3);
		changed += next != first;
		first = next;
	}
	assert_true(changed > 10); /* two of three choices are others */
}

static void affinity_leaves_a_backend_that_left(void **state)
{
	int first, next;

	start(state);
	affine_service(100);
	first = picks(POD_IN, TCP(family, client(0), V, SYN), NEW_FLOW, all, 3);
	three[first].flags = TERMINATING_ENDPOINT;
	affine_service(100);
	three[first].flags = 0;
	next = picks(POD_IN, TCP(family, client(1), V, SYN), NEW_FLOW, all, 3);
	assert_int_not_equal(next, first);
	for (unsigned int i = 2; i < 20; i++)
		forwards(POD_IN, TCP(family, client(i), V, SYN), NEW_FLOW,
			 TCP(family, client(i), all[next], SYN));
}

static uint32_t generation_of(uint32_t id)
{
	struct sl4_backend b4;
	struct sl6_backend b6;

	assert_int_equal(harness_lookup("backends", &id, family == 4 ? (void *)&b4 : (void *)&b6),
			 0);
	return family == 4 ? b4.gen : b6.gen;
}

/* An element recycled under the reader may hold another client's or service's value. */
static void foreign_affinity_value(void **state)
{
	uint8_t key[sizeof(struct sl6_affinity_key)];
	struct sl_affinity value = { .seen_ns = harness_now_ns() };
	struct end other = AT(BACKEND4, 9999);
	int fd;

	start(state);
	affine_service(100);
	service(V2, IPPROTO_TCP, READY(other));
	fd = harness_map(family == 4 ? "sl4_affinity" : "sl6_affinity");
	affinity_key(CLIENT, service_id(V, IPPROTO_TCP), key);
	value.backend = backend_id(V2, IPPROTO_TCP, other);
	value.backend_gen = generation_of(value.backend);
	assert_int_equal(bpf_map_update_elem(fd, key, &value, BPF_ANY), 0);
	picks(POD_IN, TCP(family, client(1), V, SYN), NEW_FLOW, all, 3);
	value.backend = 1000000; /* beyond the array */
	assert_int_equal(bpf_map_update_elem(fd, key, &value, BPF_ANY), 0);
	picks(POD_IN, TCP(family, client(2), V, SYN), NEW_FLOW, all, 3);
}

/* The id that a client is bound to has a new owner, of the same service even: the generation says so. */
static void affinity_to_a_recycled_id(void **state)
{
	int first;

	start(state);
	affine_service(100);
	first = picks(POD_IN, TCP(family, client(0), V, SYN), NEW_FLOW, all, 3);
	backend_recycle(backend_id(V, IPPROTO_TCP, all[first]), AT(BACKEND4, 9), 77);
	for (unsigned int i = 1; i < 10; i++) {
		struct packet syn = TCP(family, client(i), V, SYN);
		struct outcome outcome = harness_run(POD_IN, &syn, __FILE__, __LINE__);

		/* the ring still names the id, which is TORN where it is met; every other choice is right */
		assert_true(outcome.reason == SL_REASON_NEW_FLOW ||
			    outcome.reason == SL_REASON_TORN);
		assert_null(strstr(frame_text(&outcome.out), "BACKEND4"));
	}
}

/* ---- traffic policies ----------------------------------------------------------------------------------------------- */

#define LOCAL_POLICY (SL_SERVICE_INTERNAL_LOCAL)

static void local_list_only(void **state)
{
	start(state);
	service_with(V, IPPROTO_TCP, .flags = LOCAL_POLICY | SL_SERVICE_ANY_ENDPOINT,
		     .backends = { { .at = B1 }, { B2, LOCAL_ENDPOINT }, { .at = B3 } });
	for (unsigned int i = 0; i < 30; i++)
		forwards(POD_IN, TCP(family, client(i), V, SYN), NEW_FLOW,
			 TCP(family, client(i), B2, SYN));
	assert_true(flow_find(SL_FLOW_REQUEST, IPPROTO_TCP, client(0), V).value.flags &
		    SL_FLOW_LOCAL_LIST);
}

static void none_here_some_elsewhere(void **state)
{
	start(state);
	service_with(V, IPPROTO_TCP, .flags = LOCAL_POLICY | SL_SERVICE_ANY_ENDPOINT,
		     .backends = { { .at = B1 } });
	drops(POD_IN, TCP(family, client(0), V, SYN), NO_LOCAL_ENDPOINT);
	service_with(V, IPPROTO_UDP, .flags = LOCAL_POLICY | SL_SERVICE_ANY_ENDPOINT,
		     .backends = { { .at = B1 } });
	drops(POD_IN, UDP(family, client(0), V), NO_LOCAL_ENDPOINT);
}

static void none_anywhere(void **state)
{
	start(state);
	service_with(V, IPPROTO_TCP, .flags = LOCAL_POLICY);
	refuses(POD_IN, TCP(family, client(0), V, SYN), NO_ENDPOINT);
}

/* The external policy is not for cluster IPs. */
static void external_policy_is_another(void **state)
{
	start(state);
	service_with(V, IPPROTO_TCP, .flags = SL_SERVICE_EXTERNAL_LOCAL | SL_SERVICE_ANY_ENDPOINT,
		     .backends = { { .at = B1 } });
	forwards(POD_IN, TCP(family, client(0), V, SYN), NEW_FLOW, TCP(family, client(0), B1, SYN));
}

/* A remembered backend must be in the list that holds now. */
static void affinity_and_local_list(void **state)
{
	start(state);
	service_with(V, IPPROTO_TCP, .affinity_s = 100, .backends = { { B1, LOCAL_ENDPOINT } });
	forwards(POD_IN, TCP(family, client(0), V, SYN), NEW_FLOW, TCP(family, client(0), B1, SYN));
	service_with(V, IPPROTO_TCP, .affinity_s = 100,
		     .flags = LOCAL_POLICY | SL_SERVICE_ANY_ENDPOINT,
		     .backends = { { .at = B1 }, { B2, LOCAL_ENDPOINT } });
	forwards(POD_IN, TCP(family, client(1), V, SYN), NEW_FLOW, TCP(family, client(1), B2, SYN));
}

static void service_counts(void **state)
{
	struct sl_service_stats stats[64] = { 0 };
	uint64_t new_flows = 0, refused = 0;
	uint32_t id;

	start(state);
	service(V, IPPROTO_TCP, READY(B1));
	for (unsigned int i = 0; i < 5; i++)
		forwards(POD_IN, TCP(family, client(i), V, SYN), NEW_FLOW,
			 TCP(family, client(i), B1, SYN));
	service_with(V, IPPROTO_TCP);
	for (unsigned int i = 10; i < 13; i++)
		refuses(POD_IN, TCP(family, client(i), V, SYN), NO_ENDPOINT);
	id = service_id(V, IPPROTO_TCP);
	assert_int_equal(harness_lookup("svc_stats", &id, stats), 0);
	for (int i = 0; i < 64; i++) {
		new_flows += stats[i].new_flows;
		refused += stats[i].refused;
	}
	assert_int_equal(new_flows, 5);
	assert_int_equal(refused, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR_ALL(random_is_even),
		FOR_ALL(long_lists),
		FOR_ALL(no_packet_to_terminating_ones),
		FOR_ALL(maglev_is_the_table),
		FOR_ALL(maglev_takes_unknown_flows_over),
		FOR_ALL(affinity_keeps_a_client),
		FOR_ALL(affinity_times_out),
		FOR_ALL(affinity_leaves_a_backend_that_left),
		FOR_ALL(foreign_affinity_value),
		FOR_ALL(affinity_to_a_recycled_id),
		FOR_ALL(local_list_only),
		FOR_ALL(none_here_some_elsewhere),
		FOR_ALL(none_anywhere),
		FOR_ALL(external_policy_is_another),
		FOR_ALL(affinity_and_local_list),
		FOR_ALL(service_counts),
	};

	return run_group("choice", tests);
}
