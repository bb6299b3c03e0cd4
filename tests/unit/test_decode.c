// SPDX-License-Identifier: GPL-2.0-only
// Values to objects: the example manifests, every rule of every kind, refusals with their remedies, lists, times.
/* link: user/source/decode.c user/source/decode_read.c user/source/decode_service.c user/source/decode_slice.c user/source/decode_node.c user/source/decode_ingress.c user/source/decode_secret.c user/source/field.c user/source/object.c user/source/value.c user/source/value_json.c user/source/manifest.c user/source/manifest_tree.c user/source/manifest_scalar.c user/core/model.c user/core/model_ingress.c user/core/address.c user/base/arena.c user/base/buf.c user/base/options_value.c */
/* libs: yaml cjson */
#include "unit/test.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "source/decode.h"
#include "source/manifest.h"
#include "source/value_json.h"
#include "unit/failmalloc.h"

#define DATA "tests/data/manifests/"

/* What the last reading found. */
static struct {
	struct object objects[8];
	size_t n;
	size_t others;
	size_t refused;
	struct buf notes; /* "Service default/x: …\n" */
	bool from_api;
} got;

static void forget(void)
{
	size_t i;

	for (i = 0; i < got.n; i++)
		object_done(&got.objects[i]);
	buf_done(&got.notes);
	memset(&got, 0, sizeof(got));
}

static int on_object(void *ctx, struct value v, const struct decode_input *input)
{
	struct decode_report *report = ctx;
	char subject[OBJECT_SUBJECT_LEN];
	struct object object;
	int rc = decode_object(v, input, report, &object);

	if (rc == -ENOMEM)
		return rc;
	if (rc == DECODE_OBJECT) {
		assert_true(got.n < 8);
		got.objects[got.n++] = object;
	}
	got.others += rc == DECODE_OTHER;
	got.refused += rc == -EINVAL;
	if (report->notes.n)
		buf_printf(&got.notes, "%s%s%s\n",
			   report->named ? object_subject(report->kind, report->namespace,
							  report->name, subject)
					 : "",
			   report->named ? ": " : "", buf_str(&report->notes.text));
	return 0;
}

static int on_document(void *ctx, struct value root)
{
	struct decode_input input = { .from_api = got.from_api,
				      .kinds = OBJECTS_OF_AGENT,
				      .file = "test.yaml" };
	struct decode_report report = { 0 };
	struct notes notes = { 0 };
	int rc = decode_each(root, &input, &notes, on_object, &report);

	(void)ctx;
	if (rc == -EINVAL) {
		buf_printf(&got.notes, "%s\n", buf_str(&notes.text));
		rc = notes.no_memory ? -ENOMEM : 0;
	}
	notes_done(&notes);
	decode_report_done(&report);
	return rc;
}

static int on_broken(void *ctx, unsigned line, const char *reason)
{
	(void)ctx;
	fail_msg("line %u: %s", line, reason);
	return 0;
}

static const struct manifest_handler handler = { NULL, on_document, on_broken };

static void read_yaml(const char *text)
{
	forget();
	assert_int_equal(manifest_read(text, strlen(text), false, &handler), 0);
}

static void read_as_api(const char *text)
{
	forget();
	got.from_api = true;
	assert_int_equal(manifest_read(text, strlen(text), false, &handler), 0);
}

static void read_data(const char *path)
{
	struct buf text = { 0 };
	FILE *file = fopen(path, "r");
	size_t n;

	if (!file)
		fail_msg("%s: run from the top of the source tree", path);
	buf_reserve(&text, 65536);
	n = fread(text.data, 1, 65535, file);
	fclose(file);
	forget();
	assert_int_equal(manifest_read(text.data, n, strstr(path, ".json") != NULL, &handler), 0);
	buf_done(&text);
}

static const char *text_of(const struct address *addr)
{
	static char buf[4][ADDRESS_TEXT_LEN];
	static unsigned i;

	return address_format(addr, buf[i++ % 4]);
}

static const char *cidr_of(const struct cidr *cidr)
{
	static char buf[4][CIDR_TEXT_LEN];
	static unsigned i;

	return cidr_format(cidr, buf[i++ % 4]);
}

/* The one object that must have come of it, and what was noted. */
static const struct object *the_object(enum object_kind kind)
{
	if (got.n != 1)
		fail_msg("%zu objects: %s", got.n, buf_str(&got.notes));
	assert_int_equal(got.objects[0].kind, kind);
	return &got.objects[0];
}

static const struct service *the_service(void)
{
	return &the_object(OBJECT_SERVICE)->service;
}

static const struct endpoint_slice *the_slice(void)
{
	return &the_object(OBJECT_ENDPOINT_SLICE)->slice;
}

static void noted(const char *text)
{
	assert_string_equal(buf_str(&got.notes), text);
}

#define SERVICE(spec) "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {" spec "}}"
#define PORT80        "ports: [{port: 80}]"
#define META(meta)                                         \
	"{apiVersion: v1, kind: Service, metadata: {" meta \
	"}, spec: {clusterIP: 10.0.0.1, " PORT80 "}}"
#define SLICE(fields)                                             \
	"{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, " \
	"metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}, " fields "}"
#define NODE(fields) "{apiVersion: v1, kind: Node, metadata: {name: n1}, " fields "}"

/* The object is refused, for this reason. */
static void refuses(const char *text, const char *note)
{
	read_yaml(text);
	assert_int_equal(got.n, 0);
	assert_int_equal(got.refused, 1);
	noted(note);
}

/* The object is served, and this is said of it. */
static void serves(const char *text, const char *note)
{
	read_yaml(text);
	assert_int_equal(got.refused, 0);
	assert_int_equal(got.n, 1);
	noted(note);
}

/* ---- the examples ------------------------------------------------------------------------------------------ */

