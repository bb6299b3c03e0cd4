// SPDX-License-Identifier: GPL-2.0-only
/*
 * Puts the parts together: who is made of what, in which order, and what happens at which time.
 * Must not know how any part does its work.
 */
#include "agent/agent.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "agent/admin.h"
#include "agent/api_events.h"
#include "agent/drops.h"
#include "base/exit.h"
#include "agent/health.h"
#include "agent/health_ports.h"
#include "serve/http.h"
#include "agent/ifaces.h"
#include "agent/metrics.h"
#include "base/notify.h"
#include "source/source.h"
#include "agent/sync.h"
#include "agent/usage.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "core/problem.h"
#include "dp/attach.h"
#include "dp/devices.h"
#include "dp/load.h"
#include "dp/netns.h"
#include "sluice_version.h"

#define TICK_NS        CLOCK_NS_PER_S
#define USAGE_PIECE_NS (1 * CLOCK_NS_PER_MS) /* of counting, so that the loop breathes */
#define USAGE_GAP_NS   (20 * CLOCK_NS_PER_MS)
#define USAGE_PIECES   5 /* a tick */

struct agent {
	const struct config *config;
	struct pin_dir pins;
	struct loop *loop;
	struct dp *dp;
	struct dp_programs programs;
	struct attach *attach;
	struct problems *problems;
	struct sync *sync;
	struct ifaces *ifaces;
	struct source source;
	struct usage usage;
	struct drops drops;
	struct metrics metrics;
	struct http *http_metrics, *http_healthz;
	struct admin *admin;
	struct api_events *events;
	struct health_ports *health_ports;
	struct loop_event *tick, *usage_timer, *sigterm, *sigint;
	int usage_pieces; /* left in this tick */
	uint64_t started_ns;
	bool attached; /* the first look at interfaces is over */
};

/* ---- health -------------------------------------------------------------------------------------- */

static bool is_eligible(void *ctx)
{
	const struct agent *a = ctx;
	const struct node *node = store_node(sync_store(a->sync), a->config->node_name);

	if (!node) /* a folder need not hold a Node object */
		return a->config->source_dir != NULL;
	return !node->deleting && !node->doomed;
}

static struct health_family family_health(const struct agent *a, int family)
{
	const struct sync_family *f = sync_family(a->sync, family);

	return (struct health_family){ f->waiting_since_ns, f->updated_wall_ns };
}

static struct health_state health_of(struct agent *a)
{
	return (struct health_state){
		.v4 = family_health(a, 4),
		.v6 = family_health(a, 6),
		.eligible = is_eligible(a),
		.synced = sync_is_done_once(a->sync) && a->attached,
		.clean = sync_is_clean(a->sync),
		.now_ns = clock_now_ns(),
		.now_wall_ns = clock_wall_ns(),
	};
}

static bool is_healthy(void *ctx)
{
	struct health_state state = health_of(ctx);

	return health_is_healthy(&state);
}

static unsigned int serve_health(void *ctx, const char *path, struct http_page *page)
{
	struct agent *a = ctx;
	struct health_state state = health_of(a);
	struct kubeproxy *counts = sync_kubeproxy(a->sync);
	unsigned int status;

	page->type = "application/json";
	if (strcmp(path, "/healthz") == 0) {
		status = health_write_healthz(&state, &page->body);
		counts->healthz[status != 200]++;
		return status;
	}
	if (strcmp(path, "/livez") == 0) {
		status = health_write_livez(&state, &page->body);
		counts->livez[status != 200]++;
		return status;
	}
	if (strcmp(path, "/readyz") == 0)
		return health_write_readyz(&state, &page->body);
	page->type = "text/plain; charset=utf-8";
	return 404;
}

static unsigned int serve_metrics(void *ctx, const char *path, struct http_page *page)
{
	struct agent *a = ctx;

	if (strcmp(path, "/metrics") != 0)
		return 404;
	page->type = "text/plain; version=0.0.4; charset=utf-8";
	a->metrics.events = a->drops.n;
	a->metrics.health_ports = health_ports_count(a->health_ports);
	api_events_count(a->events, &a->metrics.api_events);
	metrics_write(&a->metrics, &page->body);
	source_write_metrics(&a->source, &page->body);
	return 200;
}

