/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_KUBE_FOLLOWER_H
#define SOURCE_KUBE_FOLLOWER_H

/* One watch of one kind (or of some objects of it) over the client's connections, and what is said about its trouble. */
#include "source/kube/kube_internal.h"

struct follower {
	struct kube *kube;
	struct follower *next; /* of the client's list */
	struct watch_config config;
	struct watch *watch;
	struct kube_transfer *transfer; /* NULL: none under way */
	struct loop_event *timer;
	char *path, *selector; /* what config points to, where it is the follower's own */
	char what[384];        /* the subject of its problem */
	bool problem;
	bool unreachable; /* and it is that: each attempt fails in words of its own, of which the first do */
	bool broken; /* an answer was no list or stream; until a list is in */
	bool wanted; /* of Secrets: found again among those that are wanted */
	bool ended;  /* watches end at once; until one says something */
};

/*
 * Begins, and puts itself into the client's list. config is copied; its texts too if own is set. what: the subject of problems.
 * 0 or -ENOMEM.
 */
int follower_add(struct kube *kube, const struct watch_config *config, bool own, const char *what);
/* Ends it. drop: what only it knows of is gone. Not from within its callbacks. */
void follower_remove(struct follower *follower, bool drop);

/* Looks what to do next, soon. */
void follower_wake(struct follower *follower);

#endif
