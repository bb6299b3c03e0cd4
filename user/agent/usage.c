// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts entries of hash maps in small steps.
 * Must not know what entries mean.
 */
#include "agent/usage.h"

#include <linux/bpf.h>
#include <string.h>

#include "base/clock.h"
#include "dp/flows.h"

#define STEP 256u /* buckets of a table counted at once: well below a millisecond */

static bool is_counted(const struct dp *dp, int map)
{
	uint32_t type = dp->maps[map].type;

	return dp->maps[map].fd >= 0 && (type == BPF_MAP_TYPE_HASH ||
					 type == BPF_MAP_TYPE_LRU_HASH || dp_map_is_buckets(map));
}

void usage_init(struct usage *usage, struct dp *dp)
{
	memset(usage, 0, sizeof(*usage));
	usage->dp = dp;
	for (int i = 0; i < DP_MAPS; i++)
		if (is_counted(dp, i))
			usage->room[i] = dp_capacity(dp, i);
}

static void next_map(struct usage *usage)
{
	usage->sum = 0;
	usage->bucket = 0;
	usage->map = (usage->map + 1) % DP_MAPS;
}

static void count_step(struct usage *usage)
{
	enum dp_map map = usage->map;
	uint64_t n = 0;

	if (!usage->room[map]) {
		next_map(usage);
	} else if (!dp_map_is_buckets(map)) {
		if (dp_count(usage->dp, map, &n) == 0)
			usage->entries[map] = n;
		next_map(usage);
	} else {
		uint32_t buckets = usage->dp->maps[map].max_entries;
		uint32_t left = buckets - usage->bucket, step = left < STEP ? left : STEP;

		if (dp_flows_count(usage->dp, map, usage->bucket, step, clock_now_ns(), &n) == 0)
			usage->sum += n;
		usage->bucket += step;
		if (usage->bucket < buckets)
			return;
		usage->entries[map] = usage->sum;
		next_map(usage);
	}
}

void usage_tick(struct usage *usage, uint64_t budget_ns)
{
	uint64_t start_ns = clock_now_ns();
	int steps = DP_MAPS;

	/* at most one round, however fast it is */
	do {
		int map = usage->map;

		count_step(usage);
		steps -= usage->map != map;
	} while (steps > 0 && clock_now_ns() - start_ns < budget_ns);
}