/* ---- what happens ---------------------------------------------------------------------------------- */

static void tell_node(struct agent *a, bool warning, const char *reason, const char *action,
		      const char *note)
{
	const struct node *node = a->sync ? store_node(sync_store(a->sync), a->config->node_name)
					  : NULL;
	const struct api_event event = {
		.api_version = "v1",
		.kind = "Node",
		.namespace = "",
		.name = a->config->node_name,
		.uid = node && node->meta.uid ? node->meta.uid : a->config->node_name,
		.warning = warning,
		.reason = reason,
		.action = action,
		.note = note,
	};

	api_events_tell(a->events, &event);
}

static const char *uid_of(const struct agent *a, enum object_kind kind, const char *namespace,
			  const char *name)
{
	const struct store *store = sync_store(a->sync);
	const struct store_entry *e;
	const struct endpoint_slice *slice;

	if (kind == OBJECT_SERVICE) {
		e = store_find(store, namespace, name);
		return e && e->service ? e->service->meta.uid : NULL;
	}
	slice = kind == OBJECT_ENDPOINT_SLICE ? store_slice(store, namespace, name) : NULL;
	return slice ? slice->meta.uid : NULL;
}

/* "Service default/web": true if it is such an object, and it was told there. */
static bool tell_object(struct agent *a, const char *object, const char *note)
{
	static const struct {
		enum object_kind kind;
		const char *name, *api_version;
	} kinds[] = {
		{ OBJECT_SERVICE, "Service", "v1" },
		{ OBJECT_ENDPOINT_SLICE, "EndpointSlice", "discovery.k8s.io/v1" },
	};
	const char *space = strchr(object, ' '), *slash = space ? strchr(space, '/') : NULL;
	struct api_event event = {
		.warning = true, .reason = "Misconfigured", .action = "Program", .note = note
	};
	char namespace[256];

	for (size_t i = 0; slash && a->sync && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strncmp(object, kinds[i].name, (size_t)(space - object)) != 0 ||
		    strlen(kinds[i].name) != (size_t)(space - object))
			continue;
		snprintf(namespace, sizeof(namespace), "%.*s", (int)(slash - space - 1), space + 1);
		event.api_version = kinds[i].api_version;
		event.kind = kinds[i].name;
		event.namespace = namespace;
		event.name = slash + 1;
		event.uid = uid_of(a, kinds[i].kind, namespace, slash + 1);
		api_events_tell(a->events, &event);
		return true;
	}
	return false;
}

/* What is wrong is told where people look for it: at its object, or else at the node. */
static void tell_problem(struct agent *a, const char *object, const char *reason)
{
	struct buf note = { 0 };

	if (!a->events || strncmp(object, "API server", 10) == 0) /* who would take it? */
		return;
	if (tell_object(a, object, reason))
		return;
	buf_printf(&note, "%s: %s", object, reason);
	if (!note.failed)
		tell_node(a, true, "Degraded", "Program", buf_str(&note));
	buf_done(&note);
}

static void say_problem(void *ctx, const char *object, const char *reason, bool solved)
{
	if (solved) {
		log_info("solved: %s: %s", object, reason);
		return;
	}
	log_warn("problem: %s: %s", object, reason);
	tell_problem(ctx, object, reason);
}

static void on_port_failed(void *ctx, const char *namespace, const char *name, int family,
			   unsigned int port, const char *why)
{
	struct agent *a = ctx;
	struct buf note = { 0 };
	const struct api_event event = {
		.api_version = "v1",
		.kind = "Service",
		.namespace = namespace,
		.name = name,
		.uid = uid_of(a, OBJECT_SERVICE, namespace, name),
		.warning = true,
		.reason = "FailedToStartServiceHealthcheck",
		.action = "Listen",
		.note = (buf_printf(
				 &note,
				 "node %s failed to listen on healthCheckNodePort %u (IPv%d): %s",
				 a->config->node_name, port, family, why),
			 buf_str(&note)),
	};

	api_events_tell(a->events, &event);
	buf_done(&note);
}

