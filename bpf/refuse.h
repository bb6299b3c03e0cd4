/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Answers to packets that cannot be served: ICMP port unreachable (RFC 792, RFC 4443 3.1) and RST (RFC 9293 3.5.2). The packet
 * itself is turned into the answer and sent back where it came from; the service address speaks.
 *
 * A packet whose checksum is still to be completed (CHECKSUM_PARTIAL: the field equals the folded pseudo header) stays so: the
 * device may write the transport checksum of the quoted packet, or of the RST, after us. The sum of a completed segment is
 * the complement of its pseudo header's, which is what the ICMP checksum then counts.
 */

#ifndef BPF_REFUSE_ONCE
#define BPF_REFUSE_ONCE
#define QUOTE_WORDS_MAX 33 /* headers up to PARSE_L4_MAX and 20 bytes, in 32-bit words */
#define REFUSE_TTL      64

/* Sum of `words` 32-bit words from `at`. */
static __always_inline __u64 sum_words(struct __sk_buff *skb, __u32 at, __u32 words)
{
	__u64 sum = 0;
	__u32 word;

	for (__u32 i = 0; i < QUOTE_WORDS_MAX; i++) {
		if (i >= words)
			break;
		if (bpf_skb_load_bytes(skb, at + i * 4, &word, sizeof(word)))
			break;
		sum += word;
	}
	return sum;
}

static __always_inline int swap_macs(struct __sk_buff *skb, __u32 l3)
{
	struct ethhdr *eth = (void *)(long)skb->data;
	__u8 mac[ETH_ALEN];

	if (!l3)
		return 0; /* no Ethernet header */
	if ((void *)(eth + 1) > (void *)(long)skb->data_end)
		return -1;
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
	return 0;
}
#endif

/* Sum of the pseudo header, not folded. `len`: transport header and data. */
static __always_inline __u64 V(pseudo_sum)(const void *saddr, const void *daddr, __u32 len, __u8 proto)
{
	const __u32 *s = saddr, *d = daddr;
	__u64 sum = (__u64)s[0] + d[0] + bpf_htonl(len) + bpf_htonl(proto);

#if FAMILY == 6
	sum += (__u64)s[1] + s[2] + s[3] + d[1] + d[2] + d[3];
#endif
	return sum;
}

/* Length of the packet's transport header and data by its IP header; 0 if that is out of reach. */
static __always_inline __u32 V(l4_len)(struct __sk_buff *skb, const struct V(pkt) *p)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
#if FAMILY == 4
	struct iphdr *ip = data + (p->l3 & PARSE_L3_MAX);

	KEEP(ip);
	if ((void *)(ip + 1) > end)
		return 0;
	return bpf_ntohs(ip->tot_len) - (p->l4 - p->l3);
#else
	struct ipv6hdr *ip = data + (p->l3 & PARSE_L3_MAX);

	KEEP(ip);
	if ((void *)(ip + 1) > end)
		return 0;
	return bpf_ntohs(ip->payload_len) - (p->l4 - p->l3 - sizeof(*ip));
#endif
}

/* Is the transport checksum still to be completed? Then *ret_pseudo is what the field holds. */
static __always_inline bool V(is_partial)(struct __sk_buff *skb, const struct V(pkt) *p, __u16 *ret_pseudo)
{
	__u32 at = l4_csum_offset(p->key.proto), len = V(l4_len)(skb, p);
	__u16 check;

	if (!at || !len || bpf_skb_load_bytes(skb, p->l4 + at, &check, sizeof(check)))
		return false;
	*ret_pseudo = csum_fold16(V(pseudo_sum)(p->key.saddr, p->key.daddr, len, p->key.proto));
	return check == *ret_pseudo;
}

#if FAMILY == 4
struct sl4_answer {
	struct iphdr ip;
	__u8 type;
	__u8 code;
	__u16 check;
	__u32 unused;
};

static __always_inline void sl4_answer_fill(struct sl4_answer *a, const struct sl4_pkt *p, __u32 quoted)
{
	__u64 sum = 0;
	const __u16 *w = (const __u16 *)&a->ip;

	a->ip.version = 4;
	a->ip.ihl = 5;
	a->ip.tot_len = bpf_htons(sizeof(*a) + quoted);
	a->ip.ttl = REFUSE_TTL;
	a->ip.protocol = IPPROTO_ICMP;
	sl4_addr_copy(&a->ip.saddr, p->key.daddr);
	sl4_addr_copy(&a->ip.daddr, p->key.saddr);
	a->type = ICMP_DEST_UNREACH;
	a->code = ICMP_PORT_UNREACH;
#pragma unroll
	for (unsigned int i = 0; i < sizeof(a->ip) / 2; i++)
		sum += w[i];
	a->ip.check = ~csum_fold16(sum);
}
#else
struct sl6_answer {
	struct ipv6hdr ip;
	__u8 type;
	__u8 code;
	__u16 check;
	__u32 unused;
};

static __always_inline void sl6_answer_fill(struct sl6_answer *a, const struct sl6_pkt *p, __u32 quoted)
{
	a->ip.version = 6;
	a->ip.payload_len = bpf_htons(ICMP_HEADER + quoted);
	a->ip.nexthdr = IPPROTO_ICMPV6;
	a->ip.hop_limit = REFUSE_TTL;
	sl6_addr_copy(&a->ip.saddr, p->key.daddr);
	sl6_addr_copy(&a->ip.daddr, p->key.saddr);
	a->type = ICMPV6_DEST_UNREACH;
	a->code = ICMPV6_PORT_UNREACH;
}
#endif

