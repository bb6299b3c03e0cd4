/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Flow entries: where they are, how long they live, their twin. A table is an array of buckets (sluice_abi.h); here they are
 * read, in bucket.h changed.
 *
 * Slots are written anew under readers: an entry is copied first, and believed only if its tag is the same afterwards.
 */

static __always_inline __u64 V(flow_mixed)(const struct V(flow_key) *key)
{
	return V(flow_mix)(key, sl_consts.seed);
}

#if FAMILY == 4
#define BUCKETS_TCP sl_consts.buckets4_tcp
#define BUCKETS_UDP sl_consts.buckets4_udp
#else
#undef BUCKETS_TCP
#undef BUCKETS_UDP
#define BUCKETS_TCP sl_consts.buckets6_tcp
#define BUCKETS_UDP sl_consts.buckets6_udp
#endif

/* TCP has one table, everything else the other. NULL never comes, but the verifier cannot know. */
static __always_inline struct V(flow_bucket) *V(bucket)(__u8 proto, __u64 mix)
{
	__u32 index = sl_bucket(mix, proto == IPPROTO_TCP ? BUCKETS_TCP : BUCKETS_UDP);
	struct V(flow_bucket) *b;

	if (proto != IPPROTO_TCP)
		return bpf_map_lookup_elem(&V(flows_udp), &index);
	b = bpf_map_lookup_elem(&V(flows_tcp), &index);
	/* Two calls: of one for either map the kernel would make a call by pointer, where it writes an array's look-up in place. */
	asm volatile("" : "+r"(b));
	return b;
}

static __always_inline bool V(key_eq)(const struct V(flow_key) *a, const struct V(flow_key) *b)
{
	const sl_word *x = (const void *)a, *y = (const void *)b;
	__u64 differ = 0;

#pragma unroll
	for (unsigned int i = 0; i < sizeof(*a) / 8; i++)
		differ |= x[i] ^ y[i];
	return !differ;
}

static __always_inline struct V(flow_slot) *V(slot_at)(struct V(flow_bucket) *b, __u64 at)
{
	return &((struct V(flow_bucket) *)slot_step(b, at, sizeof(struct V(flow_slot))))->slots[0];
}

static __always_inline __u32 *V(word_at)(struct V(flow_bucket) *b, __u64 at)
{
	return &((struct V(flow_bucket) *)slot_step(b, at, sizeof(__u32)))->tags[0];
}

/* The slot of a bucket that carries this tag; SL_BUCKET_SLOTS: none. */
__noinline int V(bucket_scan)(__u32 proto, __u64 mix)
{
	struct V(flow_bucket) *b = V(bucket)(proto, mix);
	__u32 tag = sl_tag(mix);

	if (!b)
		return SL_BUCKET_SLOTS;
#pragma unroll
	for (int i = 0; i < SL_BUCKET_SLOTS; i++)
		if ((b->tags[i] & SL_TAG_MASK) == tag)
			return i;
	return SL_BUCKET_SLOTS;
}

/* The entry of a key, or NULL. *ret_word: its tag, for flow_stood(). */
static __always_inline struct V(flow) *V(flow_find)(const struct V(flow_key) *key, __u64 mix, __u32 **ret_word)
{
	struct V(flow_bucket) *b = V(bucket)(key->proto, mix);
	__u32 tag = sl_tag(mix), *word;
	__u32 at = sl_home(tag);
	struct V(flow_slot) *slot;

	if (!b)
		return NULL;
	/* At home as a rule: that it is guessed there lets the processor load both cache lines at once. */
	if ((*V(word_at)(b, at) & SL_TAG_MASK) != tag) {
		at = V(bucket_scan)(key->proto, mix);
		if (at >= SL_BUCKET_SLOTS)
			return NULL;
	}
	word = V(word_at)(b, at);
	slot = V(slot_at)(b, at);
	if (!V(key_eq)(&slot->key, key))
		return NULL;
	*ret_word = word;
	return &slot->flow;
}

/* Was the slot the same entry's from when it was found until now? */
static __always_inline bool V(flow_stood)(const __u32 *word, __u64 mix)
{
	barrier();
	return (*(const volatile __u32 *)word & SL_TAG_MASK) == sl_tag(mix);
}

#ifndef FLOW_ONCE
#define FLOW_ONCE
static __always_inline __u32 flow_idle(__u8 proto, enum sl_flow_state state)
{
	__u64 idle_s;

	if (proto == IPPROTO_TCP)
		idle_s = state == SL_STATE_CONFIRMED     ? SL_IDLE_TCP_S
			 : state == SL_STATE_HALF_CLOSED ? SL_IDLE_TCP_HALF_S
			 : state == SL_STATE_CLOSING     ? SL_IDLE_TCP_CLOSING_S
							 : SL_IDLE_TCP_NEW_S;
	else if (state != SL_STATE_CONFIRMED)
		idle_s = SL_IDLE_UDP_NEW_S;
	else
		idle_s = proto == IPPROTO_SCTP ? SL_IDLE_SCTP_S : SL_IDLE_UDP_S;
	return idle_s * NS_PER_S >> SL_TICK_SHIFT;
}

/* The kind of the other direction. */
static __always_inline enum sl_flow_kind twin_kind(enum sl_flow_kind kind)
{
	return kind == SL_FLOW_REQUEST ? SL_FLOW_REPLY
	       : kind == SL_FLOW_REPLY ? SL_FLOW_REQUEST
	       : kind == SL_FLOW_SNAT  ? SL_FLOW_UNSNAT
				       : SL_FLOW_SNAT;
}
#endif

static __always_inline bool V(flow_is_fresh)(const struct V(flow) *f, __u8 proto, __u64 now)
{
	return sl_quiet(sl_tick(now), f->seen) < flow_idle(proto, f->state) + SL_TICK_AHEAD;
}

static __always_inline void V(twin_key)(const struct V(flow_key) *key, const struct V(flow) *f,
					struct V(flow_key) *ret_key)
{
	V(addr_copy)(ret_key->saddr, f->daddr);
	V(addr_copy)(ret_key->daddr, f->saddr);
	ret_key->sport = f->dport;
	ret_key->dport = f->sport;
	ret_key->proto = key->proto;
	ret_key->kind = twin_kind(key->kind);
	ret_key->pad[0] = 0;
	ret_key->pad[1] = 0;
}

/* Does the entry `f` turn packets into the reverse of `key`? Then it is the twin of key's entry. */
static __always_inline bool V(is_twin_of)(const struct V(flow) *f, const struct V(flow_key) *key)
{
	return V(addr_eq)(f->saddr, key->daddr) && V(addr_eq)(f->daddr, key->saddr) && f->sport == key->dport &&
	       f->dport == key->sport;
}
