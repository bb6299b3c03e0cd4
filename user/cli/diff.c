// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluicectl diff: does the kernel hold what the source says, and does the agent want it?
 * Must not know how views are made (wanted.c) nor what makes them differ (core/view_diff.c).
 */
#include "cli/cli.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/agent.h"
#include "cli/wanted.h"

static const struct out_column columns[] = {
	{ "between", "BETWEEN", false },
	{ "difference", "DIFFERENCE", false },
};

struct diffing {
	struct cli *cli;
	const char *between;
	size_t n;         /* differences, of all comparisons */
	size_t n_refused; /* objects of the source */
};

static void put_difference(void *ctx, const char *sentence)
{
	struct diffing *d = ctx;

	out_row(&d->cli->out);
	out_text(&d->cli->out, d->between);
	out_tone(&d->cli->out, sentence, OUT_BAD);
	d->n++;
}

static void tell_refused(void *ctx, const char *object, const char *reason)
{
	struct diffing *d = ctx;

	cli_complain("%s: %s", object, reason);
	d->n_refused++;
}

static int compare(struct diffing *d, const char *between, const struct view *a, const char *a_name,
		   const struct view *b, const char *b_name)
{
	d->between = between;
	return view_diff(a, a_name, b, b_name, put_difference, d) < 0 ? -ENOMEM : 0;
}

/* "dir:PATH" or "kube" of --source, else of the agent. NULL after having said why. */
static const char *source_of(struct cli *cli, const cJSON *status, const struct err *why)
{
	const char *source = cli->values.source ? cli->values.source
			     : status           ? agent_text(status, "source")
						: NULL;

	if (!source) {
		cli_complain("%s; say what to compare with: sluicectl diff --source kube|dir:PATH",
			     why->what);
		return NULL;
	}
	if ((!strncmp(source, "dir:", 4) && source[4]) || !strcmp(source, "kube"))
		return source;
	cli_complain("--source '%s': must be kube or dir:PATH", source);
	return NULL;
}

/* How to reach the API server: as said here, else as the agent does. The list is the caller's to free. */
static int fill_source(struct cli *cli, const char *source, const cJSON *status,
		       struct source_options *ret_source, const char ***ret_servers)
{
	const struct option_list *said = &cli->values.api_server;
	const cJSON *told = cJSON_GetObjectItemCaseSensitive(status, "apiServers");
	bool ours = said->len || cli->values.kubeconfig;
	size_t n = ours ? said->len : (size_t)cJSON_GetArraySize(told);
	const char **servers = calloc(n + 1, sizeof(*servers));

	if (!servers)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		servers[i] = ours ? said->item[i]
				  : cJSON_GetStringValue(cJSON_GetArrayItem(told, (int)i));
	*ret_servers = servers;
	ret_source->dir = strcmp(source, "kube") ? source + 4 : NULL;
	ret_source->kube.api_servers = servers;
	ret_source->kube.n_api_servers = n;
	ret_source->kube.kubeconfig = cli->values.kubeconfig;
	if (!ours)
		ret_source->kube.kubeconfig = cJSON_GetStringValue(
			cJSON_GetObjectItemCaseSensitive(status, "kubeconfig"));
	return 0;
}

/* The three comparisons. Rings and backend ids are known of source and kernel only. */
static int compare_all(struct diffing *d, const struct view *source, struct view *agent,
		       struct view *kernel)
{
	int rc = compare(d, "source, kernel", source, "the source", kernel, "the kernel");

	if (!rc && agent) {
		wanted_reduce(kernel);
		rc = compare(d, "agent, kernel", agent, "the agent", kernel, "the kernel");
	}
	return rc;
}

static void put_result(struct diffing *d, const char *source, const cJSON *status)
{
	struct out *out = &d->cli->out;

	out_field_number(out, "differences", NULL, d->n, NULL);
	out_field_number(out, "refusedObjects", NULL, d->n_refused, NULL);
	out_field_text(out, "source", NULL, source);
	out_field_truth(out, "agentRunning", NULL, status != NULL, NULL);
	out_field_number(out, "agentPendingRows", NULL,
			 status ? agent_number(status, "pendingRows") : 0, NULL);
	if (!d->n && status && !agent_number(status, "pendingRows"))
		out_note(out, OUT_GOOD, "source, agent and kernel agree");
	else if (!d->n && !status)
		out_note(out, OUT_GOOD, "source and kernel agree (no agent runs)");
	else if (status)
		out_note(
			out, OUT_PLAIN,
			"%llu rows wait to be written; the agent repairs drift within a minute. Next: sluicectl "
			"status",
			(unsigned long long)agent_number(status, "pendingRows"));
	else
		out_note(out, OUT_PLAIN,
			 "no agent runs that could repair this. Next: start sluiced");
}

struct sides {
	struct view kernel, source, agent;
	bool has_agent;
};

static int read_source(struct diffing *d, const char *name, const cJSON *status, struct sides *s)
{
	struct cli *cli = d->cli;
	struct sl_config config = { 0 };
	struct sl_meta meta = { 0 };
	struct source_options source = { .kinds = OBJECTS_OF_AGENT };
	const char **servers = NULL;
	struct err err = { 0 };
	int rc;

	dp_config_read(cli->dp, &config);
	dp_meta_read(cli->dp, &meta);
	source.kube.node_name = cli->values.node_name ? cli->values.node_name : meta.node_name;
	rc = fill_source(cli, name, status, &source, &servers);
	if (rc < 0)
		err_set(&err, rc, "no memory");
	else
		rc = wanted_from_source(&source, &meta, &config, tell_refused, d, &err, &s->source);
	free(servers);
	return rc < 0 ? cli_fail(&err) : CLI_OK;
}

static int read_sides(struct diffing *d, const char *source, const cJSON *status, struct sides *s)
{
	struct cli *cli = d->cli;
	struct err err = { 0 };
	cJSON *wanted = NULL;
	int code = cli_kernel_view(cli, &s->kernel);

	if (!code)
		code = read_source(d, source, status, s);
	if (code)
		return code;
	if (!status || agent_ask(cli->values.admin_socket, "wanted", &err, &wanted) < 0)
		return CLI_OK;
	if (wanted_from_agent(wanted, &s->agent) == 0)
		s->has_agent = true;
	else
		cli_complain("the agent's answer could not be read; compared without it");
	cJSON_Delete(wanted);
	return CLI_OK;
}

int cli_diff(struct cli *cli)
{
	struct diffing d = { .cli = cli };
	struct sides s = { 0 };
	struct err why = { 0 };
	cJSON *status = NULL;
	const char *source;
	int code;

	agent_ask(cli->values.admin_socket, "status", &why, &status);
	source = source_of(cli, status, &why);
	if (!source) {
		cJSON_Delete(status);
		return cli->values.source ? CLI_USAGE : CLI_UNREACHABLE;
	}
	code = read_sides(&d, source, status, &s);
	if (!code) {
		out_begin(&cli->out, "Diff");
		out_rows(&cli->out, "items", NULL, columns, sizeof(columns) / sizeof(columns[0]));
		if (compare_all(&d, &s.source, s.has_agent ? &s.agent : NULL, &s.kernel) < 0)
			cli_complain("no memory");
		out_rows_end(&cli->out);
		put_result(&d, source, status);
		out_end(&cli->out);
		code = d.n || (status && agent_number(status, "pendingRows")) ? CLI_PROBLEMS
									      : CLI_OK;
	}
	view_done(&s.kernel);
	view_done(&s.source);
	view_done(&s.agent);
	cJSON_Delete(status);
	return code;
}
