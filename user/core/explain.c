// SPDX-License-Identifier: GPL-2.0
/* What the data path would do: a model of the walks in bpf/README.md over rows that a callback reads. */
/* Must not know: where rows come from, the programs' code, or how an answer is printed. */
#include "core/explain.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/explain_walk.h"
#include "core/format.h"

/* ---- ICMP and fragments ------------------------------------------------------------------------------------------------------ */

/*
 * The packet quoted went the other way, so its flow is that of the tuple turned round. What is quoted becomes what its
 * sender had sent: the entry's tuple turned round. An entry counts by its own time only.
 */
static int walk_icmp_error(struct walk *w, enum sl_flow_kind kind)
{
	const struct explain_packet *p = w->packet;
	const struct flow_id id = { kind, walk_turned(&p->quoted) };
	struct explain_tuple sent;
	struct flow flow;

	if (!p->has_quoted || !walk_find_flow(w, &id, &flow) ||
	    !walk_is_fresh(w, id.tuple.proto, &flow)) {
		walk_step(w, "ICMP: about no flow");
		return SL_REASON_NOT_SERVICE;
	}
	sent = walk_turned(&flow.to);
	walk_step(w, "ICMP: about a packet of a flow (%s entry), both headers are translated",
		  format_flow_kind(kind));
	w->answer.rewritten = true;
	if (kind != SL_FLOW_REPLY)
		w->answer.after.daddr = sent.saddr;
	else if (!address_cmp(&p->tuple.saddr, &p->quoted.daddr))
		w->answer.after.saddr = sent.daddr;
	if (kind == SL_FLOW_REQUEST)
		walk_answer_backend(w, &flow, &flow.to.daddr, flow.to.dport);
	else
		walk_answer_backend(w, &flow, &id.tuple.saddr, id.tuple.sport);
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
		key.v4 = (struct sl4_frag_key){ .id = w->packet->fragment_id,
						.proto = t->proto,
						.hook = hook };
		memcpy(key.v4.saddr, t->saddr.b, 4);
		memcpy(key.v4.daddr, t->daddr.b, 4);
	} else {
		key.v6 = (struct sl6_frag_key){ .id = w->packet->fragment_id,
						.proto = t->proto,
						.hook = hook };
		memcpy(key.v6.saddr, t->saddr.b, 16);
		memcpy(key.v6.daddr, t->daddr.b, 16);
	}
	if (!walk_get(w, EXPLAIN_FRAGS, &key, &value) ||
	    value.tag != (w->packet->fragment_id ^ (uint32_t)t->proto << 24) ||
	    walk_idle_ns(w, value.seen_ns) >= (int64_t)(SL_IDLE_FRAG_S * NS_PER_S)) {
		walk_step(w, "fragment: its first one was not seen");
		return false;
	}
	t->sport = value.sport;
	t->dport = value.dport;
	walk_step(w, "fragment: ports %u and %u, from its first one", t->sport, t->dport);
	return true;
}

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

/* ---- the walks ---------------------------------------------------------------------------------------------------------------- */

/* To what may be a service address. */
static int walk_request(struct walk *w)
{
	const struct explain_packet *p = w->packet;
	bool later = p->fragment == EXPLAIN_LATER_FRAGMENT;
	struct flow_id id = { SL_FLOW_REQUEST, p->tuple };
	struct flow flow;

	if (p->icmp_error) {
		int why = walk_icmp_error(w, SL_FLOW_REQUEST);

		return why == SL_REASON_NOT_SERVICE && walk_is_cluster_ip(w, &p->tuple.daddr)
			       ? SL_REASON_ICMP_NO_FLOW
			       : why;
	}
	if (later && !recall_ports(w, SL_HOOK_INGRESS, &id.tuple))
		return walk_is_cluster_ip(w, &p->tuple.daddr) ? SL_REASON_FRAGMENT
							      : SL_REASON_NOT_SERVICE;
	if (!has_ports(id.tuple.proto))
		return walk_no_record(w, &id.tuple);
	if (walk_look_up(w, &id, true, &flow)) {
		walk_answer_backend(w, &flow, &flow.to.daddr, flow.to.dport);
		walk_rewrite_destination(w, &flow);
		return SL_REASON_FLOW;
	}
	return later ? SL_REASON_FRAGMENT : walk_open(w, &id.tuple);
}

/* The answer of a hairpin flow comes to the node's address. */
static int walk_unsnat(struct walk *w)
{
	const struct flow_id id = { SL_FLOW_UNSNAT, w->packet->tuple };
	struct flow flow;

	if (w->packet->icmp_error)
		return walk_icmp_error(w, SL_FLOW_UNSNAT);
	walk_step(w, "SNAT: to the node's address and a port of its SNAT range");
	if (!walk_look_up(w, &id, false, &flow))
		return SL_REASON_NOT_SERVICE;
	walk_answer_backend(w, &flow, &id.tuple.saddr, id.tuple.sport);
	walk_rewrite_destination(w, &flow);
	return SL_REASON_REPLY;
}

static bool is_snat_reply(struct walk *w, const struct explain_tuple *t)
{
	const struct sl_config *c = &w->maps->config;
	const struct address node = walk_node_address(w);

	if (address_is_zero(&node) || address_cmp(&t->daddr, &node) != 0)
		return false;
	return w->packet->icmp_error ||
	       (has_ports(t->proto) && t->dport >= c->snat_low && t->dport <= c->snat_high);
}

