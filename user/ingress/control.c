// SPDX-License-Identifier: GPL-2.0-only
/* Puts the control thread's parts together: configuration, pages, election, status, Events. */
/* Must not know what any of them does. */
#include "ingress/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/loop.h"
#include "ingress/config.h"
#include "ingress/events.h"
#include "ingress/leader.h"
#include "ingress/pages.h"
#include "ingress/settings.h"
#include "ingress/status.h"
#include "serve/http.h"
#include "source/source.h"

#define LEASE         "sluice-proxy-leader"
#define CHECK_WAIT_NS (30 * CLOCK_NS_PER_S)

struct control {
	struct control_input in;
	struct config *config;
	struct http *http;
	struct pages pages;
	bool draining;

	/* With an API server only. */
	struct leader leader;
	struct leader_request request;
	struct kube_send *send;
	struct loop_event *turn;
	struct status *status;
	struct events *events;
	const char *complained; /* of the election */
};

/* ---- the election ----------------------------------------------------------------------------------------------- */

static void run_election(void *arg);

static void set_lead(struct control *c)
{
	bool leads = leader_leads(&c->leader, clock_now_ns());

	if (leads != c->pages.leads)
		log_info(leads ? "leading identity=%s" : "no longer leading identity=%s",
			 c->in.settings->pod_name);
	c->pages.leads = leads;
	status_lead(c->status, leads);
	events_lead(c->events, leads);
	if (c->leader.complaint && c->leader.complaint != c->complained)
		log_warn(
			"no election reason=\"%s\" status=%u; statuses of Ingresses are not written",
			c->leader.complaint, c->leader.status);
	c->complained = c->leader.complaint;
}

static void on_elected(void *ctx, const struct kube_answer *answer)
{
	struct control *c = ctx;
	uint32_t random = 0;

	c->send = NULL;
	(void)!getrandom(&random, sizeof(random), 0);
	leader_answer(&c->leader, clock_now_ns(), random, answer->status, answer->body);
	run_election(c);
}

static void run_election(void *arg)
{
	struct control *c = arg;
	uint64_t now_ns = clock_now_ns(), next_ns, stop_ns;
	struct kube_http_request request = { 0 };

	set_lead(c);
	while (leader_next(&c->leader, now_ns, clock_wall_ns(), &c->request, &next_ns)) {
		request.method = c->request.method;
		request.target = buf_str(&c->request.target);
		request.body = c->request.body.len ? buf_str(&c->request.body) : NULL;
		request.body_len = c->request.body.len;
		if (source_send(config_source(c->config), &request, on_elected, c, &c->send) < 0)
			leader_answer(&c->leader, now_ns, 0, 0, NULL); /* which waits a while */
	}
	/* leading ends by itself, without an answer */
	stop_ns = c->pages.leads ? c->leader.renewed_ns + LEADER_GIVE_UP_NS : UINT64_MAX;
	if (stop_ns < next_ns)
		next_ns = stop_ns;
	if (next_ns != UINT64_MAX)
		loop_arm(c->turn, next_ns > now_ns ? next_ns - now_ns : 1, 0);
}

static int begin_election(struct control *c, struct err *err)
{
	const struct settings *settings = c->in.settings;
	const struct status_input status = { .loop = c->in.loop,
					     .settings = settings,
					     .config = c->config };
	int rc;

	leader_init(&c->leader, settings->pod_name, settings->pod_namespace, LEASE);
	c->pages.has_leader = true;
	rc = status_new(&status, &c->status);
	if (rc == 0)
		rc = loop_add_timer(c->in.loop, run_election, c, &c->turn);
	if (rc < 0)
		return err_set(err, rc, "cannot begin the election: %s", strerror(-rc));
	events_set_config(c->events, c->config);
	run_election(c);
	return 0;
}

/* ---- what the configuration tells ------------------------------------------------------------------------------- */

static void on_problem(void *ctx, enum config_concern concern, const char *object,
		       const char *reason, bool solved)
{
	struct control *c = ctx;

	if (c->events)
		events_problem(c->events, concern, object, reason, solved);
}

static void on_change(void *ctx)
{
	struct control *c = ctx;

	if (c->status)
		status_wake(c->status);
	if (c->in.on_ready)
		c->in.on_ready(c->in.ctx);
}

/* ---- pages ------------------------------------------------------------------------------------------------------ */

static unsigned int on_page(void *ctx, const char *path, struct http_page *page)
{
	struct control *c = ctx;
	struct status_stats status = { 0 };
	struct events_stats events = { 0 };

	if (c->status)
		status_count(c->status, &status);
	if (c->events)
		events_count(c->events, &events);
	c->pages.status_writes = status.writes;
	c->pages.status_failures = status.failures;
	c->pages.events_sent = events.sent;
	c->pages.events_dropped = events.dropped;
	return pages_answer(&c->pages, path, page);
}

