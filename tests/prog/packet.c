/* SPDX-License-Identifier: GPL-2.0-only */
/* Builds packets from words, reads them back, and sums their checksums from nothing. */
/* Must not know programs or maps, nor share a line with what changes packets. */
#include "prog/packet.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- who is who -------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name, *v4, *v6;
} plan[HOST_COUNT] = {
	[NOBODY] = { "NOBODY", "0.0.0.0", "::" },
	[CLIENT] = { "CLIENT", "10.1.0.5", "fd00:10:1::5" },
	[CLIENT2] = { "CLIENT2", "10.1.0.6", "fd00:10:1::6" },
	[OUTSIDE] = { "OUTSIDE", "203.0.113.7", "2001:db8:113::7" },
	[VIP] = { "VIP", "10.96.0.10", "fd00:96::10" },
	[VIP2] = { "VIP2", "10.96.0.11", "fd00:96::11" },
	[VIP3] = { "VIP3", "10.96.200.12", "fd00:96::c80c" },
	[UNALLOCATED] = { "UNALLOCATED", "10.96.0.99", "fd00:96::99" },
	[BACKEND1] = { "BACKEND1", "10.1.1.11", "fd00:10:1:1::11" },
	[BACKEND2] = { "BACKEND2", "10.1.2.12", "fd00:10:1:2::12" },
	[BACKEND3] = { "BACKEND3", "10.1.3.13", "fd00:10:1:3::13" },
	[BACKEND4] = { "BACKEND4", "10.1.4.14", "fd00:10:1:4::14" },
	[NODE] = { "NODE", "192.0.2.1", "2001:db8::1" },
	[ROUTER] = { "ROUTER", "198.51.100.1", "2001:db8:51::1" },
	[STRANGER] = { "STRANGER", "10.7.7.77", "fd00:7:7::77" },
	[STRANGER2] = { "STRANGER2", "10.8.8.88", "fd00:8:8::88" },
	/* bytes 12 and 13 of the packet are 0x0800 and 0x86dd */
	[TUNNEL_CLIENT] = { "TUNNEL_CLIENT", "8.0.0.5", "fd00:10:86dd::5" },
};

size_t address_len(int family)
{
	return family == 4 ? 4 : 16;
}

const uint8_t *host_address(int family, enum host host)
{
	static uint8_t made[2][HOST_COUNT][16];
	uint8_t *address = made[family == 6][host];

	assert(host < HOST_COUNT);
	inet_pton(family == 4 ? AF_INET : AF_INET6, family == 4 ? plan[host].v4 : plan[host].v6,
		  address);
	return address;
}

const char *host_name(enum host host)
{
	return plan[host].name;
}

#define RING 16
static char *ring_text(size_t size)
{
	static char ring[RING][512];
	static unsigned int next;

	assert(size <= sizeof(ring[0]));
	next = (next + 1) % RING;
	ring[next][0] = '\0';
	return ring[next];
}

static const char *known_address(size_t len, const void *address, const char **ret_name)
{
	static char text[4][INET6_ADDRSTRLEN];
	static unsigned int next;

	next = (next + 1) % 4;
	inet_ntop(len == 4 ? AF_INET : AF_INET6, address, text[next], sizeof(text[next]));
	*ret_name = NULL;
	for (int h = 0; h < HOST_COUNT; h++)
		if (!memcmp(host_address(len == 4 ? 4 : 6, (enum host)h), address, len))
			*ret_name = plan[h].name;
	return text[next];
}

