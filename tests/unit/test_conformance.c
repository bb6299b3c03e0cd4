// SPDX-License-Identifier: GPL-2.0-only
// What kube-proxy does with given objects (tests/data): topology cases through policy; flows through decoder, plan, view and
// the order of decision, with every kind of frontend let through the gate.
/* link: user/core/plan.c user/core/plan_config.c user/core/plan_service.c user/core/plan_filter.c user/core/plan_claim.c user/core/plan_port.c user/core/plan_row.c user/core/plan_list.c user/core/plan_commit.c user/core/plan_rest.c */
/* link: user/core/plan_restore.c user/core/store.c user/core/policy.c user/core/ids.c */
/* link: user/core/ring.c user/core/rows.c user/core/diff.c user/core/diff_row.c user/core/diff_audit.c user/core/diff_look.c user/core/view.c user/core/decide.c user/core/model.c */
/* link: user/core/address.c user/core/problem.c user/base/table.c user/base/arena.c */
/* link: user/base/buf.c */
/* link: user/core/model_ingress.c user/source/decode.c user/source/decode_read.c user/source/decode_service.c */
/* link: user/source/decode_slice.c user/source/decode_node.c user/source/decode_ingress.c */
/* link: user/source/decode_secret.c user/source/field.c user/source/object.c user/source/value.c */
/* link: user/source/value_json.c user/base/options_value.c */
/* libs: cjson */
#include "unit/test.h"

#include <limits.h>

#include "core/decide.h"
#include "core/policy.h"
#include "source/decode.h"
#include "source/value_json.h"
#include "unit/cases.h"
#include "unit/world.h"

/* ---- JSON ------------------------------------------------------------------------------------ */

static bool is_true(const cJSON *j, const char *name)
{
	return cJSON_IsTrue(cases_get(j, name));
}

static int number_of(const cJSON *j, const char *name)
{
	const cJSON *item = cases_get(j, name);

	return cJSON_IsNumber(item) ? item->valueint : 0;
}

static uint8_t proto_of(const char *text)
{
	return !text || strcmp(text, "TCP") == 0 ? IPPROTO_TCP
	       : strcmp(text, "UDP") == 0        ? IPPROTO_UDP
						 : IPPROTO_SCTP;
}

/* "10.0.0.1:80", "[fd00::1]:80" */
static void parse_place(const char *text, struct address *ret_addr, uint16_t *ret_port)
{
	const char *colon = strrchr(text, ':');
	char host[64];

	assert_non_null(colon);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text - 2 * (*text == '[')),
		 text + (*text == '['));
	*ret_addr = addr(host);
	*ret_port = (uint16_t)atoi(colon + 1);
}

/* ---- topology cases -------------------------------------------------------------------------- */

enum { MAX = 32 };

static size_t fill_texts(const cJSON *array, char **ret_texts)
{
	const cJSON *item;
	size_t n = 0;

	cJSON_ArrayForEach(item, array)
	{
		assert_true(n < MAX);
		ret_texts[n++] = item->valuestring;
	}
	return n;
}

struct topology_case {
	struct endpoint sources[MAX];
	struct policy_endpoint endpoints[MAX];
	char *zones[MAX][MAX], *nodes[MAX][MAX];
	size_t n;
};

static void fill_case(const cJSON *json, struct topology_case *c)
{
	const cJSON *item;

	memset(c, 0, sizeof(*c));
	cJSON_ArrayForEach(item, cases_get(json, "endpoints"))
	{
		struct endpoint *source = &c->sources[c->n];
		struct policy_endpoint *e = &c->endpoints[c->n];

		parse_place(cases_text(item, "endpoint"), &e->addr, &e->port);
		e->ready = is_true(item, "ready");
		e->serving = is_true(item, "serving");
		e->terminating = is_true(item, "terminating");
		e->local = is_true(item, "isLocal");
		e->source = source;
		source->zone_hints = c->zones[c->n];
		source->n_zone_hints = fill_texts(cases_get(item, "zoneHints"), source->zone_hints);
		source->node_hints = c->nodes[c->n];
		/*
		 * With the feature off (up to Kubernetes 1.34) node hints are as if they were not
		 * there.
		 */
		if (is_true(json, "preferSameNodeEnabled"))
			source->n_node_hints =
				fill_texts(cases_get(item, "nodeHints"), source->node_hints);
		c->n++;
	}
}

