/* SPDX-License-Identifier: GPL-2.0-only */
/* A pod that reaches itself through a VIP: four passes at its own device, each with an entry of its own. */
/* Must not know how programs do it: expectations are those of bpf/README.md. */
#include <string.h>

#include "prog/life.h"

#define C    AT(CLIENT, 40000)
#define V    AT(VIP, 80)
#define V2   AT(VIP2, 80)
#define SELF AT(CLIENT, 8080)

/* The node's port that the request went out with. */
static struct end node_port(uint16_t port)
{
	if (port < 61000 || port > 62999)
		fail_msg("source port %u is outside of the SNAT range 61000-62999", port);
	return AT(NODE, port);
}

/* Pass 2: the request reaches the pod with the node's address. */
static struct end goes_out_as_node(struct packet in, struct packet out)
{
	out.from = AT(NODE, 0);
	return node_port(forwards_new_port(POD_OUT, in, ANY_FORWARD, out));
}

/* All four passes, and the third of TCP's handshake. client: as the request came out of pass 1. */
static void opens(uint8_t proto, struct end from, struct end vip)
{
	struct packet first = proto == IPPROTO_TCP ? TCP(family, from, vip, SYN)
						   : UDP(family, from, vip, .payload = 9);
	struct packet back = proto == IPPROTO_TCP ? TCP(family, SELF, from, SYN | ACK)
						  : UDP(family, SELF, from, .payload = 7);
	struct packet second = proto == IPPROTO_TCP ? TCP(family, from, vip, ACK)
						    : UDP(family, from, vip, .payload = 8);
	struct packet out = first, in = back;
	struct end node;

	out.to = SELF;
	forwards(POD_IN, first, ANY_FORWARD, out);
	node = goes_out_as_node(out, out);
	in.to = node;
	forwards(POD_IN, in, ANY_FORWARD, back);
	out = back;
	out.from = vip;
	forwards(POD_OUT, back, ANY_FORWARD, out);
	out = second;
	out.to = SELF;
	forwards(POD_IN, second, ANY_FORWARD, out);
	in = out;
	out.from = node;
	forwards(POD_OUT, in, ANY_FORWARD, out);
}

static void four_passes_tcp(void **state)
{
	start(state);
	service(V, IPPROTO_TCP, READY(SELF));
	opens(IPPROTO_TCP, C, V);
	assert_true(flow_find(SL_FLOW_REQUEST, IPPROTO_TCP, C, V).value.flags & SL_FLOW_HAIRPIN);
	expect_flow(REQUEST, IPPROTO_TCP, C, V, IN_TCP, CONFIRMED, C, SELF);
	expect_flow(REPLY, IPPROTO_TCP, SELF, C, IN_TCP, CONFIRMED, V, C);
	assert_int_equal(flow_find(SL_FLOW_SNAT, IPPROTO_TCP, C, SELF).copies, 1);
	assert_int_equal(flow_find(SL_FLOW_SNAT, IPPROTO_TCP, C, SELF).table, IN_TCP);
	assert_int_equal(flow_count(IN_NEW), 0);
	assert_int_equal(flow_count(IN_TCP), 4);
}

static void four_passes_udp(void **state)
{
	start(state);
	service(V, IPPROTO_UDP, READY(SELF));
	opens(IPPROTO_UDP, C, V);
	expect_flow(REQUEST, IPPROTO_UDP, C, V, IN_UDP, CONFIRMED, C, SELF);
	assert_int_equal(flow_count(IN_NEW), 0);
	assert_int_equal(flow_count(IN_UDP), 4);
	if (family == 4) {
		struct end node = flow_find(SL_FLOW_SNAT, IPPROTO_UDP, C, SELF).from;

		forwards(POD_OUT, UDP(family, C, SELF, .no_checksum = true), ANY_FORWARD,
			 UDP(family, node, SELF, .no_checksum = true));
		forwards(POD_IN, UDP(family, SELF, node, .no_checksum = true), ANY_FORWARD,
			 UDP(family, SELF, C, .no_checksum = true));
	}
}

