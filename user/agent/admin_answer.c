// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the admin socket answers.
 * Must not know sockets (admin.c).
 */
#include "agent/admin.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "agent/ifaces.h"
#include "base/json.h"
#include "base/clock.h"
#include "core/format.h"
#include "core/problem.h"
#include "core/view.h"
#include "sluice_version.h"

static void put_string(struct buf *out, const char *key, const char *value, bool first)
{
	json_key(out, key, first);
	json_string(out, value);
}

static void put_number(struct buf *out, const char *key, uint64_t value, bool first)
{
	json_key(out, key, first);
	buf_printf(out, "%" PRIu64, value);
}

static void put_bool(struct buf *out, const char *key, bool value, bool first)
{
	json_key(out, key, first);
	buf_puts(out, json_bool(value));
}

/* RFC 3339, UTC, milliseconds; null before the first time. */
static void put_time(struct buf *out, const char *key, uint64_t wall_ns, bool first)
{
	time_t s = (time_t)(wall_ns / CLOCK_NS_PER_S);
	char date[32];
	struct tm tm;

	json_key(out, key, first);
	if (!wall_ns || !gmtime_r(&s, &tm) ||
	    !strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm))
		buf_puts(out, "null");
	else
		buf_printf(out, "\"%s.%03uZ\"", date,
			   (unsigned int)(wall_ns / CLOCK_NS_PER_MS % 1000));
}

/* ---- status -------------------------------------------------------------------------------------- */

static void put_features(const struct metrics *m, struct buf *out)
{
	const struct dp_features *f = &m->programs->features;

	json_key(out, "features", false);
	buf_putc(out, '{');
	put_bool(out, "coarseClock", f->coarse_clock, true);
	put_bool(out, "setRetval", f->set_retval, false);
	put_bool(out, "kernCtx", f->fast_tc, false);
	put_bool(out, "tcx", f->tcx, false);
	buf_putc(out, '}');
}

static void put_hooks_summary(const struct metrics *m, struct buf *out)
{
	uint64_t n[ATTACH_FAILED + 1] = { 0 };
	size_t n_rows;
	const struct attach_row *rows = attach_rows(m->attach, &n_rows);

	for (size_t i = 0; i < n_rows; i++)
		n[rows[i].state]++;
	json_key(out, "hooks", false);
	buf_putc(out, '{');
	for (int state = ATTACH_OK; state <= ATTACH_FAILED; state++)
		put_number(out, attach_state_name(state), n[state], state == ATTACH_OK);
	buf_putc(out, '}');
}

static void put_maps(const struct metrics *m, struct buf *out)
{
	bool first = true;

	json_key(out, "maps", false);
	buf_putc(out, '[');
	for (int i = 0; i < DP_MAPS; i++) {
		if (!m->usage->room[i])
			continue;
		buf_puts(out, first ? "{" : ",{");
		put_string(out, "name", dp_map_name(i), true);
		put_number(out, "entries", m->usage->entries[i], false);
		put_number(out, "capacity", m->usage->room[i], false);
		buf_putc(out, '}');
		first = false;
	}
	buf_putc(out, ']');
}

/* What is known and waits for programs that can do it. */
static void put_not_served(const struct metrics *m, struct buf *out)
{
	static const enum sl_kind kinds[] = { SL_KIND_NODE_PORT, SL_KIND_LOAD_BALANCER,
					      SL_KIND_EXTERNAL_IP };

	json_key(out, "notServed", false);
	buf_putc(out, '{');
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		put_number(out, view_kind_name(kinds[i]),
			   plan_count_unserved(sync_plan(m->sync), kinds[i]), i == 0);
	buf_putc(out, '}');
}

/* How the source is reached, for others that want to read it. */
static void put_api(const struct config *config, struct buf *out)
{
	if (config->kubeconfig)
		put_string(out, "kubeconfig", config->kubeconfig, false);
	json_key(out, "apiServers", false);
	buf_putc(out, '[');
	for (size_t i = 0; i < config->n_api_servers; i++) {
		buf_puts(out, i ? "," : "");
		json_string(out, config->api_servers[i]);
	}
	buf_putc(out, ']');
}

static void answer_status(const struct admin_view *view, struct buf *out)
{
	const struct metrics *m = view->metrics;
	struct sync_stats sync;
	struct plan_stats plan;

	sync_count(m->sync, &sync);
	plan_count(sync_plan(m->sync), &plan);
	buf_putc(out, '{');
	put_string(out, "version", SLUICE_VERSION, true);
	put_number(out, "pid", (uint64_t)getpid(), false);
	put_string(out, "nodeName", view->config->node_name, false);
	put_string(out, "source", view->config->source, false);
	put_string(out, "forwarding",
		   view->config->forwarding == CONFIG_FORWARDING_FAST ? "fast" : "stack", false);
	put_api(view->config, out);
	put_number(out, "uptimeSeconds", (clock_now_ns() - view->started_ns) / CLOCK_NS_PER_S,
		   false);
	put_bool(out, "synced", sync_is_done_once(m->sync) && !sync.pending_rows, false);
	put_bool(out, "healthy", view->healthy(view->ctx), false);
	put_bool(out, "nodeEligible", view->eligible(view->ctx), false);
	put_time(out, "lastSync", sync.synced_wall_ns, false);
	put_number(out, "syncs", sync.runs, false);
	put_number(out, "syncFailures", sync.failures, false);
	put_number(out, "pendingRows", sync.pending_rows, false);
	put_number(out, "audits", sync.audits, false);
	put_number(out, "driftRepairs", sync.repaired, false);
	put_number(out, "problems", problem_count(m->problems), false);
	put_number(out, "serviceRecords", (uint64_t)plan.v4.rows + plan.v6.rows, false);
	put_number(out, "backends", (uint64_t)plan.v4.backends + plan.v6.backends, false);
	put_not_served(m, out);
	put_hooks_summary(m, out);
	put_features(m, out);
	put_maps(m, out);
	buf_putc(out, '}');
}