/* which: 1 in the cluster list, 2 in the local list, 3 in either */
static void assert_list(const char *name, const cJSON *expected, const struct topology_case *c,
			int which)
{
	const cJSON *item;
	size_t members = 0, found = 0;

	for (size_t i = 0; i < c->n; i++)
		members += ((which & 1) && c->endpoints[i].in_cluster) ||
			   ((which & 2) && c->endpoints[i].in_local);
	cJSON_ArrayForEach(item, expected)
	{
		struct address a;
		uint16_t port;

		parse_place(item->valuestring, &a, &port);
		for (size_t i = 0; i < c->n; i++)
			if (address_cmp(&a, &c->endpoints[i].addr) == 0 &&
			    c->endpoints[i].port == port)
				found += ((which & 1) && c->endpoints[i].in_cluster) ||
					 ((which & 2) && c->endpoints[i].in_local);
	}
	if (members != (size_t)cJSON_GetArraySize(expected) || found != members)
		fail_msg("%s: list %d has %zu endpoints, %zu of the %d expected", name, which,
			 members, found, cJSON_GetArraySize(expected));
}

TEST(topology_cases)
{
	cJSON *cases = cases_load("topology-cases.json");
	const cJSON *json;
	int n = 0;

	cJSON_ArrayForEach(json, cases)
	{
		const cJSON *service = cases_get(json, "service"),
			    *expect = cases_get(json, "expect");
		struct policy_node node = { cases_text(cases_get(json, "node"), "name"),
					    cases_text(cases_get(json, "node"), "zone") };
		struct policy_needs needs = { is_true(service, "internalPolicyLocal"),
					      is_true(service, "externalPolicyLocal"),
					      is_true(service, "externallyAccessible") };
		const char *name = cases_text(json, "name");
		struct policy_summary sum;
		struct topology_case c;

		fill_case(json, &c);
		policy_categorize(c.endpoints, c.n, &needs, &node, &sum);
		assert_int_equal(sum.uses_cluster,
				 !cJSON_IsNull(cases_get(expect, "clusterEndpoints")));
		assert_int_equal(sum.uses_local,
				 !cJSON_IsNull(cases_get(expect, "localEndpoints")));
		assert_int_equal(sum.any, is_true(expect, "hasAnyEndpoints"));
		assert_list(name, cases_get(expect, "clusterEndpoints"), &c, 1);
		assert_list(name, cases_get(expect, "localEndpoints"), &c, 2);
		assert_list(name, cases_get(expect, "allReachableEndpoints"), &c, 3);
		n++;
	}
	print_message("# %d topology cases\n", n);
	assert_int_equal(n, 20);
	cJSON_Delete(cases);
}

/* ---- objects --------------------------------------------------------------------------------- */

/* As the API server gives them, but for its selectors. */
static void put_json(struct world *w, const cJSON *json)
{
	const struct decode_input input = { .from_api = true };
	struct decode_report report = { 0 };
	struct object object;

	if (decode_object(value_of_json(json), &input, &report, &object) != DECODE_OBJECT)
		fail_msg("%s: %s", report.name, buf_str(&report.notes.text));
	object_put(&object, &w->sink);
	object_done(&object);
	decode_report_done(&report);
}

static size_t fill_addresses(const cJSON *array, struct address *ret_addrs)
{
	const cJSON *item;
	size_t n = 0;

	cJSON_ArrayForEach(item, array) ret_addrs[n++] = addr(item->valuestring);
	return n;
}

