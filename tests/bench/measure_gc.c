/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel's garbage collection costs: a table of flows that all live, and one of flows that are all over. */
/* Must not know how entries are judged: it reads the statistics of the timers. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "bench/measure.h"
#include "bench/rig.h"
#include "dp/gc.h"

#define GC_TCP4       0 /* index into sl_gc: the order of tables in sluice_gc.bpf.c */
#define ROUND_LIMIT_S 60
#define QUICK_ENTRIES 40000
#define OVER_AGE_S    (SL_IDLE_TCP_S + 60)

static int read_stats(const struct rig *rig, struct sl_gc_stats *ret_stats)
{
	const struct dp_map_info *map = &rig->dp->maps[DP_sl_gc];
	uint8_t value[256];
	__u32 key = GC_TCP4;

	if (map->fd < 0 || map->value_size > sizeof(value))
		return -ENOTSUP;
	if (bpf_map_lookup_elem(map->fd, &key, value) < 0)
		return -errno;
	memcpy(ret_stats, value, sizeof(*ret_stats)); /* first in the slot */
	return 0;
}

/* A whole round, or in a hurry the first shards of one. */
static int wait_for_round(const struct rig *rig, bool quick, struct sl_gc_stats *ret_stats)
{
	uint64_t deadline = clock_now_ns() + ROUND_LIMIT_S * CLOCK_NS_PER_S;

	for (;;) {
		int rc = read_stats(rig, ret_stats);

		if (rc < 0)
			return rc;
		if (ret_stats->rounds || (quick && ret_stats->walked >= QUICK_ENTRIES))
			return 0;
		if (clock_now_ns() > deadline)
			return -ETIMEDOUT;
		usleep(50000);
	}
}

static void print_stats(const char *what, const struct sl_gc_stats *s)
{
	printf("gc\t%s: entries walked\t%llu\tentries\n", what, (unsigned long long)s->walked);
	printf("gc\t%s: entries removed\t%llu\tentries\n", what, (unsigned long long)s->removed);
	printf("gc\t%s: each entry\t%.1f\tns\n", what, (double)s->total_ns / (double)s->walked);
	/* ns an entry is ms a million */
	printf("gc\t%s: a million entries\t%.1f\tms\n", what,
	       (double)s->total_ns / (double)s->walked);
	printf("gc\t%s: longest callback\t%.3f\tms\n", what, (double)s->longest_ns / 1e6);
}

static int measure_one(const char *name, uint32_t age_s, bool quick, struct err *err)
{
	uint32_t flows = quick ? 1u << 16 : 1u << 19;
	struct rig_options options = {
		.name = name,
		.family = 4,
		.max_services = 1000,
		.max_backends = 5000,
		.flows = flows * 5 / 4,
	};
	struct sl_gc_stats stats = { 0 };
	struct rig_times times;
	struct rig *rig = NULL;
	int rc = rig_new(&options, err, &rig);

	if (rc == 0)
		rc = rig_publish(rig, 1000, 5, err, &times);
	if (rc == 0)
		rc = rig_flows(rig, IPPROTO_TCP, flows, 1000, age_s, err);
	if (rc == 0 && (rc = gc_start_timers(rig->dp, &rig->programs)) < 0)
		err_set(err, rc, "garbage collection does not start: %s", strerror(-rc));
	if (rc == 0 && (rc = wait_for_round(rig, quick, &stats)) < 0)
		err_set(err, rc, "garbage collection does not end a round: %s", strerror(-rc));
	if (rc == 0)
		print_stats(name, &stats);
	rig_free(rig);
	return rc;
}

int measure_gc(const struct measure_options *o, struct err *err)
{
	int rc = measure_one("live", 0, o->quick, err);

	return rc < 0 ? rc : measure_one("over", OVER_AGE_S, o->quick, err);
}
