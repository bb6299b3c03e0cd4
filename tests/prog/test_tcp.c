/* SPDX-License-Identifier: GPL-2.0-only */
/* A TCP connection of a pod through a VIP, from its first packet to its last, and whatever may happen in between. */
/* Must not know how programs do it: expectations are those of bpf/README.md. */
#include "prog/life.h"

#define C  AT(CLIENT, 40000)
#define V  AT(VIP, 80)
#define V2 AT(VIP2, 8000)
#define B  AT(BACKEND1, 8080)
#define B2 AT(BACKEND2, 8081)

static void one_backend(void)
{
	service(V, IPPROTO_TCP, READY(B));
}

/* The pair of entries that one connection has. */
static void expect_pair(enum table table, enum sl_flow_state state)
{
	harness_expect_flow(SL_FLOW_REQUEST, IPPROTO_TCP, C, V, table, state, C, B, __FILE__,
			    __LINE__);
	harness_expect_flow(SL_FLOW_REPLY, IPPROTO_TCP, B, C, table, state, V, C, __FILE__,
			    __LINE__);
}

static void handshake_confirms(void **state)
{
	start(state);
	one_backend();
	forwards(POD_IN, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, B, SYN));
	expect_pair(IN_NEW, SL_STATE_NEW);
	forwards(POD_OUT, TCP(family, B, C, SYN | ACK), REPLY, TCP(family, V, C, SYN | ACK));
	expect_pair(IN_NEW, SL_STATE_REPLIED);
	forwards(POD_IN, TCP(family, C, V, ACK), FLOW, TCP(family, C, B, ACK));
	expect_pair(IN_TCP, SL_STATE_CONFIRMED);
	assert_int_equal(flow_count(IN_NEW), 0);
	tcp_talks(C, V, B);
	expect_pair(IN_TCP, SL_STATE_CONFIRMED);
}

/* Neither a SYN sent again nor a RST proves that the client is there. */
static void only_an_ack_confirms(void **state)
{
	start(state);
	one_backend();
	forwards(POD_IN, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, B, SYN));
	forwards(POD_IN, TCP(family, C, V, SYN), FLOW, TCP(family, C, B, SYN));
	expect_pair(IN_NEW, SL_STATE_NEW);
	forwards(POD_IN, TCP(family, C, V, ACK), FLOW, TCP(family, C, B, ACK));
	expect_pair(IN_NEW, SL_STATE_NEW); /* nobody answered yet */
	forwards(POD_OUT, TCP(family, B, C, SYN | ACK), REPLY, TCP(family, V, C, SYN | ACK));
	forwards(POD_OUT, TCP(family, B, C, SYN | ACK), REPLY, TCP(family, V, C, SYN | ACK));
	forwards(POD_IN, TCP(family, C, V, SYN), FLOW, TCP(family, C, B, SYN));
	expect_pair(IN_NEW, SL_STATE_REPLIED);
	forwards(POD_IN, TCP(family, C, V, RST), FLOW, TCP(family, C, B, RST));
	assert_int_equal(flow_count(IN_TCP), 0);
	assert_int_equal(flow_find(SL_FLOW_REQUEST, IPPROTO_TCP, C, V).value.state,
			 SL_STATE_CLOSING);
}

static void both_ways_with_options_and_tags(void **state)
{
	uint8_t options;

	start(state);
	one_backend();
	tcp_opens(C, V, B);
	options = family == 4 ? 40 : 0;
	forwards(POD_IN,
		 TCP(family, C, V, ACK, .options = options, .tcp_options = 12, .payload = 7,
		     .tos = 0xb9, .ttl = 3, .id = 77),
		 FLOW,
		 TCP(family, C, B, ACK, .options = options, .tcp_options = 12, .payload = 7,
		     .tos = 0xb9, .ttl = 3, .id = 77));
	forwards(POD_OUT, TCP(family, B, C, ACK, .options = options, .payload = 1461), REPLY,
		 TCP(family, V, C, ACK, .options = options, .payload = 1461));
	/* a checksum that was wrong stays as wrong as it was */
	forwards(POD_IN, TCP(family, C, V, ACK, .payload = 64, .wrong_checksum = true), FLOW,
		 TCP(family, C, B, ACK, .payload = 64, .wrong_checksum = true));
}

