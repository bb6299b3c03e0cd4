/* SPDX-License-Identifier: GPL-2.0-only */
/* ICMP errors of translated flows: the outer header and the quoted one, with every checksum. */
/* Must not know how programs do it: expectations are those of bpf/README.md. */
#include <string.h>

#include "prog/life.h"

#define C  AT(CLIENT, 40000)
#define V  AT(VIP, 80)
#define V2 AT(VIP2, 443)
#define B  AT(BACKEND1, 8080)

static void tcp_flow(void)
{
	service(V, IPPROTO_TCP, READY(B));
	tcp_opens(C, V, B);
}

static void udp_flow(void)
{
	service(V, IPPROTO_UDP, READY(B));
	udp_opens(C, V, B);
}

/* A router between client and backend is too narrow: need-to-fragment, packet-too-big. */
static void too_big_about_a_request(void **state)
{
	static const uint16_t quotes[] = { 28, 36, 48, 60, 100, 500, 0 };

	start(state);
	tcp_flow();
	for (size_t i = 0; i < sizeof(quotes) / sizeof(quotes[0]); i++) {
		struct packet sent =
			TCP(family, C, B, ACK, .seq = 7, .ack = 9, .payload = 520, .id = 3);
		struct packet known =
			TCP(family, C, V, ACK, .seq = 7, .ack = 9, .payload = 520, .id = 3);
		uint16_t quote = quotes[i];

		if (quote && family == 6)
			quote = (uint16_t)(quote + 20);
		forwards(POD_OUT,
			 ICMP_ERROR(family, ROUTER, CLIENT, TOO_BIG, 0, &sent, .icmp_rest = 1400,
				    .about_len = quote),
			 ICMP_ERROR,
			 ICMP_ERROR(family, ROUTER, CLIENT, TOO_BIG, 0, &known, .icmp_rest = 1400,
				    .about_len = quote));
	}
}

/* The backend itself, whose address the client has never seen. */
static void unreachable_from_the_backend(void **state)
{
	struct packet sent, known;

	start(state);
	udp_flow();
	sent = UDP(family, C, B, .payload = 100);
	known = UDP(family, C, V, .payload = 100);
	forwards(POD_OUT,
		 ICMP_ERROR(family, BACKEND1, CLIENT, UNREACHABLE, family == 4 ? 3 : 4, &sent),
		 ICMP_ERROR,
		 ICMP_ERROR(family, VIP, CLIENT, UNREACHABLE, family == 4 ? 3 : 4, &known));
	forwards(POD_OUT,
		 ICMP_ERROR(family, BACKEND1, CLIENT, UNREACHABLE, family == 4 ? 3 : 4, &sent,
			    .about_len = family == 4 ? 28 : 48),
		 ICMP_ERROR,
		 ICMP_ERROR(family, VIP, CLIENT, UNREACHABLE, family == 4 ? 3 : 4, &known,
			    .about_len = family == 4 ? 28 : 48));
	sent.no_checksum = known.no_checksum = family == 4;
	forwards(POD_OUT,
		 ICMP_ERROR(family, BACKEND1, CLIENT, UNREACHABLE, family == 4 ? 3 : 4, &sent),
		 ICMP_ERROR,
		 ICMP_ERROR(family, VIP, CLIENT, UNREACHABLE, family == 4 ? 3 : 4, &known));
}

static void time_exceeded_and_parameter_problem(void **state)
{
	struct packet sent, known;

	start(state);
	udp_flow();
	sent = UDP(family, C, B, .payload = 60, .ttl = 1);
	known = UDP(family, C, V, .payload = 60, .ttl = 1);
	forwards(POD_OUT, ICMP_ERROR(family, ROUTER, CLIENT, TIME_EXCEEDED, 0, &sent), ICMP_ERROR,
		 ICMP_ERROR(family, ROUTER, CLIENT, TIME_EXCEEDED, 0, &known));
	forwards(POD_OUT,
		 ICMP_ERROR(family, ROUTER, CLIENT, PARAMETER_PROBLEM, 0, &sent,
			    .icmp_rest = 0x06000000),
		 ICMP_ERROR,
		 ICMP_ERROR(family, ROUTER, CLIENT, PARAMETER_PROBLEM, 0, &known,
			    .icmp_rest = 0x06000000));
}

