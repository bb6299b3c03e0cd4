// SPDX-License-Identifier: GPL-2.0-only
// What kube-proxy does with given objects (tests/data): topology cases through policy, flows through plan and view.
/* link: user/core/plan.c user/core/plan_claim.c user/core/plan_port.c user/core/plan_rest.c */
/* link: user/core/plan_restore.c user/core/store.c user/core/policy.c user/core/ids.c */
/* link: user/core/ring.c user/core/rows.c user/core/diff.c user/core/view.c user/core/model.c */
/* link: user/core/address.c user/core/problem.c user/base/table.c user/base/arena.c */
/* link: user/base/buf.c */
/* libs: cjson */
#include "unit/test.h"

#include <cjson/cJSON.h>
#include <limits.h>

#include "core/policy.h"
#include "unit/world.h"

/* ---- JSON ------------------------------------------------------------------------------------ */

static cJSON *load(const char *name)
{
	const char *root = getenv("SLUICE_TEST_DATA");
	char path[512], *text;
	FILE *f;
	cJSON *json;
	long len;

	snprintf(path, sizeof(path), "%s/%s", root ? root : "tests/data", name);
	f = fopen(path, "r");
	if (!f)
		fail_msg("%s: cannot be read; run from the top folder", path);
	fseek(f, 0, SEEK_END);
	len = ftell(f);
	rewind(f);
	text = calloc(1, (size_t)len + 1);
	assert_int_equal(fread(text, 1, (size_t)len, f), len);
	fclose(f);
	json = cJSON_Parse(text);
	assert_non_null(json);
	free(text);
	return json;
}

static cJSON *get(const cJSON *j, const char *name)
{
	return j ? cJSON_GetObjectItemCaseSensitive(j, name) : NULL;
}

static char *text_of(const cJSON *j, const char *name)
{
	const cJSON *item = get(j, name);

	return cJSON_IsString(item) ? item->valuestring : NULL;
}

static bool is_true(const cJSON *j, const char *name)
{
	return cJSON_IsTrue(get(j, name));
}

