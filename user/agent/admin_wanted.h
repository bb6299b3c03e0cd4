/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The answer to "wanted", a piece at a time: of ten thousand services it is as large as the agent itself, and the loop has other
 * things to do. Between two pieces the plan may change: each service is told as it is when its turn comes; one that is gone by
 * then is left out, one that came is not told. Must not know sockets.
 */
#ifndef AGENT_ADMIN_WANTED_H
#define AGENT_ADMIN_WANTED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct diff;
struct admin_wanted_key;

/* All-zero: nothing is to come. */
struct admin_wanted {
	const struct diff *diff;
	struct admin_wanted_key *keys; /* of all services; NULL: nothing is to come */
	size_t n, next;
	bool any; /* one was told: a comma before the next */
};

#define ADMIN_WANTED_PIECE \
	32768 /* a piece ends with the service that goes beyond that many bytes */

/* Appends the beginning, or an "error". The diff outlives it. */
void admin_wanted_begin(const struct diff *diff, struct buf *out, struct admin_wanted *ret_wanted);
static inline bool admin_wanted_is_open(const struct admin_wanted *wanted)
{
	return wanted->keys != NULL;
}
/* Appends the next piece; after the last one, which ends with a newline, nothing is to come. */
void admin_wanted_more(struct admin_wanted *wanted, struct buf *out);
void admin_wanted_done(struct admin_wanted *wanted);

#endif
