// SPDX-License-Identifier: GPL-2.0-only
/* The fields of a v1 Service. */
/* Must not know which endpoints it has or how traffic is balanced. */
#include "source/decode_read.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LABEL_PROXY_NAME     "service.kubernetes.io/service-proxy-name"
#define ANNOTATION_SKIP      "sluice.dev/skip"
#define ANNOTATION_ALGORITHM "sluice.dev/algorithm"

/* The API's default and limit of sessionAffinityConfig.clientIP.timeoutSeconds. */
#define AFFINITY_DEFAULT_S 10800
#define AFFINITY_MAX_S     86400

static const char *const policy_words[] = { "Cluster", "Local", NULL };

static void check_service_names(struct notes *n, const struct field *spec)
{
	static const char *const known[] = { "allocateLoadBalancerNodePorts",
					     "clusterIP",
					     "clusterIPs",
					     "externalIPs",
					     "externalName",
					     "externalTrafficPolicy",
					     "healthCheckNodePort",
					     "internalTrafficPolicy",
					     "ipFamilies",
					     "ipFamilyPolicy",
					     "loadBalancerClass",
					     "loadBalancerIP",
					     "loadBalancerSourceRanges",
					     "ports",
					     "publishNotReadyAddresses",
					     "selector",
					     "sessionAffinity",
					     "sessionAffinityConfig",
					     "trafficDistribution",
					     "type",
					     NULL };

	field_check_names(n, spec, known);
}

static bool has_family(const struct service *s, uint8_t family)
{
	size_t i;

	for (i = 0; i < s->n_cluster_ips; i++)
		if (s->cluster_ips[i].family == family)
			return true;
	return false;
}

/* One cluster address; `family` is what spec.ipFamilies says of it, 0 for nothing. */
static void add_cluster_ip(struct notes *n, const struct field *f, const char *text, uint8_t family,
			   struct service *s)
{
	char shown[VALUE_SHOWN_LEN];
	struct address addr;

	if (address_parse(text, &addr) < 0) {
		note_refusal(n, f, "is %s: it must be an IP address or `None`",
			     value_show(f->value, shown));
		return;
	}
	if (family && addr.family != family) {
		note_refusal(n, f, "is %s: spec.ipFamilies says IPv%d", value_show(f->value, shown),
			     family);
		return;
	}
	if (has_family(s, addr.family)) {
		note_refusal(n, f, "is %s: a Service has one address of each family",
			     value_show(f->value, shown));
		return;
	}
	s->cluster_ips[s->n_cluster_ips++] = addr;
}

/* Families by place, as spec.ipFamilies gives them. Returns how many (at most 2). */
static size_t read_families(struct notes *n, const struct field *spec, uint8_t families[2])
{
	struct field list = field_get(spec, "ipFamilies"), e;
	size_t used = 0;
	int word;

	if (!field_is_list(n, &list))
		return 0;
	for (e = field_first(&list); e.value.node && used < 2; field_next(&e)) {
		word = field_word(n, &e, decode_family_words, -1);
		families[used++] = word < 0 ? 0 : (uint8_t)(word == 0 ? 4 : 6);
	}
	return used;
}

/* spec.clusterIPs: each is of the family at its place; one beyond the families does not exist. */
static void read_cluster_ip_list(struct notes *n, const struct field *list, const uint8_t *families,
				 size_t n_families, struct service *s)
{
	struct field e;
	const char *text;

	for (e = field_first(list); e.value.node; field_next(&e)) {
		text = field_string(n, &e);
		if (!text)
			continue;
		if (e.index >= 2 || (n_families && e.index >= n_families)) {
			note(n, &e, "is ignored: spec.ipFamilies names no family for it");
			continue;
		}
		add_cluster_ip(n, &e, text, n_families ? families[e.index] : 0, s);
	}
}

static bool is_none(const char *text)
{
	return text && strcmp(text, "None") == 0;
}

/*
 * The API server keeps clusterIP and clusterIPs[0] equal; a manifest may have either. Both are absent in a manifest
 * by mistake, since nobody allocates one.
 */
static void read_cluster_ips(struct notes *n, const struct field *spec, struct service *s)
{
	struct field one = field_get(spec, "clusterIP"), list = field_get(spec, "clusterIPs"),
		     first;
	const char *text = field_string(n, &one), *first_text = NULL;
	uint8_t families[2] = { 0 };
	size_t n_families = read_families(n, spec, families);
	bool has_list = field_is_list(n, &list) && value_count(list.value) > 0;

	if (has_list) {
		first = field_first(&list);
		first_text = value_string(first.value);
	}
	if (s->type == SERVICE_EXTERNAL_NAME || is_none(text) || is_none(first_text))
		return;
	if ((!text || !*text) && !has_list) {
		if (!n->from_api && !n->refused)
			note_refusal(n, &one, "is missing: give it an address, or `None`");
		return;
	}
	s->cluster_ips = notes_calloc(n, 2, sizeof(*s->cluster_ips));
	if (!s->cluster_ips)
		return;
	/* objects older than dual-stack have no families, and only clusterIP counts */
	if (!has_list || (n->from_api && !n_families && text))
		add_cluster_ip(n, &one, text, 0, s);
	else
		read_cluster_ip_list(n, &list, families, n_families, s);
	if (has_list && text && *text && first_text && strcmp(text, first_text) != 0)
		note(n, &one, "is not the first of spec.clusterIPs and ignored: make them equal");
}

