// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names and numbers as people read them, and back.
 * Must not know where values come from, nor how output is laid out.
 */
#include "core/format.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

const char *format_endpoint(const struct address *addr, uint16_t port,
			    char buf[FORMAT_ENDPOINT_LEN])
{
	char text[ADDRESS_TEXT_LEN];

	address_format(addr, text);
	if (!port)
		snprintf(buf, FORMAT_ENDPOINT_LEN, "%s", text);
	else
		snprintf(buf, FORMAT_ENDPOINT_LEN, addr->family == 6 ? "[%s]:%u" : "%s:%u", text,
			 port);
	return buf;
}

/* Digits only, 1..max. */
static int parse_number(const char *text, unsigned long max, unsigned long *ret_number)
{
	size_t len = strlen(text);
	unsigned long number;

	if (!len || len > 9 || strspn(text, "0123456789") != len)
		return -EINVAL;
	number = strtoul(text, NULL, 10);
	if (number > max)
		return -EINVAL;
	*ret_number = number;
	return 0;
}

int format_parse_endpoint(const char *text, struct address *ret_addr, uint16_t *ret_port)
{
	const char *first = strchr(text, ':'), *last = strrchr(text, ':');
	const char *host = text, *port_text = NULL;
	char copy[ADDRESS_TEXT_LEN];
	unsigned long port = 0;
	struct address addr;
	size_t len;

	if (text[0] == '[') {
		const char *end = strchr(text, ']');

		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		host = text + 1;
		len = (size_t)(end - host);
		port_text = end[1] ? end + 2 : NULL;
	} else if (first && first == last) {
		len = (size_t)(last - text);
		port_text = last + 1;
	} else {
		len = strlen(text);
	}
	if (len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, host, len);
	copy[len] = '\0';
	if (address_parse(copy, &addr) < 0 || (text[0] == '[' && !strchr(copy, ':')))
		return -EINVAL;
	if (port_text && (parse_number(port_text, UINT16_MAX, &port) < 0 || !port))
		return -EINVAL;
	*ret_addr = addr;
	*ret_port = (uint16_t)port;
	return 0;
}

static const struct {
	uint8_t proto;
	const char *name;
} protos[] = {
	{ IPPROTO_TCP, "TCP" },   { IPPROTO_UDP, "UDP" },       { IPPROTO_SCTP, "SCTP" },
	{ IPPROTO_ICMP, "ICMP" }, { IPPROTO_ICMPV6, "ICMPv6" },
};

int format_parse_proto(const char *text, uint8_t *ret_proto)
{
	unsigned long number;

	for (size_t i = 0; i < ARRAY_LEN(protos); i++)
		if (!strcasecmp(text, protos[i].name)) {
			*ret_proto = protos[i].proto;
			return 0;
		}
	if (parse_number(text, UINT8_MAX, &number) < 0)
		return -EINVAL;
	*ret_proto = (uint8_t)number;
	return 0;
}

const char *format_proto(uint8_t proto, char buf[FORMAT_SHORT_LEN])
{
	for (size_t i = 0; i < ARRAY_LEN(protos); i++)
		if (protos[i].proto == proto)
			return protos[i].name;
	snprintf(buf, FORMAT_SHORT_LEN, "proto-%u", proto);
	return buf;
}

/* Two units next to each other; the smaller one is left out where it is 0. */
static void print_units(char buf[FORMAT_SHORT_LEN], uint64_t big, const char *big_unit,
			uint64_t small, const char *small_unit)
{
	if (small)
		snprintf(buf, FORMAT_SHORT_LEN, "%" PRIu64 "%s%" PRIu64 "%s", big, big_unit, small,
			 small_unit);
	else
		snprintf(buf, FORMAT_SHORT_LEN, "%" PRIu64 "%s", big, big_unit);
}

const char *format_age(uint64_t ns, char buf[FORMAT_SHORT_LEN])
{
	uint64_t s = ns / NS_PER_S;

	if (!s)
		snprintf(buf, FORMAT_SHORT_LEN, "%" PRIu64 "ms", ns / NS_PER_MS);
	else if (s < 120)
		snprintf(buf, FORMAT_SHORT_LEN, "%" PRIu64 "s", s);
	else if (s < 7200)
		print_units(buf, s / 60, "m", s % 60, "s");
	else if (s < 2 * 86400)
		print_units(buf, s / 3600, "h", s / 60 % 60, "m");
	else
		print_units(buf, s / 86400, "d", s / 3600 % 24, "h");
	return buf;
}

