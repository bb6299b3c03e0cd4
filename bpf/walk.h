/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The order of the steps for a packet of one family, in each direction (README.md, "The walk of each kind of packet").
 * A walk returns the reason; whether something is sent back, `refuse` decides from it.
 */

#ifndef BPF_WALK_ONCE
#define BPF_WALK_ONCE
/* Where the packet was met. Constants at every call. */
enum place {
	PLACE_POD, /* device of a pod */
	PLACE_UPLINK,
};

static __always_inline bool is_translated(int why)
{
	return why == SL_REASON_FLOW || why == SL_REASON_NEW_FLOW || why == SL_REASON_REPLY || why == SL_REASON_HAIRPIN;
}
#endif

static __always_inline void V(tell)(const struct V(work) *w, bool to_backend)
{
	__u32 id = w->hit.backend;
	struct sl_backend_stats *b;

	if (!w->tell_packets)
		return;
	b = bpf_map_lookup_elem(&V(be_stats), &id);
	if (!b)
		return;
	if (to_backend) {
		b->packets_to += w->tell_packets;
		b->bytes_to += w->tell_bytes;
	} else {
		b->packets_from += w->tell_packets;
		b->bytes_from += w->tell_bytes;
	}
}

/* The entry to look for, and whose side the packet is from. */
static __always_inline void V(look_for)(struct V(work) *w, enum sl_flow_kind kind, bool client)
{
	w->p.now = now_ns();
	w->p.key.kind = kind;
	w->p.client = client;
	w->p.stale = 0;
}

/* ---- requests ---- */

/* A request that no established flow serves at once. */
__noinline int V(request_slow)(struct __sk_buff *skb)
{
	struct V(work) *w = V(work_get)();
	int why;

	if (!w)
		return SL_REASON_FLOW_INSERT;
	if (w->p.marks & PKT_ICMP_ERROR) {
		why = V(icmp_error)(skb, SL_FLOW_REQUEST);
		return why == SL_REASON_NOT_SERVICE && V(is_vip)(w->p.key.daddr) ? SL_REASON_ICMP_NO_FLOW : why;
	}
	if ((w->p.marks & PKT_LATER_FRAGMENT) && !V(frag_recall)(&w->p, SL_HOOK_INGRESS))
		return V(is_vip)(w->p.key.daddr) ? SL_REASON_FRAGMENT : SL_REASON_NOT_SERVICE;
	if (!V(has_ports)(&w->p))
		return V(no_service)(&w->p.key);

	why = V(track)();
	if (why >= TRACK_FOUND)
		why = SL_REASON_FLOW;
	else if (why == TRACK_TORN)
		return SL_REASON_TORN;
	else if (w->p.marks & PKT_LATER_FRAGMENT)
		return SL_REASON_FRAGMENT;
	else {
		/* The last answers of a UDP endpoint that left are still the service's; a late SYN-ACK is not. */
		if (w->p.stale)
			V(forget)(w->p.key.proto == IPPROTO_TCP);
		why = V(open)(skb);
	}
	if ((w->p.marks & PKT_FIRST_FRAGMENT) && is_translated(why))
		V(frag_remember)(&w->p, SL_HOOK_INGRESS);
	return why;
}

/* A packet to what may be a service address. */
static __always_inline int V(walk_request)(struct __sk_buff *skb, struct V(work) *w, enum place place)
{
	int why = SL_REASON_FLOW;

	V(look_for)(w, SL_FLOW_REQUEST, true);
	if (w->p.marks || !V(has_ports)(&w->p) || V(track_fast)(w) != TRACK_FOUND) {
		why = V(request_slow)(skb);
		if (!is_translated(why))
			return why;
	}
	V(tell)(w, true);
	if (V(rewrite)(skb, &w->p, &w->hit, true))
		return SL_REASON_REWRITE;
	if (sl_consts.bypass && place == PLACE_POD && w->hit.flags & SL_FLOW_BYPASS && V(bypass_way)(skb))
		V(bypass_go)(skb);
	return why;
}

/* A reply of a hairpin flow, to the node's address: back to the pod. */
static __always_inline int V(walk_unsnat)(struct __sk_buff *skb, struct V(work) *w)
{
	int result;

	V(look_for)(w, SL_FLOW_UNSNAT, false);
	if (w->p.marks & PKT_ICMP_ERROR)
		return V(icmp_error)(skb, SL_FLOW_UNSNAT);
	result = V(track)();
	if (result < TRACK_FOUND)
		return result == TRACK_TORN ? SL_REASON_TORN : SL_REASON_NOT_SERVICE;
	return V(rewrite)(skb, &w->p, &w->hit, true) ? SL_REASON_REWRITE : SL_REASON_REPLY;
}

