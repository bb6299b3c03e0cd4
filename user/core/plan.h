/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From what the source says (store) and the rules (policy) to the rows we want in the control maps
 * (diff). Pure.
 *
 * Incremental: plan_run() looks at the services that changed and touches their rows only.
 * Everything that programs can refer to is immutable while published: a changed record is a new
 * slot, a changed list a new range of ring lines; only flags of backends change in place. Numbers
 * that were given back rest until the kernel cannot hold them any more.
 *
 * The agent's loop:
 *   start:  diff_saw_all(); RCU barrier; plan_restore();
 *           wait for store_is_listed(); diff_allow_removals()
 *   always: do {
 *                   plan_run(); apply what is pending in the diff;
 *                   if (plan_rest_begin()) { RCU barrier; plan_rest_end(); }
 *           } while (plan_wants_run());
 * Do not run before store_is_listed(): a service of which half the slices were listed would lose
 * the other half's endpoints.
 */
#ifndef CORE_PLAN_H
#define CORE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "core/rows.h"

struct diff;
struct plan;
struct problems;
struct store;

/*
 * Sizes, each for one family. From the two options follow all others; the loader makes the maps by
 * them:
 *   sl4_services: rows   sl4_records: slots   sl4_rings: lines
 *   sl4_backends, sl4_be_stats: backend_ids   sl4_names, sl4_svc_stats: service_ids
 * Ids are indexes from 1: that element 0 is not used is counted in.
 */
struct plan_limits {
	uint32_t max_services; /* service ports admitted */
	uint32_t max_backends; /* endpoints of service ports admitted */
	uint32_t service_ids;
	uint32_t backend_ids;
	uint32_t rows; /* entries of sl4_services */
	uint32_t slots;
	uint32_t lines;
};

struct plan_limits plan_limits_of(uint32_t max_services, uint32_t max_backends);

/*
 * The one gate between what is known and what the programs can do. Every frontend of a Service is claimed, arbitrated and
 * told about; rows are published for these kinds alone. What is known and not published: plan_count_unserved().
 */
#define PLAN_KIND(kind)   (1u << (kind))
#define PLAN_KINDS_SERVED PLAN_KIND(SL_KIND_CLUSTER_IP)
#define PLAN_KINDS_ALL                                                    \
	(PLAN_KIND(SL_KIND_CLUSTER_IP) | PLAN_KIND(SL_KIND_EXTERNAL_IP) | \
	 PLAN_KIND(SL_KIND_LOAD_BALANCER) | PLAN_KIND(SL_KIND_NODE_PORT))

/* Copied by plan_new() and plan_configure(). Zero means "not given" everywhere. */
struct plan_config {
	const char *node_name;
	const struct address *node_ips; /* --node-ip; none: InternalIPs of the Node object */
	size_t n_node_ips;
	const struct cidr *service_cidrs; /* --service-cidr; none: ServiceCIDR objects */
	size_t n_service_cidrs;
	const struct address *exclude_vips; /* --exclude-vip: somebody else serves these */
	size_t n_exclude_vips;
	uint64_t host_netns; /* see struct sl_config */
	uint32_t flags;      /* SL_CONFIG_ */
	uint16_t snat_low, snat_high;
	unsigned
		kinds; /* PLAN_KIND()s that are published; 0: PLAN_KINDS_SERVED. Cannot be changed either */
	struct plan_limits limits; /* cannot be changed by plan_configure() */
};

/* store, diff and problems outlive the plan. 0, -EINVAL (limits), -ENOMEM. */
int plan_new(const struct plan_config *config, struct store *store, struct diff *diff,
	     struct problems *problems, struct plan **ret_plan);
void plan_free(struct plan *plan);

/*
 * Restart: takes over what the diff saw in the kernel, by name, so that an unchanged source changes
 * nothing. Once, after diff_saw_all() and an RCU barrier, before the first plan_run(). 0 or -ENOMEM
 * (then free plan and diff, and start again).
 */
int plan_restore(struct plan *plan);

/*
 * Plans what is dirty in the store. 0, or -ENOMEM: what was not planned stays dirty, call again.
 * What is wanted in the diff is safe to apply in either case.
 */
int plan_run(struct plan *plan);
/* Something waits for numbers that had to rest, or the store is dirty: call plan_run() again. */
bool plan_wants_run(const struct plan *plan);

/*
 * Numbers that were given back and that the kernel no longer refers to (all operations on their
 * services are done) wait for a barrier. begin: are there any? Then, after an RCU barrier (every
 * program that was running has ended), end: they may be used again. Runs in between are welcome; what
 * they give back waits for the next barrier.
 */
bool plan_rest_begin(struct plan *plan);
void plan_rest_end(struct plan *plan);

/*
 * Other options; limits stay. Takes effect with the next plan_run(); services are planned again
 * only when the node's name or the excluded addresses differ. 0 or -ENOMEM (nothing changed).
 */
int plan_configure(struct plan *plan, const struct plan_config *config);

/*
 * Clears filter bits that no service or backend needs any more. Only when no flow can need them:
 * the bits of backends that left are needed by the replies of their last flows. 0 or -ENOMEM.
 */
int plan_filter_rebuild(struct plan *plan);

struct plan_family_stats {
	uint32_t services; /* service ports with an id */
	uint32_t backends; /* backend ids in use */
	uint32_t backends_resting;
	uint32_t rows; /* entries of sl4_services */
	uint32_t lines_used;
	uint32_t lines_resting;
	uint32_t refused; /* service ports and endpoints that did not fit */
	/* service ports with a Local policy, no endpoint here that it could use, and one elsewhere */
	uint32_t no_local_internal, no_local_external;
	uint32_t filter_vips; /* bits set */
	uint32_t filter_backends;
};

struct plan_stats {
	struct plan_family_stats v4, v6;
	uint64_t runs;
	uint64_t planned; /* services looked at, over all runs */
};
/* Is it the cluster IP of a Service that is ours? */
bool plan_has_address(const struct plan *plan, const struct address *addr);
void plan_count(const struct plan *plan, struct plan_stats *ret_stats);
/* Frontends of a kind (address and port, or node port) in both families that somebody has and the gate keeps back. Walks all. */
uint32_t plan_count_unserved(const struct plan *plan, enum sl_kind kind);

/*
 * A backend id got a new owner since the last call: its counters have to be zeroed (sl4_be_stats)
 * before what is pending is applied. Gives up to max ids of one family and forgets them; call until
 * it returns 0. Likewise for service ids.
 */
size_t plan_take_new_backends(struct plan *plan, int family, uint32_t *ret_ids, size_t max);
size_t plan_take_new_services(struct plan *plan, int family, uint32_t *ret_ids, size_t max);

#endif
