/* SPDX-License-Identifier: GPL-2.0 */
/* Ports of later fragments, remembered from the first (RFC 791, RFC 8200 4.5). */

#ifndef FRAG_TAG
#define FRAG_TAG(p) ((p)->id ^ (__u32)(p)->key.proto << 24)
#endif

static __always_inline void V(frag_key)(const struct V(pkt) *p, enum sl_hook hook, struct V(frag_key) *ret_key)
{
	__builtin_memset(ret_key, 0, sizeof(*ret_key));
	V(addr_copy)(ret_key->saddr, p->key.saddr);
	V(addr_copy)(ret_key->daddr, p->key.daddr);
	ret_key->id = p->id;
	ret_key->proto = p->key.proto;
	ret_key->hook = hook;
}

static __always_inline void V(frag_remember)(const struct V(pkt) *p, enum sl_hook hook)
{
	struct V(frag_key) key;
	struct sl_frag ports = {
		.sport = p->key.sport,
		.dport = p->key.dport,
		.tag = FRAG_TAG(p),
		.seen_ns = p->now,
	};

	V(frag_key)(p, hook, &key);
	bpf_map_update_elem(&V(frags), &key, &ports, BPF_ANY);
}

/* Fills p's ports; false if the first fragment was not seen, or too long ago. */
static __always_inline bool V(frag_recall)(struct V(pkt) *p, enum sl_hook hook)
{
	struct V(frag_key) key;
	struct sl_frag *ports;

	V(frag_key)(p, hook, &key);
	ports = bpf_map_lookup_elem(&V(frags), &key);
	if (!ports || ports->tag != FRAG_TAG(p) ||
	    (__s64)(p->now - ports->seen_ns) >= (__s64)(SL_IDLE_FRAG_S * NS_PER_S))
		return false;
	p->key.sport = ports->sport;
	p->key.dport = ports->dport;
	return true;
}
