// SPDX-License-Identifier: GPL-2.0
/* What the data path would do: a model of the walks in bpf/README.md over rows that a callback reads. */
/* Must not know: where rows come from, the programs' code, or how an answer is printed. */
#include "core/explain.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "core/format.h"

#define NS_PER_S UINT64_C(1000000000)

/* An entry of a flow table in the form of either family. */
struct flow {
	uint32_t tag;
	struct explain_tuple to; /* the packet's tuple after translation */
	uint32_t backend;
	uint32_t backend_gen;
	uint32_t service;
	uint16_t flags;
	enum sl_flow_state state;
	uint64_t seen_ns;
	bool confirmed; /* found among the confirmed ones */
};

struct flow_id {
	enum sl_flow_kind kind;
	struct explain_tuple tuple;
};

enum standing {
	FLOW_NONE, /* none, or none that may be used */
	FLOW_TORN,
	FLOW_FOUND,
};

struct walk {
	const struct explain_maps *maps;
	const struct explain_packet *packet;
	int family;
	int rc; /* first failure of `get` or of memory; the rest of the walk then means nothing */
	struct explain_answer answer;
	struct VEC_OF(struct explain_backend) backends;
	struct steps {
		char (*data)[EXPLAIN_STEP_LEN];
		size_t len;
		size_t cap;
	} steps;
};

__attribute__((format(printf, 2, 3))) static void step(struct walk *w, const char *format, ...)
{
	va_list args;

	if (vec_reserve(&w->steps, 1) < 0) {
		w->rc = -ENOMEM;
		return;
	}
	va_start(args, format);
	vsnprintf(w->steps.data[w->steps.len++], EXPLAIN_STEP_LEN, format, args);
	va_end(args);
}

static bool get(struct walk *w, enum explain_map map, const void *key, void *ret_value)
{
	int rc = w->maps->get(w->maps->ctx, w->family, map, key, ret_value);

	if (rc < 0 && rc != -ENOENT && !w->rc)
		w->rc = rc;
	return rc == 0;
}

static void add_backend(struct walk *w, uint32_t id, const struct row_backend *row)
{
	if (vec_push(&w->backends, (struct explain_backend){ .id = id, .row = *row }) < 0)
		w->rc = -ENOMEM;
}

/* ---- rows of either family ------------------------------------------------------------------------------------------ */

union flow_key_bytes {
	struct sl4_flow_key v4;
	struct sl6_flow_key v6;
};

union flow_bytes {
	struct sl4_flow v4;
	struct sl6_flow v6;
};

static struct address address_of(int family, const void *bytes)
{
	struct address addr = { .family = (uint8_t)family };

	memcpy(addr.b, bytes, family == 4 ? 4 : 16);
	return addr;
}

#define ENCODE_FLOW_KEY(k, id)                                              \
	do {                                                                \
		memcpy((k)->saddr, (id)->tuple.saddr.b, sizeof((k)->saddr)); \
		memcpy((k)->daddr, (id)->tuple.daddr.b, sizeof((k)->daddr)); \
		(k)->sport = (id)->tuple.sport;                             \
		(k)->dport = (id)->tuple.dport;                             \
		(k)->proto = (id)->tuple.proto;                             \
		(k)->kind = (id)->kind;                                     \
	} while (0)

static union flow_key_bytes encode_flow_key(int family, const struct flow_id *id)
{
	union flow_key_bytes key;

	memset(&key, 0, sizeof(key));
	if (family == 4)
		ENCODE_FLOW_KEY(&key.v4, id);
	else
		ENCODE_FLOW_KEY(&key.v6, id);
	return key;
}

static uint32_t flow_hash(int family, const struct flow_id *id, uint32_t seed)
{
	const union flow_key_bytes key = encode_flow_key(family, id);

	return family == 4 ? sl4_flow_hash(&key.v4, seed) : sl6_flow_hash(&key.v6, seed);
}

#define DECODE_FLOW(v, fam, prot)                                                    \
	(struct flow){                                                               \
		.tag = (v)->tag,                                                     \
		.to = { address_of((fam), (v)->saddr), address_of((fam), (v)->daddr), \
			(v)->sport, (v)->dport, (prot) },                            \
		.backend = (v)->backend,                                             \
		.backend_gen = (v)->backend_gen,                                     \
		.service = (v)->service,                                             \
		.flags = (v)->flags,                                                 \
		.state = (v)->state,                                                 \
		.seen_ns = (v)->seen_ns,                                             \
	}

static bool read_flow(struct walk *w, enum explain_map map, const struct flow_id *id, struct flow *ret_flow)
{
	const union flow_key_bytes key = encode_flow_key(w->family, id);
	union flow_bytes value;

	if (!get(w, map, &key, &value))
		return false;
	*ret_flow = w->family == 4 ? DECODE_FLOW(&value.v4, 4, id->tuple.proto) :
				     DECODE_FLOW(&value.v6, 6, id->tuple.proto);
	return true;
}

/* Confirmed flows are looked up first; unconfirmed ones have a table of their own. */
static bool find_flow(struct walk *w, const struct flow_id *id, struct flow *ret_flow)
{
	enum explain_map confirmed = id->tuple.proto == IPPROTO_TCP ? EXPLAIN_FLOWS_TCP : EXPLAIN_FLOWS_UDP;

	if (read_flow(w, confirmed, id, ret_flow)) {
		ret_flow->confirmed = true;
		return true;
	}
	return read_flow(w, EXPLAIN_FLOWS_NEW, id, ret_flow);
}