/* Two ports with one name would be served by the same endpoints without anybody knowing which is meant. */
static void check_port_names(struct notes *n, const struct field *ports, const struct service *s)
{
	size_t last = s->n_ports - 1, i;

	for (i = 0; i < last; i++) {
		const struct service_port *a = &s->ports[i], *b = &s->ports[last];

		if (strcmp(a->name, b->name) == 0 && a->proto == b->proto) {
			if (*b->name)
				note_refusal(n, ports,
					     "has two ports with the name \"%.63s\": rename one",
					     b->name);
			else
				note_refusal(n, ports,
					     "has two ports without name: with several, name each");
			return;
		}
	}
}

/* Up to this many ports are compared with each other. */
#define PORTS_MAX 1000

static enum app_protocol read_app_protocol(struct notes *n, const struct field *f)
{
	static const struct {
		const char *word;
		enum app_protocol app;
	} known[] = {
		{ "http", APP_HTTP },
		{ "kubernetes.io/ws", APP_HTTP },
		{ "https", APP_HTTPS },
		{ "kubernetes.io/wss", APP_HTTPS },
		{ "kubernetes.io/h2c", APP_H2C },
		{ "grpc", APP_H2C },
		{ "grpcs", APP_H2 },
	};
	struct field field = field_get(f, "appProtocol");
	const char *word = field_string(n, &field);

	for (size_t i = 0; word && i < sizeof(known) / sizeof(known[0]); i++)
		if (strcasecmp(word, known[i].word) == 0)
			return known[i].app;
	return APP_UNKNOWN;
}

static void read_service_port(struct notes *n, const struct field *f, struct service *s)
{
	static const char *const known[] = { "appProtocol", "name",       "nodePort", "port",
					     "protocol",    "targetPort", NULL };
	struct field name = field_get(f, "name"), port = field_get(f, "port");
	struct field protocol = field_get(f, "protocol"), node_port = field_get(f, "nodePort");
	struct service_port *p = &s->ports[s->n_ports];
	int word;

	if (!field_is_map(n, f))
		return;
	field_check_names(n, f, known);
	word = field_word(n, &protocol, decode_proto_words, field_is_set(&protocol) ? -1 : 0);
	if (!field_is_set(&port))
		note_refusal(n, &port, "is missing: a port is 1 to 65535");
	if (!field_port(n, &port, &p->port) || word < 0)
		return;
	p->proto = decode_protos[word];
	p->node_port = field_optional_port(n, &node_port);
	p->app = (uint8_t)read_app_protocol(n, f);
	p->name = field_is_set(&name) ? field_strdup(n, &name) : notes_strdup(n, "");
	if (!p->name)
		return;
	if (strlen(p->name) > 63)
		note_refusal(n, &name, "is longer than 63 characters: shorten it");
	s->n_ports++;
	check_port_names(n, f->up, s);
}

static void read_service_ports(struct notes *n, const struct field *spec, struct service *s)
{
	struct field list = field_get(spec, "ports"), e;
	size_t count;

	if (!field_is_list(n, &list) && field_is_set(&list))
		return;
	count = value_count(list.value);
	if (!count && s->n_cluster_ips && !n->from_api)
		note_refusal(n, &list, "is missing: name at least one port");
	if (count > PORTS_MAX) {
		note_refusal(n, &list, "has %zu elements: at most %d are served", count, PORTS_MAX);
		return;
	}
	s->ports = notes_calloc(n, count, sizeof(*s->ports));
	for (e = field_first(&list); s->ports && e.value.node; field_next(&e))
		read_service_port(n, &e, s);
}

static void read_affinity(struct notes *n, const struct field *spec, struct service *s)
{
	static const char *const words[] = { "None", "ClientIP", NULL };
	struct field affinity = field_get(spec, "sessionAffinity");
	struct field config = field_get(spec, "sessionAffinityConfig");
	struct field client = field_get(&config, "clientIP");
	struct field timeout = field_get(&client, "timeoutSeconds");
	int64_t seconds = AFFINITY_DEFAULT_S;

	if (field_is_map(n, &config))
		field_is_map(n, &client);
	field_int(n, &timeout, "the time in seconds", 1, AFFINITY_MAX_S, &seconds);
	if (field_word(n, &affinity, words, 0) == 1)
		s->affinity_s = (uint32_t)seconds;
}

