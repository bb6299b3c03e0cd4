/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which endpoints of a service port may be used from this node, and for which kind of traffic: the
 * rules of kube-proxy (merging of slices, conditions, topology hints, traffic policies, terminating
 * fallback). Pure.
 */
#ifndef CORE_POLICY_H
#define CORE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "core/model.h"

/* This node, as far as it matters here. NULL = unknown. */
struct policy_node {
	const char *name;
	const char *zone;
};

/* One endpoint of one service port. Pointers are borrowed from the slices. */
struct policy_endpoint {
	struct address addr;
	uint16_t port;
	bool ready;
	bool serving;
	bool terminating;
	bool local;      /* runs on this node */
	bool in_cluster; /* out: may be used by traffic of policy Cluster */
	bool in_local;   /* out: may be used by traffic of policy Local */
	const struct endpoint *
		source; /* hints, node and pod name; never NULL in the output of policy_resolve() */
};

/* What a service port needs of its endpoints; policy_needs() says it for a Service. */
struct policy_needs {
	bool internal_local; /* internalTrafficPolicy: Local */
	bool external_local; /* externalTrafficPolicy: Local, of a type for which it counts */
	bool externally_accessible; /* node port, external IP or VIP in this family */
};

struct policy_summary {
	bool uses_cluster; /* false: in_cluster is false everywhere */
	bool uses_local;
	bool any; /* somebody somewhere could serve: an empty local list drops */
	size_t n_cluster;
	size_t n_local;
};

/* Endpoints sorted by address, then port; no two are equal. policy_result_done() frees them. */
struct policy_result {
	struct policy_endpoint *endpoints;
	size_t n_endpoints;
	struct policy_summary summary;
};

/* What policy_resolve() works on. */
struct policy_input {
	const struct service *service;
	const struct service_port *port;
	int family; /* 4 or 6 */
	const struct endpoint_slice *const
		*slices; /* all of the service, any family, sorted by name */
	size_t n_slices;
	const struct policy_node *node;
	/*
	 * Is it the address of a service? Such endpoints would loop, and are refused. May be NULL.
	 */
	bool (*is_service_address)(void *ctx, const struct address *addr);
	/* An endpoint was refused: why, as a clause ("is a loopback address"). May be NULL. */
	void (*refused)(void *ctx, const struct endpoint_slice *slice, const struct address *addr,
			const char *why);
	void *ctx;
};

struct policy_needs policy_needs(const struct service *s, const struct service_port *port,
				 int family);

/* loadBalancerSourceRanges: is there a filter in this family? None is left, or one allows everything: there is not. */
bool policy_has_ranges(const struct service *s, int family);
/*
 * May this source reach the service's load balancer addresses? primary: the node's own address of the family, or NULL. A node
 * that is allowed may have these addresses on an interface of its own, and then they are the source.
 */
bool policy_is_source_allowed(const struct service *s, const struct address *src,
			      const struct address *primary);

/* Merges, judges and sorts. 0 or -ENOMEM. */
int policy_resolve(const struct policy_input *in, struct policy_result *ret_result);
void policy_result_done(struct policy_result *r);

/*
 * The part of policy_resolve() after merging: sets in_cluster and in_local of each endpoint. Hints
 * are read from ->source (NULL: none).
 */
void policy_categorize(struct policy_endpoint *endpoints, size_t n,
		       const struct policy_needs *needs, const struct policy_node *node,
		       struct policy_summary *ret_summary);

/* Distinct addresses of a family that are ready on this node, whatever their ports: what a healthCheckNodePort counts. -ENOMEM. */
int policy_count_ready_local(const struct endpoint_slice *const *slices, size_t n_slices,
			     int family, const char *node_name);

/* Keeps running UDP flows: in a list or not, ready or not, as long as it serves. */
static inline bool policy_keeps_flows(const struct policy_endpoint *e)
{
	return e->ready || e->serving;
}

#endif