static int number_of(const cJSON *j, const char *name)
{
	const cJSON *item = get(j, name);

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
	cJSON_ArrayForEach(item, get(json, "endpoints"))
	{
		struct endpoint *source = &c->sources[c->n];
		struct policy_endpoint *e = &c->endpoints[c->n];

		parse_place(text_of(item, "endpoint"), &e->addr, &e->port);
		e->ready = is_true(item, "ready");
		e->serving = is_true(item, "serving");
		e->terminating = is_true(item, "terminating");
		e->local = is_true(item, "isLocal");
		e->source = source;
		source->zone_hints = c->zones[c->n];
		source->n_zone_hints = fill_texts(get(item, "zoneHints"), source->zone_hints);
		source->node_hints = c->nodes[c->n];
		/*
		 * With the feature off (up to Kubernetes 1.34) node hints are as if they were not
		 * there.
		 */
		if (is_true(json, "preferSameNodeEnabled"))
			source->n_node_hints =
				fill_texts(get(item, "nodeHints"), source->node_hints);
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
	cJSON *cases = load("topology-cases.json");
	const cJSON *json;
	int n = 0;

	cJSON_ArrayForEach(json, cases)
	{
		const cJSON *service = get(json, "service"), *expect = get(json, "expect");
		struct policy_node node = { text_of(get(json, "node"), "name"),
					    text_of(get(json, "node"), "zone") };
		struct policy_needs needs = { is_true(service, "internalPolicyLocal"),
					      is_true(service, "externalPolicyLocal"),
					      is_true(service, "externallyAccessible") };
		const char *name = text_of(json, "name");
		struct policy_summary sum;
		struct topology_case c;

		fill_case(json, &c);
		policy_categorize(c.endpoints, c.n, &needs, &node, &sum);
		assert_int_equal(sum.uses_cluster, !cJSON_IsNull(get(expect, "clusterEndpoints")));
		assert_int_equal(sum.uses_local, !cJSON_IsNull(get(expect, "localEndpoints")));
		assert_int_equal(sum.any, is_true(expect, "hasAnyEndpoints"));
		assert_list(name, get(expect, "clusterEndpoints"), &c, 1);
		assert_list(name, get(expect, "localEndpoints"), &c, 2);
		assert_list(name, get(expect, "allReachableEndpoints"), &c, 3);
		n++;
	}
	print_message("# %d topology cases\n", n);
	assert_int_equal(n, 20);
	cJSON_Delete(cases);
}

/* ---- objects --------------------------------------------------------------------------------- */

static struct object_meta meta_from(const cJSON *object)
{
	const cJSON *meta = get(object, "metadata");

	return (struct object_meta){ .namespace = text_of(meta, "namespace"),
				     .name = text_of(meta, "name") };
}

static size_t fill_addresses(const cJSON *array, struct address *ret_addrs)
{
	const cJSON *item;
	size_t n = 0;

	cJSON_ArrayForEach(item, array) if (cJSON_IsString(item) &&
					    address_parse(item->valuestring, &ret_addrs[n]) == 0)
		n++;
	return n;
}

static enum traffic_policy policy_of(const char *text)
{
	return text && strcmp(text, "Local") == 0 ? POLICY_LOCAL : POLICY_CLUSTER;
}

static enum service_type type_of(const char *text)
{
	if (text && strcmp(text, "LoadBalancer") == 0)
		return SERVICE_LOAD_BALANCER;
	if (text && strcmp(text, "NodePort") == 0)
		return SERVICE_NODE_PORT;
	return text && strcmp(text, "ExternalName") == 0 ? SERVICE_EXTERNAL_NAME
							 : SERVICE_CLUSTER_IP;
}

static void put_service_json(struct world *w, const cJSON *object)
{
	static char unnamed[] = "";
	const cJSON *spec = get(object, "spec"), *item;
	struct address cluster[MAX], external[MAX], lb[MAX];
	struct service_port ports[MAX];
	struct service s = {
		.meta = meta_from(object),
		.type = type_of(text_of(spec, "type")),
		.cluster_ips = cluster,
		.external_ips = external,
		.lb_ips = lb,
		.ports = ports,
		.internal_policy = policy_of(text_of(spec, "internalTrafficPolicy")),
		.external_policy = policy_of(text_of(spec, "externalTrafficPolicy")),
	};

	s.n_cluster_ips = fill_addresses(get(spec, "clusterIPs"), cluster);
	s.n_external_ips = fill_addresses(get(spec, "externalIPs"), external);
	cJSON_ArrayForEach(item, get(get(get(object, "status"), "loadBalancer"), "ingress"))
	{
		const char *mode = text_of(item, "ipMode"), *ip = text_of(item, "ip");

		if (ip && (!mode || strcmp(mode, "VIP") == 0) &&
		    address_parse(ip, &lb[s.n_lb_ips]) == 0)
			s.n_lb_ips++;
	}
	cJSON_ArrayForEach(item, get(spec, "ports")) ports[s.n_ports++] = (struct service_port){
		text_of(item, "name") ? text_of(item, "name") : unnamed,
		proto_of(text_of(item, "protocol")),
		(uint16_t)number_of(item, "port"),
		(uint16_t)number_of(item, "nodePort"),
	};
	w->sink.put_service(w->sink.ctx, &s);
}

static size_t fill_hints(const cJSON *hints, char **ret_names)
{
	const cJSON *item;
	size_t n = 0;

	cJSON_ArrayForEach(item, hints) ret_names[n++] = text_of(item, "name");
	return n;
}

static bool condition(const cJSON *conditions, const char *name, bool absent)
{
	const cJSON *item = get(conditions, name);

	return cJSON_IsBool(item) ? cJSON_IsTrue(item) : absent;
}

static void put_slice_json(struct world *w, const cJSON *object)
{
	const char *type = text_of(object, "addressType");
	static char *zones[MAX][MAX], *nodes[MAX][MAX];
	struct endpoint endpoints[MAX];
	struct slice_port ports[MAX];
	struct endpoint_slice s = {
		.meta = meta_from(object),
		.service = text_of(get(get(object, "metadata"), "labels"),
				   "kubernetes.io/service-name"),
		.family = strcmp(type, "IPv4") == 0   ? 4
			  : strcmp(type, "IPv6") == 0 ? 6
						      : 0,
		.endpoints = endpoints,
		.ports = ports,
	};
	const cJSON *item;

	cJSON_ArrayForEach(item, get(object, "endpoints"))
	{
		const cJSON *conditions = get(item, "conditions"), *hints = get(item, "hints");
		struct endpoint *e = &endpoints[s.n_endpoints];

		*e = (struct endpoint){
			.node_name = text_of(item, "nodeName"),
			.ready = condition(conditions, "ready", true),
			.serving = condition(conditions, "serving", true),
			.terminating = condition(conditions, "terminating", false),
			.zone_hints = zones[s.n_endpoints],
			.node_hints = nodes[s.n_endpoints],
		};
		if (address_parse(cJSON_GetArrayItem(get(item, "addresses"), 0)->valuestring,
				  &e->addr) < 0)
			continue; /* a host name in an FQDN slice */
		e->n_zone_hints = fill_hints(get(hints, "forZones"), e->zone_hints);
		e->n_node_hints = fill_hints(get(hints, "forNodes"), e->node_hints);
		s.n_endpoints++;
	}
	cJSON_ArrayForEach(item, get(object, "ports")) ports[s.n_ports++] =
		(struct slice_port){ text_of(item, "name"), proto_of(text_of(item, "protocol")),
				     (uint16_t)number_of(item, "port") };
	w->sink.put_slice(w->sink.ctx, &s);
}

/* ---- flows ----------------------------------------------------------------------------------- */

/* Why a flow is not run: counted, told, and listed in tests/data/README.md. */
enum excluded {
	RUN_IT,
	EXTERNAL_IP,
	LOAD_BALANCER_IP,
	NODE_PORT,
	SCTP_PORTS,
	N_EXCLUDED,
};

static const char *const excluded_because[N_EXCLUDED] = {
	[EXTERNAL_IP] = "external IP: no data path yet",
	[LOAD_BALANCER_IP] = "load balancer VIP: no data path yet",
	[NODE_PORT] = "node port: no data path yet",
	[SCTP_PORTS] = "SCTP with another target port: refused by name",
};

static bool lists_address(const cJSON *array, const struct address *a)
{
	struct address addrs[MAX];
	size_t n = fill_addresses(array, addrs);

	for (size_t i = 0; i < n; i++)
		if (address_cmp(&addrs[i], a) == 0)
			return true;
	return false;
}

static bool is_vip(const cJSON *service, const struct address *a)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, get(get(get(service, "status"), "loadBalancer"), "ingress"))
	{
		struct address vip;

		if (text_of(item, "ip") && address_parse(text_of(item, "ip"), &vip) == 0 &&
		    address_cmp(&vip, a) == 0)
			return true;
	}
	return false;
}