TEST(reads_the_model_service)
{
	const struct service *s;
	const struct endpoint_slice *slice;

	read_data(DATA "ai-model-service.yaml");
	noted("");
	assert_int_equal(got.n, 3);
	s = &got.objects[0].service;
	assert_string_equal(s->meta.namespace, "default");
	assert_string_equal(s->meta.name, "ai-model-service");
	assert_string_equal(s->meta.origin, "test.yaml:2");
	assert_null(s->meta.uid);
	assert_int_equal(s->type, SERVICE_CLUSTER_IP);
	assert_int_equal(s->n_cluster_ips, 2);
	assert_string_equal(text_of(&s->cluster_ips[0]), "10.96.0.20");
	assert_string_equal(text_of(&s->cluster_ips[1]), "fd00:10:96::20");
	assert_int_equal(s->n_ports, 2);
	assert_string_equal(s->ports[0].name, "http");
	assert_int_equal(s->ports[0].proto, IPPROTO_TCP);
	assert_int_equal(s->ports[0].port, 80);
	assert_int_equal(s->ports[0].node_port, 0);
	assert_string_equal(s->ports[1].name, "datagram");
	assert_int_equal(s->ports[1].proto, IPPROTO_UDP);
	assert_int_equal(s->affinity_s, 0);
	assert_int_equal(s->internal_policy, POLICY_CLUSTER);
	assert_int_equal(s->algorithm, BALANCE_RANDOM);
	assert_false(s->skip);

	slice = &got.objects[1].slice;
	assert_string_equal(slice->service, "ai-model-service");
	assert_int_equal(slice->family, 4);
	assert_int_equal(slice->n_ports, 2);
	assert_int_equal(slice->ports[1].port, 8080);
	assert_int_equal(slice->ports[1].proto, IPPROTO_UDP);
	assert_int_equal(slice->n_endpoints, 3);
	assert_string_equal(text_of(&slice->endpoints[0].addr), "10.244.1.11");
	assert_string_equal(slice->endpoints[0].node_name, "node-1");
	assert_string_equal(slice->endpoints[0].pod_name, "ai-model-1");
	assert_true(slice->endpoints[1].ready); /* not said */
	assert_true(slice->endpoints[1].serving);
	assert_false(slice->endpoints[1].terminating);
	assert_false(slice->endpoints[2].ready);
	assert_true(slice->endpoints[2].serving);
	assert_true(slice->endpoints[2].terminating);
	assert_int_equal(slice->endpoints[2].n_zone_hints, 2);
	assert_string_equal(slice->endpoints[2].zone_hints[1], "zone-b");
	assert_int_equal(slice->endpoints[2].n_node_hints, 1);
	assert_string_equal(slice->endpoints[2].node_hints[0], "node-2");

	slice = &got.objects[2].slice;
	assert_int_equal(slice->family, 6);
	assert_int_equal(slice->triggered_ns, 1738324800500000000LL);
	assert_string_equal(text_of(&slice->endpoints[2].addr), "fd00:10:244:2::13");
	assert_null(slice->endpoints[2].pod_name);
}

TEST(reads_node_and_service_cidr)
{
	const struct node *node;
	const struct service_cidr *c;

	read_data(DATA "cluster.yaml");
	noted("");
	assert_int_equal(got.n, 2);
	assert_int_equal(got.others, 1);
	node = &got.objects[0].node;
	assert_string_equal(node->meta.namespace, "");
	assert_string_equal(node->meta.name, "node-1");
	assert_string_equal(node->zone, "zone-a");
	assert_int_equal(node->n_internal_ips, 2);
	assert_string_equal(text_of(&node->internal_ips[1]), "2001:db8::1");
	assert_int_equal(node->n_external_ips, 1);
	assert_string_equal(text_of(&node->external_ips[0]), "203.0.113.1");
	assert_int_equal(node->n_pod_cidrs, 2);
	assert_string_equal(cidr_of(&node->pod_cidrs[0]), "10.244.1.0/24");
	assert_true(node->doomed);
	assert_false(node->deleting);
	c = &got.objects[1].service_cidr;
	assert_int_equal(c->n_cidrs, 2);
	assert_string_equal(cidr_of(&c->cidrs[1]), "fd00:10:96::/112");
}

TEST(reads_a_json_list)
{
	read_data(DATA "json/ai-model-service.json");
	noted("");
	assert_int_equal(got.n, 2);
	assert_string_equal(got.objects[0].service.ports[0].name, "");
	assert_string_equal(got.objects[0].meta.origin, "test.yaml:5");
	assert_int_equal(got.objects[1].slice.n_endpoints, 3);
	assert_string_equal(got.objects[1].slice.ports[0].name, "");
}

/* The API client's trees give the same objects. */
TEST(reads_cjson_trees_alike)
{
	static const char text[] = SERVICE(
		"\"clusterIP\": \"10.0.0.1\", \"ports\": [{\"port\": 80, \"name\": \"a\", "
		"\"nodePort\": 30080}], \"sessionAffinity\": \"ClientIP\", \"externalIPs\": "
		"[\"192.0.2.7\", null], \"type\": \"NodePort\"");
	static const char json[] =
		"{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"web\"},\"spec\":"
		"{\"clusterIP\":\"10.0.0.1\",\"ports\":[{\"port\":80,\"name\":\"a\",\"nodePort\":30080}],"
		"\"sessionAffinity\":\"ClientIP\",\"externalIPs\":[\"192.0.2.7\",null],\"type\":\"NodePort\"}}";
	struct decode_input input = { 0 };
	struct decode_report report = { 0 };
	struct object object;
	cJSON *tree = cJSON_Parse(json);

	read_yaml(text);
	assert_int_equal(decode_object(value_of_json(tree), &input, &report, &object),
			 DECODE_OBJECT);
	assert_int_equal(report.notes.n, 0);
	assert_true(object_equal(&object, the_object(OBJECT_SERVICE)));
	assert_int_equal(object.service.ports[0].node_port, 30080);
	object_done(&object);
	cJSON_ReplaceItemInObject(cJSON_GetObjectItem(tree, "spec"), "clusterIP",
				  cJSON_CreateNumber(7));
	assert_int_equal(decode_object(value_of_json(tree), &input, &report, &object), -EINVAL);
	assert_string_equal(buf_str(&report.notes.text),
			    "spec.clusterIP is 7: it must be text, so write it in quotes");
	decode_report_done(&report);
	cJSON_Delete(tree);
	assert_int_equal(value_type(value_of_json(NULL)), VALUE_NONE);
}

