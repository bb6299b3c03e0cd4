// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluicectl explain: one packet or call through the model of the data path (core/explain.h), over the maps as they are.
 * Must not know the walks; it finds out which packet is meant, runs it, and prints the answer.
 */
#include "cli/cli.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "core/explain.h"
#include "core/format.h"
#include "dp/flows.h"

/* ---- maps ---------------------------------------------------------------------------------------------------------- */

static const enum dp_map maps4[EXPLAIN_MAPS] = {
	[EXPLAIN_SERVICES] = DP_sl4_services,   [EXPLAIN_RECORDS] = DP_sl4_records,
	[EXPLAIN_RINGS] = DP_sl4_rings,         [EXPLAIN_BACKENDS] = DP_sl4_backends,
	[EXPLAIN_FILTER] = DP_sl4_filter,       [EXPLAIN_NAMES] = DP_sl4_names,
	[EXPLAIN_FLOWS_TCP] = DP_sl4_flows_tcp, [EXPLAIN_FLOWS_UDP] = DP_sl4_flows_udp,
	[EXPLAIN_AFFINITY] = DP_sl4_affinity,   [EXPLAIN_FRAGS] = DP_sl4_frags,
};

struct source {
	struct dp *dp;
	uint32_t seed;
};

static int get(void *ctx, int family, enum explain_map map, const void *key, void *ret_value)
{
	const struct source *s = ctx;
	enum dp_map at = dp_map_of(family, maps4[map]);

	if (!dp_map_is_flows(at))
		return dp_lookup(s->dp, at, key, ret_value);
	return dp_flow_lookup(s->dp, at,
			      family == 4 ? sl4_flow_mix(key, s->seed) : sl6_flow_mix(key, s->seed),
			      key, ret_value);
}

static int open_maps(struct cli *cli, struct source *source, struct explain_maps *ret_maps)
{
	struct explain_maps maps = { .ctx = source, .get = get };
	struct sl_meta meta;
	struct err err;
	int code = cli_open_maps(cli);
	int rc;

	if (code)
		return code;
	rc = dp_config_read(cli->dp, &maps.config);
	if (!rc)
		rc = dp_meta_read(cli->dp, &meta);
	if (rc < 0) {
		err_set(&err, rc, "sl_config and sl_meta could not be read: %s", strerror(-rc));
		return cli_fail(&err);
	}
	*source = (struct source){ cli->dp, meta.seed };
	*ret_maps = maps;
	return CLI_OK;
}

/* ---- which packet ----------------------------------------------------------------------------------------------------- */

static bool is_meant(const struct view_service *s, const char *text, const struct explain_tuple *t,
		     bool any_proto)
{
	return s->kind != SL_KIND_ADDRESS && s->kind != SL_KIND_NODE_PORT &&
	       s->vip.family == t->saddr.family && (any_proto || s->proto == t->proto) &&
	       cli_service_matches(text, s->namespace, s->name, s->port_name, s->port);
}

/* "namespace/service" with ":port" or ":port-name": its first address of the source's family; TCP where nothing else was said. */
static int find_service(struct cli *cli, const char *text, struct explain_tuple *t,
			bool proto_given)
{
	const struct view_service *found = NULL;
	struct view view;
	int code = cli_kernel_view(cli, &view);

	if (code)
		return code;
	for (int any_proto = 0; any_proto <= !proto_given && !found; any_proto++)
		for (size_t i = 0; i < view.n_services && !found; i++)
			if (is_meant(&view.services[i], text, t, any_proto))
				found = &view.services[i];
	if (found) {
		t->daddr = found->vip;
		t->dport = found->port;
		t->proto = found->proto;
	}
	view_done(&view);
	if (t->daddr.family)
		return CLI_OK;
	cli_complain("no IPv%d service '%s' is here; see: sluicectl services", t->saddr.family,
		     text);
	return CLI_PROBLEMS;
}

