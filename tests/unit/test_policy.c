// SPDX-License-Identifier: GPL-2.0-only
// Policy: merging of slices, duplicates, refusals, needs. Topology and fallbacks are in
// test_conformance.c.
/* link: user/core/policy.c user/core/address.c */
#include "unit/test.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/policy.h"
#include "unit/failmalloc.h"

static char web[] = "web", unnamed[] = "", here[] = "here";
static const struct policy_node node = { "here", NULL };

static struct endpoint ep(const char *addr, bool ready, bool terminating)
{
	struct endpoint e = { .ready = ready,
			      .serving = ready || terminating,
			      .terminating = terminating };

	assert_int_equal(address_parse(addr, &e.addr), 0);
	return e;
}

static char refusals[400];

static void note_refusal(void *ctx, const struct endpoint_slice *slice, const struct address *addr,
			 const char *why)
{
	char text[ADDRESS_TEXT_LEN];

	(void)ctx;
	snprintf(refusals + strlen(refusals), sizeof(refusals) - strlen(refusals), "%s %s %s\n",
		 slice->meta.name, address_format(addr, text), why);
}

static bool is_vip(void *ctx, const struct address *addr)
{
	(void)ctx;
	return addr->family == 4 && addr->b[0] == 10 && addr->b[1] == 96;
}

/*
 * One service with port "web"; "addr:port/clsrt" for each endpoint (in cluster, local list,
 * serving, ready, terminating).
 */
static const char *resolve_with(const struct service *s, const struct service_port *port,
				int family, const struct endpoint_slice *const *slices, size_t n)
{
	static char out[1000];
	struct policy_input in = { .service = s,
				   .port = port,
				   .family = family,
				   .slices = slices,
				   .n_slices = n,
				   .node = &node,
				   .is_service_address = is_vip,
				   .refused = note_refusal };
	struct policy_result r;
	char text[ADDRESS_TEXT_LEN];

	refusals[0] = out[0] = '\0';
	assert_int_equal(policy_resolve(&in, &r), 0);
	for (size_t i = 0; i < r.n_endpoints; i++) {
		const struct policy_endpoint *e = &r.endpoints[i];

		assert_non_null(e->source);
		snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s%s:%u/%s%s%s%s%s",
			 i ? " " : "", address_format(&e->addr, text), e->port,
			 e->in_cluster ? "c" : "", e->in_local ? "l" : "",
			 policy_keeps_flows(e) ? "s" : "", e->ready ? "r" : "",
			 e->terminating ? "t" : "");
	}
	policy_result_done(&r);
	return out;
}

static const char *resolve(const struct endpoint_slice *a, const struct endpoint_slice *b)
{
	static const struct service_port port = { web, IPPROTO_TCP, 80, 0, 0 };
	static const struct service s = { .type = SERVICE_CLUSTER_IP };
	const struct endpoint_slice *const slices[] = { a, b };

	return resolve_with(&s, &port, 4, slices, b ? 2 : 1);
}

static struct slice_port web_port = { web, IPPROTO_TCP, 8080 };

static struct endpoint_slice slice_of(char *name, struct endpoint *endpoints, size_t n)
{
	return (struct endpoint_slice){ .meta.name = name,
					.family = 4,
					.endpoints = endpoints,
					.n_endpoints = n,
					.ports = &web_port,
					.n_ports = 1 };
}

static char a_name[] = "a", b_name[] = "b";

TEST(merged_and_sorted)
{
	struct endpoint x[] = { ep("10.0.0.9", true, false), ep("10.0.0.1", true, false) };
	struct endpoint y[] = { ep("10.0.0.5", true, false), ep("9.0.0.5", false, false) };
	struct endpoint_slice a = slice_of(a_name, x, 2), b = slice_of(b_name, y, 2);

	assert_string_equal(resolve(&a, &b),
			    "9.0.0.5:8080/ 10.0.0.1:8080/csr 10.0.0.5:8080/csr 10.0.0.9:8080/csr");
}

