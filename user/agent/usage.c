// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts entries of hash maps in small steps.
 * Must not know what entries mean.
 */
#include "agent/usage.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>

#include "base/clock.h"
#include "dp/flows.h"

#define STEP 256u /* buckets of a table counted at once: well below a millisecond */

static bool has_entries(const struct dp *dp, int map)
{
	uint32_t type = dp->maps[map].type;

	return dp->maps[map].fd >= 0 && (type == BPF_MAP_TYPE_HASH ||
					 type == BPF_MAP_TYPE_LRU_HASH || dp_map_is_buckets(map));
}

void usage_init(struct usage *usage, struct dp *dp, const struct diff *diff)
{
	memset(usage, 0, sizeof(*usage));
	usage->dp = dp;
	usage->diff = diff;
	for (int i = 0; i < DP_MAPS; i++)
		if (has_entries(dp, i))
			usage->room[i] = dp_capacity(dp, i);
	for (int t = 0; t < ROW_TABLE_COUNT; t++)
		usage->known[dp_map_of_row((enum row_table)t)] = true;
}

static void next_map(struct usage *usage)
{
	usage->sum = 0;
	usage->bucket = 0;
	usage->cursor = (struct dp_cursor){ 0 };
	usage->map = (usage->map + 1) % DP_MAPS;
}

static int count_row(void *ctx, const void *key, const void *value)
{
	(void)key;
	(void)value;
	++*(uint64_t *)ctx;
	return 0;
}

/* 1: there is more of it; 0: usage->sum is all. */
static int count_piece(struct usage *usage, enum dp_map map)
{
	uint32_t buckets = usage->dp->maps[map].max_entries;
	uint32_t left = buckets - usage->bucket, step = left < STEP ? left : STEP;
	uint64_t n = 0;
	int rc;

	if (!dp_map_is_buckets(map))
		return dp_rows_step(usage->dp, map, &usage->cursor, count_row, &usage->sum);
	rc = dp_flows_count(usage->dp, map, usage->bucket, step, clock_now_ns(), &n);
	usage->sum += n;
	usage->bucket += step;
	return rc < 0 ? rc : usage->bucket < buckets;
}

static void count_step(struct usage *usage)
{
	enum dp_map map = usage->map;
	int rc = -ENOENT;

	if (usage->room[map] && !usage->known[map])
		rc = count_piece(usage, map);
	if (rc == 0)
		usage->entries[map] = usage->sum;
	if (rc <= 0)
		next_map(usage);
}

static void take_known(struct usage *usage)
{
	struct diff_stats stats;

	diff_count(usage->diff, &stats);
	for (int t = 0; t < ROW_TABLE_COUNT; t++)
		usage->entries[dp_map_of_row((enum row_table)t)] = stats.rows[t];
}

bool usage_tick(struct usage *usage, uint64_t budget_ns)
{
	uint64_t start_ns = clock_now_ns();
	int steps = DP_MAPS;

	take_known(usage);
	/* at most one round, however fast it is */
	do {
		int map = usage->map;

		count_step(usage);
		steps -= usage->map != map;
	} while (steps > 0 && clock_now_ns() - start_ns < budget_ns);
	return steps == 0;
}
