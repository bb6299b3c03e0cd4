/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Connected UDP sockets of this network namespace whose backend is gone: destroyed, so that the process notices
 * (ECONNABORTED) instead of sending into the void. Sockets of other namespaces cannot be reached with our rights; their
 * packets pass tc, which picks again. TCP goes on: a terminating pod finishes its work.
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

/*
 * Walks sl4_sockets and sl6_sockets, and destroys those whose backend id has another generation or does not serve any
 * more. Only a socket that is connected to exactly that address and has exactly that cookie.
 */
int sockets_sweep(struct dp *dp, struct sockets_result *ret_result);

#endif