/* ---- kinds and names --------------------------------------------------------------------------------------- */

TEST(passes_over_other_kinds)
{
	read_yaml(
		"{apiVersion: v1, kind: Secret, metadata: {name: x}, data: 3}\n---\n"
		"{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: x}}\n---\n"
		"{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: x}}\n---\n"
		"{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: x}}\n---\n"
		"{apiVersion: example.com/v1, kind: AllowList, spec: {}}\n");
	noted("");
	assert_int_equal(got.others, 5);
	assert_int_equal(got.n, 0);
}

TEST(asks_for_kind_and_version)
{
	refuses("{kind: Service}",
		"apiVersion is missing: every document begins with apiVersion and kind\n");
	refuses("{apiVersion: v1}",
		"kind is missing: every document begins with apiVersion and kind\n");
	refuses("{apiVersion: v1, kind: 3}", "kind is 3: it must be text, so write it in quotes\n");
	refuses("{apiVersion: discovery.k8s.io/v1beta1, kind: EndpointSlice}",
		"apiVersion is \"discovery.k8s.io/v1beta1\": EndpointSlice is read as discovery.k8s.io/v1 only\n");
	refuses("{apiVersion: v2, kind: Node}", "apiVersion is \"v2\": Node is read as v1 only\n");
}

TEST(asks_for_names)
{
	refuses("{apiVersion: v1, kind: Service}", "metadata is missing: give the object a name\n");
	refuses("{apiVersion: v1, kind: Service, metadata: [1]}",
		"metadata is a list: it must be a map\n");
	refuses(META("namespace: x"), "metadata.name is missing: give the object a name\n");
	refuses(META("name: 80"), "metadata.name is 80: it must be text, so write it in quotes\n");
	refuses(META("name: yes"),
		"metadata.name is true: it must be text, so write it in quotes\n");
	refuses(META("name: Web"),
		"metadata.name is \"Web\": a name is at most 63 lower-case letters, digits and '-'\n");
	refuses(META("name: a, namespace: a/b"),
		"metadata.namespace is \"a/b\": a name is at most 63 lower-case letters, digits and '-'\n");
	refuses(META("name: \"a\\e[31mb\""),
		"metadata.name is \"a?[31mb\": it must be text of one line\n");
	refuses(META("name: a234567890123456789012345678901234567890123456789012345678901234"),
		"metadata.name is \"a23456789012345678901234567890123456789012...\": "
		"a name is at most 63 lower-case letters, digits and '-'\n");
	read_yaml(META("name: web, namespace: shop"));
	assert_string_equal(the_service()->meta.namespace, "shop");
	read_yaml("{apiVersion: v1, kind: Node, metadata: {name: n.example.org, namespace: x}}");
	assert_string_equal(the_object(OBJECT_NODE)->meta.namespace, "");
}

TEST(takes_the_uid_of_the_api_only)
{
	read_yaml(META("name: web, uid: abc"));
	assert_null(the_service()->meta.uid);
	read_as_api(META("name: web, uid: abc"));
	assert_string_equal(the_service()->meta.uid, "abc");
}

/* ---- Service ----------------------------------------------------------------------------------------------- */

TEST(names_object_field_and_remedy)
{
	refuses("{apiVersion: v1, kind: Service, metadata: {name: ai-model-service}, "
		"spec: {clusterIP: 10.0.0.1, ports: [{port: 70000}]}}",
		"Service default/ai-model-service: spec.ports[0].port is 70000: a port is 1 to 65535\n");
}

TEST(checks_ports)
{
	refuses(SERVICE("clusterIP: 10.0.0.1, ports: [{port: 80}, {port: 0, name: b}]"),
		"Service default/web: spec.ports[1].port is 0: a port is 1 to 65535\n");
	refuses(SERVICE("clusterIP: 10.0.0.1, ports: [{port: 80.5}]"),
		"Service default/web: spec.ports[0].port is 80.5: a port is 1 to 65535\n");
	refuses(SERVICE("clusterIP: 10.0.0.1, ports: [{port: .nan}]"),
		"Service default/web: spec.ports[0].port is \".nan\": a port is a number of 1 to 65535, "
		"without quotes\n");
	refuses(SERVICE("clusterIP: 10.0.0.1, ports: [{port: 1e999}]"),
		"Service default/web: spec.ports[0].port is 1e999: a port is 1 to 65535\n");
	refuses(SERVICE("clusterIP: 10.0.0.1, ports: [{port: \"80\"}]"),
		"Service default/web: spec.ports[0].port is \"80\": a port is a number of 1 to 65535, without quotes\n");
	refuses(SERVICE("clusterIP: 10.0.0.1, ports: [{name: x}]"),
		"Service default/web: spec.ports[0].port is missing: a port is 1 to 65535\n");
	refuses(SERVICE("clusterIP: 10.0.0.1, ports: [80]"),
		"Service default/web: spec.ports[0] is 80: it must be a map\n");
	refuses(SERVICE("clusterIP: 10.0.0.1, ports: {port: 80}"),
		"Service default/web: spec.ports is a map: it must be a list, each element with \"- \"\n");
	refuses(SERVICE("clusterIP: 10.0.0.1"),
		"Service default/web: spec.ports is missing: name at least one port\n");
	refuses(SERVICE("clusterIP: 10.0.0.1, ports: [{port: 80, protocol: tcp}]"),
		"Service default/web: spec.ports[0].protocol is \"tcp\": did you mean TCP? it is one of TCP, UDP or SCTP\n");
	refuses(SERVICE("clusterIP: 10.0.0.1, ports: [{port: 80, nodePort: 65536}]"),
		"Service default/web: spec.ports[0].nodePort is 65536: a port is 0 to 65535\n");
	refuses(SERVICE("clusterIP: 10.0.0.1, ports: [{port: 80}, {port: 81}]"),
		"Service default/web: spec.ports has two ports without name: with several, name each\n");
	refuses(SERVICE("clusterIP: 10.0.0.1, ports: [{port: 80, name: a}, {port: 81, name: a}]"),
		"Service default/web: spec.ports has two ports with the name \"a\": rename one\n");
	read_yaml(SERVICE(
		"clusterIP: 10.0.0.1, ports: [{port: 53, name: a, protocol: TCP}, "
		"{port: 53, name: a, protocol: UDP}, {port: 53, protocol: SCTP, targetPort: web}]"));
	noted("");
	assert_int_equal(the_service()->n_ports, 3);
	assert_int_equal(the_service()->ports[2].proto, IPPROTO_SCTP);
}

