// SPDX-License-Identifier: GPL-2.0-only
// Words and numbers for people, and back.
/* link: user/core/format.c user/core/address.c */
#include "unit/test.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "core/format.h"

static struct address addr(const char *text)
{
	struct address a;

	assert_int_equal(address_parse(text, &a), 0);
	return a;
}

TEST(endpoints_have_brackets_only_where_needed)
{
	char buf[FORMAT_ENDPOINT_LEN];
	struct address v4 = addr("10.0.0.1"), v6 = addr("fd00::1");

	assert_string_equal(format_endpoint(&v4, 80, buf), "10.0.0.1:80");
	assert_string_equal(format_endpoint(&v4, 0, buf), "10.0.0.1");
	assert_string_equal(format_endpoint(&v6, 65535, buf), "[fd00::1]:65535");
	assert_string_equal(format_endpoint(&v6, 0, buf), "fd00::1");
}

TEST(the_longest_endpoint_fits)
{
	char buf[FORMAT_ENDPOINT_LEN];
	struct address a = addr("1111:2222:3333:4444:5555:6666:7777:8888");

	assert_string_equal(format_endpoint(&a, 65535, buf),
			    "[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
}

TEST(endpoints_are_read_back)
{
	static const struct {
		const char *text, *addr;
		uint16_t port;
	} cases[] = {
		{ "10.0.0.1", "10.0.0.1", 0 },     { "10.0.0.1:80", "10.0.0.1", 80 },
		{ "fd00::1", "fd00::1", 0 },       { "[fd00::1]", "fd00::1", 0 },
		{ "[fd00::1]:80", "fd00::1", 80 }, { "::", "::", 0 },
		{ "[::]:65535", "::", 65535 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct address got, want = addr(cases[i].addr);
		uint16_t port = 7;

		assert_int_equal(format_parse_endpoint(cases[i].text, &got, &port), 0);
		assert_int_equal(address_cmp(&got, &want), 0);
		assert_int_equal(port, cases[i].port);
	}
}

TEST(what_is_no_endpoint_is_refused_and_nothing_is_touched)
{
	static const char *const wrong[] = {
		"",
		"web",
		"10.0.0.1:",
		"10.0.0.1:0",
		"10.0.0.1:65536",
		"10.0.0.1:-1",
		"10.0.0.1:8a",
		":80",
		"[fd00::1",
		"[fd00::1]80",
		"[fd00::1]:",
		"[10.0.0.1]:80",
		"10.0.0.1:80:90",
		"[fd00::1]:80x",
		"fd00::1]:80",
		"10.0.0.1:0000000000080",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct address a = { .family = 9 };
		uint16_t port = 7;

		if (format_parse_endpoint(wrong[i], &a, &port) != -EINVAL)
			fail_msg("'%s' was read", wrong[i]);
		assert_int_equal(a.family, 9);
		assert_int_equal(port, 7);
	}
}

TEST(protocols_by_name_and_number)
{
	char buf[FORMAT_SHORT_LEN];
	uint8_t proto = 0;

	assert_int_equal(format_parse_proto("udp", &proto), 0);
	assert_int_equal(proto, IPPROTO_UDP);
	assert_int_equal(format_parse_proto("SCTP", &proto), 0);
	assert_int_equal(proto, IPPROTO_SCTP);
	assert_int_equal(format_parse_proto("47", &proto), 0);
	assert_int_equal(proto, 47);
	assert_int_equal(format_parse_proto("256", &proto), -EINVAL);
	assert_int_equal(format_parse_proto("tcpp", &proto), -EINVAL);
	assert_int_equal(proto, 47);
	assert_string_equal(format_proto(IPPROTO_TCP, buf), "TCP");
	assert_string_equal(format_proto(47, buf), "proto-47");
}

TEST(ages_as_kubectl_writes_them)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{ 0, "0ms" },
		{ 999999999, "999ms" },
		{ 1000000000, "1s" },
		{ 119000000000, "119s" },
		{ 120000000000, "2m" },
		{ 200000000000, "3m20s" },
		{ 7199000000000, "119m59s" },
		{ 7200000000000, "2h" },
		{ 7500000000000, "2h5m" },
		{ 86400ull * 2 * 1000000000, "2d" },
		{ 97ull * 3600 * 1000000000 + 3600ull * 2 * 1000000000, "4d3h" },
	};
	char buf[FORMAT_SHORT_LEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(format_age(cases[i].ns, buf), cases[i].text);
}

TEST(amounts_have_three_digits_at_most)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ 1023, "1023" },
		{ 1024, "1.0Ki" },
		{ 1536, "1.5Ki" },
		{ 10240, "10Ki" },
		{ 1024 * 1024 - 1, "1023Ki" },
		{ 12ull << 20, "12Mi" },
		{ UINT64_MAX, "15Ei" },
	};
	char buf[FORMAT_SHORT_LEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(format_bytes(cases[i].bytes, buf), cases[i].text);
}