static __always_inline bool V(is_snat_reply)(const struct sl_config *config, const struct V(pkt) *p)
{
#if FAMILY == 4
	const void *node = config->node4;
#else
	const void *node = config->node6;
#endif
	if (!V(addr_eq)(p->key.daddr, node) || V(addr_is_zero)(node))
		return false;
	if (p->marks & PKT_ICMP_ERROR)
		return true;
	return V(has_ports)(p) && p->key.dport >= config->snat_low && p->key.dport <= config->snat_high;
}

/* ---- replies ---- */

/* A reply, perhaps, that no established flow serves at once; also both directions of a hairpin flow. */
__noinline int V(reply_slow)(void)
{
	struct V(work) *w = V(work_get)();
	int result;

	if (!w)
		return SL_REASON_NOT_SERVICE;
	if ((w->p.marks & PKT_LATER_FRAGMENT) && !V(frag_recall)(&w->p, SL_HOOK_EGRESS))
		return SL_REASON_NOT_SERVICE;
	if (V(addr_eq)(w->p.key.saddr, w->p.key.daddr)) {
		w->p.key.kind = SL_FLOW_SNAT;
		w->p.client = 1;
		result = V(track)();
		if (result >= TRACK_FOUND)
			return SL_REASON_FLOW;
		if (result == TRACK_TORN)
			return SL_REASON_TORN;
		w->p.key.kind = SL_FLOW_REPLY;
		w->p.client = 0;
	}
	result = V(track)();
	if (result < TRACK_FOUND) {
		if (w->p.stale)
			V(forget)(1);
		return result == TRACK_TORN ? SL_REASON_TORN : SL_REASON_NOT_SERVICE;
	}
	if (w->p.marks & PKT_FIRST_FRAGMENT)
		V(frag_remember)(&w->p, SL_HOOK_EGRESS);
	return SL_REASON_REPLY;
}

/* A packet from what may be a backend. */
static __always_inline int V(walk_reply)(struct __sk_buff *skb, struct V(work) *w)
{
	enum track_result fast = TRACK_LOOK;
	int why = SL_REASON_REPLY;

	if (!V(has_ports)(&w->p))
		return SL_REASON_NOT_SERVICE;
	V(look_for)(w, SL_FLOW_REPLY, false);
	if (!w->p.marks && !V(addr_eq)(w->p.key.saddr, w->p.key.daddr))
		fast = V(track_fast)(w);
	if (fast == TRACK_NONE) /* as most packets from endpoints that are asked by their own address */
		return SL_REASON_NOT_SERVICE;
	if (fast == TRACK_LOOK) {
		why = V(reply_slow)();
		if (!is_translated(why))
			return why;
	}
	if (why == SL_REASON_REPLY)
		V(tell)(w, false);
	return V(rewrite)(skb, &w->p, &w->hit, false) ? SL_REASON_REWRITE : why;
}

/*
 * From a backend, at the device it came by: a reply whose flow goes past the stack is translated here, as it never comes to the egress of
 * the client's device. NOT_SERVICE: any other.
 */
__noinline int V(reply_bypass)(struct __sk_buff *skb)
{
	struct V(work) *w = sl_consts.bypass ? V(work_get)() : NULL;
	struct V(flow) *f;
	__u32 *word;
	__u64 mix;
	int why;

	if (!w || w->p.marks || !V(has_ports)(&w->p))
		return SL_REASON_NOT_SERVICE;
	V(look_for)(w, SL_FLOW_REPLY, false);
	mix = V(flow_mixed)(&w->p.key);
	f = V(flow_find)(&w->p.key, mix, &word);
	if (!f || !(f->flags & SL_FLOW_BYPASS))
		return SL_REASON_NOT_SERVICE;
	w->hit = *f;
	if (!V(flow_stood)(word, mix) || !V(bypass_way)(skb))
		return SL_REASON_NOT_SERVICE;
	if (V(track_hit)(w, f) != TRACK_FOUND) {
		why = V(reply_slow)();
		if (!is_translated(why))
			return why;
	}
	V(tell)(w, false);
	if (V(rewrite)(skb, &w->p, &w->hit, false))
		return SL_REASON_REWRITE;
	V(bypass_go)(skb);
	return SL_REASON_REPLY;
}

/* ---- ingress ---- */

