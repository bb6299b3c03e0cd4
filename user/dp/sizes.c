/* SPDX-License-Identifier: GPL-2.0 */
/* How many entries each map gets, from the limits the operator gave. */
/* Must not know the kernel: pure arithmetic. */
#include "dp/sizes.h"

#include <string.h>

#define LRU_PER_CPU \
	256u /* entries a CPU, below which the kernel's free lists of LRU maps starve each other */
#define HASH_OVERHEAD 64u   /* element header and bucket, about */
#define FLOW_BYTES    1250u /* a confirmed flow and its share of the other tables, both families */

static uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t lru_entries(uint32_t wanted, uint32_t cpus)
{
	return max_u32(wanted, LRU_PER_CPU * max_u32(cpus, 1));
}

static void set_buckets(struct dp_sizes *sizes, enum dp_map map4, uint64_t entries,
			const struct dp_limits *limits)
{
	uint32_t buckets = (uint32_t)((entries + SIZES_BUCKET_LOAD - 1) / SIZES_BUCKET_LOAD);

	sizes->entries[map4] = limits->ipv4 ? buckets : 1;
	sizes->entries[dp_map_of(6, map4)] = limits->ipv6 ? buckets : 1;
}

static void set_both(struct dp_sizes *sizes, enum dp_map map4, uint32_t entries)
{
	sizes->entries[map4] = entries;
	sizes->entries[dp_map_of(6, map4)] = entries;
}

static void set_lru(struct dp_sizes *sizes, enum dp_map map4, uint32_t entries,
		    const struct dp_limits *limits)
{
	sizes->entries[map4] = lru_entries(limits->ipv4 ? entries : 1, limits->cpus);
	sizes->entries[dp_map_of(6, map4)] = lru_entries(limits->ipv6 ? entries : 1, limits->cpus);
}

/* Value sizes are those of the larger family: a rough figure, for people. */
static uint64_t estimate_bytes(const struct dp_sizes *sizes, const struct dp_limits *limits)
{
	uint64_t bytes = (uint64_t)2 * 8 * 2 * SL_FILTER_WORDS;

	for (int i = 0; i < DP_MAPS; i++)
		if (dp_map_is_flows(i))
			bytes += (uint64_t)sizes->entries[i] *
				 (i < DP_sl6_services ? sizeof(struct sl4_flow_bucket)
						      : sizeof(struct sl6_flow_bucket));
	bytes += 2 * (uint64_t)limits->plan.rows *
		 (sizeof(struct sl6_service_key) + 8 + HASH_OVERHEAD);
	bytes += 2 * (uint64_t)limits->plan.slots * sizeof(struct sl6_service);
	bytes += 2 * (uint64_t)limits->plan.lines * sizeof(struct sl_ring_line);
	bytes += 2 * (uint64_t)limits->plan.backend_ids *
		 (sizeof(struct sl6_backend) + sizeof(struct sl_backend_stats) * limits->cpus);
	bytes += 2 * (uint64_t)limits->plan.service_ids * sizeof(struct sl_service_stats) *
		 limits->cpus;
	for (int family = 4; family <= 6; family += 2) {
		bytes += (uint64_t)sizes->entries[dp_map_of(family, DP_sl4_affinity)] *
			 (40 + HASH_OVERHEAD);
		bytes += (uint64_t)sizes->entries[dp_map_of(family, DP_sl4_sockets)] *
			 (family == 4 ? sizeof(struct sl4_socket_bucket)
				      : sizeof(struct sl6_socket_bucket));
		bytes += (uint64_t)sizes->entries[dp_map_of(family, DP_sl4_frags)] *
			 (56 + HASH_OVERHEAD);
	}
	return bytes;
}

void sizes_compute(const struct dp_limits *limits, struct dp_sizes *ret_sizes)
{
	const struct plan_limits *plan = &limits->plan;
	uint64_t flows = limits->flows;
	struct dp_sizes sizes;

	memset(&sizes, 0, sizeof(sizes));
	sizes.entries[DP_sl_meta] = 1;
	sizes.entries[DP_sl_config] = 1;
	sizes.entries[DP_sl_counters] = SL_REASON_COUNT;
	sizes.entries[DP_sl_devices] = SIZES_DEVICES;
	set_both(&sizes, DP_sl4_services, plan->rows);
	set_both(&sizes, DP_sl4_records, plan->slots);
	set_both(&sizes, DP_sl4_backends, plan->backend_ids);
	set_both(&sizes, DP_sl4_rings, plan->lines);
	set_both(&sizes, DP_sl4_filter, 2 * SL_FILTER_WORDS);
	set_both(&sizes, DP_sl4_names, plan->service_ids);
	set_both(&sizes, DP_sl4_svc_stats, plan->service_ids);
	set_both(&sizes, DP_sl4_be_stats, plan->backend_ids);
	set_buckets(&sizes, DP_sl4_flows_tcp, 2 * flows, limits); /* two entries a flow */
	set_buckets(&sizes, DP_sl4_flows_udp, flows, limits);
	set_lru(&sizes, DP_sl4_affinity, (uint32_t)(flows / 4), limits);
	set_buckets(&sizes, DP_sl4_sockets, flows / 2, limits);
	set_lru(&sizes, DP_sl4_frags, 4096, limits);
	sizes.bytes = estimate_bytes(&sizes, limits);
	*ret_sizes = sizes;
}

uint32_t sizes_flows_default(uint64_t memory_bytes)
{
	uint64_t flows = memory_bytes / 16 / FLOW_BYTES;

	/* a round number is easier to read in every dump */
	flows = flows / 4096 * 4096;
	if (flows > 262144)
		return 262144;
	return max_u32(16384, (uint32_t)flows);
}
