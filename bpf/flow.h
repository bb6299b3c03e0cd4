/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Flow entries: where they are, how long they live, their twin. A table is an array of LRU shards; the hash of the key
 * chooses the shard and is the entry's tag.
 *
 * Elements are recycled under readers: an entry is copied first, and believed only if its tag is read right afterwards.
 */

static __always_inline void *V(flow_shard)(void *table, __u32 shards, __u32 tag)
{
	__u32 shard = tag & (shards - 1);

	return bpf_map_lookup_elem(table, &shard);
}

#define TCP_SHARD(tag) V(flow_shard)(&V(flows_tcp), sl_consts.shards_tcp, tag)
#define UDP_SHARD(tag) V(flow_shard)(&V(flows_udp), sl_consts.shards_udp, tag)
#define NEW_SHARD(tag) V(flow_shard)(&V(flows_new), sl_consts.shards_new, tag)

static __always_inline void *V(flow_confirmed_shard)(__u8 proto, __u32 tag)
{
	if (proto == IPPROTO_TCP)
		return TCP_SHARD(tag);
	return UDP_SHARD(tag);
}

static __always_inline struct V(flow) *V(flow_confirmed)(const struct V(flow_key) *key, __u32 tag)
{
	void *shard = V(flow_confirmed_shard)(key->proto, tag);

	return shard ? bpf_map_lookup_elem(shard, key) : NULL;
}

static __always_inline struct V(flow) *V(flow_unconfirmed)(const struct V(flow_key) *key, __u32 tag)
{
	void *shard = NEW_SHARD(tag);

	return shard ? bpf_map_lookup_elem(shard, key) : NULL;
}

static __always_inline __u32 V(flow_tag)(const struct V(flow_key) *key)
{
	return V(flow_hash)(key, sl_consts.seed);
}

#ifndef FLOW_IDLE
#define FLOW_IDLE
static __always_inline __u64 flow_idle_ns(__u8 proto, enum sl_flow_state state)
{
	if (proto == IPPROTO_TCP) {
		if (state == SL_STATE_CONFIRMED)
			return SL_IDLE_TCP_S * NS_PER_S;
		if (state == SL_STATE_HALF_CLOSED)
			return SL_IDLE_TCP_HALF_S * NS_PER_S;
		if (state == SL_STATE_CLOSING)
			return SL_IDLE_TCP_CLOSING_S * NS_PER_S;
		return SL_IDLE_TCP_NEW_S * NS_PER_S;
	}
	if (state != SL_STATE_CONFIRMED)
		return SL_IDLE_UDP_NEW_S * NS_PER_S;
	return (proto == IPPROTO_SCTP ? SL_IDLE_SCTP_S : SL_IDLE_UDP_S) * NS_PER_S;
}

/* The kind of the other direction. */
static __always_inline enum sl_flow_kind twin_kind(enum sl_flow_kind kind)
{
	return kind == SL_FLOW_REQUEST ? SL_FLOW_REPLY :
	       kind == SL_FLOW_REPLY   ? SL_FLOW_REQUEST :
	       kind == SL_FLOW_SNAT    ? SL_FLOW_UNSNAT :
					 SL_FLOW_SNAT;
}
#endif

/* Signed: entries carry the time of other CPUs. */
static __always_inline bool V(flow_is_fresh)(const struct V(flow) *f, __u8 proto, __u64 now)
{
	return (__s64)(now - f->seen_ns) < (__s64)flow_idle_ns(proto, f->state);
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
