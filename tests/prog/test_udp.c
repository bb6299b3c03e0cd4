/* SPDX-License-Identifier: GPL-2.0-only */
/* UDP and SCTP through a VIP: confirmation, idle times, endpoints that leave, checksums that may be absent. */
/* Must not know how programs do it: expectations are those of bpf/README.md. */
#include <string.h>

#include "prog/life.h"

#define C  AT(CLIENT, 5353)
#define V  AT(VIP, 53)
#define V2 AT(VIP2, 53)
#define B  AT(BACKEND1, 1053)
#define B2 AT(BACKEND2, 1053)

static void one_backend(void)
{
	service(V, IPPROTO_UDP, READY(B));
}

static void expect_pair(enum table table, enum sl_flow_state state)
{
	harness_expect_flow(SL_FLOW_REQUEST, IPPROTO_UDP, C, V, table, state, C, B, __FILE__,
			    __LINE__);
	harness_expect_flow(SL_FLOW_REPLY, IPPROTO_UDP, B, C, table, state, V, C, __FILE__,
			    __LINE__);
}

static void age_pair(uint32_t age_s)
{
	flow_age(SL_FLOW_REQUEST, IPPROTO_UDP, C, V, age_s);
	flow_age(SL_FLOW_REPLY, IPPROTO_UDP, B, C, age_s);
}

static void second_packet_after_a_reply_confirms(void **state)
{
	start(state);
	one_backend();
	forwards(POD_IN, UDP(family, C, V, .payload = 30), NEW_FLOW,
		 UDP(family, C, B, .payload = 30));
	expect_pair(IN_NEW, SL_STATE_NEW);
	forwards(POD_IN, UDP(family, C, V, .payload = 31), FLOW, UDP(family, C, B, .payload = 31));
	expect_pair(IN_NEW, SL_STATE_NEW); /* nobody answered yet */
	forwards(POD_OUT, UDP(family, B, C, .payload = 1), REPLY, UDP(family, V, C, .payload = 1));
	expect_pair(IN_NEW, SL_STATE_REPLIED);
	forwards(POD_OUT, UDP(family, B, C), REPLY, UDP(family, V, C));
	expect_pair(IN_NEW, SL_STATE_REPLIED); /* more answers prove nothing about the client */
	forwards(POD_IN, UDP(family, C, V), FLOW, UDP(family, C, B));
	expect_pair(IN_UDP, SL_STATE_CONFIRMED);
	assert_int_equal(flow_count(IN_NEW), 0);
	forwards(POD_OUT, UDP(family, B, C), REPLY, UDP(family, V, C));
	forwards(POD_IN, UDP(family, C, V), FLOW, UDP(family, C, B));
	expect_pair(IN_UDP, SL_STATE_CONFIRMED);
}

static void idle_times(void **state)
{
	start(state);
	one_backend();
	udp_asks(C, V, B);
	age_pair(SL_IDLE_UDP_NEW_S - 3);
	forwards(POD_OUT, UDP(family, B, C), REPLY, UDP(family, V, C));
	age_pair(SL_IDLE_UDP_NEW_S + 3);
	passes(POD_OUT, UDP(family, B, C), NOT_SERVICE);
	udp_opens(C, V, B);
	age_pair(SL_IDLE_UDP_S - 3);
	forwards(POD_IN, UDP(family, C, V), FLOW, UDP(family, C, B));
	age_pair(SL_IDLE_UDP_S + 3);
	passes(POD_OUT, UDP(family, B, C), NOT_SERVICE);
	udp_opens(C, V, B);
	expect_pair(IN_UDP, SL_STATE_CONFIRMED);
}

static void leaves_an_endpoint_that_left(void **state)
{
	start(state);
	one_backend();
	udp_opens(C, V, B);
	service(V, IPPROTO_UDP, READY(B2));
	forwards(POD_IN, UDP(family, C, V), NEW_FLOW, UDP(family, C, B2));
	expect_flow(REQUEST, IPPROTO_UDP, C, V, IN_NEW, NEW, C, B2);
	/* the last answer of the first is still the VIP's, and changes nothing for the second */
	forwards(POD_OUT, UDP(family, B, C), REPLY, UDP(family, V, C));
	expect_flow(REQUEST, IPPROTO_UDP, C, V, IN_NEW, NEW, C, B2);
	forwards(POD_IN, UDP(family, C, V), FLOW, UDP(family, C, B2));
	expect_flow(REQUEST, IPPROTO_UDP, C, V, IN_NEW, NEW, C, B2);
	forwards(POD_OUT, UDP(family, B2, C), REPLY, UDP(family, V, C));
	forwards(POD_IN, UDP(family, C, V), FLOW, UDP(family, C, B2));
	expect_flow(REQUEST, IPPROTO_UDP, C, V, IN_UDP, CONFIRMED, C, B2);
}

