/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Service record → backend: affinity first, then the ring. The answer goes into the fields of a flow entry that name the
 * backend (daddr, dport, backend, backend_gen, service, flags); the rest of the entry is not touched.
 */

/* Does the backend still belong to whom the id was given to, with one of these flags set? */
static __always_inline bool V(backend_is)(__u32 id, __u32 gen, __u16 flags)
{
	struct V(backend) *b = bpf_map_lookup_elem(&V(backends), &id);

	return b && b->gen == gen && (b->flags & flags);
}

static __always_inline bool V(backend_take)(__u32 id, __u32 service, __u16 flags, struct V(flow) *ret_choice)
{
	struct V(backend) *b = bpf_map_lookup_elem(&V(backends), &id);

	if (!b || b->service != service || !(b->flags & flags))
		return false;
	V(addr_copy)(ret_choice->daddr, b->addr);
	ret_choice->dport = b->port;
	ret_choice->backend = id;
	ret_choice->backend_gen = b->gen;
	ret_choice->service = service;
	return true;
}

/* A live affinity entry whose backend is in the list in force; others are passed over. */
static __always_inline bool V(affinity_find)(const struct V(affinity_key) *key, const struct V(service) *s, __u16 list,
					     __u64 now, struct V(flow) *ret_choice)
{
	struct sl_affinity *a = bpf_map_lookup_elem(&V(affinity), key);

	if (!a || (__s64)(now - a->seen_ns) >= (__s64)(s->affinity_s * NS_PER_S))
		return false;
	if (!V(backend_is)(a->backend, a->backend_gen, list) ||
	    !V(backend_take)(a->backend, s->service, list, ret_choice))
		return false;
	a->seen_ns = now;
	return true;
}

/* Does the policy of the service leave anybody to choose? 0, or NO_ENDPOINT, NO_LOCAL_ENDPOINT, SCTP_PORT. */
static __always_inline int V(is_unusable)(const struct V(service) *s)
{
	bool local = s->flags & SL_SERVICE_INTERNAL_LOCAL;

	if (s->flags & SL_SERVICE_SCTP_PORT)
		return SL_REASON_SCTP_PORT;
	if (local ? s->local_len : s->cluster_len)
		return 0;
	return local && (s->flags & SL_SERVICE_ANY_ENDPOINT) ? SL_REASON_NO_LOCAL_ENDPOINT : SL_REASON_NO_ENDPOINT;
}

/*
 * One backend of a usable service for a new flow of `tuple` (kind REQUEST). `client` is the address affinity goes by.
 * 0, or TORN: ring and backends are of different times.
 */
static __always_inline int V(select)(const struct V(service) *s, const struct V(flow_key) *tuple, const void *client,
				     __u64 now, struct V(flow) *ret_choice)
{
	bool local = s->flags & SL_SERVICE_INTERNAL_LOCAL;
	__u16 list = local ? SL_BACKEND_IN_LOCAL : SL_BACKEND_IN_CLUSTER;
	__u32 len = local ? s->local_len : s->cluster_len;
	__u32 line = local ? s->local_line : s->cluster_line;
	struct V(affinity_key) who = {};
	struct sl_affinity stick = {};
	struct sl_ring_line *ring;
	__u32 index;

	ret_choice->flags = local ? SL_FLOW_LOCAL_LIST : 0;
	V(addr_copy)(who.client, client);
	who.service = s->service;
	if (s->affinity_s && V(affinity_find)(&who, s, list, now, ret_choice))
		return 0;

	if (s->algorithm == SL_ALGORITHM_MAGLEV) {
		struct V(flow_key) by = *tuple;

		if (s->affinity_s)
			by.sport = 0; /* the same node-independent choice for all flows of a client */
		index = V(flow_hash)(&by, 0);
	} else {
		index = bpf_get_prandom_u32();
	}
	index = (__u64)index * len >> 32;
	line += index / SL_RING_LINE_IDS;
	ring = bpf_map_lookup_elem(&V(rings), &line);
	if (!ring || !V(backend_take)(ring->backend[index % SL_RING_LINE_IDS], s->service, list, ret_choice))
		return SL_REASON_TORN;

	if (s->affinity_s) {
		stick.backend = ret_choice->backend;
		stick.backend_gen = ret_choice->backend_gen;
		stick.seen_ns = now;
		bpf_map_update_elem(&V(affinity), &who, &stick, BPF_ANY);
	}
	return 0;
}

static __always_inline void V(count_new_flow)(const struct V(flow) *choice)
{
	__u32 service = choice->service, backend = choice->backend;
	struct sl_service_stats *s = bpf_map_lookup_elem(&V(svc_stats), &service);
	struct sl_backend_stats *b = bpf_map_lookup_elem(&V(be_stats), &backend);

	if (s)
		s->new_flows++;
	if (b)
		b->new_flows++;
}

static __always_inline void V(count_refused)(__u32 service)
{
	struct sl_service_stats *s = bpf_map_lookup_elem(&V(svc_stats), &service);

	if (s)
		s->refused++;
}