static int walk_ingress(struct walk *w)
{
	const struct explain_tuple *t = &w->packet->tuple;
	char src[ADDRESS_TEXT_LEN], dst[ADDRESS_TEXT_LEN];
	int why;

	address_format(&t->saddr, src);
	address_format(&t->daddr, dst);
	if (w->packet->malformed)
		return walk_filter_has(w, &t->daddr, false) && walk_is_cluster_ip(w, &t->daddr)
			       ? SL_REASON_MALFORMED
			       : SL_REASON_NOT_SERVICE;
	if (w->packet->hook == EXPLAIN_POD_IN && walk_filter_has(w, &t->saddr, false) &&
	    walk_is_cluster_ip(w, &t->saddr)) {
		walk_step(w, "source: %s is a service address, and no pod has it", src);
		return SL_REASON_SPOOFED_VIP;
	}
	if (walk_filter_has(w, &t->daddr, false)) {
		walk_step(w, "filter: %s may be ours", dst);
		why = walk_request(w);
		if (why != SL_REASON_NOT_SERVICE)
			return why;
	} else {
		walk_step(w, "filter: %s is no service address", dst);
	}
	if (is_snat_reply(w, t))
		return walk_unsnat(w);
	if (walk_in_service_range(w, &t->daddr)) {
		walk_step(w, "range: %s is inside a service range", dst);
		return SL_REASON_UNALLOCATED;
	}
	return SL_REASON_NOT_SERVICE;
}

/* From a pod to itself, on its way out to it: first the request, else the reply. */
static int walk_hairpin(struct walk *w, const struct explain_tuple *t)
{
	struct flow_id id = { SL_FLOW_SNAT, *t };
	struct flow flow;

	if (walk_look_up(w, &id, true, &flow)) {
		walk_answer_backend(w, &flow, &flow.to.daddr, flow.to.dport);
		walk_rewrite_source(w, &flow);
		return SL_REASON_FLOW;
	}
	id.kind = SL_FLOW_REPLY;
	if (!walk_look_up(w, &id, false, &flow))
		return SL_REASON_NOT_SERVICE;
	walk_answer_backend(w, &flow, &t->saddr, t->sport);
	walk_rewrite_source(w, &flow);
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
	if (!walk_look_up(w, &id, false, &flow))
		return SL_REASON_NOT_SERVICE;
	walk_answer_backend(w, &flow, &t->saddr, t->sport);
	walk_rewrite_source(w, &flow);
	return SL_REASON_REPLY;
}

/* A process of the node speaks to a service address, and no socket call was there to serve it. */
static int walk_unserved(struct walk *w, const struct explain_tuple *t)
{
	struct row_service s;
	int why;

	if (!walk_find_record(w, t, &s, &why))
		return why;
	return walk_why_unusable(w, &s); /* 0 is NOT_SERVICE: it goes where its sender wants */
}

static int walk_uplink_out(struct walk *w, const struct explain_tuple *t)
{
	if (walk_filter_has(w, &t->daddr, false))
		return walk_unserved(w, t);
	return walk_in_service_range(w, &t->daddr) ? SL_REASON_UNALLOCATED : SL_REASON_NOT_SERVICE;
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
	if (walk_filter_has(w, &t.saddr, true)) {
		int why;

		walk_step(w, "filter: %s may be an endpoint", address_format(&t.saddr, src));
		why = walk_reply(w, &t);
		if (why != SL_REASON_NOT_SERVICE)
			return why;
	} else {
		walk_step(w, "filter: %s is no endpoint", address_format(&t.saddr, src));
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

	if (!walk_filter_has(w, &t->daddr, false))
		return SL_REASON_NOT_SERVICE;
	if (pod && (t->proto != IPPROTO_TCP || !(w->maps->config.flags & SL_CONFIG_SOCKET_PODS))) {
		walk_step(w, "call: left to the packets");
		return SL_REASON_NOT_SERVICE;
	}
	if (!walk_find_record(w, t, &s, &why))
		return why == SL_REASON_UNALLOCATED ? SL_REASON_NOT_SERVICE : why;
	if (pod && s.affinity_s) {
		walk_step(
			w,
			"call: affinity goes by the source, which is not known yet; left to the packets");
		return SL_REASON_NOT_SERVICE;
	}
	why = walk_why_unusable(w, &s);
	if (!why)
		why = walk_choose(w, &s, s.affinity_s ? &by : NULL, &nobody);
	if (why)
		return why;
	vec_for_each(b, &w->backends)
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
	return address_is_zero(addr) ||
	       (addr->family == 4 ? (addr->b[0] & 0xf0) == 0xe0 : addr->b[0] == 0xff);
}

static bool is_answered(const struct explain_packet *p, enum sl_reason reason)
{
	if (format_reason_verdict(reason) != SL_VERDICT_REJECT)
		return false;
	if (reason == SL_REASON_UNKNOWN_TCP_FLOW)
		return !(p->tcp_flags & EXPLAIN_RST);
	return !p->icmp_error && p->fragment != EXPLAIN_LATER_FRAGMENT &&
	       !is_no_host(&p->tuple.saddr);
}

int explain(const struct explain_maps *maps, const struct explain_packet *packet,
	    struct explain_answer *ret_answer)
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
