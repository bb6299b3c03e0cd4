/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Frees expired flows. Correctness does not depend on it: programs treat an expired entry as absent.
 *
 * Kernels ≥ 5.15 do it themselves with timers, whether an agent runs or not; gc_start_timers() only sets them off. On older
 * ones gc_tick() walks a bounded number of entries each time it is called.
 */
#ifndef DP_GC_H
#define DP_GC_H

#include <stdbool.h>
#include <stdint.h>

#include "dp/load.h"
#include "dp/maps.h"

/* Runs sl_gc_start once. Safe to repeat: timers that run are started anew with the present program. */
int gc_start_timers(struct dp *dp, const struct dp_programs *programs);

struct gc {
	struct dp *dp;
	bool timers;  /* the kernel collects; gc_tick only watches */
	uint32_t map; /* where the walk goes on */
	uint32_t shard;
	struct sl_gc_stats stats; /* of the agent's own walk */
	uint8_t *keys;
	uint8_t *values;
};
int gc_init(struct gc *gc, struct dp *dp, bool timers);
void gc_done(struct gc *gc);
/*
 * One bounded step: walks shards until budget_ns of time has gone by or every table was seen once. Removes entries idle
 * for longer than their state allows at now_ns (CLOCK_MONOTONIC).
 */
int gc_tick(struct gc *gc, uint64_t now_ns, uint64_t budget_ns);
/* Idle time after which an entry is dead. Pure; as programs decide. */
uint64_t gc_idle_ns(uint8_t proto, enum sl_flow_state state);

#endif
