// SPDX-License-Identifier: GPL-2.0
/*
 * Which endpoints of a service port this node may use: merging of slices, conditions, hints, Local
 * policies, fallbacks.
 */
/*
 * Must not know: ids, rows, maps; nor what other services do, beyond whether an address is a
 * service's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "core/policy.h"

/* ---- what a service asks for ----------------------------------------------------------------- */

static size_t count_family(const struct address *addrs, size_t n, int family)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += addrs[i].family == family;
	return count;
}

struct policy_needs policy_needs(const struct service *s, const struct service_port *port,
				 int family)
{
	size_t external_ips = count_family(s->external_ips, s->n_external_ips, family);
	size_t lb_ips = count_family(s->lb_ips, s->n_lb_ips, family);
	bool type_counts = s->type == SERVICE_LOAD_BALANCER || s->type == SERVICE_NODE_PORT ||
			   (s->type == SERVICE_CLUSTER_IP && s->n_external_ips);

	return (struct policy_needs){
		.internal_local = s->internal_policy == POLICY_LOCAL,
		.external_local = s->external_policy == POLICY_LOCAL && type_counts,
		.externally_accessible = port->node_port || external_ips || lb_ips,
	};
}

bool policy_has_ranges(const struct service *s, int family)
{
	bool any = false;

	for (size_t i = 0; i < s->n_source_ranges; i++) {
		if (s->source_ranges[i].addr.family != family)
			continue;
		if (s->source_ranges[i].len == 0)
			return false;
		any = true;
	}
	return any;
}

static bool in_ranges(const struct service *s, const struct address *addr)
{
	for (size_t i = 0; i < s->n_source_ranges; i++)
		if (cidr_contains(&s->source_ranges[i], addr))
			return true;
	return false;
}

bool policy_is_source_allowed(const struct service *s, const struct address *src,
			      const struct address *primary)
{
	if (!policy_has_ranges(s, src->family) || in_ranges(s, src))
		return true;
	if (!primary || !in_ranges(s, primary))
		return false;
	for (size_t i = 0; i < s->n_lb_ips; i++)
		if (address_cmp(&s->lb_ips[i], src) == 0)
			return true;
	return false;
}

/* ---- topology -------------------------------------------------------------------------------- */

enum topology {
	TOPOLOGY_NONE,
	TOPOLOGY_NODE,
	TOPOLOGY_ZONE,
};

static bool names_one(char *const *hints, size_t n, const char *wanted)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(hints[i], wanted) == 0)
			return true;
	return false;
}

static bool matches(const struct policy_endpoint *e, enum topology topology,
		    const struct policy_node *node)
{
	if (topology == TOPOLOGY_NONE)
		return true;
	if (!e->source)
		return false;
	if (topology == TOPOLOGY_NODE)
		return names_one(e->source->node_hints, e->source->n_node_hints, node->name);
	return names_one(e->source->zone_hints, e->source->n_zone_hints, node->zone);
}

static bool is_hinted(const struct policy_endpoint *e, enum topology topology)
{
	if (!e->source)
		return false;
	return topology == TOPOLOGY_NODE ? e->source->n_node_hints > 0
					 : e->source->n_zone_hints > 0;
}

/* Every ready endpoint has hints of this kind, and one of them is for us. */
static bool is_usable(const struct policy_endpoint *endpoints, size_t n, enum topology topology,
		      const struct policy_node *node)
{
	const char *here = topology == TOPOLOGY_NODE ? node->name : node->zone;
	bool ours = false;

	if (!here || !*here)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!endpoints[i].ready)
			continue;
		if (!is_hinted(&endpoints[i], topology))
			return false;
		ours = ours || matches(&endpoints[i], topology, node);
	}
	return ours;
}

static enum topology choose_topology(const struct policy_endpoint *endpoints, size_t n,
				     const struct policy_node *node)
{
	if (is_usable(endpoints, n, TOPOLOGY_NODE, node))
		return TOPOLOGY_NODE;
	if (is_usable(endpoints, n, TOPOLOGY_ZONE, node))
		return TOPOLOGY_ZONE;
	return TOPOLOGY_NONE;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static bool is_fallback(const struct policy_endpoint *e)
{
	return e->serving && e->terminating;
}

static size_t fill_cluster(struct policy_endpoint *endpoints, size_t n,
			   const struct policy_node *node)
{
	enum topology topology = choose_topology(endpoints, n, node);
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		endpoints[i].in_cluster = endpoints[i].ready &&
					  matches(&endpoints[i], topology, node);
		count += endpoints[i].in_cluster;
	}
	for (size_t i = 0, empty = !count; empty && i < n; i++) {
		endpoints[i].in_cluster = is_fallback(&endpoints[i]);
		count += endpoints[i].in_cluster;
	}
	return count;
}

static size_t fill_local(struct policy_endpoint *endpoints, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		endpoints[i].in_local = endpoints[i].local && endpoints[i].ready;
		count += endpoints[i].in_local;
	}
	for (size_t i = 0, empty = !count; empty && i < n; i++) {
		endpoints[i].in_local = endpoints[i].local && is_fallback(&endpoints[i]);
		count += endpoints[i].in_local;
	}
	return count;
}

void policy_categorize(struct policy_endpoint *endpoints, size_t n,
		       const struct policy_needs *needs, const struct policy_node *node,
		       struct policy_summary *ret_summary)
{
	struct policy_summary sum = {
		.uses_cluster = !needs->internal_local || needs->externally_accessible,
		.uses_local = needs->internal_local ||
			      (needs->external_local && needs->externally_accessible),
	};