static void extension_headers(void **state)
{
	start(state);
	one_backend();
	tcp_opens(C, V, B);
	forwards(POD_IN,
		 TCP(family, C, V, ACK,
		     .extensions = { HOP_BY_HOP, IPPROTO_DSTOPTS, IPPROTO_ROUTING }, .payload = 9),
		 FLOW,
		 TCP(family, C, B, ACK,
		     .extensions = { HOP_BY_HOP, IPPROTO_DSTOPTS, IPPROTO_ROUTING }, .payload = 9));
	forwards(POD_OUT, TCP(family, B, C, ACK, .extensions = { IPPROTO_DSTOPTS }), REPLY,
		 TCP(family, V, C, ACK, .extensions = { IPPROTO_DSTOPTS }));
	/* an atomic fragment (RFC 6946) is a whole packet */
	forwards(POD_IN, TCP(family, C, V, ACK, .extensions = { IPPROTO_FRAGMENT }, .payload = 9),
		 FLOW, TCP(family, C, B, ACK, .extensions = { IPPROTO_FRAGMENT }, .payload = 9));
}

static void fin_from_both_sides_closes(void **state)
{
	start(state);
	one_backend();
	tcp_opens(C, V, B);
	forwards(POD_IN, TCP(family, C, V, FIN | ACK), FLOW, TCP(family, C, B, FIN | ACK));
	expect_pair(IN_TCP, SL_STATE_HALF_CLOSED);
	forwards(POD_IN, TCP(family, C, V, FIN | ACK), FLOW, TCP(family, C, B, FIN | ACK));
	expect_pair(IN_TCP, SL_STATE_HALF_CLOSED); /* sent again: still one side */
	forwards(POD_OUT, TCP(family, B, C, ACK, .payload = 500), REPLY,
		 TCP(family, V, C, ACK, .payload = 500));
	expect_pair(IN_TCP, SL_STATE_HALF_CLOSED);
	forwards(POD_OUT, TCP(family, B, C, FIN | ACK), REPLY, TCP(family, V, C, FIN | ACK));
	expect_pair(IN_TCP, SL_STATE_CLOSING);
	forwards(POD_IN, TCP(family, C, V, ACK), FLOW, TCP(family, C, B, ACK));
	expect_pair(IN_TCP, SL_STATE_CLOSING);
}

static void backend_may_close_first(void **state)
{
	start(state);
	one_backend();
	tcp_opens(C, V, B);
	forwards(POD_OUT, TCP(family, B, C, FIN | ACK), REPLY, TCP(family, V, C, FIN | ACK));
	expect_pair(IN_TCP, SL_STATE_HALF_CLOSED);
	forwards(POD_IN, TCP(family, C, V, FIN | ACK), FLOW, TCP(family, C, B, FIN | ACK));
	expect_pair(IN_TCP, SL_STATE_CLOSING);
}

static void rst_closes(void **state)
{
	start(state);
	one_backend();
	tcp_opens(C, V, B);
	forwards(POD_OUT, TCP(family, B, C, RST), REPLY, TCP(family, V, C, RST));
	expect_pair(IN_TCP, SL_STATE_CLOSING);
}

/* A RST out of the window is not believed by whom it reached (RFC 5961): the next packet restores the flow. */
static void unbelieved_rst(void **state)
{
	start(state);
	one_backend();
	tcp_opens(C, V, B);
	forwards(POD_IN, TCP(family, C, V, RST), FLOW, TCP(family, C, B, RST));
	expect_pair(IN_TCP, SL_STATE_CLOSING);
	forwards(POD_OUT, TCP(family, B, C, ACK), REPLY,
		 TCP(family, V, C, ACK)); /* the challenge */
	expect_pair(IN_TCP, SL_STATE_CONFIRMED);
	forwards(POD_OUT, TCP(family, B, C, FIN | ACK), REPLY, TCP(family, V, C, FIN | ACK));
	forwards(POD_IN, TCP(family, C, V, RST), FLOW, TCP(family, C, B, RST));
	forwards(POD_IN, TCP(family, C, V, ACK, .payload = 5), FLOW,
		 TCP(family, C, B, ACK, .payload = 5));
	expect_pair(IN_TCP, SL_STATE_HALF_CLOSED);
}

