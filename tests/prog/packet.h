/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets for fixtures: told in words, built into bytes, read back into words.
 *
 *	struct packet syn = TCP(4, AT(CLIENT, 40000), AT(VIP, 80), SYN);
 *	struct packet big = UDP(6, AT(BACKEND1, 8080), AT(CLIENT, 40000), .payload = 1200, .id = 7);
 *	struct packet err = ICMP_ERROR(4, ROUTER, CLIENT, UNREACHABLE, 4, &syn, .icmp_rest = 1400);
 *
 * The checksums are summed here from nothing, never adjusted, so that they check the ones under test. Addresses are
 * hosts of a fixed plan (packet.c), one address for each family.
 */
#ifndef PROG_PACKET_H
#define PROG_PACKET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who is who. */
enum host {
	NOBODY, /* the unspecified address */
	CLIENT,
	CLIENT2,
	OUTSIDE, /* a client out of the cluster */
	VIP,
	VIP2,
	VIP3,        /* inside the service CIDR */
	UNALLOCATED, /* inside the service CIDR, of no service */
	BACKEND1,
	BACKEND2,
	BACKEND3,
	BACKEND4,
	NODE,
	ROUTER,
	STRANGER, /* neither client, service nor backend */
	STRANGER2,
	TUNNEL_CLIENT, /* its first bytes look like an Ethernet type, see harness_run() */
	HOST_COUNT,
};

struct end {
	enum host host;
	uint16_t port;
};
#define AT(host_, port_) ((struct end){ (host_), (port_) })

/* TCP flags */
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32 };

/* What an ICMP message says, whatever the family calls it. */
enum icmp_what {
	ECHO_REQUEST,
	ECHO_REPLY,
	UNREACHABLE,
	TOO_BIG,
	TIME_EXCEEDED,
	PARAMETER_PROBLEM,
	NEIGHBOUR
};

#define PACKET_EXTENSIONS 8

/* A datagram, or a slice of it. Zero means "the usual". */
struct packet {
	int family; /* 4 or 6 */
	uint8_t proto;
	struct end from, to;
	uint8_t flags; /* TCP */
	uint32_t seq, ack;
	uint16_t payload; /* bytes after the transport header, a fixed pattern */
	bool no_checksum; /* UDP: field 0 */
	bool wrong_checksum;

	enum icmp_what icmp;
	uint8_t icmp_code;
	uint32_t icmp_rest;         /* the four bytes after the ICMP checksum, host order */
	const struct packet *about; /* the packet an ICMP error quotes */
	uint16_t about_len;         /* of it, from its IP header; 0 = all */

	uint8_t ttl, tos;
	uint32_t id; /* IPv4 identification, or that of the IPv6 fragment header */
	uint16_t slice_at,
		slice_len; /* a fragment: these bytes of what follows the IP header (and extensions before the fragment header) */
	uint8_t options;   /* IPv4: bytes of options, a multiple of 4 */
	uint8_t tcp_options; /* bytes */
	uint8_t extensions
		[PACKET_EXTENSIONS]; /* IPv6: header numbers in order, 0-terminated (hop-by-hop, which is 0, is HOP_BY_HOP here) */

	uint16_t vlan; /* 802.1Q tag in the data; 0 = none */
	bool no_ethernet;
	uint16_t cut; /* frame ends after so many bytes; 0 = whole */
};

#define HOP_BY_HOP 255 /* stands for header number 0 in extensions[] */

