// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluicectl status: what runs on this node, how full its maps are, and what is wrong.
 * Must not know how the data path works. Everything but the agent's own words comes from the pins.
 */
#include "cli/cli.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "cli/agent.h"
#include "cli/rows.h"
#include "core/format.h"
#include "sluice_version.h"

struct figures {
	cJSON *agent; /* NULL: does not answer */
	cJSON *problems;
	struct err err; /* why it does not */
	struct sl_meta meta;
	struct attach_row *hooks;
	size_t n_hooks, n_bad;
};

static const struct out_column map_columns[] = {
	{ "name", "MAP", false },
	{ "entries", "ENTRIES", true },
	{ "capacity", "ROOM", true },
	{ NULL, "USED", true },
};

static const struct out_column problem_columns[] = {
	{ "object", "OBJECT", false },
	{ "reason", "PROBLEM", false },
};

/* Arrays are always full; what is in them shows in the services. */
static const enum dp_map shown_maps[] = {
	DP_sl4_services,  DP_sl4_flows_tcp, DP_sl4_flows_udp, DP_sl4_affinity,
	DP_sl4_sockets,   DP_sl4_frags,     DP_sl6_services,  DP_sl6_flows_tcp,
	DP_sl6_flows_udp, DP_sl6_affinity,  DP_sl6_sockets,   DP_sl6_frags,
};

static void put_maps(struct cli *cli)
{
	struct out *out = &cli->out;
	char used[16];

	out_rows(out, "maps", "Maps", map_columns, sizeof(map_columns) / sizeof(map_columns[0]));
	for (size_t i = 0; i < sizeof(shown_maps) / sizeof(shown_maps[0]); i++) {
		uint64_t n = 0, room = dp_capacity(cli->dp, shown_maps[i]);

		if (dp_count(cli->dp, shown_maps[i], &n) < 0)
			continue;
		snprintf(used, sizeof(used), "%.1f%%", room ? 100.0 * (double)n / (double)room : 0);
		out_row(out);
		out_text(out, dp_map_name(shown_maps[i]));
		out_number(out, n, NULL);
		out_number(out, room, NULL);
		out_tone(out, used, room && n * 10 > room * 9 ? OUT_WARN : OUT_PLAIN);
	}
	out_rows_end(out);
}

static void put_problems(struct out *out, const cJSON *problems)
{
	const cJSON *p;

	out_rows(out, "problems", "Problems", problem_columns,
		 sizeof(problem_columns) / sizeof(problem_columns[0]));
	cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(problems, "problems"))
	{
		out_row(out);
		out_text(out, agent_text(p, "object"));
		out_tone(out, agent_text(p, "reason"), OUT_BAD);
	}
	out_rows_end(out);
}

/* "30 NodePort, 2 LoadBalancer": frontends that the agent knows and no program serves yet. */
static void put_not_served(struct out *out, const cJSON *agent)
{
	const cJSON *kind, *kinds = cJSON_GetObjectItemCaseSensitive(agent, "notServed");
	struct buf text = { 0 };
	uint64_t sum = 0;

	cJSON_ArrayForEach(kind, kinds)
	{
		uint64_t n = agent_number(kinds, kind->string);

		if (n)
			buf_printf(&text, "%s%" PRIu64 " %s", sum ? ", " : "", n, kind->string);
		sum += n;
	}
	if (sum)
		out_field_tone(out, NULL, "not served yet", buf_str(&text), OUT_WARN);
	out_field_number(out, "notServed", NULL, sum, NULL);
	buf_done(&text);
}

