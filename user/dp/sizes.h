/* SPDX-License-Identifier: GPL-2.0 */
/* How many entries each map gets. Pure arithmetic: a unit test holds it. */
#ifndef DP_SIZES_H
#define DP_SIZES_H

#include <stdbool.h>
#include <stdint.h>

#include "dp/maps.h"

/* What the operator asked for. */
struct dp_limits {
	uint32_t services; /* service records a family: one for each address and port (--max-services) */
	uint32_t backends; /* endpoints of service ports a family (--max-backends) */
	uint32_t flows;    /* confirmed TCP flows a family (--max-flows) */
	uint32_t cpus;     /* possible CPUs: LRU maps keep a list of free elements for each */
	bool ipv4;         /* without a family its tables are as small as the kernel lets them be */
	bool ipv6;
};

struct dp_flow_size {
	uint32_t shards;  /* power of two, ≤ SL_SHARDS_MAX; the same for both families */
	uint32_t entries; /* of one shard */
	bool shared;      /* the family is not used: every slot of the array holds one and the same shard */
};

struct dp_sizes {
	uint32_t entries[DP_MAPS];          /* max_entries; of flow tables: the outer map's, which is its shards */
	struct dp_flow_size flows[DP_MAPS]; /* only flow tables are filled */
	uint64_t bytes;                     /* what all maps take together, roughly */
};

#define SIZES_SERVICES_DEFAULT 16384
#define SIZES_BACKENDS_DEFAULT 65536
#define SIZES_FLOWS_MIN 1024
#define SIZES_FLOWS_MAX (1u << 22)

/* Limits must be within SIZES_… bounds (the option table holds them). */
void sizes_compute(const struct dp_limits *limits, struct dp_sizes *ret_sizes);
/* Flows by default: an eighth of the node's memory for all flow tables at most; between 16k and 256k flows. */
uint32_t sizes_flows_default(uint64_t memory_bytes);

#endif
