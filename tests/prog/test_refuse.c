/* SPDX-License-Identifier: GPL-2.0-only */
/* What is not served: refused with an answer, dropped, or none of our business. */
/* Must not know how programs do it: expectations are those of bpf/README.md. */
#include <string.h>

#include "prog/life.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define C AT(CLIENT, 40000)
#define V AT(VIP, 80)
#define B AT(BACKEND1, 8080)

static void no_endpoint(void **state)
{
	start(state);
	service_with(V, IPPROTO_TCP);
	service_with(V, IPPROTO_UDP);
	service_with(V, IPPROTO_SCTP);
	refuses(POD_IN, TCP(family, C, V, SYN), NO_ENDPOINT);
	refuses(POD_IN, TCP(family, C, V, SYN, .tcp_options = 20), NO_ENDPOINT);
	refuses(POD_IN, TCP(family, C, V, ACK, .payload = 5), NO_ENDPOINT);
	refuses(POD_IN, UDP(family, C, V), NO_ENDPOINT);
	refuses(POD_IN, UDP(family, C, V, .payload = 1), NO_ENDPOINT);
	refuses(POD_IN, SCTP(family, C, V, .payload = 20), NO_ENDPOINT);
	assert_int_equal(flow_count(IN_NEW), 0);
}

/* The answer quotes the packet as it came, of any size, with whatever its IP header carries. */
static void answers_quote_the_packet(void **state)
{
	static const uint16_t payloads[] = { 0,    1,    7,    8,    500,  513,
					     1000, 1191, 1201, 1233, 1460, 2000 };

	start(state);
	service_with(V, IPPROTO_UDP);
	for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
		refuses(POD_IN,
			UDP(family, C, V, .payload = payloads[i], .tos = 0x28, .id = 0xabcd,
			    .ttl = 9),
			NO_ENDPOINT);
		refuses(POD_IN, TCP(family, C, AT(VIP, 81), SYN | PSH, .payload = payloads[i]),
			UNKNOWN_PORT);
	}
	if (family == 4)
		refuses(POD_IN,
			UDP(family, C, V, .payload = 20, .options = 40, .no_checksum = true),
			NO_ENDPOINT);
	else
		refuses(POD_IN,
			UDP(family, C, V, .payload = 20,
			    .extensions = { HOP_BY_HOP, IPPROTO_DSTOPTS }),
			NO_ENDPOINT);
	/* the first fragment is answered */
	refuses(POD_IN, UDP(family, C, V, .payload = 1000, .id = 5, .slice_len = 504), NO_ENDPOINT);
}

/* A cluster IP answers nothing but its ports. */
static void unknown_port_and_protocol(void **state)
{
	start(state);
	service(V, IPPROTO_TCP, READY(B));
	refuses(POD_IN, TCP(family, C, AT(VIP, 81), SYN), UNKNOWN_PORT);
	refuses(POD_IN, TCP(family, C, AT(VIP, 81), ACK), UNKNOWN_PORT);
	refuses(POD_IN, TCP(family, C, AT(VIP, 0), SYN), UNKNOWN_PORT);
	refuses(POD_IN, UDP(family, C, V), UNKNOWN_PORT);
	refuses(POD_IN, SCTP(family, C, V, .payload = 20), UNKNOWN_PORT);
	refuses(POD_IN,
		ICMP(family, CLIENT, VIP, ECHO_REQUEST, .icmp_rest = 0x10001, .payload = 56),
		UNKNOWN_PORT);
	refuses(POD_IN, OTHER(family, IPPROTO_GRE, CLIENT, VIP, .payload = 32), UNKNOWN_PORT);
	assert_int_equal(flow_count(IN_NEW), 0);
}

/* IPv4 protocol 0 has the key of the address record itself. */
static void protocol_zero(void **state)
{
	start(state);
	service(V, IPPROTO_TCP, READY(B));
	refuses(POD_IN, OTHER(4, 0, CLIENT, VIP, .payload = 32), UNKNOWN_PORT);
}