/* A pod that sends from its service port: the reply has the request's very tuple unless a port changes. */
static void from_the_service_port(void **state)
{
	struct packet first, out;
	struct parsed parsed;
	struct outcome outcome;
	struct end node, from = SELF;

	start(state);
	service(V, IPPROTO_UDP, READY(SELF));
	first = UDP(family, SELF, V, .payload = 9);
	outcome = harness_run(POD_IN, &first, __FILE__, __LINE__);
	packet_parse(outcome.out.bytes, outcome.out.len, outcome.out.l3, true, &parsed);
	assert_string_equal(parsed.wrong, "");
	from.port = parsed.sport;
	assert_int_not_equal(from.port, SELF.port);
	out = UDP(family, from, SELF, .payload = 9);
	assert_null(frame_difference(&outcome.out, &out));
	node = goes_out_as_node(out, out);
	forwards(POD_IN, UDP(family, SELF, node, .payload = 7), ANY_FORWARD,
		 UDP(family, SELF, from, .payload = 7));
	forwards(POD_OUT, UDP(family, SELF, from, .payload = 7), ANY_FORWARD,
		 UDP(family, V, SELF, .payload = 7));
}

/* Two VIPs, one tuple: the node's ports and the client's must tell them apart. */
static void two_vips(void **state)
{
	struct packet syn, out;
	struct end from = C, node;

	start(state);
	service(V, IPPROTO_TCP, READY(SELF));
	service(V2, IPPROTO_TCP, READY(SELF));
	opens(IPPROTO_TCP, C, V);
	syn = TCP(family, C, V2, SYN);
	from.port = forwards_new_port(POD_IN, syn, ANY_FORWARD, TCP(family, C, SELF, SYN));
	out = TCP(family, from, SELF, SYN);
	node = goes_out_as_node(out, out);
	assert_int_not_equal(node.port, flow_find(SL_FLOW_SNAT, IPPROTO_TCP, C, SELF).from.port);
	forwards(POD_IN, TCP(family, SELF, node, SYN | ACK), ANY_FORWARD,
		 TCP(family, SELF, from, SYN | ACK));
	forwards(POD_OUT, TCP(family, SELF, from, SYN | ACK), ANY_FORWARD,
		 TCP(family, V2, C, SYN | ACK));
}

static void many_flows_have_many_ports(void **state)
{
	uint8_t used[65536] = { 0 };

	start(state);
	service(V, IPPROTO_TCP, READY(SELF));
	for (uint16_t i = 0; i < 200; i++) {
		struct end from = AT(CLIENT, (uint16_t)(20000 + i)), node;
		struct packet out = TCP(family, from, SELF, SYN);

		forwards(POD_IN, TCP(family, from, V, SYN), ANY_FORWARD, out);
		node = goes_out_as_node(out, out);
		if (used[node.port]++)
			fail_msg("port %u of the node was given out twice", node.port);
	}
}

/* No port left: refused and counted, never a lost or a stolen flow. */
static void range_is_full(void **state)
{
	unsigned int served = 0, refused = 0;

	start(state);
	config_edit()->snat_low = config_edit()->snat_high = 61000;
	config_publish();
	service(V, IPPROTO_TCP, READY(SELF));
	for (uint16_t i = 0; i < 10; i++) {
		struct packet syn = TCP(family, AT(CLIENT, (uint16_t)(20000 + i)), V, SYN);
		struct outcome outcome = harness_run(POD_IN, &syn, __FILE__, __LINE__);

		served += outcome.verdict == -1;
		refused += outcome.verdict == 2 && outcome.reason == SL_REASON_SNAT_PORTS;
	}
	assert_int_equal(served, 1);
	assert_int_equal(refused, 9);
}

static void without_a_node_address(void **state)
{
	start(state);
	memset(config_edit()->node4, 0, 4);
	memset(config_edit()->node6, 0, 16);
	config_publish();
	service(V, IPPROTO_TCP, READY(SELF));
	drops(POD_IN, TCP(family, C, V, SYN), NO_NODE_ADDRESS);
	assert_int_equal(flow_count(IN_NEW), 0);
}

/* The node's port range belongs to us, but not every packet to it. */
static void others_to_the_range(void **state)
{
	start(state);
	service(V, IPPROTO_TCP, READY(SELF));
	passes(POD_IN, TCP(family, C, AT(NODE, 61500), SYN), NOT_SERVICE);
	passes(POD_IN, TCP(family, C, AT(NODE, 10250), SYN), NOT_SERVICE);
	passes(POD_OUT, TCP(family, C, SELF, SYN), NOT_SERVICE); /* to itself, directly */
}