/* The backend that refuses a connection: RST to the SYN. */
static void rst_to_a_syn(void **state)
{
	start(state);
	one_backend();
	forwards(POD_IN, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, B, SYN));
	forwards(POD_OUT, TCP(family, B, C, RST | ACK), REPLY, TCP(family, V, C, RST | ACK));
	assert_int_equal(flow_count(IN_TCP), 0);
	forwards(POD_IN, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, B, SYN));
	expect_pair(IN_NEW, SL_STATE_NEW);
}

/* The port is used again while the old connection closes: a new choice, and nothing of the old one is in the way. */
static void syn_on_closing_entry_is_new(void **state)
{
	start(state);
	one_backend();
	tcp_opens(C, V, B);
	forwards(POD_IN, TCP(family, C, V, RST), FLOW, TCP(family, C, B, RST));
	service(V, IPPROTO_TCP, READY(B2));
	forwards(POD_IN, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, B2, SYN));
	expect_flow(REQUEST, IPPROTO_TCP, C, V, IN_NEW, NEW, C, B2);
	expect_flow(REPLY, IPPROTO_TCP, B2, C, IN_NEW, NEW, V, C);
	forwards(POD_OUT, TCP(family, B2, C, SYN | ACK), REPLY, TCP(family, V, C, SYN | ACK));
	forwards(POD_IN, TCP(family, C, V, ACK), FLOW, TCP(family, C, B2, ACK));
	expect_flow(REQUEST, IPPROTO_TCP, C, V, IN_TCP, CONFIRMED, C, B2);
	expect_flow(REPLY, IPPROTO_TCP, B2, C, IN_TCP, CONFIRMED, V, C);
	tcp_talks(C, V, B2);
}

static void syn_on_closing_entry_same_backend(void **state)
{
	start(state);
	one_backend();
	tcp_opens(C, V, B);
	forwards(POD_IN, TCP(family, C, V, RST), FLOW, TCP(family, C, B, RST));
	tcp_opens(C, V, B);
	expect_pair(IN_TCP, SL_STATE_CONFIRMED);
	tcp_talks(C, V, B);
}

/* The reply tuple is still held by a closing connection through another VIP. */
static void closing_reply_of_another_vip(void **state)
{
	struct end c = C;

	start(state);
	one_backend();
	service(V2, IPPROTO_TCP, READY(B));
	tcp_opens(C, V, B);
	forwards(POD_IN, TCP(family, C, V, RST), FLOW, TCP(family, C, B, RST));
	/* either the tuple is taken over or the port changes; the client must see V2 and its own port */
	struct packet syn = TCP(family, C, V2, SYN);
	struct outcome outcome = harness_run(POD_IN, &syn, __FILE__, __LINE__);
	struct parsed parsed;

	packet_parse(outcome.out.bytes, outcome.out.len, outcome.out.l3, true, &parsed);
	assert_int_equal(outcome.reason, SL_REASON_NEW_FLOW);
	c.port = parsed.sport;
	forwards(POD_OUT, TCP(family, B, c, SYN | ACK), REPLY, TCP(family, V2, C, SYN | ACK));
	forwards(POD_IN, TCP(family, C, V2, ACK), FLOW, TCP(family, c, B, ACK));
	forwards(POD_OUT, TCP(family, B, c, ACK, .payload = 10), REPLY,
		 TCP(family, V2, C, ACK, .payload = 10));
}

/* From the same port, once through the service and then not: the second must not be taken for the first. */
static void direct_after_the_service(void **state)
{
	start(state);
	one_backend();
	tcp_opens(C, V, B);
	forwards(POD_IN, TCP(family, C, V, FIN | ACK), FLOW, TCP(family, C, B, FIN | ACK));
	forwards(POD_OUT, TCP(family, B, C, FIN | ACK), REPLY, TCP(family, V, C, FIN | ACK));
	forwards(POD_IN, TCP(family, C, V, ACK), FLOW, TCP(family, C, B, ACK));
	passes(POD_IN, TCP(family, C, B, SYN), NOT_SERVICE);
	passes(POD_OUT, TCP(family, B, C, SYN | ACK), NOT_SERVICE);
	passes(POD_IN, TCP(family, C, B, ACK), NOT_SERVICE);
	passes(POD_OUT, TCP(family, B, C, ACK, .payload = 10), NOT_SERVICE);
	expect_no_flow(REPLY, IPPROTO_TCP, B, C);
	expect_no_flow(REQUEST, IPPROTO_TCP, C, V);
	tcp_opens(C, V, B);
	tcp_talks(C, V, B);
}

