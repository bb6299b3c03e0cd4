/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Waits for RCU barriers beside the loop. The kernel takes tens of milliseconds over one, and a change that comes meanwhile must
 * not wait for it. The only thread besides the loop's: it touches nothing but the barrier.
 */
#ifndef AGENT_GRACE_H
#define AGENT_GRACE_H

#include <stdbool.h>

struct dp;
struct grace;
struct loop;

/* rc: 0 if the barrier has passed, or -errno. Called from the loop. */
typedef void grace_fn(void *ctx, int rc);

/* dp outlives the grace, and nobody else calls dp_barrier() while it is there. 0 or -errno. */
int grace_new(struct loop *loop, struct dp *dp, grace_fn *fn, void *ctx, struct grace **ret_grace);
/* Waits for what is under way; fn is not called any more. NULL is fine. */
void grace_free(struct grace *grace);

/* Begins one; not while another is under way. */
void grace_begin(struct grace *grace);
bool grace_is_under_way(const struct grace *grace);

#endif