static int parse_tuple(struct cli *cli, struct explain_tuple *ret_tuple)
{
	struct explain_tuple t = { .proto = IPPROTO_TCP };

	if (cli->n_words > 2 && format_parse_proto(cli->words[2], &t.proto) < 0) {
		cli_complain("'%s' is no protocol; use tcp, udp or sctp", cli->words[2]);
		return CLI_USAGE;
	}
	if (format_parse_endpoint(cli->words[0], &t.saddr, &t.sport) < 0) {
		cli_complain("SRC '%s' is no address; use ADDR, ADDR:PORT or [ADDR]:PORT",
			     cli->words[0]);
		return CLI_USAGE;
	}
	if (strchr(cli->words[1], '/')) {
		int code = find_service(cli, cli->words[1], &t, cli->n_words > 2);

		if (code)
			return code;
	} else if (format_parse_endpoint(cli->words[1], &t.daddr, &t.dport) < 0) {
		cli_complain(
			"DST '%s' is no address and port; use ADDR:PORT, [ADDR]:PORT or NAMESPACE/SERVICE:PORT",
			cli->words[1]);
		return CLI_USAGE;
	}
	if (t.saddr.family != t.daddr.family) {
		cli_complain("SRC is IPv%d and DST is IPv%d; they must be of one family",
			     t.saddr.family, t.daddr.family);
		return CLI_USAGE;
	}
	if (!t.dport &&
	    (t.proto == IPPROTO_TCP || t.proto == IPPROTO_UDP || t.proto == IPPROTO_SCTP)) {
		cli_complain("DST '%s' has no port; add ':PORT'", cli->words[1]);
		return CLI_USAGE;
	}
	*ret_tuple = t;
	return CLI_OK;
}

static bool is_node(const struct sl_config *c, const struct address *addr)
{
	return addr->family == 4 ? !memcmp(c->node4, addr->b, 4) : !memcmp(c->node6, addr->b, 16);
}

static enum cli_from where_from(const struct cli *cli, const struct explain_maps *maps,
				const struct address *addr)
{
	if (cli->values.from != CLI_FROM_AUTO)
		return (enum cli_from)cli->values.from;
	return is_node(&maps->config, addr) ? CLI_FROM_NODE : CLI_FROM_POD;
}

/*
 * A process's connection meets the socket call first, and the device only if the call left it alone. An established
 * connection, or a packet with a source port, is past its call.
 */
static int run(const struct cli *cli, const struct explain_maps *maps, struct explain_packet *p,
	       struct explain_answer *ret_answer)
{
	static const enum explain_hook device[] = {
		[CLI_FROM_POD] = EXPLAIN_POD_IN,
		[CLI_FROM_NODE] = EXPLAIN_UPLINK_OUT,
		[CLI_FROM_OUTSIDE] = EXPLAIN_UPLINK_IN,
	};
	enum cli_from from = where_from(cli, maps, &p->tuple.saddr);
	bool call = from != CLI_FROM_OUTSIDE && !p->tuple.sport && !cli->values.established;
	int rc;

	p->tcp_flags = p->tuple.proto != IPPROTO_TCP ? 0
		       : cli->values.established     ? EXPLAIN_ACK
						     : EXPLAIN_SYN;
	if (call) {
		p->hook = from == CLI_FROM_NODE ? EXPLAIN_NODE_CALL : EXPLAIN_POD_CALL;
		rc = explain(maps, p, ret_answer);
		if (rc < 0 || ret_answer->reason != SL_REASON_NOT_SERVICE)
			return rc;
		explain_answer_done(ret_answer);
	}
	p->hook = device[from];
	return explain(maps, p, ret_answer);
}

/* ---- the answer --------------------------------------------------------------------------------------------------------- */

static const char *hook_text(enum explain_hook hook)
{
	static const char *const texts[] = {
		[EXPLAIN_POD_IN] = "ingress of the pod's device",
		[EXPLAIN_POD_OUT] = "egress of the pod's device",
		[EXPLAIN_UPLINK_IN] = "ingress of the uplink",
		[EXPLAIN_UPLINK_OUT] = "egress of the uplink",
		[EXPLAIN_NODE_CALL] = "socket call of the node",
		[EXPLAIN_POD_CALL] = "connect() in the pod",
	};

	return texts[hook];
}

