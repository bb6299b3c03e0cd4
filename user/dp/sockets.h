/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Connected UDP sockets of this network namespace whose backend is gone: destroyed, so that the process notices
 * (ECONNABORTED) instead of sending into the void. Sockets of other namespaces cannot be reached with our rights; their
 * packets pass tc, which picks again. TCP goes on: a terminating pod finishes its work.
 *
 * The kernel is asked which sockets are connected, and each of them is looked up: what that costs depends on how many there
 * are, not on the size of any table. It is done in pieces, so that the caller's loop breathes.
 */
#ifndef DP_SOCKETS_H
#define DP_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "dp/maps.h"

struct sockets_result {
	uint32_t checked; /* connected UDP sockets of ours */
	uint32_t destroyed;
	bool unsupported; /* the kernel has no SOCK_DESTROY */
};

struct sockets_sweep;

/* Begins a look at all of them. seed is that of sl_meta; dp outlives the sweep. 0 or -errno. */
int sockets_sweep_new(struct dp *dp, uint32_t seed, struct sockets_sweep **ret_sweep);
/*
 * The next piece: some hundred sockets are looked at, or some are destroyed. A socket goes if sl4_sockets or sl6_sockets says
 * that it was told to use exactly the address that it is connected to, and the backend id has another generation by now or does
 * not serve any more. 1: call again; 0: that was all; -errno: it is over, too.
 */
int sockets_sweep_step(struct sockets_sweep *sweep);
const struct sockets_result *sockets_sweep_result(const struct sockets_sweep *sweep);
/* NULL is fine. */
void sockets_sweep_free(struct sockets_sweep *sweep);

#endif