static bool read_backend(struct walk *w, uint32_t id, struct row_backend *ret_backend)
{
	union {
		struct sl4_backend v4;
		struct sl6_backend v6;
	} value;

	if (!get(w, EXPLAIN_BACKENDS, &id, &value))
		return false;
	row_decode_backend(w->family, &value, ret_backend);
	return true;
}

static bool filter_has(struct walk *w, const struct address *addr, bool backends)
{
	uint32_t bit = row_filter_bit(addr), word = (backends ? SL_FILTER_WORDS : 0) + bit / 64;
	uint64_t value;

	return get(w, EXPLAIN_FILTER, &word, &value) && value >> (bit % 64) & 1;
}

static void name_of(struct walk *w, uint32_t service, char *text, size_t size)
{
	struct sl_name name;

	if (!service || !get(w, EXPLAIN_NAMES, &service, &name))
		snprintf(text, size, "service id %u", service);
	else if (name.port_name[0])
		snprintf(text, size, "%s/%s:%s", name.namespace, name.name, name.port_name);
	else
		snprintf(text, size, "%s/%s:%u", name.namespace, name.name, name.port);
}

/* ---- services --------------------------------------------------------------------------------------------------------- */

enum record {
	RECORD_NONE,
	RECORD_TORN, /* the record in the slot is not the one the key means, and stays so */
	RECORD_FOUND,
};

static enum record find_service(struct walk *w, const struct row_service_key *key, struct row_service *ret_service,
				uint32_t *ret_slot)
{
	uint8_t key_bytes[ROW_KEY_MAX] = { 0 };
	union {
		struct sl4_service v4;
		struct sl6_service v6;
	} value;
	struct sl_slot_ref ref;

	row_encode_key(w->family, key, key_bytes);
	if (!get(w, EXPLAIN_SERVICES, key_bytes, &ref))
		return RECORD_NONE;
	if (!get(w, EXPLAIN_RECORDS, &ref.slot, &value))
		return RECORD_TORN;
	row_decode_service(w->family, &value, ret_service);
	*ret_slot = ref.slot;
	if (ret_service->gen != ref.gen || address_cmp(&ret_service->key.vip, &key->vip) != 0 ||
	    ret_service->key.port != key->port || ret_service->key.proto != key->proto)
		return RECORD_TORN;
	return RECORD_FOUND;
}

/* Every cluster IP has an entry with port 0 and protocol 0. */
static bool is_cluster_ip(struct walk *w, const struct address *addr)
{
	const struct row_service_key key = { .vip = *addr };
	uint8_t key_bytes[ROW_KEY_MAX] = { 0 };
	struct sl_slot_ref ref;

	row_encode_key(w->family, &key, key_bytes);
	return get(w, EXPLAIN_SERVICES, key_bytes, &ref);
}

static bool masked_equal(const uint8_t *addr, const uint8_t *net, const uint8_t *mask, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((addr[i] & mask[i]) != net[i])
			return false;
	return true;
}

/* Slots in use come first: one that is off ends the list. */
static bool in_service_range(struct walk *w, const struct address *addr)
{
	const struct sl_config *c = &w->maps->config;

	for (size_t i = 0; i < SL_CIDRS; i++) {
		const uint8_t *net = w->family == 4 ? c->cidrs4[i].addr : c->cidrs6[i].addr;
		const uint8_t *mask = w->family == 4 ? c->cidrs4[i].mask : c->cidrs6[i].mask;

		if (!mask[0])
			break;
		if (masked_equal(addr->b, net, mask, w->family == 4 ? 4 : 16))
			return true;
	}
	return false;
}

static struct address node_address(const struct walk *w)
{
	return address_of(w->family, w->family == 4 ? w->maps->config.node4 : w->maps->config.node6);
}

/* ---- flows -------------------------------------------------------------------------------------------------------------- */

uint64_t explain_idle_ns(uint8_t proto, enum sl_flow_state state)
{
	uint64_t s;

	switch (state) {
	case SL_STATE_CONFIRMED:
		s = proto == IPPROTO_TCP ? SL_IDLE_TCP_S : proto == IPPROTO_SCTP ? SL_IDLE_SCTP_S : SL_IDLE_UDP_S;
		break;
	case SL_STATE_HALF_CLOSED:
		s = proto == IPPROTO_TCP ? SL_IDLE_TCP_HALF_S : SL_IDLE_UDP_NEW_S;
		break;
	case SL_STATE_CLOSING:
		s = proto == IPPROTO_TCP ? SL_IDLE_TCP_CLOSING_S : SL_IDLE_UDP_NEW_S;
		break;
	default:
		s = proto == IPPROTO_TCP ? SL_IDLE_TCP_NEW_S : SL_IDLE_UDP_NEW_S;
	}
	return s * NS_PER_S;
}

/* Signed: another CPU's clock may be ahead. */
static int64_t idle_ns(const struct walk *w, uint64_t seen_ns)
{
	return (int64_t)(w->packet->now_ns - seen_ns);
}

static bool is_fresh(const struct walk *w, uint8_t proto, const struct flow *flow)
{
	return idle_ns(w, flow->seen_ns) < (int64_t)explain_idle_ns(proto, flow->state);
}

static struct explain_tuple turned(const struct explain_tuple *t)
{
	return (struct explain_tuple){ t->daddr, t->saddr, t->dport, t->sport, t->proto };
}

