// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who gets a slot in a bucket, and who has to leave: with tables of one bucket each, so every entry competes with every other. Nobody
 * collects: an entry that is over leaves when its slot is wanted.
 */
/* link: nothing but the libraries */
#include "prog/harness.h"

#include <string.h>

#include "prog/life.h"

#define V AT(VIP, 80)
#define B AT(BACKEND1, 8080)

#define FLOWS_KEPT (SL_BUCKET_KEEP / 2) /* 6 flows of two entries: one slot more may be kept */

static struct end nth(uint32_t i)
{
	return AT(CLIENT, (uint16_t)(40000 + i));
}

/* One bucket, so that all flows meet. */
static int load(void **state)
{
	static const struct harness_options one = { .consts = { .buckets4_tcp = 1,
								.buckets4_udp = 1,
								.buckets6_tcp = 1,
								.buckets6_udp = 1 } };
	const char *why = "";

	(void)state;
	return harness_load(&one, &why);
}

static void begin(void **state)
{
	start(state);
	service(V, IPPROTO_TCP, READY(B));
	service(V, IPPROTO_UDP, READY(B));
}

static void expect_open(struct end client)
{
	expect_flow(REQUEST, IPPROTO_TCP, client, V, IN_TCP, CONFIRMED, client, B);
	expect_flow(REPLY, IPPROTO_TCP, B, client, IN_TCP, CONFIRMED, V, client);
}

static void age_tcp(struct end client, uint32_t age_s)
{
	flow_age(SL_FLOW_REQUEST, IPPROTO_TCP, client, V, age_s);
	flow_age(SL_FLOW_REPLY, IPPROTO_TCP, B, client, age_s);
}

/* A packet of a flood: it goes somewhere; its own answer's entry may already be another's. */
static void flood(enum program program, struct packet in)
{
	struct frame frame;
	uint8_t out[FRAME_MAX];
	size_t len;

	packet_build(&in, &frame);
	assert_int_equal(
		harness_run_raw(harness_program(program), frame.bytes, frame.len, out, &len), -1);
}

/* SYNs and their answers without number: they take each other's slots, and never a kept one. */
static void a_flood_takes_no_kept_slot(void **state)
{
	begin(state);
	for (uint32_t i = 0; i < FLOWS_KEPT; i++) {
		tcp_opens(nth(i), V, B);
		age_tcp(nth(i), 3600); /* quiet for much longer than the flood's */
	}
	for (uint32_t i = 0; i < 200; i++) {
		struct end flooder = nth(1000 + i);

		flood(POD_IN, TCP(family, flooder, V, SYN));
		flood(POD_OUT, TCP(family, B, flooder, SYN | ACK));
	}
	for (uint32_t i = 0; i < FLOWS_KEPT; i++)
		expect_open(nth(i));
	assert_int_equal(flow_count(IN_TCP), 2 * FLOWS_KEPT);
	assert_int_equal(flow_count(IN_NEW), SL_BUCKET_SLOTS - 2 * FLOWS_KEPT);
	tcp_talks(nth(0), V, B);
}

/* FIN and RST of a handshake that never was one do not make it an established flow. */
static void what_was_never_confirmed_is_never_kept(void **state)
{
	begin(state);
	for (uint32_t i = 0; i < FLOWS_KEPT; i++)
		tcp_opens(nth(i), V, B);
	for (uint32_t i = 0; i < 40; i++) {
		struct end flooder = nth(1000 + i);

		forwards(POD_IN, TCP(family, flooder, V, SYN), NEW_FLOW,
			 TCP(family, flooder, B, SYN));
		forwards(POD_IN, TCP(family, flooder, V, i % 2 ? RST : FIN | ACK), FLOW,
			 TCP(family, flooder, B, i % 2 ? RST : FIN | ACK));
		forwards(POD_IN, TCP(family, flooder, V, ACK), FLOW, TCP(family, flooder, B, ACK));
		assert_int_equal(flow_count(IN_TCP), 2 * FLOWS_KEPT);
	}
	for (uint32_t i = 0; i < FLOWS_KEPT; i++)
		expect_open(nth(i));
}

