// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluicectl backends: the endpoints of each service port, which lists they are in, and what went to and came from them.
 * Must not know whether the view came from the kernel.
 */
#include "cli/cli.h"
#include "cli/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"

static const struct out_column columns[] = {
	{ "namespace", "NAMESPACE", false },
	{ NULL, "SERVICE", false },
	{ "name", NULL, false },
	{ "portName", NULL, false },
	{ "protocol", "PROTO", false },
	{ NULL, "ENDPOINT", false },
	{ "address", NULL, false },
	{ "port", NULL, true },
	{ NULL, "STATE", false },
	{ "inCluster", NULL, false },
	{ "inLocal", NULL, false },
	{ "serving", NULL, false },
	{ "onThisNode", NULL, false },
	{ "terminating", NULL, false },
	{ "flows", "FLOWS", true },
	{ "packetsTo", "TO", true },
	{ "packetsFrom", "FROM", true },
	{ "bytesTo", "BYTES-TO", true },
	{ "bytesFrom", "BYTES-FROM", true },
	{ "id", NULL, true },
	{ "generation", NULL, true },
	{ "service", NULL, true },
};

static struct sl_backend_stats stats_of(const struct rows_stats *stats,
					const struct view_endpoint *e)
{
	const struct sl_backend_stats *all = e->addr.family == 6 ? stats->v6 : stats->v4;
	size_t n = e->addr.family == 6 ? stats->n6 : stats->n4;

	return all && e->backend < n ? all[e->backend] : (struct sl_backend_stats){ 0 };
}

static void put_backend(struct out *out, const struct view_service *s,
			const struct view_endpoint *e, const struct rows_stats *stats)
{
	const struct sl_backend_stats st = stats_of(stats, e);
	char name[CLI_NAME_LEN], endpoint[FORMAT_ENDPOINT_LEN], addr[ADDRESS_TEXT_LEN],
		flags[FORMAT_FLAGS_LEN];
	char to[FORMAT_SHORT_LEN], from[FORMAT_SHORT_LEN];
	bool usable = e->flags & (SL_BACKEND_IN_CLUSTER | SL_BACKEND_IN_LOCAL);

	out_row(out);
	out_text(out, s->namespace);
	out_text(out, cli_service_text(s->name, s->port_name, s->port, name));
	out_text(out, s->name);
	out_text(out, s->port_name);
	out_text(out, view_proto_name(s->proto));
	out_text(out, format_endpoint(&e->addr, e->port, endpoint));
	out_text(out, address_format(&e->addr, addr));
	out_number(out, e->port, NULL);
	out_tone(out, format_backend_flags(e->flags, flags), usable ? OUT_PLAIN : OUT_WARN);
	out_truth(out, e->flags & SL_BACKEND_IN_CLUSTER, NULL);
	out_truth(out, e->flags & SL_BACKEND_IN_LOCAL, NULL);
	out_truth(out, e->flags & SL_BACKEND_SERVING, NULL);
	out_truth(out, e->flags & SL_BACKEND_LOCAL, NULL);
	out_truth(out, e->flags & SL_BACKEND_TERMINATING, NULL);
	out_number(out, st.new_flows, NULL);
	out_number(out, st.packets_to, NULL);
	out_number(out, st.packets_from, NULL);
	out_number(out, st.bytes_to, format_bytes(st.bytes_to, to));
	out_number(out, st.bytes_from, format_bytes(st.bytes_from, from));
	out_number(out, e->backend, NULL);
	out_number(out, e->gen, NULL);
	out_number(out, s->service, NULL);
}

/* A service port has one record for each of its addresses, and one set of backends: the first record shows it. */
static bool is_first_of_port(const struct view *view, size_t at)
{
	const struct view_service *s = &view->services[at];

	if (!s->service)
		return false;
	for (size_t i = at; i-- > 0;) {
		const struct view_service *before = &view->services[i];

		if (strcmp(before->namespace, s->namespace) != 0 ||
		    strcmp(before->name, s->name) != 0)
			return true;
		if (before->service == s->service && before->vip.family == s->vip.family)
			return false;
	}
	return true;
}

void rows_backends(struct out *out, const struct view *view, const struct rows_stats *stats,
		   const struct rows_filter *filter)
{
	out_begin(out, "BackendList");
	out_rows(out, "items", NULL, columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < view->n_services; i++) {
		const struct view_service *s = &view->services[i];

		if (!rows_wants_service(filter, s) || !is_first_of_port(view, i))
			continue;
		for (size_t k = 0; k < s->n_backends; k++)
			put_backend(out, s, &s->backends[k], stats);
	}
	out_rows_end(out);
	if (!out->n_rows)
		out_note(out, OUT_PLAIN, "no backends");
	out_end(out);
}

/* Statistics up to the highest id in use. */
static int read_stats(struct cli *cli, const struct view *view, int family,
		      struct sl_backend_stats **ret_stats, size_t *ret_n)
{
	struct sl_backend_stats *stats;
	uint32_t n = 0;
	int rc;

	for (size_t i = 0; i < view->n_services; i++)
		for (size_t k = 0; k < view->services[i].n_backends; k++) {
			const struct view_endpoint *e = &view->services[i].backends[k];

			if (e->addr.family == family && e->backend >= n)
				n = e->backend + 1;
		}
	stats = calloc(n ? n : 1, sizeof(*stats));
	if (!stats)
		return -ENOMEM;
	rc = n ? dp_stats_read(cli->dp, dp_map_of(family, DP_sl4_be_stats), 0, n, stats) : 0;
	if (rc < 0) {
		free(stats);
		return rc;
	}
	*ret_stats = stats;
	*ret_n = n;
	return 0;
}

int cli_backends(struct cli *cli)
{
	const struct rows_filter filter = rows_filter_of(cli);
	struct sl_backend_stats *v4 = NULL, *v6 = NULL;
	struct rows_stats stats = { 0 };
	struct view view;
	int code = cli_kernel_view(cli, &view);
	int rc;

	if (code)
		return code;
	rc = read_stats(cli, &view, 4, &v4, &stats.n4);
	if (!rc)
		rc = read_stats(cli, &view, 6, &v6, &stats.n6);
	stats.v4 = v4;
	stats.v6 = v6;
	if (rc < 0)
		cli_complain("the counters of backends could not be read: %s", strerror(-rc));
	else
		rows_backends(&cli->out, &view, &stats, &filter);
	free(v4);
	free(v6);
	view_done(&view);
	return rc < 0 ? CLI_PROBLEMS : CLI_OK;
}
