// SPDX-License-Identifier: GPL-2.0-only
/*
 * What kube-proxy does with given objects (tests/data/kube-proxy-flows.json), as packets: objects go through the API's decoder and
 * the agent's plan into real maps, and each flow's first packets through the programs. unit/test_conformance.c judges the same
 * flows by the plan alone.
 */
/* libs: cjson */
#include "core/address.h"
#include "core/diff.h"
#include "core/plan.h"
#include "core/problem.h"
#include "core/rows.h"
#include "core/store.h"
#include "source/decode.h"
#include "source/value_json.h"
#include "base/vec.h"
#include "prog/harness.h"
#include "unit/cases.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

/* ---- JSON -------------------------------------------------------------------------------------------- */

static struct address addr(const char *text)
{
	struct address a;

	assert_int_equal(address_parse(text, &a), 0);
	return a;
}

static bool lists(const cJSON *array, const struct address *a)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, array)
	{
		struct address other; /* "None" is none */

		if (address_parse(item->valuestring, &other) == 0 && address_cmp(&other, a) == 0)
			return true;
	}
	return false;
}

static bool is_inside(const char *cidr, const struct address *a)
{
	struct cidr c;

	return cidr && cidr_parse(cidr, &c) == 0 && cidr_contains(&c, a);
}

/* "10.0.0.1:80", "[fd00::1]:80" */
static void parse_place(const char *text, struct address *ret_addr, uint16_t *ret_port)
{
	const char *colon = strrchr(text, ':');
	char host[64];

	snprintf(host, sizeof(host), "%.*s", (int)(colon - text - 2 * (*text == '[')),
		 text + (*text == '['));
	*ret_addr = addr(host);
	*ret_port = (uint16_t)atoi(colon + 1);
}

/* ---- from objects to maps ---------------------------------------------------------------------------- */

struct written {
	enum row_table table;
	unsigned char key[ROW_KEY_MAX];
};

struct control {
	struct problems *problems;
	struct store *store;
	struct diff *diff;
	struct plan *plan;
	struct VEC_OF(struct written) written;
};

static void write_row(struct control *c, const struct diff_op *op)
{
	static const unsigned char zeros[ROW_VALUE_MAX];
	const struct row_table_info *info = &row_tables[op->table];
	int fd = harness_map(info->map);
	struct written w = { .table = op->table };

	memcpy(w.key, op->key, info->key_len);
	if (op->action == DIFF_PUT) {
		assert_int_equal(vec_push(&c->written, w), 0);
		assert_int_equal(bpf_map_update_elem(fd, op->key, op->value, BPF_ANY), 0);
	} else if (info->array) {
		assert_int_equal(bpf_map_update_elem(fd, op->key, zeros, BPF_ANY), 0);
	} else {
		assert_int_equal(bpf_map_delete_elem(fd, op->key), 0);
	}
	diff_done(c->diff, op);
}

static void put_object(struct control *c, const cJSON *json)
{
	const struct decode_input input = { .from_api = true };
	const struct source_sink sink = store_sink(c->store);
	struct decode_report report = { 0 };
	struct object object;

	assert_int_equal(decode_object(value_of_json(json), &input, &report, &object),
			 DECODE_OBJECT);
	object_put(&object, &sink);
	object_done(&object);
	decode_report_done(&report);
}

static void settle(struct control *c)
{
	struct diff_op op;

	do {
		assert_int_equal(plan_run(c->plan), 0);
		diff_begin(c->diff);
		while (diff_next(c->diff, &op))
			write_row(c, &op);
		if (plan_rest_begin(c->plan))
			plan_rest_end(c->plan);
	} while (plan_wants_run(c->plan));
	assert_int_equal(diff_n_pending(c->diff, true), 0);
}

static void control_init(struct control *c, const cJSON *scenario)
{
	const cJSON *config = cases_get(scenario, "config"), *item;
	struct cidr cidrs[SL_CIDRS];
	struct plan_config p = { .node_name = cases_text(cases_get(scenario, "node"), "name"),
				 .service_cidrs = cidrs,
				 .snat_low = 61000,
				 .snat_high = 65535,
				 .limits = plan_limits_of(100, 500) };
	const char *zone = cases_text(cases_get(scenario, "node"), "zone");
	struct address own[8];
	struct node node = { .meta = { .namespace = (char *)"",
				       .name = (char *)(uintptr_t)p.node_name },
			     .internal_ips = own,
			     .zone = (char *)(uintptr_t)zone };
	struct source_sink sink;

	memset(c, 0, sizeof(*c));
	p.limits.lines = HARNESS_LINES;
	assert_true(p.limits.slots <= HARNESS_RECORDS && p.limits.backend_ids <= HARNESS_BACKENDS);
	cJSON_ArrayForEach(item, cases_get(config, "serviceCIDRs"))
		assert_int_equal(cidr_parse(item->valuestring, &cidrs[p.n_service_cidrs++]), 0);
	c->problems = problems_new(NULL, NULL);
	c->store = store_new(c->problems);
	c->diff = diff_new();
	assert_int_equal(plan_new(&p, c->store, c->diff, c->problems, &c->plan), 0);
	sink = store_sink(c->store);
	cJSON_ArrayForEach(item, cases_get(cases_get(scenario, "node"), "ips"))
		own[node.n_internal_ips++] = addr(item->valuestring);
	sink.put_node(sink.ctx, &node);
	cJSON_ArrayForEach(item, cases_get(scenario, "objects")) put_object(c, item);
	for (int kind = 0; kind < OBJECT_KINDS; kind++)
		sink.listed(sink.ctx, (enum object_kind)kind);
	diff_allow_removals(c->diff);
	settle(c);
}