/* Programs go on hooks when the maps hold what they shall: at once after a restart, after the first sync else. */
static void attach_first(struct agent *a)
{
	struct err err = { 0 };
	size_t n;

	if (a->attached)
		return;
	a->attached = true;
	ifaces_look(a->ifaces);
	if (dp_load_commit(&a->pins, a->dp, &a->programs, &err) < 0)
		log_err("%s", err.what);
	attach_rows(a->attach, &n);
	log_info("hooks are set n=%zu adopted=%llu updated=%llu attached=%llu", n,
		 (unsigned long long)attach_counts(a->attach)->adopted,
		 (unsigned long long)attach_counts(a->attach)->updated,
		 (unsigned long long)attach_counts(a->attach)->attached);
}

static void on_synced(void *ctx)
{
	static bool ready;
	struct agent *a = ctx;

	attach_first(a);
	if (!ready) {
		notify_send("READY=1\nSTATUS=service traffic is balanced");
		tell_node(a, false, "Starting", "Start",
			  "sluiced " SLUICE_VERSION " balances service traffic");
	}
	ready = true;
}

static void on_services(void *ctx)
{
	struct agent *a = ctx;
	const struct address *ips;
	size_t n = sync_own_ips(a->sync, &ips);

	health_ports_update(a->health_ports, ips, n);
}

static void on_nodes(void *ctx)
{
	struct agent *a = ctx;

	if (a->ifaces)
		ifaces_poke(a->ifaces);
}

static void on_relist(void *ctx)
{
	struct agent *a = ctx;

	source_relist(&a->source);
}

static void on_usage(void *ctx)
{
	struct agent *a = ctx;

	if (!usage_tick(&a->usage, USAGE_PIECE_NS) && --a->usage_pieces > 0)
		loop_arm(a->usage_timer, USAGE_GAP_NS, 0);
}

static void on_tick(void *ctx)
{
	struct agent *a = ctx;

	drops_read(&a->drops);
	a->usage_pieces = USAGE_PIECES;
	on_usage(a);
}

static void on_signal(void *ctx, int signo)
{
	struct agent *a = ctx;

	log_info("stopping signal=%s; traffic goes on", strsignal(signo));
	notify_send("STOPPING=1");
	loop_stop(a->loop, EXIT_CODE_OK);
}

/* ---- making ---------------------------------------------------------------------------------------- */

/* 0 stands for the initial namespace, where agents usually are. */
static uint64_t find_netns(const char *cgroup)
{
	uint64_t cookie = 0;
	int rc = netns_cookie(cgroup, &cookie);

	if (rc < 0)
		log_warn(
			"the network namespace is taken for the initial one error=\"%s\"; before Linux 5.14 sluiced must run "
			"below the directory of --cgroup to know it",
			strerror(-rc));
	return cookie;
}

static uint32_t flows_wanted(const struct agent *a)
{
	uint32_t flows = a->config->max_flows;
	struct sysinfo info = { 0 };

	if (!flows)
		flows = dp_pinned_flows(&a->pins);
	if (!flows && sysinfo(&info) == 0)
		flows = sizes_flows_default((uint64_t)info.totalram * info.mem_unit);
	return flows ? flows : sizes_flows_default(0);
}

static int load(struct agent *a, struct err *err)
{
	struct dp_limits limits = {
		.plan = plan_limits_of(a->config->max_services, a->config->max_backends),
		.flows = flows_wanted(a),
		.ipv4 = true,
		.ipv6 = access("/proc/net/if_inet6", F_OK) == 0,
		.bypass = a->config->forwarding == CONFIG_FORWARDING_FAST,
	};
	const struct dp_features *f = &a->programs.features;
	int rc = dp_load(&a->pins, &limits, err, &a->dp, &a->programs);

	if (rc == 0)
		log_info(
			"programs are %s maps=%s max_flows=%u tcx=%d kern_ctx=%d coarse_clock=%d set_retval=%d",
			a->programs.reloaded ? "loaded" : "adopted",
			a->programs.maps_made ? "new" : "adopted", limits.flows, f->tcx, f->fast_tc,
			f->coarse_clock, f->set_retval);
	return rc;
}

