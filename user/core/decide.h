/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What becomes of a new flow by the rules of Services alone: kube-proxy's order of decision (nftables mode), over a view and what
 * is known of the node. It says what is right, for every kind of frontend; core/explain.h says what the programs do. Pure.
 */
#ifndef CORE_DECIDE_H
#define CORE_DECIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/view.h"

/* Everything zero: a node of which nothing is known; then every source is a pod, as kube-proxy has it without a detector. */
struct decide_node {
	const struct address *own; /* assigned to this host, loopback need not be in it */
	size_t n_own;
	const struct cidr *pods; /* --detect-local: sources that are pods; none: no detector */
	size_t n_pods;
	const struct cidr
		*node_ports; /* addresses that take node ports; none of a family: all of its own */
	size_t n_node_ports;
	bool masquerade_all;
	/* loadBalancerSourceRanges of a service whose record has SL_SERVICE_SOURCE_RANGES; NULL: nobody is kept out */
	bool (*is_allowed)(void *ctx, const struct view_service *service,
			   const struct address *src);
	void *ctx;
};

struct decide_flow {
	struct address src, dst;
	uint16_t dport;
	uint8_t proto; /* IPPROTO_ */
};

struct decide_verdict {
	enum sl_reason reason;              /* NEW_FLOW: forwarded to one of `endpoints` */
	const struct view_service *service; /* NULL = none */
	bool local_list;                    /* the local list decided */
	bool masquerade;                    /* whichever endpoint it is; see decide_masquerades() */
	const struct view_endpoint *endpoints;
	size_t n_endpoints;
};

struct decide_verdict decide(const struct view *v, const struct decide_node *node,
			     const struct decide_flow *flow);

/* Is the source replaced by the node's address on the way to this endpoint? Always so where it is the client itself. */
bool decide_masquerades(const struct decide_verdict *verdict, const struct decide_flow *flow,
			const struct view_endpoint *endpoint);

#endif