/* A terminating copy never replaces one that was met, any other always does. */
TEST(copies_of_one_address)
{
	struct endpoint live[] = { ep("10.0.0.1", true, false) },
			dying[] = { ep("10.0.0.1", false, true) },
			unready[] = { ep("10.0.0.1", false, false) };
	struct endpoint_slice l = slice_of(a_name, live, 1), d = slice_of(b_name, dying, 1),
			      u = slice_of(b_name, unready, 1);

	assert_string_equal(resolve(&l, &d), "10.0.0.1:8080/csr");
	assert_string_equal(resolve(&d, &l), "10.0.0.1:8080/csr");
	assert_string_equal(resolve(&d, &u), "10.0.0.1:8080/"); /* even one that is not ready */
	assert_string_equal(resolve(&l, &u), "10.0.0.1:8080/");
	assert_string_equal(resolve(&u, &l), "10.0.0.1:8080/csr");
	assert_string_equal(resolve(&d, &d), "10.0.0.1:8080/cst");
}

TEST(two_ports_are_two_endpoints)
{
	struct endpoint x[] = { ep("10.0.0.1", true, false) };
	struct slice_port other = { web, IPPROTO_TCP, 9090 };
	struct endpoint_slice a = slice_of(a_name, x, 1), b = slice_of(b_name, x, 1);

	b.ports = &other;
	assert_string_equal(resolve(&b, &a), "10.0.0.1:8080/csr 10.0.0.1:9090/csr");
}

TEST(ports_match_by_name_and_protocol)
{
	struct slice_port ports[] = { { unnamed, IPPROTO_TCP, 1 },
				      { web, IPPROTO_UDP, 2 },
				      { web, IPPROTO_TCP, 0 },
				      { NULL, IPPROTO_TCP, 4 },
				      { web, IPPROTO_TCP, 5 } };
	struct service_port no_name = { unnamed, IPPROTO_TCP, 80, 0, 0 },
			    null_name = { NULL, IPPROTO_TCP, 80, 0, 0 };
	struct service s = { .type = SERVICE_CLUSTER_IP };
	struct endpoint x[] = { ep("10.0.0.1", true, false) };
	struct endpoint_slice a = slice_of(a_name, x, 1);
	const struct endpoint_slice *const slices[] = { &a };

	a.ports = ports;
	a.n_ports = 5;
	assert_string_equal(resolve(&a, NULL), "10.0.0.1:5/csr");
	assert_string_equal(resolve_with(&s, &no_name, 4, slices, 1), "10.0.0.1:1/csr");
	assert_string_equal(resolve_with(&s, &null_name, 4, slices, 1), "10.0.0.1:1/csr");
}

TEST(families_apart)
{
	struct endpoint x[] = { ep("10.0.0.1", true, false) },
			y[] = { ep("fd00::1", true, false), ep("10.0.0.2", true, false) };
	struct service_port port = { web, IPPROTO_TCP, 80, 0, 0 };
	struct service s = { .type = SERVICE_CLUSTER_IP };
	struct endpoint_slice a = slice_of(a_name, x, 1), b = slice_of(b_name, y, 2);
	const struct endpoint_slice *const slices[] = { &a, &b };

	b.family = 6;
	assert_string_equal(resolve_with(&s, &port, 4, slices, 2), "10.0.0.1:8080/csr");
	assert_string_equal(resolve_with(&s, &port, 6, slices, 2), "fd00::1:8080/csr");
	assert_string_equal(refusals, "b 10.0.0.2 is not of the slice's address type\n");
}

TEST(refused_addresses)
{
	struct endpoint x[] = { ep("127.0.0.1", true, false), ep("10.96.0.1", true, false),
				ep("10.0.0.1", true, false) };
	struct endpoint_slice a = slice_of(a_name, x, 3);

	assert_string_equal(resolve(&a, NULL), "10.0.0.1:8080/csr");
	assert_string_equal(
		refusals,
		"a 127.0.0.1 is a loopback address (127.0.0.0/8)\na 10.96.0.1 is the address of a service\n");
}

