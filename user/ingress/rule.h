/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_RULE_H
#define INGRESS_RULE_H

/*
 * What a request needs of the configuration: a rule. And the snapshot it is found in. Both immutable and counted (atomics), to be
 * held and dropped by any thread. Rules are shared between snapshots: one that nothing has changed for stays the same object.
 */
#include <stddef.h>

#include "ingress/policy.h"
#include "ingress/routes.h"

struct certs;
struct match_work;
struct stats_hub;
struct tls_origin;
struct upstream;

/* Lives exactly as long as its route, whose count it shares. */
struct rule {
	const struct route *route;
	const struct policy *policy; /* of the Ingress; counted */
	struct upstream *
		upstream; /* counted; NULL: no such Service or port (503), or no Service at all (404) */
	const char *missing;  /* upstream NULL: why, in words for the log; a literal */
	struct upstream *ask; /* counted: who is asked for external authentication, or NULL */
	enum policy_protocol
		protocol; /* towards endpoints: the policy's, else of the Service's appProtocol */
	struct tls_origin *tls;      /* for HTTPS and GRPCS; counted, else NULL */
	struct tls_origin *ask_tls;  /* how who is asked is met by TLS; counted, or NULL: plain */
	unsigned stats;              /* index of its counters … */
	struct stats_hub *hub;       /* … in these; NULL: nobody's */
	_Atomic unsigned *ask_users; /* the same of ask */
	_Atomic unsigned *users; /* of whoever made it: one less at its end; NULL: nobody counts */
};

struct snapshot;

/* As routes_find(): 0 and a counted rule, -ENOENT, -ELOOP, -ENOMEM. */
int snapshot_find(const struct snapshot *snapshot, struct match_work *work, const char *host,
		  size_t host_len, const char *path, size_t path_len, struct rule **ret_rule);

/* The certificates in force with it; borrowed. NULL: none. */
const struct certs *snapshot_certs(const struct snapshot *snapshot);

struct rule *rule_hold(struct rule *rule);
void rule_drop(struct rule *rule); /* NULL is fine */
struct snapshot *snapshot_hold(struct snapshot *snapshot);
void snapshot_drop(struct snapshot *snapshot); /* NULL is fine */

/* Holds both for itself; certs may be NULL. NULL: no memory. */
struct snapshot *snapshot_new(struct routes *routes, struct certs *certs);

/* What routes_input.detach is for rules: lets go of what it holds, and frees it. */
void rule_free(struct rule *rule);

#endif