static void two_vips_one_tuple_one_backend(void **state)
{
	struct end c = C;

	start(state);
	one_backend();
	service(V2, IPPROTO_TCP, READY(B));
	tcp_opens(C, V, B);
	c.port = forwards_new_port(POD_IN, TCP(family, C, V2, SYN), NEW_FLOW,
				   TCP(family, C, B, SYN));
	forwards(POD_OUT, TCP(family, B, c, SYN | ACK), REPLY, TCP(family, V2, C, SYN | ACK));
	forwards(POD_IN, TCP(family, C, V2, ACK), FLOW, TCP(family, c, B, ACK));
	expect_flow(REQUEST, IPPROTO_TCP, C, V2, IN_TCP, CONFIRMED, c, B);
	expect_flow(REPLY, IPPROTO_TCP, B, c, IN_TCP, CONFIRMED, V2, C);
	assert_true(flow_find(SL_FLOW_REQUEST, IPPROTO_TCP, C, V2).value.flags & SL_FLOW_PORT);
	/* the first one is as it was */
	tcp_talks(C, V, B);
	expect_pair(IN_TCP, SL_STATE_CONFIRMED);
}

/* A node of both: its request to the other looks like the reply of the other's request to it. */
static void two_pods_of_a_service_ask_each_other(void **state)
{
	struct end p1 = AT(BACKEND1, 7946), p2 = AT(BACKEND2, 7946), v = AT(VIP, 7946), from = p2;
	struct packet packet;
	struct outcome outcome;
	struct parsed parsed;

	start(state);
	service(v, IPPROTO_UDP, READY(p2));
	forwards(POD_IN, UDP(family, p1, v), NEW_FLOW, UDP(family, p1, p2));
	service(v, IPPROTO_UDP, READY(p1), { p2, SL_BACKEND_SERVING });
	packet = UDP(family, p2, v);
	outcome = harness_run(POD_IN, &packet, __FILE__, __LINE__);
	packet_parse(outcome.out.bytes, outcome.out.len, outcome.out.l3, true, &parsed);
	assert_int_equal(outcome.reason, SL_REASON_NEW_FLOW);
	from.port = parsed.sport;
	/* the request of the second at the first one's device must show the second, not the VIP */
	passes(POD_OUT, UDP(family, from, p1), NOT_SERVICE);
	forwards(POD_OUT, UDP(family, p1, from), REPLY, UDP(family, v, p2));
	/* and the answer to the first one's request still comes from the VIP */
	forwards(POD_OUT, UDP(family, p2, p1), REPLY, UDP(family, v, p1));
}

static void idle_for_a_day_is_unknown(void **state)
{
	start(state);
	one_backend();
	tcp_opens(C, V, B);
	flow_age(SL_FLOW_REQUEST, IPPROTO_TCP, C, V, SL_IDLE_TCP_S - 5);
	flow_age(SL_FLOW_REPLY, IPPROTO_TCP, B, C, SL_IDLE_TCP_S - 5);
	tcp_talks(C, V, B);
	flow_age(SL_FLOW_REQUEST, IPPROTO_TCP, C, V, SL_IDLE_TCP_S + 5);
	flow_age(SL_FLOW_REPLY, IPPROTO_TCP, B, C, SL_IDLE_TCP_S + 5);
	passes(POD_OUT, TCP(family, B, C, ACK), NOT_SERVICE);
	resets(POD_IN, TCP(family, C, V, ACK, .ack = 5));
}

static void age_pair(uint32_t age_s)
{
	flow_age(SL_FLOW_REQUEST, IPPROTO_TCP, C, V, age_s);
	flow_age(SL_FLOW_REPLY, IPPROTO_TCP, B, C, age_s);
}

