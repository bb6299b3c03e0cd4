/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Packets of flows that exist. The fast step serves an established flow; everything else (handshakes, closing, expiry, entries
 * not yet confirmed) is the slow one's. Both copy the entry into work.hit; rewriting is another step.
 */

#ifndef BPF_TRACK_ONCE
#define BPF_TRACK_ONCE
enum track_result {
	TRACK_NONE, /* no entry, or (p.stale) one that must not be used: it is in work.hit */
	TRACK_TORN, /* recycled twice while it was read */
	TRACK_FOUND,
	TRACK_LOOK, /* not for the fast step to say */
};
#endif

/* May a new connection still take this entry's backend? */
static __always_inline bool V(hit_takes_new)(const struct V(flow) *hit)
{
	return V(backend_is)(hit->backend, hit->backend_gen,
			     hit->flags & SL_FLOW_LOCAL_LIST ? SL_BACKEND_IN_LOCAL : SL_BACKEND_IN_CLUSTER);
}

/* The other direction's entry of (key, f), if there is one and it is really the twin. Fills *ret_key. */
static __always_inline struct V(flow) *V(twin_find)(const struct V(flow_key) *key, const struct V(flow) *f,
						    struct V(flow_key) *ret_key, __u32 **ret_word)
{
	struct V(flow) *t;

	V(twin_key)(key, f, ret_key);
	t = V(flow_find)(ret_key, V(flow_mixed)(ret_key), ret_word);
	return t && V(is_twin_of)(t, key) ? t : NULL;
}

/* Builds the twin's value from an entry. */
static __always_inline void V(twin_value)(const struct V(flow_key) *key, const struct V(flow) *f, __u64 now,
					  struct V(flow) *ret_twin)
{
	__builtin_memset(ret_twin, 0, sizeof(*ret_twin));
	V(addr_copy)(ret_twin->saddr, key->daddr);
	V(addr_copy)(ret_twin->daddr, key->saddr);
	ret_twin->sport = key->dport;
	ret_twin->dport = key->sport;
	ret_twin->backend = f->backend;
	ret_twin->backend_gen = f->backend_gen;
	ret_twin->service = f->service;
	ret_twin->flags = f->flags;
	ret_twin->state = f->state;
	ret_twin->seen = sl_tick(now);
	ret_twin->twin = sl_tick(now) >> SL_TWIN_SHIFT;
}

/* Touches the twin of the packet's entry, or makes it again where it was put out; both are kept again if they were not. */
__noinline int V(twin_refresh)(void)
{
	struct V(work) *w = V(work_get)();
	struct V(flow) *t;
	__u32 *word;

	if (!w)
		return 0;
	t = V(twin_find)(&w->p.key, &w->hit, &w->twin, &word);
	if (t) {
		t->seen = sl_tick(w->p.now);
	} else {
		V(twin_value)(&w->p.key, &w->hit, w->p.now, &w->twin_value);
		if (V(flow_put)(TWIN, OVER_NONE) != PUT_DONE)
			return 0;
	}
	if (state_is_kept(w->hit.state, w->hit.flags)) {
		V(flow_mark)(OWN, w->hit.state, w->hit.flags);
		V(flow_mark)(TWIN, w->hit.state, w->hit.flags);
	}
	return 0;
}

/* Counts the packet on its entry, and says whether the backend's counters are told now. */
static __always_inline void V(tally)(struct V(work) *w, struct V(flow) *f, bool tell)
{
	__u32 packets = (f->untold & (SL_TELL_PACKETS - 1)) + 1, bytes = (f->untold >> SL_UNTOLD_SHIFT) + w->p.len;

	tell |= f->packets < SL_TELL_AT_ONCE || packets >= SL_TELL_PACKETS;
	f->packets++;
	f->bytes += w->p.len;
	f->untold = tell ? 0 : bytes << SL_UNTOLD_SHIFT | packets;
	w->tell_packets = tell ? packets : 0;
	w->tell_bytes = bytes;
}