/* To a service perhaps, or the answer of a hairpin flow, or to an address no service has. */
static __always_inline int V(walk_ingress)(struct __sk_buff *skb, struct V(work) *w, enum place place)
{
	const struct V(flow_key) *key = &w->p.key;
	const struct sl_config *config;
	int why;

	if (place == PLACE_POD && V(filter_has)(key->saddr, FILTER_VIPS) && V(is_vip)(key->saddr))
		return SL_REASON_SPOOFED_VIP;
	if (V(filter_has)(key->daddr, FILTER_VIPS)) {
		why = V(walk_request)(skb, w, place);
		if (why != SL_REASON_NOT_SERVICE)
			return why;
	}
	if (sl_consts.bypass && place == PLACE_POD && V(filter_has)(key->saddr, FILTER_BACKENDS)) {
		why = V(reply_bypass)(skb);
		if (why != SL_REASON_NOT_SERVICE)
			return why;
	}
	config = config_get();
	if (!config)
		return SL_REASON_NOT_SERVICE;
	if (V(is_snat_reply)(config, &w->p))
		return V(walk_unsnat)(skb, w);
	if (V(is_service_range)(config, key->daddr))
		return SL_REASON_UNALLOCATED;
	return SL_REASON_NOT_SERVICE;
}

/* ---- egress ---- */

/* A process of the node speaks to a service address, and no socket hook served it: refused as at ingress. */
__noinline int V(unserved)(void)
{
	struct V(work) *w = V(work_get)();
	int why;

	if (!w)
		return SL_REASON_NOT_SERVICE;
	why = V(service_find)(w->p.key.daddr, w->p.key.dport, w->p.key.proto, &w->service);
	if (why == SL_REASON_UNALLOCATED)
		return V(no_service)(&w->p.key);
	if (why)
		return why;
	w->service_id = w->service.service;
	why = V(is_unusable)(&w->service);
	return why ? why : SL_REASON_NOT_SERVICE;
}

/* Replies to their client, ICMP errors about requests, and what the node's own processes send to nowhere. */
static __always_inline int V(walk_egress)(struct __sk_buff *skb, struct V(work) *w, enum place place)
{
	const struct sl_config *config;
	int why;

	if (w->p.marks & PKT_ICMP_ERROR) {
		w->p.now = now_ns();
		return V(icmp_error)(skb, SL_FLOW_REPLY);
	}
	if (V(filter_has)(w->p.key.saddr, FILTER_BACKENDS)) {
		why = V(walk_reply)(skb, w);
		if (why != SL_REASON_NOT_SERVICE)
			return why;
	}
	if (place != PLACE_UPLINK)
		return SL_REASON_NOT_SERVICE;
	if (V(filter_has)(w->p.key.daddr, FILTER_VIPS))
		return V(unserved)();
	config = config_get();
	return config && V(is_service_range)(config, w->p.key.daddr) ? SL_REASON_UNALLOCATED : SL_REASON_NOT_SERVICE;
}

/* ---- both ---- */

static __always_inline void V(report)(struct __sk_buff *skb, const struct V(pkt) *p, enum sl_reason why,
				      enum sl_hook hook, __u32 service)
{
	const struct sl_config *config = config_get();
	struct sl_event e = {};

	if (service)
		V(count_refused)(service);
	if (!config || !(config->flags & SL_CONFIG_EVENTS))
		return;
	e.now_ns = p->now;
	e.reason = why;
	e.hook = hook;
	e.family = FAMILY;
	e.proto = p->key.proto;
	e.sport = p->key.sport;
	e.dport = p->key.dport;
	V(addr_copy)(e.saddr, p->key.saddr);
	V(addr_copy)(e.daddr, p->key.daddr);
	e.ifindex = skb->ifindex;
	e.service = service;
	e.len = p->len;
	event_send(&e);
}

/* Answers or drops the packet in work; returns the verdict. The answer goes back through the device it came by. */
__noinline int V(refuse)(struct __sk_buff *skb, __u32 why, __u32 hook)
{
	struct V(work) *w = V(work_get)();
	int failed;

	if (!w)
		return TC_ACT_SHOT;
	w->p.now = now_ns();
	V(report)(skb, &w->p, why, hook, w->service_id);
	if (why == SL_REASON_UNKNOWN_TCP_FLOW) {
		if (w->p.tcp_flags & TCP_RST)
			return TC_ACT_SHOT; /* RFC 9293: never answer a RST */
		failed = V(make_reset)(skb);
	} else if (why == SL_REASON_NO_ENDPOINT || why == SL_REASON_UNKNOWN_PORT) {
		failed = V(make_unreachable)(skb);
	} else {
		return TC_ACT_SHOT;
	}
	if (failed)
		return TC_ACT_SHOT;
	return bpf_redirect(skb->ifindex, hook == SL_HOOK_EGRESS ? BPF_F_INGRESS : 0);
}

