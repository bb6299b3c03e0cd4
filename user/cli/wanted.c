// SPDX-License-Identifier: GPL-2.0-only
/*
 * The wanted side of a comparison, from a source or from the agent.
 * Must not know the kernel side, nor how differences are told.
 */
#include "cli/wanted.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/loop.h"
#include "cli/agent.h"
#include "cli/cli.h"
#include "core/diff.h"
#include "core/format.h"
#include "core/plan.h"
#include "core/problem.h"
#include "core/store.h"
#include "source/source.h"

#define READ_NS (30 * CLOCK_NS_PER_S) /* a file that is being written is waited for */

/* ---- from a source ------------------------------------------------------------------------------------------------- */

struct reading {
	struct loop *loop;
	struct problems *problems;
	struct store *store;
	struct diff *diff;
	struct plan *plan;
	struct source source;
};

/* What no object says. */
struct given {
	struct address ips[2];
	size_t n_ips;
	struct cidr cidrs[2 * SL_CIDRS];
	size_t n_cidrs;
};

static struct address address_of(int family, const void *bytes)
{
	struct address addr = { .family = (uint8_t)family };

	memcpy(addr.b, bytes, family == 4 ? 4 : 16);
	return addr;
}

static struct given given_of(const struct sl_config *c)
{
	struct given g = { 0 };

	g.ips[g.n_ips] = address_of(4, c->node4);
	g.n_ips += !address_is_zero(&g.ips[g.n_ips]);
	g.ips[g.n_ips] = address_of(6, c->node6);
	g.n_ips += !address_is_zero(&g.ips[g.n_ips]);
	g.n_cidrs = cli_service_cidrs(c, g.cidrs);
	return g;
}

static int make(struct reading *r, const char *node_name, const struct sl_meta *meta,
		const struct sl_config *config, struct err *err)
{
	const struct given given = given_of(config);
	const struct plan_config plan = {
		.node_name = node_name,
		.node_ips = given.ips,
		.n_node_ips = given.n_ips,
		.service_cidrs = given.cidrs,
		.n_service_cidrs = given.n_cidrs,
		.host_netns = config->host_netns,
		.flags = config->flags,
		.snat_low = config->snat_low,
		.snat_high = config->snat_high,
		.limits = plan_limits_of(meta->max_services, meta->max_backends),
	};
	int rc;

	r->problems = problems_new(NULL, NULL);
	r->store = r->problems ? store_new(r->problems) : NULL;
	r->diff = diff_new();
	if (!r->store || !r->diff || loop_new(&r->loop) < 0)
		return err_set(err, -ENOMEM, "no memory");
	rc = plan_new(&plan, r->store, r->diff, r->problems, &r->plan);
	return rc < 0 ? err_set(err, rc, "cannot plan: %s", strerror(-rc)) : 0;
}

static int read_source(struct reading *r, const struct source_options *options, struct err *err)
{
	const struct source_sink sink = store_sink(r->store);
	uint64_t end_ns = clock_now_ns() + READ_NS;
	int rc = source_init(r->loop, options, &sink, err, &r->source);

	if (rc < 0)
		return rc;
	while (rc >= 0 && !store_is_listed(r->store)) {
		if (clock_now_ns() > end_ns)
			return err_set(err, -ETIMEDOUT, "--source %s%s: not read within 30 s",
				       options->dir ? "dir:" : "kube",
				       options->dir ? options->dir : "");
		rc = loop_turn(r->loop, 100 * CLOCK_NS_PER_MS);
	}
	return rc < 0 ? err_set(err, rc, "cannot read the source: %s", strerror(-rc)) : 0;
}

/* As if a kernel took everything at once: some rows (service ranges) are wanted only after others are there. */
static int plan_to_end(struct reading *r)
{
	struct diff_op op;
	int rc;

	do {
		rc = plan_run(r->plan);
		diff_begin(r->diff);
		while (rc >= 0 && diff_next(r->diff, &op))
			diff_done(r->diff, &op);
		if (rc >= 0 && plan_rest_begin(r->plan))
			plan_rest_end(r->plan);
	} while (rc >= 0 && plan_wants_run(r->plan));
	return rc;
}

static void reading_done(struct reading *r)
{
	source_done(&r->source);
	plan_free(r->plan);
	diff_free(r->diff);
	store_free(r->store);
	problems_free(r->problems);
	loop_free(r->loop);
}