TEST(unready_serving_endpoints_are_never_used_but_keep_flows)
{
	struct endpoint x[] = { ep("10.0.0.1", false, false) };
	struct endpoint_slice a = slice_of(a_name, x, 1);

	x[0].serving = true;
	assert_string_equal(resolve(&a, NULL), "10.0.0.1:8080/s");
}

TEST(local_by_node_name)
{
	struct endpoint x[] = { ep("10.0.0.1", true, false), ep("10.0.0.2", true, false) };
	struct service s = { .type = SERVICE_CLUSTER_IP, .internal_policy = POLICY_LOCAL };
	struct service_port port = { web, IPPROTO_TCP, 80, 0, 0 };
	struct endpoint_slice a = slice_of(a_name, x, 2);
	const struct endpoint_slice *const slices[] = { &a };

	x[0].node_name = here; /* the other one has none, and is remote */
	assert_string_equal(resolve_with(&s, &port, 4, slices, 1),
			    "10.0.0.1:8080/lsr 10.0.0.2:8080/sr");
}

TEST(what_a_service_needs)
{
	struct address v4 = { 4, { 1 } }, v6 = { 6, { 1 } };
	struct service_port port = { web, IPPROTO_TCP, 80, 0, 0 };
	struct service s = { .type = SERVICE_CLUSTER_IP, .external_policy = POLICY_LOCAL };
	struct policy_needs n = policy_needs(&s, &port, 4);

	assert_false(n.internal_local || n.external_local || n.externally_accessible);
	s.external_ips = &v6;
	s.n_external_ips = 1;
	n = policy_needs(&s, &port, 4);
	assert_true(n.external_local);         /* the type counts ... */
	assert_false(n.externally_accessible); /* ... and the address is of the other family */
	assert_true(policy_needs(&s, &port, 6).externally_accessible);
	s.n_external_ips = 0;
	s.lb_ips = &v4;
	s.n_lb_ips = 1;
	assert_true(policy_needs(&s, &port, 4).externally_accessible);
	assert_false(policy_needs(&s, &port, 4).external_local);
	s.type = SERVICE_LOAD_BALANCER;
	assert_true(policy_needs(&s, &port, 4).external_local);
	s.n_lb_ips = 0;
	port.node_port = 30000;
	assert_true(policy_needs(&s, &port, 4).externally_accessible); /* whatever the type */
	s.internal_policy = POLICY_LOCAL;
	assert_true(policy_needs(&s, &port, 4).internal_local);
}

TEST(no_memory)
{
	struct endpoint x[] = { ep("10.0.0.1", true, false) };
	struct service_port port = { web, IPPROTO_TCP, 80, 0, 0 };
	struct service s = { .type = SERVICE_CLUSTER_IP };
	struct endpoint_slice a = slice_of(a_name, x, 1);
	const struct endpoint_slice *const slices[] = { &a };
	struct policy_input in = { .service = &s,
				   .port = &port,
				   .family = 4,
				   .slices = slices,
				   .n_slices = 1,
				   .node = &node };
	bool failed = true;

	for (unsigned n = 1; failed; n++) {
		struct policy_result r = { 0 };
		int rc;

		failmalloc_at(n);
		rc = policy_resolve(&in, &r);
		failed = failmalloc_done();
		assert_int_equal(rc, failed ? -ENOMEM : 0);
		assert_int_equal(r.n_endpoints, failed ? 0 : 1);
		policy_result_done(&r);
	}
}

/* ---- health --------------------------------------------------------------------------------------- */

