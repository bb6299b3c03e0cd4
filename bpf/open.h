/* SPDX-License-Identifier: GPL-2.0 */
/*
 * New flows: choose a backend, claim the reply's tuple, write both entries; kept they are only when the flow is confirmed.
 *
 * The reply's tuple is what can collide: two VIPs, one client tuple, one backend. It is claimed exclusively
 * (flow_put); if another live flow has it, the client's source port is changed for this flow.
 */

#ifndef BPF_OPEN_ONCE
#define BPF_OPEN_ONCE
#define OPEN_TRIES    8 /* random ports tried before the flow is refused */
#define OPEN_PORT_LOW 1024
#endif

/* Is the entry found at a wanted key another flow that still lives? Its own former entry is not. */
static __always_inline bool V(is_taken)(const struct V(work) *w, const struct V(flow) *f)
{
	const struct V(flow) *v = &w->twin_value;

	if (V(addr_eq)(f->saddr, v->saddr) && f->sport == v->sport && V(addr_eq)(f->daddr, v->daddr) &&
	    f->dport == v->dport)
		return false;
	return f->state != SL_STATE_CLOSING && V(flow_is_fresh)(f, w->twin.proto, w->p.now);
}

/*
 * Writes the same over the entry that is there, unless that is taken (NO_ROOM). Another CPU may judge that entry at the same moment:
 * only one of the two finds it unchanged, for the other it EXISTS.
 */
static __always_inline int V(claim_over)(struct V(work) *w)
{
	__u32 *word;
	struct V(flow) *f = V(flow_find)(&w->twin, V(flow_mixed)(&w->twin), &word);

	if (f) {
		w->found = *f;
		if (V(is_taken)(w, &w->found))
			return PUT_NO_ROOM;
	}
	return V(flow_put)(TWIN, OVER_FOUND);
}

/* Writes work.twin → work.twin_value as a new flow's. 0, or 1: the key belongs to another live flow. */
__noinline int V(claim)(void)
{
	struct V(work) *w = V(work_get)();
	int result;

	if (!w)
		return 1;
	result = V(flow_put)(TWIN, OVER_NONE);
	if (result == PUT_EXISTS)
		result = V(claim_over)(w);
	/* Its own former entry may change, too: an answer touches it, in two places. It is its own still. */
	if (result == PUT_EXISTS)
		result = V(claim_over)(w);
	if (result == PUT_EXISTS)
		result = V(claim_over)(w);
	return result != PUT_DONE;
}

/*
 * Would the translated packet be taken for a reply when it leaves? That is so where the client is a backend too and has the tuple
 * of a running flow the other way round (peers that gossip through a VIP from one port), or speaks to itself from its own
 * service port.
 */
__noinline int V(is_ambiguous)(void)
{
	struct V(work) *w = V(work_get)();
	struct V(flow_key) out = {};
	struct V(flow) *f;
	__u32 *word;

	if (!w || w->key.kind != SL_FLOW_REQUEST || !V(filter_has)(w->value.saddr, FILTER_BACKENDS))
		return false;
	if (V(addr_eq)(w->value.saddr, w->value.daddr) && w->value.sport == w->value.dport)
		return true;
	V(addr_copy)(out.saddr, w->value.saddr);
	V(addr_copy)(out.daddr, w->value.daddr);
	out.sport = w->value.sport;
	out.dport = w->value.dport;
	out.proto = w->key.proto;
	out.kind = SL_FLOW_REPLY;
	f = V(flow_find)(&out, V(flow_mixed)(&out), &word);
	return f && f->state != SL_STATE_CLOSING && V(flow_is_fresh)(f, out.proto, w->p.now);
}

/*
 * Writes the entry work.key → work.value and its twin; the twin's key is claimed. The source port after translation is tried
 * as it is first, then at random in [low, low + span). 0, PORT_COLLISION, SNAT_PORTS or FLOW_INSERT.
 */
__noinline int V(open_pair)(__u32 low, __u32 span)
{
	struct V(work) *w = V(work_get)();
	bool adopted = false;
	struct V(flow) *other;
	__u32 *word;
	__u64 mix;
	int result;

	if (!w)
		return SL_REASON_FLOW_INSERT;
	w->value.state = SL_STATE_NEW;
	w->value.seen = sl_tick(w->p.now);
	w->value.twin = w->value.seen >> SL_TWIN_SHIFT;
	for (int i = 0; i < OPEN_TRIES; i++) {
		V(twin_key)(&w->key, &w->value, &w->twin);
		V(twin_value)(&w->key, &w->value, w->p.now, &w->twin_value);
		if (!V(is_ambiguous)() && !V(claim)())
			goto claimed;
		if (w->key.proto == IPPROTO_SCTP)
			break; /* its CRC covers the ports */
		w->value.flags |= SL_FLOW_PORT;
		w->value.sport = low + ((__u64)bpf_get_prandom_u32() * span >> 32);
	}
	return w->key.kind == SL_FLOW_SNAT ? SL_REASON_SNAT_PORTS : SL_REASON_PORT_COLLISION;

claimed:
	/* SNAT: over a former flow's, as nobody looked for it on the way here. */
	result = V(flow_put)(OWN, w->key.kind == SL_FLOW_SNAT ? OVER_ANY : OVER_NONE);
	if (result == PUT_DONE)
		return 0;
	/* Another CPU opened the same flow in between: its choice holds, ours goes. */
	mix = V(flow_mixed)(&w->key);
	other = result == PUT_EXISTS ? V(flow_find)(&w->key, mix, &word) : NULL;
	if (other) {
		w->value = *other;
		adopted = V(flow_stood)(word, mix);
	}
	if (!adopted || !V(is_twin_of)(&w->twin_value, &w->key) || w->value.backend != w->twin_value.backend)
		V(flow_drop)(TWIN);
	return adopted ? 0 : SL_REASON_FLOW_INSERT;
}

