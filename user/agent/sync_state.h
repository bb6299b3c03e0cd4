// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a sync is, for sync*.c alone.
 *
 *   sync.c         when the plan runs; retries, resting numbers; beginning, end, looking
 *   sync_source.c  what the source calls
 *   sync_write.c   from what is pending to map writes
 *   sync_audit.c   the self-audit, a piece at a time
 */
#ifndef AGENT_SYNC_STATE_H
#define AGENT_SYNC_STATE_H

#include "agent/sync.h"
#include "base/clock.h"

#define AUDIT_NS (60 * CLOCK_NS_PER_S)
#define RUN_OPS  256

struct loop_event;
struct grace;

struct sync {
	struct loop *loop;
	struct dp *dp;
	const struct config *config;
	uint64_t host_netns;
	struct problems *problems;
	struct sync_hooks hooks;
	struct store *store;
	struct diff *diff;
	struct plan *plan;
	struct source_sink inner;                /* the store's */
	struct address found_ips[2], old_ips[2]; /* old: of the agent before */
	size_t n_found_ips, n_old_ips;
	bool fresh;
	bool done_once;
	bool lost_backends;  /* the last run took UDP backends away, or made them stop serving */
	bool failed[2];      /* in this run, by family */
	uint64_t changed_ns; /* first change that is not in the maps yet; 0 = none */
	uint64_t retry_ns;   /* present delay */
	uint64_t ran_ns;     /* end of the last run */
	uint64_t meta_ns;    /* synced_ns as last written to sl_meta */
	bool rest_again;     /* more may rest than what the barrier under way is for */
	struct sync_family families[2];
	struct sync_stats stats;
	struct loop_event *run_timer, *rest_timer, *audit_timer;
	struct grace *grace;
	struct sweep *sweep;
	bool look_again; /* UDP backends were lost that a program may still have in hand, and its caller connect to afterwards */
	bool looking_again; /* the barrier under way is the end of that */
	int audit_table;
	struct dp_cursor audit_cursor;  /* in that table */
	size_t audit_found, audit_last; /* of the audit under way, of the last one */
	struct kubeproxy kubeproxy;
	bool services_changed;
	struct diff_op ops[RUN_OPS];
	uint8_t *keys, *values;
};

/* ---- sync.c ---- */

/* Something is different: a run comes soon. */
void sync_poke(struct sync *s);
/* Options, node or addresses are others: the plan hears it. 0 or -ENOMEM. */
int sync_configure(struct sync *s);

/* ---- sync_write.c ---- */

/* Writes what is pending. False: something stays so. */
bool sync_apply(struct sync *s);
/* Counters of an id belong to its owner; a new owner starts at zero. */
void sync_zero_stats(struct sync *s);
/* For tools, when no agent answers them: a second more or less is nothing to them. */
void sync_write_meta(struct sync *s);

/* ---- sync_audit.c ---- */

/* The audit timer's function; arg: the sync. */
void sync_audit(void *arg);

#endif
