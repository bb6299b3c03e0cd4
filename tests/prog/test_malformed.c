/* SPDX-License-Identifier: GPL-2.0-only */
/* Packets cut at every length, bent in every field: passed, or dropped and counted; never half translated. */
/* Must not know how programs parse. */
#include <string.h>

#include "prog/life.h"

#define C AT(CLIENT, 40000)
#define V AT(VIP, 80)
#define B AT(BACKEND1, 8080)

#define PASS           (-1)
#define DROP           2
#define BACK           7
#define KERNEL_REFUSES -22 /* the test run takes no frame as short as that */

static void flows_of_all_kinds(void)
{
	service(V, IPPROTO_TCP, READY(B));
	service(V, IPPROTO_UDP, READY(B));
	service(V, IPPROTO_SCTP, READY(AT(BACKEND1, 80)));
	tcp_opens(C, V, B);
	udp_opens(C, V, B);
}

/* Whatever came out: one reason counted, and a packet that was changed has nothing wrong in it that was right before. */
static void run_bent(enum program program, const struct frame *in, const char *what, size_t n)
{
	uint64_t before = counted_all();
	struct frame out = { .l3 = in->l3 };
	struct parsed was, is;
	int verdict =
		harness_run_raw(harness_program(program), in->bytes, in->len, out.bytes, &out.len);

	if (verdict == -1000 + KERNEL_REFUSES)
		return;
	if (verdict != PASS && verdict != DROP && verdict != BACK)
		fail_msg("%s %zu: verdict %d", what, n, verdict);
	if (counted_all() != before + 1)
		fail_msg("%s %zu: counted %llu times", what, n,
			 (unsigned long long)(counted_all() - before));
	if (verdict == DROP || (out.len == in->len && !memcmp(out.bytes, in->bytes, in->len)))
		return;
	packet_parse(in->bytes, in->len, in->l3, true, &was);
	packet_parse(out.bytes, out.len, out.l3, true, &is);
	if (is.wrong[0] && !was.wrong[0])
		fail_msg("%s %zu: came in as %s, out as %s", what, n, frame_text(in),
			 frame_text(&out));
	if (out.len != in->len && verdict != BACK)
		fail_msg("%s %zu: %zu bytes became %zu", what, n, in->len, out.len);
}

static void cut_everywhere(enum program program, struct packet packet, const char *what)
{
	struct frame frame;
	size_t whole;

	packet_build(&packet, &frame);
	whole = frame.len;
	for (size_t len = 14; len <= whole; len++) {
		frame.len = len;
		run_bent(program, &frame, what, len);
	}
}

static void truncated_at_every_length(void **state)
{
	struct packet quoted, answer;

	start(state);
	flows_of_all_kinds();
	cut_everywhere(POD_IN,
		       TCP(family, C, V, ACK, .tcp_options = 12, .payload = 10,
			   .options = family == 4 ? 12 : 0),
		       "TCP in");
	cut_everywhere(POD_OUT, TCP(family, B, C, ACK, .payload = 10), "TCP out");
	cut_everywhere(POD_IN, UDP(family, C, V, .payload = 10), "UDP in");
	cut_everywhere(POD_OUT, UDP(family, B, C, .payload = 10), "UDP out");
	cut_everywhere(POD_IN, TCP(family, AT(CLIENT, 1), AT(VIP, 81), SYN), "unknown port");
	cut_everywhere(POD_IN, TCP(family, AT(CLIENT, 1), V, ACK), "unknown flow");
	cut_everywhere(POD_IN, SCTP(family, C, V, .payload = 20), "SCTP");
	cut_everywhere(UP_OUT, UDP(family, AT(NODE, 1), AT(VIP, 99), .payload = 20),
		       "from the node");
	quoted = UDP(family, C, B, .payload = 10);
	cut_everywhere(POD_OUT, ICMP_ERROR(family, BACKEND1, CLIENT, UNREACHABLE, 3, &quoted),
		       "ICMP out");
	answer = UDP(family, V, C, .payload = 10);
	cut_everywhere(POD_IN, ICMP_ERROR(family, CLIENT, VIP, UNREACHABLE, 3, &answer), "ICMP in");
	if (family == 6)
		cut_everywhere(POD_IN,
			       UDP(6, C, V, .payload = 10,
				   .extensions = { HOP_BY_HOP, IPPROTO_ROUTING, IPPROTO_FRAGMENT }),
			       "extension headers");
	cut_everywhere(XDP, TCP(family, C, V, ACK, .payload = 10), "XDP");
	/* what was open still works */
	tcp_talks(C, V, B);
}

static void truncated_transport_is_malformed(void **state)
{
	uint16_t l4 = (uint16_t)(14 + (*(const int *)*state == 4 ? 20 : 40));

	start(state);
	flows_of_all_kinds();
	drops(POD_IN, TCP(family, C, V, ACK, .cut = l4), MALFORMED);
	drops(POD_IN, TCP(family, C, V, ACK, .cut = (uint16_t)(l4 + 3)), MALFORMED);
	drops(POD_IN, TCP(family, C, V, ACK, .cut = (uint16_t)(l4 + 19)), MALFORMED);
	drops(POD_IN, UDP(family, C, V, .cut = (uint16_t)(l4 + 7)), MALFORMED);
	/* not to a service: as it came */
	passes(POD_IN, TCP(family, C, AT(STRANGER, 80), ACK, .cut = (uint16_t)(l4 + 3)),
	       NOT_SERVICE);
}