static void closing(void **state)
{
	struct end node;

	start(state);
	service(V, IPPROTO_TCP, READY(SELF));
	opens(IPPROTO_TCP, C, V);
	node = flow_find(SL_FLOW_SNAT, IPPROTO_TCP, C, SELF).from;
	forwards(POD_IN, TCP(family, C, V, FIN | ACK), ANY_FORWARD,
		 TCP(family, C, SELF, FIN | ACK));
	forwards(POD_OUT, TCP(family, C, SELF, FIN | ACK), ANY_FORWARD,
		 TCP(family, node, SELF, FIN | ACK));
	forwards(POD_IN, TCP(family, SELF, node, FIN | ACK), ANY_FORWARD,
		 TCP(family, SELF, C, FIN | ACK));
	forwards(POD_OUT, TCP(family, SELF, C, FIN | ACK), ANY_FORWARD,
		 TCP(family, V, C, FIN | ACK));
	expect_flow(REQUEST, IPPROTO_TCP, C, V, IN_TCP, CLOSING, C, SELF);
	expect_flow(REPLY, IPPROTO_TCP, SELF, C, IN_TCP, CLOSING, V, C);
	/* and once more from the same port */
	opens(IPPROTO_TCP, C, V);
	expect_flow(REQUEST, IPPROTO_TCP, C, V, IN_TCP, CONFIRMED, C, SELF);
}

/* One pod among others: only the connection that comes back to it is changed so. */
static void another_backend(void **state)
{
	start(state);
	service(V, IPPROTO_TCP, READY(AT(BACKEND1, 8080)));
	tcp_opens(C, V, AT(BACKEND1, 8080));
	assert_int_equal(flow_count(IN_TCP), 2);
	assert_int_equal(
		flow_find(SL_FLOW_REQUEST, IPPROTO_TCP, C, V).value.flags & SL_FLOW_HAIRPIN, 0);
}

/* The address filter answers "perhaps" for some that are none: the node's own may be among them. */
static void the_nodes_address_looks_like_a_services(void **state)
{
	start(state);
	service(V, IPPROTO_TCP, READY(SELF));
	service(V, IPPROTO_UDP, READY(SELF));
	filter_like_a_vip(NODE);
	opens(IPPROTO_TCP, C, V);
	opens(IPPROTO_UDP, C, V);
}

/* A closed UDP port of its own: the pod's error comes back to it, about the VIP. */
static void icmp_error(void **state)
{
	struct packet asked, quoted, error, seen;
	struct end node;

	start(state);
	service(V, IPPROTO_UDP, READY(SELF));
	asked = UDP(family, C, SELF, .payload = 9);
	forwards(POD_IN, UDP(family, C, V, .payload = 9), ANY_FORWARD, asked);
	node = goes_out_as_node(asked, asked);
	quoted = UDP(family, node, SELF, .payload = 9);
	error = ICMP_ERROR(family, CLIENT, NODE, UNREACHABLE, family == 4 ? 3 : 4, &quoted);
	seen = ICMP_ERROR(family, CLIENT, CLIENT, UNREACHABLE, family == 4 ? 3 : 4, &asked);
	forwards(POD_IN, error, ICMP_ERROR, seen);
	error = seen;
	quoted = UDP(family, C, V, .payload = 9);
	seen = ICMP_ERROR(family, VIP, CLIENT, UNREACHABLE, family == 4 ? 3 : 4, &quoted);
	forwards(POD_OUT, error, ICMP_ERROR, seen);
}

/* The CRC covers the ports, so the source port cannot change. */
static void sctp(void **state)
{
	struct packet init = { 0 };
	struct outcome outcome;

	start(state);
	service(AT(VIP, 8080), IPPROTO_SCTP, READY(SELF));
	init = SCTP(family, C, AT(VIP, 8080));
	outcome = harness_run(POD_IN, &init, __FILE__, __LINE__);
	assert_int_equal(outcome.verdict, 2); /* refused with a reason, whichever */
	assert_int_equal(flow_count(IN_NEW), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR_ALL(four_passes_tcp),
		FOR_ALL(four_passes_udp),
		FOR_ALL(from_the_service_port),
		FOR_ALL(two_vips),
		FOR_ALL(many_flows_have_many_ports),
		FOR_ALL(range_is_full),
		FOR_ALL(without_a_node_address),
		FOR_ALL(others_to_the_range),
		FOR_ALL(closing),
		FOR_ALL(another_backend),
		FOR_ALL(the_nodes_address_looks_like_a_services),
		FOR_ALL(icmp_error),
		FOR_ALL(sctp),
	};

	return run_group("hairpin", tests);
}
