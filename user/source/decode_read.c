// SPDX-License-Identifier: GPL-2.0-only
/* Readers of what several kinds have: ports, addresses, CIDRs, names, times. */
/* Must not know which object it reads. */
#include "source/decode_read.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "source/decode.h"

const char *const decode_family_words[] = { "IPv4", "IPv6", NULL };
const char *const decode_proto_words[] = { "TCP", "UDP", "SCTP", NULL };
const uint8_t decode_protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };

bool field_port(struct notes *n, const struct field *f, uint16_t *ret_port)
{
	int64_t number;

	if (!field_int(n, f, "a port", 1, 65535, &number))
		return false;
	*ret_port = (uint16_t)number;
	return true;
}

/* 0 or absent means none. */
uint16_t field_optional_port(struct notes *n, const struct field *f)
{
	int64_t number = 0;

	field_int(n, f, "a port", 0, 65535, &number);
	return (uint16_t)number;
}

/* The part of text between white space. */
static void trim(const char *text, char *buf, size_t size)
{
	size_t len;

	while (isspace((unsigned char)*text))
		text++;
	len = strlen(text);
	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	if (len >= size) /* longer than any address: parsing it will fail, as it should */
		len = size - 1;
	memcpy(buf, text, len);
	buf[len] = '\0';
}

bool field_address_text(struct notes *n, const struct field *f, const char *text,
			struct address *ret_addr)
{
	char shown[VALUE_SHOWN_LEN];

	if (address_parse(text, ret_addr) == 0)
		return true;
	note(n, f, "is %s, not an IP address, and ignored: write it as 10.0.0.1 or fd00::1",
	     value_show(f->value, shown));
	return false;
}

/* A list of addresses; what is none is noted and left out. */
void field_addresses(struct notes *n, const struct field *list, struct address **ret_addrs,
		     size_t *ret_n)
{
	struct address *addrs;
	struct field e;
	const char *text;
	size_t used = 0;

	if (!field_is_list(n, list))
		return;
	addrs = notes_calloc(n, value_count(list->value), sizeof(*addrs));
	for (e = field_first(list); addrs && e.value.node; field_next(&e)) {
		text = field_string(n, &e);
		if (text && field_address_text(n, &e, text, &addrs[used]))
			used++;
	}
	*ret_addrs = addrs;
	*ret_n = used;
}

void field_cidrs(struct notes *n, const struct field *list, struct cidr **ret_cidrs, size_t *ret_n)
{
	char trimmed[64], shown[VALUE_SHOWN_LEN];
	struct cidr *cidrs;
	struct field e;
	const char *text;
	size_t used = 0;

	if (!field_is_list(n, list))
		return;
	cidrs = notes_calloc(n, value_count(list->value), sizeof(*cidrs));
	for (e = field_first(list); cidrs && e.value.node; field_next(&e)) {
		text = value_string(e.value); /* with white space of any kind around it */
		if (!text)
			text = field_string(n, &e);
		if (!text)
			continue;
		trim(text, trimmed, sizeof(trimmed));
		if (cidr_parse(trimmed, &cidrs[used]) == 0)
			used++;
		else
			note(n, &e, "is %s, not a CIDR, and ignored: write it as 10.0.0.0/8",
			     value_show(e.value, shown));
	}
	*ret_cidrs = cidrs;
	*ret_n = used;
}

/* The `name` members of a list of maps. */
void field_names(struct notes *n, const struct field *list, char ***ret_names, size_t *ret_n)
{
	struct field e, name;
	char **names;
	size_t used = 0;

	if (!field_is_list(n, list))
		return;
	names = notes_calloc(n, value_count(list->value), sizeof(*names));
	for (e = field_first(list); names && e.value.node; field_next(&e)) {
		if (!field_is_map(n, &e))
			continue;
		name = field_get(&e, "name");
		names[used] = field_strdup(n, &name);
		used += names[used] != NULL;
	}
	*ret_names = names;
	*ret_n = used;
}

/* n digits at *text, which moves behind them; -1 if they are not there. */
static int digits(const char **text, int n)
{
	int number = 0;

	for (; n > 0; n--, (*text)++) {
		if (!isdigit((unsigned char)**text))
			return -1;
		number = number * 10 + (**text - '0');
	}
	return number;
}

static bool skip_char(const char **text, const char *set)
{
	if (!**text || !strchr(set, **text))
		return false;
	(*text)++;
	return true;
}

/* Days since 1970 of a date in the Gregorian calendar; years are counted from March, so leap days come last. */
static int64_t days_from_date(int year, int month, int day)
{
	int y = month > 2 ? year : year - 1;
	int m = month > 2 ? month - 3 : month + 9;

	return 365LL * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool parse_zone(const char *text, int *ret_offset_s)
{
	int hours, minutes, sign;

	if (skip_char(&text, "Zz")) {
		*ret_offset_s = 0;
		return *text == '\0';
	}
	sign = *text == '-' ? -1 : 1;
	if (!skip_char(&text, "+-"))
		return false;
	hours = digits(&text, 2);
	if (hours < 0 || hours > 23 || !skip_char(&text, ":"))
		return false;
	minutes = digits(&text, 2);
	*ret_offset_s = sign * (hours * 3600 + minutes * 60);
	return minutes >= 0 && minutes <= 59 && *text == '\0';
}

/* ".123" behind the seconds, as nanoseconds; digits beyond the ninth are dropped. */
static bool parse_fraction(const char **text, int64_t *ret_ns)
{
	int64_t unit = 100000000, ns = 0;

	if (skip_char(text, ".,")) {
		if (!isdigit((unsigned char)**text))
			return false;
		for (; isdigit((unsigned char)**text); (*text)++, unit /= 10)
			ns += (**text - '0') * unit;
	}
	*ret_ns = ns;
	return true;
}

int decode_time(const char *text, int64_t *ret_ns)
{
	int year, month, day, hour, minute, second, offset_s;
	int64_t ns;

	year = digits(&text, 4);
	if (year < 1970 || year > 2261 || !skip_char(&text, "-"))
		return -EINVAL;
	month = digits(&text, 2);
	if (month < 1 || month > 12 || !skip_char(&text, "-"))
		return -EINVAL;
	day = digits(&text, 2);
	if (day < 1 || day > 31 || !skip_char(&text, "Tt "))
		return -EINVAL;
	hour = digits(&text, 2);
	if (hour < 0 || hour > 23 || !skip_char(&text, ":"))
		return -EINVAL;
	minute = digits(&text, 2);
	if (minute < 0 || minute > 59 || !skip_char(&text, ":"))
		return -EINVAL;
	second = digits(&text, 2);
	if (second < 0 || second > 60 || !parse_fraction(&text, &ns) ||
	    !parse_zone(text, &offset_s))
		return -EINVAL;
	ns += (days_from_date(year, month, day) * 86400 + hour * 3600LL + minute * 60LL + second -
	       offset_s) *
	      1000000000LL;
	*ret_ns = ns;
	return 0;
}

int64_t field_time(struct notes *n, const struct field *f)
{
	const char *text = field_string(n, f);
	char shown[VALUE_SHOWN_LEN];
	int64_t ns;

	if (!text)
		return 0;
	if (decode_time(text, &ns) == 0)
		return ns;
	note(n, f, "is %s, not a time, and ignored: write it as 2025-01-31T12:00:00Z",
	     value_show(f->value, shown));
	return 0;
}