TEST(finds_cluster_addresses)
{
	read_yaml(SERVICE("clusterIP: 10.0.0.041, " PORT80));
	assert_int_equal(the_service()->n_cluster_ips, 1);
	assert_string_equal(text_of(&the_service()->cluster_ips[0]),
			    "10.0.0.41"); /* decimal, not octal */
	read_yaml(SERVICE("clusterIPs: [\"fd00::1\", 10.0.0.1], " PORT80));
	assert_int_equal(the_service()->n_cluster_ips, 2);
	assert_string_equal(text_of(&the_service()->cluster_ips[0]), "fd00::1");
	/* the second has no family, so it does not exist */
	read_yaml(SERVICE(
		"clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, \"fd00::1\"], ipFamilies: [IPv4], " PORT80));
	assert_int_equal(the_service()->n_cluster_ips, 1);
	noted("Service default/web: spec.clusterIPs[1] is ignored: spec.ipFamilies names no family for it\n");
	/* two families asked for, one address given: that one is served */
	read_yaml(SERVICE("clusterIP: 10.0.0.1, ipFamilies: [IPv4, IPv6], " PORT80));
	assert_int_equal(the_service()->n_cluster_ips, 1);
	noted("");
	refuses(SERVICE("clusterIPs: [10.0.0.1], ipFamilies: [IPv6], " PORT80),
		"Service default/web: spec.clusterIPs[0] is \"10.0.0.1\": spec.ipFamilies says IPv6\n");
	refuses(SERVICE("clusterIPs: [10.0.0.1, 10.0.0.2], " PORT80),
		"Service default/web: spec.clusterIPs[1] is \"10.0.0.2\": a Service has one address of each family\n");
	refuses(SERVICE("clusterIP: 10.0.0.256, " PORT80),
		"Service default/web: spec.clusterIP is \"10.0.0.256\": it must be an IP address or `None`\n");
	refuses(SERVICE("clusterIP: 1.5, " PORT80),
		"Service default/web: spec.clusterIP is 1.5: it must be text, so write it in quotes\n");
	serves(SERVICE("clusterIP: 10.0.0.9, clusterIPs: [10.0.0.1], " PORT80),
	       "Service default/web: spec.clusterIP is not the first of spec.clusterIPs and ignored: make them equal\n");
	assert_string_equal(text_of(&the_service()->cluster_ips[0]), "10.0.0.1");
}

TEST(asks_for_a_cluster_address)
{
	static const char note[] =
		"Service default/web: spec.clusterIP is missing: give it an address, or `None`\n";

	refuses(SERVICE(PORT80), note);
	refuses(SERVICE("clusterIP: \"\", " PORT80), note);
	refuses(SERVICE("clusterIP: null, clusterIPs: [], " PORT80), note);
	read_as_api(SERVICE(PORT80)); /* not allocated yet */
	noted("");
	assert_int_equal(the_service()->n_cluster_ips, 0);
}

TEST(knows_services_without_cluster_address)
{
	read_yaml(SERVICE("clusterIP: None, clusterIPs: [None]"));
	noted("");
	assert_int_equal(the_service()->n_cluster_ips, 0);
	read_yaml(SERVICE("clusterIPs: [None], " PORT80));
	noted("");
	assert_int_equal(the_service()->n_cluster_ips, 0);
	read_yaml(SERVICE(
		"type: ExternalName, externalName: a.example, clusterIP: 10.0.0.1, " PORT80));
	noted("");
	assert_int_equal(the_service()->type, SERVICE_EXTERNAL_NAME);
	assert_int_equal(the_service()->n_cluster_ips, 0); /* a stale one does not count */
}

TEST(takes_only_cluster_ip_of_old_api_objects)
{
	read_as_api(SERVICE("clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, \"fd00::1\"], " PORT80));
	assert_int_equal(the_service()->n_cluster_ips, 1);
	read_as_api(SERVICE("clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, \"fd00::1\"], "
			    "ipFamilies: [IPv4, IPv6], " PORT80));
	assert_int_equal(the_service()->n_cluster_ips, 2);
}

TEST(reads_affinity)
{
	read_yaml(SERVICE("clusterIP: 10.0.0.1, sessionAffinity: ClientIP, " PORT80));
	assert_int_equal(the_service()->affinity_s, 10800);
	read_yaml(SERVICE("clusterIP: 10.0.0.1, sessionAffinity: ClientIP, " PORT80
			  ", sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}"));
	assert_int_equal(the_service()->affinity_s, 60);
	read_yaml(SERVICE("clusterIP: 10.0.0.1, sessionAffinity: None, " PORT80
			  ", sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}"));
	assert_int_equal(the_service()->affinity_s, 0);
	refuses(SERVICE("clusterIP: 10.0.0.1, sessionAffinity: ClientIP, " PORT80
			", sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}"),
		"Service default/web: spec.sessionAffinityConfig.clientIP.timeoutSeconds is 86401: "
		"the time in seconds is 1 to 86400\n");
	refuses(SERVICE("clusterIP: 10.0.0.1, sessionAffinity: clientip, " PORT80),
		"Service default/web: spec.sessionAffinity is \"clientip\": did you mean ClientIP? it is one of "
		"None or ClientIP\n");
}

