// SPDX-License-Identifier: GPL-2.0-only
/* Counts requests by client, for rates and for those at a time, in memory of a fixed size that all threads share. */
/* Must not know what a client is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "ingress/gate_parts.h"

/* A place for what is counted: sets of a few, each found by the hash. 64 K counters, 2 MiB at most. */
#define SETS  (1 << 13)
#define WAYS  8
#define LOCKS 64

/*
 * A rate is one number: the time at which the client would be all even again if it came at exactly its rate (the "theoretical
 * arrival time" of GCRA). A counter whose time is past says nothing and can be used by another client. With more clients in a
 * set than it has room for, the one that is even soonest is forgotten.
 */
struct counter {
	uint64_t tag; /* 0: free */
	union {
		uint64_t even_ns;
		uint64_t at_a_time;
	};
	bool rate;
};

struct limits {
	uint64_t seed;
	pthread_mutex_t lock[LOCKS];
	struct counter counter[SETS][WAYS];
};

int limits_new(uint64_t seed, struct limits **ret_limits)
{
	struct limits *limits = calloc(1, sizeof(*limits));

	if (!limits)
		return -ENOMEM;
	limits->seed = seed;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&limits->lock[i], NULL);
	*ret_limits = limits;
	return 0;
}

void limits_free(struct limits *limits)
{
	if (!limits)
		return;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&limits->lock[i]);
	free(limits);
}

static uint64_t tag_of(const struct limits *limits, uint64_t id, const void *key, size_t len)
{
	uint64_t tag = table_hash(limits->seed ^ id, key, len);

	return tag ? tag : 1;
}

static pthread_mutex_t *lock_of(struct limits *limits, uint64_t tag)
{
	return &limits->lock[tag % SETS % LOCKS];
}

static bool is_idle(const struct counter *c, uint64_t now_ns)
{
	return !c->tag || (c->rate ? c->even_ns <= now_ns : c->at_a_time == 0);
}

/* Its counter, a fresh one if it has none; NULL: all others of the set count who is there now. Locked. */
static struct counter *find(struct limits *limits, uint64_t tag, bool rate, uint64_t now_ns)
{
	struct counter *set = limits->counter[tag % SETS], *best = NULL;

	for (int i = 0; i < WAYS; i++)
		if (set[i].tag == tag)
			return &set[i];
	for (int i = 0; i < WAYS; i++) {
		if (is_idle(&set[i], now_ns)) {
			best = &set[i];
			break;
		}
		if (set[i].rate && (!best || set[i].even_ns < best->even_ns))
			best = &set[i];
	}
	if (best)
		*best = (struct counter){ .tag = tag, .rate = rate };
	return best;
}

uint64_t limits_take(struct limits *limits, uint64_t id, const void *key, size_t key_len,
		     uint64_t every_ns, unsigned burst, uint64_t now_ns)
{
	uint64_t tag = tag_of(limits, id, key, key_len), wait_ns = 0;
	pthread_mutex_t *lock = lock_of(limits, tag);
	struct counter *c;

	pthread_mutex_lock(lock);
	c = find(limits, tag, true, now_ns);
	if (c) {
		uint64_t even_ns = c->even_ns > now_ns ? c->even_ns : now_ns;
		uint64_t ahead_ns = even_ns - now_ns;

		if (ahead_ns > every_ns * burst)
			wait_ns = ahead_ns - every_ns * burst;
		else
			c->even_ns = even_ns + every_ns;
	}
	pthread_mutex_unlock(lock);
	return wait_ns;
}

bool limits_enter(struct limits *limits, uint64_t id, const void *key, size_t key_len, unsigned max,
		  void **ret_held)
{
	uint64_t tag = tag_of(limits, id, key, key_len);
	pthread_mutex_t *lock = lock_of(limits, tag);
	bool may = true;
	struct counter *c;

	pthread_mutex_lock(lock);
	c = find(limits, tag, false, 0);
	if (c) {
		may = c->at_a_time < max;
		c->at_a_time += may;
	}
	pthread_mutex_unlock(lock);
	*ret_held = may ? c : NULL;
	return may;
}

void limits_leave(struct limits *limits, void *held)
{
	struct counter *c = held;
	size_t set = (size_t)(c - limits->counter[0]) / WAYS;

	pthread_mutex_lock(&limits->lock[set % LOCKS]);
	c->at_a_time--;
	pthread_mutex_unlock(&limits->lock[set % LOCKS]);
}