TEST(every_reason_has_a_name_a_text_and_a_class)
{
	for (unsigned int r = 0; r < SL_REASON_COUNT; r++) {
		assert_string_not_equal(format_reason_name((enum sl_reason)r), "?");
		assert_true(strlen(format_reason_text((enum sl_reason)r)) > 5);
	}
	assert_string_equal(format_reason_name(SL_REASON_NO_ENDPOINT), "NO_ENDPOINT");
	assert_int_equal(format_reason_verdict(SL_REASON_NO_ENDPOINT), SL_VERDICT_REJECT);
	assert_int_equal(format_reason_verdict(SL_REASON_TORN), SL_VERDICT_DROP);
	assert_int_equal(format_reason_verdict(SL_REASON_NEW_FLOW), SL_VERDICT_FORWARD);
	assert_int_equal(format_reason_verdict(SL_REASON_LEFT_TO_TC), SL_VERDICT_PASS);
	assert_string_equal(format_reason_name((enum sl_reason)SL_REASON_COUNT), "?");
	assert_string_equal(format_reason_advice((enum sl_reason)200), "");
}

TEST(names_of_enumerations_follow_the_abi)
{
	assert_string_equal(format_flow_kind(SL_FLOW_UNSNAT), "unsnat");
	assert_string_equal(format_flow_state(SL_STATE_CLOSING), "closing");
	assert_string_equal(format_flow_state(SL_STATE_CONFIRMED), "confirmed");
	assert_string_equal(format_hook(SL_HOOK_SOCKET), "socket");
	assert_string_equal(format_verdict(SL_VERDICT_DROP), "drop");
	assert_string_equal(format_flow_kind((enum sl_flow_kind)99), "?");
}

TEST(flags_are_listed_and_all_of_them_fit)
{
	char buf[FORMAT_FLAGS_LEN];

	assert_string_equal(format_backend_flags(0, buf), "-");
	assert_string_equal(format_backend_flags(SL_BACKEND_IN_CLUSTER | SL_BACKEND_LOCAL, buf),
			    "cluster,here");
	assert_string_equal(format_backend_flags(0xffff, buf),
			    "cluster,local,serving,here,terminating");
	assert_string_equal(format_flow_flags(0xffff, buf),
			    "local-list,fin-request,fin-reply,hairpin,port,snat,counted,fast");
}

RUN(cmocka_unit_test(endpoints_have_brackets_only_where_needed),
    cmocka_unit_test(the_longest_endpoint_fits), cmocka_unit_test(endpoints_are_read_back),
    cmocka_unit_test(what_is_no_endpoint_is_refused_and_nothing_is_touched),
    cmocka_unit_test(protocols_by_name_and_number), cmocka_unit_test(ages_as_kubectl_writes_them),
    cmocka_unit_test(amounts_have_three_digits_at_most),
    cmocka_unit_test(every_reason_has_a_name_a_text_and_a_class),
    cmocka_unit_test(names_of_enumerations_follow_the_abi),
    cmocka_unit_test(flags_are_listed_and_all_of_them_fit))