TEST(reads_policies)
{
	const struct service *s;

	read_yaml(SERVICE("clusterIP: 10.0.0.1, type: LoadBalancer, internalTrafficPolicy: Local, "
			  "externalTrafficPolicy: Local, healthCheckNodePort: 30000, " PORT80));
	s = the_service();
	assert_int_equal(s->type, SERVICE_LOAD_BALANCER);
	assert_int_equal(s->internal_policy, POLICY_LOCAL);
	assert_int_equal(s->external_policy, POLICY_LOCAL);
	assert_int_equal(s->health_check_node_port, 30000);
	read_yaml(SERVICE("clusterIP: 10.0.0.1, type: NodePort, externalTrafficPolicy: Local, "
			  "healthCheckNodePort: 30000, " PORT80));
	assert_int_equal(the_service()->external_policy, POLICY_LOCAL);
	assert_int_equal(the_service()->health_check_node_port, 0); /* load balancers only */
	read_yaml(SERVICE(
		"clusterIP: 10.0.0.1, type: LoadBalancer, healthCheckNodePort: 30000, " PORT80));
	assert_int_equal(the_service()->health_check_node_port, 0); /* policy Local only */
	read_yaml(SERVICE("clusterIP: 10.0.0.1, externalTrafficPolicy: Local, " PORT80));
	assert_int_equal(the_service()->external_policy,
			 POLICY_CLUSTER); /* not reached from outside */
	read_yaml(SERVICE(
		"clusterIP: 10.0.0.1, externalTrafficPolicy: Local, externalIPs: [192.0.2.1], " PORT80));
	assert_int_equal(the_service()->external_policy, POLICY_LOCAL);
	refuses(SERVICE("clusterIP: 10.0.0.1, internalTrafficPolicy: local, " PORT80),
		"Service default/web: spec.internalTrafficPolicy is \"local\": did you mean Local? it is one of "
		"Cluster or Local\n");
	read_as_api(SERVICE("clusterIP: 10.0.0.1, internalTrafficPolicy: Nearest, " PORT80));
	assert_int_equal(the_service()->internal_policy, POLICY_CLUSTER);
	noted("Service default/web: spec.internalTrafficPolicy is \"Nearest\", which is not known here\n");
}

TEST(reads_addresses_from_outside)
{
	const struct service *s;

	read_yaml(
		"{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.0.0.1, "
		"type: LoadBalancer, externalIPs: [192.0.2.010, oops, \"2001:db8::9\"], " PORT80
		", "
		"loadBalancerSourceRanges: [\" 10.0.0.0/008\\t\", 192.0.2.0, \"2001:db8::/32\"]}, "
		"status: {loadBalancer: {ingress: [{ip: 203.0.113.1}, {ip: 203.0.113.2, ipMode: VIP}, "
		"{ip: 203.0.113.3, ipMode: Proxy}, {hostname: lb.example}, {ip: \"2001:db8::1\", ports: []}]}}}");
	s = the_service();
	noted("Service default/web: spec.externalIPs[1] is \"oops\", not an IP address, and ignored: "
	      "write it as 10.0.0.1 or fd00::1; spec.loadBalancerSourceRanges[1] is \"192.0.2.0\", "
	      "not a CIDR, and ignored: write it as 10.0.0.0/8\n");
	assert_int_equal(s->n_external_ips, 2);
	assert_string_equal(text_of(&s->external_ips[0]), "192.0.2.10");
	assert_int_equal(s->n_source_ranges, 2);
	assert_string_equal(cidr_of(&s->source_ranges[0]), "10.0.0.0/8");
	assert_int_equal(s->n_lb_ips, 3);
	assert_string_equal(text_of(&s->lb_ips[1]), "203.0.113.2");
	assert_string_equal(text_of(&s->lb_ips[2]), "2001:db8::1");
}

TEST(reads_labels_and_annotations)
{
	read_yaml(META("name: web, labels: {service.kubernetes.io/service-proxy-name: \"\"}"));
	assert_true(the_service()->skip);
	read_yaml(META("name: web, labels: {service.kubernetes.io/headless: \"\"}"));
	assert_false(the_service()->skip);
	read_yaml(META("name: web, annotations: {sluice.dev/skip: \"true\"}"));
	assert_true(the_service()->skip);
	read_yaml(META("name: web, annotations: {sluice.dev/skip: \"false\"}"));
	assert_false(the_service()->skip);
	read_yaml(META("name: web, annotations: {sluice.dev/algorithm: least-connections}"));
	assert_int_equal(the_service()->algorithm, BALANCE_LEAST_CONN);
	read_yaml(META("name: web, annotations: {sluice.dev/algorithm: maglev}"));
	assert_int_equal(the_service()->algorithm, BALANCE_MAGLEV);
	serves(META("name: web, annotations: {sluice.dev/algorithm: magleb}"),
	       "Service default/web: metadata.annotations[sluice.dev/algorithm] is \"magleb\" and ignored: "
	       "did you mean maglev? it is one of random, maglev or least-connections\n");
	assert_int_equal(the_service()->algorithm, BALANCE_RANDOM);
	read_yaml(META("name: web, creationTimestamp: 2025-01-31T12:00:00Z"));
	assert_int_equal(the_service()->created_s, 1738324800);
	read_yaml(META("name: web, creationTimestamp: null"));
	noted("");
	assert_int_equal(the_service()->created_s, 0);
}

TEST(notes_misspelt_fields_and_serves)
{
	serves(SERVICE("clusterIP: 10.0.0.1, sesionAffinity: ClientIP, zzz: 1, "
		       "ports: [{port: 80, targtPort: 8080}]"),
	       "Service default/web: spec.sesionAffinity is unknown and ignored: did you mean sessionAffinity?; "
	       "spec.zzz is unknown and ignored: remove it; "
	       "spec.ports[0].targtPort is unknown and ignored: did you mean targetPort?\n");
	assert_int_equal(the_service()->affinity_s, 0);
	serves(META("name: web, label: {a: b}"),
	       "Service default/web: metadata.label is unknown and ignored: did you mean labels?\n");
	read_as_api(SERVICE("clusterIP: 10.0.0.1, newInNextRelease: 1, " PORT80));
	noted("");
	serves("{apiVersion: v1, kind: Node, metadata: {name: n}, spec: {podCIDRS: []}}",
	       "Node n: spec.podCIDRS is unknown and ignored: did you mean podCIDRs?\n");
	serves("{apiVersion: networking.k8s.io/v1, kind: ServiceCIDR, metadata: {name: c}, spec: {cidr: []}}",
	       "ServiceCIDR c: spec.cidr is unknown and ignored: did you mean cidrs?\n");
}

