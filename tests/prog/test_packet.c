/* SPDX-License-Identifier: GPL-2.0-only */
/* The builder and the reader of packets themselves: what they say about the others must be right. */
/* Must not know programs or maps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "prog/packet.h"

#define C AT(CLIENT, 40000)
#define V AT(VIP, 80)

/* RFC 1071, section 3. */
static void sum_of_rfc_1071(void **state)
{
	const uint8_t bytes[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };

	(void)state;
	assert_int_equal(sum_end(sum_add(0, bytes, sizeof(bytes))), 0xffff - 0xddf2);
	assert_int_equal(sum_end(sum_add(0, bytes, 7)),
			 0xffff - 0xdcfb); /* an odd end is filled with zero */
}

/* An IPv4 header from the wire, with its checksum. */
static void header_from_the_wire(void **state)
{
	static const uint8_t header[] = { 0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40,
					  0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8,
					  0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7 };

	(void)state;
	assert_int_equal(sum_end(sum_add(0, header, sizeof(header))), 0);
}

static const struct packet quoted4 = { .family = 4,
				       .proto = IPPROTO_UDP,
				       .from = { CLIENT, 1 },
				       .to = { BACKEND1, 2 },
				       .payload = 9 };
static const struct packet quoted6 = { .family = 6,
				       .proto = IPPROTO_UDP,
				       .from = { CLIENT, 1 },
				       .to = { BACKEND1, 2 },
				       .payload = 9 };

static size_t all_kinds(int family, struct packet packets[16])
{
	size_t n = 0;

	packets[n++] =
		TCP(family, C, V, SYN | ACK, .seq = 1, .ack = 2, .payload = 5, .tcp_options = 4);
	packets[n++] = UDP(family, C, V, .payload = 5);
	packets[n++] = SCTP(family, C, V, .payload = 6);
	packets[n++] = ICMP(family, CLIENT, VIP, ECHO_REQUEST, .icmp_rest = 0x10001, .payload = 11);
	packets[n++] = ICMP_ERROR(family, ROUTER, CLIENT, TOO_BIG, 0,
				  family == 4 ? &quoted4 : &quoted6, .icmp_rest = 1400);
	packets[n++] = UDP(family, C, V, .payload = 100, .id = 7, .slice_len = 48);
	packets[n++] = UDP(family, C, V, .payload = 100, .id = 7, .slice_at = 48, .slice_len = 48);
	packets[n++] = UDP(family, C, V, .payload = 5, .no_ethernet = true);
	if (family == 4)
		packets[n++] = TCP(family, C, V, ACK, .options = 8);
	else
		packets[n++] = UDP(family, C, V, .payload = 5,
				   .extensions = { HOP_BY_HOP, IPPROTO_ROUTING, IPPROTO_DSTOPTS });
	return n;
}

static void what_is_built_is_right(void **state)
{
	struct packet packets[16];
	struct parsed parsed;
	struct frame frame;

	(void)state;
	for (int family = 4; family <= 6; family += 2)
		for (size_t n = all_kinds(family, packets), i = 0; i < n; i++) {
			packet_build(&packets[i], &frame);
			packet_parse(frame.bytes, frame.len, frame.l3, true, &parsed);
			if (parsed.wrong[0] || parsed.family != family)
				fail_msg("%s: %s", frame_text(&frame), parsed.wrong);
			assert_null(frame_difference(&frame, &packets[i]));
			assert_memory_equal(parsed.saddr,
					    host_address(family, packets[i].from.host),
					    address_len(family));
			if (!packets[i].slice_at)
				assert_int_equal(parsed.dport, packets[i].to.port);
		}
}

/* Not a bit may differ without being noticed. */
static void every_bit_counts(void **state)
{
	struct packet packets[16];
	struct frame frame;

	(void)state;
	for (int family = 4; family <= 6; family += 2)
		for (size_t n = all_kinds(family, packets), i = 0; i < n; i++) {
			packet_build(&packets[i], &frame);
			for (size_t bit = 0; bit < frame.len * 8; bit++) {
				frame.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
				if (!frame_difference(&frame, &packets[i]))
					fail_msg("packet %zu of IPv%d: bit %zu is not compared", i,
						 family, bit);
				frame.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			}
			frame.len--;
			assert_non_null(frame_difference(&frame, &packets[i]));
		}
}

/* Nor may a wrong sum, of any layer. */
static void wrong_sums_are_seen(void **state)
{
	struct packet packets[16];
	struct parsed parsed;
	struct frame frame;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		all_kinds(family, packets);
		for (size_t i = 0; i < 5; i++) {
			size_t ip = 14, l4 = ip + (family == 4 ? 20 : 40);

			packet_build(&packets[i], &frame);
			if (family == 4) {
				frame.bytes[ip + 8] ^= 1; /* time to live */
				packet_parse(frame.bytes, frame.len, frame.l3, true, &parsed);
				assert_non_null(strstr(parsed.wrong, "IP checksum"));
				frame.bytes[ip + 8] ^= 1;
			}
			if (packets[i].proto == IPPROTO_SCTP)
				continue;
			frame.bytes[l4 + 5] ^= 1;
			packet_parse(frame.bytes, frame.len, frame.l3, true, &parsed);
			assert_string_not_equal(parsed.wrong, "");
		}
	}
	packet_build(&UDP(6, C, V, .no_checksum = true), &frame);
	packet_parse(frame.bytes, frame.len, frame.l3, true, &parsed);
	assert_string_not_equal(parsed.wrong, "");
}

static void differences_in_words(void **state)
{
	struct packet sent = TCP(4, C, V, SYN), want = TCP(4, C, AT(VIP, 8080), SYN);
	struct frame frame;

	(void)state;
	packet_build(&sent, &frame);
	assert_string_equal(frame_difference(&frame, &want),
			    "TCP destination port is 80, must be 8080");
	/* of several fields the first: the sum of the IP header comes before its addresses */
	want = TCP(4, C, AT(BACKEND1, 80), SYN);
	assert_non_null(strstr(frame_difference(&frame, &want), "IP checksum"));
	want = TCP(6, C, AT(BACKEND1, 80), SYN);
	packet_build(&TCP(6, C, V, SYN), &frame);
	assert_string_equal(
		frame_difference(&frame, &want),
		"IPv6 destination address is VIP (fd00:96::10), must be BACKEND1 (fd00:10:1:1::11)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sum_of_rfc_1071),        cmocka_unit_test(header_from_the_wire),
		cmocka_unit_test(what_is_built_is_right), cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(wrong_sums_are_seen),    cmocka_unit_test(differences_in_words),
	};

	return cmocka_run_group_tests_name("packet", tests, NULL, NULL);
}