static void tuple_text(const struct explain_tuple *t, bool any_backend, bool any_port, char *text,
		       size_t size)
{
	char src[FORMAT_ENDPOINT_LEN], dst[FORMAT_ENDPOINT_LEN];

	snprintf(text, size, "%s%s → %s", format_endpoint(&t->saddr, any_port ? 0 : t->sport, src),
		 any_port ? ":(random)" : "",
		 any_backend ? "one of the endpoints" : format_endpoint(&t->daddr, t->dport, dst));
}

static void put_backends(struct out *out, const struct explain_answer *a)
{
	static const struct out_column columns[] = {
		{ NULL, "POSSIBLE ENDPOINT", false },
		{ "address", NULL, false },
		{ "port", NULL, true },
		{ "flags", "STATE", false },
		{ "id", "ID", true },
	};
	char endpoint[FORMAT_ENDPOINT_LEN], text[ADDRESS_TEXT_LEN], flags[FORMAT_FLAGS_LEN];

	out_rows(out, "endpoints", NULL, columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < a->n_backends; i++) {
		const struct explain_backend *b = &a->backends[i];

		out_row(out);
		out_text(out, format_endpoint(&b->row.addr, b->row.port, endpoint));
		out_text(out, address_format(&b->row.addr, text));
		out_number(out, b->row.port, NULL);
		out_text(out, format_backend_flags(b->row.flags, flags));
		out_number(out, b->id, NULL);
	}
	out_rows_end(out);
}

static void put_answer(struct out *out, const struct explain_packet *p,
		       const struct explain_answer *a)
{
	const char **steps = calloc(a->n_steps ? a->n_steps : 1, sizeof(*steps));
	enum out_tone tone = a->verdict >= SL_VERDICT_REJECT ? OUT_BAD : OUT_GOOD;
	char text[2 * FORMAT_ENDPOINT_LEN + 32], proto[FORMAT_SHORT_LEN];

	out_begin(out, "Explanation");
	tuple_text(&p->tuple, false, false, text, sizeof(text));
	out_field_text(out, "packet", "packet", text);
	out_field_text(out, "protocol", "protocol", format_proto(p->tuple.proto, proto));
	out_field_text(out, "hook", "at", hook_text(p->hook));
	out_field_tone(out, "verdict", "verdict", format_verdict(a->verdict), tone);
	out_field_text(out, "reason", "reason", format_reason_name(a->reason));
	out_field_text(out, "text", "", a->text);
	if (a->advice[0])
		out_field_text(out, "advice", "advice", a->advice);
	if (a->rewritten) {
		tuple_text(&a->after, a->after_any_backend, a->after_any_port, text, sizeof(text));
		out_field_text(out, "becomes", "becomes", text);
	}
	for (size_t i = 0; i < a->n_steps; i++) {
		if (steps)
			steps[i] = a->steps[i];
		out_field_text(out, NULL, i ? "" : "because", a->steps[i]);
	}
	out_field_list(out, "steps", NULL, steps, steps ? a->n_steps : 0);
	put_backends(out, a);
	out_end(out);
	free(steps);
}

int cli_explain(struct cli *cli)
{
	struct explain_packet p = { .now_ns = clock_now_ns() };
	struct explain_maps maps;
	struct explain_answer a;
	struct source source;
	int code = open_maps(cli, &source, &maps);
	int rc;

	if (!code)
		code = parse_tuple(cli, &p.tuple);
	if (code)
		return code;
	rc = run(cli, &maps, &p, &a);
	if (rc < 0) {
		struct err err;

		err_set(&err, rc, "the maps could not be read: %s", strerror(-rc));
		return cli_fail(&err);
	}
	put_answer(&cli->out, &p, &a);
	explain_answer_done(&a);
	return CLI_OK; /* the question was answered; what becomes of the packet is data */
}