TEST(keeps_messages_short_and_printable)
{
	struct buf text = { 0 };
	int i;

	buf_puts(
		&text,
		"{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.0.0.1, " PORT80);
	for (i = 0; i < 12; i++)
		buf_printf(&text, ", \"x\\e%d\": 1", i);
	for (i = 0; i < 300; i++)
		buf_puts(&text, i ? "y" : ", y");
	buf_puts(&text, ": 1}}");
	read_yaml(buf_str(&text));
	buf_done(&text);
	assert_non_null(strstr(buf_str(&got.notes), "spec.x?7 is unknown"));
	assert_null(strstr(buf_str(&got.notes), "x?8")); /* eight are enough */
	assert_null(strchr(buf_str(&got.notes), '\x1b'));
	assert_true(got.notes.len < 1000);
	assert_int_equal(got.n, 1);
}

/* ---- EndpointSlice ----------------------------------------------------------------------------------------- */

TEST(reads_slice_ports)
{
	read_yaml(SLICE(
		"addressType: IPv4, ports: [{port: 1}, {name: null, port: 2}, {name: \"\", port: 3}, "
		"{name: a}, {name: b, port: 0}, {name: c, port: 6, protocol: UDP}]"));
	assert_int_equal(the_slice()->n_ports, 2);
	assert_string_equal(the_slice()->ports[0].name, "");
	assert_int_equal(the_slice()->ports[0].port, 3);
	assert_int_equal(the_slice()->ports[0].proto, IPPROTO_TCP);
	assert_int_equal(the_slice()->ports[1].proto, IPPROTO_UDP);
	noted("EndpointSlice default/web-1: "
	      "ports[0].name is missing, so the port is ignored: write the Service port's name, or \"\" if it has none; "
	      "ports[1].name is missing, so the port is ignored: write the Service port's name, or \"\" if it has none; "
	      "ports[3].port is missing, so the port is ignored: a port is 1 to 65535; "
	      "ports[4].port is missing, so the port is ignored: a port is 1 to 65535\n");
	refuses(SLICE("addressType: IPv4, ports: [{name: a, port: 70000}]"),
		"EndpointSlice default/web-1: ports[0].port is 70000: a port is 0 to 65535; "
		"ports[0].port is missing, so the port is ignored: a port is 1 to 65535\n");
	read_yaml(SLICE("addressType: IPv4, ports: null, endpoints: null"));
	noted("");
	assert_int_equal(the_slice()->n_ports, 0);
}

TEST(reads_endpoints)
{
	const struct endpoint *e;

	read_yaml(SLICE(
		"addressType: IPv4, endpoints: ["
		"{addresses: [10.1.0.007, 10.1.0.8], conditions: {ready: null, serving: false, terminating: true}}, "
		"{addresses: []}, {}, {addresses: [\"fd00::1\"]}, {addresses: [pod.example]}, "
		"{addresses: [10.1.0.9], conditions: {ready: false}, nodeName: null, "
		"hints: {forZones: [{name: a}]}}]"));
	assert_int_equal(the_slice()->n_endpoints, 2);
	e = the_slice()->endpoints;
	assert_string_equal(text_of(&e[0].addr), "10.1.0.7");
	assert_true(e[0].ready);
	assert_false(e[0].serving);
	assert_true(e[0].terminating);
	assert_false(e[1].ready);
	assert_true(e[1].serving);
	assert_null(e[1].node_name);
	assert_int_equal(e[1].n_zone_hints, 1);
	assert_int_equal(e[1].n_node_hints, 0);
	noted("EndpointSlice default/web-1: "
	      "endpoints[1].addresses is empty, so the endpoint is ignored: give its address; "
	      "endpoints[2].addresses is empty, so the endpoint is ignored: give its address; "
	      "endpoints[3].addresses[0] is \"fd00::1\", so the endpoint is ignored: addressType says IPv4; "
	      "endpoints[4].addresses[0] is \"pod.example\", not an IP address, and ignored: "
	      "write it as 10.0.0.1 or fd00::1\n");
	refuses(SLICE("addressType: IPv4, endpoints: [{addresses: [10.1.0.1], conditions: {ready: \"true\"}}]"),
		"EndpointSlice default/web-1: endpoints[0].conditions.ready is \"true\": it must be true or false, "
		"without quotes\n");
	refuses(SLICE("addressType: IPv4, endpoints: [{addresses: 10.1.0.1}]"),
		"EndpointSlice default/web-1: endpoints[0].addresses is \"10.1.0.1\": it must be a list, each element "
		"with \"- \"\n");
}

TEST(reads_address_types)
{
	read_yaml(SLICE(
		"addressType: FQDN, endpoints: [{addresses: [db.example]}], ports: [{name: a, port: 1}]"));
	noted("");
	assert_int_equal(the_slice()->family, 0);
	assert_int_equal(the_slice()->n_endpoints, 0);
	refuses(SLICE("endpoints: []"),
		"EndpointSlice default/web-1: addressType is missing: it is one of IPv4, IPv6 or FQDN\n");
	refuses(SLICE("addressType: ipv4"),
		"EndpointSlice default/web-1: addressType is \"ipv4\": did you mean IPv4? it is one of IPv4, IPv6 or FQDN\n");
	read_as_api(SLICE("addressType: IPv9"));
	assert_int_equal(the_slice()->family, 0);
}

TEST(asks_for_the_service_of_a_slice)
{
	static const char note[] =
		"EndpointSlice default/a: metadata.labels[kubernetes.io/service-name] is missing, "
		"so the slice is ignored: write the name of its Service\n";

	serves("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a}, addressType: IPv4}",
	       note);
	assert_null(the_slice()->service);
	serves("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, "
	       "metadata: {name: a, labels: {kubernetes.io/service-name: \"\"}}}",
	       note);
	assert_null(the_slice()->service);
	serves(SLICE("addressType: IPv4, endpoint: [], adressType: IPv4"),
	       "EndpointSlice default/web-1: endpoint is unknown and ignored: did you mean endpoints?; "
	       "adressType is unknown and ignored: did you mean addressType?\n");
}

