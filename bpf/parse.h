/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Bytes → struct V(pkt). The only file that reads packet headers with bounds checks of its own.
 *
 * The tuple keeps the packet's view: addresses as they are, ports in host order. What has no ports (later fragments,
 * ICMP, other protocols) leaves them 0.
 */

#ifndef BPF_PARSE_ONCE
#define BPF_PARSE_ONCE
#define PARSE_L3_MAX  15  /* offset of the IP header: 14, or 0 without Ethernet; masks tell the verifier */
#define PARSE_L4_MAX  127 /* offset of the transport header; more is malformed */
#define PARSE_REACH   160 /* bytes that hold the headers of all but odd packets */
#define PARSE_EXT_MAX 6   /* IPv6 extension headers */
#define IP_MF         0x2000
#define IP_OFFSET     0x1fff
#define TCP_FLAG_BYTE 13
#define TCP_FIN       0x01
#define TCP_SYN       0x02
#define TCP_RST       0x04
#define TCP_ACK       0x10

enum parse_result {
	PARSE_OK,
	PARSE_SHORT,     /* headers are not within the bytes at hand */
	PARSE_MALFORMED, /* not a packet of this family that could be translated */
};

enum {
	PKT_FIRST_FRAGMENT = 1 << 0,
	PKT_LATER_FRAGMENT = 1 << 1,
	PKT_ICMP_ERROR = 1 << 2,
};

/* IPv6 extension headers that are walked (RFC 8200 section 4). */
static __always_inline bool is_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_FRAGMENT;
}
#endif

struct V(pkt) {
	struct V(flow_key) key;
	__u64 now;
	__u32 len; /* of the frame */
	__u32 id;  /* of the datagram, for fragments */
	__u32 l3;  /* offsets from the start of the frame */
	__u32 l4;
	__u8 tcp_flags;
	__u8 marks;  /* PKT_ */
	__u8 client; /* set by walks: the key's source is the client's */
	__u8 stale;  /* an entry of this key exists that must not be used */
};

#if FAMILY == 4
static __always_inline enum parse_result V(parse_l3)(void *data, void *end, struct V(pkt) *p)
{
	struct iphdr *ip = data + (p->l3 & PARSE_L3_MAX);
	__u16 frag;

	KEEP(ip);
	if ((void *)(ip + 1) > end)
		return PARSE_SHORT;
	if (ip->version != 4 || ip->ihl < 5)
		return PARSE_MALFORMED;
	V(addr_copy)(p->key.saddr, &ip->saddr);
	V(addr_copy)(p->key.daddr, &ip->daddr);
	p->key.proto = ip->protocol;
	p->l4 = p->l3 + ip->ihl * 4;
	frag = bpf_ntohs(ip->frag_off);
	if (frag & (IP_MF | IP_OFFSET)) {
		p->id = bpf_ntohs(ip->id);
		p->marks = frag & IP_OFFSET ? PKT_LATER_FRAGMENT : PKT_FIRST_FRAGMENT;
	}
	return PARSE_OK;
}
#else
static __always_inline enum parse_result V(parse_l3)(void *data, void *end, struct V(pkt) *p)
{
	struct ipv6hdr *ip = data + (p->l3 & PARSE_L3_MAX);
	__u32 at = p->l3 + sizeof(*ip);
	__u8 next;

	KEEP(ip);
	if ((void *)(ip + 1) > end)
		return PARSE_SHORT;
	if (ip->version != 6)
		return PARSE_MALFORMED;
	V(addr_copy)(p->key.saddr, &ip->saddr);
	V(addr_copy)(p->key.daddr, &ip->daddr);
	next = ip->nexthdr;
	for (int i = 0; i < PARSE_EXT_MAX; i++) {
		__u8 *h;

		if (!is_extension(next))
			break;
		if (at > PARSE_L4_MAX - 8)
			return PARSE_MALFORMED;
		h = data + at;
		KEEP(h);
		if ((void *)(h + 8) > end)
			return PARSE_SHORT;
		if (next == IPPROTO_FRAGMENT) {
			__u16 frag = h[2] << 8 | h[3];

			p->id = (__u32)h[4] << 24 | h[5] << 16 | h[6] << 8 | h[7];
			if (frag & 0xfff8)
				p->marks = PKT_LATER_FRAGMENT;
			else if (frag & 1)
				p->marks = PKT_FIRST_FRAGMENT;
			at += 8;
		} else {
			at += (h[1] + 1) * 8;
		}
		next = h[0];
		if (p->marks & PKT_LATER_FRAGMENT)
			break; /* what follows is data */
	}
	if (at > PARSE_L4_MAX || (is_extension(next) && !(p->marks & PKT_LATER_FRAGMENT)))
		return PARSE_MALFORMED;
	p->key.proto = next;
	p->l4 = at;
	return PARSE_OK;
}
#endif

#if FAMILY == 4
static __always_inline bool V(is_icmp_error)(__u8 type)
{
	return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}
#define V_ICMP IPPROTO_ICMP
#else
static __always_inline bool V(is_icmp_error)(__u8 type)
{
	return type < 128; /* RFC 4443: informational messages begin at 128 */
}
#undef V_ICMP
#define V_ICMP IPPROTO_ICMPV6
#endif

/* Ports and flags. Protocols without ports are left as they are. */
static __always_inline enum parse_result V(parse_l4)(void *data, void *end, struct V(pkt) *p)
{
	__u8 *l4 = data + (p->l4 & PARSE_L4_MAX);

	KEEP(l4);
	if (p->marks & PKT_LATER_FRAGMENT)
		return PARSE_OK;
	switch (p->key.proto) {
	case IPPROTO_TCP:
		if ((void *)(l4 + sizeof(struct tcphdr)) > end)
			return PARSE_SHORT;
		p->tcp_flags = l4[TCP_FLAG_BYTE];
		break;
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		if ((void *)(l4 + sizeof(struct udphdr)) > end)
			return PARSE_SHORT;
		break;
	case V_ICMP:
		if ((void *)(l4 + 8) > end)
			return PARSE_SHORT;
		if (V(is_icmp_error)(l4[0]))
			p->marks |= PKT_ICMP_ERROR;
		return PARSE_OK;
	default:
		return PARSE_OK;
	}
	p->key.sport = bpf_ntohs(*(__be16 *)l4);
	p->key.dport = bpf_ntohs(*(__be16 *)(l4 + 2));
	return PARSE_OK;
}

/* Is this a protocol that services have? */
static __always_inline bool V(has_ports)(const struct V(pkt) *p)
{
	return p->key.proto == IPPROTO_TCP || p->key.proto == IPPROTO_UDP || p->key.proto == IPPROTO_SCTP;
}
