// SPDX-License-Identifier: GPL-2.0-only
/*
 * The listeners of healthCheckNodePorts: one for each Service of type LoadBalancer with external policy Local, in each of its
 * families, on the node's own address of that family (all addresses while that is not known). Load balancers learn there
 * whether this node has somebody to send to.
 */
#ifndef AGENT_HEALTH_PORTS_H
#define AGENT_HEALTH_PORTS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/address.h"

struct loop;
struct store;
struct health_ports;

struct health_ports_options {
	const struct store *store;
	const char *node_name;
	bool (*healthy)(void *ctx); /* is the agent itself? */
	/* A port cannot be listened on; tried again every five seconds. */
	void (*failed)(void *ctx, const char *namespace, const char *name, int family,
		       unsigned int port, const char *why);
	void *ctx;
};

/* The options are copied; what they point to outlives it. 0 or -ENOMEM. */
int health_ports_new(struct loop *loop, const struct health_ports_options *options,
		     struct health_ports **ret_ports);
void health_ports_free(struct health_ports *ports);

/* Opens, moves and closes listeners as the store says. ips: the node's own addresses, the first of a family counts. */
void health_ports_update(struct health_ports *ports, const struct address *ips, size_t n_ips);

size_t health_ports_count(const struct health_ports *ports);

#endif
