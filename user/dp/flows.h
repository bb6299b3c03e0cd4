/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tables of flows and of sockets as seen from user space: arrays of buckets that programs fill. Read only; an entry whose time is
 * over stays where it is until somebody takes its slot, so nothing has to be collected.
 */
#ifndef DP_FLOWS_H
#define DP_FLOWS_H

#include <stdint.h>

#include "dp/maps.h"

/* Idle time after which an entry counts as absent, as programs decide. Pure, like the next (flow_time.c). */
uint64_t dp_flow_idle_ns(uint8_t proto, enum sl_flow_state state);
/* How long ago its last packet came; 0 where another CPU's clock was ahead. As exact as a tick. */
uint64_t dp_flow_quiet_ns(uint32_t seen, uint64_t now_ns);

/*
 * Calls fn for every entry of a flow table, over or not. key and value are struct sl{4,6}_flow_key and sl{4,6}_flow. fn returns
 * 0 to go on; anything else ends the walk and is returned. Entries that come and go meanwhile may be seen or missed.
 */
typedef int dp_flow_fn(void *ctx, const void *key, const void *value);
int dp_flows_each(struct dp *dp, int family, enum dp_flow_table table, dp_flow_fn *fn, void *ctx);

/* One entry by key; mix is the key's sl{4,6}_flow_mix with the seed of sl_meta. -ENOENT where there is none. */
int dp_flow_lookup(const struct dp *dp, enum dp_map map, uint64_t mix, const void *key,
		   void *ret_value);

/* The same for an entry of sl4_sockets or sl6_sockets; mix is sl{4,6}_socket_mix. Not of a TCP socket: those lie by their cookies. */
int dp_socket_lookup(const struct dp *dp, int family, uint64_t mix, const void *key,
		     void *ret_value);

/* Entries of a table in buckets [first, first + n) that are in use at now_ns: of flows and of UDP sockets those that are not over. */
int dp_flows_count(struct dp *dp, enum dp_map map, uint32_t first, uint32_t n, uint64_t now_ns,
		   uint64_t *ret_n);

#endif