TEST(who_is_ready_here)
{
	static char elsewhere[] = "there";
	struct endpoint endpoints[] = {
		{ .addr = { 4, { 10, 0, 0, 2 } }, .ready = true, .node_name = here },
		{ .addr = { 4, { 10, 0, 0, 1 } }, .ready = true, .node_name = here },
		{ .addr = { 4, { 10, 0, 0, 3 } }, .ready = true, .node_name = elsewhere },
		{ .addr = { 4, { 10, 0, 0, 4 } }, .ready = true },
		{ .addr = { 4, { 10, 0, 0, 5 } },
		  .serving = true,
		  .terminating = true,
		  .node_name = here },
	};
	struct endpoint_slice slices[] = {
		{ .family = 4, .endpoints = endpoints, .n_endpoints = 5 },
		{ .family = 4, .endpoints = endpoints, .n_endpoints = 1 }, /* the same one again */
		{ .family = 6, .endpoints = endpoints, .n_endpoints = 2 },
	};
	const struct endpoint_slice *const list[] = { &slices[0], &slices[1], &slices[2] };

	assert_int_equal(policy_count_ready_local(list, 3, 4, "here"), 2);
	assert_int_equal(policy_count_ready_local(list, 3, 4, "there"), 1);
	assert_int_equal(policy_count_ready_local(list, 3, 4, NULL), 0);
	assert_int_equal(policy_count_ready_local(list, 0, 4, "here"), 0);
}

/* ---- source ranges ------------------------------------------------------------------------------ */

static struct cidr range(const char *text)
{
	struct cidr c;

	assert_int_equal(cidr_parse(text, &c), 0);
	return c;
}

static struct address at(const char *text)
{
	struct address a;

	assert_int_equal(address_parse(text, &a), 0);
	return a;
}

static bool allows(const struct service *s, const char *src, const char *primary)
{
	struct address a = at(src), own = at(primary);

	return policy_is_source_allowed(s, &a, &own);
}

TEST(source_ranges)
{
	struct cidr ranges[] = { range("192.0.2.0/24"), range("2001:db8::/32"),
				 range("0.0.0.0/0") };
	struct address lb = at("203.0.113.1");
	struct service s = {
		.source_ranges = ranges, .n_source_ranges = 1, .lb_ips = &lb, .n_lb_ips = 1
	};

	assert_true(policy_has_ranges(&s, 4));
	assert_false(policy_has_ranges(&s, 6)); /* none of this family is left: no filter */
	assert_true(allows(&s, "2001:db9::1", "2001:db9::2"));
	assert_true(allows(&s, "192.0.2.255", "10.0.0.1"));
	assert_false(allows(&s, "192.0.3.0", "10.0.0.1"));
	/* the node is allowed, so its own copies of the service's addresses are; no others */
	assert_true(allows(&s, "203.0.113.1", "192.0.2.1"));
	assert_false(allows(&s, "203.0.113.1", "10.0.0.1"));
	assert_false(allows(&s, "203.0.113.2", "192.0.2.1"));
	assert_false(policy_is_source_allowed(&s, &lb, NULL));
	s.n_source_ranges = 2;
	assert_false(allows(&s, "2001:db9::1", "2001:db9::2"));
	s.n_source_ranges = 3;
	assert_false(policy_has_ranges(&s, 4)); /* one allows everything */
	assert_true(allows(&s, "8.8.8.8", "10.0.0.1"));
	assert_true(policy_has_ranges(&s, 6));
}

RUN(cmocka_unit_test(merged_and_sorted), cmocka_unit_test(copies_of_one_address),
    cmocka_unit_test(two_ports_are_two_endpoints),
    cmocka_unit_test(ports_match_by_name_and_protocol), cmocka_unit_test(families_apart),
    cmocka_unit_test(refused_addresses),
    cmocka_unit_test(unready_serving_endpoints_are_never_used_but_keep_flows),
    cmocka_unit_test(local_by_node_name), cmocka_unit_test(what_a_service_needs),
    cmocka_unit_test(no_memory), cmocka_unit_test(source_ranges),
    cmocka_unit_test(who_is_ready_here))
