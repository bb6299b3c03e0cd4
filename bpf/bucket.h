/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Changes in flow tables: entries come, go, and change their standing. Each is one step under the bucket's lock (slots.h).
 *
 * Who may be put out: a bucket keeps at most SL_BUCKET_KEEP slots for established flows. A new flow takes a free slot, or one
 * that is not kept: over, closed and quiet, or else the one that was quiet longest. Kept slots whose flows are over count as not
 * kept. So neither a flood of SYNs nor single exchanges ever reach an established connection, and there is always a slot to be had.
 * When one more is established, the kept one that was quiet longest is kept no more (it goes on until somebody takes its slot).
 */

#ifndef BUCKET_ONCE
#define BUCKET_ONCE
/* Whose entry: the one at hand (the packet's, or one being written), or the twin's (work.twin). */
enum whose {
	OWN = 0,
	TWIN = 1,
};

/* What may be written over, where there is an entry with the same key. */
enum put_over {
	OVER_NONE,
	OVER_ANY,
	OVER_FOUND, /* work.found, as long as it is as it was */
};

enum put_result {
	PUT_DONE,
	PUT_EXISTS,  /* an entry with this key is there, and stays */
	PUT_NO_ROOM, /* another key has this tag (one in 10^8 flows), or every slot is kept */
};

/* Closed flows that no late packet is to be expected of. */
#define REST_TICKS TICKS(2)
#define FIN_BOTH   (SL_FLOW_FIN_REQUEST | SL_FLOW_FIN_REPLY)

#define TICKS(seconds) ((seconds)*NS_PER_S >> SL_TICK_SHIFT)
#define KEPT_TCP_TICKS TICKS(SL_IDLE_TCP_S)
#define KEPT_UDP_TICKS TICKS(SL_IDLE_SCTP_S)

/* 1 or 0. Read anew, as the verifier would walk what follows once for each table. */
static __always_inline __u64 is_tcp(const __u8 *proto)
{
	return is_zero(*(const volatile __u8 *)proto ^ IPPROTO_TCP);
}

/* Kept entries of proto's table that were quiet for so long are all over. */
static __always_inline __u64 kept_ticks(const __u8 *proto)
{
	return KEPT_UDP_TICKS + is_tcp(proto) * (KEPT_TCP_TICKS - KEPT_UDP_TICKS);
}

static __always_inline __u64 state_is_kept(__u64 state, __u64 flags)
{
	return (is_zero(state ^ SL_STATE_CONFIRMED) | is_zero(state ^ SL_STATE_HALF_CLOSED)) *
	       (1 - is_zero(flags & SL_FLOW_CONFIRMED));
}

/*
 * What CONFIRMED or HALF_CLOSED is for an entry with these flags; both sides may close at the same moment, each without having seen the
 * other. By arithmetic, too.
 */
static __always_inline __u64 state_with(__u64 state, __u64 flags)
{
	__u64 open = is_zero(state ^ SL_STATE_CONFIRMED) | is_zero(state ^ SL_STATE_HALF_CLOSED);
	__u64 sides = 2 - is_zero(flags & SL_FLOW_FIN_REQUEST) - is_zero(flags & SL_FLOW_FIN_REPLY);

	return open * (SL_STATE_CONFIRMED + sides) + (1 - open) * state;
}
_Static_assert(SL_STATE_HALF_CLOSED == SL_STATE_CONFIRMED + 1 && SL_STATE_CLOSING == SL_STATE_CONFIRMED + 2,
	       "state_with counts the sides that closed");
#endif

/* `key`, or work.twin: by arithmetic, as the verifier would walk what follows once for each. */
static __always_inline const struct V(flow_key) *V(key_of)(const struct V(work) *w, const struct V(flow_key) *key,
							   __u64 whose)
{
	__u64 step = (const void *)&w->twin - (const void *)key;

	whose &= 1;
	OPAQUE(whose);
	return (const void *)key + (whose & 1) * step;
}

/* The longer quiet the higher, closed ones before all others; at least 1. */
static __always_inline __u64 V(slot_rank)(const struct V(flow) *f, __u32 now)
{
	return rank_quiet(f->seen, now) + RANK_CLOSED * is_zero(f->state ^ SL_STATE_CLOSING);
}

