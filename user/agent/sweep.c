// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looks for sockets of lost backends, a piece a turn of the loop.
 * Must not know which backends were lost.
 */
#include "agent/sweep.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "dp/sockets.h"

#define GAP_NS         (50 * CLOCK_NS_PER_MS) /* from the end of one to the next */
#define RETRY_FIRST_NS CLOCK_NS_PER_S
#define RETRY_LAST_NS  (60 * CLOCK_NS_PER_S)

struct sweep {
	struct loop *loop;
	struct dp *dp;
	uint32_t seed; /* of where sockets lie in their tables */
	struct loop_event *timer;
	struct sockets_sweep *current; /* NULL: none is under way */
	bool wanted;
	uint64_t ended_ns;
	uint64_t retry_ns; /* present delay; 0: the last one came to its end */
	struct sweep_stats stats;
};

/* What it did not get to is still lost, and nobody else would look: again, less and less often. */
static void note_failure(struct sweep *s, int rc)
{
	static struct log_rate rate = { .burst = 1, .interval_ns = 60 * CLOCK_NS_PER_S };
	uint64_t held;

	/* said once, not with every try */
	if (!s->retry_ns && log_rate_allows(&rate, s->ended_ns, &held))
		log_warn(
			"cannot look for sockets of lost backends error=\"%s\" suppressed=%" PRIu64,
			strerror(-rc), held);
	s->retry_ns = s->retry_ns ? s->retry_ns * 2 : RETRY_FIRST_NS;
	if (s->retry_ns > RETRY_LAST_NS)
		s->retry_ns = RETRY_LAST_NS;
	s->wanted = true;
}

static void end(struct sweep *s, int rc)
{
	const struct sockets_result *result = s->current ? sockets_sweep_result(s->current) : NULL;

	s->ended_ns = loop_now_ns(s->loop);
	s->stats.sweeps += rc == 0;
	s->stats.destroyed += result ? result->destroyed : 0;
	if (rc < 0)
		note_failure(s, rc);
	else
		s->retry_ns = 0;
	if (result && result->destroyed)
		log_info("sockets of lost backends destroyed n=%u", result->destroyed);
	sockets_sweep_free(s->current);
	s->current = NULL;
	if (s->wanted)
		loop_arm(s->timer, s->retry_ns ? s->retry_ns : GAP_NS, 0);
}

static void step(void *arg)
{
	struct sweep *s = arg;
	int rc = 0;

	if (!s->current) {
		s->wanted = false;
		rc = sockets_sweep_new(s->dp, s->seed, &s->current);
	}
	if (rc == 0)
		rc = sockets_sweep_step(s->current);
	if (rc > 0)
		loop_arm(s->timer, 0, 0);
	else
		end(s, rc);
}

void sweep_want(struct sweep *s)
{
	uint64_t since_ns = loop_now_ns(s->loop) - s->ended_ns;

	s->wanted = true;
	if (s->current) /* the next one follows it */
		return;
	if (!loop_is_armed(s->timer) || s->retry_ns)
		loop_arm(s->timer, since_ns > GAP_NS ? 0 : GAP_NS - since_ns, 0);
}

const struct sweep_stats *sweep_count(const struct sweep *s)
{
	return &s->stats;
}

int sweep_new(struct loop *loop, struct dp *dp, struct sweep **ret_sweep)
{
	struct sweep *s = calloc(1, sizeof(*s));
	struct sl_meta meta;
	int rc;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->dp = dp;
	rc = dp_meta_read(dp, &meta);
	s->seed = rc == 0 ? meta.seed : 0;
	if (rc == 0)
		rc = loop_add_timer(loop, step, s, &s->timer);
	if (rc < 0) {
		free(s);
		return rc;
	}
	*ret_sweep = s;
	return 0;
}

void sweep_free(struct sweep *s)
{
	if (!s)
		return;
	loop_remove(s->timer);
	sockets_sweep_free(s->current);
	free(s);
}