static bool is_node_port(const cJSON *service, int port)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, get(get(service, "spec"),
				     "ports")) if (number_of(item, "nodePort") == port) return true;
	return number_of(get(service, "spec"), "healthCheckNodePort") == port;
}

static enum excluded why_not(const cJSON *scenario, const cJSON *flow)
{
	const cJSON *object;
	struct address dst = addr(text_of(flow, "dst"));
	enum excluded why = RUN_IT;
	bool cluster_ip = false;

	cJSON_ArrayForEach(object, get(scenario, "objects"))
	{
		const cJSON *spec = get(object, "spec");

		if (strcmp(text_of(object, "kind"), "Service") != 0)
			continue;
		cluster_ip = cluster_ip || lists_address(get(spec, "clusterIPs"), &dst);
		if (lists_address(get(spec, "externalIPs"), &dst))
			why = EXTERNAL_IP;
		else if (is_vip(object, &dst))
			why = LOAD_BALANCER_IP;
		else if (!why && is_node_port(object, number_of(flow, "dport")))
			why = NODE_PORT;
	}
	return cluster_ip ? RUN_IT : why;
}

static const char *outcome_of(const struct view_verdict *v)
{
	switch (v->reason) {
	case SL_REASON_NEW_FLOW:
		return "backends";
	case SL_REASON_NO_ENDPOINT:
	case SL_REASON_UNKNOWN_PORT:
		return "reject";
	case SL_REASON_NO_LOCAL_ENDPOINT:
	case SL_REASON_UNALLOCATED:
		return "drop";
	case SL_REASON_NOT_SERVICE:
		return "no-service";
	case SL_REASON_SCTP_PORT:
		return "sctp-port";
	default:
		return "?";
	}
}