static void unallocated(void **state)
{
	start(state);
	service(V, IPPROTO_TCP, READY(B));
	drops(POD_IN, TCP(family, C, AT(UNALLOCATED, 80), SYN), UNALLOCATED);
	drops(POD_IN, UDP(family, C, AT(UNALLOCATED, 80)), UNALLOCATED);
	drops(POD_IN, ICMP(family, CLIENT, UNALLOCATED, ECHO_REQUEST, .payload = 56), UNALLOCATED);
	drops(POD_IN, OTHER(family, IPPROTO_GRE, CLIENT, UNALLOCATED, .payload = 32), UNALLOCATED);
	drops(UP_IN, TCP(family, AT(OUTSIDE, 1), AT(UNALLOCATED, 80), SYN), UNALLOCATED);
	/* outside of the ranges it is nobody's business */
	passes(POD_IN, TCP(family, C, AT(STRANGER, 80), SYN), NOT_SERVICE);
	/* without ranges, so is this */
	memset(config_edit()->cidrs4, 0, sizeof(config_edit()->cidrs4));
	memset(config_edit()->cidrs6, 0, sizeof(config_edit()->cidrs6));
	config_publish();
	passes(POD_IN, TCP(family, C, AT(UNALLOCATED, 80), SYN), NOT_SERVICE);
}

/* The service goes, and its last port takes the address along. */
static void after_the_service(void **state)
{
	start(state);
	service(V, IPPROTO_TCP, READY(B));
	service(AT(VIP, 53), IPPROTO_UDP, READY(B));
	service_delete(V, IPPROTO_TCP);
	refuses(POD_IN, TCP(family, C, V, SYN), UNKNOWN_PORT);
	service_delete(AT(VIP, 53), IPPROTO_UDP);
	address_delete(VIP);
	drops(POD_IN, TCP(family, C, V, SYN), UNALLOCATED);
}

static void unknown_tcp_flow(void **state)
{
	start(state);
	service(V, IPPROTO_TCP, READY(B));
	resets(POD_IN, TCP(family, C, V, ACK, .seq = 1000, .ack = 77777, .payload = 10));
	resets(POD_IN, TCP(family, C, V, ACK | PSH, .seq = 1000, .ack = 0x80000001, .payload = 1000,
			   .tcp_options = 12));
	resets(POD_IN, TCP(family, C, V, FIN | ACK, .seq = 1000, .ack = 5));
	resets(POD_IN,
	       TCP(family, C, V, SYN | ACK, .seq = 1000, .ack = 5)); /* no client begins so */
	resets(POD_IN, TCP(family, C, V, FIN, .seq = 1000, .payload = 3));
	resets(POD_IN, TCP(family, C, V, PSH, .seq = 0xffffffff, .payload = 3));
	if (family == 4)
		resets(POD_IN, TCP(family, C, V, ACK, .ack = 5, .options = 8, .payload = 3));
	/* never in answer to a RST */
	drops(POD_IN, TCP(family, C, V, RST, .seq = 1000), UNKNOWN_TCP_FLOW);
	drops(POD_IN, TCP(family, C, V, RST | ACK, .seq = 1000, .ack = 5), UNKNOWN_TCP_FLOW);
	assert_int_equal(flow_count(IN_NEW) + flow_count(IN_TCP), 0);
}

/* RFC 1122 3.2.2, RFC 4443 2.4 (e): never about errors, later fragments, or senders that are no single host. */
static void what_is_never_answered(void **state)
{
	struct packet inner, broadcast;
	struct outcome outcome;
	struct frame frame;

	start(state);
	service_with(V, IPPROTO_UDP);
	inner = UDP(family, V, AT(CLIENT, 9));
	drops(POD_IN, ICMP_ERROR(family, CLIENT, VIP, UNREACHABLE, 3, &inner), ICMP_NO_FLOW);
	drops(POD_IN,
	      UDP(family, C, V, .payload = 1000, .id = 5, .slice_at = 504, .slice_len = 504),
	      FRAGMENT);
	broadcast = UDP(family, AT(NOBODY, 68), V);
	outcome = harness_run(POD_IN, &broadcast, __FILE__, __LINE__);
	assert_int_equal(outcome.verdict, 2); /* TC_ACT_SHOT */
	packet_build(&UDP(family, C, V), &frame);
	frame.bytes[frame.l3 + (family == 4 ? 12 : 8)] = family == 4 ? 224
								     : 0xff; /* multicast source */
	outcome = harness_run_frame(POD_IN, &frame, __FILE__, __LINE__);
	assert_int_equal(outcome.verdict, 2);
}

/* ---- sources -------------------------------------------------------------------------------------------------------- */