/* One established flow more than may be kept: the one that was quiet longest loses its place, when it is wanted. */
static void who_was_quiet_longest_leaves(void **state)
{
	begin(state);
	for (uint32_t i = 0; i < FLOWS_KEPT; i++) {
		tcp_opens(nth(i), V, B);
		age_tcp(nth(i), i == 3 ? 900 : 600 - 10 * i);
	}
	tcp_opens(nth(100), V, B);
	expect_open(nth(100));
	for (uint32_t i = 0; i < 20; i++)
		forwards(POD_IN, TCP(family, nth(1000 + i), V, SYN), NEW_FLOW,
			 TCP(family, nth(1000 + i), B, SYN));
	for (uint32_t i = 0; i < FLOWS_KEPT; i++)
		if (i != 3)
			expect_open(nth(i));
	/* of its two entries one had to leave, as one slot was left for the other flow's */
	assert_int_equal(flow_find(SL_FLOW_REQUEST, IPPROTO_TCP, nth(3), V).copies +
				 flow_find(SL_FLOW_REPLY, IPPROTO_TCP, B, nth(3)).copies,
			 1);
	expect_open(nth(100));
}

/* Not kept any more, but its slot was not wanted: it goes on, and is kept again. */
static void who_talks_is_kept_again(void **state)
{
	begin(state);
	for (uint32_t i = 0; i < FLOWS_KEPT; i++) {
		tcp_opens(nth(i), V, B);
		age_tcp(nth(i), i == 3 ? 900 : 600 - 10 * i);
	}
	tcp_opens(nth(100), V, B); /* takes the last free slots; an entry of 3 is not kept */
	tcp_talks(nth(3), V, B);
	expect_open(nth(3));
	expect_open(nth(100));
	/* now it is the first that was quiet longest */
	for (uint32_t i = 0; i < 20; i++)
		forwards(POD_IN, TCP(family, nth(1000 + i), V, SYN), NEW_FLOW,
			 TCP(family, nth(1000 + i), B, SYN));
	expect_open(nth(3));
	assert_int_equal(flow_find(SL_FLOW_REQUEST, IPPROTO_TCP, nth(0), V).copies +
				 flow_find(SL_FLOW_REPLY, IPPROTO_TCP, B, nth(0)).copies,
			 1);
}

/* A flow that ended gives its slots back; a moment later they are the first to be taken. */
static void closed_flows_leave_first(void **state)
{
	struct end closed = nth(500), half = nth(501);

	begin(state);
	for (uint32_t i = 0; i < FLOWS_KEPT - 1; i++)
		tcp_opens(nth(i), V, B);
	forwards(POD_IN, TCP(family, half, V, SYN), NEW_FLOW, TCP(family, half, B, SYN));
	tcp_opens(closed, V, B);
	forwards(POD_IN, TCP(family, closed, V, FIN | ACK), FLOW,
		 TCP(family, closed, B, FIN | ACK));
	expect_flow(REQUEST, IPPROTO_TCP, closed, V, IN_TCP, HALF_CLOSED, closed, B);
	forwards(POD_OUT, TCP(family, B, closed, FIN | ACK), REPLY,
		 TCP(family, V, closed, FIN | ACK));
	expect_flow(REQUEST, IPPROTO_TCP, closed, V, IN_TCP, CLOSING, closed, B);
	age_tcp(closed, 3);
	/* one slot is free: after it the closed flow's two */
	for (uint32_t i = 0; i < 2; i++) {
		struct end next = nth(600 + i);

		forwards(POD_IN, TCP(family, next, V, SYN), NEW_FLOW, TCP(family, next, B, SYN));
		expect_flow(REQUEST, IPPROTO_TCP, next, V, IN_NEW, NEW, next, B);
		expect_flow(REPLY, IPPROTO_TCP, B, next, IN_NEW, NEW, V, next);
		expect_flow(REQUEST, IPPROTO_TCP, half, V, IN_NEW, NEW, half, B);
		if (i == 0)
			flow_remove(SL_FLOW_REPLY, IPPROTO_TCP, B, next);
	}
	expect_no_flow(REQUEST, IPPROTO_TCP, closed, V);
	for (uint32_t i = 0; i < FLOWS_KEPT - 1; i++)
		expect_open(nth(i));
}