static void fill_pages(struct control *c)
{
	c->pages.settings = c->in.settings;
	c->pages.config = c->config;
	c->pages.stats = c->in.stats;
	c->pages.log = c->in.log;
	c->pages.started_wall_ns = clock_wall_ns();
	c->pages.draining = &c->draining;
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

int control_new(const struct control_input *input, struct err *err, struct control **ret_control)
{
	struct control *c = calloc(1, sizeof(*c));
	struct config_input config = { .loop = input->loop,
				       .settings = input->settings,
				       .workers = input->workers,
				       .n_workers = input->n_workers,
				       .stats = input->stats,
				       .on_problem = on_problem,
				       .on_change = on_change,
				       .ctx = c };
	bool elects = !input->settings->source_dir && input->settings->elect;
	int rc = 0;

	if (!c)
		return err_set(err, -ENOMEM, "no memory");
	c->in = *input;
	if (elects && events_new(input->loop, input->settings, &c->events) < 0)
		rc = err_set(err, -ENOMEM, "no memory");
	if (rc == 0)
		rc = config_new(&config, err, &c->config);
	if (rc == 0 && elects)
		rc = begin_election(c, err);
	fill_pages(c);
	if (rc < 0) {
		control_free(c);
		return rc;
	}
	*ret_control = c;
	return 0;
}

void control_serve(struct control *c, int fd)
{
	const struct http_options options = { .addr = c->in.settings->metrics,
					      .what = "metrics",
					      .fn = on_page,
					      .ctx = c,
					      .has_socket = fd >= 0,
					      .socket = fd };

	if (http_new_with(c->in.loop, &options, &c->http) < 0)
		log_err("out of memory: no pages");
}

int control_listens_at(const struct control *c)
{
	return http_listens_at(c->http);
}

void control_stop_serving(struct control *c)
{
	http_free(c->http);
	c->http = NULL;
}

void control_drain(struct control *c)
{
	c->draining = true;
	if (!c->turn)
		return;
	leader_release(&c->leader);
	run_election(c);
}

void control_free(struct control *c)
{
	if (!c)
		return;
	http_free(c->http);
	kube_send_cancel(c->send);
	loop_remove(c->turn);
	status_free(c->status);
	events_free(c->events);
	config_free(c->config);
	buf_done(&c->request.target);
	buf_done(&c->request.body);
	free(c);
}

/* ---- --check ---------------------------------------------------------------------------------------------------- */

struct check {
	struct loop *loop;
	struct config *config;
	size_t n;
	bool made;
};

static void on_made(void *ctx)
{
	struct check *check = ctx;

	check->made = true;
	loop_stop(check->loop, 0);
}

static void on_late(void *arg)
{
	struct check *check = arg;

	loop_stop(check->loop, -ETIMEDOUT);
}

static void print_problem(void *ctx, enum config_concern concern, const char *object,
			  const char *reason)
{
	struct check *check = ctx;

	(void)concern;
	check->n++;
	printf("%s: %s\n", object, reason);
}

static int run_check(const struct settings *settings, struct check *check, struct err *err)
{
	struct config_input config = { .settings = settings, .on_change = on_made, .ctx = check };
	struct loop_event *late;
	int rc = loop_new(&check->loop);

	if (rc == 0)
		rc = loop_add_timer(check->loop, on_late, check, &late);
	if (rc == 0)
		rc = loop_arm(late, CHECK_WAIT_NS, 0);
	if (rc < 0)
		return err_set(err, rc, "cannot start: %s", strerror(-rc));
	config.loop = check->loop;
	rc = config_new(&config, err, &check->config);
	if (rc == 0) {
		rc = loop_run(check->loop);
		if (rc < 0)
			err_set(err, rc, "the source did not list everything within 30 s");
	}
	return rc;
}

int control_check(const struct settings *settings)
{
	struct check check = { 0 };
	struct config_stats stats;
	struct err err = { 0 };
	int rc;

	log_set_level(LOG_LEVEL_ERR); /* what is wrong is printed, once */
	rc = run_check(settings, &check, &err);
	if (rc < 0) {
		fprintf(stderr, "sluice-proxy: %s\n", err.what);
	} else {
		config_each_problem(check.config, print_problem, &check);
		config_count(check.config, &stats);
		printf("%zu Ingresses, %zu problems\n", stats.ours, check.n);
	}
	config_free(check.config);
	loop_free(check.loop);
	return rc < 0 || check.n ? EXIT_CODE_PROBLEM : EXIT_CODE_OK;
}
