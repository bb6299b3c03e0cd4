/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_UPSTREAM_H
#define INGRESS_UPSTREAM_H

/*
 * The endpoints behind one Service port, and the choice among them. Shared by all threads: the list is replaced as a whole by the
 * control thread; readers take no lock; counts are atomics. An upstream outlives snapshots as long as anything refers to it,
 * and keeps what it knows of an endpoint (requests in flight, ejection) over every change of configuration.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"

struct origin {
	struct address addr;
	uint16_t port; /* host order */
	char *pod;     /* namespace/name for logs, or NULL */
	uint64_t
		key; /* says address and port under the upstream's seed: hashing, affinity cookies */
	uint64_t new_ns; /* when it came, if others were there before it: slow start; 0: not */
	_Atomic unsigned refs;
	_Atomic unsigned in_flight;        /* requests, of all workers */
	_Atomic bool gone;                 /* left: no new request, running ones finish */
	_Atomic unsigned failures;         /* in a row */
	_Atomic unsigned ejections;        /* in a row: how long the next one lasts */
	_Atomic uint64_t ejected_until_ns; /* CLOCK_MONOTONIC; 0: not */
};

struct upstream;

enum upstream_choice {
	UPSTREAM_LEAST, /* two at random, the one with fewer requests in flight */
	UPSTREAM_ROUND_ROBIN,
	UPSTREAM_HASH, /* of a key; consistent when endpoints come and go, with bounded load where asked */
};

/* Endpoints that are taken before others, while they are not busier than a quarter above the mean. */
enum upstream_near { UPSTREAM_ANYWHERE, UPSTREAM_SAME_ZONE, UPSTREAM_SAME_NODE };

struct upstream_pick {
	enum upstream_choice choice;
	enum upstream_near near;
	uint64_t hash; /* UPSTREAM_HASH */
	unsigned
		bound; /* UPSTREAM_HASH: per cent of the mean load that an endpoint may have (> 100); 0: any */
	const char *sticky; /* value of an affinity cookie, or NULL */
	size_t sticky_len;
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
	UPSTREAM_FAILED,    /* connect, reset, time-out */
	UPSTREAM_ABANDONED, /* by the client; or it says nothing about the endpoint */
};
void upstream_release(struct upstream *upstream, struct origin *origin, enum upstream_result result,
		      uint64_t now_ns);

/* Is there any endpoint, ejected or not? */
bool upstream_is_ready(struct upstream *upstream);

/* Does an affinity cookie with this value name an endpoint that is there, ejected or not? */
bool upstream_knows(struct upstream *upstream, const char *sticky, size_t len);

/* May one more request be sent again? (A tenth of requests, and three a second.) Takes from the budget if so. */
bool upstream_may_retry(struct upstream *upstream, uint64_t now_ns);

/* What an affinity cookie says of an endpoint: 16 hexadecimal digits and NUL, from which no address can be told. */
#define UPSTREAM_STICKY_LEN 16
void upstream_sticky(const struct origin *origin, char ret_value[UPSTREAM_STICKY_LEN + 1]);

struct upstream *upstream_hold(struct upstream *upstream);
void upstream_drop(struct upstream *upstream); /* NULL is fine */
/* Does anybody else have it than the caller? */
bool upstream_is_shared(const struct upstream *upstream);
struct origin *origin_hold(struct origin *origin);
void origin_drop(struct origin *origin); /* NULL is fine */

/* ---- the control thread's side ---------------------------------------------------------------------------------- */

struct upstream_settings {
	/* Of the keys of endpoints. Replicas with the same seed know each other's affinity cookies and hash alike, so it is made
	 * of what all of them know and no client does: the UID of the Service. */
	uint64_t seed;
	uint64_t
		slow_start_ns; /* how long an endpoint that joins others is spared; 0: not at all */
	unsigned eject_failures; /* in a row, before an endpoint is left alone; 0: never */
	uint64_t eject_ns;       /* the first time; twice as long each time it fails again */
	uint64_t eject_max_ns;
};

/* Slow start 10 s; ejection after 5 failures, for 2 s, at most 60 s. */
extern const struct upstream_settings upstream_defaults; /* seed 0 */

struct upstream_endpoint {
	struct address addr;
	uint16_t port;
	const char *pod;           /* namespace/name, or NULL */
	bool same_node, same_zone; /* as this process */
};

/* Without endpoints. Counted, for the caller. 0 or -ENOMEM. */
int upstream_new(const struct upstream_settings *settings, uint64_t now_ns,
		 struct upstream **ret_upstream);

/*
 * The ready endpoints from now on, in any order; of several with one address and port the first counts. An endpoint that stays
 * (address, port and pod) is the same origin. Only by the control thread. *ret_left (may be NULL): how many have left; their idle
 * connections are to be closed. 0, or -ENOMEM and nothing has changed.
 */
int upstream_set(struct upstream *upstream, const struct upstream_endpoint *endpoints, size_t n,
		 uint64_t now_ns, size_t *ret_left);

/* Calls fn for each endpoint there is, near ones first; for pages and metrics. fn must be short. */
void upstream_each(struct upstream *upstream, void (*fn)(void *ctx, const struct origin *origin),
		   void *ctx);

#endif
