/* SPDX-License-Identifier: GPL-2.0-only */
/* Two packets of one flow, or of two that want the same entry, at the same moment on two CPUs. */
/* Must not know how programs protect themselves. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "prog/harness_internal.h"
#include "prog/life.h"

#define V      AT(VIP, 80)
#define V2     AT(VIP2, 80)
#define V3     AT(VIP3, 80)
#define B      AT(BACKEND1, 8080)
#define RACES  300 /* so few that no entry leaves for want of room */
#define ROUNDS 10  /* the window is a microsecond */

/* One of two senders: where each of its packets went. */
struct racer {
	pthread_t thread;
	atomic_uint *arrived;
	int fd;
	struct packet packet; /* flow i has client's port 10000 + i in it */
	bool to_client;
	struct {
		int verdict;
		struct parsed out;
	} done[RACES];
};

static struct racer racers[2];

static struct end nth(unsigned int i)
{
	return AT(CLIENT, (uint16_t)(10000 + i));
}

/* Both leave at the same moment: a barrier that wakes its waiters would let one of them be late. */
static void wait_for_both(atomic_uint *arrived, unsigned int race)
{
	atomic_fetch_add(arrived, 1);
	for (unsigned int spins = 0; atomic_load(arrived) < 2 * (race + 1); spins++)
		if (spins > 100000)
			sched_yield(); /* a machine with one CPU */
}

static void *race(void *arg)
{
	struct racer *r = arg;
	uint8_t out[FRAME_MAX];
	struct frame frame;
	size_t len;

	for (unsigned int i = 0; i < RACES; i++) {
		*(r->to_client ? &r->packet.to : &r->packet.from) = nth(i);
		packet_build(&r->packet, &frame);
		wait_for_both(r->arrived, i);
		r->done[i].verdict = harness_run_raw(r->fd, frame.bytes, frame.len, out, &len);
		packet_parse(out, len, frame.l3, true, &r->done[i].out);
	}
	return NULL;
}

/* Sends both RACES times, each time at once. Every packet must have been let through. */
static void run_races(struct packet first, enum program first_at, struct packet second,
		      enum program second_at)
{
	atomic_uint arrived = 0;

