/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When to look for UDP sockets of backends that are gone (dp/sockets.h): after a loss, in pieces between other work, and not
 * more often than every 50 ms. One that the kernel refused, or broke off, is tried again: after a second, two, four … sixty.
 */
#ifndef AGENT_SWEEP_H
#define AGENT_SWEEP_H

#include <stdint.h>

struct dp;
struct loop;
struct sweep;

struct sweep_stats {
	uint64_t sweeps;    /* that came to their end */
	uint64_t destroyed; /* sockets */
};

/* dp outlives it. 0 or -errno. */
int sweep_new(struct loop *loop, struct dp *dp, struct sweep **ret_sweep);
void sweep_free(struct sweep *sweep); /* NULL is fine */

/* A backend is gone: all sockets are looked at that are connected by now. */
void sweep_want(struct sweep *sweep);
const struct sweep_stats *sweep_count(const struct sweep *sweep);

#endif