/* Each state has its idle time; what is over is overwritten, not in the way. */
static void half_closed_times_out(void **state)
{
	start(state);
	one_backend();
	tcp_opens(C, V, B);
	forwards(POD_IN, TCP(family, C, V, FIN | ACK), FLOW, TCP(family, C, B, FIN | ACK));
	age_pair(SL_IDLE_TCP_HALF_S - 3);
	tcp_talks(C, V, B);
	expect_pair(IN_TCP, SL_STATE_HALF_CLOSED);
	age_pair(SL_IDLE_TCP_HALF_S + 3);
	resets(POD_IN, TCP(family, C, V, ACK, .ack = 5));
	tcp_opens(C, V, B);
	expect_pair(IN_TCP, SL_STATE_CONFIRMED);
}

static void closing_times_out(void **state)
{
	start(state);
	one_backend();
	tcp_opens(C, V, B);
	forwards(POD_IN, TCP(family, C, V, FIN | ACK), FLOW, TCP(family, C, B, FIN | ACK));
	forwards(POD_OUT, TCP(family, B, C, FIN | ACK), REPLY, TCP(family, V, C, FIN | ACK));
	age_pair(SL_IDLE_TCP_CLOSING_S - 3);
	tcp_talks(C, V, B);
	expect_pair(IN_TCP, SL_STATE_CLOSING);
	age_pair(SL_IDLE_TCP_CLOSING_S + 3);
	resets(POD_IN, TCP(family, C, V, ACK, .ack = 5));
	tcp_opens(C, V, B);
	expect_pair(IN_TCP, SL_STATE_CONFIRMED);
}

static void unfinished_handshake_times_out(void **state)
{
	start(state);
	one_backend();
	forwards(POD_IN, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, B, SYN));
	flow_age(SL_FLOW_REQUEST, IPPROTO_TCP, C, V, SL_IDLE_TCP_NEW_S + 3);
	flow_age(SL_FLOW_REPLY, IPPROTO_TCP, B, C, SL_IDLE_TCP_NEW_S + 3);
	passes(POD_OUT, TCP(family, B, C, SYN | ACK), NOT_SERVICE);
	forwards(POD_IN, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, B, SYN));
	expect_pair(IN_NEW, SL_STATE_NEW);
}

/* Another CPU's clock may be ahead by a tick: an entry from the future is fresh. */
static void clock_of_another_cpu(void **state)
{
	uint64_t future_ns;

	start(state);
	one_backend();
	tcp_opens(C, V, B);
	future_ns = harness_now_ns() + 3600ull * 1000000000;
	flow_write(SL_FLOW_REQUEST, IPPROTO_TCP, C, V, SEEN_NS, future_ns);
	flow_write(SL_FLOW_REPLY, IPPROTO_TCP, B, C, SEEN_NS, future_ns);
	flow_write(SL_FLOW_REQUEST, IPPROTO_TCP, C, V, TWIN_NS, future_ns);
	flow_write(SL_FLOW_REPLY, IPPROTO_TCP, B, C, TWIN_NS, future_ns);
	tcp_talks(C, V, B);
}

/* Packets of one direction keep both entries alive. */
static void one_way_traffic_keeps_both(void **state)
{
	uint64_t old_ns;

	start(state);
	one_backend();
	tcp_opens(C, V, B);
	flow_age(SL_FLOW_REQUEST, IPPROTO_TCP, C, V, SL_IDLE_TCP_S - 60);
	flow_age(SL_FLOW_REPLY, IPPROTO_TCP, B, C, TWIN_AGE_S);
	forwards(POD_OUT, TCP(family, B, C, ACK), REPLY, TCP(family, V, C, ACK));
	assert_true(is_now(flow_find(SL_FLOW_REPLY, IPPROTO_TCP, B, C).seen_ns));
	assert_true(is_now(flow_find(SL_FLOW_REQUEST, IPPROTO_TCP, C, V).seen_ns));
	/* the same the other way round */
	flow_age(SL_FLOW_REPLY, IPPROTO_TCP, B, C, SL_IDLE_TCP_S - 60);
	flow_age(SL_FLOW_REQUEST, IPPROTO_TCP, C, V, TWIN_AGE_S);
	forwards(POD_IN, TCP(family, C, V, ACK), FLOW, TCP(family, C, B, ACK));
	assert_true(is_now(flow_find(SL_FLOW_REPLY, IPPROTO_TCP, B, C).seen_ns));
	/* but not with each packet */
	flow_age(SL_FLOW_REPLY, IPPROTO_TCP, B, C, 1000);
	old_ns = flow_find(SL_FLOW_REPLY, IPPROTO_TCP, B, C).seen_ns;
	forwards(POD_IN, TCP(family, C, V, ACK), FLOW, TCP(family, C, B, ACK));
	assert_int_equal(flow_find(SL_FLOW_REPLY, IPPROTO_TCP, B, C).seen_ns, old_ns);
}