/* Marks the packet on its entry. */
static __always_inline void V(refresh)(struct V(work) *w, struct V(flow) *f, bool tell)
{
	__u32 tick = sl_tick(w->p.now);
	__u8 twin = tick >> SL_TWIN_SHIFT;

	f->seen = tick;
	V(tally)(w, f, tell);
	if ((__u8)(twin - w->hit.twin) >= SL_TWIN_REFRESH) {
		f->twin = twin;
		V(twin_refresh)();
	}
}

/* The same as track_fast() for the entry f, of which work.hit is a copy. */
static __always_inline enum track_result V(track_hit)(struct V(work) *w, struct V(flow) *f)
{
	__u8 proto = w->p.key.proto;

	if (proto == IPPROTO_TCP && (w->p.tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)))
		return TRACK_LOOK;
	if (w->hit.state != SL_STATE_CONFIRMED || !V(flow_is_fresh)(&w->hit, proto, w->p.now))
		return TRACK_LOOK;
	if (proto != IPPROTO_TCP && w->p.client &&
	    !V(backend_is)(w->hit.backend, w->hit.backend_gen, SL_BACKEND_SERVING))
		return TRACK_LOOK;
	V(refresh)(w, f, false);
	return TRACK_FOUND;
}

/* Established, nothing special about the packet: served here (FOUND). NONE: there is no entry. Else the slow step must LOOK. */
static __always_inline enum track_result V(track_fast)(struct V(work) *w)
{
	struct V(flow) *f;
	__u32 *word;
	__u64 mix;

	if (w->p.key.proto == IPPROTO_TCP && (w->p.tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)))
		return TRACK_LOOK;
	mix = V(flow_mixed)(&w->p.key);
	f = V(flow_find)(&w->p.key, mix, &word);
	if (!f)
		return TRACK_NONE;
	w->hit = *f;
	return V(flow_stood)(word, mix) ? V(track_hit)(w, f) : TRACK_LOOK;
}

/* ---- slow ---- */

/* The same state and closing flags into the packet's entry and its twin. */
__noinline int V(set_state)(__u32 state, __u32 flags)
{
	struct V(work) *w = V(work_get)();

	if (!w)
		return 0;
	V(flow_mark)(OWN, state, flags);
	V(twin_key)(&w->p.key, &w->hit, &w->twin);
	return V(flow_mark)(TWIN, state, flags);
}

/* The client answered the answer: both entries are kept from now on. The twin is made again where it was put out. */
static __always_inline int V(confirm)(struct V(work) *w)
{
	__u32 flags = w->hit.flags | SL_FLOW_CONFIRMED;

	if (V(set_state)(SL_STATE_CONFIRMED, flags))
		return TRACK_FOUND;
	V(twin_value)(&w->p.key, &w->hit, w->p.now, &w->twin_value);
	if (V(flow_put)(TWIN, OVER_NONE) == PUT_DONE)
		V(flow_mark)(TWIN, SL_STATE_CONFIRMED, flags);
	return TRACK_FOUND;
}