	for (int i = 0; i < 2; i++) {
		enum program at = i ? second_at : first_at;

		racers[i].arrived = &arrived;
		racers[i].packet = i ? second : first;
		racers[i].to_client = at == POD_OUT;
		racers[i].fd = harness_program(at);
		assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(racers[i].thread, NULL);
	for (unsigned int i = 0; i < RACES; i++)
		for (int j = 0; j < 2; j++)
			assert_int_equal(racers[j].done[i].verdict, -1);
}

/* ---- two first packets ---------------------------------------------------------------------------------------------- */

static struct end went_to(const struct racer *r, unsigned int i)
{
	return end_of(r->done[i].out.daddr, r->done[i].out.dport);
}

/* A and AAAA queries from one socket, a SYN and its repetition, on two CPUs: one choice holds for both. */
static void two_first_packets(void **state, uint8_t proto)
{
	struct packet first;

	for (int round = 0; round < ROUNDS; round++) {
		unsigned int used[2] = { 0 };

		start(state);
		service(V, proto, READY(B), READY(AT(BACKEND2, 8080)));
		first = proto == IPPROTO_TCP ? TCP(family, nth(0), V, SYN) : UDP(family, nth(0), V);
		run_races(first, POD_IN, first, POD_IN);
		for (unsigned int i = 0; i < RACES; i++) {
			struct flow_seen seen = flow_find(SL_FLOW_REQUEST, proto, nth(i), V);
			struct end a = went_to(&racers[0], i), b = went_to(&racers[1], i);

			if (a.host != b.host)
				fail_msg("race %u: the packets of one flow went to %s and to %s", i,
					 host_name(a.host), host_name(b.host));
			assert_int_equal(seen.copies, 1);
			assert_int_equal(seen.to.host, a.host);
			assert_int_equal(flow_find(SL_FLOW_REPLY, proto, seen.to, nth(i)).copies,
					 1);
			used[seen.to.host == BACKEND2]++;
		}
		assert_true(used[0] && used[1]);
		/* what the losers wrote is gone */
		assert_int_equal(flow_count(IN_NEW), 2 * RACES);
	}
}

static void two_first_packets_tcp(void **state)
{
	two_first_packets(state, IPPROTO_TCP);
}

static void two_first_packets_udp(void **state)
{
	two_first_packets(state, IPPROTO_UDP);
}

/* ---- both sides close ----------------------------------------------------------------------------------------------- */

static void expect_closing(enum sl_flow_kind kind, struct end from, struct end to, unsigned int i)
{
	struct flow_seen seen = flow_find(kind, IPPROTO_TCP, from, to);

	assert_int_equal(seen.copies, 1);
	if (seen.value.state != SL_STATE_CLOSING)
		fail_msg("race %u: both sides have closed, but the entry has state %u, flags %#x",
			 i, seen.value.state, seen.value.flags);
}

static void both_sides_close_at_once(void **state)
{
	for (int round = 0; round < ROUNDS; round++) {
		start(state);
		service(V, IPPROTO_TCP, READY(B));
		for (unsigned int i = 0; i < RACES; i++)
			tcp_opens(nth(i), V, B);
		run_races(TCP(family, nth(0), V, FIN | ACK), POD_IN,
			  TCP(family, B, nth(0), FIN | ACK), POD_OUT);
		for (unsigned int i = 0; i < RACES; i++) {
			expect_closing(SL_FLOW_REQUEST, nth(i), V, i);
			expect_closing(SL_FLOW_REPLY, B, nth(i), i);
		}
	}
}

/* ---- one client port, two services, one endpoint -------------------------------------------------------------------- */

/* The tuple of their answers is a closing flow's: it passes to one of the two, and the other gets another port. */
static void two_services_want_the_tuple_of_a_closing_flow(void **state)
{
	struct end vips[2] = { V2, V3 };

	for (int round = 0; round < ROUNDS; round++) {
		start(state);
		service(V, IPPROTO_TCP, READY(B));
		service(V2, IPPROTO_TCP, READY(B));
		service(V3, IPPROTO_TCP, READY(B));
		for (unsigned int i = 0; i < RACES; i++) {
			forwards(POD_IN, TCP(family, nth(i), V, SYN), NEW_FLOW,
				 TCP(family, nth(i), B, SYN));
			forwards(POD_IN, TCP(family, nth(i), V, RST), FLOW,
				 TCP(family, nth(i), B, RST));
		}
		run_races(TCP(family, nth(0), V2, SYN), POD_IN, TCP(family, nth(0), V3, SYN),
			  POD_IN);
		for (unsigned int i = 0; i < RACES; i++)
			for (int j = 0; j < 2; j++) {
				struct end as = AT(CLIENT, racers[j].done[i].out.sport);
				struct flow_seen reply =
					flow_find(SL_FLOW_REPLY, IPPROTO_TCP, B, as);

				assert_int_equal(reply.copies, 1);
				if (reply.from.host != vips[j].host || reply.to.port != nth(i).port)
					fail_msg(
						"race %u: answers to port %u of the client of %s come from %s, to port %u",
						i, as.port, host_name(vips[j].host),
						host_name(reply.from.host), reply.to.port);
			}
	}
}

/* ---- an entry that was put out ---------------------------------------------------------------------------------------- */

/* Until the clock that entries carry has moved on: the coarse one may be late by one more. */
static void tick_passes(void)
{
	uint32_t begin = sl_tick(clock_now_ns());

	while (sl_tick(clock_now_ns()) - begin < 3)
		sched_yield();
}

/* The client speaks, and at the same moment the server: what the flow opens again is itself, with its own port. */
static void a_flow_opens_again_while_it_is_answered(void **state)
{
	for (int round = 0; round < ROUNDS; round++) {
		start(state);
		service_with(V, IPPROTO_TCP, .algorithm = SL_ALGORITHM_MAGLEV,
			     .backends = { { .at = B } });
		for (unsigned int i = 0; i < RACES; i++) {
			tcp_opens(nth(i), V, B);
			flow_remove(SL_FLOW_REQUEST, IPPROTO_TCP, nth(i), V);
		}
		tick_passes();
		run_races(TCP(family, nth(0), V, ACK), POD_IN, TCP(family, B, nth(0), ACK),
			  POD_OUT);
		for (unsigned int i = 0; i < RACES; i++)
			if (racers[0].done[i].out.sport != nth(i).port)
				fail_msg("round %d race %u: the server sees port %u", round, i,
					 racers[0].done[i].out.sport);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(0, "v4", two_first_packets_tcp),
		ON(1, "v6", two_first_packets_udp),
		ON(2, "v4 fast", both_sides_close_at_once),
		ON(1, "v6", both_sides_close_at_once),
		ON(0, "v4", two_services_want_the_tuple_of_a_closing_flow),
		ON(3, "v6 fast", two_services_want_the_tuple_of_a_closing_flow),
		ON(0, "v4", a_flow_opens_again_while_it_is_answered),
		ON(3, "v6 fast", a_flow_opens_again_while_it_is_answered),
	};

	return run_group("races", tests);
}