static void evicted_twin_is_rebuilt(void **state)
{
	start(state);
	one_backend();
	tcp_opens(C, V, B);
	flow_remove(SL_FLOW_REPLY, IPPROTO_TCP, B, C);
	flow_age(SL_FLOW_REQUEST, IPPROTO_TCP, C, V, TWIN_AGE_S);
	forwards(POD_IN, TCP(family, C, V, ACK), FLOW, TCP(family, C, B, ACK));
	expect_pair(IN_TCP, SL_STATE_CONFIRMED);
	flow_remove(SL_FLOW_REQUEST, IPPROTO_TCP, C, V);
	flow_age(SL_FLOW_REPLY, IPPROTO_TCP, B, C, TWIN_AGE_S);
	forwards(POD_OUT, TCP(family, B, C, ACK), REPLY, TCP(family, V, C, ACK));
	expect_pair(IN_TCP, SL_STATE_CONFIRMED);
	tcp_talks(C, V, B);
}

/* The twin's place belongs to another flow by now: it must not be taken. */
static void rebuilding_takes_nobodys_place(void **state)
{
	start(state);
	one_backend();
	service(V2, IPPROTO_TCP, READY(B));
	tcp_opens(C, V, B);
	flow_remove(SL_FLOW_REPLY, IPPROTO_TCP, B, C);
	tcp_opens(C, V2, B); /* the tuple is free now */
	flow_age(SL_FLOW_REQUEST, IPPROTO_TCP, C, V, TWIN_AGE_S);
	forwards(POD_IN, TCP(family, C, V, ACK), FLOW, TCP(family, C, B, ACK));
	expect_flow(REPLY, IPPROTO_TCP, B, C, IN_TCP, CONFIRMED, V2, C);
	tcp_talks(C, V2, B);
	/* nor does the first one's end close the second */
	forwards(POD_IN, TCP(family, C, V, RST), FLOW, TCP(family, C, B, RST));
	expect_flow(REPLY, IPPROTO_TCP, B, C, IN_TCP, CONFIRMED, V2, C);
}

static void established_outlives_its_endpoint(void **state)
{
	start(state);
	one_backend();
	tcp_opens(C, V, B);
	service(V, IPPROTO_TCP, READY(B2));
	tcp_talks(C, V, B);
	service_with(V, IPPROTO_TCP);
	tcp_talks(C, V, B);
	service_delete(V, IPPROTO_TCP);
	tcp_talks(C, V, B);
	expect_pair(IN_TCP, SL_STATE_CONFIRMED);
}

static void syn_leaves_an_endpoint_that_left(void **state)
{
	struct packet late;

	start(state);
	one_backend();
	forwards(POD_IN, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, B, SYN));
	service(V, IPPROTO_TCP, READY(B2));
	forwards(POD_IN, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, B2, SYN));
	expect_flow(REQUEST, IPPROTO_TCP, C, V, IN_NEW, NEW, C, B2);
	/* a late answer of the first changes nothing for the second */
	late = TCP(family, B, C, SYN | ACK);
	harness_run(POD_OUT, &late, __FILE__, __LINE__);
	expect_flow(REQUEST, IPPROTO_TCP, C, V, IN_NEW, NEW, C, B2);
	forwards(POD_IN, TCP(family, C, V, ACK), FLOW, TCP(family, C, B2, ACK));
	assert_int_equal(flow_count(IN_TCP), 0);
}

static void syn_leaves_a_terminating_endpoint(void **state)
{
	start(state);
	one_backend();
	forwards(POD_IN, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, B, SYN));
	service(V, IPPROTO_TCP, READY(B2), { B, TERMINATING_ENDPOINT });
	forwards(POD_IN, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, B2, SYN));
}