static bool tuple_eq(const struct explain_tuple *a, const struct explain_tuple *b)
{
	return !address_cmp(&a->saddr, &b->saddr) && !address_cmp(&a->daddr, &b->daddr) && a->sport == b->sport &&
	       a->dport == b->dport;
}

/* The entry of the other direction, where it really belongs to this one. */
static bool find_twin(struct walk *w, const struct flow_id *id, const struct flow *flow, struct flow *ret_twin)
{
	static const enum sl_flow_kind other[] = {
		[SL_FLOW_REQUEST] = SL_FLOW_REPLY,
		[SL_FLOW_REPLY] = SL_FLOW_REQUEST,
		[SL_FLOW_SNAT] = SL_FLOW_UNSNAT,
		[SL_FLOW_UNSNAT] = SL_FLOW_SNAT,
	};
	const struct flow_id twin_id = { other[id->kind], turned(&flow->to) };
	const struct explain_tuple back = turned(&id->tuple);

	return find_flow(w, &twin_id, ret_twin) && tuple_eq(&ret_twin->to, &back);
}

/* Idle time has not passed for it, or not for the other direction: traffic may go one way only. */
static bool is_live(struct walk *w, const struct flow_id *id, const struct flow *flow)
{
	struct flow twin;

	if (is_fresh(w, id->tuple.proto, flow))
		return true;
	return find_twin(w, id, flow, &twin) && is_fresh(w, id->tuple.proto, &twin);
}

static bool backend_still(struct walk *w, const struct flow *flow, uint16_t flags)
{
	struct row_backend b;

	return read_backend(w, flow->backend, &b) && b.gen == flow->backend_gen && b.flags & flags;
}

static bool is_syn(const struct explain_packet *p)
{
	return (p->tcp_flags & (EXPLAIN_SYN | EXPLAIN_ACK)) == EXPLAIN_SYN;
}

/* May a packet of this side, that is the client's or not, use the entry? Says so in a step. */
static bool may_use(struct walk *w, const struct flow_id *id, const struct flow *flow, bool from_client)
{
	const char *state = format_flow_state(flow->state), *kind = format_flow_kind(id->kind);
	bool tcp = id->tuple.proto == IPPROTO_TCP;
	uint16_t list = flow->flags & SL_FLOW_LOCAL_LIST ? SL_BACKEND_IN_LOCAL : SL_BACKEND_IN_CLUSTER;

	if (!is_live(w, id, flow)) {
		step(w, "flow: %s entry, %s, but idle for too long: counts as none", kind, state);
		return false;
	}
	if (tcp && from_client && is_syn(w->packet)) {
		if (flow->state == SL_STATE_CLOSING) {
			step(w, "flow: %s entry is closing and this is a SYN: a new flow", kind);
			return false;
		}
		if (!backend_still(w, flow, list)) {
			step(w, "flow: %s entry, but its endpoint takes no new connections: a new flow", kind);
			return false;
		}
	}
	if (!tcp && from_client && !backend_still(w, flow, SL_BACKEND_SERVING)) {
		step(w, "flow: %s entry, but its endpoint serves no more: a new flow", kind);
		return false;
	}
	return true;
}

static enum standing look_up_flow(struct walk *w, const struct flow_id *id, bool from_client, struct flow *ret_flow)
{
	char age[FORMAT_SHORT_LEN];
	int64_t idle;

	if (!find_flow(w, id, ret_flow)) {
		step(w, "flow: no %s entry", format_flow_kind(id->kind));
		return FLOW_NONE;
	}
	if (ret_flow->tag != flow_hash(w->family, id, w->maps->seed)) {
		step(w, "flow: the %s entry's tag is of another key", format_flow_kind(id->kind));
		return FLOW_TORN;
	}
	if (!may_use(w, id, ret_flow, from_client))
		return FLOW_NONE;
	idle = idle_ns(w, ret_flow->seen_ns);
	step(w, "flow: %s entry, %s, last packet %s ago", format_flow_kind(id->kind), format_flow_state(ret_flow->state),
	     format_age(idle < 0 ? 0 : (uint64_t)idle, age));
	return FLOW_FOUND;
}

/* The backend of an entry: what the entry says, whatever the map says today. */
static void answer_flow_backend(struct walk *w, const struct flow *flow, const struct address *addr, uint16_t port)
{
	struct row_backend b;

	if (!read_backend(w, flow->backend, &b) || b.gen != flow->backend_gen)
		b = (struct row_backend){ .gen = flow->backend_gen, .service = flow->service };
	b.addr = *addr;
	b.port = port;
	add_backend(w, flow->backend, &b);
	w->answer.service = flow->service;
}

/* Both ports are written, wherever; SCTP's never are, as its CRC covers them. */
static void rewrite_ports(struct walk *w, uint16_t sport, uint16_t dport)
{
	w->answer.rewritten = true;
	if (w->packet->tuple.proto == IPPROTO_SCTP)
		return;
	w->answer.after.sport = sport;
	w->answer.after.dport = dport;
}

/* Ingress writes the destination, egress the source. */
static void rewrite_destination(struct walk *w, const struct flow *flow)
{
	w->answer.after.daddr = flow->to.daddr;
	rewrite_ports(w, flow->to.sport, flow->to.dport);
}

static void rewrite_source(struct walk *w, const struct flow *flow)
{
	w->answer.after.saddr = flow->to.saddr;
	rewrite_ports(w, flow->to.sport, flow->to.dport);
}

/* ---- choosing a backend --------------------------------------------------------------------------------------------------- */

