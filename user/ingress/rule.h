/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_RULE_H
#define INGRESS_RULE_H

/*
 * What a request needs of the configuration: a rule. And the snapshot it is found in. Both immutable and counted (atomics), to be
 * held and dropped by any thread.
 */
#include <stddef.h>

#include "ingress/routes.h"

struct match_work;
struct policy;
struct upstream;

struct rule {
	_Atomic unsigned refs;
	const struct route *route;   /* owned by the rule */
	const struct policy *policy; /* of the Ingress; counted */
	struct upstream *
		upstream; /* counted; NULL: no such Service or port (503), or no Service at all (404) */
	struct rule *canary; /* counted, or NULL */
	unsigned stats;      /* index of its counters */
};

struct snapshot;

/* As routes_find(): 0 and a counted rule, -ENOENT, -ELOOP, -ENOMEM. */
int snapshot_find(const struct snapshot *snapshot, struct match_work *work, const char *host,
		  size_t host_len, const char *path, size_t path_len, struct rule **ret_rule);

struct rule *rule_hold(struct rule *rule);
void rule_drop(struct rule *rule); /* NULL is fine */
struct snapshot *snapshot_hold(struct snapshot *snapshot);
void snapshot_drop(struct snapshot *snapshot);

#endif
