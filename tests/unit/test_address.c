// SPDX-License-Identifier: GPL-2.0-only
// Addresses and CIDRs: text both ways, leniency, refusals.
/* link: user/core/address.c */
#include "unit/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/address.h"

static void assert_reads(const char *text, const char *canonical)
{
	char buf[ADDRESS_TEXT_LEN];
	struct address a;

	if (address_parse(text, &a) < 0)
		fail_msg("%s: not read", text);
	assert_string_equal(address_format(&a, buf), canonical);
}

TEST(reads_addresses)
{
	assert_reads("10.0.0.1", "10.0.0.1");
	assert_reads("172.30.0.041", "172.30.0.41"); /* decimal, not octal */
	assert_reads("010.000.0.001", "10.0.0.1");
	assert_reads("255.255.255.255", "255.255.255.255");
	assert_reads("::", "::");
	assert_reads("::1", "::1");
	assert_reads("FD00:0:0:1::0002", "fd00:0:0:1::2");
	assert_reads("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8");
	assert_reads("1::8", "1::8");
	assert_reads("1:0:0:2:0:0:0:3", "1:0:0:2::3");      /* the longest run */
	assert_reads("1:0:0:2:3:0:0:4", "1::2:3:0:0:4");    /* the first of equals */
	assert_reads("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"); /* one zero is not a run */
	assert_reads("::ffff:1.2.3.4", "1.2.3.4");
	assert_reads("::ffff:0102:0304", "1.2.3.4");
	assert_reads("64:ff9b::1.2.3.4", "64:ff9b::102:304");
	assert_reads("fe80::", "fe80::");
	assert_reads("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0");
}

TEST(refuses_other_text)
{
	static const char *const bad[] = { "",
					   "1.2.3",
					   "1.2.3.4.5",
					   "1.2.3.256",
					   "1.2.3.4 ",
					   " 1.2.3.4",
					   "1.2.3.a",
					   "1..2.3",
					   "-1.2.3.4",
					   "0x1.2.3.4",
					   ":",
					   ":::",
					   "1:2",
					   "1::2::3",
					   "12345::",
					   "g::",
					   "1:2:3:4:5:6:7:8:9",
					   "::1%eth0",
					   "1:2:3:4:5:6:7:",
					   ":1:2:3:4:5:6:7",
					   "::1.2.3",
					   "1.2.3.4::",
					   "1:2:3:4:5:6:7:1.2.3.4",
					   "::1.2.3.4:5",
					   "1:2:3:4:5:6:7:8::" };
	struct address a = { .family = 99 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (address_parse(bad[i], &a) != -EINVAL)
			fail_msg("\"%s\" was read", bad[i]);
		assert_int_equal(a.family, 99); /* untouched */
	}
}

/* Against libc, where both read the same language. */
TEST(agrees_with_libc)
{
	uint32_t seed = 1;

	for (int i = 0; i < 20000; i++) {
		char text[INET6_ADDRSTRLEN], ours[ADDRESS_TEXT_LEN];
		struct address a;
		uint8_t b[16];

		for (int k = 0; k < 16; k++) {
			seed = seed * 1664525u + 1013904223u;
			b[k] = seed >> 30 ? 0 : (uint8_t)(seed >> 12); /* many zeros */
		}
		b[0] |= 0x20; /* no mapped or compatible address: libc writes those with dots */
		inet_ntop(AF_INET6, b, text, sizeof(text));
		assert_int_equal(address_parse(text, &a), 0);
		assert_memory_equal(a.b, b, 16);
		assert_string_equal(address_format(&a, ours), text);
	}
}

static void assert_cidr(const char *text, const char *canonical)
{
	char buf[CIDR_TEXT_LEN];
	struct cidr c;

	if (cidr_parse(text, &c) < 0)
		fail_msg("%s: not read", text);
	assert_string_equal(cidr_format(&c, buf), canonical);
}

TEST(reads_cidrs)
{
	static const char *const bad[] = { "10.0.0.0",    "10.0.0.0/", "10.0.0.0/33",      "::/129",
					   "10.0.0.0/8x", "/8",        "::ffff:1.2.3.4/95" };
	struct cidr c;

	assert_cidr("10.1.2.3/8", "10.0.0.0/8");
	assert_cidr("10.1.2.255/25", "10.1.2.128/25");
	assert_cidr("10.0.0.1/025", "10.0.0.0/25");
	assert_cidr("0.0.0.0/0", "0.0.0.0/0");
	assert_cidr("fd00::1/64", "fd00::/64");
	assert_cidr("fd00::ff/121", "fd00::80/121");
	assert_cidr("::ffff:10.1.2.3/104", "10.0.0.0/8");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (cidr_parse(bad[i], &c) != -EINVAL)
			fail_msg("\"%s\" was read", bad[i]);
}

TEST(cidr_membership)
{
	struct cidr c;
	struct address a;

	cidr_parse("10.96.0.0/12", &c);
	address_parse("10.111.255.255", &a);
	assert_true(cidr_contains(&c, &a));
	address_parse("10.112.0.0", &a);
	assert_false(cidr_contains(&c, &a));
	address_parse("a60::", &a); /* the same first bytes, another family */
	assert_false(cidr_contains(&c, &a));
	cidr_parse("::/0", &c);
	assert_true(cidr_contains(&c, &a));
}

TEST(order)
{
	struct address a, b;

	address_parse("9.0.0.1", &a);
	address_parse("10.0.0.1", &b);
	assert_true(address_cmp(&a, &b) < 0 && address_cmp(&b, &a) > 0 && address_cmp(&a, &a) == 0);
	address_parse("::1", &a);
	assert_true(address_cmp(&a, &b) > 0);
	address_parse("::", &a);
	assert_true(address_is_zero(&a));
	assert_false(address_is_zero(&b));
}

TEST(addresses_no_endpoint_may_have)
{
	static const char *const refused[] = { "0.0.0.0",
					       "0.1.2.3",
					       "127.0.0.1",
					       "127.255.0.1",
					       "169.254.169.254",
					       "224.0.0.1",
					       "239.1.1.1",
					       "240.0.0.1",
					       "255.255.255.255",
					       "::",
					       "::1",
					       "fe80::1",
					       "febf::1",
					       "ff02::1",
					       "::ffff:127.0.0.1",
					       "::ffff:169.254.1.1",
					       "::7f00:1",
					       "::ffff:0.0.0.0" };
	static const char *const fine[] = { "10.0.0.1",        "1.2.3.4",        "126.1.1.1",
					    "169.253.1.1",     "192.168.0.1",    "223.255.255.255",
					    "fd00::1",         "fec0::1",        "2001:db8::1",
					    "::ffff:10.0.0.1", "64:ff9b::7f00:1" };
	struct address a;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_int_equal(address_parse(refused[i], &a), 0);
		if (!address_refusal(&a))
			fail_msg("%s was let through", refused[i]);
	}
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		assert_int_equal(address_parse(fine[i], &a), 0);
		if (address_refusal(&a))
			fail_msg("%s %s", fine[i], address_refusal(&a));
	}
	/* the mapped form as bytes, as nothing that went through address_parse() has it */
	a = (struct address){ .family = 6,
			      .b = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 } };
	assert_non_null(address_refusal(&a));
	a.family = 0;
	assert_non_null(address_refusal(&a));
}

RUN(cmocka_unit_test(reads_addresses), cmocka_unit_test(refuses_other_text),
    cmocka_unit_test(agrees_with_libc), cmocka_unit_test(reads_cidrs),
    cmocka_unit_test(cidr_membership), cmocka_unit_test(order),
    cmocka_unit_test(addresses_no_endpoint_may_have))
