/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Socket calls: a service address is replaced before a packet exists, and put back where the process looks.
 *
 * The node's own processes have no device on which packets could be translated for them, so all their TCP and UDP calls are
 * served here. In pods only connect() of TCP to services without affinity is (the source address is not known yet at connect);
 * everything else of theirs is translated by packet.
 */

#ifndef BPF_SOCKET_ONCE
#define BPF_SOCKET_ONCE
#define ECONNREFUSED 111
#define SOCKETS_NEAR 8 /* cookies, of a bucket's 15 slots */

/* Is the call made in the node's own network namespace? */
static __always_inline bool is_node(struct bpf_sock_addr *ctx, const struct sl_config *config)
{
	__u64 netns = bpf_get_netns_cookie(ctx);

	return netns == (config->host_netns ? config->host_netns : bpf_get_netns_cookie(NULL));
}

/* Does the call itself fail? Where it cannot carry the error, or the reason is a silent drop, the packet's walk refuses. */
static __always_inline bool socket_refuses(int why)
{
	return sl_consts.set_retval && (why == SL_REASON_NO_ENDPOINT || why == SL_REASON_UNKNOWN_PORT);
}

/* Counts the outcome; 0 refuses the call, 1 lets it go on. */
static __always_inline int socket_verdict(enum sl_reason why)
{
	if (why == SL_REASON_NOT_SERVICE)
		return 1;
	count(why, SL_HOOK_SOCKET, 0);
	if (socket_refuses(why)) {
		bpf_set_retval(-ECONNREFUSED);
		return 0;
	}
	return 1;
}
#endif

static __always_inline void V(socket_key)(struct bpf_sock_addr *ctx, const void *addr, __u16 port,
					  enum sl_flow_kind kind, struct V(socket_key) *ret_key)
{
	__builtin_memset(ret_key, 0, sizeof(*ret_key));
	ret_key->cookie = bpf_get_socket_cookie(ctx);
	V(addr_copy)(ret_key->addr, addr);
	ret_key->port = port;
	ret_key->proto = ctx->protocol;
	ret_key->kind = kind;
}

#if FAMILY == 4
#define BUCKETS_SOCKETS sl_consts.buckets4_sockets
#else
#undef BUCKETS_SOCKETS
#define BUCKETS_SOCKETS sl_consts.buckets6_sockets
#endif

/*
 * TCP sockets lie in the order of their cookies, some in a bucket: who opens one connection after another finds its memory at hand. One
 * of UDP may have many rows, which must not compete with each other.
 */
static __always_inline struct V(socket_bucket) *V(socket_bucket)(const struct V(socket_key) *key, __u64 mix)
{
	__u32 index = key->proto == IPPROTO_TCP ? (__u32)(key->cookie / SOCKETS_NEAR) % BUCKETS_SOCKETS
						: sl_bucket(mix, BUCKETS_SOCKETS);

	return bpf_map_lookup_elem(&V(sockets), &index);
}

static __always_inline struct V(socket_slot) *V(socket_slot_at)(struct V(socket_bucket) *b, __u64 at)
{
	return &((struct V(socket_bucket) *)slot_step(b, at, sizeof(struct V(socket_slot))))->slots[0];
}

static __always_inline __u32 *V(socket_word_at)(struct V(socket_bucket) *b, __u64 at)
{
	return &((struct V(socket_bucket) *)slot_step(b, at, sizeof(__u32)))->tags[0];
}

static __always_inline bool V(socket_key_eq)(const struct V(socket_key) *a, const struct V(socket_key) *b)
{
	const sl_word *x = (const void *)a, *y = (const void *)b;
	__u64 differ = 0;

#pragma unroll
	for (unsigned int i = 0; i < sizeof(*a) / 8; i++)
		differ |= x[i] ^ y[i];
	return !differ;
}

/* Under the lock: a free slot, at home if that is; else the oldest's. */
static __always_inline __u64 V(socket_slot_free)(struct V(socket_bucket) *b, __u64 home, __u32 now)
{
	__u64 best = 0, at;

	if (!*V(socket_word_at)(b, home))
		return home;
	at = slot_empty(b->tags);
	if (at < SL_BUCKET_SLOTS)
		return at;
#pragma unroll
	for (int i = 0; i < SL_BUCKET_SLOTS; i++)
		best = larger(best, rank_quiet(b->slots[i].socket.seen, now) << RANK_SHIFT | i);
	return best & SLOT_BITS;
}

/* Writes an entry, over one with the same key if there is one. */
static __noinline int V(socket_put)(const struct V(socket_key) *key, const struct V(socket) *value)
{
	__u64 mix = V(socket_mix)(key, sl_consts.seed), at;
	struct V(socket_bucket) *b = V(socket_bucket)(key, mix);
	__u32 tag = sl_tag(mix), *word;
	struct V(socket_slot) *slot;

	if (!b)
		return 0;
	bpf_spin_lock(&b->lock);
	at = slot_of(b->tags, tag);
	if (at >= SL_BUCKET_SLOTS)
		at = V(socket_slot_free)(b, sl_home(tag), value->seen);
	word = V(socket_word_at)(b, at);
	slot = V(socket_slot_at)(b, at);
	*word = 0;
	barrier();
	slot->key = *key;
	slot->socket = *value;
	barrier();
	*word = tag;
	bpf_spin_unlock(&b->lock);
	return 0;
}

