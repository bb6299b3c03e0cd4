// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one place where a plan becomes map writes.
 * Must not know when it is called, nor how maps are written (dp/maps.h).
 */
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>

#include "agent/sync_state.h"
#include "base/log.h"
#include "base/loop.h"

static bool is_backends(enum row_table table)
{
	return table == ROW4_BACKENDS || table == ROW6_BACKENDS;
}

static int family_of(enum row_table table)
{
	return strncmp(row_tables[table].map, "sl6", 3) == 0;
}

/* Of what the kernel holds: it is asked before the operation is done, while the name of its service is still there. */
static bool is_udp(const struct sync *s, int family, const struct row_backend *held)
{
	const struct sl_name *name =
		diff_actual(s->diff, row_table_of(ROW4_NAMES, family), &held->service);

	return !name || name->proto == IPPROTO_UDP;
}

/* Only sockets of UDP have to be told: TCP goes on with an endpoint that leaves. */
static bool loses_udp_backend(const struct sync *s, const struct diff_op *op)
{
	int family = family_of(op->table) ? 6 : 4;
	const void *actual = is_backends(op->table) ? diff_actual(s->diff, op->table, op->key)
						    : NULL;
	struct row_backend held, next;

	if (!actual || !op->value)
		return false;
	row_decode_backend(family, actual, &held);
	row_decode_backend(family, op->value, &next);
	return held.flags & SL_BACKEND_SERVING && !(next.flags & SL_BACKEND_SERVING) &&
	       is_udp(s, family, &held);
}

static void note_failure(struct sync *s, const struct diff_op *op, int rc)
{
	static struct log_rate rate = { .burst = 5, .interval_ns = 10 * CLOCK_NS_PER_S };
	uint64_t held;

	s->failed[family_of(op->table)] = true;
	if (op->table == ROW_CONFIG)
		s->failed[0] = s->failed[1] = true;
	if (log_rate_allows(&rate, loop_now_ns(s->loop), &held))
		log_err("map write failed map=%s error=\"%s\" suppressed=%" PRIu64,
			row_tables[op->table].map, strerror(-rc), held);
}

/* One run: operations of one table and one action. What the kernel refuses stays pending, the rest goes on. */
static void send_run(struct sync *s, size_t n)
{
	const struct row_table_info *info = &row_tables[s->ops[0].table];
	enum dp_map map = dp_map_of_row(s->ops[0].table);
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		memcpy(s->keys + i * info->key_len, s->ops[i].key, info->key_len);
		if (s->ops[i].action == DIFF_PUT)
			memcpy(s->values + i * info->value_len, s->ops[i].value, info->value_len);
		s->lost_backends |= loses_udp_backend(s, &s->ops[i]);
	}
	while (at < n) {
		uint32_t done = 0;
		int rc = s->ops[0].action == DIFF_PUT
				 ? dp_update(s->dp, map, s->keys + at * info->key_len,
					     s->values + at * info->value_len, (uint32_t)(n - at),
					     &done)
				 : dp_delete(s->dp, map, s->keys + at * info->key_len,
					     (uint32_t)(n - at), &done);

		for (; done; done--)
			diff_done(s->diff, &s->ops[at++]);
		if (rc < 0 && at < n) {
			note_failure(s, &s->ops[at], rc);
			diff_failed(s->diff, &s->ops[at++]);
		}
	}
}

bool sync_apply(struct sync *s)
{
	size_t n;

	s->failed[0] = s->failed[1] = false;
	diff_begin(s->diff);
	while ((n = diff_next_run(s->diff, s->ops, RUN_OPS)))
		send_run(s, n);
	return !s->failed[0] && !s->failed[1];
}

void sync_zero_stats(struct sync *s)
{
	uint32_t ids[RUN_OPS];
	size_t n;

	for (int family = 4; family <= 6; family += 2) {
		while ((n = plan_take_new_backends(s->plan, family, ids, RUN_OPS)))
			for (size_t i = 0; !s->fresh && i < n; i++)
				dp_stats_zero(s->dp, dp_map_of(family, DP_sl4_be_stats), ids[i]);
		while ((n = plan_take_new_services(s->plan, family, ids, RUN_OPS)))
			for (size_t i = 0; !s->fresh && i < n; i++)
				dp_stats_zero(s->dp, dp_map_of(family, DP_sl4_svc_stats), ids[i]);
	}
	s->fresh = false;
}

void sync_write_meta(struct sync *s)
{
	struct sl_meta meta;

	if (s->done_once && s->stats.synced_ns - s->meta_ns < CLOCK_NS_PER_S)
		return;
	if (dp_meta_read(s->dp, &meta) < 0)
		return;
	meta.synced_ns = s->meta_ns = s->stats.synced_ns;
	dp_meta_write(s->dp, &meta);
}
