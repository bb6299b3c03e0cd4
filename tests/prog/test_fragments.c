/* SPDX-License-Identifier: GPL-2.0-only */
/* Fragments: the first has the ports and opens the way, later ones follow it with their addresses alone. */
/* Must not know how programs do it: expectations are those of bpf/README.md. */
#include "prog/life.h"

#define C  AT(CLIENT, 40000)
#define V  AT(VIP, 80)
#define B  AT(BACKEND1, 8080)
#define B2 AT(BACKEND2, 8080)

#define SLICE 504 /* a multiple of 8 */

/* The datagram from → to, its n-th slice. */
static struct packet slice(struct end from, struct end to, uint32_t id, unsigned int n)
{
	return UDP(family, from, to, .payload = 1400, .id = id, .slice_at = (uint16_t)(n * SLICE),
		   .slice_len = SLICE);
}

/* The slice of what came in, with other addresses: the ports and the checksum are in the first one alone. */
static void request_slice(uint32_t id, unsigned int n, enum sl_reason reason, struct end to)
{
	harness_forwards(POD_IN, slice(C, V, id, n), reason, slice(C, to, id, n), __FILE__,
			 __LINE__);
}

static void reply_slice(uint32_t id, unsigned int n)
{
	harness_forwards(POD_OUT, slice(B, C, id, n), n ? SL_REASON_ANY_FORWARD : SL_REASON_REPLY,
			 slice(V, C, id, n), __FILE__, __LINE__);
}

static void follow_the_first(void **state)
{
	start(state);
	service(V, IPPROTO_UDP, READY(B));
	request_slice(7, 0, SL_REASON_NEW_FLOW, B);
	request_slice(7, 1, SL_REASON_ANY_FORWARD, B);
	request_slice(7, 2, SL_REASON_ANY_FORWARD, B);
	reply_slice(9, 0);
	reply_slice(9, 1);
	reply_slice(9, 2);
	request_slice(8, 0, SL_REASON_FLOW, B);
	request_slice(8, 2, SL_REASON_ANY_FORWARD, B); /* in any order */
	request_slice(8, 1, SL_REASON_ANY_FORWARD, B);
	request_slice(8, 1, SL_REASON_ANY_FORWARD, B); /* sent twice */
	expect_flow(REQUEST, IPPROTO_UDP, C, V, IN_UDP, CONFIRMED, C, B);
	assert_int_equal(flow_count(IN_UDP) + flow_count(IN_NEW), 2);
}

/* Datagrams of one pair of hosts overtake each other; their ports differ. */
static void interleaved(void **state)
{
	struct end c2 = AT(CLIENT, 40002);

	start(state);
	service(V, IPPROTO_UDP, READY(B));
	request_slice(7, 0, SL_REASON_NEW_FLOW, B);
	forwards(POD_IN, slice(c2, V, 8, 0), NEW_FLOW, slice(c2, B, 8, 0));
	request_slice(7, 1, SL_REASON_ANY_FORWARD, B);
	forwards(POD_IN, slice(c2, V, 8, 1), ANY_FORWARD, slice(c2, B, 8, 1));
	request_slice(7, 2, SL_REASON_ANY_FORWARD, B);
	forwards(POD_IN, slice(c2, V, 8, 2), ANY_FORWARD, slice(c2, B, 8, 2));
	/* each by its own entry */
	assert_int_equal(flow_find(SL_FLOW_REQUEST, IPPROTO_UDP, C, V).value.packets, 3);
	assert_int_equal(flow_find(SL_FLOW_REQUEST, IPPROTO_UDP, c2, V).value.packets, 3);
}

static void tcp_fragments(void **state)
{
	struct packet in, out;

	start(state);
	service(V, IPPROTO_TCP, READY(B));
	tcp_opens(C, V, B);
	in = TCP(family, C, V, ACK, .payload = 1400, .id = 70, .slice_len = SLICE);
	out = TCP(family, C, B, ACK, .payload = 1400, .id = 70, .slice_len = SLICE);
	forwards(POD_IN, in, FLOW, out);
	in.slice_at = out.slice_at = SLICE;
	forwards(POD_IN, in, ANY_FORWARD, out);
	in.id = 71;
	drops(POD_IN, in, FRAGMENT);
}