/* Every flow of a full table is over at once: new ones take the slots, and nobody had to clear them away. */
static void what_is_over_needs_no_collection(void **state)
{
	begin(state);
	for (uint32_t i = 0; i < FLOWS_KEPT; i++)
		tcp_opens(nth(i), V, B);
	for (uint32_t i = 0; i < FLOWS_KEPT; i++)
		age_tcp(nth(i), SL_IDLE_TCP_S + 5);
	for (uint32_t i = 0; i < FLOWS_KEPT; i++) {
		tcp_opens(nth(100 + i), V, B);
		tcp_talks(nth(100 + i), V, B);
	}
	for (uint32_t i = 0; i < FLOWS_KEPT; i++)
		expect_open(nth(100 + i));
	resets(POD_IN, TCP(family, nth(0), V, ACK, .ack = 5));
}

/* However long ago that was, an entry is not taken for one of the future. */
static void what_was_over_years_ago_is_over(void **state)
{
	static const uint32_t days[] = { 2, 400, 420, 800, 840, 1600 };

	for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
		begin(state);
		for (uint32_t j = 0; j < FLOWS_KEPT; j++) {
			tcp_opens(nth(j), V, B);
			age_tcp(nth(j), days[i] * 86400);
		}
		for (uint32_t j = 0; j < FLOWS_KEPT; j++) {
			tcp_opens(nth(100 + j), V, B);
			tcp_talks(nth(100 + j), V, B);
		}
		for (uint32_t j = 0; j < FLOWS_KEPT; j++)
			expect_open(nth(100 + j));
		tcp_opens(nth(200), V, B);
		age_tcp(nth(200), days[i] * 86400);
		resets(POD_IN, TCP(family, nth(200), V, ACK, .ack = 5));
	}
}

/* It lost its place, and goes on as long as another slot can be had: also where a new flow would be at home in its slot. */
static void who_is_kept_no_more_stays_while_there_is_room(void **state)
{
	begin(state);
	for (uint32_t i = 0; i <= FLOWS_KEPT; i++) {
		tcp_opens(nth(i), V, B);
		age_tcp(nth(i), 900 - 10 * i);
	}
	/* 13 kept, one no more, one free; and another free one */
	flow_remove(SL_FLOW_REQUEST, IPPROTO_TCP, nth(FLOWS_KEPT), V);
	for (uint32_t i = 0; i < 60; i++) { /* at home in every slot */
		struct end next = nth(1000 + i);

		forwards(POD_IN, TCP(family, next, V, SYN), NEW_FLOW, TCP(family, next, B, SYN));
		assert_int_equal(flow_count(IN_TCP), 2 * FLOWS_KEPT + 1);
		flow_remove(SL_FLOW_REQUEST, IPPROTO_TCP, next, V);
		flow_remove(SL_FLOW_REPLY, IPPROTO_TCP, B, next);
	}
}

/* Nobody is established any more: what was kept leaves for flows that are not even answered yet, before any of these does. */
static void what_was_kept_and_is_over_makes_room_for_new(void **state)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP };

	begin(state);
	for (uint32_t i = 0; i < FLOWS_KEPT; i++) {
		tcp_opens(nth(i), V, B);
		udp_opens(nth(i), V, B);
		age_tcp(nth(i), SL_IDLE_TCP_S + 5);
		flow_age(SL_FLOW_REQUEST, IPPROTO_UDP, nth(i), V, SL_IDLE_SCTP_S + 5);
		flow_age(SL_FLOW_REPLY, IPPROTO_UDP, B, nth(i), SL_IDLE_SCTP_S + 5);
	}
	for (uint32_t i = 0; i < FLOWS_KEPT; i++) {
		struct end next = nth(1000 + i);

		forwards(POD_IN, TCP(family, next, V, SYN), NEW_FLOW, TCP(family, next, B, SYN));
		forwards(POD_IN, UDP(family, next, V), NEW_FLOW, UDP(family, next, B));
	}
	for (uint32_t i = 0; i < FLOWS_KEPT; i++)
		for (size_t j = 0; j < sizeof(protos); j++) {
			struct end next = nth(1000 + i);

			expect_flow(REQUEST, protos[j], next, V, IN_NEW, NEW, next, B);
			expect_flow(REPLY, protos[j], B, next, IN_NEW, NEW, V, next);
		}
}

