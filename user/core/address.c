// SPDX-License-Identifier: GPL-2.0
/*
 * Addresses and CIDRs: text to bytes, bytes to text, comparisons, and which addresses no endpoint
 * may have.
 */
/* Must not know: sockets, interfaces, resolvers; text is never looked up. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/digit.h"
#include "core/address.h"

/*
 * Decimal number up to max; leading zeros are just zeros. Moves *text behind it. Returns -1 if
 * there is none.
 */
static int parse_decimal(const char **text, int max)
{
	const char *p = *text;
	int value = 0;

	if (*p < '0' || *p > '9')
		return -1;
	for (; *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (*p - '0');
		if (value > max)
			return -1;
	}
	*text = p;
	return value;
}

/* Four decimal numbers up to `end`. */
static int parse4(const char *text, const char *end, uint8_t bytes[4])
{
	for (int i = 0; i < 4; i++) {
		int value;

		if (i > 0 && *text++ != '.')
			return -EINVAL;
		value = parse_decimal(&text, 255);
		if (value < 0)
			return -EINVAL;
		bytes[i] = (uint8_t)value;
	}
	return text == end ? 0 : -EINVAL;
}

/* One group of one to four hexadecimal digits; -1 if there is none. */
static int parse_group(const char **text)
{
	const char *p = *text;
	int value = 0;

	while (digit_hex(*p) >= 0 && p - *text < 4)
		value = value * 16 + digit_hex(*p++);
	if (p == *text || digit_hex(*p) >= 0)
		return -1;
	*text = p;
	return value;
}

static bool is_mapped(const uint8_t b[16])
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(b, prefix, 12) == 0;
}

void address_unmap(struct address *addr)
{
	if (addr->family != 6 || !is_mapped(addr->b))
		return;
	addr->family = 4;
	memmove(addr->b, addr->b + 12, 4);
	memset(addr->b + 4, 0, 12);
}

/*
 * RFC 4291, section 2.2: groups, at most one "::", and perhaps an IPv4 address as the last four
 * bytes.
 */
static int parse6(const char *text, const char *end, uint8_t ret_bytes[16])
{
	uint8_t head[16] = { 0 };
	int len = 0, gap = -1;

	if (end - text >= 2 && text[0] == ':' && text[1] == ':') {
		gap = 0;
		text += 2;
	}
	while (text < end) {
		const char *group = text;
		int value = parse_group(&text);

		if (value >= 0 && text < end && *text == '.')
			value = -1, text = group;
		else if (value < 0 && !(*group >= '0' && *group <= '9'))
			return -EINVAL;
		if (value < 0) {
			if (len > 12 || parse4(group, end, head + len) < 0)
				return -EINVAL;
			len += 4;
			text = end;
			break;
		}
		if (len > 14)
			return -EINVAL;
		head[len++] = (uint8_t)(value >> 8);
		head[len++] = (uint8_t)value;
		if (text == end)
			break;
		if (*text++ != ':')
			return -EINVAL;
		if (text == end)
			return -EINVAL;
		if (*text == ':') {
			if (gap >= 0)
				return -EINVAL;
			gap = len;
			text++;
		}
	}
	if (gap < 0 ? len != 16 : len > 14)
		return -EINVAL;
	memset(ret_bytes, 0, 16);
	if (gap < 0)
		gap = len;
	memcpy(ret_bytes, head, (size_t)gap);
	memcpy(ret_bytes + 16 - (len - gap), head + gap, (size_t)(len - gap));
	return 0;
}

static int parse_range(const char *text, const char *end, struct address *ret_addr,
		       bool *ret_mapped)
{
	struct address addr = { 0 };
	bool mapped = false;

	if (memchr(text, ':', (size_t)(end - text))) {
		if (parse6(text, end, addr.b) < 0)
			return -EINVAL;
		addr.family = 6;
		address_unmap(&addr);
		mapped = addr.family == 4;
	} else {
		if (parse4(text, end, addr.b) < 0)
			return -EINVAL;
		addr.family = 4;
	}
	*ret_addr = addr;
	*ret_mapped = mapped;
	return 0;
}

int address_parse(const char *text, struct address *ret_addr)
{
	bool mapped;

	return parse_range(text, text + strlen(text), ret_addr, &mapped);
}

static void clear_host_bits(struct cidr *c)
{
	int bits = c->len;

	for (int i = 0; i < 16; i++, bits -= 8) {
		if (bits <= 0)
			c->addr.b[i] = 0;
		else if (bits < 8)
			c->addr.b[i] &= (uint8_t)(0xff << (8 - bits));
	}
}

