// SPDX-License-Identifier: GPL-2.0
/* The model of the data path: new flows. Service, policy, affinity, ring, and collisions of tuples. */
/* Must not know: hooks, and flows that exist but for the tuples they hold. */
#include "core/explain_walk.h"

#include <netinet/in.h>
#include <string.h>

#include "core/format.h"

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

	if (!walk_get(w, EXPLAIN_RINGS, &line, &value))
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
		if (walk_read_backend(w, ids.data[i], &b) && is_usable(c, &b))
			walk_add_backend(w, ids.data[i], &b);
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
	index = (uint32_t)((uint64_t)walk_flow_hash(w->family, &id, 0) * c->len >> 32);
	if (ring_element(w, c, index, &backend) && walk_read_backend(w, backend, &b) &&
	    is_usable(c, &b))
		walk_add_backend(w, backend, &b);
	walk_step(w, "ring: Maglev table of %u, element %u", c->len, index);
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
	if (!walk_get(w, EXPLAIN_AFFINITY, &key, &value)) {
		walk_step(w, "affinity: none of this client yet");
		return false;
	}
	idle = walk_idle_ns(w, value.seen_ns);
	if (idle >= (int64_t)(c->service.affinity_s * NS_PER_S)) {
		walk_step(w, "affinity: the client's is over");
		return false;
	}
	if (!walk_read_backend(w, value.backend, &b) || b.gen != value.backend_gen ||
	    !is_usable(c, &b)) {
		walk_step(w, "affinity: the client's endpoint is not in the list in force");
		return false;
	}
	walk_step(w, "affinity: the client's endpoint, last used %s ago",
		  format_age(idle < 0 ? 0 : (uint64_t)idle, age));
	walk_add_backend(w, value.backend, &b);
	return true;
}

static bool is_local(const struct row_service *s)
{
	return s->flags & SL_SERVICE_INTERNAL_LOCAL;
}

/* Why nobody can be chosen, whatever the packet; 0 if somebody can. */
int walk_why_unusable(struct walk *w, const struct row_service *s)
{
	bool elsewhere = is_local(s) && s->flags & SL_SERVICE_ANY_ENDPOINT;

	if (s->flags & SL_SERVICE_SCTP_PORT)
		return SL_REASON_SCTP_PORT;
	if (is_local(s))
		walk_step(w, "policy: internalTrafficPolicy Local, only endpoints of this node");
	if (is_local(s) ? s->local_len : s->cluster_len)
		return 0;
	walk_step(w, "endpoints: none usable%s", elsewhere ? " here" : "");
	return elsewhere ? SL_REASON_NO_LOCAL_ENDPOINT : SL_REASON_NO_ENDPOINT;
}

/*
 * Fills w->backends of a usable service. 0, or TORN. tuple is what Maglev goes by: NULL where the source port is not yet known,
 * which makes it random; client is what affinity goes by.
 */
int walk_choose(struct walk *w, const struct row_service *s, const struct explain_tuple *tuple,
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
		walk_step(w, "ring: %zu endpoint%s, random", w->backends.len,
			  w->backends.len == 1 ? "" : "s");
	}
	return w->backends.len ? 0 : SL_REASON_TORN;
}

/* Destination of no record: what else the address may be. */
int walk_no_record(struct walk *w, const struct explain_tuple *t)
{
	if (walk_is_cluster_ip(w, &t->daddr)) {
		walk_step(w, "service: the address is a cluster IP, that port or protocol is not");
		return SL_REASON_UNKNOWN_PORT;
	}
	if (walk_in_service_range(w, &t->daddr)) {
		walk_step(w, "service: none, but inside a service range");
		return SL_REASON_UNALLOCATED;
	}
	walk_step(w, "service: none");
	return SL_REASON_NOT_SERVICE;
}

/* The record of a destination. False: there is none, and *ret_why says what that means. */
bool walk_find_record(struct walk *w, const struct explain_tuple *t,
		      struct row_service *ret_service, int *ret_why)
{
	const struct row_service_key key = { t->daddr, t->dport, t->proto };
	char name[SL_NAMESPACE_LEN + SL_NAME_LEN + SL_PORT_NAME_LEN + 8];
	uint32_t slot;

