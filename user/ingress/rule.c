// SPDX-License-Identifier: GPL-2.0-only
/* Rules and snapshots: who holds what, and what is let go with the last one. */
/* Must not know how they are made (config.c). */
#include "ingress/rule.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "ingress/certs.h"
#include "ingress/stats.h"
#include "ingress/tls.h"
#include "ingress/upstream.h"

struct snapshot {
	_Atomic unsigned refs;
	struct routes *routes; /* counted */
	struct certs *certs;   /* counted, or NULL */
};

/* ---- rules ---------------------------------------------------------------------------------------------------- */

struct rule *rule_hold(struct rule *rule)
{
	route_hold(rule->route);
	return rule;
}

void rule_drop(struct rule *rule)
{
	if (rule)
		route_drop(rule->route);
}

void rule_free(struct rule *rule)
{
	policy_drop(rule->policy);
	upstream_drop(rule->upstream);
	upstream_drop(rule->ask);
	tls_origin_drop(rule->tls);
	tls_origin_drop(rule->ask_tls);
	if (rule->hub)
		stats_slot_drop(rule->hub, rule->stats);
	if (rule->ask_users)
		atomic_fetch_sub(rule->ask_users, 1);
	if (rule->users)
		atomic_fetch_sub(rule->users, 1);
	free(rule);
}

/* ---- snapshots ------------------------------------------------------------------------------------------------ */

struct snapshot *snapshot_new(struct routes *routes, struct certs *certs)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot)
		return NULL;
	snapshot->refs = 1;
	snapshot->routes = routes_hold(routes);
	snapshot->certs = certs ? certs_hold(certs) : NULL;
	return snapshot;
}

struct snapshot *snapshot_hold(struct snapshot *snapshot)
{
	atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
	return snapshot;
}

void snapshot_drop(struct snapshot *snapshot)
{
	if (!snapshot || atomic_fetch_sub(&snapshot->refs, 1) != 1)
		return;
	routes_drop(snapshot->routes);
	certs_drop(snapshot->certs);
	free(snapshot);
}

const struct certs *snapshot_certs(const struct snapshot *snapshot)
{
	return snapshot->certs;
}

int snapshot_find(const struct snapshot *snapshot, struct match_work *work, const char *host,
		  size_t host_len, const char *path, size_t path_len, struct rule **ret_rule)
{
	const struct route *route;
	int rc = routes_find(snapshot->routes, work, host, host_len, path, path_len, &route);

	if (rc == 0)
		*ret_rule = rule_hold(route->rule);
	return rc;
}