/* The quoted packet's IP options and extension headers move its ports. */
static void quoted_packet_with_long_headers(void **state)
{
	struct packet sent, known;

	start(state);
	tcp_flow();
	sent = TCP(family, C, B, ACK, .payload = 40);
	if (family == 4)
		sent.options = 12;
	else
		sent.extensions[0] = IPPROTO_DSTOPTS;
	known = sent;
	known.to = V;
	forwards(POD_OUT, ICMP_ERROR(family, ROUTER, CLIENT, TOO_BIG, 0, &sent, .icmp_rest = 1280),
		 ICMP_ERROR,
		 ICMP_ERROR(family, ROUTER, CLIENT, TOO_BIG, 0, &known, .icmp_rest = 1280));
}

/* The first fragment has the ports, also when it is quoted. */
static void about_a_first_fragment(void **state)
{
	struct packet sent, known;

	start(state);
	udp_flow();
	sent = UDP(family, C, B, .payload = 1400, .id = 7, .slice_len = 504);
	known = sent;
	known.to = V;
	forwards(POD_OUT, ICMP_ERROR(family, ROUTER, CLIENT, TOO_BIG, 0, &sent, .icmp_rest = 1280),
		 ICMP_ERROR,
		 ICMP_ERROR(family, ROUTER, CLIENT, TOO_BIG, 0, &known, .icmp_rest = 1280));
}

/* The client, or a router behind it, about an answer. */
static void about_a_reply(void **state)
{
	struct packet seen, sent;

	start(state);
	udp_flow();
	seen = UDP(family, V, C, .payload = 200);
	sent = UDP(family, B, C, .payload = 200);
	forwards(POD_IN, ICMP_ERROR(family, CLIENT, VIP, UNREACHABLE, family == 4 ? 3 : 4, &seen),
		 ICMP_ERROR,
		 ICMP_ERROR(family, CLIENT, BACKEND1, UNREACHABLE, family == 4 ? 3 : 4, &sent));
	forwards(POD_IN,
		 ICMP_ERROR(family, CLIENT, VIP, UNREACHABLE, family == 4 ? 3 : 4, &seen,
			    .about_len = family == 4 ? 28 : 48),
		 ICMP_ERROR,
		 ICMP_ERROR(family, CLIENT, BACKEND1, UNREACHABLE, family == 4 ? 3 : 4, &sent,
			    .about_len = family == 4 ? 28 : 48));
	forwards(POD_IN, ICMP_ERROR(family, ROUTER, VIP, TOO_BIG, 0, &seen, .icmp_rest = 1300),
		 ICMP_ERROR,
		 ICMP_ERROR(family, ROUTER, BACKEND1, TOO_BIG, 0, &sent, .icmp_rest = 1300));
}

static void about_a_reply_at_the_uplink(void **state)
{
	struct end o = AT(OUTSIDE, 40000);
	struct packet seen, sent;

	start(state);
	service(V, IPPROTO_TCP, READY(B));
	forwards(UP_IN, TCP(family, o, V, SYN), NEW_FLOW, TCP(family, o, B, SYN));
	forwards(UP_OUT, TCP(family, B, o, SYN | ACK), REPLY, TCP(family, V, o, SYN | ACK));
	seen = TCP(family, V, o, ACK, .payload = 1400);
	sent = TCP(family, B, o, ACK, .payload = 1400);
	forwards(UP_IN,
		 ICMP_ERROR(family, ROUTER, VIP, TOO_BIG, 0, &seen, .icmp_rest = 1300,
			    .about_len = 500),
		 ICMP_ERROR,
		 ICMP_ERROR(family, ROUTER, BACKEND1, TOO_BIG, 0, &sent, .icmp_rest = 1300,
			    .about_len = 500));
}

/* The port that was changed for the second VIP changes back in the quote. */
static void with_a_changed_port(void **state)
{
	struct packet sent, known;
	struct end c = C;

	start(state);
	udp_flow();
	service(V2, IPPROTO_UDP, READY(B));
	c.port = forwards_new_port(POD_IN, UDP(family, C, V2), NEW_FLOW, UDP(family, C, B));
	sent = UDP(family, c, B, .payload = 10);
	known = UDP(family, C, V2, .payload = 10);
	forwards(POD_OUT,
		 ICMP_ERROR(family, BACKEND1, CLIENT, UNREACHABLE, family == 4 ? 3 : 4, &sent),
		 ICMP_ERROR,
		 ICMP_ERROR(family, VIP2, CLIENT, UNREACHABLE, family == 4 ? 3 : 4, &known));
	/* and about the reply the other way round */
	sent = UDP(family, V2, C, .payload = 10);
	known = UDP(family, B, c, .payload = 10);
	forwards(POD_IN, ICMP_ERROR(family, CLIENT, VIP2, UNREACHABLE, family == 4 ? 3 : 4, &sent),
		 ICMP_ERROR,
		 ICMP_ERROR(family, CLIENT, BACKEND1, UNREACHABLE, family == 4 ? 3 : 4, &known));
}

