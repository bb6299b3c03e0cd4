/* SPDX-License-Identifier: GPL-2.0 */
/* Takes everything of ours off this node: hooks, programs, maps, directories; of other releases of sluice, too. */
#ifndef DP_CLEANUP_H
#define DP_CLEANUP_H

#include <stdbool.h>

#include "base/err.h"
#include "dp/pin.h"

struct dp_removed {
	unsigned int detached; /* programs that were on hooks */
	bool any;              /* something was there */
};

/*
 * Locks pins (of pin_dir_init), which stay locked until pin_dir_done(). Needs neither a source nor programs that load. Negative errno, and
 * *err says why: an agent runs (-EBUSY), a right is missing, bpffs cannot be written; what was removed until then stays removed, and it
 * may be repeated.
 */
int dp_cleanup(struct pin_dir *pins, struct err *err, struct dp_removed *ret_removed);

#endif
