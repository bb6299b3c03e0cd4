/* SPDX-License-Identifier: GPL-2.0 */
/*
 * struct V(pkt) + flow entry → changed bytes. With icmp.h and refuse.h the only code that writes into packets.
 *
 * Transport checksums change incrementally (RFC 1624). A packet whose checksum a device is to complete
 * (CHECKSUM_PARTIAL) holds only the sum of the pseudo header: addresses change it, ports do not. Where the kernel lets us
 * read ip_summed (SL_KERN_CTX, ≥ 6.2) the field is written directly; else the two bpf_l4_csum_replace calls know.
 *
 * skb->csum of CHECKSUM_COMPLETE packets covers everything after the Ethernet header. A rewritten IPv4 packet sums to less by
 * the change of the address (its header checksum and the transport checksum make up for one each); an IPv6 packet's sum does
 * not change, which older kernels' helper gets wrong, so it is put right.
 */

#ifndef BPF_REWRITE_ONCE
#define BPF_REWRITE_ONCE
#define L4_CSUM_NONE 0

static __always_inline __u32 l4_csum_offset(__u8 proto)
{
	return proto == IPPROTO_TCP ? 16 : proto == IPPROTO_UDP ? 6 : L4_CSUM_NONE;
}

static __always_inline __u16 csum_fold16(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Sum of ~old + new over 16-bit words, not folded. Words as they lie in memory. */
static __always_inline __u64 csum_change32(__u64 sum, __u32 old, __u32 new)
{
	return sum + (__u32)~old + new;
}

static __always_inline __u64 csum_change16(__u64 sum, __u16 old, __u16 new)
{
	return sum + (__u16)~old + new;
}

static __always_inline __u16 csum_apply(__u16 check, __u64 change)
{
	return ~csum_fold16((__u64)(__u16)~check + change);
}

#ifdef SL_KERN_CTX
extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym;
static __always_inline __u8 read_ip_summed(struct __sk_buff *skb)
{
	struct sk_buff *kernel_skb = bpf_cast_to_kern_ctx(skb);

	return BPF_CORE_READ_BITFIELD(kernel_skb, ip_summed);
}
#endif
#endif

/* Change of the pseudo header when one address becomes another. */
static __always_inline __u64 V(csum_change_addr)(__u64 sum, const void *old, const void *new)
{
	const __u32 *a = old, *b = new;

	sum = csum_change32(sum, a[0], b[0]);
#if FAMILY == 6
	sum = csum_change32(sum, a[1], b[1]);
	sum = csum_change32(sum, a[2], b[2]);
	sum = csum_change32(sum, a[3], b[3]);
#endif
	return sum;
}

/* Writes the new address into the IP header; true if the headers were in reach. */
static __always_inline bool V(write_addr)(struct __sk_buff *skb, __u32 l3, bool destination, const void *addr)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
#if FAMILY == 4
	struct iphdr *ip = data + (l3 & PARSE_L3_MAX);
	__be32 *field;

	KEEP(ip);
	if ((void *)(ip + 1) > end)
		return false;
	field = destination ? &ip->daddr : &ip->saddr;
	ip->check = csum_apply(ip->check, csum_change32(0, *field, *(const __u32 *)addr));
	*field = *(const __u32 *)addr;
#else
	struct ipv6hdr *ip = data + (l3 & PARSE_L3_MAX);

	KEEP(ip);
	if ((void *)(ip + 1) > end)
		return false;
	V(addr_copy)(destination ? (void *)&ip->daddr : (void *)&ip->saddr, addr);
#endif
	return true;
}

/* The checksum's share of a rewrite, by helpers: right whatever ip_summed is, on every kernel. */
static __always_inline int V(fix_csum_by_helpers)(struct __sk_buff *skb, __u32 offset, __u8 proto, const void *old,
						  const void *new, __u32 old_ports, __u32 new_ports)
{
	__u64 mangled = proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	int err = 0;

	if (old_ports != new_ports)
		err = bpf_l4_csum_replace(skb, offset, old_ports, new_ports, mangled | 4);
#if FAMILY == 4
	err |= bpf_l4_csum_replace(skb, offset, *(const __u32 *)old, *(const __u32 *)new,
				   mangled | BPF_F_PSEUDO_HDR | 4);
#else
	__s64 diff = bpf_csum_diff((void *)old, 16, (void *)new, 16, 0);

	err |= bpf_l4_csum_replace(skb, offset, 0, diff, mangled | BPF_F_PSEUDO_HDR);
	bpf_csum_update(skb, diff); /* acts on CHECKSUM_COMPLETE only: gives back what the helper took */
#endif
	return err;
}

#ifdef SL_KERN_CTX
/* The same by direct writes. */
static __always_inline int V(fix_csum_directly)(struct __sk_buff *skb, __u32 offset, __u8 proto, const void *old,
						const void *new, __u32 old_ports, __u32 new_ports)
{
	__u8 summed = read_ip_summed(skb);
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u64 change = V(csum_change_addr)(0, old, new);
	__u16 *check = data + (offset & 0x1ff);

	KEEP(check);
	if ((void *)(check + 1) > end)
		return -1;
	if (proto == IPPROTO_UDP && !*check && summed != CHECKSUM_PARTIAL)
		return 0; /* RFC 768: no checksum */
	if (summed == CHECKSUM_PARTIAL) {
		*check = csum_fold16((__u64)*check + change);
		return 0;
	}
	*check = csum_apply(*check, csum_change32(change, old_ports, new_ports));
	if (proto == IPPROTO_UDP && !*check)
		*check = 0xffff;
#if FAMILY == 4
	if (summed == CHECKSUM_COMPLETE)
		bpf_csum_update(skb, csum_fold16(V(csum_change_addr)(0, new, old)));
#endif
	return 0;
}
#define FIX_CSUM V(fix_csum_directly)
#else
#define FIX_CSUM V(fix_csum_by_helpers)
#endif

/*
 * Makes the packet's destination (ingress) or source (egress) address, and both ports, what the entry says.
 * 0 or SL_REASON_REWRITE; then the packet must not go on.
 */
static __always_inline int V(rewrite)(struct __sk_buff *skb, const struct V(pkt) *p, const struct V(flow) *hit,
				      bool destination)
{
	const void *old = destination ? p->key.daddr : p->key.saddr;
	const void *new = destination ? hit->daddr : hit->saddr;
	__u32 old_ports, new_ports, csum;
	__u32 *ports;
	void *data, *end;

	if (!V(write_addr)(skb, p->l3, destination, new))
		return SL_REASON_REWRITE;
	if (p->marks & PKT_LATER_FRAGMENT)
		return 0; /* the first fragment carries the transport header */
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	ports = data + (p->l4 & PARSE_L4_MAX);
	KEEP(ports);
	if ((void *)(ports + 1) > end)
		return SL_REASON_REWRITE;
	old_ports = *ports;
	new_ports = bpf_htonl((__u32)hit->sport << 16 | hit->dport);
	csum = l4_csum_offset(p->key.proto);
	if (csum == L4_CSUM_NONE)
		return 0; /* SCTP: its CRC covers neither addresses nor, here, changed ports */
	*ports = new_ports;
	if (FIX_CSUM(skb, (p->l4 & PARSE_L4_MAX) + csum, p->key.proto, old, new, old_ports, new_ports))
		return SL_REASON_REWRITE;
	return 0;
}