/* TCP packets that begin or end something, or meet an entry that is not simply established. */
static __always_inline int V(track_tcp)(struct V(work) *w)
{
	bool confirmed = w->hit.flags & SL_FLOW_CONFIRMED;
	__u8 seen = w->p.tcp_flags, state = w->hit.state, next = state;
	__u16 flags = w->hit.flags;

	if ((seen & (TCP_SYN | TCP_ACK)) == TCP_SYN && w->p.client) {
		if (state == SL_STATE_CLOSING || !V(hit_takes_new)(&w->hit)) {
			w->p.stale = 1;
			return TRACK_NONE;
		}
		/* Sent again perhaps because the answer met no entry: it had been put out. */
		V(twin_refresh)();
		return TRACK_FOUND;
	}
	if ((seen & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK) && w->p.key.kind == SL_FLOW_REPLY &&
	    state == SL_STATE_CLOSING) {
		/* A SYN through the service would have replaced this entry: the client now speaks to the backend itself. */
		w->p.stale = 1;
		return TRACK_NONE;
	}
	if (seen & TCP_RST) {
		next = SL_STATE_CLOSING;
	} else if (seen & TCP_FIN) {
		flags |= w->p.client ? SL_FLOW_FIN_REQUEST : SL_FLOW_FIN_REPLY;
		next = (flags & FIN_BOTH) == FIN_BOTH ? SL_STATE_CLOSING : SL_STATE_HALF_CLOSED;
	} else if (!confirmed && !w->p.client && (seen & TCP_SYN) && state == SL_STATE_NEW) {
		next = SL_STATE_REPLIED;
	} else if (!confirmed && w->p.client && (seen & (TCP_ACK | TCP_SYN)) == TCP_ACK && state == SL_STATE_REPLIED) {
		return V(confirm)(w);
	} else if (confirmed && state == SL_STATE_CLOSING && (flags & FIN_BOTH) != FIN_BOTH) {
		/* The RST was not believed: it was not in the window. */
		next = flags & FIN_BOTH ? SL_STATE_HALF_CLOSED : SL_STATE_CONFIRMED;
	}
	if (next != state || flags != w->hit.flags)
		V(set_state)(next, flags);
	return TRACK_FOUND;
}

/* UDP and SCTP: confirmed by the client's first packet after a reply. */
static __always_inline int V(track_other)(struct V(work) *w)
{
	if (w->p.client && !V(backend_is)(w->hit.backend, w->hit.backend_gen, SL_BACKEND_SERVING)) {
		w->p.stale = 1;
		return TRACK_NONE;
	}
	if (!w->p.client && w->hit.state == SL_STATE_NEW)
		V(set_state)(SL_STATE_REPLIED, w->hit.flags);
	else if (w->p.client && w->hit.state == SL_STATE_REPLIED)
		return V(confirm)(w);
	return TRACK_FOUND;
}

/* An entry that looks expired lives while its twin is fresh: traffic may flow one way only. */
static __always_inline bool V(twin_is_fresh)(struct V(work) *w)
{
	__u32 *word;
	struct V(flow) *t = V(twin_find)(&w->p.key, &w->hit, &w->twin, &word);

	return t && V(flow_is_fresh)(t, w->p.key.proto, w->p.now);
}

/* Looks p.key up and follows the flow. p.client says which side the packet is from. */
__noinline int V(track)(void)
{
	struct V(work) *w = V(work_get)();
	struct V(flow) *f;
	__u32 *word;
	int result;
	__u64 mix;

	if (!w)
		return TRACK_NONE;
	mix = V(flow_mixed)(&w->p.key);
	/* Linux 5.10 refuses a loop whose head comes right behind a call ("back-edge"), as clang lays this one out. */
#pragma unroll
	for (int i = 0; i < 2; i++) {
		f = V(flow_find)(&w->p.key, mix, &word);
		if (!f)
			return TRACK_NONE;
		w->hit = *f;
		if (V(flow_stood)(word, mix))
			goto read;
	}
	return TRACK_TORN;

read:
	if (!V(flow_is_fresh)(&w->hit, w->p.key.proto, w->p.now) && !V(twin_is_fresh)(w)) {
		w->p.stale = 1;
		return TRACK_NONE;
	}
	result = w->p.key.proto == IPPROTO_TCP ? V(track_tcp)(w) : V(track_other)(w);
	if (result == TRACK_FOUND)
		V(refresh)(w, f, true);
	return result;
}

/* The entry of p.key, which must not be used any more, and with `both` its twin, by work.hit. */
__noinline int V(forget)(__u32 both)
{
	struct V(work) *w = V(work_get)();
	__u32 *word;

	if (!w)
		return 0;
	V(flow_drop)(OWN);
	if (both && V(twin_find)(&w->p.key, &w->hit, &w->twin, &word))
		V(flow_drop)(TWIN);
	return 0;
}
