/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ICMP errors about translated packets: the packet quoted inside is what the sender of the error saw, and has to become what
 * the receiver sent. Outer and inner headers and all checksums (RFC 792, RFC 4443, RFC 5508 section 4.2).
 *
 * Slow path, so by helpers with offsets that vary. Every change inside is made good by the ICMP checksum, so skb->csum stays
 * right; ICMP is never CHECKSUM_PARTIAL.
 */

#ifndef BPF_ICMP_ONCE
#define BPF_ICMP_ONCE
#define ICMP_HEADER     8
#define ICMP_CHECK      2
#define INNER_L4_QUOTED 8 /* at least this much is quoted */
#define INNER_EXT_MAX   3 /* IPv6 extension headers of the quoted packet */
#endif

#if FAMILY == 4
#define IP_PROTO __builtin_offsetof(struct iphdr, protocol)
#define IP_SADDR __builtin_offsetof(struct iphdr, saddr)
#define IP_DADDR __builtin_offsetof(struct iphdr, daddr)
#else
#undef IP_PROTO
#undef IP_SADDR
#undef IP_DADDR
#define IP_PROTO __builtin_offsetof(struct ipv6hdr, nexthdr)
#define IP_SADDR __builtin_offsetof(struct ipv6hdr, saddr)
#define IP_DADDR __builtin_offsetof(struct ipv6hdr, daddr)
#endif

struct V(inner) {
	struct V(flow_key) *key; /* as quoted, not turned round; work.twin */
	__u32 l3;
	__u32 l4;
};

/* Reads the quoted packet's tuple. */
static __always_inline bool V(inner_parse)(struct __sk_buff *skb, const struct V(pkt) *p, struct V(inner) *ret_in)
{
	__be16 ports[2];
	__u8 first, proto;

	__builtin_memset(ret_in->key, 0, sizeof(*ret_in->key));
	ret_in->l3 = p->l4 + ICMP_HEADER;
	if (bpf_skb_load_bytes(skb, ret_in->l3, &first, 1) || first >> 4 != FAMILY ||
	    bpf_skb_load_bytes(skb, ret_in->l3 + IP_PROTO, &proto, 1) ||
	    bpf_skb_load_bytes(skb, ret_in->l3 + IP_SADDR, ret_in->key->saddr, ADDR_LEN) ||
	    bpf_skb_load_bytes(skb, ret_in->l3 + IP_DADDR, ret_in->key->daddr, ADDR_LEN))
		return false;
#if FAMILY == 4
	if (bpf_skb_load_bytes(skb, ret_in->l3 + __builtin_offsetof(struct iphdr, frag_off), ports, 2) ||
	    (ports[0] & bpf_htons(IP_OFFSET)))
		return false;
	ret_in->l4 = ret_in->l3 + (first & 15) * 4;
#else
	ret_in->l4 = ret_in->l3 + sizeof(struct ipv6hdr);
	for (int i = 0; i < INNER_EXT_MAX && is_extension(proto); i++) {
		__u8 h[4];

		if (bpf_skb_load_bytes(skb, ret_in->l4, h, sizeof(h)))
			return false;
		if (proto == IPPROTO_FRAGMENT && (h[2] || h[3] & 0xf8))
			return false; /* a later fragment: no ports */
		ret_in->l4 += proto == IPPROTO_FRAGMENT ? 8 : (h[1] + 1) * 8;
		proto = h[0];
	}
#endif
	ret_in->key->proto = proto;
	if (ret_in->key->proto != IPPROTO_TCP && ret_in->key->proto != IPPROTO_UDP &&
	    ret_in->key->proto != IPPROTO_SCTP)
		return false;
	if (bpf_skb_load_bytes(skb, ret_in->l4, ports, sizeof(ports)))
		return false;
	ret_in->key->sport = bpf_ntohs(ports[0]);
	ret_in->key->dport = bpf_ntohs(ports[1]);
	return true;
}

/* Replaces an address at `at` and adds the change to *sum. */
static __always_inline int V(swap_addr)(struct __sk_buff *skb, __u32 at, const void *old, const void *new, __u64 *sum)
{
	*sum = V(csum_change_addr)(*sum, old, new);
	return bpf_skb_store_bytes(skb, at, new, ADDR_LEN, 0);
}

#if FAMILY == 4
/* After addresses of the header at l3 changed by `change`: its own checksum. */
static __always_inline int V(fix_header)(struct __sk_buff *skb, __u32 l3, __u64 change)
{
	__u32 at = l3 + __builtin_offsetof(struct iphdr, check);
	__u16 check;

	if (bpf_skb_load_bytes(skb, at, &check, sizeof(check)))
		return -1;
	check = csum_apply(check, change);
	return bpf_skb_store_bytes(skb, at, &check, sizeof(check), 0);
}
#else
static __always_inline int V(fix_header)(struct __sk_buff *skb, __u32 l3, __u64 change)
{
	(void)skb, (void)l3, (void)change;
	return 0; /* an IPv6 header has no checksum */
}
#endif

