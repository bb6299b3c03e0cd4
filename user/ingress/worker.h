/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_WORKER_H
#define INGRESS_WORKER_H

/*
 * A thread: its loop, its listeners, and what all of its connections share. Everything that is reached from here belongs to
 * this thread, unless it is said to be shared.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct loop;
struct match_work;
struct pool;
struct settings;
struct snapshot;
struct stats;
struct wheel;

#define WORKER_SCRATCH \
	(256 * 1024) /* bytes; a read takes as much of it as reads of late have filled */

struct worker {
	unsigned index;
	struct loop *loop;
	const struct settings *settings; /* of the process; never changes */
	struct snapshot *snapshot;       /* the one in force here, counted */
	struct wheel *wheel;             /* deadlines of connections */
	struct pool *pool;               /* idle connections to endpoints */
	struct match_work *match;        /* for regular expressions */
	struct stats *stats;             /* written here, read by the control thread */
	uint64_t random;                 /* state; worker_random() */
	char *scratch;                   /* WORKER_SCRATCH bytes, for the length of one callback */
	struct buf text;                 /* for composing a head; the same */
	bool draining; /* no new connections; the ones that are there end with their answer */
};

/* Uniform; no secret depends on it. */
uint32_t worker_random(struct worker *worker, uint32_t below);

/* Runs fn(arg) on the worker's thread, soon; called from any thread. 0 or -ENOMEM. */
int worker_post(struct worker *worker, void (*fn)(struct worker *worker, void *arg), void *arg);

#endif