static void unanswered_flow_leaves_too(void **state)
{
	start(state);
	one_backend();
	forwards(POD_IN, UDP(family, C, V), NEW_FLOW, UDP(family, C, B));
	service(V, IPPROTO_UDP, READY(B2));
	forwards(POD_IN, UDP(family, C, V), NEW_FLOW, UDP(family, C, B2));
	expect_flow(REQUEST, IPPROTO_UDP, C, V, IN_NEW, NEW, C, B2);
	expect_flow(REPLY, IPPROTO_UDP, B2, C, IN_NEW, NEW, V, C);
}

/* Rebuilding a twin from the former backend's late answers would lead packets back to it. */
static void late_answers_rebuild_nothing(void **state)
{
	start(state);
	one_backend();
	udp_opens(C, V, B);
	service(V, IPPROTO_UDP, READY(B2));
	forwards(POD_IN, UDP(family, C, V), NEW_FLOW, UDP(family, C, B2));
	flow_age(SL_FLOW_REPLY, IPPROTO_UDP, B, C, TWIN_AGE_S);
	forwards(POD_OUT, UDP(family, B, C), REPLY, UDP(family, V, C));
	expect_flow(REQUEST, IPPROTO_UDP, C, V, IN_NEW, NEW, C, B2);
	forwards(POD_IN, UDP(family, C, V), FLOW, UDP(family, C, B2));
}

static void terminating_but_serving_keeps_its_flows(void **state)
{
	start(state);
	one_backend();
	udp_opens(C, V, B);
	service(V, IPPROTO_UDP, READY(B2), { B, TERMINATING_ENDPOINT });
	forwards(POD_IN, UDP(family, C, V), FLOW, UDP(family, C, B));
	forwards(POD_IN, UDP(family, AT(CLIENT, 5354), V), NEW_FLOW,
		 UDP(family, AT(CLIENT, 5354), B2));
	service(V, IPPROTO_UDP, READY(B2));
	forwards(POD_IN, UDP(family, C, V), NEW_FLOW, UDP(family, C, B2));
}

static void nobody_left(void **state)
{
	start(state);
	one_backend();
	udp_opens(C, V, B);
	service_with(V, IPPROTO_UDP);
	refuses(POD_IN, UDP(family, C, V, .payload = 40), NO_ENDPOINT);
	service(V, IPPROTO_UDP, READY(B2));
	forwards(POD_IN, UDP(family, C, V), NEW_FLOW, UDP(family, C, B2));
}

static void recycled_backend_id(void **state)
{
	uint32_t id;

	start(state);
	one_backend();
	udp_opens(C, V, B);
	id = backend_id(V, IPPROTO_UDP, B);
	service(V, IPPROTO_UDP, READY(B2));
	backend_recycle(id, AT(BACKEND3, 9), 77);
	forwards(POD_IN, UDP(family, C, V), NEW_FLOW, UDP(family, C, B2));
}

/* RFC 768: 0 says that there is none, and has to go on saying it. */
static void checksum_none_stays_none(void **state)
{
	start(state);
	one_backend();
	forwards(POD_IN, UDP(family, C, V, .payload = 30, .no_checksum = true), NEW_FLOW,
		 UDP(family, C, B, .payload = 30, .no_checksum = true));
	forwards(POD_OUT, UDP(family, B, C, .payload = 30, .no_checksum = true), REPLY,
		 UDP(family, V, C, .payload = 30, .no_checksum = true));
	forwards(POD_IN, UDP(family, C, V, .payload = 30, .no_checksum = true), FLOW,
		 UDP(family, C, B, .payload = 30, .no_checksum = true));
}

