/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pinned maps as seen from user space: reading (agent, tools; no agent needs to run) and writing (the agent only).
 *
 * A tool opens the pins with dp_open_read(); the agent gets its handle from dp_load() (dp/load.h). Everything here works
 * on both, except where it says "agent". Functions return 0 or -errno. In a struct err, -EPERM means a missing capability
 * (exit code 4) and -ENOTSUP a missing kernel feature (exit code 5), named in the sentence.
 */
#ifndef DP_MAPS_H
#define DP_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/rows.h"
#include "dp/pin.h"
#include "sluice_abi.h"

/* DP_sl_meta, DP_sl4_services, … in the order of SL_MAPS. */
/* clang-format off */
enum dp_map {
#define DP_MAP_ENUM(name, writer) DP_##name,
	SL_MAPS(DP_MAP_ENUM)
#undef DP_MAP_ENUM
	DP_MAPS,
};
/* clang-format on */

/* The map of one family: DP_MAP(6, names) is DP_sl6_names; dp_map_of(family, DP_sl4_names) does it at run time. */
#define DP_MAP(family, name) DP_sl##family##_##name

/* A map opened by its pin. fd is -1 where it is not open. */
struct dp_map_info {
	int fd;
	uint32_t type; /* enum bpf_map_type */
	uint32_t key_size;
	uint32_t value_size;
	uint32_t max_entries;
	uint32_t id;
};

struct dp {
	struct pin_dir pins;
	struct dp_map_info maps[DP_MAPS];
	uint32_t cpus;   /* possible CPUs: how many values a per-CPU lookup returns */
	bool no_batch;   /* batch operations were refused; single ones are used */
	bool reads_only; /* a tool: bpffs may be mounted read-only */
	struct sl_ring_line
		*rings[2]; /* agent: sl4_rings, sl6_rings in our memory; NULL = not mapped yet */
	int barrier_outer; /* agent: dummy map-in-map and what it holds; -1 = none yet */
	int barrier_inner;
};

/*
 * Opens the pins below bpffs for reading. -ENOENT: nothing is pinned there (no agent ever ran, or cleaned up); -EPERM:
 * CAP_BPF is missing; -EPROTO: the maps do not have this version's layout. *err says it in words.
 */
int dp_open_read(const char *bpffs, struct err *err, struct dp **ret_dp);
/* Closes what is open; what is pinned stays. NULL-safe. */
void dp_free(struct dp *dp);

const char *dp_map_name(enum dp_map map);
/* DP_MAPS if no map has that name. */
enum dp_map dp_map_by_name(const char *name);
bool dp_map_is_flows(enum dp_map map);
/* An array of buckets (sl4_flow_bucket): flow tables, and sl4_sockets. */
bool dp_map_is_buckets(enum dp_map map);
/* DP_sl4_x → DP_sl6_x where family is 6; other maps unchanged. */
enum dp_map dp_map_of(int family, enum dp_map sl4_map);

int dp_meta_read(const struct dp *dp, struct sl_meta *ret_meta);
int dp_config_read(const struct dp *dp, struct sl_config *ret_config);

/* All entries of a hash, or all elements of an array (keys are then their indexes). Owned by the caller. */
struct dp_rows {
	void *keys;
	void *values;
	size_t n;
	size_t key_size;
	size_t value_size;
};
int dp_rows_read(struct dp *dp, enum dp_map map, struct dp_rows *ret_rows);
void dp_rows_done(struct dp_rows *rows);

/* Flow tables by name; what is in them: dp/flows.h. */
enum dp_flow_table {
	DP_FLOWS_TCP,
	DP_FLOWS_UDP, /* and SCTP */
	DP_FLOW_TABLES,
};
enum dp_map dp_flow_map(int family, enum dp_flow_table table);

/* One element by key. -ENOENT where there is none. */
int dp_lookup(const struct dp *dp, enum dp_map map, const void *key, void *ret_value);

/* sl_counters summed over CPUs, by reason. */
int dp_counters_read(const struct dp *dp, struct sl_counter ret_counters[SL_REASON_COUNT]);
/*
 * Elements [first, first + n) of a per-CPU array of u64 counters (sl*_svc_stats, sl*_be_stats), summed over CPUs, into
 * n values of the map's value type.
 */
int dp_stats_read(struct dp *dp, enum dp_map map, uint32_t first, uint32_t n, void *ret_values);

/* Calls fn for every entry of a hash map, or element of an array. fn returns 0 to go on; anything else ends the walk. */
typedef int dp_row_fn(void *ctx, const void *key, const void *value);
int dp_rows_each(struct dp *dp, enum dp_map map, dp_row_fn *fn, void *ctx);

/*
 * The same in pieces of about a thousand: 1 while there is more, 0 at the end, -errno; fn's values are 0 or below zero, which ends
 * the walk and is returned. The cursor begins as zeros. What comes or goes between two pieces may be seen or missed; what stays is
 * seen.
 */
struct dp_cursor {
	uint64_t token[8]; /* the kernel's */
	uint8_t key[64];   /* the last one seen */
	bool under_way;
	bool single; /* one by one: the kernel knows no batches here */
};
int dp_rows_step(struct dp *dp, enum dp_map map, struct dp_cursor *cursor, dp_row_fn *fn,
		 void *ctx);

/* Entries in use, counted; of flow tables those that are not over. Other arrays: their length. */
int dp_count(struct dp *dp, enum dp_map map, uint64_t *ret_n);
/* Entries there is room for; flow tables: what --max-flows asked for, two entries a flow. */
uint64_t dp_capacity(const struct dp *dp, enum dp_map map);

/* The control maps as rows for core (diff, view). Valid as long as dp. Rows of zeros are left out. */
struct row_reader dp_row_reader(struct dp *dp);
/* A piece of one table, as dp_rows_step(); rows of zeros of arrays are left out. */
int dp_table_step(struct dp *dp, enum row_table table, struct dp_cursor *cursor, dp_row_fn *fn,
		  void *ctx);
enum dp_map dp_map_of_row(enum row_table table);

/* ---- writing: agent ------------------------------------------------------------------------------------------------ */

/*
 * Writes n entries; keys and values are packed arrays. Stops at the first the kernel refuses and returns its -errno;
 * *ret_done (may be NULL) is how many were taken before it.
 */
int dp_update(struct dp *dp, enum dp_map map, const void *keys, const void *values, uint32_t n,
	      uint32_t *ret_done);
/* Deletes n entries, likewise. A key that does not exist is no error. */
int dp_delete(struct dp *dp, enum dp_map map, const void *keys, uint32_t n, uint32_t *ret_done);
/* Sets counters of one id to zero: the id has a new owner. */
int dp_stats_zero(struct dp *dp, enum dp_map map, uint32_t id);
int dp_meta_write(struct dp *dp, const struct sl_meta *meta);

/*
 * The ring lines as memory of this process (sl4_rings, sl6_rings are BPF_F_MMAPABLE); dp_update() uses it. A line is written
 * with plain stores: nobody may read it yet, or all readers have gone (dp_barrier).
 */
int dp_rings_map(struct dp *dp, int family);

/*
 * Returns when every program that was running when it was called has ended. The update of a dummy map-in-map waits for
 * RCU in the kernel; where that is not possible, membarrier. Takes milliseconds: call it when idle.
 */
int dp_barrier(struct dp *dp);

#endif
