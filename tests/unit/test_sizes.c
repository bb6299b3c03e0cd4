// SPDX-License-Identifier: GPL-2.0-only
// Sizes of maps: two entries a flow, never too small for LRU, small tables for an unused family.
/* link: user/dp/sizes.c user/dp/maps_names.c */
#include "unit/test.h"

#include <string.h>

#include "dp/sizes.h"

static struct dp_limits limits_of(uint32_t flows, uint32_t cpus)
{
	return (struct dp_limits){
		.plan = { .rows = 100,
			  .slots = 200,
			  .service_ids = 101,
			  .backend_ids = 501,
			  .lines = 1000 },
		.flows = flows,
		.cpus = cpus,
		.ipv4 = true,
		.ipv6 = true,
	};
}

/* Flows that the buckets of a TCP table are made for. */
static uint64_t room(const struct dp_sizes *s, enum dp_map map)
{
	return (uint64_t)s->entries[map] * SIZES_BUCKET_LOAD / 2;
}

TEST(flows_have_two_entries_and_udp_gets_half)
{
	for (uint32_t flows = SIZES_FLOWS_MIN; flows <= SIZES_FLOWS_MAX; flows = flows * 5 / 3) {
		struct dp_limits limits = limits_of(flows, 8);
		struct dp_sizes s;

		sizes_compute(&limits, &s);
		assert_in_range(room(&s, DP_sl4_flows_tcp), flows, flows + SIZES_BUCKET_LOAD);
		assert_in_range(room(&s, DP_sl4_flows_udp), flows / 2,
				flows / 2 + SIZES_BUCKET_LOAD);
		assert_int_equal(s.entries[DP_sl6_flows_tcp], s.entries[DP_sl4_flows_tcp]);
		assert_int_equal(s.entries[DP_sl6_flows_udp], s.entries[DP_sl4_flows_udp]);
	}
}

TEST(many_cpus_do_not_starve_lru)
{
	struct dp_limits limits = limits_of(262144, 128);
	struct dp_sizes s;

	sizes_compute(&limits, &s);
	assert_int_equal(s.entries[DP_sl4_affinity], 65536);
	assert_int_equal(s.entries[DP_sl4_frags], 256 * 128);
}

TEST(a_family_that_is_not_used_costs_next_to_nothing)
{
	struct dp_limits limits = limits_of(131072, 4);
	struct dp_sizes s, both;

	sizes_compute(&limits, &both);
	limits.ipv6 = false;
	sizes_compute(&limits, &s);
	assert_int_equal(s.entries[DP_sl6_flows_tcp], 1);
	assert_int_equal(s.entries[DP_sl6_flows_udp], 1);
	assert_int_equal(s.entries[DP_sl4_flows_tcp], both.entries[DP_sl4_flows_tcp]);
	assert_int_equal(s.entries[DP_sl6_sockets], 1);
	assert_true(s.bytes < both.bytes * 2 / 3);
}

TEST(control_tables_follow_the_plan)
{
	struct dp_limits limits = limits_of(1024, 1);
	struct dp_sizes s;

	sizes_compute(&limits, &s);
	for (int family = 4; family <= 6; family += 2) {
		assert_int_equal(s.entries[dp_map_of(family, DP_sl4_services)], 100);
		assert_int_equal(s.entries[dp_map_of(family, DP_sl4_records)], 200);
		assert_int_equal(s.entries[dp_map_of(family, DP_sl4_names)], 101);
		assert_int_equal(s.entries[dp_map_of(family, DP_sl4_svc_stats)], 101);
		assert_int_equal(s.entries[dp_map_of(family, DP_sl4_backends)], 501);
		assert_int_equal(s.entries[dp_map_of(family, DP_sl4_be_stats)], 501);
		assert_int_equal(s.entries[dp_map_of(family, DP_sl4_rings)], 1000);
		assert_int_equal(s.entries[dp_map_of(family, DP_sl4_filter)], 2 * SL_FILTER_WORDS);
	}
	assert_int_equal(s.entries[DP_sl_events], 0); /* as declared */
}

TEST(flows_by_memory_are_bounded_and_grow)
{
	assert_int_equal(sizes_flows_default(0), 16384);
	assert_int_equal(sizes_flows_default(256ull << 20), 16384);
	assert_in_range(sizes_flows_default(2ull << 30), 65536, 131072);
	assert_int_equal(sizes_flows_default(64ull << 30), 262144);
	assert_int_equal(sizes_flows_default(UINT64_MAX), 262144);
}

TEST(names_and_families_of_maps)
{
	for (int i = 0; i < DP_MAPS; i++) {
		assert_int_equal(dp_map_by_name(dp_map_name(i)), i);
		assert_true(strlen(dp_map_name(i)) <= 15);
		if (strncmp(dp_map_name(i), "sl4_", 4) == 0)
			assert_string_equal(dp_map_name(dp_map_of(6, i)) + 4, dp_map_name(i) + 4);
	}
	assert_int_equal(dp_map_by_name("sl4_nix"), DP_MAPS);
	assert_int_equal(dp_map_of(6, DP_sl_meta), DP_sl_meta);
	assert_int_equal(dp_flow_map(6, DP_FLOWS_UDP), DP_sl6_flows_udp);
	assert_true(dp_map_is_flows(DP_sl6_flows_udp));
	assert_false(dp_map_is_flows(DP_sl4_affinity));
	assert_int_equal(dp_map_of_row(ROW6_SERVICES), DP_sl6_services);
	assert_int_equal(dp_map_of_row(ROW_CONFIG), DP_sl_config);
}

RUN(cmocka_unit_test(flows_have_two_entries_and_udp_gets_half),
    cmocka_unit_test(many_cpus_do_not_starve_lru),
    cmocka_unit_test(a_family_that_is_not_used_costs_next_to_nothing),
    cmocka_unit_test(control_tables_follow_the_plan),
    cmocka_unit_test(flows_by_memory_are_bounded_and_grow),
    cmocka_unit_test(names_and_families_of_maps))
