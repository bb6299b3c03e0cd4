// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluicectl services: every address and port that is translated, with its policy and endpoints.
 * Must not know whether the view came from the kernel.
 */
#include "cli/cli.h"
#include "cli/rows.h"

#include <stdlib.h>

#include "core/format.h"

static const struct out_column columns[] = {
	{ "namespace", "NAMESPACE", false },
	{ NULL, "SERVICE", false },
	{ "name", NULL, false },
	{ "portName", NULL, false },
	{ NULL, "ADDRESS", false },
	{ "address", NULL, false },
	{ "port", NULL, true },
	{ "protocol", "PROTO", false },
	{ "kind", "KIND", false },
	{ "policy", "POLICY", false },
	{ "algorithm", "ALGORITHM", false },
	{ "affinitySeconds", "AFFINITY", true },
	{ "endpointCount", "ENDPOINTS", true },
	{ "localCount", "LOCAL", true },
	{ "endpoints", NULL, false },
	{ "localEndpoints", NULL, false },
	{ "id", NULL, true },
	{ "slot", NULL, true },
	{ "generation", NULL, true },
	{ "damage", NULL, false },
};

/* The traffic policy that holds for traffic to this address. */
static bool is_local_policy(const struct view_service *s)
{
	uint16_t flag = s->kind == SL_KIND_CLUSTER_IP ? SL_SERVICE_INTERNAL_LOCAL
						      : SL_SERVICE_EXTERNAL_LOCAL;

	return s->flags & flag;
}

/* Endpoints in use that run on this node, whichever policy holds. */
static size_t count_here(const struct view_service *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_backends; i++)
		n += s->backends[i].flags & SL_BACKEND_LOCAL &&
		     s->backends[i].flags & (SL_BACKEND_IN_CLUSTER | SL_BACKEND_IN_LOCAL);
	return n;
}

static void put_endpoints(struct out *out, const struct view_endpoint *endpoints, size_t n)
{
	char(*texts)[FORMAT_ENDPOINT_LEN] = calloc(n ? n : 1, sizeof(*texts));
	const char **items = calloc(n ? n : 1, sizeof(*items));

	for (size_t i = 0; texts && items && i < n; i++)
		items[i] = format_endpoint(&endpoints[i].addr, endpoints[i].port, texts[i]);
	out_list(out, items, texts && items ? n : 0);
	free(items);
	free(texts);
}

static void put_service(struct out *out, const struct view_service *s)
{
	char name[CLI_NAME_LEN], endpoint[FORMAT_ENDPOINT_LEN], addr[ADDRESS_TEXT_LEN],
		age[FORMAT_SHORT_LEN];
	bool empty = s->kind != SL_KIND_ADDRESS &&
		     !(is_local_policy(s) ? s->n_local : s->n_cluster);
	char endpoints[24];

	out_row(out);
	out_text(out, s->namespace);
	out_tone(out, cli_service_text(s->name, s->port_name, s->port, name),
		 s->damage ? OUT_BAD : OUT_PLAIN);
	out_text(out, s->name);
	out_text(out, s->port_name);
	out_text(out, format_endpoint(&s->vip, s->port, endpoint));
	out_text(out, address_format(&s->vip, addr));
	out_number(out, s->port, NULL);
	out_text(out, view_proto_name(s->proto));
	out_text(out, view_kind_name(s->kind));
	out_text(out, is_local_policy(s) ? "Local" : "Cluster");
	out_text(out, view_algorithm_name(s->algorithm));
	out_number(out, s->affinity_s,
		   s->affinity_s ? format_age(s->affinity_s * UINT64_C(1000000000), age) : "-");
	snprintf(endpoints, sizeof(endpoints), "%zu%s", s->n_cluster,
		 empty ? " (none usable)" : "");
	out_number(out, s->n_cluster, endpoints);
	out_number(out, count_here(s), NULL);
	put_endpoints(out, s->cluster, s->n_cluster);
	put_endpoints(out, s->local, s->n_local);
	out_number(out, s->service, NULL);
	out_number(out, s->slot, NULL);
	out_number(out, s->gen, NULL);
	out_text(out, s->damage ? s->damage : "");
}

bool rows_wants_service(const struct rows_filter *filter, const struct view_service *s)
{
	if (filter->namespace && strcmp(filter->namespace, s->namespace) != 0)
		return false;
	return cli_service_matches(filter->service, s->namespace, s->name, s->port_name, s->port);
}

void rows_services(struct out *out, const struct view *view, const struct rows_filter *filter)
{
	out_begin(out, "ServiceList");
	out_rows(out, "items", NULL, columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < view->n_services; i++) {
		const struct view_service *s = &view->services[i];

		/* One for each cluster IP: how the data path knows that its other ports are nobody's. */
		if (s->kind == SL_KIND_ADDRESS && !filter->all)
			continue;
		if (rows_wants_service(filter, s))
			put_service(out, s);
	}
	out_rows_end(out);
	if (!out->n_rows)
		out_note(out, OUT_PLAIN, "no services");
	for (size_t i = 0; i < view->n_services; i++)
		if (view->services[i].damage && rows_wants_service(filter, &view->services[i]))
			out_note(out, OUT_BAD, "%s/%s: %s; see: sluicectl diff",
				 view->services[i].namespace, view->services[i].name,
				 view->services[i].damage);
	out_end(out);
}

struct rows_filter rows_filter_of(const struct cli *cli)
{
	return (struct rows_filter){
		.namespace = cli->values.namespace,
		.service = cli->values.service,
		.all = cli->values.all,
	};
}

int cli_services(struct cli *cli)
{
	const struct rows_filter filter = rows_filter_of(cli);
	struct view view;
	int code = cli_kernel_view(cli, &view);

	if (code)
		return code;
	rows_services(&cli->out, &view, &filter);
	view_done(&view);
	return CLI_OK;
}