static void later_without_a_first(void **state)
{
	start(state);
	service(V, IPPROTO_UDP, READY(B));
	drops(POD_IN, slice(C, V, 7, 1), FRAGMENT);
	request_slice(7, 0, SL_REASON_NEW_FLOW, B);
	request_slice(7, 1, SL_REASON_ANY_FORWARD, B);
	drops(POD_IN, slice(C, V, 8, 1), FRAGMENT);                  /* another datagram */
	drops(POD_IN, slice(AT(CLIENT2, 40000), V, 7, 1), FRAGMENT); /* another sender */
	/* not to a VIP: on it goes */
	passes(POD_IN, slice(C, AT(STRANGER, 80), 7, 1), NOT_SERVICE);
	passes(POD_OUT, slice(B, C, 7, 1),
	       NOT_SERVICE); /* the same id the other way is another datagram */
}

/* A fragment's ports are known for as long as a receiver would wait for the rest. */
static void remembered_for_half_a_minute(void **state)
{
	start(state);
	service(V, IPPROTO_UDP, READY(B));
	request_slice(7, 0, SL_REASON_NEW_FLOW, B);
	fragments_age(SL_IDLE_FRAG_S - 3);
	request_slice(7, 1, SL_REASON_ANY_FORWARD, B);
	fragments_age(SL_IDLE_FRAG_S + 3);
	drops(POD_IN, slice(C, V, 7, 2), FRAGMENT);
}

/* Of a first fragment that was refused, the rest is not served. */
static void rest_of_a_refused_one(void **state)
{
	start(state);
	service_with(V, IPPROTO_UDP);
	refuses(POD_IN, slice(C, V, 7, 0), NO_ENDPOINT);
	drops(POD_IN, slice(C, V, 7, 1), FRAGMENT);
}

/* The pair is by port too: the same id of another protocol is another datagram. */
static void protocols_apart(void **state)
{
	struct packet later;

	start(state);
	service(V, IPPROTO_UDP, READY(B));
	service(V, IPPROTO_TCP, READY(B2));
	tcp_opens(C, V, B2);
	request_slice(7, 0, SL_REASON_NEW_FLOW, B);
	later = TCP(family, C, V, ACK, .payload = 1400, .id = 7, .slice_at = SLICE,
		    .slice_len = SLICE);
	drops(POD_IN, later, FRAGMENT);
}

static void with_extension_headers(void **state)
{
	struct packet in, out;

	start(state);
	service(V, IPPROTO_UDP, READY(B));
	in = UDP(family, C, V, .payload = 1400, .id = 7, .slice_len = SLICE,
		 .extensions = { HOP_BY_HOP, IPPROTO_FRAGMENT });
	out = in;
	out.to = B;
	forwards(POD_IN, in, NEW_FLOW, out);
	in.slice_at = out.slice_at = SLICE;
	forwards(POD_IN, in, ANY_FORWARD, out);
}

/* The port that was changed for a second VIP is in the first fragment only. */
static void with_a_changed_port(void **state)
{
	struct end v2 = AT(VIP2, 80), c = C;
	struct packet in, out;

	start(state);
	service(V, IPPROTO_UDP, READY(B));
	service(v2, IPPROTO_UDP, READY(B));
	udp_opens(C, V, B);
	c.port = forwards_new_port(POD_IN, slice(C, v2, 7, 0), NEW_FLOW, slice(C, B, 7, 0));
	in = slice(C, v2, 7, 1);
	out = slice(c, B, 7, 1);
	forwards(POD_IN, in, ANY_FORWARD, out);
	forwards(POD_OUT, slice(B, c, 8, 0), REPLY, slice(v2, C, 8, 0));
	forwards(POD_OUT, slice(B, c, 8, 1), ANY_FORWARD, slice(v2, C, 8, 1));
}

/* A slice so short that the first fragment has no whole transport header (RFC 1858). */
static void tiny_first_fragment(void **state)
{
	struct packet tiny;

	start(state);
	service(V, IPPROTO_TCP, READY(B));
	tiny = TCP(family, C, V, SYN, .payload = 100, .id = 7, .slice_len = 8);
	drops(POD_IN, tiny, MALFORMED);
	tiny.slice_len = 16;
	drops(POD_IN, tiny, MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR_ALL(follow_the_first),
		FOR_ALL(interleaved),
		FOR_ALL(tcp_fragments),
		FOR_ALL(later_without_a_first),
		FOR_ALL(remembered_for_half_a_minute),
		FOR_ALL(rest_of_a_refused_one),
		FOR_ALL(protocols_apart),
		FOR_V6(with_extension_headers),
		FOR_ALL(with_a_changed_port),
		FOR_ALL(tiny_first_fragment),
	};

	return run_group("fragments", tests);
}
