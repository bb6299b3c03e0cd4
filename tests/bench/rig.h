/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A data path to measure: maps and programs as the agent makes them, services planned by the core and written by the
 * agent's way (plan, diff, maps), flows written as programs would have. Several may live at once; each has pins of its own
 * below a bpffs that only this process sees.
 *
 * Addresses are a pattern, so that generators need no table (generate.h): service s of a rig has the cluster IP
 * RIG_VIP + s and the endpoints RIG_ENDPOINT + 8 s … , as the low 32 bits of an address in either family.
 */
#ifndef BENCH_RIG_H
#define BENCH_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "dp/load.h"
#include "sluice_abi.h"

#define RIG_VIP           0x0a600001u /* 10.96.0.1; in IPv6 fd00:60::a60:1 */
#define RIG_ENDPOINT      0x0a800000u /* 10.128.0.0 */
#define RIG_CLIENT        0x0af40002u /* 10.244.0.2 */
#define RIG_STRANGER      0xc6120000u /* 198.18.0.0, of no service */
#define RIG_NODE          0x0a000001u
#define RIG_PREFIX6       0xfd000060u /* first 32 bits of every IPv6 address, then 64 zeros */
#define RIG_PORT          80
#define RIG_TARGET_PORT   8080
#define RIG_ENDPOINT_STEP 8
#define RIG_STRAYS \
	5000 /* one in so many flows, or packets, may be missing from its table, or be another's */

struct rig_options {
	const char *name;      /* of its directory of pins */
	int family;            /* 4 or 6 */
	uint32_t max_services; /* service ports */
	uint32_t max_backends;
	uint32_t flows; /* --max-flows */
	bool udp;       /* services have a UDP port beside TCP */
};

struct rig {
	struct rig_options options;
	struct dp *dp;
	struct dp_programs programs;
	struct problems *problems;
	struct store *store;
	struct diff *diff;
	struct plan *plan;
	uint32_t services, endpoints; /* published, of each */
	struct rig_backend {
		uint32_t id, gen, service;
	} * backends[2]; /* TCP, UDP: by service * endpoints + endpoint */
};

/* What publishing cost. */
struct rig_times {
	uint64_t store_ns; /* copies of the objects */
	uint64_t plan_ns;
	uint64_t apply_ns; /* writing the maps */
	uint64_t rows;
};

/* Once a process, before the first rig: a mount namespace with a bpffs of our own. Root. */
int rig_setup(struct err *err);
int rig_new(const struct rig_options *options, struct err *err, struct rig **ret_rig);
void rig_free(struct rig *rig); /* NULL-safe */
/* Services 0 … services - 1 with so many endpoints each (at most RIG_ENDPOINT_STEP). Once a rig. */
int rig_publish(struct rig *rig, uint32_t services, uint32_t endpoints, struct err *err,
		struct rig_times *ret_times);
/*
 * Makes the table of a protocol hold both entries of established flows 0 … n - 1 of the first `services` services, and nothing else;
 * their last packet was age_s ago. They must fit, but for RIG_STRAYS.
 */
int rig_flows(struct rig *rig, uint8_t proto, uint32_t n, uint32_t services, uint32_t age_s,
	      struct err *err);
/* Bytes of all its maps, as the kernel accounts them (memlock of fdinfo). */
uint64_t rig_memory(const struct rig *rig);

#endif