/* The entry for the answer was put out: the client's next SYN makes it again. */
static void a_syn_sent_again_makes_room_for_its_answer(void **state)
{
	struct end client = nth(0);

	begin(state);
	forwards(POD_IN, TCP(family, client, V, SYN), NEW_FLOW, TCP(family, client, B, SYN));
	flow_remove(SL_FLOW_REPLY, IPPROTO_TCP, B, client);
	passes(POD_OUT, TCP(family, B, client, SYN | ACK), NOT_SERVICE);
	forwards(POD_IN, TCP(family, client, V, SYN), FLOW, TCP(family, client, B, SYN));
	forwards(POD_OUT, TCP(family, B, client, SYN | ACK), REPLY,
		 TCP(family, V, client, SYN | ACK));
	expect_flow(REQUEST, IPPROTO_TCP, client, V, IN_NEW, REPLIED, client, B);
}

/* TCP never takes a slot of UDP, nor the other way round. */
static void each_its_own_table(void **state)
{
	begin(state);
	for (uint32_t i = 0; i < FLOWS_KEPT; i++)
		udp_opens(nth(i), V, B);
	for (uint32_t i = 0; i < 3 * FLOWS_KEPT; i++) {
		tcp_opens(nth(i), V, B);
		age_tcp(nth(i), 100 - i);
	}
	assert_int_equal(flow_count(IN_UDP), 2 * FLOWS_KEPT);
	assert_int_equal(flow_count(IN_TCP), SL_BUCKET_SLOTS);
	for (uint32_t i = 0; i < FLOWS_KEPT; i++)
		expect_flow(REQUEST, IPPROTO_UDP, nth(i), V, IN_UDP, CONFIRMED, nth(i), B);
}

/* Single questions and answers take each other's slots only. */
static void questions_take_no_kept_slot(void **state)
{
	begin(state);
	for (uint32_t i = 0; i < FLOWS_KEPT; i++) {
		udp_opens(nth(i), V, B);
		flow_age(SL_FLOW_REQUEST, IPPROTO_UDP, nth(i), V, 100);
		flow_age(SL_FLOW_REPLY, IPPROTO_UDP, B, nth(i), 100);
	}
	for (uint32_t i = 0; i < 200; i++) {
		flood(POD_IN, UDP(family, nth(1000 + i), V));
		flood(POD_OUT, UDP(family, B, nth(1000 + i)));
	}
	for (uint32_t i = 0; i < FLOWS_KEPT; i++) {
		expect_flow(REQUEST, IPPROTO_UDP, nth(i), V, IN_UDP, CONFIRMED, nth(i), B);
		expect_flow(REPLY, IPPROTO_UDP, B, nth(i), IN_UDP, CONFIRMED, V, nth(i));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR_ALL(a_flood_takes_no_kept_slot),
		FOR_ALL(what_was_never_confirmed_is_never_kept),
		FOR_ALL(who_was_quiet_longest_leaves),
		FOR_ALL(who_talks_is_kept_again),
		FOR_ALL(closed_flows_leave_first),
		FOR_ALL(what_is_over_needs_no_collection),
		FOR_ALL(what_was_over_years_ago_is_over),
		FOR_ALL(who_is_kept_no_more_stays_while_there_is_room),
		FOR_ALL(what_was_kept_and_is_over_makes_room_for_new),
		FOR_ALL(a_syn_sent_again_makes_room_for_its_answer),
		FOR_ALL(each_its_own_table),
		FOR_ALL(questions_take_no_kept_slot),
	};

	return cmocka_run_group_tests_name("slots", tests, load, harness_teardown);
}