/* Makes the packet an ICMP port unreachable about itself. 0, or SL_REASON_MALFORMED / _REWRITE: drop. */
__noinline int V(make_unreachable)(struct __sk_buff *skb)
{
	struct V(work) *w = V(work_get)();
	const struct V(pkt) *p;
	struct V(answer) a;
	__u32 quoted, quoted_words;
	bool partial;
	__u16 pseudo = 0;
	__u64 sum;

	if (!w)
		return SL_REASON_REWRITE;
	p = &w->p;
	quoted = p->l4 - p->l3 + (p->key.proto == IPPROTO_TCP ? 20 : INNER_L4_QUOTED);
	/* RFC 1122 3.2.2, RFC 4443 2.4 (e): no errors about errors, later fragments, or to nobody in particular */
	if ((p->marks & (PKT_ICMP_ERROR | PKT_LATER_FRAGMENT)) || V(is_no_host)(p->key.saddr) ||
	    p->l3 + quoted > skb->len)
		return SL_REASON_MALFORMED;
	partial = V(is_partial)(skb, p, &pseudo);
	if (bpf_skb_change_tail(skb, p->l3 + quoted, 0) || bpf_skb_adjust_room(skb, sizeof(a), BPF_ADJ_ROOM_MAC, 0))
		return SL_REASON_REWRITE;

	__builtin_memset(&a, 0, sizeof(a));
	V(answer_fill)(&a, p, quoted);
	quoted_words = quoted / 4;
	sum = a.type | a.code << 8;
	if (partial) {
		sum += (__u16)~pseudo;
		quoted_words = (p->l4 - p->l3) / 4;
	}
	sum += sum_words(skb, p->l3 + sizeof(a), quoted_words);
#if FAMILY == 6
	sum += V(pseudo_sum)(p->key.daddr, p->key.saddr, ICMP_HEADER + quoted, IPPROTO_ICMPV6);
#endif
	a.check = ~csum_fold16(sum);
	if (bpf_skb_store_bytes(skb, p->l3, &a, sizeof(a), 0) || swap_macs(skb, p->l3))
		return SL_REASON_REWRITE;
	return 0;
}

/* Makes the TCP packet a RST that answers it. 0 or SL_REASON_REWRITE; the caller never passes a RST. */
__noinline int V(make_reset)(struct __sk_buff *skb)
{
	struct V(work) *w = V(work_get)();
	const struct V(pkt) *p;
	struct tcphdr tcp, rst;
	bool partial;
	__u16 pseudo = 0;
	__u64 sum;
	__u32 len;

	if (!w)
		return SL_REASON_REWRITE;
	p = &w->p;
	len = V(l4_len)(skb, p);
	if (bpf_skb_load_bytes(skb, p->l4, &tcp, sizeof(tcp)))
		return SL_REASON_REWRITE;
	partial = V(is_partial)(skb, p, &pseudo);
	__builtin_memset(&rst, 0, sizeof(rst));
	rst.source = tcp.dest;
	rst.dest = tcp.source;
	rst.doff = 5;
	rst.rst = 1;
	if (tcp.ack) {
		rst.seq = tcp.ack_seq;
	} else {
		rst.ack = 1;
		rst.ack_seq = bpf_htonl(bpf_ntohl(tcp.seq) + len - tcp.doff * 4 + tcp.syn + tcp.fin);
	}
	sum = V(pseudo_sum)(p->key.daddr, p->key.saddr, sizeof(rst), IPPROTO_TCP);
	if (partial) {
		rst.check = csum_fold16(sum);
	} else {
		const __u32 *w = (const __u32 *)&rst;

		rst.check = ~csum_fold16(sum + w[0] + w[1] + w[2] + (__u64)w[3] + w[4]);
	}
	if (bpf_skb_change_tail(skb, p->l4 + sizeof(rst), 0) || bpf_skb_store_bytes(skb, p->l4, &rst, sizeof(rst), 0))
		return SL_REASON_REWRITE;

	/* Addresses change places, which no sum notices; the length does not. */
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
#if FAMILY == 4
	struct iphdr *ip = data + (p->l3 & PARSE_L3_MAX);
	__u16 total = bpf_htons(p->l4 - p->l3 + sizeof(rst));

	KEEP(ip);
	if ((void *)(ip + 1) > end)
		return SL_REASON_REWRITE;
	ip->check = csum_apply(ip->check, csum_change16(0, ip->tot_len, total));
	ip->tot_len = total;
#else
	struct ipv6hdr *ip = data + (p->l3 & PARSE_L3_MAX);

	KEEP(ip);
	if ((void *)(ip + 1) > end)
		return SL_REASON_REWRITE;
	ip->payload_len = bpf_htons(p->l4 - p->l3 - sizeof(*ip) + sizeof(rst));
#endif
	V(addr_copy)(&ip->saddr, p->key.daddr);
	V(addr_copy)(&ip->daddr, p->key.saddr);
	return swap_macs(skb, p->l3) ? SL_REASON_REWRITE : 0;
}
