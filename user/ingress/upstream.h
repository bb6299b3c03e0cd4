/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_UPSTREAM_H
#define INGRESS_UPSTREAM_H

/*
 * The endpoints behind one Service port, and the choice among them. Shared by all threads: the list is replaced as a whole by the
 * control thread; counts are atomics. An upstream outlives snapshots as long as anything refers to it, and keeps what it
 * knows of an endpoint (requests in flight, ejection) over every change of configuration.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"

struct origin {
	struct address addr;
	uint16_t port;  /* host order */
	char *pod;      /* namespace/name for logs, or NULL */
	bool near_node; /* on this node */
	bool near_zone; /* in this zone */
	_Atomic unsigned refs;
	_Atomic unsigned in_flight;        /* requests, of all workers */
	_Atomic bool gone;                 /* left: no new request, running ones finish */
	_Atomic uint64_t ejected_until_ns; /* CLOCK_MONOTONIC; 0: not */
	_Atomic unsigned failures;         /* in a row */
	uint64_t since_ns;                 /* when it came: slow start */
};

struct upstream;

enum upstream_choice {
	UPSTREAM_LEAST, /* two at random, the one with fewer requests in flight */
	UPSTREAM_ROUND_ROBIN,
	UPSTREAM_HASH, /* of a key; consistent when endpoints come and go, with bounded load where asked */
};

struct upstream_pick {
	enum upstream_choice choice;
	uint64_t hash;      /* UPSTREAM_HASH */
	const char *sticky; /* value of an affinity cookie, or NULL */
	struct origin *const
		*tried; /* already failed for this request: taken only if there is nothing else */
	size_t n_tried;
	uint32_t random;
	uint64_t now_ns;
};

/* Counted, in_flight raised; upstream_release() gives it back. NULL: none is ready. */
struct origin *upstream_take(struct upstream *upstream, const struct upstream_pick *pick);

enum upstream_result {
	UPSTREAM_OK,
	UPSTREAM_FAILED /* connect, reset, time-out */,
	UPSTREAM_ABANDONED /* by the client */
};
void upstream_release(struct upstream *upstream, struct origin *origin, enum upstream_result result,
		      uint64_t now_ns);

/* May one more request be sent again? (A tenth of requests, and three a second.) Takes from the budget if so. */
bool upstream_may_retry(struct upstream *upstream, uint64_t now_ns);

struct upstream *upstream_hold(struct upstream *upstream);
void upstream_drop(struct upstream *upstream); /* NULL is fine */
void origin_drop(struct origin *origin);

#endif