/* ---- Node, ServiceCIDR ------------------------------------------------------------------------------------- */

TEST(reads_old_pod_cidr_and_deletion)
{
	read_yaml(
		"{apiVersion: v1, kind: Node, metadata: {name: n1, deletionTimestamp: 2025-01-31T12:00:00Z}, "
		"spec: {podCIDR: 10.1.0.0/24, taints: [{key: other}]}}");
	assert_true(the_object(OBJECT_NODE)->node.deleting);
	assert_false(the_object(OBJECT_NODE)->node.doomed);
	assert_null(the_object(OBJECT_NODE)->node.zone);
	assert_int_equal(the_object(OBJECT_NODE)->node.n_pod_cidrs, 1);
	assert_string_equal(cidr_of(&the_object(OBJECT_NODE)->node.pod_cidrs[0]), "10.1.0.0/24");
	serves(NODE("spec: {podCIDR: 10.1.0.0}, status: {addresses: [{type: InternalIP, address: x}, {type: Hostname}]}"),
	       "Node n1: spec.podCIDR is not a CIDR and ignored: write it as 10.0.0.0/24; "
	       "status.addresses[0].address is \"x\", not an IP address, and ignored: write it as 10.0.0.1 or fd00::1\n");
	refuses("{apiVersion: networking.k8s.io/v1, kind: ServiceCIDR, metadata: {name: c}}",
		"ServiceCIDR c: spec is missing: give it cidrs\n");
}

/* ---- lists, times, comparison ------------------------------------------------------------------------------ */

TEST(reads_lists)
{
	read_yaml("apiVersion: v1\nkind: ServiceList\nitems:\n"
		  "- metadata: {name: a}\n  spec: {clusterIP: None}\n"
		  "- metadata: {name: b}\n  spec: {clusterIP: 10.0.0.1, ports: [{port: 1}]}\n");
	noted("");
	assert_int_equal(got.n, 2);
	assert_string_equal(got.objects[1].meta.name, "b");
	assert_string_equal(got.objects[1].meta.origin, "test.yaml:6");
	read_yaml("{apiVersion: v1, kind: List, items: [" SERVICE(
		"clusterIP: None") ", {apiVersion: v1, kind: Pod}, "
				   "{apiVersion: v1, kind: List, items: [" NODE("spec: {}") "]}]}");
	noted("");
	assert_int_equal(got.n, 2);
	assert_int_equal(got.others, 1);
	read_yaml("{apiVersion: v1, kind: PodList, items: [{metadata: {name: a}}]}");
	assert_int_equal(got.others, 1);
	read_yaml("{apiVersion: v1, kind: List, items: null}");
	noted("");
	read_yaml("{apiVersion: v1, kind: List}");
	noted("items is missing: a List has items\n");
	read_yaml("{apiVersion: v1, kind: List, items: 3}");
	noted("items is 3: it must be a list, each element with \"- \"\n");
	read_yaml(
		"{kind: List, items: [{kind: List, items: [{kind: List, items: [{kind: List, items: "
		"[{kind: List, items: []}]}]}]}]}");
	noted("lists are more than 4 inside each other\n");
	read_yaml("{apiVersion: v1, kind: List, items: [3]}");
	noted("an object is a map that begins with apiVersion and kind\n");
}

TEST(reads_times)
{
	int64_t ns = 7;

	assert_int_equal(decode_time("1970-01-01T00:00:00Z", &ns), 0);
	assert_int_equal(ns, 0);
	assert_int_equal(decode_time("2024-02-29T23:59:60.123456789Z", &ns), 0);
	assert_int_equal(ns, 1709251200123456789LL);
	assert_int_equal(decode_time("2000-03-01t00:00:00.5+01:30", &ns), 0);
	assert_int_equal(ns, 951863400500000000LL);
	assert_int_equal(decode_time("2000-03-01 00:00:00-00:01", &ns), 0);
	assert_int_equal(ns, 951868860000000000LL);
	assert_int_equal(decode_time("2261-12-31T23:59:59.9999999999999Z", &ns), 0);
	assert_int_equal(ns, 9214646399999999999LL);
	ns = 7;
	assert_int_equal(decode_time("", &ns), -EINVAL);
	assert_int_equal(decode_time("2024-13-01T00:00:00Z", &ns), -EINVAL);
	assert_int_equal(decode_time("2024-12-01T24:00:00Z", &ns), -EINVAL);
	assert_int_equal(decode_time("2024-12-01T00:00:00", &ns), -EINVAL);
	assert_int_equal(decode_time("2024-12-01T00:00:00Zx", &ns), -EINVAL);
	assert_int_equal(decode_time("2024-12-01T00:00:00.Z", &ns), -EINVAL);
	assert_int_equal(decode_time("2300-12-01T00:00:00Z", &ns), -EINVAL);
	assert_int_equal(decode_time("1969-12-31T23:59:59Z", &ns), -EINVAL);
	assert_int_equal(ns, 7);
}