#ifndef SOCKET_IDLE
#define SOCKET_IDLE \
	((SL_IDLE_UDP_S * NS_PER_S >> SL_TICK_SHIFT) + SL_TICK_AHEAD) /* of unconnected sockets, by sl_quiet() */
#endif

/*
 * A copy of a key's entry; false where there is none. `now` is noted in it, as the oldest leaves first; not in a choice
 * (REQUEST) that is over.
 */
static __noinline int V(socket_get)(const struct V(socket_key) *key, __u32 now, struct V(socket) *ret_value)
{
	__u64 mix = V(socket_mix)(key, sl_consts.seed);
	struct V(socket_bucket) *b = V(socket_bucket)(key, mix);
	__u32 tag = sl_tag(mix), *word;
	struct V(socket_slot) *slot;
	__u64 at = sl_home(tag);

	if (!b)
		return false;
	if (*V(socket_word_at)(b, at) != tag) {
		at = slot_of(b->tags, tag);
		if (at >= SL_BUCKET_SLOTS)
			return false;
	}
	word = V(socket_word_at)(b, at);
	slot = V(socket_slot_at)(b, at);
	if (!V(socket_key_eq)(&slot->key, key))
		return false;
	*ret_value = slot->socket;
	barrier();
	if (*(volatile __u32 *)word != tag)
		return false;
	if (key->kind == SL_FLOW_REPLY || sl_quiet(now, ret_value->seen) < SOCKET_IDLE)
		slot->socket.seen = now;
	return true;
}

static __noinline int V(socket_drop)(const struct V(socket_key) *key)
{
	__u64 mix = V(socket_mix)(key, sl_consts.seed), at;
	struct V(socket_bucket) *b = V(socket_bucket)(key, mix);
	__u32 tag = sl_tag(mix);

	/* Of most sockets nothing is known: no lock to find that. */
	if (!b || slot_of(b->tags, tag) >= SL_BUCKET_SLOTS)
		return 0;
	bpf_spin_lock(&b->lock);
	at = slot_of(b->tags, tag);
	if (at < SL_BUCKET_SLOTS && V(socket_key_eq)(&V(socket_slot_at)(b, at)->key, key))
		*V(socket_word_at)(b, at) = 0;
	bpf_spin_unlock(&b->lock);
	return 0;
}

static __always_inline void V(socket_value)(const void *to_addr, __u16 to_port, const struct V(flow) *choice, __u64 now,
					    struct V(socket) *ret_value)
{
	__builtin_memset(ret_value, 0, sizeof(*ret_value));
	V(addr_copy)(ret_value->addr, to_addr);
	ret_value->port = to_port;
	ret_value->service = choice->service;
	ret_value->backend = choice->backend;
	ret_value->backend_gen = choice->backend_gen;
	ret_value->seen = sl_tick(now);
}

/* Remembers that this socket's peer `addr:port` stands for `to`. */
static __always_inline void V(socket_remember)(struct bpf_sock_addr *ctx, const void *addr, __u16 port,
					       enum sl_flow_kind kind, const void *to_addr, __u16 to_port,
					       const struct V(flow) *choice, __u64 now)
{
	struct V(socket_key) key;
	struct V(socket) value;

	V(socket_key)(ctx, addr, port, kind, &key);
	V(socket_value)(to_addr, to_port, choice, now, &value);
	V(socket_put)(&key, &value);
}

/* UDP without connect(): datagrams of one socket to one service stay with their backend while it serves. */
static __always_inline bool V(socket_again)(struct bpf_sock_addr *ctx, const void *vip, __u16 port, __u64 now,
					    struct V(flow) *ret_choice)
{
	struct V(socket_key) key;
	struct V(socket) s = {};

	V(socket_key)(ctx, vip, port, SL_FLOW_REQUEST, &key);
	if (!V(socket_get)(&key, sl_tick(now), &s))
		return false;
	if (sl_quiet(sl_tick(now), s.seen) >= SOCKET_IDLE ||
	    !V(backend_is)(s.backend, s.backend_gen, SL_BACKEND_SERVING))
		return false;
	V(addr_copy)(ret_choice->daddr, s.addr);
	ret_choice->dport = s.port;
	ret_choice->service = s.service;
	ret_choice->backend = s.backend;
	ret_choice->backend_gen = s.backend_gen;
	/* Its answers need the other entry, which may have been put out on its own. */
	V(socket_key)(ctx, s.addr, s.port, SL_FLOW_REPLY, &key);
	if (!V(socket_get)(&key, sl_tick(now), &s)) {
		V(socket_value)(vip, port, ret_choice, now, &s);
		V(socket_put)(&key, &s);
	}
	return true;
}