	switch (walk_find_service(w, &key, ret_service, &slot)) {
	case RECORD_NONE:
		*ret_why = walk_no_record(w, t);
		return false;
	case RECORD_TORN:
		walk_step(w, "service: the record in its slot is another's");
		*ret_why = SL_REASON_TORN;
		return false;
	case RECORD_FOUND:
		break;
	}
	w->answer.service = ret_service->service;
	walk_service_name(w, ret_service->service, name, sizeof(name));
	walk_step(w, "service: %s, record %u", name, slot);
	return true;
}

/* ---- new flows ------------------------------------------------------------------------------------------------------------- */

/* Alive by its own time, and not about to end. */
static bool holds(const struct walk *w, uint8_t proto, const struct flow *flow)
{
	return flow->state != SL_STATE_CLOSING && walk_is_fresh(w, proto, flow);
}

/* Another flow holds this key, so the new one has to use another port. The same flow's own former entry (`to`) does not count. */
static bool is_taken(struct walk *w, const struct flow_id *id, const struct explain_tuple *to)
{
	struct flow f;

	return walk_find_flow(w, id, &f) && !(to && walk_tuple_eq(&f.to, to)) &&
	       holds(w, id->tuple.proto, &f);
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
	const struct flow_id out = { SL_FLOW_REPLY,
				     { t->saddr, b->addr, t->sport, b->port, t->proto } };
	struct flow f;

	if (!walk_filter_has(w, &t->saddr, true))
		return false;
	if (is_hairpin(t, b) && t->sport == b->port)
		return true;
	return walk_find_flow(w, &out, &f) && holds(w, t->proto, &f);
}

/* Must this flow have another source port than the client's? */
static bool collides(struct walk *w, const struct explain_tuple *t, const struct row_backend *b)
{
	const struct flow_id reply = { SL_FLOW_REPLY,
				       { b->addr, t->saddr, b->port, t->sport, t->proto } };
	const struct explain_tuple back_to = walk_turned(t);

	return is_ambiguous(w, t, b) || is_taken(w, &reply, &back_to);
}

/* A pod that reaches itself needs an address and a port of the node. */
static enum sl_reason hairpin_reason(struct walk *w, const struct explain_tuple *t,
				     const struct row_backend *b, bool other_port)
{
	const struct address node = walk_node_address(w);
	const struct sl_config *c = &w->maps->config;
	const struct explain_tuple inside = { t->saddr, b->addr, t->sport, b->port, t->proto };
	const struct explain_tuple back = walk_turned(&inside);
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
static enum sl_reason backend_reason(struct walk *w, const struct explain_tuple *t,
				     const struct row_backend *b)
{
	bool other_port = collides(w, t, b);

	if (other_port && t->proto == IPPROTO_SCTP)
		return SL_REASON_PORT_COLLISION;
	if (other_port) {
		walk_step(w, "reply: its tuple is another flow's; a random source port instead");
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

	vec_for_each(b, &w->backends) {
		b->reason = backend_reason(w, t, &b->row);
		n_hairpin += is_hairpin(t, &b->row);
		same = same && b->reason == first->reason;
	}
	if (n_hairpin)
		walk_step(w,
			  "hairpin: %sthe client itself, so its source becomes the node's address",
			  n_hairpin == w->backends.len ? "the endpoint is " : "if the draw gives ");
	if (same && format_reason_verdict(first->reason) != SL_VERDICT_FORWARD)
		return first->reason;
	w->answer.rewritten = true;
	if (w->backends.len > 1) {
		w->answer.after_any_backend = true;
	} else {
		w->answer.after.daddr = first->row.addr;
		walk_rewrite_ports(w, t->sport, first->row.port);
	}
	return same ? first->reason : SL_REASON_NEW_FLOW;
}

int walk_open(struct walk *w, const struct explain_tuple *t)
{
	struct row_service s;
	int why;

	if (!walk_find_record(w, t, &s, &why))
		return why;
	why = walk_why_unusable(w, &s);
	if (why)
		return why;
	if (t->proto == IPPROTO_TCP && !walk_is_syn(w->packet) &&
	    s.algorithm != SL_ALGORITHM_MAGLEV) {
		walk_step(w, "TCP: no SYN, and a random choice cannot be made again");
		return SL_REASON_UNKNOWN_TCP_FLOW;
	}
	why = walk_choose(w, &s, t, &t->saddr);
	return why ? why : open_flow(w, t);
}