/*
 * The quoted packet's tuple becomes (saddr:sport → daddr:dport). *sum gets what the ICMP checksum has to make good.
 */
static __always_inline int V(inner_rewrite)(struct __sk_buff *skb, const struct V(inner) *in, const struct V(flow) *to,
					    __u64 *sum)
{
	__be32 old_ports = bpf_htonl((__u32)in->key->sport << 16 | in->key->dport);
	__be32 new_ports = bpf_htonl((__u32)to->sport << 16 | to->dport);
	__u64 change = 0, total;
	__u32 at;
	__u16 check, fixed;

	if (V(swap_addr)(skb, in->l3 + IP_SADDR, in->key->saddr, to->saddr, &change) ||
	    V(swap_addr)(skb, in->l3 + IP_DADDR, in->key->daddr, to->daddr, &change) ||
	    V(fix_header)(skb, in->l3, change))
		return -1;
	/* IPv4: header and its checksum cancel out. IPv6: the addresses themselves count. */
	total = FAMILY == 6 ? change : 0;
	if (bpf_skb_store_bytes(skb, in->l4, &new_ports, sizeof(new_ports), 0))
		return -1;
	total = csum_change32(total, old_ports, new_ports);
	change = csum_change32(change, old_ports, new_ports);
	at = l4_csum_offset(in->key->proto);
	if (at && !bpf_skb_load_bytes(skb, in->l4 + at, &check, sizeof(check)) &&
	    !(in->key->proto == IPPROTO_UDP && !check)) {
		fixed = csum_apply(check, change);
		if (in->key->proto == IPPROTO_UDP && !fixed)
			fixed = 0xffff;
		if (bpf_skb_store_bytes(skb, in->l4 + at, &fixed, sizeof(fixed), 0))
			return -1;
		total = csum_change16(total, check, fixed);
	}
	*sum += total;
	return 0;
}

/*
 * An ICMP error about a packet whose answers have entries of `kind`. At ingress it is about a reply (REQUEST: quoted VIP → client,
 * addressed to the VIP; UNSNAT: quoted node → pod, addressed to the node); at egress about a request (REPLY: quoted client →
 * backend, addressed to the client). NOT_SERVICE if no flow is behind it.
 */
__noinline int V(icmp_error)(struct __sk_buff *skb, __u32 kind)
{
	struct V(work) *w = V(work_get)();
	const struct V(pkt) *p;
	struct V(inner) in;
	struct V(flow) *f, *to;
	struct V(flow_key) *key;
	__u64 outer = 0, sum = 0, mix;
	__u32 *word;

	if (!w)
		return SL_REASON_NOT_SERVICE;
	p = &w->p;
	key = &w->key;
	to = &w->value;
	in.key = &w->twin;
	if (!V(inner_parse)(skb, p, &in))
		return SL_REASON_NOT_SERVICE;
	/* The packet quoted went the other way, so its flow is found by the tuple turned round. */
	__builtin_memset(key, 0, sizeof(*key));
	V(addr_copy)(key->saddr, in.key->daddr);
	V(addr_copy)(key->daddr, in.key->saddr);
	key->sport = in.key->dport;
	key->dport = in.key->sport;
	key->proto = in.key->proto;
	key->kind = kind;
	mix = V(flow_mixed)(key);
	f = V(flow_find)(key, mix, &word);
	if (!f || !V(flow_is_fresh)(f, key->proto, p->now))
		return SL_REASON_NOT_SERVICE;
	/* What the quoted packet was before we changed it: the entry's tuple turned round. */
	V(addr_copy)(to->saddr, f->daddr);
	V(addr_copy)(to->daddr, f->saddr);
	to->sport = f->dport;
	to->dport = f->sport;
	if (!V(flow_stood)(word, mix))
		return SL_REASON_NOT_SERVICE;

	/* Outer address first: `in` and `to` still say what was there. */
	if (kind != SL_FLOW_REPLY) {
		if (V(swap_addr)(skb, p->l3 + IP_DADDR, p->key.daddr, to->saddr, &outer))
			return SL_REASON_REWRITE;
	} else if (V(addr_eq)(p->key.saddr, in.key->daddr)) {
		if (V(swap_addr)(skb, p->l3 + IP_SADDR, p->key.saddr, to->daddr, &outer))
			return SL_REASON_REWRITE;
	}
	if (V(fix_header)(skb, p->l3, outer))
		return SL_REASON_REWRITE;
	if (FAMILY == 6)
		sum = outer; /* the pseudo header is part of the ICMPv6 checksum */
	if (V(inner_rewrite)(skb, &in, to, &sum))
		return SL_REASON_REWRITE;
	if (bpf_l4_csum_replace(skb, p->l4 + ICMP_CHECK, 0, csum_fold16(sum), 0))
		return SL_REASON_REWRITE;
	return SL_REASON_ICMP_ERROR;
}