const char *address_text(int family, const void *address)
{
	const char *name, *text = known_address(address_len(family), address, &name);
	char *out = ring_text(96);

	if (name)
		snprintf(out, 96, "%s (%s)", name, text);
	else
		snprintf(out, 96, "%s", text);
	return out;
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

uint32_t sum_add(uint32_t sum, const void *bytes, size_t len)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? b[i] : (uint32_t)b[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

uint16_t sum_end(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The pseudo header of RFC 9293 3.1 and RFC 8200 8.1 has the same sum in both families: addresses, length, protocol. */
static uint32_t sum_pseudo(int family, const uint8_t *saddr, const uint8_t *daddr, uint8_t proto,
			   size_t len)
{
	uint32_t sum = sum_add(0, saddr, address_len(family));

	sum = sum_add(sum, daddr, address_len(family));
	return sum + proto + (uint32_t)(len >> 16) + (uint32_t)(len & 0xffff);
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

static uint8_t *put(struct frame *frame, const char *name, size_t len)
{
	uint8_t *at = frame->bytes + frame->len;

	assert(frame->len + len <= FRAME_MAX);
	memset(at, 0, len);
	if (frame->n_fields < FRAME_FIELDS && len)
		frame->fields[frame->n_fields++] = (struct frame_field){ .at = (uint16_t)frame->len,
									 .len = (uint16_t)len,
									 .name = name };
	frame->len += len;
	return at;
}

static void put8(struct frame *frame, const char *name, uint8_t value)
{
	*put(frame, name, 1) = value;
}

static uint8_t *put16(struct frame *frame, const char *name, uint32_t value)
{
	uint8_t *at = put(frame, name, 2);

	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
	return at;
}

static void put32(struct frame *frame, const char *name, uint32_t value)
{
	uint8_t *at = put(frame, name, 4);

	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void put_bytes(struct frame *frame, const char *name, const void *bytes, size_t len)
{
	memcpy(put(frame, name, len), bytes, len);
}

static void set16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void mark_checksum(struct frame *frame)
{
	frame->fields[frame->n_fields - 1].checksum = true;
}

static void put_payload(struct frame *frame, size_t len)
{
	uint8_t *at = put(frame, "payload", len);

	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)(i * 7 + 'a');
}

static void build_tcp(const struct packet *p, struct frame *out, uint8_t **ret_checksum)
{
	put16(out, "TCP source port", p->from.port);
	put16(out, "TCP destination port", p->to.port);
	put32(out, "TCP sequence number", p->seq);
	put32(out, "TCP acknowledgement number", p->ack);
	put8(out, "TCP header length", (uint8_t)((20 + p->tcp_options) / 4 << 4));
	put8(out, "TCP flags", p->flags);
	put16(out, "TCP window", 64240);
	*ret_checksum = put16(out, "TCP checksum", 0);
	mark_checksum(out);
	put16(out, "TCP urgent pointer", 0);
	for (int i = 0; i < p->tcp_options; i++)
		put8(out, "TCP options", 1); /* no operation */
	put_payload(out, p->payload);
}

static void build_udp(const struct packet *p, struct frame *out, uint8_t **ret_checksum)
{
	put16(out, "UDP source port", p->from.port);
	put16(out, "UDP destination port", p->to.port);
	put16(out, "UDP length", 8u + p->payload);
	*ret_checksum =
		put16(out, "UDP checksum", 0); /* not mark_checksum(): 0 and 0xffff differ */
	put_payload(out, p->payload);
}

static void build_sctp(const struct packet *p, struct frame *out)
{
	put16(out, "SCTP source port", p->from.port);
	put16(out, "SCTP destination port", p->to.port);
	put32(out, "SCTP verification tag", 0x51515151);
	put32(out, "SCTP CRC", 0xc0ffee01); /* whatever it is, it has to stay */
	put_payload(out, p->payload);
}

static const uint8_t icmp_types[2][NEIGHBOUR + 1] = {
	{ [ECHO_REQUEST] = 8,
	  [ECHO_REPLY] = 0,
	  [UNREACHABLE] = 3,
	  [TOO_BIG] = 3,
	  [TIME_EXCEEDED] = 11,
	  [PARAMETER_PROBLEM] = 12,
	  [NEIGHBOUR] = 10 },
	{ [ECHO_REQUEST] = 128,
	  [ECHO_REPLY] = 129,
	  [UNREACHABLE] = 1,
	  [TOO_BIG] = 2,
	  [TIME_EXCEEDED] = 3,
	  [PARAMETER_PROBLEM] = 4,
	  [NEIGHBOUR] = 135 },
};

static void build_ip(const struct packet *p, struct frame *out);

static void build_icmp(const struct packet *p, struct frame *out, uint8_t **ret_checksum)
{
	put8(out, "ICMP type", icmp_types[p->family == 6][p->icmp]);
	put8(out, "ICMP code", p->family == 4 && p->icmp == TOO_BIG ? 4 : p->icmp_code);
	*ret_checksum = put16(out, "ICMP checksum", 0);
	mark_checksum(out);
	put32(out, "ICMP rest of header", p->icmp_rest);
	if (p->about) {
		size_t begin = out->len, first = out->n_fields;

		build_ip(p->about, out);
		for (size_t i = first; i < out->n_fields; i++) {
			static char names[FRAME_FIELDS][64];

			snprintf(names[i], sizeof(names[i]), "quoted %s", out->fields[i].name);
			out->fields[i].name = names[i];
		}
		if (p->about_len && out->len > begin + p->about_len)
			out->len = begin + p->about_len;
	}
	put_payload(out, p->payload);
}

/* The transport header and all after it, whole, with its checksum. */
static void build_transport(const struct packet *p, struct frame *out)
{
	const uint8_t *saddr = host_address(p->family, p->from.host),
		      *daddr = host_address(p->family, p->to.host);
	uint8_t *checksum = NULL;
	size_t begin = out->len, len;
	uint32_t sum;
	uint16_t value;

	switch (p->proto) {
	case IPPROTO_TCP:
		build_tcp(p, out, &checksum);
		break;
	case IPPROTO_UDP:
		build_udp(p, out, &checksum);
		break;
	case IPPROTO_SCTP:
		build_sctp(p, out);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		build_icmp(p, out, &checksum);
		break;
	default:
		put_payload(out, p->payload);
	}
	if (!checksum || p->no_checksum)
		return;
	len = out->len - begin;
	sum = p->proto == IPPROTO_ICMP ? 0 : sum_pseudo(p->family, saddr, daddr, p->proto, len);
	value = sum_end(sum_add(sum, out->bytes + begin, len));
	if (p->proto == IPPROTO_UDP && !value)
		value = 0xffff;
	/* wrong by an amount that stays the same whatever else is changed */
	set16(checksum, p->wrong_checksum ? (uint16_t)~sum_end(value + 0x1234u) : value);
}

/* Cuts [at, at + len) out of what begins at begin; fields move along. */
static bool keep_slice(struct frame *out, size_t begin, size_t first_field, size_t at, size_t len)
{
	size_t total = out->len - begin, kept = 0;

	assert(at <= total);
	if (at + len > total)
		len = total - at;
	memmove(out->bytes + begin, out->bytes + begin + at, len);
	out->len = begin + len;
	for (size_t i = first_field; i < out->n_fields; i++) {
		struct frame_field field = out->fields[i];

		if (field.at + field.len <= begin + at || field.at >= begin + at + len)
			continue;
		field.at = (uint16_t)(field.at > begin + at ? field.at - at : begin);
		out->fields[first_field + kept++] = field;
	}
	out->n_fields = first_field + kept;
	return at + len < total;
}

static void build_ip4(const struct packet *p, struct frame *out)
{
	size_t begin = out->len, l4, first;
	uint8_t *total, *frag, *checksum;
	bool more = false;

	put8(out, "IP version and header length", (uint8_t)(0x45 + p->options / 4));
	put8(out, "IP type of service", p->tos);
	total = put16(out, "IP total length", 0);
	put16(out, "IP identification", p->id);
	frag = put16(out, "IP fragment offset", 0);
	put8(out, "IP time to live", p->ttl ? p->ttl : 64);
	put8(out, "IP protocol", p->proto);
	checksum = put16(out, "IP checksum", 0);
	mark_checksum(out);
	put_bytes(out, "IP source address", host_address(4, p->from.host), 4);
	put_bytes(out, "IP destination address", host_address(4, p->to.host), 4);
	for (int i = 0; i < p->options; i++)
		put8(out, "IP options", 1);
	l4 = out->len;
	first = out->n_fields;
	build_transport(p, out);
	if (p->slice_len)
		more = keep_slice(out, l4, first, p->slice_at, p->slice_len);
	set16(frag, (uint16_t)(p->slice_at / 8 | (more ? 0x2000 : 0)));
	set16(total, (uint16_t)(out->len - begin));
	set16(checksum, sum_end(sum_add(0, out->bytes + begin, l4 - begin)));
}

/* One extension header; the fragment header's content comes later. */
static uint8_t *build_extension(struct frame *out, uint8_t number, uint8_t next)
{
	uint8_t *at;

	if (number == IPPROTO_FRAGMENT)
		at = put(out, "IPv6 fragment header", 8);
	else if (number == IPPROTO_AH) {
		at = put(out, "IPv6 authentication header", 24);
		at[1] = 4;
	} else {
		at = put(out, "IPv6 extension header", 8);
		if (number == IPPROTO_ROUTING)
			at[2] = 253; /* experimental type, no segments left */
		else
			at[2] = 1, at[3] = 4; /* PadN */
	}
	at[0] = next;
	return at;
}

static void build_ip6(const struct packet *p, struct frame *out)
{
	uint8_t headers[PACKET_EXTENSIONS + 1], *fragment = NULL, *length;
	size_t n = 0, begin, l4 = 0, first = 0;
	bool more = false;

	for (size_t i = 0; i < PACKET_EXTENSIONS && p->extensions[i]; i++)
		headers[n++] = p->extensions[i] == HOP_BY_HOP ? 0 : p->extensions[i];
	if (p->slice_len && !memchr(headers, IPPROTO_FRAGMENT, n))
		headers[n++] = IPPROTO_FRAGMENT;
	put32(out, "IPv6 version and flow label", 6u << 28 | (uint32_t)p->tos << 20 | 0x54321);
	length = put16(out, "IPv6 payload length", 0);
	put8(out, "IPv6 next header", n ? headers[0] : p->proto);
	put8(out, "IPv6 hop limit", p->ttl ? p->ttl : 64);
	put_bytes(out, "IPv6 source address", host_address(6, p->from.host), 16);
	put_bytes(out, "IPv6 destination address", host_address(6, p->to.host), 16);
	begin = out->len;
	for (size_t i = 0; i < n; i++) {
		uint8_t *at =
			build_extension(out, headers[i], i + 1 < n ? headers[i + 1] : p->proto);

		if (headers[i] == IPPROTO_FRAGMENT) {
			fragment = at;
			l4 = out->len;
			first = out->n_fields;
		}
	}
	build_transport(p, out);
	if (p->slice_len)
		more = keep_slice(out, l4, first, p->slice_at, p->slice_len);
	if (fragment) {
		set16(fragment + 2, (uint16_t)((p->slice_at & ~7) | more));
		set16(fragment + 4, (uint16_t)(p->id >> 16));
		set16(fragment + 6, (uint16_t)p->id);
	}
	set16(length, (uint16_t)(out->len - begin));
}

static void build_ip(const struct packet *p, struct frame *out)
{
	if (p->family == 4)
		build_ip4(p, out);
	else
		build_ip6(p, out);
}

void packet_build(const struct packet *p, struct frame *out)
{
	static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 0xaa, 2, 0, 0, 0, 0, 0xbb };

	memset(out, 0, sizeof(*out));
	if (!p->no_ethernet) {
		put_bytes(out, "Ethernet addresses", macs, sizeof(macs));
		if (p->vlan) {
			put16(out, "Ethernet type", 0x8100);
			put16(out, "VLAN tag", p->vlan);
		}
		put16(out, "Ethernet type", p->family == 4 ? 0x0800 : 0x86dd);
	}
	out->l3 = out->len;
	build_ip(p, out);
	if (p->cut && out->len > p->cut)
		out->len = p->cut;
}

struct packet packet_reversed(const struct packet *packet)
{
	struct packet reversed = *packet;

	reversed.from = packet->to;
	reversed.to = packet->from;
	return reversed;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

__attribute__((format(printf, 2, 3))) static void wrong(struct parsed *parsed, const char *format,
							...)
{
	va_list args;

	if (parsed->wrong[0])
		return;
	va_start(args, format);
	vsnprintf(parsed->wrong, sizeof(parsed->wrong), format, args);
	va_end(args);
}

static bool is_icmp_error(const struct parsed *p)
{
	return p->family == 4 ? p->icmp_type == 3 || p->icmp_type == 11 || p->icmp_type == 12
			      : p->icmp_type < 128;
}

static void check_transport(const uint8_t *l4, struct parsed *p)
{
	uint32_t sum = p->proto == IPPROTO_ICMP
			       ? 0
			       : sum_pseudo(p->family, p->saddr, p->daddr, p->proto, p->l4_len);
	size_t at = p->proto == IPPROTO_TCP ? 16 : p->proto == IPPROTO_UDP ? 6 : 2;

	if (p->proto == IPPROTO_SCTP || p->l4_len < at + 2)
		return;
	if (p->proto == IPPROTO_UDP && !get16(l4 + at)) {
		if (p->family == 6)
			wrong(p, "UDP checksum 0 over IPv6");
		return;
	}
	sum = sum_add(sum, l4, p->l4_len);
	if (sum_end(sum))
		wrong(p, "%s checksum %04x does not sum up (off by %04x)",
		      p->proto == IPPROTO_TCP   ? "TCP"
		      : p->proto == IPPROTO_UDP ? "UDP"
						: "ICMP",
		      get16(l4 + at), sum_end(sum));
}

static void parse_transport(const uint8_t *bytes, bool complete, struct parsed *p)
{
	const uint8_t *l4 = bytes + p->l4;

	if (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP || p->proto == IPPROTO_SCTP) {
		if (p->l4_len < 4)
			return;
		p->sport = get16(l4);
		p->dport = get16(l4 + 2);
		if (p->proto == IPPROTO_TCP && p->l4_len >= 14) {
			p->seq = get32(l4 + 4);
			p->ack = get32(l4 + 8);
			p->flags = l4[13] & 63;
		}
		if (p->proto == IPPROTO_UDP && complete && p->l4_len >= 8 &&
		    get16(l4 + 4) != p->l4_len)
			wrong(p, "UDP length %u, %zu there", get16(l4 + 4), p->l4_len);
	} else if (p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6) {
		if (p->l4_len < 8)
			return;
		p->icmp_type = l4[0];
		p->icmp_code = l4[1];
		p->icmp_rest = get32(l4 + 4);
		if (is_icmp_error(p))
			p->quoted = p->l4 + 8;
	} else {
		return;
	}
	if (complete)
		check_transport(l4, p);
}

/* Returns the end of the packet as its header says it, 0 if it cannot be read. */
static size_t parse_ip4(const uint8_t *bytes, size_t len, size_t at, struct parsed *p)
{
	const uint8_t *ip = bytes + at;
	size_t header;

	if (len < at + 20)
		return 0;
	header = (size_t)(ip[0] & 15) * 4;
	if (header < 20 || len < at + header)
		return 0;
	p->family = 4;
	memcpy(p->saddr, ip + 12, 4);
	memcpy(p->daddr, ip + 16, 4);
	p->proto = ip[9];
	p->ttl = ip[8];
	p->tos = ip[1];
	p->id = get16(ip + 4);
	p->fragment_at = (uint16_t)((get16(ip + 6) & 0x1fff) * 8);
	p->more_fragments = get16(ip + 6) & 0x2000;
	p->fragment = p->fragment_at || p->more_fragments;
	p->l4 = at + header;
	if (sum_end(sum_add(0, ip, header)))
		wrong(p, "IP checksum %04x does not sum up", get16(ip + 10));
	return at + get16(ip + 2);
}

static size_t parse_ip6(const uint8_t *bytes, size_t len, size_t at, struct parsed *p)
{
	const uint8_t *ip = bytes + at;
	uint8_t next;

	if (len < at + 40)
		return 0;
	p->family = 6;
	memcpy(p->saddr, ip + 8, 16);
	memcpy(p->daddr, ip + 24, 16);
	p->ttl = ip[7];
	p->tos = (uint8_t)(get16(ip) >> 4);
	next = ip[6];
	p->l4 = at + 40;
	while (next == 0 || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_FRAGMENT) {
		const uint8_t *extension = bytes + p->l4;

		if (len < p->l4 + 8)
			break;
		if (next == IPPROTO_FRAGMENT) {
			p->fragment = true;
			p->fragment_at = get16(extension + 2) & 0xfff8;
			p->more_fragments = extension[3] & 1;
			p->id = get32(extension + 4);
		}
		p->l4 += next == IPPROTO_FRAGMENT ? 8 : ((size_t)extension[1] + 1) * 8;
		next = extension[0];
	}
	p->proto = next;
	return at + 40 + get16(ip + 4);
}

void packet_parse(const uint8_t *bytes, size_t len, size_t at, bool whole, struct parsed *p)
{
	size_t end;

	memset(p, 0, sizeof(*p));
	if (len <= at)
		return;
	end = bytes[at] >> 4 == 4   ? parse_ip4(bytes, len, at, p)
	      : bytes[at] >> 4 == 6 ? parse_ip6(bytes, len, at, p)
				    : 0;
	if (!end)
		return;
	if (whole && end != len)
		wrong(p, "IP length says the frame ends at %zu, it ends at %zu", end, len);
	if (p->l4 > len)
		p->l4 = len;
	p->l4_len = (end < len ? end : len) - (p->l4 < end ? p->l4 : end);
	if (!p->fragment_at)
		parse_transport(bytes, end <= len && !p->more_fragments, p);
}

static int transport_text(const struct parsed *p, char *out, size_t size)
{
	static const char letters[] = "FSRPAU";
	char flags[8] = "";

	if (p->fragment_at)
		return snprintf(out, size, " fragment at %u", p->fragment_at);
	if (p->proto == IPPROTO_TCP) {
		for (int i = 0; i < 6; i++)
			if (p->flags >> i & 1)
				strncat(flags, &letters[i], 1);
		return snprintf(out, size, " TCP %u > %u %s seq %u ack %u", p->sport, p->dport,
				flags, p->seq, p->ack);
	}
	if (p->proto == IPPROTO_UDP || p->proto == IPPROTO_SCTP)
		return snprintf(out, size, " %s %u > %u", p->proto == IPPROTO_UDP ? "UDP" : "SCTP",
				p->sport, p->dport);
	if (p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6)
		return snprintf(out, size, " ICMP type %u code %u rest %#x", p->icmp_type,
				p->icmp_code, p->icmp_rest);
	return snprintf(out, size, " protocol %u", p->proto);
}

static void parsed_text(const struct frame *frame, size_t at, bool whole, char *out, size_t size)
{
	struct parsed p;
	int n;

	packet_parse(frame->bytes, frame->len, at, whole, &p);
	if (!p.family) {
		snprintf(out, size, "%zu bytes that are no IP packet",
			 frame->len - (at < frame->len ? at : frame->len));
		return;
	}
	n = snprintf(out, size, "%s > %s", address_text(p.family, p.saddr),
		     address_text(p.family, p.daddr));
	n += transport_text(&p, out + n, size - (size_t)n);
	if (p.fragment && !p.fragment_at)
		n += snprintf(out + n, size - (size_t)n, " first fragment");
	n += snprintf(out + n, size - (size_t)n, " ttl %u", p.ttl);
	if (p.wrong[0])
		n += snprintf(out + n, size - (size_t)n, " {%s}", p.wrong);
	if (p.quoted && (size_t)n + 8 < size) {
		n += snprintf(out + n, size - (size_t)n, " about [");
		parsed_text(frame, p.quoted, false, out + n, size - (size_t)n - 1);
		strncat(out, "]", 2);
	}
}

const char *frame_text(const struct frame *frame)
{
	char *out = ring_text(512);

	parsed_text(frame, frame->l3, true, out, 510);
	return out;
}

void packet_sum(struct frame *frame)
{
	struct parsed p;
	uint32_t sum;
	uint16_t value;
	size_t at;

	packet_parse(frame->bytes, frame->len, frame->l3, true, &p);
	at = p.l4 + (p.proto == IPPROTO_TCP ? 16u : p.proto == IPPROTO_UDP ? 6u : 2u);
	sum = p.proto == IPPROTO_ICMP ? 0
				      : sum_pseudo(p.family, p.saddr, p.daddr, p.proto, p.l4_len);
	value = sum_end(sum_add(sum, frame->bytes + p.l4, p.l4_len));
	set16(frame->bytes + at, p.proto == IPPROTO_UDP && !value ? 0xffff : value);
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */

static const struct frame_field *field_at(const struct frame *frame, size_t at)
{
	for (size_t i = 0; i < frame->n_fields; i++)
		if (at >= frame->fields[i].at &&
		    at < (size_t)frame->fields[i].at + frame->fields[i].len)
			return &frame->fields[i];
	return NULL;
}

static bool same_number(const struct frame_field *field, const uint8_t *got, const uint8_t *want)
{
	uint16_t a = get16(got + field->at), b = get16(want + field->at);

	return field->checksum && field->len == 2 &&
	       (a == b || (a == 0 && b == 0xffff) || (a == 0xffff && b == 0));
}

static int value_text(const struct frame_field *field, const uint8_t *bytes, char *out, size_t size)
{
	const uint8_t *at = bytes + field->at;
	int n = 0;

	if (strstr(field->name, "address") && (field->len == 4 || field->len == 16))
		return snprintf(out, size, "%s", address_text(field->len == 4 ? 4 : 6, at));
	if (strstr(field->name, "port") && field->len == 2)
		return snprintf(out, size, "%u", get16(at));
	for (int i = 0; i < field->len && i < 16; i++)
		n += snprintf(out + n, size - (size_t)n, "%02x", at[i]);
	return n;
}

const char *frame_difference(const struct frame *got, const struct packet *want_packet)
{
	struct frame want;
	char *out = ring_text(512), a[128], b[128];

	packet_build(want_packet, &want);
	for (size_t i = 0; i < want.len && i < got->len; i++) {
		const struct frame_field *field;

		if (got->bytes[i] == want.bytes[i])
			continue;
		field = field_at(&want, i);
		if (field && same_number(field, got->bytes, want.bytes))
			continue;
		if (!field) {
			snprintf(out, 512, "byte %zu is %02x, must be %02x", i, got->bytes[i],
				 want.bytes[i]);
			return out;
		}
		value_text(field, got->bytes, a, sizeof(a));
		value_text(field, want.bytes, b, sizeof(b));
		snprintf(out, 512, "%s is %s, must be %s", field->name, a, b);
		return out;
	}
	if (got->len == want.len)
		return NULL;
	snprintf(out, 512, "frame has %zu bytes, must have %zu", got->len, want.len);
	return out;
}