int cidr_parse(const char *text, struct cidr *ret_cidr)
{
	const char *slash = strchr(text, '/');
	struct cidr c = { 0 };
	bool mapped;
	int len;

	if (!slash || parse_range(text, slash, &c.addr, &mapped) < 0)
		return -EINVAL;
	text = slash + 1;
	len = parse_decimal(&text, 128);
	if (len < 0 || *text != '\0')
		return -EINVAL;
	if (mapped)
		len -= 96;
	if (len < 0 || len > (c.addr.family == 4 ? 32 : 128))
		return -EINVAL;
	c.len = (uint8_t)len;
	clear_host_bits(&c);
	*ret_cidr = c;
	return 0;
}

/*
 * The longest run of at least two zero groups, the first of equals (RFC 5952, section 4.2); len 0
 * if there is none.
 */
static void longest_zeros(const uint8_t b[16], int *ret_start, int *ret_len)
{
	int best = 0, best_len = 1;

	for (int i = 0; i < 8; i++) {
		int len = 0;

		while (i + len < 8 && !b[2 * (i + len)] && !b[2 * (i + len) + 1])
			len++;
		if (len > best_len) {
			best = i;
			best_len = len;
		}
		i += len;
	}
	*ret_start = best;
	*ret_len = best_len > 1 ? best_len : 0;
}

static void format6(const uint8_t b[16], char buf[ADDRESS_TEXT_LEN])
{
	int start, len, at = 0;

	if (is_mapped(b)) {
		snprintf(buf, ADDRESS_TEXT_LEN, "::ffff:%d.%d.%d.%d", b[12], b[13], b[14], b[15]);
		return;
	}
	longest_zeros(b, &start, &len);
	for (int i = 0; i < 8; i++) {
		if (len && i == start) {
			at += snprintf(buf + at, (size_t)(ADDRESS_TEXT_LEN - at), "::");
			i += len - 1;
			continue;
		}
		at += snprintf(buf + at, (size_t)(ADDRESS_TEXT_LEN - at), "%s%x",
			       i > 0 && !(len && i == start + len) ? ":" : "",
			       b[2 * i] << 8 | b[2 * i + 1]);
	}
}

const char *address_format(const struct address *addr, char buf[ADDRESS_TEXT_LEN])
{
	const uint8_t *b = addr->b;

	if (addr->family == 4)
		snprintf(buf, ADDRESS_TEXT_LEN, "%d.%d.%d.%d", b[0], b[1], b[2], b[3]);
	else if (addr->family == 6)
		format6(b, buf);
	else
		snprintf(buf, ADDRESS_TEXT_LEN, "none");
	return buf;
}

const char *cidr_format(const struct cidr *cidr, char buf[CIDR_TEXT_LEN])
{
	char text[ADDRESS_TEXT_LEN];

	snprintf(buf, CIDR_TEXT_LEN, "%s/%d", address_format(&cidr->addr, text), cidr->len);
	return buf;
}

int address_cmp(const struct address *a, const struct address *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->b, b->b, sizeof(a->b));
}

bool address_is_zero(const struct address *a)
{
	static const uint8_t zero[16];

	return memcmp(a->b, zero, sizeof(zero)) == 0;
}

bool cidr_contains(const struct cidr *cidr, const struct address *addr)
{
	struct cidr c = { .addr = *addr, .len = cidr->len };

	if (cidr->addr.family != addr->family)
		return false;
	clear_host_bits(&c);
	return memcmp(c.addr.b, cidr->addr.b, sizeof(c.addr.b)) == 0;
}

static const char *refusal4(const uint8_t b[4])
{
	if (b[0] == 0)
		return "is unspecified (0.0.0.0/8)";
	if (b[0] == 127)
		return "is a loopback address (127.0.0.0/8)";
	if (b[0] == 169 && b[1] == 254)
		return "is link-local (169.254.0.0/16)";
	if (b[0] >= 224 && b[0] <= 239)
		return "is a multicast address (224.0.0.0/4)";
	if (b[0] == 255 && b[1] == 255 && b[2] == 255 && b[3] == 255)
		return "is the broadcast address";
	if (b[0] >= 240)
		return "is reserved (240.0.0.0/4)";
	return NULL;
}

static const char *refusal6(const uint8_t b[16])
{
	static const uint8_t zero[16];

	if (memcmp(b, zero, 15) == 0 && b[15] <= 1)
		return b[15] ? "is the loopback address (::1)" : "is unspecified (::)";
	/* ::a.b.c.d and ::ffff:a.b.c.d reach an IPv4 address on some stacks */
	if (memcmp(b, zero, 12) == 0 || is_mapped(b))
		return refusal4(b + 12);
	if (b[0] == 0xfe && (b[1] & 0xc0) == 0x80)
		return "is link-local (fe80::/10)";
	if (b[0] == 0xff)
		return "is a multicast address (ff00::/8)";
	return NULL;
}

const char *address_refusal(const struct address *addr)
{
	if (addr->family == 4)
		return refusal4(addr->b);
	if (addr->family == 6)
		return refusal6(addr->b);
	return "is no IP address";
}
