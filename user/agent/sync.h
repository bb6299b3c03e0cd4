// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps the maps equal to the source: waits a moment for more changes, plans, writes what differs, tries again what failed, lets
 * numbers rest, and compares the kernel with the plan once a minute.
 */
#ifndef AGENT_SYNC_H
#define AGENT_SYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/kubeproxy.h"
#include "agent/options.h"
#include "agent/sweep.h"
#include "base/err.h"
#include "core/diff.h"
#include "core/model.h"
#include "core/plan.h"
#include "core/store.h"
#include "dp/maps.h"

struct loop;
struct problems;
struct sync;

/* Upper bounds of the latency histograms, in microseconds; a last bucket has no bound. */
#define SYNC_BUCKETS 19
extern const uint32_t sync_bucket_us[SYNC_BUCKETS];

struct sync_histogram {
	uint64_t count[SYNC_BUCKETS + 1];
	uint64_t sum_ns;
};

struct sync_stats {
	uint64_t runs;
	uint64_t failures; /* runs after which something was left to be tried again */
	uint64_t audits;
	uint64_t repaired; /* rows that an audit found different, and put right */
	uint64_t barriers;
	struct sweep_stats sweeps;
	uint64_t pending_rows;         /* not yet as they shall be */
	uint64_t synced_wall_ns;       /* end of the last run without failure; 0 = none yet */
	uint64_t synced_ns;            /* the same by CLOCK_MONOTONIC */
	struct sync_histogram latency; /* first change → maps are written */
	struct sync_histogram work;    /* of it: planning and writing */
};

/* Of one family, for the health page. */
struct sync_family {
	uint64_t waiting_since_ns; /* a change waits since then (CLOCK_MONOTONIC); 0 = none does */
	uint64_t updated_wall_ns;  /* last success, Unix time; 0 = none yet */
};

struct sync_hooks {
	void *ctx;
	void (*synced)(void *ctx);   /* after each run without failure */
	void (*nodes)(void *ctx);    /* a Node object came, changed or went */
	void (*services)(void *ctx); /* a Service came, changed or went, and the maps followed */
	void (*relist)(
		void *ctx); /* an object was lost for want of memory: the source shall list again */
};

/*
 * Reads what the kernel holds and takes it over. fresh: the maps were just made, so nothing needs zeroing. config, dp, problems
 * outlive the sync.
 */
int sync_new(struct loop *loop, struct dp *dp, const struct config *config, uint64_t host_netns,
	     bool fresh, struct problems *problems, const struct sync_hooks *hooks, struct err *err,
	     struct sync **ret_sync);
void sync_free(struct sync *sync);

/* What the source calls. */
struct source_sink sync_sink(struct sync *sync);
/* Addresses found on interfaces; used while neither --node-ip nor a Node object says them. */
void sync_set_found_ips(struct sync *sync, const struct address *ips, size_t n);
/*
 * The node's addresses in force: options, else the Node object's; before a source has listed it, those that the agent before
 * has left in the maps; else none.
 */
size_t sync_node_ips(const struct sync *sync, const struct address **ret_ips);

/* The node's addresses as the plan uses them: sync_node_ips(), or those found on interfaces. */
size_t sync_own_ips(const struct sync *sync, const struct address **ret_ips);

bool sync_is_done_once(const struct sync *sync);
/* Did the last self-audit find nothing to repair? True before the first. */
bool sync_is_clean(const struct sync *sync);
/* What is counted under kube-proxy's names; the health pages count there, too. */
struct kubeproxy *sync_kubeproxy(struct sync *sync);
void sync_count(const struct sync *sync, struct sync_stats *ret_stats);
const struct sync_family *sync_family(const struct sync *sync, int family);
const struct diff *sync_diff(const struct sync *sync);
const struct store *sync_store(const struct sync *sync);
const struct plan *sync_plan(const struct sync *sync);

#endif
