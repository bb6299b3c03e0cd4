// SPDX-License-Identifier: GPL-2.0-only
// Objects: copies are deep and equal, share nothing, and free everything even when memory runs out
// half-way.
/* link: user/core/model.c user/core/model_ingress.c */
#include "unit/test.h"

#include <errno.h>
#include <string.h>

#include "core/model_ingress.h"
#include "unit/failmalloc.h"

static char ns[] = "ns", name[] = "name", uid[] = "uid", origin[] = "f.yaml:3", zone[] = "zone",
	    port_name[] = "web";
static char *hints[] = { zone, name };

static struct address ips[2] = { { 4, { 10, 0, 0, 1 } }, { 6, { 0xfd } } };
static struct cidr cidrs[1] = { { { 4, { 10 } }, 8 } };
static struct service_port ports[2] = { { port_name, 6, 80, 0, APP_H2C },
					{ port_name, 17, 53, 30000, APP_UNKNOWN } };
static const struct service service = {
	.meta = { ns, name, uid, origin },
	.type = SERVICE_LOAD_BALANCER,
	.cluster_ips = ips,
	.n_cluster_ips = 2,
	.external_ips = ips,
	.n_external_ips = 1,
	.lb_ips = ips,
	.n_lb_ips = 1,
	.source_ranges = cidrs,
	.n_source_ranges = 1,
	.ports = ports,
	.n_ports = 2,
	.affinity_s = 60,
	.algorithm = BALANCE_MAGLEV,
	.created_s = 12345,
};

static struct endpoint endpoints[2] = {
	{ .addr = { 4, { 10, 0, 0, 9 } },
	  .node_name = name,
	  .zone = name,
	  .pod_name = name,
	  .ready = true,
	  .zone_hints = hints,
	  .n_zone_hints = 2,
	  .node_hints = hints,
	  .n_node_hints = 1 },
	{ .addr = { 4, { 10, 0, 0, 8 } }, .terminating = true },
};
static struct slice_port slice_ports[1] = { { port_name, 6, 8080 } };
static const struct endpoint_slice slice = {
	.meta = { ns, name, NULL, NULL },
	.service = name,
	.family = 4,
	.endpoints = endpoints,
	.n_endpoints = 2,
	.ports = slice_ports,
	.n_ports = 1,
	.triggered_ns = 99,
};

static const struct node node = {
	.meta = { NULL, name, NULL, NULL },
	.internal_ips = ips,
	.n_internal_ips = 2,
	.external_ips = ips,
	.n_external_ips = 1,
	.pod_cidrs = cidrs,
	.n_pod_cidrs = 1,
	.zone = zone,
	.doomed = true,
};

static const struct service_cidr service_cidr = { .meta = { NULL, name, NULL, NULL },
						  .cidrs = cidrs,
						  .n_cidrs = 1 };

static struct ingress_annotation annotations[] = { { name, zone } };
static struct ingress_path paths[] = { { name, INGRESS_EXACT, { zone, NULL, 80 } },
				       { NULL, INGRESS_PREFIX, { name, port_name, 0 } } };
static struct ingress_rule rules[] = { { name, paths, 2 }, { NULL, NULL, 0 } };
static struct ingress_tls tls[] = { { hints, 2, name }, { NULL, 0, NULL } };
static const struct ingress ingress = {
	.meta = { ns, name, uid, origin },
	.created_ns = 7,
	.class_name = zone,
	.annotations = annotations,
	.n_annotations = 1,
	.has_default = true,
	.default_backend = { name, port_name, 0 },
	.rules = rules,
	.n_rules = 2,
	.tls = tls,
	.n_tls = 2,
};

static const struct ingress_class ingress_class = { .meta = { NULL, name, NULL, NULL },
						    .controller = zone,
						    .is_default = true };

static unsigned char key[] = "a\0b";
static struct secret_item items[] = { { name, key, 3 }, { zone, NULL, 0 } };
static const struct secret secret = {
	.meta = { ns, name, uid, origin },
	.type = zone,
	.items = items,
	.n_items = 2,
};

TEST(ingresses_and_classes)
{
	struct ingress_class class = { 0 };
	struct ingress c = { 0 };

	assert_int_equal(ingress_copy(&ingress, &c), 0);
	assert_string_equal(c.class_name, "zone");
	assert_string_equal(ingress_annotation(&c, "name"), "zone");
	assert_null(ingress_annotation(&c, "zone"));
	assert_string_equal(c.default_backend.port_name, "web");
	assert_ptr_not_equal(c.rules[0].paths, paths);
	assert_string_equal(c.rules[0].paths[1].backend.port_name, "web");
	assert_int_equal(c.rules[0].paths[0].backend.port, 80);
	assert_string_equal(c.tls[0].hosts[1], "name");
	ingress_done(&c);
	ingress_done(NULL);
	assert_int_equal(ingress_class_copy(&ingress_class, &class), 0);
	assert_string_equal(class.controller, "zone");
	assert_true(class.is_default);
	ingress_class_done(&class);
	ingress_class_done(NULL);
}