/* Who a call is for: SOCKET with *ret_choice, NOT_SERVICE, or why it cannot be served. */
static __always_inline int V(socket_choose)(struct bpf_sock_addr *ctx, const void *vip, bool datagram,
					    struct V(flow) *ret_choice)
{
	const struct sl_config *config;
	struct V(service) s;
	struct V(flow_key) tuple = {};
	__u16 port = bpf_ntohs(ctx->user_port);
	__u8 proto = ctx->protocol;
	__u64 now;
	bool node;
	int why = SL_REASON_TORN;

	if (!V(filter_has)(vip, FILTER_VIPS))
		return SL_REASON_NOT_SERVICE;
	config = config_get();
	if (!config)
		return SL_REASON_NOT_SERVICE;
	node = is_node(ctx, config);
	if (!node && (proto != IPPROTO_TCP || !(config->flags & SL_CONFIG_SOCKET_PODS)))
		return SL_REASON_NOT_SERVICE;
	now = now_ns();
	if (datagram && V(socket_again)(ctx, vip, port, now, ret_choice))
		return SL_REASON_SOCKET;

	/* The source is not known yet: affinity goes by "the node", Maglev by chance. */
	V(addr_copy)(tuple.daddr, vip);
	tuple.dport = port;
	tuple.sport = bpf_get_prandom_u32();
	tuple.proto = proto;
	tuple.kind = SL_FLOW_REQUEST;
	for (int i = 0; i < 2 && why == SL_REASON_TORN; i++) {
		why = V(service_find)(vip, port, proto, &s);
		if (why == SL_REASON_UNALLOCATED)
			return V(is_vip)(vip) ? SL_REASON_UNKNOWN_PORT : SL_REASON_NOT_SERVICE;
		if (why)
			continue;
		if (!node && s.affinity_s)
			return SL_REASON_NOT_SERVICE;
		ret_choice->service = s.service;
		why = V(is_unusable)(&s);
		if (why)
			return why;
		why = V(select)(&s, &tuple, tuple.saddr, now, ret_choice);
	}
	if (why)
		return why;
	V(socket_remember)(ctx, ret_choice->daddr, ret_choice->dport, SL_FLOW_REPLY, vip, port, ret_choice, now);
	if (datagram)
		V(socket_remember)(ctx, vip, port, SL_FLOW_REQUEST, ret_choice->daddr, ret_choice->dport, ret_choice,
				   now);
	V(count_new_flow)(ret_choice);
	return SL_REASON_SOCKET;
}

static __always_inline void V(socket_report)(struct bpf_sock_addr *ctx, const void *vip, enum sl_reason why,
					     __u32 service)
{
	const struct sl_config *config = config_get();
	struct sl_event e = {};

	if (service)
		V(count_refused)(service);
	if (!config || !(config->flags & SL_CONFIG_EVENTS))
		return;
	e.now_ns = now_ns();
	e.reason = why;
	e.hook = SL_HOOK_SOCKET;
	e.family = FAMILY;
	e.proto = ctx->protocol;
	e.dport = bpf_ntohs(ctx->user_port);
	V(addr_copy)(e.daddr, vip);
	e.service = service;
	event_send(&e);
}

/*
 * A call that names a peer. SOCKET: the peer is to be ret_choice->daddr:dport. Other reasons: the call is refused or goes on
 * as it is. `datagram`: sendmsg, whose peer may change with every call.
 */
static __always_inline int V(socket_call)(struct bpf_sock_addr *ctx, const void *vip, bool datagram,
					  struct V(flow) *ret_choice)
{
	int why = V(socket_choose)(ctx, vip, datagram, ret_choice);

	if (socket_refuses(why))
		V(socket_report)(ctx, vip, why, ret_choice->service);
	return why;
}

/* Does this peer stand for a service? Then *ret_vip:*ret_port is what the process called. */
static __always_inline bool V(socket_peer)(struct bpf_sock_addr *ctx, const void *addr, void *ret_vip, __u16 *ret_port)
{
	struct V(socket_key) key;
	struct V(socket) s = {};

	if (!V(filter_has)(addr, FILTER_BACKENDS))
		return false;
	V(socket_key)(ctx, addr, bpf_ntohs(ctx->user_port), SL_FLOW_REPLY, &key);
	if (!V(socket_get)(&key, sl_tick(now_ns()), &s))
		return false;
	V(addr_copy)(ret_vip, s.addr);
	*ret_port = s.port;
	return true;
}

/* The peer of a socket that is closed: nothing is to be known of it any more. */
static __always_inline void V(socket_forget)(struct bpf_sock *sk, const void *addr)
{
	struct V(socket_key) key = {};

	if (!V(filter_has)(addr, FILTER_BACKENDS))
		return;
	key.cookie = bpf_get_socket_cookie(sk);
	V(addr_copy)(key.addr, addr);
	key.port = bpf_ntohs(sk->dst_port);
	key.proto = sk->protocol;
	key.kind = SL_FLOW_REPLY;
	V(socket_drop)(&key);
}