/* Bytes from the start of the frame that hold its headers; PARSE_REACH where that cannot be told at a glance. */
static __always_inline __u32 V(header_bytes)(void *data, void *end, const struct V(pkt) *p)
{
#if FAMILY == 4
	struct iphdr *ip = data + (p->l3 & PARSE_L3_MAX);
	__u8 proto;

	if ((void *)(ip + 1) > end || ip->ihl != 5)
		return PARSE_REACH;
	proto = ip->protocol;
#else
	struct ipv6hdr *ip = data + (p->l3 & PARSE_L3_MAX);
	__u8 proto;

	if ((void *)(ip + 1) > end || is_extension(ip->nexthdr))
		return PARSE_REACH;
	proto = ip->nexthdr;
#endif
	return p->l3 + sizeof(*ip) + (proto == IPPROTO_TCP ? sizeof(struct tcphdr) : sizeof(struct udphdr));
}

/*
 * Brings the headers into reach, if they are not, and reads them. No byte more: what a local TCP socket sends has its payload in
 * pages, and pulling a part of it copies the packet.
 */
static __always_inline enum parse_result V(parse)(struct __sk_buff *skb, struct V(pkt) *p)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	enum parse_result parsed;

	if (end - data < p->len && end - data < V(header_bytes)(data, end, p)) {
		bpf_skb_pull_data(skb, p->len < PARSE_REACH ? p->len : PARSE_REACH);
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
	}
	parsed = V(parse_l3)(data, end, p);
	return parsed == PARSE_OK ? V(parse_l4)(data, end, p) : parsed;
}

/*
 * At a glance: none of our business? So are most packets, and each passes by two devices. Whatever needs a closer look is left to the
 * walk, which says the same of these.
 */
static __always_inline bool V(is_foreign)(struct __sk_buff *skb, __u32 l3, enum place place, enum sl_hook hook)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const struct sl_config *config = config_get();
#if FAMILY == 4
	struct iphdr *ip = data + l3;

	if (!config || (void *)(ip + 1) > end)
		return false;
	if (hook == SL_HOOK_EGRESS && ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return false; /* an ICMP error may be about a flow, whoever sent it */
	if (hook == SL_HOOK_INGRESS && V(addr_eq)(&ip->daddr, config->node4))
		return false;
#else
	struct ipv6hdr *ip = data + l3;

	if (!config || (void *)(ip + 1) > end)
		return false;
	if (hook == SL_HOOK_EGRESS && ip->nexthdr != IPPROTO_TCP && ip->nexthdr != IPPROTO_UDP)
		return false;
	if (hook == SL_HOOK_INGRESS && V(addr_eq)(&ip->daddr, config->node6))
		return false;
#endif
	if (hook == SL_HOOK_EGRESS ? V(filter_has)(&ip->saddr, FILTER_BACKENDS)
				   : place == PLACE_POD && V(filter_has)(&ip->saddr, FILTER_VIPS))
		return false;
	if (sl_consts.bypass && hook == SL_HOOK_INGRESS && place == PLACE_POD &&
	    V(filter_has)(&ip->saddr, FILTER_BACKENDS))
		return false; /* a reply perhaps that goes past the stack */
	if (hook == SL_HOOK_EGRESS && place == PLACE_POD)
		return true;
	return !V(filter_has)(&ip->daddr, FILTER_VIPS) && !V(is_service_range)(config, &ip->daddr);
}

/* One packet: parse, walk, count, answer. */
static __always_inline int V(handle)(struct __sk_buff *skb, __u32 l3, enum place place, enum sl_hook hook)
{
	struct V(work) *w;
	int why;

	if (V(is_foreign)(skb, l3, place, hook)) {
		count(SL_REASON_NOT_SERVICE, hook, skb->len);
		return TC_ACT_UNSPEC;
	}
	w = V(work_begin)(l3, skb->len);
	if (!w)
		return TC_ACT_UNSPEC;
	if (V(parse)(skb, &w->p) != PARSE_OK) {
		/* Ours only if it is to a service address, as far as that could be read. */
		why = hook == SL_HOOK_INGRESS && V(filter_has)(w->p.key.daddr, FILTER_VIPS) && V(is_vip)(w->p.key.daddr)
			      ? SL_REASON_MALFORMED
			      : SL_REASON_NOT_SERVICE;
	} else if (hook == SL_HOOK_INGRESS) {
		why = V(walk_ingress)(skb, w, place);
	} else {
		why = V(walk_egress)(skb, w, place);
	}
	count(why, hook, w->p.len);
	if (is_refusal(why))
		return V(refuse)(skb, why, hook);
	if (sl_consts.bypass && hook == SL_HOOK_INGRESS && place == PLACE_POD && w->device)
		return bpf_redirect_peer(w->device, 0);
	return TC_ACT_UNSPEC;
}
