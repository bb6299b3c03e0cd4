/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Probes the kernel, makes or adopts the pinned maps, loads or adopts the programs.
 *
 * After dp_load() everything is pinned and the agent may die at any moment. Loading again with the same programs and
 * constants loads nothing.
 */
#ifndef DP_LOAD_H
#define DP_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "dp/maps.h"
#include "dp/pin.h"
#include "dp/sizes.h"

/* X(name): programs as they are named in the objects and pinned below progs/. */
/* clang-format off */
#define DP_PROGS(X)                                                                          \
	X(sl_xdp)                                                                            \
	X(sl_pod_in) X(sl_pod_out) X(sl_up_in) X(sl_up_out) X(sl_l3_in) X(sl_l3_out)         \
	X(sl_connect4) X(sl_connect6) X(sl_sendmsg4) X(sl_sendmsg6)                          \
	X(sl_recvmsg4) X(sl_recvmsg6) X(sl_peername4) X(sl_peername6) X(sl_sock_release)

enum dp_prog {
#define DP_PROG_ENUM(name) DP_PROG_##name,
	DP_PROGS(DP_PROG_ENUM)
#undef DP_PROG_ENUM
	DP_PROG_COUNT,
};
/* clang-format on */

struct dp_features {
	bool coarse_clock; /* ≥ 5.11 */
	bool set_retval;   /* ≥ 5.18 */
	bool fast_tc;      /* ≥ 6.2: sluice_tc_fast loads */
	bool tcx;          /* ≥ 6.6 */
};

struct dp_programs {
	int fd[DP_PROG_COUNT]; /* -1: not loaded on this kernel */
	uint32_t id[DP_PROG_COUNT];
	int old_fd
		[DP_PROG_COUNT]; /* what is pinned until dp_load_commit(); -1 = nothing, or the same as fd */
	uint32_t old_id[DP_PROG_COUNT];
	uint32_t left_id
		[DP_PROG_COUNT]; /* of a replacement that was killed half-way: may be attached here and there */
	struct dp_features features;
	uint64_t hash;
	bool reloaded;  /* false: the pinned programs were taken over as they are */
	bool maps_made; /* at least one map is new */
};

const char *dp_prog_name(enum dp_prog prog);

/*
 * pins must be locked (pin_lock). On failure nothing that was pinned before is changed, and *err says why: a missing
 * capability, a missing kernel feature, or a map whose layout or size does not fit (remedy: sluiced --cleanup).
 */
int dp_load(const struct pin_dir *pins, const struct dp_limits *limits, struct err *err,
	    struct dp **ret_dp, struct dp_programs *ret_programs);
/*
 * --max-flows of the maps that are pinned, for an agent that was not told a number: what is there stays. 0: nothing is pinned.
 */
uint32_t dp_pinned_flows(const struct pin_dir *pins);
/*
 * The links now use the new programs (attach_sync): makes their pins the current ones, and notes the hash in sl_meta.
 * Until then a restart would load again.
 */
int dp_load_commit(const struct pin_dir *pins, struct dp *dp, struct dp_programs *programs,
		   struct err *err);
/* Removes every pin of ours and the directories. Hooks first (attach_cleanup). */
int dp_unload(const struct pin_dir *pins, struct err *err);
void dp_programs_done(struct dp_programs *programs);

/* Is a program of ours, by kernel id? */
bool dp_programs_own(const struct dp_programs *programs, uint32_t prog_id);

#endif