/*
 * Under the lock: may a new entry have this slot at once? It is free, or over, or closed and quiet. One that is kept no more, but
 * established, is not over so soon.
 */
static __always_inline bool V(slot_rests)(struct V(flow_bucket) *b, __u64 at, const __u8 *proto, __u32 now)
{
	const struct V(flow) *f = &V(slot_at)(b, at)->flow;
	__u32 word = *V(word_at)(b, at);
	__u64 idle, need;

	if (!word)
		return true;
	idle = TICKS(SL_IDLE_UDP_NEW_S) + is_tcp(proto) * (TICKS(SL_IDLE_TCP_NEW_S) - TICKS(SL_IDLE_UDP_NEW_S));
	need = idle + state_is_kept(f->state, f->flags) * KEPT_TCP_TICKS -
	       is_zero(f->state ^ SL_STATE_CLOSING) * (idle - REST_TICKS);
	need += is_kept(word) << 40; /* never */
	return rank_quiet(f->seen, now) > need;
}

/*
 * Under the lock: the slot for a new entry; SL_BUCKET_SLOTS: none. At home if that can be; else one that is free; else, of those that are
 * not kept or over, the one that was quiet longest, closed ones first.
 */
static __always_inline __u64 V(slot_free)(struct V(flow_bucket) *b, __u64 home, const __u8 *proto, __u32 now)
{
	__u64 best = 0, at, kept;

	if (V(slot_rests)(b, home, proto, now))
		return home;
	at = slot_empty(b->tags);
	if (at < SL_BUCKET_SLOTS)
		return at;
	kept = kept_ticks(proto);
	/*
	 * A kept one counts from when it is over; until then it is below 0, and so below them all. Under a flood many are as quiet
	 * as each other: who leaves then depends on the newcomer.
	 */
#pragma unroll
	for (int i = 0; i < SL_BUCKET_SLOTS; i++)
		best = larger(best, (V(slot_rank)(&b->slots[i].flow, now) - is_kept(b->tags[i]) * kept) << RANK_SHIFT |
					    ((i + home) & SLOT_BITS));
	at = (best - home) & SLOT_BITS;
	return best >> RANK_SHIFT ? at : SL_BUCKET_SLOTS;
}

/* Under the lock: how many slots are kept. */
static __always_inline __u32 V(slots_kept)(struct V(flow_bucket) *b)
{
	__u32 n = 0;

#pragma unroll
	for (int i = 0; i < SL_BUCKET_SLOTS; i++)
		n += is_kept(b->tags[i]);
	return n;
}

/* Under the lock: the kept slot that was quiet longest is kept no more. */
static __always_inline void V(slot_demote)(struct V(flow_bucket) *b, __u32 now)
{
	__u64 best = 0, at;

#pragma unroll
	for (int i = 0; i < SL_BUCKET_SLOTS; i++)
		best = larger(best, is_kept(b->tags[i]) * (V(slot_rank)(&b->slots[i].flow, now) << RANK_SHIFT | i));
	at = best & SLOT_BITS;
	if (best >> RANK_SHIFT)
		*V(word_at)(b, at) &= ~SL_TAG_KEEP;
}

/* Is it the entry that was found, and nothing happened to it since? */
static __always_inline bool V(flow_same)(const struct V(flow) *a, const struct V(flow) *b)
{
	const sl_word *x = (const void *)a, *y = (const void *)b;
	__u64 differ = 0;

#pragma unroll
	for (unsigned int i = 0; i < __builtin_offsetof(struct V(flow), bytes) / 8; i++)
		differ |= x[i] ^ y[i];
	return !differ;
}

