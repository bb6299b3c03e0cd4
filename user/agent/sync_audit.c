// SPDX-License-Identifier: GPL-2.0-only
/*
 * The self-audit: what the kernel holds against what we believe it holds, a piece at a time.
 * Must not know what rows mean, nor how a difference is put right.
 */
#include <inttypes.h>
#include <string.h>

#include "agent/sync_state.h"
#include "base/log.h"
#include "base/loop.h"

#define AUDIT_STEP_NS (1 * CLOCK_NS_PER_MS) /* between two pieces, so that the loop breathes */

static void say_difference(void *ctx, enum row_table table, const void *key, const void *expected,
			   const void *found)
{
	static struct log_rate rate = { .burst = 5, .interval_ns = 10 * CLOCK_NS_PER_S };
	struct sync *s = ctx;
	uint64_t held;
	uint32_t number = 0;

	if (row_tables[table].key_len == sizeof(number))
		memcpy(&number, key, sizeof(number));
	if (log_rate_allows(&rate, loop_now_ns(s->loop), &held))
		log_warn("self-audit: row differs map=%s key=%u is=%s suppressed=%" PRIu64,
			 row_tables[table].map, number,
			 !found      ? "missing"
			 : !expected ? "unexpected"
				     : "changed",
			 held);
}

static int audit_row(void *ctx, const void *key, const void *value)
{
	return diff_audit_saw(((struct sync *)ctx)->diff, key, value);
}

static void audit_end(struct sync *s, int rc)
{
	s->audit_table = 0;
	s->audit_cursor = (struct dp_cursor){ 0 };
	loop_arm(s->audit_timer, AUDIT_NS, 0);
	s->stats.repaired += s->audit_found;
	if (rc == 0 || s->audit_found)
		s->audit_last = s->audit_found;
	if (rc < 0)
		log_warn("self-audit could not read the maps error=\"%s\"", strerror(-rc));
	else
		s->stats.audits++;
	if (s->audit_found) {
		log_err("self-audit repairs rows=%zu", s->audit_found);
		if (!loop_is_armed(s->run_timer))
			loop_arm(s->run_timer, 0, 0);
	}
	s->audit_found = 0;
}

/*
 * One piece of one table, then the next turn: changes come in between. What is compared is what we believe the kernel holds, so
 * rows that wait to be written do not disturb.
 */
void sync_audit(void *arg)
{
	struct sync *s = arg;
	enum row_table table = (enum row_table)s->audit_table;
	int rc;

	if (!s->done_once) {
		loop_arm(s->audit_timer, AUDIT_NS, 0);
		return;
	}
	if (!s->audit_cursor.under_way)
		diff_audit_begin(s->diff, table);
	rc = dp_table_step(s->dp, table, &s->audit_cursor, audit_row, s);
	s->audit_found += diff_audit_tell(s->diff, say_difference, s);
	if (rc == 0) {
		s->audit_found += diff_audit_end(s->diff, say_difference, s);
		s->audit_cursor = (struct dp_cursor){ 0 };
		s->audit_table++;
	}
	if (rc < 0 || s->audit_table == ROW_TABLE_COUNT)
		audit_end(s, rc);
	else
		loop_arm(s->audit_timer, AUDIT_STEP_NS, 0);
}