/* RFC 8200 8.1: a sum that comes out as 0 is sent as ffff; so is one over IPv4. Every sum is tried. */
static void checksum_never_becomes_none(void **state)
{
	struct frame frame;
	uint8_t out[FRAME_MAX];
	size_t len, at;
	unsigned int zeros = 0, ones = 0;

	start(state);
	one_backend();
	udp_opens(C, V, B);
	packet_build(&UDP(family, C, V, .payload = 8), &frame);
	at = frame.l3 + (family == 4 ? 20 : 40);
	for (unsigned int value = 0; value < 65536; value += 1) {
		uint8_t *checksum = frame.bytes + at + 6, *data = frame.bytes + at + 8;
		struct parsed parsed;

		memcpy(data, (uint8_t[]){ (uint8_t)(value >> 8), (uint8_t)value }, 2);
		memset(checksum, 0, 2);
		packet_sum(&frame);
		if (value % 7 && memcmp(checksum, "\xff\xff", 2))
			continue; /* the interesting ones, and a seventh of the others */
		assert_int_equal(
			harness_run_raw(harness_program(POD_IN), frame.bytes, frame.len, out, &len),
			-1);
		packet_parse(out, len, frame.l3, true, &parsed);
		if (parsed.wrong[0])
			fail_msg("checksum %02x%02x became %02x%02x: %s", checksum[0], checksum[1],
				 out[at + 6], out[at + 7], parsed.wrong);
		zeros += !out[at + 6] && !out[at + 7];
		ones += out[at + 6] == 0xff && out[at + 7] == 0xff;
	}
	assert_int_equal(zeros, 0);
	/* one more pass, so that the sum of the packet that comes out is what would be 0 */
	for (unsigned int value = 0; value < 65536; value++) {
		struct frame want;
		struct parsed parsed;

		packet_build(&UDP(family, C, B, .payload = 8), &want);
		memcpy(want.bytes + at + 8, (uint8_t[]){ (uint8_t)(value >> 8), (uint8_t)value },
		       2);
		memset(want.bytes + at + 6, 0, 2);
		packet_sum(&want);
		if (memcmp(want.bytes + at + 6, "\xff\xff", 2))
			continue;
		memcpy(frame.bytes + at + 8, want.bytes + at + 8, 2);
		memset(frame.bytes + at + 6, 0, 2);
		packet_sum(&frame);
		harness_run_raw(harness_program(POD_IN), frame.bytes, frame.len, out, &len);
		packet_parse(out, len, frame.l3, true, &parsed);
		assert_string_equal(parsed.wrong, "");
		assert_memory_equal(out + at + 6, "\xff\xff", 2);
		ones++;
	}
	assert_true(ones > 0);
}

static void two_vips_one_tuple_one_backend(void **state)
{
	struct end c = C;

	start(state);
	one_backend();
	service(V2, IPPROTO_UDP, READY(B));
	udp_opens(C, V, B);
	c.port = forwards_new_port(POD_IN, UDP(family, C, V2), NEW_FLOW, UDP(family, C, B));
	forwards(POD_OUT, UDP(family, B, c), REPLY, UDP(family, V2, C));
	forwards(POD_IN, UDP(family, C, V2, .no_checksum = family == 4), FLOW,
		 UDP(family, c, B, .no_checksum = family == 4));
	expect_flow(REQUEST, IPPROTO_UDP, C, V2, IN_UDP, CONFIRMED, c, B);
	forwards(POD_OUT, UDP(family, B, C), REPLY, UDP(family, V, C));
	expect_pair(IN_UDP, SL_STATE_CONFIRMED);
}

/* Exchanges of one packet each way push out nobody who talks. */
static void single_exchanges_evict_nobody(void **state)
{
	const uint32_t room = HARNESS_BUCKETS * SL_BUCKET_SLOTS;
	struct frame frame;
	uint8_t out[FRAME_MAX];
	size_t len;

	start(state);
	one_backend();
	for (uint16_t i = 0; i < 50; i++)
		udp_opens(AT(CLIENT, (uint16_t)(50000 + i)), V, B);
	for (uint32_t i = 0; i < room; i++) {
		struct end asker = AT(CLIENT2, (uint16_t)(1000 + i));

		packet_build(&UDP(family, asker, V), &frame);
		assert_int_equal(
			harness_run_raw(harness_program(POD_IN), frame.bytes, frame.len, out, &len),
			-1);
		packet_build(&UDP(family, B, asker), &frame);
		harness_run_raw(harness_program(POD_OUT), frame.bytes, frame.len, out, &len);
	}
	assert_int_equal(flow_count(IN_UDP), 100);
	for (uint16_t i = 0; i < 50; i++)
		forwards(POD_IN, UDP(family, AT(CLIENT, (uint16_t)(50000 + i)), V), FLOW,
			 UDP(family, AT(CLIENT, (uint16_t)(50000 + i)), B));
}

