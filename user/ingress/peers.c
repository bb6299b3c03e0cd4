// SPDX-License-Identifier: GPL-2.0-only
/* Counts connections, in shards with a lock each that is never held across a call. */
/* Must not know what a connection is. */
#include "ingress/peers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/table.h"

#define SHARDS 32

struct peers {
	uint64_t max, per_address;
	_Atomic uint64_t n;
	uint64_t seed;
	struct {
		pthread_mutex_t lock;
		struct table counts; /* address to its number, as a pointer */
	} shards[SHARDS];
};

struct peers *peers_new(uint64_t max, uint64_t per_address)
{
	struct peers *peers = calloc(1, sizeof(*peers));

	if (!peers)
		return NULL;
	peers->max = max;
	peers->per_address = per_address;
	if (getrandom(&peers->seed, sizeof(peers->seed), 0) != (ssize_t)sizeof(peers->seed)) {
		free(peers);
		return NULL;
	}
	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&peers->shards[i].lock, NULL);
		table_init(&peers->shards[i].counts, peers->seed);
	}
	return peers;
}

void peers_free(struct peers *peers)
{
	if (!peers)
		return;
	for (int i = 0; i < SHARDS; i++) {
		table_done(&peers->shards[i].counts, NULL);
		pthread_mutex_destroy(&peers->shards[i].lock);
	}
	free(peers);
}

/* By `change`; false where that is more than allowed, or there is no memory. */
static bool count(struct peers *peers, const struct address *address, int change)
{
	unsigned shard =
		(unsigned)(table_hash(peers->seed, address, sizeof(*address)) >> 32) % SHARDS;
	struct table *counts = &peers->shards[shard].counts;
	uintptr_t n;
	bool ok = true;

	pthread_mutex_lock(&peers->shards[shard].lock);
	n = (uintptr_t)table_get(counts, address, sizeof(*address)) + (uintptr_t)change;
	if (n > peers->per_address)
		ok = false;
	else if (n == 0)
		table_remove(counts, address, sizeof(*address));
	else
		ok = table_put(counts, address, sizeof(*address), (void *)n, NULL) == 0;
	pthread_mutex_unlock(&peers->shards[shard].lock);
	return ok;
}

bool peers_are_full(const struct peers *peers)
{
	return atomic_load(&peers->n) >= peers->max;
}

bool peers_by_address(const struct peers *peers)
{
	return peers->per_address > 0;
}

bool peers_enter(struct peers *peers, const struct address *address)
{
	if (atomic_fetch_add(&peers->n, 1) >= peers->max ||
	    (address && peers->per_address && !count(peers, address, 1))) {
		atomic_fetch_sub(&peers->n, 1);
		return false;
	}
	return true;
}

void peers_leave(struct peers *peers, const struct address *address)
{
	atomic_fetch_sub(&peers->n, 1);
	if (address && peers->per_address)
		count(peers, address, -1);
}
