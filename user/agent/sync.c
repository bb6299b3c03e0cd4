// SPDX-License-Identifier: GPL-2.0-only
/*
 * When the plan runs and the maps are written: coalescing, retries, resting numbers. Beginning, end, looking.
 * Must not know what rows mean (core/plan.h) nor how maps are written (dp/maps.h).
 */
#include "agent/sync.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/grace.h"
#include "agent/sync_state.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "core/problem.h"

#define COALESCE_NS    (2 * CLOCK_NS_PER_MS) /* between two runs; the first of a burst comes at once */
#define REST_NS        (20 * CLOCK_NS_PER_MS) /* one barrier for what was given back until then */
#define RETRY_FIRST_NS (50 * CLOCK_NS_PER_MS)
#define RETRY_LAST_NS  (30 * CLOCK_NS_PER_S)

static const size_t row_value_max = ROW_VALUE_MAX;

const uint32_t sync_bucket_us[SYNC_BUCKETS] = {
	10,    25,    50,     100,    250,    500,     1000,    2500,    5000,     10000,
	25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
};

/* ---- a run --------------------------------------------------------------------------------------- */

static void observe(struct sync_histogram *h, uint64_t ns)
{
	size_t i = 0;

	while (i < SYNC_BUCKETS && ns > (uint64_t)sync_bucket_us[i] * 1000)
		i++;
	h->count[i]++;
	h->sum_ns += ns;
}

static void note_success(struct sync *s, uint64_t start_ns)
{
	uint64_t now_ns = clock_now_ns();

	if (s->changed_ns)
		observe(&s->stats.latency, now_ns - s->changed_ns);
	observe(&s->stats.work, now_ns - start_ns);
	s->changed_ns = 0;
	s->retry_ns = 0;
	s->stats.synced_ns = now_ns;
	s->stats.synced_wall_ns = clock_wall_ns();
	for (int i = 0; i < 2; i++)
		s->families[i] = (struct sync_family){ .updated_wall_ns = s->stats.synced_wall_ns };
	sync_write_meta(s);
	if (!s->done_once)
		log_info("first sync is done took_ms=%" PRIu64,
			 (now_ns - start_ns) / CLOCK_NS_PER_MS);
	s->done_once = true;
	if (s->hooks.synced)
		s->hooks.synced(s->hooks.ctx);
	if (s->services_changed && s->hooks.services)
		s->hooks.services(s->hooks.ctx);
	s->services_changed = false;
}

static void note_unfinished(struct sync *s)
{
	s->stats.failures++;
	for (int i = 0; i < 2; i++)
		if (!s->failed[i] && (s->failed[0] || s->failed[1]))
			s->families[i] = (struct sync_family){ .updated_wall_ns = clock_wall_ns() };
	s->retry_ns = s->retry_ns ? s->retry_ns * 2 : RETRY_FIRST_NS;
	if (s->retry_ns > RETRY_LAST_NS)
		s->retry_ns = RETRY_LAST_NS;
	loop_arm(s->run_timer, s->retry_ns, 0);
}

static void arm_rest(struct sync *s)
{
	/* numbers somebody waits for rest at once, others with those that follow soon */
	if (plan_wants_run(s->plan) || !loop_is_armed(s->rest_timer))
		loop_arm(s->rest_timer, plan_wants_run(s->plan) ? 0 : REST_NS, 0);
}

/* Without numbers that became free, a run would find what the last one found. */
static void run_again(struct sync *s, bool rested)
{
	if (plan_wants_run(s->plan) && !loop_is_armed(s->run_timer))
		loop_arm(s->run_timer, rested ? 0 : RETRY_FIRST_NS, 0);
}

static void rest(void *arg)
{
	struct sync *s = arg;

	if (grace_is_under_way(s->grace)) {
		s->rest_again = true;
	} else if (plan_rest_begin(s->plan) || s->look_again) {
		s->looking_again = s->look_again;
		s->look_again = false;
		grace_begin(s->grace);
	} else {
		run_again(s, false);
	}
}

static void on_barrier(void *ctx, int rc)
{
	struct sync *s = ctx;

	if (rc < 0) {
		s->look_again |= s->looking_again;
		loop_arm(s->rest_timer, CLOCK_NS_PER_S, 0);
		return;
	}
	s->stats.barriers++;
	plan_rest_end(s->plan);
	if (s->looking_again)
		sweep_want(s->sweep);
	if (s->rest_again)
		arm_rest(s);
	s->rest_again = false;
	run_again(s, true);
}