static size_t fill_cidrs(const cJSON *array, struct cidr *ret_cidrs)
{
	const cJSON *item;
	size_t n = 0;

	cJSON_ArrayForEach(item, array)
		assert_int_equal(cidr_parse(item->valuestring, &ret_cidrs[n++]), 0);
	return n;
}

/* ---- flows ----------------------------------------------------------------------------------- */

/* Why a flow is not judged: counted, told, and listed in tests/data/README.md. */
enum excluded {
	RUN_IT,
	LOOPBACK,
	SCTP_PORTS,
	N_EXCLUDED,
};

static const char *const excluded_because[N_EXCLUDED] = {
	[LOOPBACK] =
		"node port on loopback, of kube-proxy's iptables mode: the nftables mode has none",
	[SCTP_PORTS] = "SCTP with another target port: refused by name",
};

static enum excluded why_not(const cJSON *scenario, const cJSON *flow)
{
	const char *mode = cases_text(cases_get(scenario, "config"), "mode");

	/* what it leaves alone is left alone in either mode */
	return strcmp(mode, "iptables") == 0 && strncmp(cases_text(flow, "dst"), "127.", 4) == 0 &&
			       cJSON_IsArray(cases_get(cases_get(flow, "expect"), "backends"))
		       ? LOOPBACK
		       : RUN_IT;
}

static const char *outcome_of(const struct decide_verdict *v)
{
	switch (v->reason) {
	case SL_REASON_NEW_FLOW:
		return "backends";
	case SL_REASON_NO_ENDPOINT:
	case SL_REASON_UNKNOWN_PORT:
		return "reject";
	case SL_REASON_NO_LOCAL_ENDPOINT:
	case SL_REASON_UNALLOCATED:
	case SL_REASON_SOURCE_RANGE:
		return "drop";
	case SL_REASON_NOT_SERVICE:
		return "no-service";
	case SL_REASON_SCTP_PORT:
		return "sctp-port";
	default:
		return "?";
	}
}

static void check_backends(const char *what, const struct decide_verdict *v, const cJSON *expected)
{
	const cJSON *item;
	size_t found = 0;

	cJSON_ArrayForEach(item, expected)
	{
		struct address a;
		uint16_t port;

		parse_place(item->valuestring, &a, &port);
		for (size_t i = 0; i < v->n_endpoints; i++)
			found += v->endpoints[i].port == port &&
				 address_cmp(&v->endpoints[i].addr, &a) == 0;
	}
	if (v->n_endpoints != (size_t)cJSON_GetArraySize(expected) || found != v->n_endpoints)
		fail_msg("%s: %zu endpoints, %zu of the %d expected", what, v->n_endpoints, found,
			 cJSON_GetArraySize(expected));
}

/* expect.masq for every endpoint, or masq_by_backend for each */
static void check_masquerade(const char *what, const struct decide_verdict *v,
			     const struct decide_flow *f, const cJSON *flow)
{
	for (size_t i = 0; i < v->n_endpoints; i++) {
		const struct view_endpoint *e = &v->endpoints[i];
		const cJSON *expected = cases_get(cases_get(flow, "expect"), "masq");
		char text[ADDRESS_TEXT_LEN], place[ADDRESS_TEXT_LEN + 10];

		snprintf(place, sizeof(place), e->addr.family == 4 ? "%s:%u" : "[%s]:%u",
			 address_format(&e->addr, text), e->port);
		if (cases_get(flow, "masq_by_backend"))
			expected = cases_get(cases_get(flow, "masq_by_backend"), place);
		assert_true(cJSON_IsBool(expected));
		if (decide_masquerades(v, f, e) != cJSON_IsTrue(expected))
			fail_msg("%s: to %s the source is%s replaced, and should%s be", what, place,
				 cJSON_IsTrue(expected) ? " not" : "",
				 cJSON_IsTrue(expected) ? "" : " not");
	}
}

