// SPDX-License-Identifier: GPL-2.0-only
// Figures under kube-proxy's names: what is counted when, and how it is written.
/* link: user/agent/kubeproxy.c user/base/histogram.c user/base/metrics_text.c user/base/table.c user/base/buf.c */
#include "unit/test.h"

#include <string.h>

#include "agent/kubeproxy.h"

#define S    UINT64_C(1000000000)
#define WALL (UINT64_C(1700000000) * S)

static void expect(const struct kubeproxy *k, const char *line)
{
	const struct plan_stats plan = { .v4 = { .no_local_external = 3 },
					 .v6 = { .no_local_internal = 4 } };
	struct buf page = { 0 };

	kubeproxy_write(k, &plan, &page);
	if (!strstr(buf_str(&page), line))
		fail_msg("no line %s in\n%s", line, buf_str(&page));
	buf_done(&page);
}

TEST(latency_from_the_cause_to_the_maps)
{
	struct kubeproxy k;

	assert_int_equal(kubeproxy_init(&k, WALL), 0);
	kubeproxy_slice_changed(&k, "ns", "a", 4, (int64_t)(WALL - S), WALL + S); /* too old */
	kubeproxy_slice_changed(&k, "ns", "a", 4, (int64_t)(WALL + S), WALL + S);
	kubeproxy_slice_changed(&k, "ns", "b", 6, (int64_t)(WALL + S), WALL + S);
	kubeproxy_slice_changed(&k, "ns", "b", 4, 0, WALL + S);
	kubeproxy_slice_changed(&k, "ns", "gone", 4, (int64_t)(WALL + S), WALL + S);
	kubeproxy_slice_gone(&k, "ns", "gone", WALL + S);
	kubeproxy_synced(&k, false, 0.1, WALL + 2 * S);
	expect(&k, "\nkubeproxy_sync_proxy_rules_endpoint_changes_pending 6\n");
	expect(&k,
	       "\nkubeproxy_network_programming_duration_seconds_count{ip_family=\"IPv4\"} 0\n");
	kubeproxy_synced(&k, true, 0.0015, WALL + 3 * S);
	expect(&k,
	       "\nkubeproxy_network_programming_duration_seconds_bucket{ip_family=\"IPv4\",le=\"1\"} 0\n");
	expect(&k,
	       "\nkubeproxy_network_programming_duration_seconds_bucket{ip_family=\"IPv4\",le=\"2\"} 1\n");
	expect(&k,
	       "\nkubeproxy_network_programming_duration_seconds_count{ip_family=\"IPv4\"} 1\n");
	expect(&k,
	       "\nkubeproxy_network_programming_duration_seconds_sum{ip_family=\"IPv6\"} 2.000000000\n");
	expect(&k,
	       "\nkubeproxy_network_programming_duration_seconds_bucket{ip_family=\"IPv6\",le=\"300\"} 1\n");
	expect(&k, "\nkubeproxy_sync_proxy_rules_endpoint_changes_pending 0\n");
	expect(&k, "\nkubeproxy_sync_proxy_rules_endpoint_changes_total 6\n");
	/* both runs, and both families have the same */
	expect(&k,
	       "\nkubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family=\"IPv6\",le=\"0.002\"} 1\n");
	expect(&k,
	       "\nkubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family=\"IPv4\",le=\"16.384\"} 2\n");
	expect(&k,
	       "\nkubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family=\"IPv4\"} 1700000003.000\n");
	kubeproxy_synced(&k, true, 0, WALL + 4 * S); /* once each */
	expect(&k,
	       "\nkubeproxy_network_programming_duration_seconds_count{ip_family=\"IPv4\"} 1\n");
	kubeproxy_done(&k);
}

TEST(changes_and_answers)
{
	struct kubeproxy k;

	assert_int_equal(kubeproxy_init(&k, WALL), 0);
	kubeproxy_service_changed(&k, WALL + 5 * S);
	k.healthz[1]++;
	k.livez[0] += 2;
	expect(&k, "\nkubeproxy_sync_proxy_rules_service_changes_total 2\n");
	expect(&k,
	       "\nkubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family=\"IPv6\"} 1700000005.000\n");
	expect(&k, "\nkubeproxy_proxy_healthz_total{code=\"503\"} 1\n");
	expect(&k, "\nkubeproxy_proxy_livez_total{code=\"200\"} 2\n");
	expect(&k, "{ip_family=\"IPv4\",traffic_policy=\"external\"} 3\n");
	expect(&k, "{ip_family=\"IPv6\",traffic_policy=\"internal\"} 4\n");
	kubeproxy_done(&k);
}

TEST(causes_are_bounded)
{
	struct kubeproxy k;

	assert_int_equal(kubeproxy_init(&k, WALL), 0);
	for (int i = 0; i < 2 * KUBEPROXY_TRIGGERS; i++)
		kubeproxy_slice_changed(&k, "ns", "a", 4, (int64_t)(WALL + S), WALL);
	assert_int_equal(k.n_triggers, KUBEPROXY_TRIGGERS);
	kubeproxy_done(&k);
}

RUN(cmocka_unit_test(latency_from_the_cause_to_the_maps), cmocka_unit_test(changes_and_answers),
    cmocka_unit_test(causes_are_bounded))