static void syn_over_an_established_flow(void **state)
{
	start(state);
	one_backend();
	tcp_opens(C, V, B);
	/* the backend answers it with a challenge ACK (RFC 5961) */
	forwards(POD_IN, TCP(family, C, V, SYN), FLOW, TCP(family, C, B, SYN));
	expect_pair(IN_TCP, SL_STATE_CONFIRMED);
	/* unless that backend left: then it is a new connection, wholly */
	service(V, IPPROTO_TCP, READY(B2));
	tcp_opens(C, V, B2);
	tcp_talks(C, V, B2);
}

/* The id belongs to another endpoint now: its generation says so. */
static void recycled_backend_id(void **state)
{
	uint32_t id;

	start(state);
	one_backend();
	forwards(POD_IN, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, B, SYN));
	id = backend_id(V, IPPROTO_TCP, B);
	service(V, IPPROTO_TCP, READY(B2));
	backend_recycle(id, AT(BACKEND3, 9), 77);
	forwards(POD_IN, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, B2, SYN));
}

/* A value whose tag is not its key's is somebody else's: never followed. */
static void foreign_flow_value(void **state)
{
	struct packet data;
	struct outcome outcome;

	start(state);
	one_backend();
	tcp_opens(C, V, B);
	flow_write(SL_FLOW_REQUEST, IPPROTO_TCP, C, V, TAG, 12345);
	data = TCP(family, C, V, ACK, .ack = 5);
	outcome = harness_run(POD_IN, &data, __FILE__, __LINE__);
	assert_true(outcome.reason == SL_REASON_TORN ||
		    outcome.reason == SL_REASON_UNKNOWN_TCP_FLOW);
}

static void counts_of_flows_and_backends(void **state)
{
	struct sl_backend_stats stats[64] = { 0 }, sum = { 0 };
	uint32_t id;
	uint64_t to = 0, from = 0;
	struct flow_seen request, reply;
	struct frame frame;

	start(state);
	one_backend();
	tcp_opens(C, V, B);
	tcp_talks(C, V, B);
	id = backend_id(V, IPPROTO_TCP, B);
	assert_int_equal(harness_lookup("be_stats", &id, stats), 0);
	for (int i = 0; i < 64; i++) {
		sum.packets_to += stats[i].packets_to;
		sum.bytes_to += stats[i].bytes_to;
		sum.packets_from += stats[i].packets_from;
		sum.bytes_from += stats[i].bytes_from;
		sum.new_flows += stats[i].new_flows;
	}
	packet_build(&TCP(family, C, V, SYN), &frame);
	to += 2 * frame.len;
	from += frame.len;
	packet_build(&TCP(family, C, V, ACK, .payload = 333), &frame);
	to += frame.len;
	packet_build(&TCP(family, B, C, ACK, .payload = 1000), &frame);
	from += frame.len;
	assert_int_equal(sum.packets_to, 3);
	assert_int_equal(sum.bytes_to, to);
	assert_int_equal(sum.packets_from, 2);
	assert_int_equal(sum.bytes_from, from);
	assert_int_equal(sum.new_flows, 1);
	request = flow_find(SL_FLOW_REQUEST, IPPROTO_TCP, C, V);
	reply = flow_find(SL_FLOW_REPLY, IPPROTO_TCP, B, C);
	assert_int_equal(request.value.packets, 3);
	assert_int_equal(request.value.bytes, to);
	assert_int_equal(reply.value.packets, 2);
	assert_int_equal(reply.value.bytes, from);
	assert_int_equal(request.value.service, service_id(V, IPPROTO_TCP));
	assert_int_equal(request.value.backend, id);
}

/* Against backends that answer: what was confirmed stays. */
static void syn_flood_evicts_nobody(void **state)
{
	const uint32_t room = HARNESS_BUCKETS * SL_BUCKET_SLOTS;
	struct frame frame;
	uint8_t out[FRAME_MAX];
	size_t len;

	start(state);
	one_backend();
	for (uint16_t i = 0; i < 50; i++)
		tcp_opens(AT(CLIENT, (uint16_t)(50000 + i)), V, B);
	for (uint32_t i = 0; i < room; i++) {
		struct end flooder = AT(CLIENT2, (uint16_t)(1000 + i));

		packet_build(&TCP(family, flooder, V, SYN), &frame);
		assert_int_equal(
			harness_run_raw(harness_program(POD_IN), frame.bytes, frame.len, out, &len),
			-1);
		packet_build(&TCP(family, B, flooder, SYN | ACK), &frame);
		harness_run_raw(harness_program(POD_OUT), frame.bytes, frame.len, out, &len);
	}
	assert_int_equal(flow_count(IN_TCP), 100);
	assert_true(flow_count(IN_NEW) > room / 2); /* the flood was there */
	for (uint16_t i = 0; i < 50; i++)
		tcp_talks(AT(CLIENT, (uint16_t)(50000 + i)), V, B);
	/* and the flooded table still takes new ones */
	tcp_opens(C, V, B);
}