static int write_meta(struct agent *a)
{
	struct sl_meta meta;
	int rc = dp_meta_read(a->dp, &meta);

	if (rc < 0)
		return rc;
	meta.agent_pid = (uint32_t)getpid();
	meta.started_ns = a->started_ns;
	meta.max_services = a->config->max_services;
	meta.max_backends = a->config->max_backends;
	memset(meta.node_name, 0, sizeof(meta.node_name));
	memcpy(meta.node_name, a->config->node_name,
	       strnlen(a->config->node_name, sizeof(meta.node_name) - 1));
	return dp_meta_write(a->dp, &meta);
}

static int make_attach(struct agent *a, struct err *err, uint64_t *ret_netns)
{
	struct sl_config before = { 0 };
	uint64_t netns = 0;
	char cgroup[256];
	struct attach_options options = {
		.xdp = (enum attach_xdp)a->config->xdp,
		.tc = (enum attach_tc)a->config->tc,
		.cgroup = cgroup,
	};
	int rc = attach_find_cgroup(a->config->cgroup, err, cgroup);

	if (rc == 0)
		netns = find_netns(cgroup);
	if (rc == 0)
		rc = attach_new(&a->pins, &a->programs, &options, err, &a->attach);
	if (rc == 0 && dp_config_read(a->dp, &before) == 0 && before.host_netns &&
	    before.host_netns != netns) {
		log_warn("the pins come from another network namespace; its hooks are let go");
		attach_forget(a->attach);
		rc = devices_sync(a->dp, NULL, 0, NULL, 0);
		if (rc < 0)
			err_set(err, rc, "cannot empty sl_devices: %s", strerror(-rc));
	}
	if (rc == 0)
		*ret_netns = netns;
	return rc;
}

static int make_tick(struct agent *a, struct err *err)
{
	int rc;

	usage_init(&a->usage, a->dp, sync_diff(a->sync));
	rc = drops_init(&a->drops, a->dp, sync_diff(a->sync));
	if (rc == 0)
		rc = loop_add_timer(a->loop, on_tick, a, &a->tick);
	if (rc == 0)
		rc = loop_add_timer(a->loop, on_usage, a, &a->usage_timer);
	if (rc == 0)
		rc = loop_arm(a->tick, TICK_NS, TICK_NS);
	return rc < 0 ? err_set(err, rc, "cannot set up the ticks: %s", strerror(-rc)) : 0;
}

static int make_health_ports(struct agent *a)
{
	const struct health_ports_options options = {
		.store = sync_store(a->sync),
		.node_name = a->config->node_name,
		.healthy = is_healthy,
		.failed = on_port_failed,
		.ctx = a,
	};

	return health_ports_new(a->loop, &options, &a->health_ports);
}

static int make_pages(struct agent *a, struct err *err)
{
	struct admin_view view = {
		.config = a->config,
		.metrics = &a->metrics,
		.drops = &a->drops,
		.started_ns = a->started_ns,
		.eligible = is_eligible,
		.healthy = is_healthy,
		.ctx = a,
	};
	struct err admin = { 0 };
	int rc;

	a->metrics = (struct metrics){
		.dp = a->dp,
		.programs = &a->programs,
		.sync = a->sync,
		.attach = a->attach,
		.ifaces = a->ifaces,
		.problems = a->problems,
		.usage = &a->usage,
		.kubeproxy = sync_kubeproxy(a->sync),
	};
	rc = make_health_ports(a);
	if (rc == 0)
		rc = http_new(a->loop, &a->config->healthz, "healthz", serve_health, a,
			      &a->http_healthz);
	if (rc == 0)
		rc = http_new(a->loop, &a->config->metrics, "metrics", serve_metrics, a,
			      &a->http_metrics);
	if (rc < 0)
		return err_set(err, rc, "no memory");
	/* tools work without it, from the pins */
	if (a->config->admin_socket &&
	    admin_new(a->loop, a->config->admin_socket, &view, &admin, &a->admin) < 0)
		log_warn("%s", admin.what);
	return 0;
}

