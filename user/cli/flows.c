// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluicectl flows: who talks to which service, by which endpoint, in what state.
 * Must not know how tables are walked.
 */
#include "cli/cli.h"
#include "cli/rows.h"

#include <string.h>

#include "base/clock.h"
#include "core/format.h"
#include "dp/flows.h"

static const struct out_column columns[] = {
	{ "protocol", "PROTO", false },
	{ NULL, "CLIENT", false },
	{ "clientAddress", NULL, false },
	{ "clientPort", NULL, true },
	{ NULL, "ADDRESS", false },
	{ "address", NULL, false },
	{ "port", NULL, true },
	{ NULL, "ENDPOINT", false },
	{ "endpointAddress", NULL, false },
	{ "endpointPort", NULL, true },
	{ "namespace", NULL, false },
	{ "name", NULL, false },
	{ "portName", NULL, false },
	{ NULL, "SERVICE", false },
	{ "kind", NULL, false },
	{ "state", "STATE", false },
	{ "flags", "FLAGS", false },
	{ "idleSeconds", "IDLE", true },
	{ "packets", "PACKETS", true },
	{ "bytes", "BYTES", true },
	{ "expired", NULL, false },
	{ "backend", NULL, true },
	{ "service", NULL, true },
};

/* An entry in words that both families share. */
struct flow_row {
	struct address saddr, daddr, to_saddr, to_daddr;
	uint16_t sport, dport, to_sport, to_dport, flags;
	uint8_t proto;
	enum sl_flow_kind kind;
	enum sl_flow_state state;
	uint32_t backend, service;
	uint32_t seen;
	uint64_t packets, bytes;
};

static struct address address_of(int family, const void *bytes)
{
	struct address addr = { .family = (uint8_t)family };

	memcpy(addr.b, bytes, family == 4 ? 4 : 16);
	return addr;
}

#define FLOW_ROW(fam, k, v)                                                                       \
	(struct flow_row)                                                                         \
	{                                                                                         \
		.saddr = address_of((fam), (k)->saddr), .daddr = address_of((fam), (k)->daddr),   \
		.to_saddr = address_of((fam), (v)->saddr),                                        \
		.to_daddr = address_of((fam), (v)->daddr), .sport = (k)->sport,                   \
		.dport = (k)->dport, .to_sport = (v)->sport, .to_dport = (v)->dport,              \
		.flags = (v)->flags, .proto = (k)->proto, .kind = (k)->kind, .state = (v)->state, \
		.backend = (v)->backend, .service = (v)->service, .seen = (v)->seen,              \
		.packets = (v)->packets, .bytes = (v)->bytes,                                     \
	}

static struct flow_row flow_row(int family, const void *key, const void *value)
{
	const struct sl4_flow_key *k4 = key;
	const struct sl6_flow_key *k6 = key;
	const struct sl4_flow *v4 = value;
	const struct sl6_flow *v6 = value;

	return family == 4 ? FLOW_ROW(4, k4, v4) : FLOW_ROW(6, k6, v6);
}

void rows_flows_begin(struct out *out)
{
	out_begin(out, "FlowList");
	out_rows(out, "items", NULL, columns, sizeof(columns) / sizeof(columns[0]));
}

static void put_end(struct out *out, const struct address *addr, uint16_t port)
{
	char endpoint[FORMAT_ENDPOINT_LEN], text[ADDRESS_TEXT_LEN];

	out_text(out, format_endpoint(addr, port, endpoint));
	out_text(out, address_format(addr, text));
	out_number(out, port, NULL);
}