/* Each byte of the headers in turn takes several wrong values. */
static void every_header_byte_bent(void **state)
{
	static const uint8_t values[] = { 0x00, 0x01, 0x0f, 0x40, 0x4f, 0x50,
					  0x60, 0x7f, 0x80, 0xf0, 0xff };
	struct packet packets[5];
	struct packet quoted;
	struct frame frame, bent;

	start(state);
	flows_of_all_kinds();
	quoted = UDP(family, C, B, .payload = 10);
	packets[0] = TCP(family, C, V, ACK, .payload = 4);
	packets[1] = UDP(family, C, V, .payload = 4);
	packets[2] = ICMP_ERROR(family, BACKEND1, CLIENT, UNREACHABLE, 3, &quoted);
	packets[3] = UDP(family, C, V, .payload = 40, .id = 3, .slice_len = 24);
	packets[4] = UDP(family, C, V, .payload = 4, .extensions = { HOP_BY_HOP, IPPROTO_DSTOPTS });
	for (size_t p = 0; p < (family == 4 ? 4u : 5u); p++) {
		packet_build(&packets[p], &frame);
		for (size_t at = 12; at < frame.len && at < 110; at++)
			for (size_t v = 0; v < sizeof(values); v++) {
				bent = frame;
				bent.bytes[at] = values[v];
				run_bent(p == 2 ? POD_OUT : POD_IN, &bent, "byte", at);
			}
	}
}

static void header_lengths(void **state)
{
	struct frame frame;
	struct outcome outcome;

	start(state);
	flows_of_all_kinds();
	packet_build(&TCP(4, C, V, SYN), &frame);
	frame.bytes[14] = 0x44; /* shorter than an IP header may be */
	outcome = harness_run_frame(POD_IN, &frame, __FILE__, __LINE__);
	assert_int_equal(outcome.reason, SL_REASON_NOT_SERVICE);
	assert_memory_equal(outcome.out.bytes, frame.bytes, frame.len);
	packet_build(&TCP(4, C, V, SYN), &frame);
	frame.bytes[14] = 0x55; /* another version */
	outcome = harness_run_frame(POD_IN, &frame, __FILE__, __LINE__);
	assert_int_equal(outcome.verdict, PASS);
	/* the transport header would be beyond the frame */
	packet_build(&TCP(4, C, V, SYN), &frame);
	frame.bytes[14] = 0x4f;
	outcome = harness_run_frame(POD_IN, &frame, __FILE__, __LINE__);
	assert_int_equal(outcome.reason, SL_REASON_MALFORMED);
	assert_int_equal(outcome.verdict, DROP);
}

/* Six extension headers are walked; more are not. Any other header (AH) is a protocol that no service has. */
static void extension_headers(void **state)
{
	start(state);
	flows_of_all_kinds();
	forwards(POD_IN,
		 UDP(6, C, V,
		     .extensions = { HOP_BY_HOP, IPPROTO_DSTOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS,
				     IPPROTO_DSTOPTS, IPPROTO_DSTOPTS }),
		 FLOW,
		 UDP(6, C, B,
		     .extensions = { HOP_BY_HOP, IPPROTO_DSTOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS,
				     IPPROTO_DSTOPTS, IPPROTO_DSTOPTS }));
	drops(POD_IN,
	      UDP(6, C, V,
		  .extensions = { HOP_BY_HOP, IPPROTO_DSTOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS,
				  IPPROTO_DSTOPTS, IPPROTO_DSTOPTS, IPPROTO_DSTOPTS }),
	      MALFORMED);
	refuses(POD_IN, UDP(6, C, V, .extensions = { IPPROTO_AH }), UNKNOWN_PORT);
	passes(POD_IN, UDP(6, C, AT(STRANGER, 9), .extensions = { IPPROTO_AH }), NOT_SERVICE);
	passes(POD_IN,
	       UDP(6, C, AT(STRANGER, 9),
		   .extensions = { HOP_BY_HOP, IPPROTO_DSTOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS,
				   IPPROTO_DSTOPTS, IPPROTO_DSTOPTS, IPPROTO_DSTOPTS }),
	       NOT_SERVICE);
}

/* Every packet that comes in is counted under exactly one reason: the sum is what came in. */
static void sums_of_counters(void **state)
{
	uint64_t before;
	struct frame frame;
	uint8_t out[FRAME_MAX];
	size_t len;

	start(state);
	flows_of_all_kinds();
	before = counted_all();
	for (uint32_t i = 0; i < 1000; i++) {
		struct packet packets[] = {
			TCP(family, AT(CLIENT, (uint16_t)(i + 1)), V, SYN),
			TCP(family, C, V, ACK),
			UDP(family, AT(CLIENT2, (uint16_t)(i + 1)), V),
			TCP(family, C, AT(UNALLOCATED, 1), SYN),
			UDP(family, C, AT(STRANGER, 1)),
			TCP(family, V, C, ACK),
			UDP(family, C, AT(VIP, 99)),
		};

		packet_build(&packets[i % 7], &frame);
		harness_run_raw(harness_program(POD_IN), frame.bytes, frame.len, out, &len);
	}
	assert_int_equal(counted_all() - before, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR_ALL(truncated_at_every_length), FOR_ALL(truncated_transport_is_malformed),
		FOR_ALL(every_header_byte_bent),    FOR_V4(header_lengths),
		FOR_V6(extension_headers),          FOR_ALL(sums_of_counters),
	};

	return run_group("malformed", tests);
}