/* externalTrafficPolicy: Local has a meaning only for services that are reached from outside. */
static void read_policies(struct notes *n, const struct field *spec, struct service *s)
{
	struct field internal = field_get(spec, "internalTrafficPolicy");
	struct field external = field_get(spec, "externalTrafficPolicy");
	struct field health = field_get(spec, "healthCheckNodePort");
	uint16_t port = field_optional_port(n, &health);
	bool outside = s->type == SERVICE_LOAD_BALANCER || s->type == SERVICE_NODE_PORT ||
		       (s->type == SERVICE_CLUSTER_IP && s->n_external_ips);

	if (field_word(n, &internal, policy_words, POLICY_CLUSTER) == 1)
		s->internal_policy = POLICY_LOCAL;
	if (field_word(n, &external, policy_words, POLICY_CLUSTER) == 1 && outside)
		s->external_policy = POLICY_LOCAL;
	if (s->type == SERVICE_LOAD_BALANCER && s->external_policy == POLICY_LOCAL)
		s->health_check_node_port = port;
}

/* status.loadBalancer.ingress: addresses that the load balancer delivers to nodes unchanged (ipMode VIP). */
static void read_lb_ips(struct notes *n, const struct field *root, struct service *s)
{
	struct field status = field_get(root, "status");
	struct field balancer = field_get(&status, "loadBalancer");
	struct field list = field_get(&balancer, "ingress"), e;

	if (!field_is_map(n, &status) || !field_is_map(n, &balancer) || !field_is_list(n, &list))
		return;
	s->lb_ips = notes_calloc(n, value_count(list.value), sizeof(*s->lb_ips));
	for (e = field_first(&list); s->lb_ips && e.value.node; field_next(&e)) {
		struct field ip = field_get(&e, "ip"), mode = field_get(&e, "ipMode");
		const char *text, *mode_text;

		if (!field_is_map(n, &e))
			continue;
		text = field_string(n, &ip);
		mode_text = field_string(n, &mode);
		if (!text || !*text || (mode_text && strcmp(mode_text, "VIP") != 0))
			continue;
		if (field_address_text(n, &ip, text, &s->lb_ips[s->n_lb_ips]))
			s->n_lb_ips++;
	}
}

/* What annotations and labels ask of us. */
static void read_service_tags(struct notes *n, const struct field *root, struct service *s)
{
	static const char *const algorithms[] = { "random", "maglev", "least-connections", NULL };
	static const char *const yes_no[] = { "true", "false", NULL };
	struct field metadata = field_get(root, "metadata"), map;
	struct field tag = decode_tag(n, &metadata, "labels", LABEL_PROXY_NAME, &map);
	char shown[VALUE_SHOWN_LEN];
	const char *text, *nearest;
	size_t i;

	s->skip = tag.value.node != NULL;
	tag = decode_tag(n, &metadata, "annotations", ANNOTATION_SKIP, &map);
	if (field_word(n, &tag, yes_no, 1) == 0)
		s->skip = true;
	tag = decode_tag(n, &metadata, "annotations", ANNOTATION_ALGORITHM, &map);
	text = field_string(n, &tag);
	if (!text)
		return;
	for (i = 0; algorithms[i] && strcmp(text, algorithms[i]) != 0; i++)
		;
	if (algorithms[i]) {
		s->algorithm = (enum balance_algorithm)i;
		return;
	}
	/* the Service is served all the same: a slip here must not cost its traffic */
	nearest = field_nearest(text, algorithms);
	note(n, &tag, "is %s and ignored: %s%s%s it is one of random, maglev or least-connections",
	     value_show(tag.value, shown), nearest ? "did you mean " : "", nearest ? nearest : "",
	     nearest ? "?" : "");
}

void decode_service(struct notes *n, const struct field *root, struct object *object)
{
	static const char *const types[] = { "ClusterIP", "NodePort", "LoadBalancer",
					     "ExternalName", NULL };
	struct service *s = &object->service;
	struct field spec = field_get(root, "spec"), type = field_get(&spec, "type");
	struct field external = field_get(&spec, "externalIPs");
	struct field ranges = field_get(&spec, "loadBalancerSourceRanges");
	struct field metadata = field_get(root, "metadata");
	struct field created = field_get(&metadata, "creationTimestamp");

	if (!field_is_map(n, &spec)) {
		if (!field_is_set(&spec))
			note_refusal(n, &spec, "is missing: give it clusterIP and ports");
		return;
	}
	check_service_names(n, &spec);
	s->type = (enum service_type)field_word(n, &type, types, SERVICE_CLUSTER_IP);
	read_cluster_ips(n, &spec, s);
	read_service_ports(n, &spec, s);
	field_addresses(n, &external, &s->external_ips, &s->n_external_ips);
	field_cidrs(n, &ranges, &s->source_ranges, &s->n_source_ranges);
	read_lb_ips(n, root, s);
	read_affinity(n, &spec, s);
	read_policies(n, &spec, s);
	read_service_tags(n, root, s);
	s->created_s = field_time(n, &created) / 1000000000;
}