static int make_loop(struct agent *a, struct err *err)
{
	int rc = loop_new(&a->loop);

	signal(SIGPIPE, SIG_IGN);
	if (rc == 0)
		rc = loop_add_signal(a->loop, SIGTERM, on_signal, a, &a->sigterm);
	if (rc == 0)
		rc = loop_add_signal(a->loop, SIGINT, on_signal, a, &a->sigint);
	if (rc == 0)
		rc = api_events_new(a->loop, &a->source, a->config->node_name, &a->events);
	a->problems = problems_new(say_problem, a);
	if (rc < 0 || !a->problems)
		return err_set(err, rc < 0 ? rc : -ENOMEM, "cannot make an event loop: %s",
			       strerror(rc < 0 ? -rc : ENOMEM));
	return 0;
}

static int make_control(struct agent *a, struct err *err)
{
	const struct sync_hooks hooks = {
		.ctx = a,
		.synced = on_synced,
		.nodes = on_nodes,
		.services = on_services,
		.relist = on_relist,
	};
	const struct source_options options = config_source(a->config);
	struct source_sink sink;
	uint64_t netns = 0;
	int rc = make_attach(a, err, &netns);

	if (rc == 0)
		rc = sync_new(a->loop, a->dp, a->config, netns, a->programs.maps_made, a->problems,
			      &hooks, err, &a->sync);
	if (rc == 0)
		rc = ifaces_new(a->loop, a->dp, a->attach, a->sync, a->config, a->problems, err,
				&a->ifaces);
	if (rc == 0)
		rc = make_tick(a, err);
	if (rc == 0)
		rc = make_pages(a, err);
	if (rc < 0)
		return rc;
	sink = sync_sink(a->sync);
	return source_init(a->loop, &options, &sink, err, &a->source);
}

static int make(struct agent *a, struct err *err)
{
	int rc = pin_dir_init(a->config->bpffs, err, &a->pins);

	if (rc == 0)
		rc = make_loop(a, err);
	if (rc == 0)
		rc = pin_lock(&a->pins, err);
	if (rc == 0)
		rc = load(a, err);
	if (rc == 0 && write_meta(a) < 0)
		rc = err_set(err, -EIO, "cannot write sl_meta");
	if (rc == 0)
		rc = make_control(a, err);
	if (rc == 0 && !a->programs.maps_made)
		attach_first(a);
	return rc;
}

/* ---- taking down ----------------------------------------------------------------------------------- */

static void note_stop(struct agent *a)
{
	struct sl_meta meta;

	if (!a->dp || dp_meta_read(a->dp, &meta) < 0)
		return;
	meta.agent_pid = 0;
	dp_meta_write(a->dp, &meta);
}

static void unmake(struct agent *a)
{
	api_events_free(a->events); /* what problems say from here on goes to the log alone */
	a->events = NULL;
	source_done(&a->source);
	admin_free(a->admin);
	http_free(a->http_metrics);
	http_free(a->http_healthz);
	health_ports_free(a->health_ports);
	loop_remove(a->tick);
	loop_remove(a->usage_timer);
	drops_done(&a->drops);
	ifaces_free(a->ifaces);
	sync_free(a->sync);
	attach_free(a->attach);
	problems_free(a->problems);
	note_stop(a);
	if (a->dp)
		dp_programs_done(&a->programs);
	dp_free(a->dp);
	loop_remove(a->sigterm);
	loop_remove(a->sigint);
	loop_free(a->loop);
	pin_dir_done(&a->pins);
}

static void say_notes(const char *notes)
{
	while (notes && *notes) {
		int len = (int)strcspn(notes, "\n");

		log_warn("%.*s", len, notes);
		notes += len + (notes[len] == '\n');
	}
}

int agent_run(const struct config *config)
{
	struct agent agent = { .config = config, .pins.lock_fd = -1, .started_ns = clock_now_ns() };
	struct err err = { 0 };
	int code;

	log_info("sluiced %s starts node=%s source=%s", SLUICE_VERSION, config->node_name,
		 config->source);
	say_notes(config->notes);
	if (make(&agent, &err) < 0) {
		log_err("%s", err.what);
		code = exit_code_of(&err);
	} else {
		code = loop_run(agent.loop);
		if (code < 0) {
			log_err("event loop failed error=\"%s\"", strerror(-code));
			code = EXIT_CODE_PROBLEM;
		}
	}
	unmake(&agent);
	return code;
}