/* A client outside, routed here on purpose; and devices without Ethernet. */
static void uplinks_and_tunnels(void **state)
{
	struct end o = AT(OUTSIDE, 33000), t = AT(TUNNEL_CLIENT, 33000);

	start(state);
	one_backend();
	forwards(UP_IN, TCP(family, o, V, SYN), NEW_FLOW, TCP(family, o, B, SYN));
	passes(POD_IN, TCP(family, B, o, SYN | ACK), NOT_SERVICE); /* the backend's own device */
	forwards(UP_OUT, TCP(family, B, o, SYN | ACK), REPLY, TCP(family, V, o, SYN | ACK));
	forwards(UP_IN, TCP(family, o, V, ACK), FLOW, TCP(family, o, B, ACK));
	expect_flow(REQUEST, IPPROTO_TCP, o, V, IN_TCP, CONFIRMED, o, B);

	forwards(L3_IN, TCP(family, t, V, SYN, .no_ethernet = true), NEW_FLOW,
		 TCP(family, t, B, SYN, .no_ethernet = true));
	expect_flow(REQUEST, IPPROTO_TCP, t, V, IN_NEW, NEW, t, B);
}

/* The way out of a tunnel: the source is the backend, so it is the one with the bytes that test runs need. */
static void tunnel_replies(void **state)
{
	struct end b = AT(TUNNEL_CLIENT, 8080);

	start(state);
	service(V, IPPROTO_TCP, READY(b));
	forwards(POD_IN, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, b, SYN));
	forwards(L3_OUT, TCP(family, b, C, SYN | ACK, .no_ethernet = true), REPLY,
		 TCP(family, V, C, SYN | ACK, .no_ethernet = true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR_ALL(handshake_confirms),
		FOR_ALL(only_an_ack_confirms),
		FOR_ALL(both_ways_with_options_and_tags),
		FOR_V6(extension_headers),
		FOR_ALL(fin_from_both_sides_closes),
		FOR_ALL(backend_may_close_first),
		FOR_ALL(rst_closes),
		FOR_ALL(unbelieved_rst),
		FOR_ALL(rst_to_a_syn),
		FOR_ALL(syn_on_closing_entry_is_new),
		FOR_ALL(syn_on_closing_entry_same_backend),
		FOR_ALL(closing_reply_of_another_vip),
		FOR_ALL(direct_after_the_service),
		FOR_ALL(two_vips_one_tuple_one_backend),
		FOR_ALL(two_pods_of_a_service_ask_each_other),
		FOR_ALL(idle_for_a_day_is_unknown),
		FOR_ALL(half_closed_times_out),
		FOR_ALL(closing_times_out),
		FOR_ALL(unfinished_handshake_times_out),
		FOR_ALL(clock_of_another_cpu),
		FOR_ALL(one_way_traffic_keeps_both),
		FOR_ALL(evicted_twin_is_rebuilt),
		FOR_ALL(rebuilding_takes_nobodys_place),
		FOR_ALL(established_outlives_its_endpoint),
		FOR_ALL(syn_leaves_an_endpoint_that_left),
		FOR_ALL(syn_leaves_a_terminating_endpoint),
		FOR_ALL(syn_over_an_established_flow),
		FOR_ALL(recycled_backend_id),
		FOR_ALL(foreign_flow_value),
		FOR_ALL(counts_of_flows_and_backends),
		FOR_ALL(syn_flood_evicts_nobody),
		FOR_ALL(uplinks_and_tunnels),
		FOR_ALL(tunnel_replies),
	};

	return run_group("tcp", tests);
}