static void control_done(struct control *c)
{
	static const unsigned char zeros[ROW_VALUE_MAX];
	const struct written *w;

	vec_for_each(w, &c->written) {
		int fd = harness_map(row_tables[w->table].map);

		if (row_tables[w->table].array)
			bpf_map_update_elem(fd, w->key, zeros, BPF_ANY);
		else
			bpf_map_delete_elem(fd, w->key);
	}
	vec_done(&c->written);
	plan_free(c->plan);
	diff_free(c->diff);
	store_free(c->store);
	problems_free(c->problems);
}

/* ---- packets ----------------------------------------------------------------------------------------- */

static uint8_t proto_of(const char *text)
{
	return strcmp(text, "TCP") == 0   ? IPPROTO_TCP
	       : strcmp(text, "UDP") == 0 ? IPPROTO_UDP
					  : IPPROTO_SCTP;
}

/* A first packet of any addresses: one of the usual hosts, written over. */
static void build(struct frame *f, const struct address *src, const struct address *dst,
		  uint8_t proto, uint16_t sport, uint16_t dport)
{
	struct packet p = { .family = family,
			    .proto = proto,
			    .from = AT(CLIENT, sport),
			    .to = AT(VIP, dport),
			    .flags = proto == IPPROTO_TCP ? SYN : 0,
			    .payload = 32 };
	size_t len = address_len(family), at;
	uint16_t sum;

	packet_build(&p, f);
	at = f->l3 + (family == 4 ? 12 : 8);
	memcpy(f->bytes + at, src->b, len);
	memcpy(f->bytes + at + len, dst->b, len);
	if (family == 4) {
		memset(f->bytes + f->l3 + 10, 0, 2);
		sum = htons(sum_end(sum_add(0, f->bytes + f->l3, 20)));
		memcpy(f->bytes + f->l3 + 10, &sum, 2);
	}
	at = f->l3 + (family == 4 ? 20 : 40);
	if (proto == IPPROTO_SCTP)
		return; /* its sum covers no addresses */
	memset(f->bytes + at + (proto == IPPROTO_TCP ? 16 : 6), 0, 2);
	packet_sum(f);
}

struct flow {
	const char *what;
	enum program program;
	struct address src, dst;
	uint8_t proto;
	uint16_t dport;
};

static struct outcome run_first(const struct flow *flow, unsigned int i, struct parsed *ret_out)
{
	struct outcome o;
	struct frame f;

	build(&f, &flow->src, &flow->dst, flow->proto, (uint16_t)(20000 + i), flow->dport);
	o = harness_run_frame(flow->program, &f, flow->what, (int)i);
	packet_parse(o.out.bytes, o.out.len, f.l3, true, ret_out);
	if (o.reason == SL_REASON_NOT_SERVICE &&
	    (o.out.len != f.len || memcmp(o.out.bytes, f.bytes, f.len) != 0))
		fail_msg("%s: left alone, and changed", flow->what);
	return o;
}

/* Each draw goes to one that is allowed, with the client as source and right sums; each that is allowed is drawn. */
static void expect_backends(const struct flow *flow, const cJSON *allowed, bool sticky)
{
	int n = cJSON_GetArraySize(allowed), n_seen = 0;
	unsigned int draws = (unsigned int)n * 20;
	bool *seen = calloc((size_t)n, sizeof(*seen));

	for (unsigned int i = 0; i < draws; i++) {
		const cJSON *item;
		struct parsed out;
		struct outcome o = run_first(flow, i, &out);
		int k = 0, found = -1;

		if (o.reason != SL_REASON_NEW_FLOW && o.reason != SL_REASON_HAIRPIN)
			fail_msg("%s: reason %d, and should be forwarded", flow->what, o.reason);
		if (*out.wrong)
			fail_msg("%s: %s", flow->what, out.wrong);
		cJSON_ArrayForEach(item, allowed)
		{
			struct address a;
			uint16_t port;

			parse_place(item->valuestring, &a, &port);
			if (memcmp(a.b, out.daddr, address_len(family)) == 0 && port == out.dport)
				found = k;
			k++;
		}
		if (found < 0)
			fail_msg("%s: goes to %s port %u, which is none of those allowed",
				 flow->what, address_text(family, out.daddr), out.dport);
		if (memcmp(out.saddr, flow->src.b, address_len(family)) != 0)
			fail_msg("%s: the ingress changed its source", flow->what);
		n_seen += !seen[found];
		seen[found] = true;
	}
	if (n_seen != (sticky ? 1 : n))
		fail_msg("%s: %d of %d endpoints were drawn", flow->what, n_seen, n);
	free(seen);
}