struct choice {
	struct row_service service;
	uint16_t list; /* SL_BACKEND_IN_LOCAL or _CLUSTER */
	uint32_t line, len;
};

static bool is_usable(const struct choice *c, const struct row_backend *b)
{
	return b->service == c->service.service && b->flags & c->list;
}

static bool ring_element(struct walk *w, const struct choice *c, uint32_t index, uint32_t *ret_id)
{
	uint32_t line = c->line + index / SL_RING_LINE_IDS;
	struct sl_ring_line value;

	if (!get(w, EXPLAIN_RINGS, &line, &value))
		return false;
	*ret_id = value.backend[index % SL_RING_LINE_IDS];
	return true;
}

static int by_id(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* All that a random draw may give. */
static void collect_ring(struct walk *w, const struct choice *c)
{
	struct VEC_OF(uint32_t) ids = { 0 };
	struct row_backend b;

	for (uint32_t i = 0; i < c->len && !w->rc; i++) {
		uint32_t id;

		if (!ring_element(w, c, i, &id))
			w->answer.may_tear = true;
		else if (vec_push(&ids, id) < 0)
			w->rc = -ENOMEM;
	}
	vec_sort(&ids, by_id);
	for (size_t i = 0; i < ids.len; i++) {
		if (i && ids.data[i] == ids.data[i - 1])
			continue;
		if (read_backend(w, ids.data[i], &b) && is_usable(c, &b))
			add_backend(w, ids.data[i], &b);
		else
			w->answer.may_tear = true;
	}
	vec_done(&ids);
}

/* The same client always gets the same element, on every node. */
static void pick_maglev(struct walk *w, const struct choice *c, const struct explain_tuple *tuple)
{
	struct flow_id id = { SL_FLOW_REQUEST, *tuple };
	struct row_backend b;
	uint32_t index, backend;

	if (c->service.affinity_s)
		id.tuple.sport = 0;
	index = (uint32_t)((uint64_t)flow_hash(w->family, &id, 0) * c->len >> 32);
	if (ring_element(w, c, index, &backend) && read_backend(w, backend, &b) && is_usable(c, &b))
		add_backend(w, backend, &b);
	step(w, "ring: Maglev table of %u, element %u", c->len, index);
}

static bool pick_affinity(struct walk *w, const struct choice *c, const struct address *client)
{
	union {
		struct sl4_affinity_key v4;
		struct sl6_affinity_key v6;
	} key;
	struct sl_affinity value;
	struct row_backend b;
	char age[FORMAT_SHORT_LEN];
	int64_t idle;

	memset(&key, 0, sizeof(key));
	memcpy(w->family == 4 ? key.v4.client : key.v6.client, client->b, w->family == 4 ? 4 : 16);
	*(w->family == 4 ? &key.v4.service : &key.v6.service) = c->service.service;
	if (!get(w, EXPLAIN_AFFINITY, &key, &value)) {
		step(w, "affinity: none of this client yet");
		return false;
	}
	idle = idle_ns(w, value.seen_ns);
	if (idle >= (int64_t)(c->service.affinity_s * NS_PER_S)) {
		step(w, "affinity: the client's is over");
		return false;
	}
	if (!read_backend(w, value.backend, &b) || b.gen != value.backend_gen || !is_usable(c, &b)) {
		step(w, "affinity: the client's endpoint is not in the list in force");
		return false;
	}
	step(w, "affinity: the client's endpoint, last used %s ago", format_age(idle < 0 ? 0 : (uint64_t)idle, age));
	add_backend(w, value.backend, &b);
	return true;
}

static bool is_local(const struct row_service *s)
{
	return s->flags & SL_SERVICE_INTERNAL_LOCAL;
}

/* Why nobody can be chosen, whatever the packet; 0 if somebody can. */
static int why_unusable(struct walk *w, const struct row_service *s)
{
	bool elsewhere = is_local(s) && s->flags & SL_SERVICE_ANY_ENDPOINT;

	if (s->flags & SL_SERVICE_SCTP_PORT)
		return SL_REASON_SCTP_PORT;
	if (is_local(s))
		step(w, "policy: internalTrafficPolicy Local, only endpoints of this node");
	if (is_local(s) ? s->local_len : s->cluster_len)
		return 0;
	step(w, "endpoints: none usable%s", elsewhere ? " here" : "");
	return elsewhere ? SL_REASON_NO_LOCAL_ENDPOINT : SL_REASON_NO_ENDPOINT;
}

/*
 * Fills w->backends of a usable service. 0, or TORN. tuple is what Maglev goes by: NULL where the source port is not yet known,
 * which makes it random; client is what affinity goes by.
 */
static int choose(struct walk *w, const struct row_service *s, const struct explain_tuple *tuple,
		  const struct address *client)
{
	struct choice c = {
		.service = *s,
		.list = is_local(s) ? SL_BACKEND_IN_LOCAL : SL_BACKEND_IN_CLUSTER,
		.line = is_local(s) ? s->local_line : s->cluster_line,
		.len = is_local(s) ? s->local_len : s->cluster_len,
	};

	if (s->affinity_s && pick_affinity(w, &c, client))
		return 0;
	if (s->algorithm == SL_ALGORITHM_MAGLEV && tuple) {
		pick_maglev(w, &c, tuple);
	} else {
		collect_ring(w, &c);
		step(w, "ring: %zu endpoint%s, random", w->backends.len, w->backends.len == 1 ? "" : "s");
	}
	return w->backends.len ? 0 : SL_REASON_TORN;
}

/* Destination of no record: what else the address may be. */
static int no_record(struct walk *w, const struct explain_tuple *t)
{
	if (is_cluster_ip(w, &t->daddr)) {
		step(w, "service: the address is a cluster IP, the port or protocol is not");
		return SL_REASON_UNKNOWN_PORT;
	}
	if (in_service_range(w, &t->daddr)) {
		step(w, "service: none, but inside a service range");
		return SL_REASON_UNALLOCATED;
	}
	step(w, "service: none");
	return SL_REASON_NOT_SERVICE;
}

/* The record of a destination. False: there is none, and *ret_why says what that means. */
static bool find_record(struct walk *w, const struct explain_tuple *t, struct row_service *ret_service, int *ret_why)
{
	const struct row_service_key key = { t->daddr, t->dport, t->proto };
	char name[SL_NAMESPACE_LEN + SL_NAME_LEN + SL_PORT_NAME_LEN + 8];
	uint32_t slot;

	switch (find_service(w, &key, ret_service, &slot)) {
	case RECORD_NONE:
		*ret_why = no_record(w, t);
		return false;
	case RECORD_TORN:
		step(w, "service: the record in its slot is another's");
		*ret_why = SL_REASON_TORN;
		return false;
	case RECORD_FOUND:
		break;
	}
	w->answer.service = ret_service->service;
	name_of(w, ret_service->service, name, sizeof(name));
	step(w, "service: %s, record %u", name, slot);
	return true;
}

/* ---- new flows ------------------------------------------------------------------------------------------------------------- */

/* Alive by its own time, and not about to end. */
static bool holds(const struct walk *w, uint8_t proto, const struct flow *flow)
{
	return flow->state != SL_STATE_CLOSING && is_fresh(w, proto, flow);
}

/* Another flow holds this key, so the new one has to use another port. The same flow's own former entry (`to`) does not count. */
static bool is_taken(struct walk *w, const struct flow_id *id, const struct explain_tuple *to)
{
	enum explain_map maps[] = {
		id->tuple.proto == IPPROTO_TCP ? EXPLAIN_FLOWS_TCP : EXPLAIN_FLOWS_UDP,
		EXPLAIN_FLOWS_NEW,
	};

	for (size_t i = 0; i < 2; i++) {
		struct flow f;

		if (read_flow(w, maps[i], id, &f) && !(to && tuple_eq(&f.to, to)) && holds(w, id->tuple.proto, &f))
			return true;
	}
	return false;
}

static bool is_hairpin(const struct explain_tuple *t, const struct row_backend *b)
{
	return !address_cmp(&t->saddr, &b->addr);
}

/*
 * Would the translated packet be taken for a reply on its way out? Only where the client is an endpoint too: it has a flow the
 * other way round, or speaks to itself from its own service port.
 */
static bool is_ambiguous(struct walk *w, const struct explain_tuple *t, const struct row_backend *b)
{
	const struct flow_id out = { SL_FLOW_REPLY, { t->saddr, b->addr, t->sport, b->port, t->proto } };
	struct flow f;

	if (!filter_has(w, &t->saddr, true))
		return false;
	if (is_hairpin(t, b) && t->sport == b->port)
		return true;
	return find_flow(w, &out, &f) && holds(w, t->proto, &f);
}

/* Must this flow have another source port than the client's? */
static bool collides(struct walk *w, const struct explain_tuple *t, const struct row_backend *b)
{
	const struct flow_id reply = { SL_FLOW_REPLY, { b->addr, t->saddr, b->port, t->sport, t->proto } };
	const struct explain_tuple back_to = turned(t);

	return is_ambiguous(w, t, b) || is_taken(w, &reply, &back_to);
}

/* A pod that reaches itself needs an address and a port of the node. */
static enum sl_reason hairpin_reason(struct walk *w, const struct explain_tuple *t, const struct row_backend *b, bool other_port)
{
	const struct address node = node_address(w);
	const struct sl_config *c = &w->maps->config;
	const struct explain_tuple inside = { t->saddr, b->addr, t->sport, b->port, t->proto };
	const struct explain_tuple back = turned(&inside);
	struct flow_id id = { SL_FLOW_UNSNAT, { b->addr, node, b->port, 0, t->proto } };

	if (t->proto == IPPROTO_SCTP)
		return SL_REASON_SCTP_PORT;
	if (address_is_zero(&node))
		return SL_REASON_NO_NODE_ADDRESS;
	for (uint32_t port = c->snat_low; port <= c->snat_high; port++) {
		id.tuple.dport = (uint16_t)port;
		if (!is_taken(w, &id, other_port ? NULL : &back))
			return SL_REASON_HAIRPIN;
	}
	return SL_REASON_SNAT_PORTS;
}

/* What the new flow meets if this backend is drawn. SCTP's CRC covers the ports, so it cannot get another one. */
static enum sl_reason backend_reason(struct walk *w, const struct explain_tuple *t, const struct row_backend *b)
{
	bool other_port = collides(w, t, b);

	if (other_port && t->proto == IPPROTO_SCTP)
		return SL_REASON_PORT_COLLISION;
	if (other_port) {
		step(w, "reply: its tuple is another flow's; a random source port instead");
		w->answer.after_any_port = true;
	}
	return is_hairpin(t, b) ? hairpin_reason(w, t, b, other_port) : SL_REASON_NEW_FLOW;
}

/* The reason of a new flow whose possible backends are in w->backends. */
static int open_flow(struct walk *w, const struct explain_tuple *t)
{
	struct explain_backend *b, *first = w->backends.data;
	size_t n_hairpin = 0;
	bool same = true;

	vec_for_each (b, &w->backends) {
		b->reason = backend_reason(w, t, &b->row);
		n_hairpin += is_hairpin(t, &b->row);
		same = same && b->reason == first->reason;
	}
	if (n_hairpin)
		step(w, "hairpin: %sthe client itself, so its source becomes the node's address",
		     n_hairpin == w->backends.len ? "the endpoint is " : "if the draw gives ");
	if (same && format_reason_verdict(first->reason) != SL_VERDICT_FORWARD)
		return first->reason;
	w->answer.rewritten = true;
	if (w->backends.len > 1) {
		w->answer.after_any_backend = true;
	} else {
		w->answer.after.daddr = first->row.addr;
		rewrite_ports(w, t->sport, first->row.port);
	}
	return same ? first->reason : SL_REASON_NEW_FLOW;
}

static int walk_new(struct walk *w, const struct explain_tuple *t)
{
	struct row_service s;
	int why;

	if (!find_record(w, t, &s, &why))
		return why;
	why = why_unusable(w, &s);
	if (why)
		return why;
	if (t->proto == IPPROTO_TCP && !is_syn(w->packet) && s.algorithm != SL_ALGORITHM_MAGLEV) {
		step(w, "TCP: no SYN, and a random choice cannot be made again");
		return SL_REASON_UNKNOWN_TCP_FLOW;
	}
	why = choose(w, &s, t, &t->saddr);
	return why ? why : open_flow(w, t);
}

/* ---- ICMP and fragments ------------------------------------------------------------------------------------------------------ */

/*
 * The packet quoted went the other way, so its flow is that of the tuple turned round. What is quoted becomes what its
 * sender had sent: the entry's tuple turned round. An entry counts by its own time only.
 */
static int walk_icmp_error(struct walk *w, enum sl_flow_kind kind)
{
	const struct explain_packet *p = w->packet;
	const struct flow_id id = { kind, turned(&p->quoted) };
	struct explain_tuple sent;
	struct flow flow;

	if (!p->has_quoted || !find_flow(w, &id, &flow) || !is_fresh(w, id.tuple.proto, &flow) ||
	    flow.tag != flow_hash(w->family, &id, w->maps->seed)) {
		step(w, "ICMP: about no flow");
		return SL_REASON_NOT_SERVICE;
	}
	sent = turned(&flow.to);
	step(w, "ICMP: about a packet of a flow (%s entry), both headers are translated", format_flow_kind(kind));
	w->answer.rewritten = true;
	if (kind != SL_FLOW_REPLY)
		w->answer.after.daddr = sent.saddr;
	else if (!address_cmp(&p->tuple.saddr, &p->quoted.daddr))
		w->answer.after.saddr = sent.daddr;
	if (kind == SL_FLOW_REQUEST)
		answer_flow_backend(w, &flow, &flow.to.daddr, flow.to.dport);
	else
		answer_flow_backend(w, &flow, &id.tuple.saddr, id.tuple.sport);
	return SL_REASON_ICMP_ERROR;
}

/* Ports of a later fragment, from the first one. */
static bool recall_ports(struct walk *w, enum sl_hook hook, struct explain_tuple *t)
{
	union {
		struct sl4_frag_key v4;
		struct sl6_frag_key v6;
	} key;
	struct sl_frag value;

	memset(&key, 0, sizeof(key));
	if (w->family == 4) {
		key.v4 = (struct sl4_frag_key){ .id = w->packet->fragment_id, .proto = t->proto, .hook = hook };
		memcpy(key.v4.saddr, t->saddr.b, 4);
		memcpy(key.v4.daddr, t->daddr.b, 4);
	} else {
		key.v6 = (struct sl6_frag_key){ .id = w->packet->fragment_id, .proto = t->proto, .hook = hook };
		memcpy(key.v6.saddr, t->saddr.b, 16);
		memcpy(key.v6.daddr, t->daddr.b, 16);
	}
	if (!get(w, EXPLAIN_FRAGS, &key, &value) || value.tag != (w->packet->fragment_id ^ (uint32_t)t->proto << 24) ||
	    idle_ns(w, value.seen_ns) >= (int64_t)(SL_IDLE_FRAG_S * NS_PER_S)) {
		step(w, "fragment: its first one was not seen");
		return false;
	}
	t->sport = value.sport;
	t->dport = value.dport;
	step(w, "fragment: ports %u and %u, from its first one", t->sport, t->dport);
	return true;
}

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

/* ---- the walks ---------------------------------------------------------------------------------------------------------------- */

/* Neither port nor flow: ping, and protocols that services do not have. */
static int walk_portless(struct walk *w, const struct explain_tuple *t)
{
	if (!is_cluster_ip(w, &t->daddr))
		return SL_REASON_NOT_SERVICE;
	step(w, "service: the address is a cluster IP, the protocol has no ports");
	return SL_REASON_UNKNOWN_PORT;
}

/* To what may be a service address. */
static int walk_request(struct walk *w)
{
	const struct explain_packet *p = w->packet;
	bool later = p->fragment == EXPLAIN_LATER_FRAGMENT;
	struct flow_id id = { SL_FLOW_REQUEST, p->tuple };
	struct flow flow;

	if (p->icmp_error) {
		int why = walk_icmp_error(w, SL_FLOW_REQUEST);

		return why == SL_REASON_NOT_SERVICE && is_cluster_ip(w, &p->tuple.daddr) ? SL_REASON_ICMP_NO_FLOW : why;
	}
	if (later && !recall_ports(w, SL_HOOK_INGRESS, &id.tuple))
		return is_cluster_ip(w, &p->tuple.daddr) ? SL_REASON_FRAGMENT : SL_REASON_NOT_SERVICE;
	if (!has_ports(id.tuple.proto))
		return walk_portless(w, &id.tuple);
	switch (look_up_flow(w, &id, true, &flow)) {
	case FLOW_TORN:
		return SL_REASON_TORN;
	case FLOW_FOUND:
		answer_flow_backend(w, &flow, &flow.to.daddr, flow.to.dport);
		rewrite_destination(w, &flow);
		return SL_REASON_FLOW;
	case FLOW_NONE:
		break;
	}
	return later ? SL_REASON_FRAGMENT : walk_new(w, &id.tuple);
}

/* The answer of a hairpin flow comes to the node's address. */
static int walk_unsnat(struct walk *w)
{
	const struct flow_id id = { SL_FLOW_UNSNAT, w->packet->tuple };
	struct flow flow;

	if (w->packet->icmp_error)
		return walk_icmp_error(w, SL_FLOW_UNSNAT);
	step(w, "SNAT: to the node's address and a port of its SNAT range");
	switch (look_up_flow(w, &id, false, &flow)) {
	case FLOW_TORN:
		return SL_REASON_TORN;
	case FLOW_NONE:
		return SL_REASON_NOT_SERVICE;
	case FLOW_FOUND:
		break;
	}
	answer_flow_backend(w, &flow, &id.tuple.saddr, id.tuple.sport);
	rewrite_destination(w, &flow);
	return SL_REASON_REPLY;
}

static bool is_snat_reply(struct walk *w, const struct explain_tuple *t)
{
	const struct sl_config *c = &w->maps->config;
	const struct address node = node_address(w);

	if (address_is_zero(&node) || address_cmp(&t->daddr, &node) != 0)
		return false;
	return w->packet->icmp_error || (has_ports(t->proto) && t->dport >= c->snat_low && t->dport <= c->snat_high);
}

static int walk_ingress(struct walk *w)
{
	const struct explain_tuple *t = &w->packet->tuple;
	char src[ADDRESS_TEXT_LEN], dst[ADDRESS_TEXT_LEN];

	address_format(&t->saddr, src);
	address_format(&t->daddr, dst);
	if (w->packet->malformed)
		return is_cluster_ip(w, &t->daddr) ? SL_REASON_MALFORMED : SL_REASON_NOT_SERVICE;
	if (w->packet->hook == EXPLAIN_POD_IN && filter_has(w, &t->saddr, false) && is_cluster_ip(w, &t->saddr)) {
		step(w, "source: %s is a service address, and no pod has it", src);
		return SL_REASON_SPOOFED_VIP;
	}
	if (filter_has(w, &t->daddr, false)) {
		step(w, "filter: %s may be ours", dst);
		return walk_request(w);
	}
	step(w, "filter: %s is no service address", dst);
	if (is_snat_reply(w, t))
		return walk_unsnat(w);
	if (in_service_range(w, &t->daddr)) {
		step(w, "range: %s is inside a service range", dst);
		return SL_REASON_UNALLOCATED;
	}
	return SL_REASON_NOT_SERVICE;
}

/* From a pod to itself, on its way out to it: first the request, else the reply. */
static int walk_hairpin(struct walk *w, const struct explain_tuple *t)
{
	struct flow_id id = { SL_FLOW_SNAT, *t };
	struct flow flow;
	enum standing standing = look_up_flow(w, &id, true, &flow);

	if (standing == FLOW_TORN)
		return SL_REASON_TORN;
	if (standing == FLOW_FOUND) {
		answer_flow_backend(w, &flow, &flow.to.daddr, flow.to.dport);
		rewrite_source(w, &flow);
		return SL_REASON_FLOW;
	}
	id.kind = SL_FLOW_REPLY;
	standing = look_up_flow(w, &id, false, &flow);
	if (standing == FLOW_TORN)
		return SL_REASON_TORN;
	if (standing == FLOW_NONE)
		return SL_REASON_NOT_SERVICE;
	answer_flow_backend(w, &flow, &t->saddr, t->sport);
	rewrite_source(w, &flow);
	return SL_REASON_REPLY;
}

/* From what may be a backend. NOT_SERVICE leaves the packet to the rest of the walk; *t has the ports of a later fragment. */
static int walk_reply(struct walk *w, struct explain_tuple *t)
{
	struct flow_id id = { SL_FLOW_REPLY, *t };
	struct flow flow;

	if (!has_ports(t->proto))
		return SL_REASON_NOT_SERVICE;
	if (w->packet->fragment == EXPLAIN_LATER_FRAGMENT && !recall_ports(w, SL_HOOK_EGRESS, t))
		return SL_REASON_NOT_SERVICE;
	if (!address_cmp(&t->saddr, &t->daddr))
		return walk_hairpin(w, t);
	id.tuple = *t;
	switch (look_up_flow(w, &id, false, &flow)) {
	case FLOW_TORN:
		return SL_REASON_TORN;
	case FLOW_FOUND:
		answer_flow_backend(w, &flow, &t->saddr, t->sport);
		rewrite_source(w, &flow);
		return SL_REASON_REPLY;
	case FLOW_NONE:
		break;
	}
	return SL_REASON_NOT_SERVICE;
}

/* A process of the node speaks to a service address, and no socket call was there to serve it. */
static int walk_unserved(struct walk *w, const struct explain_tuple *t)
{
	struct row_service s;
	int why;

	if (!find_record(w, t, &s, &why))
		return why;
	return why_unusable(w, &s); /* 0 is NOT_SERVICE: it goes where its sender wants */
}

static int walk_uplink_out(struct walk *w, const struct explain_tuple *t)
{
	if (filter_has(w, &t->daddr, false))
		return walk_unserved(w, t);
	return in_service_range(w, &t->daddr) ? SL_REASON_UNALLOCATED : SL_REASON_NOT_SERVICE;
}

static int walk_egress(struct walk *w)
{
	const struct explain_packet *p = w->packet;
	struct explain_tuple t = p->tuple;
	char src[ADDRESS_TEXT_LEN];

	if (p->malformed)
		return SL_REASON_NOT_SERVICE;
	if (p->icmp_error)
		return walk_icmp_error(w, SL_FLOW_REPLY);
	if (filter_has(w, &t.saddr, true)) {
		int why;

		step(w, "filter: %s may be an endpoint", address_format(&t.saddr, src));
		why = walk_reply(w, &t);
		if (why != SL_REASON_NOT_SERVICE)
			return why;
	} else {
		step(w, "filter: %s is no endpoint", address_format(&t.saddr, src));
	}
	return p->hook == EXPLAIN_UPLINK_OUT ? walk_uplink_out(w, &t) : SL_REASON_NOT_SERVICE;
}

/* A new socket's call. The source is not known yet: affinity goes by "the node". */
static int walk_call(struct walk *w)
{
	const struct address nobody = { .family = (uint8_t)w->family };
	const struct explain_tuple *t = &w->packet->tuple;
	const struct explain_tuple by = { nobody, t->daddr, 0, t->dport, t->proto };
	bool pod = w->packet->hook == EXPLAIN_POD_CALL;
	struct row_service s;
	struct explain_backend *b;
	int why;

	if (!filter_has(w, &t->daddr, false))
		return SL_REASON_NOT_SERVICE;
	if (pod && (t->proto != IPPROTO_TCP || !(w->maps->config.flags & SL_CONFIG_SOCKET_PODS))) {
		step(w, "call: left to the packets");
		return SL_REASON_NOT_SERVICE;
	}
	if (!find_record(w, t, &s, &why))
		return why == SL_REASON_UNALLOCATED ? SL_REASON_NOT_SERVICE : why;
	if (pod && s.affinity_s) {
		step(w, "call: affinity goes by the source, which is not known yet; left to the packets");
		return SL_REASON_NOT_SERVICE;
	}
	why = why_unusable(w, &s);
	if (!why)
		why = choose(w, &s, s.affinity_s ? &by : NULL, &nobody);
	if (why)
		return why;
	vec_for_each (b, &w->backends)
		b->reason = SL_REASON_SOCKET;
	w->answer.rewritten = true;
	w->answer.after_any_backend = w->backends.len > 1;
	if (w->backends.len == 1) {
		w->answer.after.daddr = w->backends.data[0].row.addr;
		w->answer.after.dport = w->backends.data[0].row.port;
	}
	return SL_REASON_SOCKET;
}

/* ---- answer --------------------------------------------------------------------------------------------------------------------- */

/* Unspecified or multicast: no one host. */
static bool is_no_host(const struct address *addr)
{
	return address_is_zero(addr) || (addr->family == 4 ? (addr->b[0] & 0xf0) == 0xe0 : addr->b[0] == 0xff);
}

static bool is_answered(const struct explain_packet *p, enum sl_reason reason)
{
	if (format_reason_verdict(reason) != SL_VERDICT_REJECT)
		return false;
	if (reason == SL_REASON_UNKNOWN_TCP_FLOW)
		return !(p->tcp_flags & EXPLAIN_RST);
	return !p->icmp_error && p->fragment != EXPLAIN_LATER_FRAGMENT && !is_no_host(&p->tuple.saddr);
}

int explain(const struct explain_maps *maps, const struct explain_packet *packet, struct explain_answer *ret_answer)
{
	struct walk w = { .maps = maps, .packet = packet, .family = packet->tuple.daddr.family };
	int reason;

	w.answer.after = packet->tuple;
	switch (packet->hook) {
	case EXPLAIN_POD_IN:
	case EXPLAIN_UPLINK_IN:
		reason = walk_ingress(&w);
		break;
	case EXPLAIN_POD_OUT:
	case EXPLAIN_UPLINK_OUT:
		reason = walk_egress(&w);
		break;
	default:
		reason = walk_call(&w);
		break;
	}
	if (w.rc) {
		free(w.backends.data);
		free(w.steps.data);
		return w.rc;
	}
	w.answer.reason = (enum sl_reason)reason;
	w.answer.verdict = format_reason_verdict(w.answer.reason);
	w.answer.answered = is_answered(packet, w.answer.reason);
	w.answer.text = format_reason_text(w.answer.reason);
	w.answer.advice = format_reason_advice(w.answer.reason);
	w.answer.backends = w.backends.data;
	w.answer.n_backends = w.backends.len;
	w.answer.steps = w.steps.data;
	w.answer.n_steps = w.steps.len;
	*ret_answer = w.answer;
	return 0;
}

void explain_answer_done(struct explain_answer *answer)
{
	free(answer->backends);
	free(answer->steps);
	*answer = (struct explain_answer){ 0 };
}