static void spoofed_vip(void **state)
{
	start(state);
	service(V, IPPROTO_TCP, READY(B));
	drops(POD_IN, TCP(family, V, C, ACK), SPOOFED_VIP);
	drops(POD_IN, UDP(family, AT(VIP, 9), AT(STRANGER, 9)), SPOOFED_VIP);
	drops(POD_IN, ICMP(family, VIP, CLIENT, ECHO_REPLY, .payload = 8), SPOOFED_VIP);
	drops(POD_IN, TCP(family, V, AT(VIP, 80), SYN), SPOOFED_VIP); /* to a service as well */
	/* only pods have no business with it: an uplink may see replies of another node */
	passes(UP_IN, TCP(family, V, C, ACK), NOT_SERVICE);
	passes(POD_OUT, TCP(family, V, C, ACK), NOT_SERVICE);
}

/* ---- the way out to a VIP: a process of the node that no socket hook served ----------------------------------------- */

static void node_to_vip_at_the_uplink(void **state)
{
	struct end n = AT(NODE, 40000);

	start(state);
	service(V, IPPROTO_TCP, READY(B));
	service_with(AT(VIP, 81), IPPROTO_TCP);
	refuses(UP_OUT, TCP(family, n, AT(VIP, 81), SYN), NO_ENDPOINT);
	refuses(UP_OUT, UDP(family, n, AT(VIP, 99)), UNKNOWN_PORT);
	refuses(UP_OUT, ICMP(family, NODE, VIP, ECHO_REQUEST, .payload = 56), UNKNOWN_PORT);
	drops(UP_OUT, TCP(family, n, AT(UNALLOCATED, 81), SYN), UNALLOCATED);
}

/* ---- not ours ------------------------------------------------------------------------------------------------------- */

static void untouched(void **state)
{
	static const enum program tc[] = { POD_IN, POD_OUT, UP_IN, UP_OUT };
	struct packet inner = UDP(*(const int *)*state, AT(STRANGER, 9), AT(STRANGER2, 9));
	struct end s = AT(STRANGER, 9), s2 = AT(STRANGER2, 10);

	start(state);
	service(V, IPPROTO_TCP, READY(B));
	for (size_t i = 0; i < sizeof(tc) / sizeof(tc[0]); i++) {
		passes(tc[i], TCP(family, s, s2, SYN), NOT_SERVICE);
		passes(tc[i], TCP(family, s, s2, ACK, .payload = 1460), NOT_SERVICE);
		passes(tc[i], TCP(family, s, s2, ACK, .wrong_checksum = true), NOT_SERVICE);
		passes(tc[i], UDP(family, s, s2, .payload = 1000), NOT_SERVICE);
		passes(tc[i], UDP(family, s, s2, .payload = 1000, .no_checksum = true),
		       NOT_SERVICE);
		passes(tc[i], SCTP(family, s, s2), NOT_SERVICE);
		passes(tc[i], ICMP(family, STRANGER, STRANGER2, ECHO_REQUEST), NOT_SERVICE);
		passes(tc[i], ICMP_ERROR(family, STRANGER, STRANGER2, UNREACHABLE, 1, &inner),
		       NOT_SERVICE);
		passes(tc[i],
		       UDP(family, s, s2, .payload = 1000, .slice_at = 504, .slice_len = 504,
			   .id = 9),
		       NOT_SERVICE);
		passes(tc[i], UDP(family, s, s2, .payload = 1000, .slice_len = 504, .id = 9),
		       NOT_SERVICE);
		passes(tc[i], OTHER(family, IPPROTO_GRE, STRANGER, STRANGER2), NOT_SERVICE);
		passes(tc[i], TCP(family, s, s2, SYN, .vlan = 100), NOT_SERVICE);
		/* from and to a backend, directly */
		passes(tc[i], TCP(family, s, B, ACK), NOT_SERVICE);
		passes(tc[i], TCP(family, B, s, SYN | ACK), NOT_SERVICE);
		passes(tc[i], ICMP(family, BACKEND1, STRANGER, ECHO_REQUEST), NOT_SERVICE);
		passes(tc[i],
		       UDP(family, B, s, .payload = 1000, .slice_at = 504, .slice_len = 504,
			   .id = 9),
		       NOT_SERVICE);
	}
	assert_int_equal(flow_count(IN_NEW) + flow_count(IN_TCP) + flow_count(IN_UDP), 0);
}

