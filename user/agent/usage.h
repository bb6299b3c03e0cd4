// SPDX-License-Identifier: GPL-2.0-only
/* How full the hash maps are. Counted a little at a time, since a flow table may hold millions. */
#ifndef AGENT_USAGE_H
#define AGENT_USAGE_H

#include <stdint.h>

#include "dp/maps.h"

struct usage {
	struct dp *dp;
	int map;                   /* counted next */
	uint32_t bucket;           /* of it, where it has such */
	uint64_t sum;              /* of the buckets before */
	uint64_t entries[DP_MAPS]; /* as of the last time each was counted */
	uint64_t room[DP_MAPS];    /* 0: an array, or not there */
};

void usage_init(struct usage *usage, struct dp *dp);
/* Counts for budget_ns at most, then goes on from there the next time. */
void usage_tick(struct usage *usage, uint64_t budget_ns);

#endif