/* Entries of other kinds show the same three columns as they see them: from, to, and what to becomes. */
void rows_flow(struct out *out, int family, const void *key, const void *value,
	       const struct sl_name *name, uint64_t now_ns, bool expired)
{
	const struct flow_row f = flow_row(family, key, value);
	const bool egress = f.kind == SL_FLOW_REPLY || f.kind == SL_FLOW_SNAT;
	char proto[FORMAT_SHORT_LEN], flags[FORMAT_FLAGS_LEN], age[FORMAT_SHORT_LEN],
		bytes[FORMAT_SHORT_LEN];
	char service[CLI_NAME_LEN + SL_NAMESPACE_LEN], port[CLI_NAME_LEN], state[48];
	uint64_t idle_ns = dp_flow_quiet_ns(f.seen, now_ns);

	out_row(out);
	out_text(out, format_proto(f.proto, proto));
	put_end(out, &f.saddr, f.sport);
	put_end(out, &f.daddr, f.dport);
	put_end(out, egress ? &f.to_saddr : &f.to_daddr, egress ? f.to_sport : f.to_dport);
	out_text(out, name ? name->namespace : "");
	out_text(out, name ? name->name : "");
	out_text(out, name ? name->port_name : "");
	if (name)
		snprintf(service, sizeof(service), "%s/%s", name->namespace,
			 cli_service_text(name->name, name->port_name, name->port, port));
	else
		snprintf(service, sizeof(service), "id %u", f.service);
	out_text(out, service);
	out_text(out, format_flow_kind(f.kind));
	snprintf(state, sizeof(state), "%s%s%s%s",
		 f.kind == SL_FLOW_REQUEST ? "" : format_flow_kind(f.kind),
		 f.kind == SL_FLOW_REQUEST ? "" : " ", format_flow_state(f.state),
		 expired ? " (expired)" : "");
	if (out->ops == &out_json_ops)
		out_text(out, format_flow_state(f.state));
	else
		out_tone(out, state,
			 f.state >= SL_STATE_HALF_CLOSED || expired ? OUT_WARN : OUT_PLAIN);
	out_text(out, format_flow_flags(f.flags, flags));
	out_number(out, idle_ns / CLOCK_NS_PER_S, format_age(idle_ns, age));
	out_number(out, f.packets, NULL);
	out_number(out, f.bytes, format_bytes(f.bytes, bytes));
	out_truth(out, expired, NULL);
	out_number(out, f.backend, NULL);
	out_number(out, f.service, NULL);
}

void rows_flows_end(struct out *out)
{
	out_rows_end(out);
	if (!out->n_rows)
		out_note(out, OUT_PLAIN, "no flows");
	out_end(out);
}

/* ---- the command ---------------------------------------------------------------------------------------------------- */

struct listing {
	struct cli *cli;
	struct cli_names names;
	struct address client;
	uint16_t client_port;
	uint64_t now_ns;
	int family;
	uint64_t left_out;
};

static bool wanted(struct listing *l, const struct flow_row *f, const struct sl_name *name)
{
	const struct cli_values *v = &l->cli->values;

	if (f->kind != SL_FLOW_REQUEST && !v->all)
		return false;
	if (l->client.family &&
	    (address_cmp(&l->client, &f->saddr) || (l->client_port && l->client_port != f->sport)))
		return false;
	if (v->namespace && (!name || strcmp(name->namespace, v->namespace) != 0))
		return false;
	if (v->service && (!name || !cli_service_matches(v->service, name->namespace, name->name,
							 name->port_name, name->port)))
		return false;
	return true;
}

static int list_flow(void *ctx, const void *key, const void *value)
{
	struct listing *l = ctx;
	const struct flow_row f = flow_row(l->family, key, value);
	const struct sl_name *name = cli_names_find(&l->names, f.service);
	bool expired = dp_flow_quiet_ns(f.seen, l->now_ns) >= dp_flow_idle_ns(f.proto, f.state);

	if (!wanted(l, &f, name))
		return 0;
	if (expired && !l->cli->values.all) {
		l->left_out++;
		return 0;
	}
	rows_flow(&l->cli->out, l->family, key, value, name, l->now_ns, expired);
	return 0;
}

static int list_family(struct listing *l, int family)
{
	int code = cli_names_read(l->cli, family, &l->names);
	int rc = 0;

	if (code)
		return code;
	l->family = family;
	for (int table = 0; table < DP_FLOW_TABLES && !rc; table++)
		rc = dp_flows_each(l->cli->dp, family, (enum dp_flow_table)table, list_flow, l);
	cli_names_done(&l->names);
	if (rc < 0)
		cli_complain("the IPv%d flow tables could not be read: %s", family, strerror(-rc));
	return rc < 0 ? CLI_PROBLEMS : CLI_OK;
}

int cli_flows(struct cli *cli)
{
	struct listing l = { .cli = cli, .now_ns = clock_now_ns() };
	int code;

	if (cli->values.client &&
	    format_parse_endpoint(cli->values.client, &l.client, &l.client_port) < 0) {
		cli_complain("--client '%s' is no address; use ADDR, ADDR:PORT or [ADDR]:PORT",
			     cli->values.client);
		return CLI_USAGE;
	}
	code = cli_open_maps(cli);
	if (code)
		return code;
	rows_flows_begin(&cli->out);
	code = list_family(&l, 4);
	if (!code)
		code = list_family(&l, 6);
	if (l.left_out)
		out_note(&cli->out, OUT_PLAIN,
			 "(%llu entries whose time is over are left out; --all shows them)",
			 (unsigned long long)l.left_out);
	rows_flows_end(&cli->out);
	return code;
}