#define TCP(family_, from_, to_, flags_, ...)   \
	((struct packet){ .family = (family_),  \
			  .proto = IPPROTO_TCP, \
			  .from = from_,        \
			  .to = to_,            \
			  .flags = (flags_),    \
			  ##__VA_ARGS__ })
#define UDP(family_, from_, to_, ...)           \
	((struct packet){ .family = (family_),  \
			  .proto = IPPROTO_UDP, \
			  .from = from_,        \
			  .to = to_,            \
			  ##__VA_ARGS__ })
#define SCTP(family_, from_, to_, ...)           \
	((struct packet){ .family = (family_),   \
			  .proto = IPPROTO_SCTP, \
			  .from = from_,         \
			  .to = to_,             \
			  ##__VA_ARGS__ })
#define ICMP(family_, from_, to_, what_, ...)                                      \
	((struct packet){ .family = (family_),                                     \
			  .proto = (family_) == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, \
			  .from = { from_, 0 },                                    \
			  .to = { to_, 0 },                                        \
			  .icmp = (what_),                                         \
			  ##__VA_ARGS__ })
/* about_ is the address of a packet that outlives this one. */
#define ICMP_ERROR(family_, from_, to_, what_, code_, about_, ...) \
	ICMP(family_, from_, to_, what_, .icmp_code = (code_), .about = (about_), ##__VA_ARGS__)
/* Any other protocol: bytes and no ports. */
#define OTHER(family_, proto_, from_, to_, ...) \
	((struct packet){ .family = (family_),  \
			  .proto = (proto_),    \
			  .from = { from_, 0 }, \
			  .to = { to_, 0 },     \
			  ##__VA_ARGS__ })

#define FRAME_MAX    4096
#define FRAME_FIELDS 96

/* A field that packet_build() wrote, for messages. */
struct frame_field {
	uint16_t at, len;
	const char *name;
	bool checksum; /* 0 and 0xffff are the same number (not in UDP, where 0 says "not computed") */
};

struct frame {
	uint8_t bytes[FRAME_MAX];
	size_t len;
	size_t l3; /* where the IP header begins */
	struct frame_field fields[FRAME_FIELDS];
	size_t n_fields;
};

/* The address of a host: 4 or 16 bytes. */
const uint8_t *host_address(int family, enum host host);
size_t address_len(int family);
const char *host_name(enum host host);
/* "CLIENT (10.1.0.5)"; a static ring of buffers. */
const char *address_text(int family, const void *address);

void packet_build(const struct packet *packet, struct frame *ret_frame);
/* Sums the transport checksum of a built frame again, after a test wrote into its bytes (field 0 before). */
void packet_sum(struct frame *frame);
/* Replies and errors turn a packet round. */
struct packet packet_reversed(const struct packet *packet);

/* What a reader of the wire sees. Lengths are those of the frame: nothing is read beyond it. */
struct parsed {
	int family; /* 0: no IP packet */
	uint8_t saddr[16], daddr[16];
	uint8_t proto;         /* of the transport header; 0 where unknown */
	uint16_t sport, dport; /* 0 where there are none */
	uint8_t flags;
	uint32_t seq, ack;
	uint8_t ttl, tos;
	uint32_t id;
	uint16_t fragment_at;
	bool more_fragments, fragment;
	uint8_t icmp_type, icmp_code;
	uint32_t icmp_rest;
	size_t l4, l4_len; /* in the frame */
	size_t quoted;     /* ICMP errors: where the quoted packet begins; 0 = none */
	char wrong[160];   /* first checksum or length that is not right; empty = all are */
};
/* at: where the IP header begins. whole: the packet must end where it says it does (a quoted one may be cut). */
void packet_parse(const uint8_t *bytes, size_t len, size_t at, bool whole,
		  struct parsed *ret_parsed);
/* One line, as tcpdump would; a static ring of buffers. */
const char *frame_text(const struct frame *frame);

/*
 * Is got exactly what want says? Everything is compared to the byte, but checksums of IP, TCP and ICMP as numbers of ones'
 * complement (0 = 0xffff). NULL, or a sentence with the first field that differs.
 */
const char *frame_difference(const struct frame *got, const struct packet *want);

/* The ones' complement sum of RFC 1071 over bytes, on top of sum; fold and complement it with sum_end(). */
uint32_t sum_add(uint32_t sum, const void *bytes, size_t len);
uint16_t sum_end(uint32_t sum);

#endif
