/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_UPSTREAM_LIST_H
#define INGRESS_UPSTREAM_LIST_H

/* Inside of an upstream: the list that readers see, and what they count. */
#include <pthread.h>
#include <stdatomic.h>

#include "ingress/upstream.h"

/* Never changes once it can be seen. Those of this node stand first, then those of this zone; each by address and port. */
struct upstream_list {
	size_t n;
	size_t n_node;  /* of this node */
	size_t n_zone;  /* of this zone, those of this node included */
	uint64_t *keys; /* of the origins: what is compared most lies together */
	struct origin *origin[];
};

struct upstream {
	_Atomic unsigned refs;
	struct upstream_settings settings;
	_Atomic(struct upstream_list *) list; /* read between epoch_enter() and epoch_leave() */
	_Atomic uint64_t started;             /* requests */
	_Atomic unsigned turn;                /* round robin */
	pthread_mutex_t lock;                 /* of ejecting and of the budget; held for moments */
	uint64_t budget;                      /* thousandths of a retry */
	uint64_t budget_ns;                   /* when it was last filled up */
	uint64_t budget_started;              /* requests by then */
};

/* The origin for a request among those of the list, or NULL: none. Counts nothing. */
struct origin *upstream_choose(struct upstream *upstream, const struct upstream_list *list,
			       const struct upstream_pick *pick);

/* The one that an affinity cookie names, or NULL. */
struct origin *upstream_find(const struct upstream_list *list, const char *sticky, size_t len);

/* Well mixed (the finaliser of SplitMix64). */
static inline uint64_t upstream_mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

#endif