/* What an agent that runs says of itself. */
static void put_agent(struct out *out, const struct figures *f)
{
	char text[160], age[FORMAT_SHORT_LEN];
	const cJSON *a = f->agent;
	bool healthy = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(a, "healthy"));

	snprintf(text, sizeof(text), "running, pid %llu, since %s",
		 (unsigned long long)agent_number(a, "pid"),
		 format_age(agent_number(a, "uptimeSeconds") * CLOCK_NS_PER_S, age));
	out_field_tone(out, NULL, "agent", text, healthy ? OUT_GOOD : OUT_BAD);
	out_field_truth(out, "agentRunning", NULL, true, NULL);
	out_field_number(out, "agentPid", NULL, agent_number(a, "pid"), NULL);
	out_field_number(out, "agentUptimeSeconds", NULL, agent_number(a, "uptimeSeconds"), NULL);
	out_field_text(out, "agentVersion", "agent version", agent_text(a, "version"));
	out_field_truth(out, "healthy", "healthy", healthy, NULL);
	out_field_text(out, "source", "source", agent_text(a, "source"));
	out_field_text(out, "lastSync", "last sync", agent_text(a, "lastSync"));
	out_field_number(out, "pendingRows", "pending rows", agent_number(a, "pendingRows"), NULL);
	out_field_number(out, "driftRepairs", "drift repairs", agent_number(a, "driftRepairs"),
			 NULL);
	put_not_served(out, a);
}

static void put_no_agent(struct out *out, const struct figures *f)
{
	char age[FORMAT_SHORT_LEN], text[128];
	uint64_t now_ns = clock_now_ns();

	out_field_tone(out, NULL, "agent", "does not answer; traffic goes on without it", OUT_BAD);
	out_field_truth(out, "agentRunning", NULL, false, NULL);
	out_field_text(out, "agentError", "", f->err.what);
	snprintf(text, sizeof(text), "%s ago",
		 format_age(now_ns > f->meta.synced_ns ? now_ns - f->meta.synced_ns : 0, age));
	out_field_text(out, NULL, "last sync", f->meta.synced_ns ? text : "never");
	out_field_number(out, "lastSyncAgeSeconds", NULL,
			 f->meta.synced_ns && now_ns > f->meta.synced_ns
				 ? (now_ns - f->meta.synced_ns) / CLOCK_NS_PER_S
				 : 0,
			 NULL);
}

static void put_status(struct cli *cli, const struct figures *f)
{
	struct out *out = &cli->out;
	struct utsname system;
	char text[64];

	if (uname(&system) < 0)
		snprintf(system.release, sizeof(system.release), "?");
	out_begin(out, "Status");
	f->agent ? put_agent(out, f) : put_no_agent(out, f);
	out_field_text(out, "nodeName", "node", f->meta.node_name);
	out_field_text(out, "version", "sluicectl", SLUICE_VERSION);
	out_field_number(out, "mapsVersion", "maps version", f->meta.abi, NULL);
	out_field_text(out, "kernel", "kernel", system.release);
	snprintf(text, sizeof(text), "%zu, %zu not ok", f->n_hooks, f->n_bad);
	out_field_tone(out, NULL, "hooks", text, f->n_bad || !f->n_hooks ? OUT_BAD : OUT_PLAIN);
	out_field_number(out, "hooks", NULL, f->n_hooks, NULL);
	out_field_number(out, "hooksNotOk", NULL, f->n_bad, NULL);
	put_maps(cli);
	if (f->problems)
		put_problems(out, f->problems);
	out_end(out);
}

static int judge(const struct figures *f)
{
	if (!f->agent)
		return CLI_UNREACHABLE;
	if (agent_number(f->agent, "problems") || f->n_bad || !f->n_hooks ||
	    !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(f->agent, "healthy")))
		return CLI_PROBLEMS;
	return CLI_OK;
}

int cli_status(struct cli *cli)
{
	struct figures f = { 0 };
	int code = cli_open_maps(cli);

	if (!code)
		code = cli_attach_rows(cli, &f.hooks, &f.n_hooks);
	if (code)
		return code;
	dp_meta_read(cli->dp, &f.meta);
	for (size_t i = 0; i < f.n_hooks; i++)
		f.n_bad += f.hooks[i].state == ATTACH_FOREIGN || f.hooks[i].state == ATTACH_FAILED;
	if (!agent_ask(cli->values.admin_socket, "status", &f.err, &f.agent))
		agent_ask(cli->values.admin_socket, "problems", &f.err, &f.problems);
	put_status(cli, &f);
	code = judge(&f);
	cJSON_Delete(f.agent);
	cJSON_Delete(f.problems);
	free(f.hooks);
	return code;
}