int wanted_from_source(const struct source_options *source, const struct sl_meta *meta,
		       const struct sl_config *config,
		       void (*complain)(void *ctx, const char *object, const char *reason),
		       void *ctx, struct err *err, struct view *ret_view)
{
	struct reading r = { 0 };
	int rc = make(&r, source->kube.node_name, meta, config, err);

	if (!rc)
		rc = read_source(&r, source, err);
	if (!rc) {
		rc = plan_to_end(&r);
		if (rc >= 0)
			rc = view_from_plan(r.diff, ret_view);
		if (rc < 0)
			err_set(err, rc, "cannot plan: %s", strerror(-rc));
		else
			problem_each(r.problems, complain, ctx);
	}
	reading_done(&r);
	return rc;
}

/* ---- from the agent ------------------------------------------------------------------------------------------------- */

static int read_endpoints(struct arena *memory, const cJSON *list,
			  struct view_endpoint **ret_endpoints, size_t *ret_n)
{
	int n = cJSON_GetArraySize(list);
	struct view_endpoint *e = arena_new(memory, struct view_endpoint, n > 0 ? (size_t)n : 1);
	const cJSON *item;

	if (!e)
		return -ENOMEM;
	*ret_endpoints = e;
	*ret_n = n > 0 ? (size_t)n : 0;
	cJSON_ArrayForEach(item, list)
	{
		if (address_parse(agent_text(item, "address"), &e->addr) < 0)
			return -EPROTO;
		e->port = (uint16_t)agent_number(item, "port");
		e->flags = (uint16_t)agent_number(item, "flags");
		e++;
	}
	return 0;
}

static enum sl_kind kind_of(const char *name)
{
	for (unsigned int k = SL_KIND_NONE; k <= SL_KIND_ADDRESS; k++)
		if (!strcmp(view_kind_name((enum sl_kind)k), name))
			return (enum sl_kind)k;
	return SL_KIND_NONE;
}

static enum sl_algorithm algorithm_of(const char *name)
{
	for (unsigned int a = SL_ALGORITHM_RANDOM; a <= SL_ALGORITHM_LEAST_CONN; a++)
		if (!strcmp(view_algorithm_name((enum sl_algorithm)a), name))
			return (enum sl_algorithm)a;
	return SL_ALGORITHM_RANDOM;
}

static int read_service(struct arena *memory, const cJSON *item, struct view_service *s)
{
	int rc;

	s->namespace = arena_strdup(memory, agent_text(item, "namespace"));
	s->name = arena_strdup(memory, agent_text(item, "name"));
	s->port_name = arena_strdup(memory, agent_text(item, "portName"));
	if (!s->namespace || !s->name || !s->port_name)
		return -ENOMEM;
	if (address_parse(agent_text(item, "address"), &s->vip) < 0)
		return -EPROTO;
	s->port = (uint16_t)agent_number(item, "port");
	s->kind = kind_of(agent_text(item, "kind"));
	if (s->kind != SL_KIND_ADDRESS &&
	    format_parse_proto(agent_text(item, "protocol"), &s->proto) < 0)
		return -EPROTO;
	s->algorithm = algorithm_of(agent_text(item, "algorithm"));
	s->affinity_s = (uint32_t)agent_number(item, "affinitySeconds");
	s->flags = (uint16_t)agent_number(item, "flags");
	rc = read_endpoints(memory, cJSON_GetObjectItemCaseSensitive(item, "cluster"), &s->cluster,
			    &s->n_cluster);
	return rc ? rc
		  : read_endpoints(memory, cJSON_GetObjectItemCaseSensitive(item, "local"),
				   &s->local, &s->n_local);
}

int wanted_from_agent(const struct cJSON *answer, struct view *ret_view)
{
	const cJSON *services = cJSON_GetObjectItemCaseSensitive(answer, "services"), *item;
	struct view view = { 0 };
	int n = cJSON_GetArraySize(services);
	int rc = 0;

	if (!cJSON_IsArray(services))
		return -EPROTO;
	view.memory = calloc(1, sizeof(*view.memory));
	view.services = calloc(n > 0 ? (size_t)n : 1, sizeof(*view.services));
	if (!view.memory || !view.services) {
		view_done(&view);
		return -ENOMEM;
	}
	cJSON_ArrayForEach(item, services)
	{
		rc = read_service(view.memory, item, &view.services[view.n_services++]);
		if (rc < 0)
			break;
	}
	if (!rc)
		rc = view_sort(&view);
	if (rc < 0) {
		view_done(&view);
		return rc;
	}
	*ret_view = view;
	return 0;
}

static void forget_shares(struct view_endpoint *endpoints, size_t n)
{
	for (size_t i = 0; i < n; i++)
		endpoints[i].share = 0;
}

void wanted_reduce(struct view *view)
{
	view->has_config = false;
	for (size_t i = 0; i < view->n_services; i++) {
		struct view_service *s = &view->services[i];

		s->cluster_len = s->local_len = 0;
		forget_shares(s->cluster, s->n_cluster);
		forget_shares(s->local, s->n_local);
		s->n_backends = 0;
	}
}