static void check_backends(const char *what, const struct view_verdict *v, const cJSON *expected)
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

static enum excluded run_flow(const char *scenario, const struct view *view, const cJSON *flow)
{
	const cJSON *expected = get(get(flow, "expect"), "backends");
	struct address dst = addr(text_of(flow, "dst"));
	struct view_verdict v = view_decide(view, &dst, (uint16_t)number_of(flow, "dport"),
					    proto_of(text_of(flow, "proto")));
	char what[400];

	if (v.reason == SL_REASON_SCTP_PORT)
		return SCTP_PORTS;
	snprintf(what, sizeof(what), "%s / %s", scenario, text_of(flow, "name"));
	if (cJSON_IsArray(expected)) {
		if (v.reason != SL_REASON_NEW_FLOW)
			fail_msg("%s: %s, and should be forwarded", what, outcome_of(&v));
		check_backends(what, &v, expected);
	} else if (strcmp(outcome_of(&v), expected->valuestring) != 0) {
		fail_msg("%s: %s, and should be %s", what, outcome_of(&v), expected->valuestring);
	}
	return RUN_IT;
}

static void build(struct world *w, const cJSON *scenario)
{
	const cJSON *config = get(scenario, "config"), *node = get(scenario, "node"), *item;
	struct node object = { .meta.name = text_of(node, "name"), .zone = text_of(node, "zone") };
	struct address ips[MAX];
	struct cidr cidrs[SL_CIDRS];

	world_init(w);
	w->config.node_name = object.meta.name;
	w->config.service_cidrs = cidrs;
	cJSON_ArrayForEach(item, get(config, "serviceCIDRs")) assert_int_equal(
		cidr_parse(item->valuestring, &cidrs[w->config.n_service_cidrs++]), 0);
	assert_int_equal(plan_configure(w->plan, &w->config), 0);
	object.internal_ips = ips;
	object.n_internal_ips = fill_addresses(get(node, "ips"), ips);
	w->sink.put_node(w->sink.ctx, &object);
	cJSON_ArrayForEach(item, get(scenario, "objects"))
	{
		if (strcmp(text_of(item, "kind"), "Service") == 0)
			put_service_json(w, item);
		else
			put_slice_json(w, item);
	}
	world_settle(w);
}

TEST(flows_to_cluster_ips)
{
	cJSON *scenarios = load("kube-proxy-flows.json");
	unsigned counts[N_EXCLUDED] = { 0 };
	const cJSON *scenario, *flow;

	cJSON_ArrayForEach(scenario, scenarios)
	{
		const char *name = text_of(scenario, "name");
		struct row_reader reader;
		struct world w;
		struct view v;

		build(&w, scenario);
		reader = kernel_reader(&w.kernel);
		assert_int_equal(view_from_rows(&reader, &v), 0);
		cJSON_ArrayForEach(flow, get(scenario, "flows"))
		{
			enum excluded why = why_not(scenario, flow);

			if (!why)
				why = run_flow(name, &v, flow);
			counts[why]++;
		}
		view_done(&v);
		world_done(&w);
	}
	print_message("# %u flows run\n", counts[RUN_IT]);
	for (int i = 1; i < N_EXCLUDED; i++)
		print_message("# %u flows excluded: %s\n", counts[i], excluded_because[i]);
	cJSON_Delete(scenarios);
	/* tests/data/README.md says the same numbers */
	assert_int_equal(counts[RUN_IT], 62);
	assert_int_equal(counts[EXTERNAL_IP], 2);
	assert_int_equal(counts[LOAD_BALANCER_IP], 38);
	assert_int_equal(counts[NODE_PORT], 60);
	assert_int_equal(counts[SCTP_PORTS], 1);
}

RUN(cmocka_unit_test(topology_cases), cmocka_unit_test(flows_to_cluster_ips))
