// SPDX-License-Identifier: GPL-2.0-only
/*
 * How full the hash maps are. Those that the agent fills it knows; those that programs fill are counted a little at a time, since a
 * flow table may hold millions.
 */
#ifndef AGENT_USAGE_H
#define AGENT_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/diff.h"
#include "dp/maps.h"

struct usage {
	struct dp *dp;
	const struct diff *diff;
	int map;                   /* counted next */
	uint32_t bucket;           /* of it, where it has such */
	struct dp_cursor cursor;   /* in it, where it has none */
	uint64_t sum;              /* of what is before that */
	bool known[DP_MAPS];       /* the agent fills it */
	uint64_t entries[DP_MAPS]; /* as of the last time each was counted */
	uint64_t room[DP_MAPS];    /* 0: an array, or not there */
};

void usage_init(struct usage *usage, struct dp *dp, const struct diff *diff);
/* Counts for budget_ns at most, then goes on from there the next time. True: everything was counted once. */
bool usage_tick(struct usage *usage, uint64_t budget_ns);

#endif
