// SPDX-License-Identifier: GPL-2.0-only
/*
 * --check: the whole way from the source to rows, without a kernel at its end.
 * Must not know maps or hooks.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/actions.h"
#include "base/exit.h"
#include "source/source.h"
#include "base/clock.h"
#include "base/loop.h"
#include "core/diff.h"
#include "core/plan.h"
#include "core/problem.h"
#include "core/store.h"
#include "dp/links.h"

#define DEADLINE_NS (30 * CLOCK_NS_PER_S) /* a file that is being written is waited for */

struct check {
	const struct config *config;
	struct loop *loop;
	struct problems *problems;
	struct store *store;
	struct diff *diff;
	struct plan *plan;
	struct source source;
};

static int make(struct check *c, struct err *err)
{
	const struct config *config = c->config;
	struct plan_config plan = {
		.node_name = config->node_name,
		.node_ips = config->node_ips,
		.n_node_ips = config->n_node_ips,
		.service_cidrs = config->service_cidrs,
		.n_service_cidrs = config->n_service_cidrs,
		.exclude_vips = config->exclude_vips,
		.n_exclude_vips = config->n_exclude_vips,
		.snat_low = config->snat_low,
		.snat_high = config->snat_high,
		.limits = plan_limits_of(config->max_services, config->max_backends),
	};
	const struct source_options options = config_source(config);
	struct source_sink sink;
	int rc;

	c->problems = problems_new(NULL, NULL);
	c->store = c->problems ? store_new(c->problems) : NULL;
	c->diff = diff_new();
	if (!c->store || !c->diff || loop_new(&c->loop) < 0)
		return err_set(err, -ENOMEM, "no memory");
	rc = plan_new(&plan, c->store, c->diff, c->problems, &c->plan);
	if (rc < 0)
		return err_set(err, rc, "cannot plan with these options: %s", strerror(-rc));
	sink = store_sink(c->store);
	return source_init(c->loop, &options, &sink, err, &c->source);
}

static int read_source(struct check *c, struct err *err)
{
	uint64_t end_ns = clock_now_ns() + DEADLINE_NS;
	int rc = 0;

	while (rc >= 0 && !store_is_listed(c->store)) {
		if (clock_now_ns() > end_ns)
			return err_set(err, -ETIMEDOUT, "--source %s: not read within 30 s",
				       c->config->source);
		rc = loop_turn(c->loop, 100 * CLOCK_NS_PER_MS);
	}
	if (rc >= 0)
		rc = plan_run(c->plan);
	return rc < 0 ? err_set(err, rc, "cannot read the source: %s", strerror(-rc)) : 0;
}

static void check_interfaces(struct check *c)
{
	struct links_table table = { 0 };
	struct err err = { 0 };

	if (links_scan(&table) < 0)
		return;
	if (links_check_pods(&table, c->config->pod_ifaces, &err) < 0)
		problem_set(c->problems, "agent", "interfaces", err.what);
	links_table_done(&table);
}

static void print_problem(void *ctx, const char *object, const char *reason)
{
	(void)ctx;
	printf("problem: %s: %s\n", object, reason);
}

static void print_summary(const struct check *c)
{
	struct store_stats stats;
	struct plan_stats plan;

	store_count(c->store, &stats);
	plan_count(c->plan, &plan);
	printf("%zu services, %zu slices, %zu endpoints, %zu nodes; %u addresses with a port, %u endpoints of service ports\n",
	       stats.services, stats.slices, stats.endpoints, stats.nodes,
	       plan.v4.rows + plan.v6.rows, plan.v4.backends + plan.v6.backends);
}

int action_check(const struct config *config)
{
	struct check c = { .config = config };
	struct err err = { 0 };
	int code = EXIT_CODE_OK, rc = make(&c, &err);

	if (config->notes)
		fputs(config->notes, stdout);
	if (rc == 0)
		rc = read_source(&c, &err);
	if (rc == 0) {
		check_interfaces(&c);
		problem_each(c.problems, print_problem, NULL);
		print_summary(&c);
		if (problem_count(c.problems))
			code = EXIT_CODE_PROBLEM;
	} else {
		printf("problem: %s\n", err.what);
		code = EXIT_CODE_PROBLEM;
	}
	source_done(&c.source);
	plan_free(c.plan);
	diff_free(c.diff);
	store_free(c.store);
	problems_free(c.problems);
	loop_free(c.loop);
	return code;
}