/* A scenario as plan, view and node. */
struct scenario {
	const char *name;
	struct world w;
	struct view view;
	struct decide_node node;
	struct address own[MAX], primary[2];
	struct cidr pods[1], node_ports[MAX];
};

static enum excluded run_flow(const struct scenario *s, const cJSON *flow)
{
	const cJSON *expected = cases_get(cases_get(flow, "expect"), "backends");
	const struct decide_flow f = { addr(cases_text(flow, "src")), addr(cases_text(flow, "dst")),
				       (uint16_t)number_of(flow, "dport"),
				       proto_of(cases_text(flow, "proto")) };
	struct decide_verdict v = decide(&s->view, &s->node, &f);
	char what[400];

	if (v.reason == SL_REASON_SCTP_PORT)
		return SCTP_PORTS;
	snprintf(what, sizeof(what), "%s / %s", s->name, cases_text(flow, "name"));
	if (cJSON_IsArray(expected)) {
		if (v.reason != SL_REASON_NEW_FLOW)
			fail_msg("%s: %s, and should be forwarded", what, outcome_of(&v));
		check_backends(what, &v, expected);
		check_masquerade(what, &v, &f, flow);
	} else if (strcmp(outcome_of(&v), expected->valuestring) != 0) {
		fail_msg("%s: %s, and should be %s", what, outcome_of(&v), expected->valuestring);
	}
	return RUN_IT;
}

static bool is_allowed(void *ctx, const struct view_service *service, const struct address *src)
{
	const struct scenario *s = ctx;
	const struct store_entry *e = store_find(s->w.store, service->namespace, service->name);
	const struct address *primary = &s->primary[src->family == 6];

	assert_non_null(e);
	return policy_is_source_allowed(e->service, src, primary->family ? primary : NULL);
}

/* nodeIP, and the first address of the other family. */
static void fill_node(struct scenario *s, const cJSON *json)
{
	const cJSON *config = cases_get(json, "config");
	const char *pods = cases_text(config, "detectLocalCIDR");

	s->node.own = s->own;
	s->node.n_own = fill_addresses(cases_get(cases_get(json, "node"), "ips"), s->own);
	for (size_t i = s->node.n_own; i-- > 0;)
		s->primary[s->own[i].family == 6] = s->own[i];
	s->primary[s->own[0].family == 6] = addr(cases_text(config, "nodeIP"));
	s->node.pods = s->pods;
	if (pods && cidr_parse(pods, s->pods) == 0)
		s->node.n_pods = 1;
	s->node.node_ports = s->node_ports;
	s->node.n_node_ports = fill_cidrs(cases_get(config, "nodePortAddresses"), s->node_ports);
	s->node.masquerade_all = is_true(config, "masqueradeAll");
	s->own[s->node.n_own++] = addr("127.0.0.1"); /* as every node has them */
	s->own[s->node.n_own++] = addr("::1");
	s->node.is_allowed = is_allowed;
	s->node.ctx = s;
}

static void scenario_init(struct scenario *s, const cJSON *json, unsigned kinds)
{
	const cJSON *config = cases_get(json, "config"), *node = cases_get(json, "node"), *item;
	struct node object = { .meta.name = cases_text(node, "name"),
			       .zone = cases_text(node, "zone") };
	struct cidr cidrs[SL_CIDRS];
	struct row_reader reader;

	memset(s, 0, sizeof(*s));
	s->name = cases_text(json, "name");
	world_init_kinds(&s->w, kinds);
	fill_node(s, json);
	s->w.config.node_name = object.meta.name;
	s->w.config.service_cidrs = cidrs;
	s->w.config.n_service_cidrs = fill_cidrs(cases_get(config, "serviceCIDRs"), cidrs);
	assert_int_equal(plan_configure(s->w.plan, &s->w.config), 0);
	object.internal_ips = s->own;
	object.n_internal_ips = s->node.n_own - 2; /* but loopback */
	s->w.sink.put_node(s->w.sink.ctx, &object);
	cJSON_ArrayForEach(item, cases_get(json, "objects")) put_json(&s->w, item);
	world_settle(&s->w);
	reader = kernel_reader(&s->w.kernel);
	assert_int_equal(view_from_rows(&reader, &s->view), 0);
}

