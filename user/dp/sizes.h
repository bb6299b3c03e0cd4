/* SPDX-License-Identifier: GPL-2.0 */
/* How many entries each map gets. Pure arithmetic: a unit test holds it. */
#ifndef DP_SIZES_H
#define DP_SIZES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/plan.h"
#include "dp/maps.h"

/* What the operator asked for. */
struct dp_limits {
	struct plan_limits plan; /* control tables, each family (core/plan.h) */
	uint32_t flows;          /* confirmed TCP flows, each family (--max-flows) */
	uint32_t
		cpus; /* possible CPUs: LRU maps keep a list of free elements for each; 0: as the kernel says */
	bool ipv4; /* without a family its flow tables are as small as the kernel lets them be */
	bool ipv6;
};

struct dp_flow_size {
	uint32_t shards;  /* power of two, ≤ SL_SHARDS_MAX; the same for both families */
	uint32_t entries; /* of one shard */
	bool shared; /* the family is not used: every slot of the array holds one and the same shard */
};

struct dp_sizes {
	uint32_t entries
		[DP_MAPS]; /* max_entries; of flow tables: the outer map's, which is its shards; 0: as declared */
	struct dp_flow_size flows[DP_MAPS]; /* only flow tables are filled */
	uint64_t bytes;                     /* what all maps take together, roughly */
};

#define SIZES_FLOWS_MIN 1024u
#define SIZES_FLOWS_MAX (1u << 22)

/* flows must be within SIZES_FLOWS_… (the option table holds that). */
void sizes_compute(const struct dp_limits *limits, struct dp_sizes *ret_sizes);
/* Flows by default: flow tables of both families take about a sixteenth of the memory; between 16k and 256k flows. */
uint32_t sizes_flows_default(uint64_t memory_bytes);

#endif