const char *format_bytes(uint64_t bytes, char buf[FORMAT_SHORT_LEN])
{
	static const char *const units[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
	uint64_t whole = bytes, rest = 0;
	size_t unit = 0;

	while (whole >= 1024) {
		rest = whole % 1024;
		whole /= 1024;
		unit++;
	}
	if (unit && whole < 10)
		snprintf(buf, FORMAT_SHORT_LEN, "%" PRIu64 ".%" PRIu64 "%s", whole,
			 rest * 10 / 1024, units[unit]);
	else
		snprintf(buf, FORMAT_SHORT_LEN, "%" PRIu64 "%s", whole, units[unit]);
	return buf;
}

/* ---- names of enumerations ---------------------------------------------------------------------------------------- */

static const char *name_at(const char *const *names, size_t n, size_t at)
{
	return at < n ? names[at] : "?";
}

const char *format_flow_kind(enum sl_flow_kind kind)
{
	static const char *const names[] = { "none", "request", "reply", "snat", "unsnat" };

	return name_at(names, ARRAY_LEN(names), kind);
}

const char *format_flow_state(enum sl_flow_state state)
{
	static const char *const names[] = {
		"none", "new", "replied", "confirmed", "half-closed", "closing",
	};

	return name_at(names, ARRAY_LEN(names), state);
}

const char *format_hook(enum sl_hook hook)
{
	static const char *const names[] = { "xdp", "ingress", "egress", "socket" };

	return name_at(names, ARRAY_LEN(names), hook);
}

const char *format_verdict(enum sl_verdict verdict)
{
	static const char *const names[] = { "pass", "forward", "reject", "drop" };

	return name_at(names, ARRAY_LEN(names), verdict);
}

static const struct {
	const char *name;
	enum sl_verdict verdict;
	const char *text;
	const char *advice;
} reasons[] = {
#define FORMAT_REASON(name, class, text, advice) { #name, SL_VERDICT_##class, text, advice },
	SL_REASONS(FORMAT_REASON)
#undef FORMAT_REASON
};

const char *format_reason_name(enum sl_reason reason)
{
	return reason < ARRAY_LEN(reasons) ? reasons[reason].name : "?";
}

const char *format_reason_text(enum sl_reason reason)
{
	return reason < ARRAY_LEN(reasons) ? reasons[reason].text : "?";
}

const char *format_reason_advice(enum sl_reason reason)
{
	return reason < ARRAY_LEN(reasons) ? reasons[reason].advice : "";
}

enum sl_verdict format_reason_verdict(enum sl_reason reason)
{
	return reason < ARRAY_LEN(reasons) ? reasons[reason].verdict : SL_VERDICT_PASS;
}

/* ---- flags --------------------------------------------------------------------------------------------------------- */

struct flag_name {
	uint16_t flag;
	const char *name;
};

static const char *flags_write(uint16_t flags, const struct flag_name *names, size_t n,
			       char buf[FORMAT_FLAGS_LEN])
{
	size_t len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < n; i++)
		if (flags & names[i].flag && len < FORMAT_FLAGS_LEN)
			len += (size_t)snprintf(buf + len, FORMAT_FLAGS_LEN - len, "%s%s",
						len ? "," : "", names[i].name);
	if (!len)
		snprintf(buf, FORMAT_FLAGS_LEN, "-");
	return buf;
}

const char *format_backend_flags(uint16_t flags, char buf[FORMAT_FLAGS_LEN])
{
	static const struct flag_name names[] = {
		{ SL_BACKEND_IN_CLUSTER, "cluster" },      { SL_BACKEND_IN_LOCAL, "local" },
		{ SL_BACKEND_SERVING, "serving" },         { SL_BACKEND_LOCAL, "here" },
		{ SL_BACKEND_TERMINATING, "terminating" },
	};

	return flags_write(flags, names, ARRAY_LEN(names), buf);
}

const char *format_flow_flags(uint16_t flags, char buf[FORMAT_FLAGS_LEN])
{
	static const struct flag_name names[] = {
		{ SL_FLOW_LOCAL_LIST, "local-list" },
		{ SL_FLOW_FIN_REQUEST, "fin-request" },
		{ SL_FLOW_FIN_REPLY, "fin-reply" },
		{ SL_FLOW_HAIRPIN, "hairpin" },
		{ SL_FLOW_PORT, "port" },
		{ SL_FLOW_SNAT_BOTH, "snat" },
		{ SL_FLOW_COUNTED, "counted" },
		{ SL_FLOW_BYPASS, "fast" },
	};

	return flags_write(flags, names, ARRAY_LEN(names), buf);
}