static void scenario_done(struct scenario *s)
{
	view_done(&s->view);
	world_done(&s->w);
}

static void check_metrics(const struct scenario *s, const cJSON *json)
{
	const cJSON *expected =
		cases_get(cases_get(json, "metrics"), "sync_proxy_rules_no_local_endpoints_total");
	bool v6 = strcmp(cases_text(cases_get(json, "config"), "ipFamily"), "IPv6") == 0;
	const struct plan_family_stats *f;
	struct plan_stats stats;

	if (!expected)
		return;
	plan_count(s->w.plan, &stats);
	f = v6 ? &stats.v6 : &stats.v4;
	assert_int_equal(f->no_local_internal, number_of(expected, "internal"));
	assert_int_equal(f->no_local_external, number_of(expected, "external"));
}

TEST(flows)
{
	cJSON *scenarios = cases_load("kube-proxy-flows.json");
	unsigned counts[N_EXCLUDED] = { 0 };
	const cJSON *json, *flow;

	cJSON_ArrayForEach(json, scenarios)
	{
		struct scenario s;

		scenario_init(&s, json, PLAN_KINDS_ALL);
		check_metrics(&s, json);
		cJSON_ArrayForEach(flow, cases_get(json, "flows"))
		{
			enum excluded why = why_not(json, flow);

			counts[why ? why : run_flow(&s, flow)]++;
		}
		scenario_done(&s);
	}
	print_message("# %u flows run\n", counts[RUN_IT]);
	for (int i = 1; i < N_EXCLUDED; i++)
		print_message("# %u flows excluded: %s\n", counts[i], excluded_because[i]);
	cJSON_Delete(scenarios);
	/* tests/data/README.md says the same numbers */
	assert_int_equal(counts[RUN_IT], 160);
	assert_int_equal(counts[LOOPBACK], 1);
	assert_int_equal(counts[SCTP_PORTS], 2);
}

/* The gate: with the kinds that programs serve, no other row gets to the kernel, and what is kept back is counted. */
TEST(the_gate_keeps_back_what_programs_cannot_do)
{
	static const enum sl_kind kept[] = { SL_KIND_EXTERNAL_IP, SL_KIND_LOAD_BALANCER,
					     SL_KIND_NODE_PORT };
	cJSON *scenarios = cases_load("kube-proxy-flows.json");
	uint32_t unserved[3] = { 0 }, published[3] = { 0 };
	const cJSON *json;

	cJSON_ArrayForEach(json, scenarios)
	{
		struct scenario open, gated;

		scenario_init(&open, json, PLAN_KINDS_ALL);
		scenario_init(&gated, json, 0);
		for (int k = 0; k < 3; k++) {
			assert_int_equal(plan_count_unserved(open.w.plan, kept[k]), 0);
			unserved[k] += plan_count_unserved(gated.w.plan, kept[k]);
		}
		for (size_t i = 0; i < open.view.n_services; i++)
			for (int k = 0; k < 3; k++)
				published[k] += open.view.services[i].kind == kept[k];
		for (size_t i = 0; i < gated.view.n_services; i++)
			assert_true(gated.view.services[i].kind == SL_KIND_CLUSTER_IP ||
				    gated.view.services[i].kind == SL_KIND_ADDRESS);
		scenario_done(&open);
		scenario_done(&gated);
	}
	for (int k = 0; k < 3; k++) {
		assert_true(unserved[k] > 0);
		assert_int_equal(unserved[k], published[k]);
	}
	cJSON_Delete(scenarios);
}

RUN(cmocka_unit_test(topology_cases), cmocka_unit_test(flows),
    cmocka_unit_test(the_gate_keeps_back_what_programs_cannot_do))
