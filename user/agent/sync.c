// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one place where a plan becomes map writes: coalescing, retries, resting numbers, self-audit.
 * Must not know what rows mean (core/plan.h) nor how maps are written (dp/maps.h).
 */
#include "agent/sync.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "agent/grace.h"
#include "agent/sweep.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "core/problem.h"

#define COALESCE_NS    (2 * CLOCK_NS_PER_MS) /* between two runs; the first of a burst comes at once */
#define REST_NS        (20 * CLOCK_NS_PER_MS) /* one barrier for what was given back until then */
#define RETRY_FIRST_NS (50 * CLOCK_NS_PER_MS)
#define RETRY_LAST_NS  (30 * CLOCK_NS_PER_S)
#define AUDIT_NS       (60 * CLOCK_NS_PER_S)
#define AUDIT_STEP_NS  (1 * CLOCK_NS_PER_MS) /* between two pieces, so that the loop breathes */
#define RUN_OPS        256

static const size_t row_value_max = ROW_VALUE_MAX;

const uint32_t sync_bucket_us[SYNC_BUCKETS] = {
	10,    25,    50,     100,    250,    500,     1000,    2500,    5000,     10000,
	25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
};

struct sync {
	struct loop *loop;
	struct dp *dp;
	const struct config *config;
	uint64_t host_netns;
	struct problems *problems;
	struct sync_hooks hooks;
	struct store *store;
	struct diff *diff;
	struct plan *plan;
	struct source_sink inner;                /* the store's */
	struct address found_ips[2], old_ips[2]; /* old: of the agent before */
	size_t n_found_ips, n_old_ips;
	bool fresh;
	bool done_once;
	bool lost_backends;  /* the last run took UDP backends away, or made them stop serving */
	bool failed[2];      /* in this run, by family */
	uint64_t changed_ns; /* first change that is not in the maps yet; 0 = none */
	uint64_t retry_ns;   /* present delay */
	uint64_t ran_ns;     /* end of the last run */
	uint64_t meta_ns;    /* synced_ns as last written to sl_meta */
	bool rest_again;     /* more may rest than what the barrier under way is for */
	struct sync_family families[2];
	struct sync_stats stats;
	struct loop_event *run_timer, *rest_timer, *audit_timer;
	struct grace *grace;
	struct sweep *sweep;
	bool look_again; /* UDP backends were lost that a program may still have in hand, and its caller connect to afterwards */
	bool looking_again; /* the barrier under way is the end of that */
	int audit_table;
	struct dp_cursor audit_cursor;  /* in that table */
	size_t audit_found, audit_last; /* of the audit under way, of the last one */
	struct kubeproxy kubeproxy;
	bool services_changed;
	struct diff_op ops[RUN_OPS];
	uint8_t *keys, *values;
};

/* ---- writing ------------------------------------------------------------------------------------- */

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

static bool apply(struct sync *s)
{
	size_t n;

	s->failed[0] = s->failed[1] = false;
	diff_begin(s->diff);
	while ((n = diff_next_run(s->diff, s->ops, RUN_OPS)))
		send_run(s, n);
	return !s->failed[0] && !s->failed[1];
}

/* Counters of an id belong to its owner; a new owner starts at zero. */
static void zero_stats(struct sync *s)
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

/* For tools, when no agent answers them: a second more or less is nothing to them. */
static void write_meta(struct sync *s)
{
	struct sl_meta meta;

	if (s->done_once && s->stats.synced_ns - s->meta_ns < CLOCK_NS_PER_S)
		return;
	if (dp_meta_read(s->dp, &meta) < 0)
		return;
	meta.synced_ns = s->meta_ns = s->stats.synced_ns;
	dp_meta_write(s->dp, &meta);
}

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
	write_meta(s);
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
	zero_stats(s);
	complete = apply(s) && rc == 0;
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

static void poke(struct sync *s)
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

/* ---- self-audit ---------------------------------------------------------------------------------- */

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
static void audit(void *arg)
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

/* ---- what the source calls ----------------------------------------------------------------------- */

static int configure(struct sync *s);

static void nodes_changed(struct sync *s)
{
	configure(s);
	s->services_changed = true; /* listeners are on the node's address */
	if (s->hooks.nodes)
		s->hooks.nodes(s->hooks.ctx);
}

static void put_service(void *ctx, const struct service *service)
{
	struct sync *s = ctx;

	s->inner.put_service(s->inner.ctx, service);
	kubeproxy_service_changed(&s->kubeproxy, clock_wall_ns());
	s->services_changed = true;
	poke(s);
}

/* The slice as the store has it; NULL: it has none. */
static const struct endpoint_slice *known_slice(const struct sync *s,
						const struct endpoint_slice *slice)
{
	const struct store_entry *e =
		slice->service ? store_find(s->store, slice->meta.namespace, slice->service) : NULL;

	for (size_t i = 0; e && i < e->n_slices; i++)
		if (strcmp(e->slices[i]->meta.name, slice->meta.name) == 0)
			return e->slices[i];
	return NULL;
}

static void put_slice(void *ctx, const struct endpoint_slice *slice)
{
	struct sync *s = ctx;
	const struct endpoint_slice *known = known_slice(s, slice);
	bool same_cause = known && known->triggered_ns == slice->triggered_ns;

	kubeproxy_slice_changed(&s->kubeproxy, slice->meta.namespace, slice->service, slice->family,
				same_cause ? 0 : slice->triggered_ns, clock_wall_ns());
	s->inner.put_slice(s->inner.ctx, slice);
	poke(s);
}

static void put_node(void *ctx, const struct node *node)
{
	struct sync *s = ctx;

	s->inner.put_node(s->inner.ctx, node);
	nodes_changed(s);
	poke(s);
}

static void put_service_cidr(void *ctx, const struct service_cidr *cidr)
{
	struct sync *s = ctx;

	s->inner.put_service_cidr(s->inner.ctx, cidr);
	poke(s);
}

static void slice_gone(struct sync *s, const char *namespace, const char *name)
{
	const struct endpoint_slice *slice = store_slice(s->store, namespace, name);

	kubeproxy_slice_gone(&s->kubeproxy, namespace, slice ? slice->service : NULL,
			     clock_wall_ns());
}

static void gone(void *ctx, enum object_kind kind, const char *namespace, const char *name)
{
	struct sync *s = ctx;

	if (kind == OBJECT_ENDPOINT_SLICE)
		slice_gone(s, namespace, name);
	s->inner.gone(s->inner.ctx, kind, namespace, name);
	if (kind == OBJECT_SERVICE) {
		kubeproxy_service_changed(&s->kubeproxy, clock_wall_ns());
		s->services_changed = true;
	}
	if (kind == OBJECT_NODE)
		nodes_changed(s);
	poke(s);
}

static void listed(void *ctx, enum object_kind kind)
{
	struct sync *s = ctx;

	s->inner.listed(s->inner.ctx, kind);
	poke(s);
}

static void problem(void *ctx, const char *object, const char *reason)
{
	struct sync *s = ctx;

	s->inner.problem(s->inner.ctx, object, reason);
}

struct source_sink sync_sink(struct sync *s)
{
	return (struct source_sink){
		.ctx = s,
		.put_service = put_service,
		.put_slice = put_slice,
		.put_node = put_node,
		.put_service_cidr = put_service_cidr,
		.gone = gone,
		.listed = listed,
		.problem = problem,
	};
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

static int configure(struct sync *s)
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
	configure(s);
	poke(s);
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
		rc = loop_add_timer(s->loop, audit, s, &s->audit_timer);
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