/* ---- problems, interfaces ------------------------------------------------------------------------ */

static void put_problem(void *ctx, const char *object, const char *reason)
{
	struct buf *out = ctx;

	buf_puts(out, out->data[out->len - 1] == '[' ? "{" : ",{");
	put_string(out, "object", object, true);
	put_string(out, "reason", reason, false);
	buf_putc(out, '}');
}

static void answer_problems(const struct admin_view *view, struct buf *out)
{
	buf_puts(out, "{\"problems\":[");
	if (!out->failed)
		problem_each(view->metrics->problems, put_problem, out);
	buf_puts(out, "]}");
}

static void answer_interfaces(const struct admin_view *view, struct buf *out)
{
	static const char *const classes[] = { "pod", "uplink", "overlay" };
	size_t n_wants, n_rows;
	const struct attach_want *wants = ifaces_wants(view->metrics->ifaces, &n_wants);
	const struct attach_row *rows = attach_rows(view->metrics->attach, &n_rows);

	buf_puts(out, "{\"interfaces\":[");
	for (size_t i = 0; i < n_wants; i++) {
		buf_puts(out, i ? ",{" : "{");
		put_string(out, "name", wants[i].name, true);
		put_number(out, "ifindex", wants[i].ifindex, false);
		put_string(out, "class", classes[wants[i].class], false);
		buf_putc(out, '}');
	}
	buf_puts(out, "],\"hooks\":[");
	for (size_t i = 0; i < n_rows; i++) {
		buf_puts(out, i ? ",{" : "{");
		put_string(out, "interface", rows[i].name, true);
		put_number(out, "ifindex", rows[i].ifindex, false);
		put_string(out, "hook", rows[i].hook, false);
		put_string(out, "how", rows[i].how, false);
		put_string(out, "program", rows[i].program, false);
		put_string(out, "state", attach_state_name(rows[i].state), false);
		put_string(out, "text", rows[i].text, false);
		buf_putc(out, '}');
	}
	buf_puts(out, "]}");
}

/* ---- drops --------------------------------------------------------------------------------------- */

static void put_drop(const struct drops *drops, const struct sl_event *event,
		     uint64_t wall_offset_ns, struct buf *out)
{
	const struct sl_name *name = drops_service(drops, event);
	char from[64], to[64], proto[FORMAT_SHORT_LEN];

	drops_endpoints(event, from, to);
	buf_putc(out, '{');
	put_time(out, "time", event->now_ns + wall_offset_ns, true);
	put_string(out, "reason", format_reason_name(event->reason), false);
	put_string(out, "hook", format_hook(event->hook), false);
	put_string(out, "protocol", format_proto(event->proto, proto), false);
	put_string(out, "from", from, false);
	put_string(out, "to", to, false);
	put_number(out, "ifindex", event->ifindex, false);
	put_string(out, "namespace", name ? name->namespace : "", false);
	put_string(out, "name", name ? name->name : "", false);
	put_string(out, "portName", name ? name->port_name : "", false);
	buf_putc(out, '}');
}

static void answer_drops(const struct admin_view *view, struct buf *out)
{
	const struct drops *drops = view->drops;
	uint64_t first = drops->n > DROPS_KEPT ? drops->n - DROPS_KEPT : 0;
	uint64_t offset_ns = clock_wall_ns() - clock_now_ns();

	buf_puts(out, "{\"drops\":[");
	for (uint64_t i = first; i < drops->n; i++) {
		if (i > first)
			buf_putc(out, ',');
		put_drop(drops, &drops->kept[i % DROPS_KEPT], offset_ns, out);
	}
	buf_puts(out, "]}");
}

/* ---- dispatch ------------------------------------------------------------------------------------ */

static const struct {
	const char *what;
	void (*answer)(const struct admin_view *view, struct buf *out);
} answers[] = {
	{ "status", answer_status },
	{ "problems", answer_problems },
	{ "interfaces", answer_interfaces },
	{ "drops", answer_drops },
};

void admin_answer(const struct admin_view *view, const char *line, struct buf *out,
		  struct admin_wanted *ret_wanted)
{
	cJSON *request = cJSON_Parse(line);
	const char *what = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, "get"));
	size_t i = 0;

	while (what && i < sizeof(answers) / sizeof(answers[0]) &&
	       strcmp(what, answers[i].what) != 0)
		i++;
	if (what && strcmp(what, "wanted") == 0) {
		admin_wanted_begin(sync_diff(view->metrics->sync), out, ret_wanted);
	} else if (what && i < sizeof(answers) / sizeof(answers[0])) {
		answers[i].answer(view, out);
		buf_putc(out, '\n');
	} else {
		buf_puts(
			out,
			"{\"error\":\"ask with {\\\"get\\\": WHAT}; WHAT is status, problems, interfaces, wanted or drops\"}\n");
	}
	cJSON_Delete(request);
}