TEST(secrets)
{
	struct secret c = { 0 };

	assert_int_equal(secret_copy(&secret, &c), 0);
	assert_ptr_not_equal(c.items[0].data, key);
	assert_memory_equal(secret_find(&c, "name")->data, key, 4);
	assert_int_equal(secret_find(&c, "zone")->len, 0);
	assert_null(secret_find(&c, "web"));
	secret_done(&c);
	secret_done(NULL);
}

TEST(services)
{
	struct service c = { 0 };

	assert_int_equal(service_copy(&service, &c), 0);
	assert_ptr_not_equal(c.meta.name, name);
	assert_string_equal(c.meta.name, "name");
	assert_string_equal(c.meta.origin, "f.yaml:3");
	assert_memory_equal(c.cluster_ips, ips, sizeof(ips));
	assert_ptr_not_equal(c.external_ips, c.lb_ips);
	assert_ptr_not_equal(c.ports[1].name, port_name);
	assert_string_equal(c.ports[1].name, "web");
	assert_int_equal(c.ports[1].node_port, 30000);
	assert_int_equal(c.created_s, 12345);
	assert_int_equal(c.algorithm, BALANCE_MAGLEV);
	service_done(&c);
	assert_null(c.ports);
	service_done(&c); /* twice is once */
	service_done(NULL);
}

TEST(slices)
{
	struct endpoint_slice c = { 0 };

	assert_int_equal(endpoint_slice_copy(&slice, &c), 0);
	assert_string_equal(c.service, "name");
	assert_string_equal(c.endpoints[0].zone_hints[0], "zone");
	assert_string_equal(c.endpoints[0].zone_hints[1], "name");
	assert_ptr_not_equal(c.endpoints[0].zone_hints[1], c.endpoints[0].node_hints[0]);
	assert_string_equal(c.endpoints[0].zone, "name");
	assert_ptr_not_equal(c.endpoints[0].zone, slice.endpoints[0].zone);
	assert_null(c.endpoints[1].node_name);
	assert_true(c.endpoints[1].terminating);
	assert_int_equal(c.ports[0].port, 8080);
	assert_int_equal(c.triggered_ns, 99);
	endpoint_slice_done(&c);
	endpoint_slice_done(NULL);
}

TEST(nodes_and_cidrs)
{
	struct service_cidr c = { 0 };
	struct node n = { 0 };

	assert_int_equal(node_copy(&node, &n), 0);
	assert_string_equal(n.zone, "zone");
	assert_true(n.doomed);
	assert_memory_equal(n.internal_ips, ips, sizeof(ips));
	node_done(&n);
	node_done(NULL);
	assert_int_equal(service_cidr_copy(&service_cidr, &c), 0);
	assert_memory_equal(c.cidrs, cidrs, sizeof(cidrs));
	service_cidr_done(&c);
	service_cidr_done(NULL);
}

/* Every allocation of every copy fails once; the sanitizer sees what is lost or freed twice. */
#define FAIL_EACH(type, what)                                             \
	do {                                                              \
		bool failed = true;                                       \
		for (unsigned n = 1; failed; n++) {                       \
			struct type c = { 0 };                            \
			int rc;                                           \
			failmalloc_at(n);                                 \
			rc = type##_copy(&(what), &c);                    \
			failed = failmalloc_done();                       \
			assert_int_equal(rc, failed ? -ENOMEM : 0);       \
			if (failed)                                       \
				assert_null(c.meta.name); /* untouched */ \
			type##_done(&c);                                  \
		}                                                         \
	} while (0)

TEST(no_memory)
{
	FAIL_EACH(service, service);
	FAIL_EACH(endpoint_slice, slice);
	FAIL_EACH(node, node);
	FAIL_EACH(service_cidr, service_cidr);
	FAIL_EACH(ingress, ingress);
	FAIL_EACH(ingress_class, ingress_class);
	FAIL_EACH(secret, secret);
}

RUN(cmocka_unit_test(services), cmocka_unit_test(slices), cmocka_unit_test(nodes_and_cidrs),
    cmocka_unit_test(ingresses_and_classes), cmocka_unit_test(secrets), cmocka_unit_test(no_memory))