/* ---- SCTP ----------------------------------------------------------------------------------------------------------- */

/* Where port and target port are equal, only addresses change, and the CRC covers none. */
static void sctp_with_equal_ports(void **state)
{
	struct end v = AT(VIP, 3868), b = AT(BACKEND1, 3868);

	start(state);
	service(v, IPPROTO_SCTP, READY(b));
	forwards(POD_IN, SCTP(family, C, v, .payload = 20), NEW_FLOW,
		 SCTP(family, C, b, .payload = 20));
	expect_flow(REQUEST, IPPROTO_SCTP, C, v, IN_NEW, NEW, C, b);
	forwards(POD_OUT, SCTP(family, b, C, .payload = 20), REPLY,
		 SCTP(family, v, C, .payload = 20));
	forwards(POD_IN, SCTP(family, C, v, .payload = 20), FLOW,
		 SCTP(family, C, b, .payload = 20));
	expect_flow(REQUEST, IPPROTO_SCTP, C, v, IN_UDP, CONFIRMED, C, b);
	expect_flow(REPLY, IPPROTO_SCTP, b, C, IN_UDP, CONFIRMED, v, C);
	flow_age(SL_FLOW_REQUEST, IPPROTO_SCTP, C, v, SL_IDLE_SCTP_S - 3);
	flow_age(SL_FLOW_REPLY, IPPROTO_SCTP, b, C, SL_IDLE_SCTP_S - 3);
	forwards(POD_IN, SCTP(family, C, v, .payload = 20), FLOW,
		 SCTP(family, C, b, .payload = 20));
	flow_age(SL_FLOW_REQUEST, IPPROTO_SCTP, C, v, SL_IDLE_SCTP_S + 3);
	flow_age(SL_FLOW_REPLY, IPPROTO_SCTP, b, C, SL_IDLE_SCTP_S + 3);
	forwards(POD_IN, SCTP(family, C, v, .payload = 20), NEW_FLOW,
		 SCTP(family, C, b, .payload = 20));
}

static void sctp_with_another_target_port(void **state)
{
	struct end v = AT(VIP, 3868);

	start(state);
	service_with(v, IPPROTO_SCTP, .flags = SL_SERVICE_SCTP_PORT,
		     .backends = { { .at = AT(BACKEND1, 3869) } });
	drops(POD_IN, SCTP(family, C, v, .payload = 20), SCTP_PORT);
	assert_int_equal(flow_count(IN_NEW), 0);
}

/* A port may not change, so the second of two equal reply tuples has no way. */
static void sctp_tuples_cannot_be_told_apart(void **state)
{
	struct end v = AT(VIP, 3868), v2 = AT(VIP2, 3868), b = AT(BACKEND1, 3868);

	start(state);
	service(v, IPPROTO_SCTP, READY(b));
	service(v2, IPPROTO_SCTP, READY(b));
	forwards(POD_IN, SCTP(family, C, v), NEW_FLOW, SCTP(family, C, b));
	drops(POD_IN, SCTP(family, C, v2), PORT_COLLISION);
	forwards(POD_OUT, SCTP(family, b, C), REPLY, SCTP(family, v, C));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR_ALL(second_packet_after_a_reply_confirms),
		FOR_ALL(idle_times),
		FOR_ALL(leaves_an_endpoint_that_left),
		FOR_ALL(unanswered_flow_leaves_too),
		FOR_ALL(late_answers_rebuild_nothing),
		FOR_ALL(terminating_but_serving_keeps_its_flows),
		FOR_ALL(nobody_left),
		FOR_ALL(recycled_backend_id),
		FOR_V4(checksum_none_stays_none),
		FOR_ALL(checksum_never_becomes_none),
		FOR_ALL(two_vips_one_tuple_one_backend),
		FOR_ALL(single_exchanges_evict_nobody),
		FOR_ALL(sctp_with_equal_ports),
		FOR_ALL(sctp_with_another_target_port),
		FOR_ALL(sctp_tuples_cannot_be_told_apart),
	};

	return run_group("udp", tests);
}