/* Writes work.key → work.value, or the twin's (values lie behind their keys); as one that is not kept. */
__noinline int V(flow_put)(__u32 whose, __u32 over)
{
	struct V(work) *w = V(work_get)();
	const struct V(flow_key) *key;
	const struct V(flow) *value;
	int result = PUT_NO_ROOM;
	struct V(flow_bucket) *b;
	struct V(flow_slot) *slot;
	__u32 tag, now, *word;
	__u64 at, mix;

	if (!w)
		return PUT_NO_ROOM;
	key = V(key_of)(w, &w->key, whose);
	value = (const void *)(key + 1);
	now = sl_tick(w->p.now);
	mix = V(flow_mixed)(key);
	tag = sl_tag(mix);
	b = V(bucket)(key->proto, mix);
	if (!b)
		return PUT_NO_ROOM;
	bpf_spin_lock(&b->lock);
	at = slot_of(b->tags, tag);
	if (at < SL_BUCKET_SLOTS) {
		if (!V(key_eq)(&V(slot_at)(b, at)->key, key))
			goto out;
		if (over != OVER_ANY && (over == OVER_NONE || !V(flow_same)(&w->found, &V(slot_at)(b, at)->flow))) {
			result = PUT_EXISTS;
			goto out;
		}
	} else {
		at = V(slot_free)(b, sl_home(tag), &key->proto, now);
		if (at >= SL_BUCKET_SLOTS)
			goto out;
	}
	word = V(word_at)(b, at);
	slot = V(slot_at)(b, at);
	*word = 0;
	barrier();
	slot->key = *key;
	slot->flow = *value;
	barrier();
	*word = tag;
	result = PUT_DONE;
out:
	bpf_spin_unlock(&b->lock);
	return result;
}

/*
 * The packet's entry (OWN), or its twin's (TWIN: only if it is really the twin), gets state and, of flags, those that say what
 * happened. None is taken away: another CPU may have set it since the entry was read. 1: done, 0: there is none.
 */
__noinline int V(flow_mark)(__u32 whose, __u32 state, __u32 flags)
{
	struct V(work) *w = V(work_get)();
	const struct V(flow_key) *key;
	struct V(flow_bucket) *b;
	int result = 0;
	struct V(flow) *f;
	struct V(flow_slot) *slot;
	__u32 now, *word;
	__u64 at, mix;

	if (!w)
		return 0;
	key = V(key_of)(w, &w->p.key, whose);
	now = sl_tick(w->p.now);
	mix = V(flow_mixed)(key);
	b = V(bucket)(key->proto, mix);
	if (!b)
		return 0;
	bpf_spin_lock(&b->lock);
	at = slot_of(b->tags, sl_tag(mix));
	if (at >= SL_BUCKET_SLOTS)
		goto out;
	word = V(word_at)(b, at);
	slot = V(slot_at)(b, at);
	if (!V(key_eq)(&slot->key, key))
		goto out;
	f = &slot->flow;
	if (whose == TWIN && !V(is_twin_of)(f, &w->p.key))
		goto out;
	result = 1;
	flags = f->flags | (flags & (FIN_BOTH | SL_FLOW_CONFIRMED));
	state = state_with(state, flags);
	f->state = state;
	f->flags = flags;
	if (!state_is_kept(state, flags)) {
		*word &= ~SL_TAG_KEEP;
	} else if (!(*word & SL_TAG_KEEP)) {
		if (V(slots_kept)(b) >= SL_BUCKET_KEEP)
			V(slot_demote)(b, now);
		*word |= SL_TAG_KEEP;
	}
out:
	bpf_spin_unlock(&b->lock);
	return result;
}

/* Removes an entry, if there is one. */
__noinline int V(flow_drop)(__u32 whose)
{
	struct V(work) *w = V(work_get)();
	const struct V(flow_key) *key;
	struct V(flow_bucket) *b;
	__u64 at, mix;

	if (!w)
		return 0;
	key = V(key_of)(w, &w->p.key, whose);
	mix = V(flow_mixed)(key);
	b = V(bucket)(key->proto, mix);
	if (!b)
		return 0;
	bpf_spin_lock(&b->lock);
	at = slot_of(b->tags, sl_tag(mix));
	if (at < SL_BUCKET_SLOTS && V(key_eq)(&V(slot_at)(b, at)->key, key))
		*V(word_at)(b, at) = 0;
	bpf_spin_unlock(&b->lock);
	return 0;
}