/* Errors change nothing about the flow: no state, no confirmation, no new entry. */
static void errors_leave_the_flow_alone(void **state)
{
	struct packet sent, known;
	size_t before;

	start(state);
	service(V, IPPROTO_UDP, READY(B));
	udp_asks(C, V, B);
	before = flow_count(IN_NEW);
	sent = UDP(family, C, B, .payload = 10);
	known = UDP(family, C, V, .payload = 10);
	forwards(POD_OUT, ICMP_ERROR(family, ROUTER, CLIENT, UNREACHABLE, 1, &sent), ICMP_ERROR,
		 ICMP_ERROR(family, ROUTER, CLIENT, UNREACHABLE, 1, &known));
	expect_flow(REQUEST, IPPROTO_UDP, C, V, IN_NEW, REPLIED, C, B);
	assert_int_equal(flow_count(IN_NEW), before);
	assert_int_equal(flow_count(IN_UDP), 0);
}

static void of_no_flow(void **state)
{
	struct packet inner, direct;

	start(state);
	udp_flow();
	inner = UDP(family, V, AT(CLIENT, 9), .payload = 10);
	drops(POD_IN, ICMP_ERROR(family, CLIENT, VIP, UNREACHABLE, 3, &inner), ICMP_NO_FLOW);
	/* quoting what the VIP never sends */
	inner = UDP(family, AT(STRANGER, 1), AT(STRANGER2, 9), .payload = 10);
	drops(POD_IN, ICMP_ERROR(family, CLIENT, VIP, UNREACHABLE, 3, &inner), ICMP_NO_FLOW);
	/* about direct traffic with a backend: none of our business */
	direct = UDP(family, AT(CLIENT, 41000), B, .payload = 10);
	passes(POD_OUT, ICMP_ERROR(family, BACKEND1, CLIENT, UNREACHABLE, 3, &direct), NOT_SERVICE);
	passes(POD_OUT, ICMP_ERROR(family, ROUTER, CLIENT, UNREACHABLE, 3, &direct), NOT_SERVICE);
	/* an error that quotes less than the ports */
	inner = UDP(family, V, C, .payload = 10);
	drops(POD_IN,
	      ICMP_ERROR(family, CLIENT, VIP, UNREACHABLE, 3, &inner,
			 .about_len = family == 4 ? 22 : 42),
	      ICMP_NO_FLOW);
	/* about a later fragment, which has no ports */
	inner = UDP(family, V, C, .payload = 1000, .id = 4, .slice_at = 504, .slice_len = 504);
	drops(POD_IN, ICMP_ERROR(family, CLIENT, VIP, UNREACHABLE, 3, &inner), ICMP_NO_FLOW);
}

/* Echo and neighbour discovery are no errors and belong to nobody. */
static void other_messages(void **state)
{
	start(state);
	udp_flow();
	passes(POD_OUT, ICMP(family, BACKEND1, CLIENT, ECHO_REPLY, .payload = 56), NOT_SERVICE);
	passes(POD_IN, ICMP(family, CLIENT, BACKEND1, ECHO_REQUEST, .payload = 56), NOT_SERVICE);
	if (family == 6)
		passes(POD_IN, ICMP(family, CLIENT, BACKEND1, NEIGHBOUR, .payload = 24),
		       NOT_SERVICE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR_ALL(too_big_about_a_request),
		FOR_ALL(unreachable_from_the_backend),
		FOR_ALL(time_exceeded_and_parameter_problem),
		FOR_ALL(quoted_packet_with_long_headers),
		FOR_ALL(about_a_first_fragment),
		FOR_ALL(about_a_reply),
		FOR_ALL(about_a_reply_at_the_uplink),
		FOR_ALL(with_a_changed_port),
		FOR_ALL(errors_leave_the_flow_alone),
		FOR_ALL(of_no_flow),
		FOR_ALL(other_messages),
	};

	return run_group("icmp", tests);
}
