// SPDX-License-Identifier: GPL-2.0-only
// Lines of /proc/net/nf_conntrack: which of them are of a service that somebody else translates.
/* link: user/cli/leftovers.c user/core/view.c user/core/rows.c user/core/diff.c user/core/diff_row.c user/core/diff_audit.c user/core/diff_look.c user/core/format.c user/core/address.c */
/* link: user/base/arena.c user/base/buf.c user/base/table.c */
#include "unit/test.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "cli/leftovers.h"

static const char udp[] =
	"ipv4     2 udp      17 59 src=10.244.1.100 dst=10.96.0.10 sport=1234 dport=53 [UNREPLIED] src=10.244.1.11 "
	"dst=10.244.1.100 sport=8053 dport=1234 mark=0 zone=0 use=2\n";
static const char tcp6[] =
	"ipv6     10 tcp      6 59 TIME_WAIT src=fd00:0000:0000:0000:0000:0000:0000:0001 dst=fd00:0010:0096:0000:0000:0000:0000:0010 "
	"sport=1234 dport=80 src=fd00:0000:0000:0000:0000:0000:0000:0002 dst=fd00:0000:0000:0000:0000:0000:0000:0001 sport=80 "
	"dport=1234 [ASSURED] mark=0 zone=0 use=2\n";
static const char open_tcp[] =
	"ipv4     2 tcp      6 86399 ESTABLISHED src=10.244.1.100 dst=10.96.0.10 sport=1235 dport=53 src=10.244.1.11 "
	"dst=10.244.1.100 sport=8053 dport=1235 [ASSURED] mark=0 zone=0 use=2\n";
static const char plain[] =
	"ipv4     2 tcp      6 431999 ESTABLISHED src=1.1.1.1 dst=2.2.2.2 sport=1234 dport=80 src=2.2.2.2 dst=1.1.1.1 sport=80 "
	"dport=1234 [ASSURED] mark=0 zone=0 use=2\n";

TEST(translated_or_not)
{
	char text[ADDRESS_TEXT_LEN];
	struct leftover l;

	assert_true(leftovers_parse(udp, &l));
	assert_int_equal(l.proto, IPPROTO_UDP);
	assert_int_equal(l.port, 53);
	assert_string_equal(address_format(&l.vip, text), "10.96.0.10");
	assert_true(l.over);
	assert_true(leftovers_parse(open_tcp, &l));
	assert_false(l.over);
	assert_true(leftovers_parse(tcp6, &l));
	assert_int_equal(l.proto, IPPROTO_TCP);
	assert_int_equal(l.port, 80);
	assert_string_equal(address_format(&l.vip, text), "fd00:10:96::10");
	assert_true(l.over);
	assert_false(leftovers_parse(plain, &l));
}

TEST(what_is_no_such_line)
{
	static const char *const lines[] = {
		"",
		"\n",
		"ipv4 2 icmp 1 29 src=1.1.1.1 dst=2.2.2.2 type=8 code=0 id=1 src=2.2.2.2 dst=1.1.1.1 type=0 code=0 id=1 mark=0\n",
		"ipv4 2 tcp 6 59 src= dst= sport= dport= src= dst= sport= dport=\n",
		"ipv4 2 tcp 6 59 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2\n",
		"ipv4 2 tcp 999 59 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 src=3.3.3.3 dst=1.1.1.1 sport=2 dport=1\n",
		("ipv4 2 tcp 6 59 src=1.1.1.1 dst=nonsense-that-is-longer-than-any-address-can-ever-be-written-in-text sport=1 dport=2 "
		 "src=3.3.3.3 dst=1.1.1.1 sport=2 dport=1\n"),
	};
	struct leftover l;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_false(leftovers_parse(lines[i], &l));
}

TEST(those_of_services_count)
{
	struct view_service services[3] = { { .port = 53, .proto = IPPROTO_TCP },
					    { .port = 53, .proto = IPPROTO_UDP },
					    { .port = 81, .proto = IPPROTO_TCP } };
	const struct view view = { .services = services, .n_services = 3 };
	struct leftovers n;
	char text[2048];
	FILE *file;

	assert_int_equal(address_parse("10.96.0.10", &services[0].vip), 0);
	assert_int_equal(address_parse("10.96.0.10", &services[1].vip), 0);
	assert_int_equal(address_parse("fd00:10:96::10", &services[2].vip), 0);
	snprintf(text, sizeof(text), "%s%s%s%s%s", udp, tcp6, plain, udp, open_tcp);
	file = fmemopen(text, strlen(text), "r");
	assert_non_null(file);
	n = leftovers_count(file, &view);
	assert_int_equal(n.over, 2); /* the other port is nobody's */
	assert_int_equal(n.open, 1);
	fclose(file);
}

static void assert_command(const struct cidr *ranges, size_t n, bool all, const char *want)
{
	struct buf text = { 0 };

	leftovers_command(ranges, n, all, &text);
	assert_string_equal(buf_str(&text), want);
	buf_done(&text);
}

/* That they do what they say shows tests/e2e/cli.bats. */
TEST(commands_name_the_ranges_of_services)
{
	struct cidr ranges[2];

	assert_int_equal(cidr_parse("10.96.0.0/16", &ranges[0]), 0);
	assert_int_equal(cidr_parse("fd00:10:96::/112", &ranges[1]), 0);
	assert_command(
		ranges, 1, false,
		"conntrack -D -p tcp --state TIME_WAIT -d 10.96.0.0/16; conntrack -D -p udp -d 10.96.0.0/16");
	assert_command(ranges, 2, true,
		       "conntrack -D -d 10.96.0.0/16; conntrack -D -d fd00:10:96::/112");
	assert_command(
		NULL, 0, false,
		"conntrack -D -p tcp --state TIME_WAIT -f ipv4 --dst-nat; conntrack -D -p udp -f ipv4 --dst-nat; "
		"conntrack -D -p tcp --state TIME_WAIT -f ipv6 --dst-nat; conntrack -D -p udp -f ipv6 --dst-nat");
	assert_command(NULL, 0, true, "");
}

RUN(cmocka_unit_test(translated_or_not), cmocka_unit_test(what_is_no_such_line),
    cmocka_unit_test(those_of_services_count),
    cmocka_unit_test(commands_name_the_ranges_of_services))
