// SPDX-License-Identifier: GPL-2.0-only
// The health pages: when healthy, when eligible, and the exact bodies.
/* link: user/agent/health.c user/base/buf.c */
#include "unit/test.h"

#include <string.h>

#include "agent/health.h"

#define S    UINT64_C(1000000000)
#define WALL (UINT64_C(1700000000) * S + 123456789)

static const struct health_state well = {
	.v4 = { 0, WALL - 5 * S },
	.v6 = { 0, WALL - 7 * S },
	.eligible = true,
	.now_ns = 1000 * S,
	.now_wall_ns = WALL,
};

static void expect(unsigned int (*page)(const struct health_state *, struct buf *),
		   const struct health_state *state, unsigned int status, const char *body)
{
	struct buf buf = { 0 };

	assert_int_equal(page(state, &buf), status);
	assert_string_equal(buf_str(&buf), body);
	buf_done(&buf);
}

TEST(well_and_eligible)
{
	expect(health_write_healthz, &well, 200,
	       "{\"lastUpdated\":\"2023-11-14T22:13:20.123456789Z\",\"currentTime\":\"2023-11-14T22:13:20.123456789Z\","
	       "\"nodeEligible\":true,\"healthy\":true,\"status\":{"
	       "\"IPv4\":{\"lastUpdated\":\"2023-11-14T22:13:15.123456789Z\",\"healthy\":true},"
	       "\"IPv6\":{\"lastUpdated\":\"2023-11-14T22:13:13.123456789Z\",\"healthy\":true}}}\n");
	expect(health_write_livez, &well, 200,
	       "{\"lastUpdated\":\"2023-11-14T22:13:20.123456789Z\",\"currentTime\":\"2023-11-14T22:13:20.123456789Z\","
	       "\"healthy\":true,\"status\":{"
	       "\"IPv4\":{\"lastUpdated\":\"2023-11-14T22:13:15.123456789Z\",\"healthy\":true},"
	       "\"IPv6\":{\"lastUpdated\":\"2023-11-14T22:13:13.123456789Z\",\"healthy\":true}}}\n");
}

TEST(a_doomed_node_is_healthy_but_drained)
{
	struct health_state now = well;

	now.eligible = false;
	expect(health_write_healthz, &now, 503,
	       "{\"lastUpdated\":\"2023-11-14T22:13:15.123456789Z\",\"currentTime\":\"2023-11-14T22:13:20.123456789Z\","
	       "\"nodeEligible\":false,\"healthy\":true,\"status\":{"
	       "\"IPv4\":{\"lastUpdated\":\"2023-11-14T22:13:15.123456789Z\",\"healthy\":true},"
	       "\"IPv6\":{\"lastUpdated\":\"2023-11-14T22:13:13.123456789Z\",\"healthy\":true}}}\n");
	assert_int_equal(health_write_livez(&now, &(struct buf){ .failed = true }), 200);
}

TEST(a_change_that_waits_too_long_makes_unhealthy)
{
	struct health_state now = well;

	now.v6.waiting_since_ns = now.now_ns - HEALTH_LATE_NS + 1;
	assert_true(health_is_healthy(&now));
	now.v6.waiting_since_ns = now.now_ns - HEALTH_LATE_NS;
	assert_false(health_is_healthy(&now));
	expect(health_write_livez, &now, 503,
	       "{\"lastUpdated\":\"2023-11-14T22:13:15.123456789Z\",\"currentTime\":\"2023-11-14T22:13:20.123456789Z\","
	       "\"healthy\":false,\"status\":{"
	       "\"IPv4\":{\"lastUpdated\":\"2023-11-14T22:13:15.123456789Z\",\"healthy\":true},"
	       "\"IPv6\":{\"lastUpdated\":\"2023-11-14T22:13:13.123456789Z\",\"healthy\":false}}}\n");
}

TEST(starting_and_idle_are_healthy)
{
	struct health_state now = { .eligible = true, .now_ns = 100000 * S, .now_wall_ns = WALL };
	struct buf buf = { 0 };

	assert_int_equal(health_write_healthz(&now, &buf), 200);
	assert_non_null(
		strstr(buf_str(&buf),
		       "\"IPv4\":{\"lastUpdated\":\"0001-01-01T00:00:00Z\",\"healthy\":true}"));
	buf_done(&buf);
	now.v4.waiting_since_ns = now.now_ns + S; /* noted after the clock was read */
	assert_true(health_is_healthy(&now));
}

TEST(ready_is_more_than_healthy)
{
	struct health_state now = well;

	expect(health_write_readyz, &now, 503,
	       "{\"ready\":false,\"synced\":false,\"changeWaits\":false,\"auditClean\":false}\n");
	now.synced = now.clean = true;
	expect(health_write_readyz, &now, 200,
	       "{\"ready\":true,\"synced\":true,\"changeWaits\":false,\"auditClean\":true}\n");
	now.v6.waiting_since_ns = now.now_ns - 10 * S + 1;
	assert_int_equal(health_write_readyz(&now, &(struct buf){ .failed = true }), 200);
	now.v6.waiting_since_ns--;
	expect(health_write_readyz, &now, 503,
	       "{\"ready\":false,\"synced\":true,\"changeWaits\":true,\"auditClean\":true}\n");
	assert_true(health_is_healthy(&now)); /* for kube-proxy's pages that is not late yet */
	now.eligible = false;                 /* drained nodes may be ready */
	now.v6.waiting_since_ns = 0;
	assert_int_equal(health_write_readyz(&now, &(struct buf){ .failed = true }), 200);
}

TEST(the_page_of_a_service)
{
	static const char body[] =
		"{\n\t\"service\": {\n\t\t\"namespace\": \"shop\",\n\t\t\"name\": \"web\"\n\t},\n"
		"\t\"localEndpoints\": 2,\n\t\"serviceProxyHealthy\": true\n}";
	struct buf buf = { 0 };

	assert_int_equal(health_write_service("shop", "web", 2, true, &buf), 200);
	assert_string_equal(buf_str(&buf), body);
	buf_reset(&buf);
	assert_int_equal(health_write_service("shop", "web", 0, true, &buf), 503);
	assert_int_equal(health_write_service("shop", "web", 2, false, &buf), 503);
	buf_done(&buf);
}

RUN(cmocka_unit_test(well_and_eligible), cmocka_unit_test(a_doomed_node_is_healthy_but_drained),
    cmocka_unit_test(a_change_that_waits_too_long_makes_unhealthy),
    cmocka_unit_test(starting_and_idle_are_healthy), cmocka_unit_test(ready_is_more_than_healthy),
    cmocka_unit_test(the_page_of_a_service))