	for (size_t i = 0; i < n; i++)
		endpoints[i].in_cluster = endpoints[i].in_local = false;
	if (sum.uses_cluster)
		sum.n_cluster = fill_cluster(endpoints, n, node);
	if (sum.uses_local)
		sum.n_local = fill_local(endpoints, n);
	sum.any = sum.n_cluster > 0;
	for (size_t i = 0; sum.uses_local && !sum.any && i < n; i++)
		sum.any = endpoints[i].ready || is_fallback(&endpoints[i]);
	*ret_summary = sum;
}

/* ---- merging of slices ----------------------------------------------------------------------- */

struct copy {
	struct policy_endpoint e;
	size_t seq; /* order in which it was met */
};

struct copies VEC_OF(struct copy);

static bool is_welcome(const struct policy_input *in, const struct endpoint_slice *slice,
		       const struct address *addr)
{
	const char *why = address_refusal(addr);

	if (!why && addr->family != in->family)
		why = "is not of the slice's address type";
	if (!why && in->is_service_address && in->is_service_address(in->ctx, addr))
		why = "is the address of a service";
	if (why && in->refused)
		in->refused(in->ctx, slice, addr, why);
	return !why;
}

static int add_port(const struct policy_input *in, const struct endpoint_slice *slice,
		    uint16_t port, struct copies *copies)
{
	for (size_t i = 0; i < slice->n_endpoints; i++) {
		const struct endpoint *source = &slice->endpoints[i];
		struct copy c = {
			.e = {
				.addr = source->addr,
				.port = port,
				.ready = source->ready,
				.serving = source->serving,
				.terminating = source->terminating,
				.local = source->node_name && in->node->name &&
					 strcmp(source->node_name, in->node->name) == 0,
				.source = source,
			},
			.seq = copies->len,
		};

		if (is_welcome(in, slice, &source->addr) && vec_push(copies, c) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int collect(const struct policy_input *in, struct copies *copies)
{
	for (size_t i = 0; i < in->n_slices; i++) {
		const struct endpoint_slice *slice = in->slices[i];

		if (slice->family != in->family)
			continue;
		for (size_t k = 0; k < slice->n_ports; k++) {
			const struct slice_port *p = &slice->ports[k];

			if (!p->port || !p->name || p->proto != in->port->proto ||
			    strcmp(p->name, in->port->name ? in->port->name : "") != 0)
				continue;
			if (add_port(in, slice, p->port, copies) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

static int compare_places(const struct policy_endpoint *a, const struct policy_endpoint *b)
{
	int cmp = address_cmp(&a->addr, &b->addr);

	return cmp ? cmp : (a->port > b->port) - (a->port < b->port);
}

static int compare_copies(const void *a, const void *b)
{
	const struct copy *x = a, *y = b;
	int cmp = compare_places(&x->e, &y->e);

	return cmp ? cmp : (x->seq > y->seq) - (x->seq < y->seq);
}

/*
 * Copies of one endpoint become one: a terminating copy never replaces one that was met before, any
 * other always does.
 */
static size_t fold(const struct copies *copies, struct policy_endpoint *ret_endpoints)
{
	size_t n = 0;

	for (size_t i = 0; i < copies->len; i++) {
		const struct policy_endpoint *e = &copies->data[i].e;

		if (n == 0 || compare_places(&ret_endpoints[n - 1], e) != 0)
			ret_endpoints[n++] = *e;
		else if (!e->terminating)
			ret_endpoints[n - 1] = *e;
	}
	return n;
}

int policy_resolve(const struct policy_input *in, struct policy_result *ret_result)
{
	struct policy_needs needs = policy_needs(in->service, in->port, in->family);
	struct policy_result result = { 0 };
	struct copies copies = { 0 };
	int rc = collect(in, &copies);

	if (!rc && copies.len) {
		result.endpoints = malloc(copies.len * sizeof(*result.endpoints));
		rc = result.endpoints ? 0 : -ENOMEM;
	}
	if (!rc) {
		vec_sort(&copies, compare_copies);
		if (copies.len)
			result.n_endpoints = fold(&copies, result.endpoints);
		policy_categorize(result.endpoints, result.n_endpoints, &needs, in->node,
				  &result.summary);
		*ret_result = result;
	}
	vec_done(&copies);
	return rc;
}

void policy_result_done(struct policy_result *r)
{
	free(r->endpoints);
	memset(r, 0, sizeof(*r));
}

/* ---- health ---------------------------------------------------------------------------------------- */

static int compare_addresses(const void *a, const void *b)
{
	return address_cmp(a, b);
}

int policy_count_ready_local(const struct endpoint_slice *const *slices, size_t n_slices,
			     int family, const char *node_name)
{
	struct VEC_OF(struct address) found = { 0 };
	int n = 0;

	for (size_t i = 0; i < n_slices && n == 0; i++) {
		for (size_t k = 0; slices[i]->family == family && k < slices[i]->n_endpoints; k++) {
			const struct endpoint *e = &slices[i]->endpoints[k];

			if (e->ready && e->node_name && node_name &&
			    strcmp(e->node_name, node_name) == 0 && vec_push(&found, e->addr) < 0)
				n = -ENOMEM;
		}
	}
	vec_sort(&found, compare_addresses);
	for (size_t i = 0; n >= 0 && i < found.len; i++)
		n += i == 0 || address_cmp(&found.data[i], &found.data[i - 1]) != 0;
	vec_done(&found);
	return n;
}
