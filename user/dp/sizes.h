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
	bool ipv4; /* without a family its tables have one element */
	bool ipv6;
	bool bypass; /* flows between pods of this node go past its stack (--forwarding fast) */
};

#define SIZES_DEVICES 4096u /* pods of one node that packets can be handed to past the stack */

struct dp_sizes {
	uint32_t entries[DP_MAPS]; /* max_entries; of flow tables: buckets */
	uint64_t bytes;            /* what all maps take together, roughly */
};

/*
 * Entries that a bucket is made for. Buckets fill unevenly: with 7 on the average and SL_BUCKET_KEEP kept, 3 entries in 1,000 of a
 * table that holds all it is made for find their bucket full, and put out the one that was quiet longest there.
 */
#define SIZES_BUCKET_LOAD 7u

#define SIZES_FLOWS_MIN 1024u
#define SIZES_FLOWS_MAX (1u << 22)

/* flows must be within SIZES_FLOWS_… (the option table holds that). */
void sizes_compute(const struct dp_limits *limits, struct dp_sizes *ret_sizes);
/* Flows by default: flow tables of both families take about a sixteenth of the memory; between 16k and 256k flows. */
uint32_t sizes_flows_default(uint64_t memory_bytes);

#endif
