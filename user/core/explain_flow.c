// SPDX-License-Identifier: GPL-2.0
/* The model of the data path: which flow entries count, and what a packet becomes by one. */
/* Must not know: services and rings. */
#include "core/explain_walk.h"

#include <netinet/in.h>

#include "core/format.h"

/* ---- flows -------------------------------------------------------------------------------------------------------------- */

uint64_t explain_idle_ns(uint8_t proto, enum sl_flow_state state)
{
	uint64_t s;

	switch (state) {
	case SL_STATE_CONFIRMED:
		s = proto == IPPROTO_TCP    ? SL_IDLE_TCP_S
		    : proto == IPPROTO_SCTP ? SL_IDLE_SCTP_S
					    : SL_IDLE_UDP_S;
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
int64_t walk_idle_ns(const struct walk *w, uint64_t seen_ns)
{
	return (int64_t)(w->packet->now_ns - seen_ns);
}

bool walk_is_fresh(const struct walk *w, uint8_t proto, const struct flow *flow)
{
	uint32_t idle = (uint32_t)(explain_idle_ns(proto, flow->state) >> SL_TICK_SHIFT);

	return sl_quiet(sl_tick(w->packet->now_ns), flow->seen) < idle + SL_TICK_AHEAD;
}

struct explain_tuple walk_turned(const struct explain_tuple *t)
{
	return (struct explain_tuple){ t->daddr, t->saddr, t->dport, t->sport, t->proto };
}

bool walk_tuple_eq(const struct explain_tuple *a, const struct explain_tuple *b)
{
	return !address_cmp(&a->saddr, &b->saddr) && !address_cmp(&a->daddr, &b->daddr) &&
	       a->sport == b->sport && a->dport == b->dport;
}

/* The entry of the other direction, where it really belongs to this one. */
static bool find_twin(struct walk *w, const struct flow_id *id, const struct flow *flow,
		      struct flow *ret_twin)
{
	static const enum sl_flow_kind other[] = {
		[SL_FLOW_REQUEST] = SL_FLOW_REPLY,
		[SL_FLOW_REPLY] = SL_FLOW_REQUEST,
		[SL_FLOW_SNAT] = SL_FLOW_UNSNAT,
		[SL_FLOW_UNSNAT] = SL_FLOW_SNAT,
	};
	const struct flow_id twin_id = { other[id->kind], walk_turned(&flow->to) };
	const struct explain_tuple back = walk_turned(&id->tuple);

	return walk_find_flow(w, &twin_id, ret_twin) && walk_tuple_eq(&ret_twin->to, &back);
}

/* Idle time has not passed for it, or not for the other direction: traffic may go one way only. */
static bool is_live(struct walk *w, const struct flow_id *id, const struct flow *flow)
{
	struct flow twin;

	if (walk_is_fresh(w, id->tuple.proto, flow))
		return true;
	return find_twin(w, id, flow, &twin) && walk_is_fresh(w, id->tuple.proto, &twin);
}

static bool backend_still(struct walk *w, const struct flow *flow, uint16_t flags)
{
	struct row_backend b;

	return walk_read_backend(w, flow->backend, &b) && b.gen == flow->backend_gen &&
	       b.flags & flags;
}

bool walk_is_syn(const struct explain_packet *p)
{
	return (p->tcp_flags & (EXPLAIN_SYN | EXPLAIN_ACK)) == EXPLAIN_SYN;
}

static bool is_syn_ack(const struct explain_packet *p)
{
	const uint8_t both = EXPLAIN_SYN | EXPLAIN_ACK;

	return (p->tcp_flags & both) == both;
}

/* May a packet of this side, that is the client's or not, use the entry? Says so in a step. */
static bool may_use(struct walk *w, const struct flow_id *id, const struct flow *flow,
		    bool from_client)
{
	const char *state = format_flow_state(flow->state), *kind = format_flow_kind(id->kind);
	bool tcp = id->tuple.proto == IPPROTO_TCP;
	uint16_t list = flow->flags & SL_FLOW_LOCAL_LIST ? SL_BACKEND_IN_LOCAL
							 : SL_BACKEND_IN_CLUSTER;

	if (!is_live(w, id, flow)) {
		walk_step(w, "flow: %s entry, %s, but idle for too long: counts as none", kind,
			  state);
		return false;
	}
	if (tcp && from_client && walk_is_syn(w->packet)) {
		if (flow->state == SL_STATE_CLOSING) {
			walk_step(w, "flow: %s entry is closing and this is a SYN: a new flow",
				  kind);
			return false;
		}
		if (!backend_still(w, flow, list)) {
			walk_step(
				w,
				"flow: %s entry, but its endpoint takes no new connections: a new flow",
				kind);
			return false;
		}
	}
	if (tcp && id->kind == SL_FLOW_REPLY && flow->state == SL_STATE_CLOSING &&
	    is_syn_ack(w->packet)) {
		walk_step(w,
			  "flow: %s entry is closing and this is a SYN-ACK: of a direct connection",
			  kind);
		return false;
	}
	if (!tcp && from_client && !backend_still(w, flow, SL_BACKEND_SERVING)) {
		walk_step(w, "flow: %s entry, but its endpoint serves no more: a new flow", kind);
		return false;
	}
	return true;
}

bool walk_look_up(struct walk *w, const struct flow_id *id, bool from_client, struct flow *ret_flow)
{
	char age[FORMAT_SHORT_LEN];
	uint32_t quiet;

	if (!walk_find_flow(w, id, ret_flow)) {
		walk_step(w, "flow: no %s entry", format_flow_kind(id->kind));
		return false;
	}
	if (!may_use(w, id, ret_flow, from_client))
		return false;
	quiet = sl_quiet(sl_tick(w->packet->now_ns), ret_flow->seen);
	walk_step(w, "flow: %s entry, %s, last packet %s ago", format_flow_kind(id->kind),
		  format_flow_state(ret_flow->state),
		  format_age(quiet < SL_TICK_AHEAD
				     ? 0
				     : (uint64_t)(quiet - SL_TICK_AHEAD) << SL_TICK_SHIFT,
			     age));
	return true;
}

/* The backend of an entry: what the entry says, whatever the map says today. */
void walk_answer_backend(struct walk *w, const struct flow *flow, const struct address *addr,
			 uint16_t port)
{
	struct row_backend b;

	if (!walk_read_backend(w, flow->backend, &b) || b.gen != flow->backend_gen)
		b = (struct row_backend){ .gen = flow->backend_gen, .service = flow->service };
	b.addr = *addr;
	b.port = port;
	walk_add_backend(w, flow->backend, &b);
	w->answer.service = flow->service;
}

/* Both ports are written, wherever; SCTP's never are, as its CRC covers them. */
void walk_rewrite_ports(struct walk *w, uint16_t sport, uint16_t dport)
{
	w->answer.rewritten = true;
	if (w->packet->tuple.proto == IPPROTO_SCTP)
		return;
	w->answer.after.sport = sport;
	w->answer.after.dport = dport;
}

/* Ingress writes the destination, egress the source. */
void walk_rewrite_destination(struct walk *w, const struct flow *flow)
{
	w->answer.after.daddr = flow->to.daddr;
	walk_rewrite_ports(w, flow->to.sport, flow->to.dport);
}

void walk_rewrite_source(struct walk *w, const struct flow *flow)
{
	w->answer.after.saddr = flow->to.saddr;
	walk_rewrite_ports(w, flow->to.sport, flow->to.dport);
}
