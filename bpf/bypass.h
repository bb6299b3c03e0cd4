/* SPDX-License-Identifier: GPL-2.0 */
/*
 * --forwarding fast: from one pod's device straight into another pod of this node, past the node's stack (README.md, "Past the
 * stack"). Whether a flow goes that way is settled when it opens, for both directions. Each of its packets asks the node's routes;
 * one that they do not send to another pod goes through the stack, which knows what to do with it.
 */

/* The route of a packet from → to that came by the device of skb, into work.route. True: it ends at the device of a pod. */
static __always_inline bool V(route_to_pod)(struct __sk_buff *skb, struct V(work) *w, const void *from, const void *to)
{
	struct bpf_fib_lookup *route = &w->route;

	__builtin_memset(route, 0, sizeof(*route));
	route->ifindex = skb->ifindex;
	route->l4_protocol = w->p.key.proto;
#if FAMILY == 4
	route->family = AF_INET;
	V(addr_copy)(&route->ipv4_src, from);
	V(addr_copy)(&route->ipv4_dst, to);
#else
	route->family = AF_INET6;
	V(addr_copy)(route->ipv6_src, from);
	V(addr_copy)(route->ipv6_dst, to);
#endif
	/* SUCCESS: forwarding is on, the neighbour is known, and the packet is not too long for the device. */
	return bpf_fib_lookup(skb, route, sizeof(*route), 0) == BPF_FIB_LKUP_RET_SUCCESS &&
	       bpf_map_lookup_elem(&sl_devices, &route->ifindex);
}

/* No options, nor extension headers? Those the stack looks at. */
static __always_inline bool V(is_bare)(const struct V(pkt) *p)
{
#if FAMILY == 4
	return p->l4 - p->l3 == sizeof(struct iphdr);
#else
	return p->l4 - p->l3 == sizeof(struct ipv6hdr);
#endif
}

/*
 * May the flow that opens with this packet, to the backend in work.hit, go past the stack? Replies must come back to this device, and
 * by a device whose programs will know them.
 */
__noinline int V(bypass_may)(struct __sk_buff *skb)
{
	struct V(work) *w = sl_consts.bypass ? V(work_get)() : NULL;

	if (!w || w->p.marks || !V(is_bare)(&w->p))
		return false;
	if (!V(route_to_pod)(skb, w, w->hit.daddr, w->p.key.saddr) || w->route.ifindex != skb->ifindex)
		return false;
	return V(route_to_pod)(skb, w, w->p.key.saddr, w->hit.daddr) && w->route.ifindex != skb->ifindex;
}

/*
 * The way of this packet, whose entry is in work.hit, into work.route. False: the stack's. So are packets with options, and those whose
 * time is over, which it must answer.
 */
__noinline int V(bypass_way)(struct __sk_buff *skb)
{
	struct V(work) *w = sl_consts.bypass ? V(work_get)() : NULL;
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
#if FAMILY == 4
	struct iphdr *ip = (void *)(eth + 1);
#else
	struct ipv6hdr *ip = (void *)(eth + 1);
#endif
	__u32 ifindex;

	if (!w || w->p.marks || !V(is_bare)(&w->p) || (void *)(ip + 1) > end)
		return false;
#if FAMILY == 4
	if (ip->ttl < 2)
		return false;
#else
	if (ip->hop_limit < 2)
		return false;
#endif
	/* The other direction asks for this device: neither goes without the other. */
	ifindex = skb->ifindex;
	return bpf_map_lookup_elem(&sl_devices, &ifindex) && V(route_to_pod)(skb, w, w->p.key.saddr, w->hit.daddr);
}

/* What the stack would have done to the packet, then into the device of work.route. */
__noinline int V(bypass_go)(struct __sk_buff *skb)
{
	struct V(work) *w = sl_consts.bypass ? V(work_get)() : NULL;
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
#if FAMILY == 4
	struct iphdr *ip = (void *)(eth + 1);
	__u16 old;

	if (!w || (void *)(ip + 1) > end)
		return 0;
	old = bpf_htons(ip->ttl << 8 | ip->protocol);
	ip->ttl--;
	ip->check = csum_apply(ip->check, csum_change16(0, old, bpf_htons(ip->ttl << 8 | ip->protocol)));
#else
	struct ipv6hdr *ip = (void *)(eth + 1);
	__u16 old, now;

	if (!w || (void *)(ip + 1) > end)
		return 0;
	old = bpf_htons(ip->nexthdr << 8 | ip->hop_limit);
	ip->hop_limit--;
	now = bpf_htons(ip->nexthdr << 8 | ip->hop_limit);
#endif
	__builtin_memcpy(eth->h_source, w->route.smac, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, w->route.dmac, ETH_ALEN);
	w->device = w->route.ifindex;
#if FAMILY == 6
	bpf_csum_update(skb,
			csum_fold16(csum_change16(0, old, now))); /* of CHECKSUM_COMPLETE: nothing makes up for it */
#endif
	return 0;
}
