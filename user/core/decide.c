// SPDX-License-Identifier: GPL-2.0
/* The order of decision for a new flow: source ranges, exact match, node ports, the rest; policy, short-circuit, masquerade. */
/* Must not know: rows, hooks, flows that exist. */
#include "core/decide.h"

#include <string.h>

/* ---- who and where ------------------------------------------------------------------------------ */

enum who { POD, NODE, OUTSIDE };

static bool is_loopback(const struct address *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	return a->family == 4 ? a->b[0] == 127 : memcmp(a->b, one, sizeof(one)) == 0;
}

static bool has_address(const struct address *addrs, size_t n, const struct address *a)
{
	for (size_t i = 0; i < n; i++)
		if (address_cmp(&addrs[i], a) == 0)
			return true;
	return false;
}

static bool contains(const struct cidr *cidrs, size_t n, const struct address *a)
{
	for (size_t i = 0; i < n; i++)
		if (cidr_contains(&cidrs[i], a))
			return true;
	return false;
}

/* The test for pods comes first: a node's bridge address may be in the pods' range. */
static enum who who_is(const struct decide_node *node, const struct address *src)
{
	if (contains(node->pods, node->n_pods, src))
		return POD;
	return is_loopback(src) || has_address(node->own, node->n_own, src) ? NODE : OUTSIDE;
}

/* Never loopback: that would need route_localnet, which was CVE-2020-8558. */
static bool takes_node_ports(const struct decide_node *node, const struct address *dst)
{
	bool restricted = false;

	if (is_loopback(dst) || !has_address(node->own, node->n_own, dst))
		return false;
	for (size_t i = 0; i < node->n_node_ports; i++)
		restricted = restricted || node->node_ports[i].addr.family == dst->family;
	return !restricted || contains(node->node_ports, node->n_node_ports, dst);
}

static bool in_range(const uint8_t *addr, const uint8_t *range, const uint8_t *mask, size_t bytes)
{
	if (!mask[0])
		return false;
	for (size_t i = 0; i < bytes; i++)
		if ((addr[i] & mask[i]) != range[i])
			return false;
	return true;
}

static bool is_service_range(const struct view *v, const struct address *addr)
{
	const struct sl_config *c = &v->config;

	for (int i = 0; i < SL_CIDRS; i++)
		if (addr->family == 4 ? in_range(addr->b, c->cidrs4[i].addr, c->cidrs4[i].mask, 4)
				      : in_range(addr->b, c->cidrs6[i].addr, c->cidrs6[i].mask, 16))
			return true;
	return false;
}

/* ---- what is chosen ------------------------------------------------------------------------------ */

/* The local list or the cluster list, and whether the source is replaced. */
static void apply_policy(const struct decide_node *node, enum who who, struct decide_verdict *d)
{
	const struct view_service *s = d->service;

	if (s->kind == SL_KIND_CLUSTER_IP) {
		d->local_list = s->flags & SL_SERVICE_INTERNAL_LOCAL;
		d->masquerade = node->masquerade_all || (node->n_pods && who != POD);
	} else if (s->flags & SL_SERVICE_EXTERNAL_LOCAL) {
		/* short-circuit: from inside it is as if the flow had gone out and come back */
		d->local_list = who == OUTSIDE;
		d->masquerade = who == NODE;
	} else {
		d->masquerade = true;
	}
	d->endpoints = d->local_list ? s->local : s->cluster;
	d->n_endpoints = d->local_list ? s->n_local : s->n_cluster;
}

static struct decide_verdict decide_service(const struct decide_node *node,
					    const struct view_service *s,
					    const struct decide_flow *flow)
{
	struct decide_verdict d = { .reason = SL_REASON_NEW_FLOW, .service = s };

	if (s->damage) {
		d.reason = SL_REASON_TORN;
	} else if ((s->flags & SL_SERVICE_SOURCE_RANGES) && node->is_allowed &&
		   !node->is_allowed(node->ctx, s, &flow->src)) {
		d.reason = SL_REASON_SOURCE_RANGE;
	} else if (s->flags & SL_SERVICE_SCTP_PORT) {
		d.reason = SL_REASON_SCTP_PORT;
	} else {
		apply_policy(node, who_is(node, &flow->src), &d);
		if (!d.n_endpoints)
			d.reason = d.local_list && (s->flags & SL_SERVICE_ANY_ENDPOINT)
					   ? SL_REASON_NO_LOCAL_ENDPOINT
					   : SL_REASON_NO_ENDPOINT;
	}
	return d;
}

struct decide_verdict decide(const struct view *v, const struct decide_node *node,
			     const struct decide_flow *flow)
{
	const struct address any = { .family = flow->dst.family };
	const struct view_service *s = view_find(v, &flow->dst, flow->dport, flow->proto);

	if (!s && takes_node_ports(node, &flow->dst))
		s = view_find(v, &any, flow->dport, flow->proto);
	if (s)
		return decide_service(node, s, flow);
	s = view_find(v, &flow->dst, 0, 0);
	if (s)
		return (struct decide_verdict){ .reason = SL_REASON_UNKNOWN_PORT, .service = s };
	return (struct decide_verdict){
		.reason = is_service_range(v, &flow->dst) ? SL_REASON_UNALLOCATED
							  : SL_REASON_NOT_SERVICE,
	};
}

bool decide_masquerades(const struct decide_verdict *verdict, const struct decide_flow *flow,
			const struct view_endpoint *endpoint)
{
	return verdict->masquerade || address_cmp(&endpoint->addr, &flow->src) == 0;
}