/* The store could not keep an object: what it holds is not the whole truth. */
static void relist(struct sync *s)
{
	log_err("no memory for an object; reading the source anew");
	store_clear_error(s->store);
	if (s->hooks.relist)
		s->hooks.relist(s->hooks.ctx);
}

static void run(void *arg)
{
	uint64_t start_ns = clock_now_ns();
	struct sync *s = arg;
	bool complete;
	int rc;

	if (!store_is_listed(s->store))
		return; /* half a list would take endpoints away that are there */
	if (store_error(s->store) < 0)
		relist(s);
	diff_allow_removals(s->diff);
	rc = plan_run(s->plan);
	sync_zero_stats(s);
	complete = sync_apply(s) && rc == 0;
	kubeproxy_synced(&s->kubeproxy, complete, (double)(clock_now_ns() - start_ns) / 1e9,
			 clock_wall_ns());
	s->stats.runs++;
	s->stats.pending_rows = diff_n_pending(s->diff, true);
	/* at first also what a former life took away, when it was killed before it looked */
	if (s->lost_backends || !s->done_once)
		sweep_want(s->sweep);
	s->look_again |= s->lost_backends;
	s->lost_backends = false;
	if (complete)
		note_success(s, start_ns);
	else
		note_unfinished(s);
	arm_rest(s);
	s->ran_ns = clock_now_ns();
}

void sync_poke(struct sync *s)
{
	uint64_t now_ns = clock_now_ns();

	if (!s->changed_ns)
		s->changed_ns = now_ns;
	for (int i = 0; i < 2; i++)
		if (!s->families[i].waiting_since_ns)
			s->families[i].waiting_since_ns = now_ns;
	if (!loop_is_armed(s->run_timer) || s->retry_ns) {
		s->retry_ns = 0;
		loop_arm(s->run_timer,
			 now_ns - s->ran_ns > COALESCE_NS ? 0 : s->ran_ns + COALESCE_NS - now_ns,
			 0);
	}
}

/* ---- life ---------------------------------------------------------------------------------------- */

size_t sync_node_ips(const struct sync *s, const struct address **ret_ips)
{
	const struct node *node = store_node(s->store, s->config->node_name);

	if (s->config->n_node_ips) {
		*ret_ips = s->config->node_ips;
		return s->config->n_node_ips;
	}
	*ret_ips = node ? node->internal_ips : s->old_ips;
	return node ? node->n_internal_ips : s->n_old_ips;
}

size_t sync_own_ips(const struct sync *s, const struct address **ret_ips)
{
	size_t n = sync_node_ips(s, ret_ips);

	if (n)
		return n;
	*ret_ips = s->found_ips;
	return s->n_found_ips;
}

static struct plan_config plan_config_of(const struct sync *s)
{
	const struct config *c = s->config;
	const struct node *node = store_node(s->store, c->node_name);
	struct plan_config p = {
		.node_name = c->node_name,
		.node_ips = c->node_ips,
		.n_node_ips = c->n_node_ips,
		.service_cidrs = c->service_cidrs,
		.n_service_cidrs = c->n_service_cidrs,
		.exclude_vips = c->exclude_vips,
		.n_exclude_vips = c->n_exclude_vips,
		.host_netns = s->host_netns,
		.flags = SL_CONFIG_EVENTS | (c->socket_lb ? SL_CONFIG_SOCKET_PODS : 0),
		.snat_low = c->snat_low,
		.snat_high = c->snat_high,
		.limits = plan_limits_of(c->max_services, c->max_backends),
	};

	/* found addresses are a guess; what somebody says comes first */
	if (!p.n_node_ips && !(node && node->n_internal_ips)) {
		p.node_ips = s->found_ips;
		p.n_node_ips = s->n_found_ips;
	}
	return p;
}

int sync_configure(struct sync *s)
{
	struct plan_config config = plan_config_of(s);

	return plan_configure(s->plan, &config);
}

void sync_set_found_ips(struct sync *s, const struct address *ips, size_t n)
{
	bool same = n == s->n_found_ips;

	for (size_t i = 0; same && i < n; i++)
		same = address_cmp(&ips[i], &s->found_ips[i]) == 0;
	if (same)
		return;
	s->n_found_ips = n < 2 ? n : 2;
	for (size_t i = 0; i < s->n_found_ips; i++)
		s->found_ips[i] = ips[i];
	s->services_changed = true;
	sync_configure(s);
	sync_poke(s);
}

static void take_address(struct sync *s, uint8_t family, const uint8_t *bytes)
{
	struct address addr = { .family = family };

	memcpy(addr.b, bytes, family == 4 ? 4 : 16);
	if (!address_is_zero(&addr))
		s->old_ips[s->n_old_ips++] = addr;
}