static void expect_reason(const struct flow *flow, enum sl_reason a, enum sl_reason b)
{
	struct parsed out;
	struct outcome o = run_first(flow, 0, &out);

	if (o.reason != a && o.reason != b)
		fail_msg("%s: reason %d, and should be %d or %d", flow->what, o.reason, a, b);
}

/* ---- what is asked of whom --------------------------------------------------------------------------- */

struct counts {
	unsigned int judged, gated, calls, sctp, loopback;
};

static bool is_cluster_ip(const cJSON *scenario, const struct address *a, bool *ret_sticky)
{
	const cJSON *object;

	*ret_sticky = false;
	cJSON_ArrayForEach(object, cases_get(scenario, "objects"))
	{
		const cJSON *spec = cases_get(object, "spec");
		const char *affinity = cases_text(spec, "sessionAffinity");

		if (strcmp(cases_text(object, "kind"), "Service") != 0 ||
		    !lists(cases_get(spec, "clusterIPs"), a))
			continue;
		*ret_sticky = affinity && strcmp(affinity, "ClientIP") == 0;
		return true;
	}
	return false;
}

static void run_flow(const cJSON *scenario, const cJSON *json, struct counts *n)
{
	const cJSON *config = cases_get(scenario, "config"), *cidr;
	const cJSON *expected = cases_get(cases_get(json, "expect"), "backends");
	const char *outcome = cJSON_GetStringValue(expected);
	struct flow flow = { .src = addr(cases_text(json, "src")),
			     .dst = addr(cases_text(json, "dst")),
			     .proto = proto_of(cases_text(json, "proto")),
			     .dport = (uint16_t)cases_get(json, "dport")->valueint };
	bool sticky, ours = is_cluster_ip(scenario, &flow.dst, &sticky);
	struct parsed out;
	char what[400];

	snprintf(what, sizeof(what), "%s / %s", cases_text(scenario, "name"),
		 cases_text(json, "name"));
	flow.what = what;
	cJSON_ArrayForEach(cidr, cases_get(config, "serviceCIDRs"))
		ours |= is_inside(cidr->valuestring, &flow.dst);
	if (is_inside("127.0.0.0/8", &flow.src) || is_inside("::1/128", &flow.src)) {
		n->loopback++; /* meets no hook of ours, and is no service address */
		return;
	}
	if (lists(cases_get(cases_get(scenario, "node"), "ips"), &flow.src) && ours) {
		n->calls++;
		return;
	}
	flow.program = is_inside(cases_text(config, "detectLocalCIDR"), &flow.src) ? POD_IN : UP_IN;
	if (!ours) { /* node ports, addresses from outside: the gate keeps them out, so they are left alone */
		expect_reason(&flow, SL_REASON_NOT_SERVICE, SL_REASON_NOT_SERVICE);
		n->gated++;
		return;
	}
	if (flow.proto == IPPROTO_SCTP &&
	    run_first(&flow, 30000, &out).reason == SL_REASON_SCTP_PORT) {
		n->sctp++;
		return;
	}
	n->judged++;
	if (!outcome)
		expect_backends(&flow, expected, sticky);
	else if (strcmp(outcome, "reject") == 0)
		expect_reason(&flow, SL_REASON_NO_ENDPOINT, SL_REASON_UNKNOWN_PORT);
	else if (strcmp(outcome, "drop") == 0)
		expect_reason(&flow, SL_REASON_NO_LOCAL_ENDPOINT, SL_REASON_UNALLOCATED);
	else
		expect_reason(&flow, SL_REASON_NOT_SERVICE, SL_REASON_NOT_SERVICE);
}

static void reference_flows(void **state)
{
	cJSON *scenarios = cases_load("kube-proxy-flows.json");
	struct counts n = { 0 };
	const cJSON *json, *flow;

	cJSON_ArrayForEach(json, scenarios)
	{
		bool v6 = strcmp(cases_text(cases_get(json, "config"), "ipFamily"), "IPv6") == 0;
		struct control c;

		start(state);
		if (v6 != (family == 6))
			continue;
		control_init(&c, json);
		cJSON_ArrayForEach(flow, cases_get(json, "flows")) run_flow(json, flow, &n);
		control_done(&c);
	}
	print_message(
		"# IPv%d: %u flows judged as packets, %u to what the gate keeps out left alone; not packets: %u socket calls of "
		"the node, %u on loopback; %u SCTP with another port\n",
		family, n.judged, n.gated, n.calls, n.loopback, n.sctp);
	/* tests/data/README.md says the same numbers */
	assert_int_equal(n.judged, family == 4 ? 53 : 5);
	assert_int_equal(n.gated, family == 4 ? 80 : 16);
	cJSON_Delete(scenarios);
}

int main(void)
{
	const struct CMUnitTest tests[] = { FOR_ALL(reference_flows) };

	return run_group("reference", tests);
}