/* Neither IPv4 nor IPv6, and a service packet that is another VLAN's. */
static void other_frames(void **state)
{
	struct frame frame = { .len = 42, .l3 = 14 };
	struct outcome outcome;

	start(state);
	service(V, IPPROTO_TCP, READY(B));
	memcpy(frame.bytes, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x06",
	       14); /* ARP */
	outcome = harness_run_frame(POD_IN, &frame, __FILE__, __LINE__);
	assert_int_equal(outcome.reason, SL_REASON_NOT_SERVICE);
	assert_memory_equal(outcome.out.bytes, frame.bytes, frame.len);
	passes(POD_IN, TCP(family, C, V, SYN, .vlan = 100), NOT_SERVICE);
}

/* XDP parses, counts and passes: everything goes on as it came, to tc. */
static void xdp_leaves_everything(void **state)
{
	start(state);
	service(V, IPPROTO_TCP, READY(B));
	passes(XDP, TCP(family, AT(STRANGER, 9), AT(STRANGER2, 9), SYN), NOT_SERVICE);
	passes(XDP, TCP(family, AT(OUTSIDE, 9), V, SYN), LEFT_TO_TC);
	passes(XDP, UDP(family, AT(OUTSIDE, 9), AT(UNALLOCATED, 9)), NOT_SERVICE);
	assert_int_equal(flow_count(IN_NEW), 0);
}

/* ---- events --------------------------------------------------------------------------------------------------------- */

static int take_event(void *ctx, void *data, size_t size)
{
	struct sl_event *events = ctx;

	assert_int_equal(size, sizeof(*events));
	memmove(events + 1, events, 3 * sizeof(*events)); /* newest first */
	memcpy(events, data, size);
	return 0;
}

static void refusals_are_told(void **state)
{
	struct sl_event events[4] = { 0 };
	struct ring_buffer *ring;
	struct frame frame;

	start(state);
	service_with(V, IPPROTO_UDP);
	config_edit()->flags = SL_CONFIG_EVENTS;
	config_publish();
	ring = ring_buffer__new(harness_map("sl_events"), take_event, events, NULL);
	assert_non_null(ring);
	ring_buffer__consume(ring);
	memset(events, 0, sizeof(events));
	refuses(POD_IN, UDP(family, C, V, .payload = 11), NO_ENDPOINT);
	assert_int_equal(ring_buffer__consume(ring), 1);
	packet_build(&UDP(family, C, V, .payload = 11), &frame);
	assert_int_equal(events[0].reason, SL_REASON_NO_ENDPOINT);
	assert_int_equal(events[0].hook, SL_HOOK_INGRESS);
	assert_int_equal(events[0].family, family);
	assert_int_equal(events[0].proto, IPPROTO_UDP);
	assert_int_equal(events[0].sport, 40000);
	assert_int_equal(events[0].dport, 80);
	assert_memory_equal(events[0].saddr, host_address(family, CLIENT), address_len(family));
	assert_memory_equal(events[0].daddr, host_address(family, VIP), address_len(family));
	assert_int_equal(events[0].ifindex, 1);
	assert_int_equal(events[0].service, service_id(V, IPPROTO_UDP));
	assert_int_equal(events[0].len, frame.len);
	assert_true(is_now(events[0].now_ns));
	drops(POD_IN, TCP(family, C, AT(UNALLOCATED, 80), SYN), UNALLOCATED);
	passes(POD_IN, TCP(family, C, AT(STRANGER, 80), SYN), NOT_SERVICE);
	assert_int_equal(ring_buffer__consume(ring), 1);
	assert_int_equal(events[0].reason, SL_REASON_UNALLOCATED);
	assert_int_equal(events[0].service, 0);
	/* off: not a word */
	config_edit()->flags = 0;
	config_publish();
	drops(POD_IN, TCP(family, C, AT(UNALLOCATED, 80), SYN), UNALLOCATED);
	assert_int_equal(ring_buffer__consume(ring), 0);
	ring_buffer__free(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR_ALL(no_endpoint),
		FOR_ALL(answers_quote_the_packet),
		FOR_ALL(unknown_port_and_protocol),
		FOR_V4(protocol_zero),
		FOR_ALL(unallocated),
		FOR_ALL(after_the_service),
		FOR_ALL(unknown_tcp_flow),
		FOR_ALL(what_is_never_answered),
		FOR_ALL(spoofed_vip),
		FOR_ALL(node_to_vip_at_the_uplink),
		FOR_ALL(untouched),
		FOR_ALL(other_frames),
		FOR_ALL(xdp_leaves_everything),
		FOR_ALL(refusals_are_told),
	};

	return run_group("refuse", tests);
}
