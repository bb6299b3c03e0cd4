// SPDX-License-Identifier: GPL-2.0-only
/*
 * Flow tables that are full: new flows are served as ever, at the cost of the ones that were quiet longest; a flow that talks stays.
 */
/* link: nothing but the libraries */
#include "prog/harness.h"

#include <string.h>

#include "prog/life.h"

#define C AT(CLIENT, 40000)
#define V AT(VIP, 80)
#define B AT(BACKEND1, 8080)

#define ROOM    (HARNESS_BUCKETS * SL_BUCKET_SLOTS) /* entries of a table, two a flow */
#define FLOWS   ROOM                                /* opened one after another: twice what fits */
#define CLIENTS 60000                               /* ports of one host that are used */

static struct end nth_client(uint32_t i)
{
	return AT(i / CLIENTS ? CLIENT2 : STRANGER, (uint16_t)(1000 + i % CLIENTS));
}

/* forwards() without the counters, which are read by hundreds of calls. */
static void goes(enum program program, struct packet in, struct packet out)
{
	struct frame frame, got = { 0 };
	const char *difference;

	packet_build(&in, &frame);
	got.l3 = frame.l3;
	if (harness_run_raw(harness_program(program), frame.bytes, frame.len, got.bytes,
			    &got.len) != -1)
		fail_msg("not let through: %s", frame_text(&frame));
	difference = frame_difference(&got, &out);
	if (difference)
		fail_msg("%s: %s", frame_text(&frame), difference);
}

static void open_tcp(struct end client)
{
	goes(POD_IN, TCP(family, client, V, SYN), TCP(family, client, B, SYN));
	goes(POD_OUT, TCP(family, B, client, SYN | ACK), TCP(family, V, client, SYN | ACK));
	goes(POD_IN, TCP(family, client, V, ACK), TCP(family, client, B, ACK));
	goes(POD_OUT, TCP(family, B, client, ACK), TCP(family, V, client, ACK));
}

static void open_udp(struct end client)
{
	goes(POD_IN, UDP(family, client, V), UDP(family, client, B));
	goes(POD_OUT, UDP(family, B, client), UDP(family, V, client));
	goes(POD_IN, UDP(family, client, V), UDP(family, client, B));
}

static void begin(void **state)
{
	start(state);
	service(V, IPPROTO_TCP, READY(B));
	service(V, IPPROTO_UDP, READY(B));
}

/* The table holds what it can, and no more. */
static void assert_full(enum table table)
{
	assert_in_range(flow_count(table), ROOM * 3 / 4, ROOM);
}

static void established_connections(void **state)
{
	begin(state);
	for (uint32_t i = 0; i < FLOWS; i++)
		open_tcp(nth_client(i));
	assert_full(IN_TCP);
	tcp_opens(C, V, B);
	expect_flow(REQUEST, IPPROTO_TCP, C, V, IN_TCP, CONFIRMED, C, B);
	expect_flow(REPLY, IPPROTO_TCP, B, C, IN_TCP, CONFIRMED, V, C);
	tcp_talks(C, V, B);
}

static void running_udp(void **state)
{
	begin(state);
	for (uint32_t i = 0; i < FLOWS; i++)
		open_udp(nth_client(i));
	assert_full(IN_UDP);
	udp_opens(C, V, B);
	expect_flow(REQUEST, IPPROTO_UDP, C, V, IN_UDP, CONFIRMED, C, B);
	expect_flow(REPLY, IPPROTO_UDP, B, C, IN_UDP, CONFIRMED, V, C);
}

/* Never answered: half of them in each table. */
static void unanswered(void **state)
{
	begin(state);
	for (uint32_t i = 0; i < FLOWS; i++)
		if (i % 2)
			goes(POD_IN, TCP(family, nth_client(i), V, SYN),
			     TCP(family, nth_client(i), B, SYN));
		else
			goes(POD_IN, UDP(family, nth_client(i), V), UDP(family, nth_client(i), B));
	assert_in_range(flow_count(IN_NEW), 2 * ROOM * 3 / 4, 2 * ROOM);
	tcp_opens(C, V, B);
	udp_opens(C, V, B);
	assert_int_equal(flow_count(IN_TCP), 2);
	assert_int_equal(flow_count(IN_UDP), 2);
}

/* Twice the table's room of others come by while it talks. */
static void who_talks_stays(void **state)
{
	begin(state);
	tcp_opens(C, V, B);
	for (uint32_t i = 0; i < FLOWS; i++) {
		open_tcp(nth_client(i));
		if (i % 64 == 0)
			tcp_talks(C, V, B);
	}
	assert_full(IN_TCP);
	tcp_talks(C, V, B);
	expect_flow(REQUEST, IPPROTO_TCP, C, V, IN_TCP, CONFIRMED, C, B);
	expect_flow(REPLY, IPPROTO_TCP, B, C, IN_TCP, CONFIRMED, V, C);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR_ALL(established_connections),
		FOR_ALL(running_udp),
		FOR_ALL(unanswered),
		FOR_ALL(who_talks_stays),
	};

	return run_group("full", tests);
}
