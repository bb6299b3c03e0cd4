/* SPDX-License-Identifier: GPL-2.0 */
/* Frees expired flows where the kernel has no timers, and sets the timers off where it has. */
/* Must not know anything that decides about packets: an entry it removes was dead before. */
#include "dp/gc.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "dp/maps_internal.h"

#define BATCH 512u

/* The larger family decides. */
static const size_t key_max = sizeof(struct sl6_flow_key);
static const size_t value_max = sizeof(struct sl6_flow);

int gc_start_timers(struct dp *dp, const struct dp_programs *programs)
{
	static const uint8_t
		frame[64]; /* the program looks at no packet, but a test run must have one */
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));
	int fd = programs->fd[DP_PROG_sl_gc_start];

	(void)dp;
	if (fd < 0)
		return -ENOTSUP;
	if (bpf_prog_test_run_opts(fd, &opts) < 0)
		return -errno;
	return opts.retval ? -EIO : 0;
}

uint64_t gc_idle_ns(uint8_t proto, enum sl_flow_state state)
{
	uint64_t idle_s;

	if (proto == IPPROTO_TCP)
		idle_s = state == SL_STATE_CONFIRMED     ? SL_IDLE_TCP_S
			 : state == SL_STATE_HALF_CLOSED ? SL_IDLE_TCP_HALF_S
			 : state == SL_STATE_CLOSING     ? SL_IDLE_TCP_CLOSING_S
							 : SL_IDLE_TCP_NEW_S;
	else if (state != SL_STATE_CONFIRMED)
		idle_s = SL_IDLE_UDP_NEW_S;
	else
		idle_s = proto == IPPROTO_SCTP ? SL_IDLE_SCTP_S : SL_IDLE_UDP_S;
	return idle_s * CLOCK_NS_PER_S;
}

int gc_init(struct gc *gc, struct dp *dp, bool timers)
{
	memset(gc, 0, sizeof(*gc));
	gc->dp = dp;
	gc->timers = timers;
	gc->keys = calloc(BATCH, key_max);
	gc->values = calloc(BATCH, value_max);
	if (gc->keys && gc->values)
		return 0;
	gc_done(gc);
	return -ENOMEM;
}

void gc_done(struct gc *gc)
{
	free(gc->keys);
	free(gc->values);
	gc->keys = gc->values = NULL;
}

static bool is_dead(int family, const void *key, const void *value, uint64_t now_ns)
{
	const struct sl4_flow_key *k4 = key;
	const struct sl6_flow_key *k6 = key;
	const struct sl4_flow *f4 = value;
	const struct sl6_flow *f6 = value;
	uint64_t idle = family == 4 ? gc_idle_ns(k4->proto, f4->state)
				    : gc_idle_ns(k6->proto, f6->state);
	uint64_t seen = family == 4 ? f4->seen_ns : f6->seen_ns;

	/* an entry may have been touched after now_ns was read */
	return (int64_t)(now_ns - seen) >= (int64_t)idle;
}

/*
 * The dead of one batch. Between the look and the deletion a packet may revive an entry; it then makes a new one, or its
 * twin rebuilds it, as after an eviction.
 */
static void bury(struct gc *gc, int family, int fd, const struct dp_map_info *info, uint32_t n,
		 uint64_t now_ns)
{
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *key = gc->keys + (size_t)i * info->key_size;

		if (is_dead(family, key, gc->values + (size_t)i * info->value_size, now_ns) &&
		    bpf_map_delete_elem(fd, key) == 0)
			gc->stats.removed++;
	}
	gc->stats.walked += n;
}

/* One by one, for what batches cannot read. */
static int walk_slowly(struct gc *gc, int family, int fd, const struct dp_map_info *info,
		       uint64_t now_ns)
{
	uint8_t key[sizeof(struct sl6_flow_key)], next[sizeof(struct sl6_flow_key)];
	bool more = bpf_map_get_next_key(fd, NULL, next) == 0;

	while (more) {
		memcpy(key, next, info->key_size);
		more = bpf_map_get_next_key(fd, key, next) == 0;
		memcpy(gc->keys, key, info->key_size);
		if (bpf_map_lookup_elem(fd, key, gc->values) == 0)
			bury(gc, family, fd, info, 1, now_ns);
	}
	return 0;
}

static int walk_shard(struct gc *gc, int family, enum dp_map map, uint32_t shard, uint64_t now_ns)
{
	struct dp_map_info info;
	uint64_t token[8];
	int rc, fd = dp_shard_open(gc->dp, map, shard);
	bool first = true;

	if (fd < 0)
		return fd;
	rc = dp_map_info_read(fd, &info);
	while (rc == 0) {
		uint32_t n = BATCH;
		int e = bpf_map_lookup_batch(fd, first ? NULL : token, token, gc->keys, gc->values,
					     &n, NULL) < 0
				? errno
				: 0;

		if (e && e != ENOENT) {
			rc = walk_slowly(gc, family, fd, &info, now_ns);
			break;
		}
		bury(gc, family, fd, &info, n, now_ns);
		first = false;
		if (e == ENOENT)
			break;
	}
	close(fd);
	return rc;
}

/* The flow tables of both families in a row: 0 … 5. */
#define TABLES (2 * DP_FLOW_TABLES)

/* Steps to the next shard; true if that was the last of all. */
static bool advance(struct gc *gc, enum dp_map map)
{
	if (++gc->shard < gc->dp->n_shards[map])
		return false;
	gc->shard = 0;
	if (++gc->map < TABLES)
		return false;
	gc->map = 0;
	gc->stats.rounds++;
	return true;
}

int gc_tick(struct gc *gc, uint64_t now_ns, uint64_t budget_ns)
{
	uint64_t start_ns = clock_now_ns(), spent_ns;
	bool over = false;
	int rc = 0;

	if (gc->timers)
		return 0;
	do {
		int family = gc->map < DP_FLOW_TABLES ? 4 : 6;
		enum dp_map map = dp_flow_map(family, gc->map % DP_FLOW_TABLES);

		if (gc->dp->n_shards[map])
			rc = walk_shard(gc, family, map, gc->shard, now_ns);
		over = advance(gc, map);
		spent_ns = clock_now_ns() - start_ns;
	} while (rc == 0 && !over && spent_ns < budget_ns);
	gc->stats.last_ns = now_ns;
	gc->stats.total_ns += spent_ns;
	if (spent_ns > gc->stats.longest_ns)
		gc->stats.longest_ns = spent_ns;
	return rc;
}