static int take_over(struct sync *s, struct err *err)
{
	struct row_reader kernel = dp_row_reader(s->dp);
	struct sl_config before = { 0 };
	int rc = diff_saw_all(s->diff, &kernel);

	if (!s->fresh && dp_config_read(s->dp, &before) == 0) {
		take_address(s, 4, before.node4);
		take_address(s, 6, before.node6);
	}
	if (rc == 0)
		rc = dp_barrier(s->dp);
	if (rc == 0)
		rc = plan_restore(s->plan);
	return rc < 0 ? err_set(err, rc, "cannot take over what the maps hold: %s", strerror(-rc))
		      : 0;
}

static int make_core(struct sync *s, struct err *err)
{
	struct plan_config config;
	int rc;

	s->store = store_new(s->problems);
	s->diff = diff_new();
	s->keys = calloc(RUN_OPS, ROW_KEY_MAX);
	s->values = calloc(RUN_OPS, row_value_max);
	if (!s->store || !s->diff || !s->keys || !s->values)
		return err_set(err, -ENOMEM, "no memory");
	s->inner = store_sink(s->store);
	config = plan_config_of(s);
	rc = plan_new(&config, s->store, s->diff, s->problems, &s->plan);
	return rc < 0 ? err_set(err, rc, "cannot plan with these options: %s", strerror(-rc)) : 0;
}

static int make_events(struct sync *s)
{
	int rc = loop_add_timer(s->loop, run, s, &s->run_timer);

	if (rc == 0)
		rc = loop_add_timer(s->loop, rest, s, &s->rest_timer);
	if (rc == 0)
		rc = loop_add_timer(s->loop, sync_audit, s, &s->audit_timer);
	if (rc == 0)
		rc = sweep_new(s->loop, s->dp, &s->sweep);
	if (rc == 0)
		rc = grace_new(s->loop, s->dp, on_barrier, s, &s->grace);
	if (rc == 0)
		rc = loop_arm(s->audit_timer, AUDIT_NS, 0);
	return rc;
}

int sync_new(struct loop *loop, struct dp *dp, const struct config *config, uint64_t host_netns,
	     bool fresh, struct problems *problems, const struct sync_hooks *hooks, struct err *err,
	     struct sync **ret_sync)
{
	struct sync *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return err_set(err, -ENOMEM, "no memory");
	s->loop = loop;
	s->dp = dp;
	s->config = config;
	s->host_netns = host_netns;
	s->fresh = fresh;
	s->problems = problems;
	s->hooks = *hooks;
	rc = kubeproxy_init(&s->kubeproxy, clock_wall_ns());
	if (rc < 0)
		err_set(err, rc, "no memory");
	if (rc == 0)
		rc = make_core(s, err);
	if (rc == 0)
		rc = take_over(s, err);
	if (rc == 0) {
		rc = make_events(s);
		if (rc < 0)
			err_set(err, rc, "cannot make timers and a thread: %s", strerror(-rc));
	}
	if (rc < 0) {
		sync_free(s);
		return rc;
	}
	*ret_sync = s;
	return 0;
}

void sync_free(struct sync *s)
{
	if (!s)
		return;
	loop_remove(s->run_timer);
	loop_remove(s->rest_timer);
	loop_remove(s->audit_timer);
	grace_free(s->grace);
	sweep_free(s->sweep);
	plan_free(s->plan);
	diff_free(s->diff);
	store_free(s->store);
	kubeproxy_done(&s->kubeproxy);
	free(s->keys);
	free(s->values);
	free(s);
}

bool sync_is_done_once(const struct sync *s)
{
	return s->done_once;
}

bool sync_is_clean(const struct sync *s)
{
	return !s->audit_last;
}

struct kubeproxy *sync_kubeproxy(struct sync *s)
{
	return &s->kubeproxy;
}

void sync_count(const struct sync *s, struct sync_stats *ret_stats)
{
	*ret_stats = s->stats;
	ret_stats->sweeps = *sweep_count(s->sweep);
	ret_stats->pending_rows = diff_n_pending(s->diff, true);
}

const struct sync_family *sync_family(const struct sync *s, int family)
{
	return &s->families[family == 6];
}

const struct diff *sync_diff(const struct sync *s)
{
	return s->diff;
}

const struct store *sync_store(const struct sync *s)
{
	return s->store;
}

const struct plan *sync_plan(const struct sync *s)
{
	return s->plan;
}