/* A pod that reaches itself: its packets leave the node's stack with the node's address as their source. */
static __always_inline int V(open_hairpin)(struct V(work) *w)
{
	const struct sl_config *config = config_get();
	__u32 low, span;

	if (w->key.proto == IPPROTO_SCTP)
		return SL_REASON_SCTP_PORT;
	if (!config)
		return SL_REASON_NO_NODE_ADDRESS;
#if FAMILY == 4
	V(addr_copy)(w->value.saddr, config->node4);
#else
	V(addr_copy)(w->value.saddr, config->node6);
#endif
	if (V(addr_is_zero)(w->value.saddr))
		return SL_REASON_NO_NODE_ADDRESS;
	V(addr_copy)(w->key.saddr, w->hit.saddr);
	V(addr_copy)(w->key.daddr, w->hit.daddr);
	w->key.sport = w->hit.sport;
	w->key.dport = w->hit.dport;
	w->key.kind = SL_FLOW_SNAT;
	low = config->snat_low;
	span = (__u32)config->snat_high - low + 1;
	w->value.sport = low + ((__u64)bpf_get_prandom_u32() * span >> 32);
	w->value.packets = 0;
	w->value.bytes = 0;
	return V(open_pair)(low, span);
}

/* Why a packet to a service address cannot open a flow, where no record matches its tuple. */
static __always_inline int V(no_service)(const struct V(flow_key) *key)
{
	const struct sl_config *config;

	if (V(is_vip)(key->daddr))
		return SL_REASON_UNKNOWN_PORT;
	config = config_get();
	if (config && V(is_service_range)(config, key->daddr))
		return SL_REASON_UNALLOCATED;
	return SL_REASON_NOT_SERVICE;
}

/* work.service and a backend of it into work.hit. 0 or why not; NOT_SERVICE is given as NOT_OURS. */
#ifndef NOT_OURS
#define NOT_OURS (-1)
#endif
static __always_inline int V(choose)(struct V(work) *w)
{
	int why = SL_REASON_TORN;

	for (int i = 0; i < 2 && why == SL_REASON_TORN; i++) { /* records may change between two reads: once more */
		why = V(service_find)(w->p.key.daddr, w->p.key.dport, w->p.key.proto, &w->service);
		if (why == SL_REASON_UNALLOCATED) {
			why = V(no_service)(&w->p.key);
			return why == SL_REASON_NOT_SERVICE ? NOT_OURS : why;
		}
		if (why)
			continue;
		w->service_id = w->service.service;
		why = V(is_unusable)(&w->service);
		if (why)
			return why;
		if (w->p.key.proto == IPPROTO_TCP && (w->p.tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN &&
		    w->service.algorithm != SL_ALGORITHM_MAGLEV)
			return SL_REASON_UNKNOWN_TCP_FLOW;
		why = V(select)(&w->service, &w->p.key, w->p.key.saddr, w->p.now, &w->hit);
	}
	return why;
}

/* Opens a flow for p.key. NEW_FLOW or HAIRPIN with the entry in work.hit, or why not; NOT_SERVICE: none of our business. */
__noinline int V(open)(struct __sk_buff *skb)
{
	struct V(work) *w = V(work_get)();
	int why;

	if (!w)
		return SL_REASON_FLOW_INSERT;
	__builtin_memset(&w->hit, 0, sizeof(w->hit));
	why = V(choose)(w);
	if (why)
		return why == NOT_OURS ? SL_REASON_NOT_SERVICE : why;

	V(addr_copy)(w->hit.saddr, w->p.key.saddr);
	w->hit.sport = w->p.key.sport;
	V(tally)(w, &w->hit, true);
	if (V(addr_eq)(w->hit.daddr, w->hit.saddr))
		w->hit.flags |= SL_FLOW_HAIRPIN;
	else if (sl_consts.bypass && V(bypass_may)(skb))
		w->hit.flags |= SL_FLOW_BYPASS;
	w->key = w->p.key;
	w->value = w->hit;
	why = V(open_pair)(OPEN_PORT_LOW, 65536 - OPEN_PORT_LOW);
	if (why)
		return why;
	w->hit = w->value; /* the source port may be another */
	if (w->hit.flags & SL_FLOW_HAIRPIN) {
		why = V(open_hairpin)(w);
		if (why) {
			V(forget)(true);
			return why;
		}
	}
	V(count_new_flow)(&w->hit);
	return w->hit.flags & SL_FLOW_HAIRPIN ? SL_REASON_HAIRPIN : SL_REASON_NEW_FLOW;
}