/* Any change of one field of these makes another object; the place it was read at does not. */
TEST(compares_objects)
{
	static const char base[] =
		"apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
		"spec: {clusterIP: 10.0.0.1, type: LoadBalancer, externalIPs: [192.0.2.1], sessionAffinity: ClientIP,\n"
		"  loadBalancerSourceRanges: [10.0.0.0/8], externalTrafficPolicy: Local, healthCheckNodePort: 30000,\n"
		"  ports: [{name: a, port: 80, nodePort: 30080}]}\n"
		"status: {loadBalancer: {ingress: [{ip: 203.0.113.1}]}}\n"
		"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n"
		"metadata: {name: web-1, labels: {kubernetes.io/service-name: web},\n"
		"  annotations: {endpoints.kubernetes.io/last-change-trigger-time: 2025-01-31T12:00:00.5Z}}\n"
		"ports: [{name: a, port: 8080}]\n"
		"endpoints: [{addresses: [10.1.0.1], nodeName: n1, zone: u, hints: {forZones: [{name: z}], forNodes: [{name: y}]}}]\n"
		"---\napiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {topology.kubernetes.io/zone: z}}\n"
		"spec: {podCIDRs: [10.1.0.0/24], taints: [{key: ToBeDeletedByClusterAutoscaler}]}\n"
		"status: {addresses: [{type: InternalIP, address: 192.0.2.2}, {type: ExternalIP, address: 192.0.2.3}]}\n"
		"---\napiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\nmetadata: {name: c}\nspec: {cidrs: [10.0.0.0/16]}\n";
	static const struct {
		const char *from, *to;
		int object;
	} changes[] = {
		{ "10.0.0.1,", "10.0.0.2,", 0 },
		{ "LoadBalancer", "NodePort", 0 },
		{ "[192.0.2.1]", "[192.0.2.9]", 0 },
		{ "ClientIP", "None", 0 },
		{ "[10.0.0.0/8]", "[10.0.0.0/9]", 0 },
		{ "Local", "Cluster", 0 },
		{ "30000", "30001", 0 },
		{ "port: 80,", "port: 81,", 0 },
		{ "30080", "30081", 0 },
		{ "203.0.113.1", "203.0.113.2", 0 },
		{ "{name: a, port: 80,", "{name: b, port: 80,", 0 },
		{ "service-name: web", "service-name: bew", 1 },
		{ "12:00:00.5Z", "12:00:00.6Z", 1 },
		{ "port: 8080", "port: 8081", 1 },
		{ "10.1.0.1]", "10.1.0.2]", 1 },
		{ "nodeName: n1", "nodeName: n2", 1 },
		{ "zone: u", "zone: v", 1 },
		{ "name: y}", "name: x}", 1 },
		{ "forZones", "forNones", 1 },
		{ "zone: z}", "zone: y}", 2 },
		{ "10.1.0.0/24", "10.1.0.0/25", 2 },
		{ "ToBeDeleted", "ToBe", 2 },
		{ "192.0.2.2", "192.0.2.4", 2 },
		{ "192.0.2.3", "192.0.2.4", 2 },
		{ "10.0.0.0/16", "10.0.0.0/15", 3 },
		{ "addressType", "\n\naddressType", -1 },
	};
	struct object before[4];
	size_t i;
	int j;

	for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct buf text = { 0 };
		const char *at = strstr(base, changes[i].from);

		assert_non_null(at);
		buf_put(&text, base, (size_t)(at - base));
		buf_puts(&text, changes[i].to);
		buf_puts(&text, at + strlen(changes[i].from));
		read_yaml(base);
		assert_int_equal(got.n, 4);
		memcpy(before, got.objects, sizeof(before));
		got.n = 0;
		read_yaml(buf_str(&text));
		assert_int_equal(got.n, 4);
		for (j = 0; j < 4; j++) {
			if (object_equal(&before[j], &got.objects[j]) != (j != changes[i].object))
				fail_msg("change of %s: object %d", changes[i].from, j);
			object_done(&before[j]);
		}
		buf_done(&text);
	}
}

/* ---- memory ------------------------------------------------------------------------------------------------ */

TEST(survives_lack_of_memory)
{
	static const char text[] =
		"{apiVersion: v1, kind: Service, metadata: {name: web, uid: u}, spec: {clusterIP: 10.0.0.1, "
		"ports: [{port: 80, name: a}, {port: 81, name: b}], externalIPs: [192.0.2.1, x], prots: 1, "
		"loadBalancerSourceRanges: [10.0.0.0/8]}, status: {loadBalancer: {ingress: [{ip: 203.0.113.1}]}}}";
	static const char slice[] = SLICE(
		"addressType: IPv4, ports: [{name: a, port: 1}], endpoints: [{addresses: [10.0.0.1], "
		"targetRef: {name: p}, nodeName: n, zone: z, hints: {forZones: [{name: a}, {name: b}]}}]");
	static const char node[] =
		"{apiVersion: v1, kind: Node, metadata: {name: n, labels: {topology.kubernetes.io/zone: z}}, "
		"spec: {podCIDRs: [x], podCIDR: 10.0.0.0/8}, status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}}";
	static const char *const texts[] = { text, slice, node };
	size_t i;
	unsigned n;
	int rc;

	for (i = 0; i < 3; i++) {
		for (n = 1;; n++) {
			forget();
			assert_int_equal(buf_reserve(&got.notes, 4096),
					 0); /* ours is not under test */
			failmalloc_at(n);
			rc = manifest_read(texts[i], strlen(texts[i]), false, &handler);
			if (!failmalloc_done())
				break;
			assert_int_equal(rc, -ENOMEM);
			assert_int_equal(got.n, 0);
		}
		assert_int_equal(rc, 0);
		assert_int_equal(got.n, 1);
		assert_in_range(n, 50, 2000);
	}
	forget();
}

static int teardown(void **state)
{
	(void)state;
	forget();
	return 0;
}

#define T(name) cmocka_unit_test_teardown(name, teardown)

RUN(T(reads_the_model_service), T(reads_node_and_service_cidr), T(reads_a_json_list),
    T(reads_cjson_trees_alike), T(passes_over_other_kinds), T(asks_for_kind_and_version),
    T(asks_for_names), T(takes_the_uid_of_the_api_only), T(names_object_field_and_remedy),
    T(checks_ports), T(finds_cluster_addresses), T(asks_for_a_cluster_address),
    T(knows_services_without_cluster_address), T(takes_only_cluster_ip_of_old_api_objects),
    T(reads_affinity), T(reads_policies), T(reads_addresses_from_outside),
    T(reads_labels_and_annotations), T(notes_misspelt_fields_and_serves),
    T(keeps_messages_short_and_printable), T(reads_slice_ports), T(reads_endpoints),
    T(reads_address_types), T(asks_for_the_service_of_a_slice), T(reads_old_pod_cidr_and_deletion),
    T(reads_lists), T(reads_times), T(compares_objects), T(survives_lack_of_memory))
