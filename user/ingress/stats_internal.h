/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_STATS_INTERNAL_H
#define INGRESS_STATS_INTERNAL_H

/* Inside of the counters: what a worker counts for a slot, and what the page reads. */
#include <stdbool.h>

#include "base/table.h"
#include "ingress/stats.h"

/* Upper bounds of buckets; one more bucket is above the last. */
#define STATS_TIME_BUCKETS 15
#define STATS_GAP_BUCKETS  12
#define STATS_SIZE_BUCKETS 8
extern const uint64_t stats_time_ns[STATS_TIME_BUCKETS];
extern const uint64_t stats_gap_ns[STATS_GAP_BUCKETS];
extern const uint64_t stats_size[STATS_SIZE_BUCKETS]; /* bytes */

struct stats_times {
	uint64_t sum; /* ns */
	uint64_t count[STATS_TIME_BUCKETS + 1];
};

struct stats_gaps {
	uint64_t sum; /* ns */
	uint64_t count[STATS_GAP_BUCKETS + 1];
};

struct stats_sizes {
	uint64_t sum; /* bytes */
	uint64_t count[STATS_SIZE_BUCKETS + 1];
};

/* Requests by method and status, as they are met; the last one takes all that is left over. */
#define STATS_CODES 8

struct stats_code {
	uint64_t what; /* enum stats_method << 16 | status; 0: free */
	uint64_t count;
};

enum stats_method {
	STATS_GET = 1,
	STATS_HEAD,
	STATS_POST,
	STATS_PUT,
	STATS_DELETE,
	STATS_PATCH,
	STATS_OPTIONS,
	STATS_OTHER_METHOD,
	STATS_METHODS,
};
extern const char *const stats_method_names[STATS_METHODS];

#define STATS_CLASSES 6 /* no status, 1xx, … 5xx */

/*
 * Nothing but uint64_t, so that all of it is added up as an array. Written by one thread, read by another: every word by itself is
 * whole, but not all of them together.
 */
struct stats_slot {
	uint64_t begun, ended;
	uint64_t classes[STATS_CLASSES];
	uint64_t endings[ENDINGS_COUNT];
	uint64_t retries; /* attempts beyond the first */
	struct stats_times duration, first_byte, connect, response;
	struct stats_gaps gap;
	struct stats_sizes bytes_in, bytes_out;
	struct stats_code codes[STATS_CODES]; /* not added up */
};

#define STATS_SLOT_WORDS (offsetof(struct stats_slot, codes) / sizeof(uint64_t))

/* Whether those of a slot are counted by themselves: said once, by whoever counts the first, and the same for all workers. */
enum stats_place { STATS_PLACE_OPEN, STATS_PLACE_OWN, STATS_PLACE_OTHER };

/* More than can have series of their own: what is counted beyond would be summed up in any case. */
#define STATS_PLACES 1024

struct stats {
	uint64_t counters[STATS_COUNTERS];
	int64_t gauges[STATS_GAUGES];
	struct stats_hub *hub;
	_Atomic(struct stats_slot *) slots[STATS_SLOTS]; /* NULL: nothing was counted */
} __attribute__((aligned(64)));

/* A slot as the control thread sees it. */
struct stats_holder {
	_Atomic unsigned refs;
	_Atomic unsigned char place; /* enum stats_place */
	char *key;                   /* labels, one behind the other; NULL: free */
	size_t key_len;
	bool named;  /* has series of its own … */
	bool detail; /* … histograms, too */
	struct stats_slot
		*base; /* what was counted for those who had the slot before; NULL: nothing */
};

struct stats_hub {
	unsigned n_workers;
	struct stats *workers;
	struct stats_holder *holders; /* STATS_SLOTS */
	_Atomic unsigned n_places; /* slots that are counted by themselves, at most STATS_PLACES */
	unsigned n_holders;        /* were ever used */
	struct table by_key;       /* labels -> holder */
	unsigned next_free;        /* where to look for a slot that nobody holds */
	size_t series;             /* that named slots may have, together */
};

/* Series of a slot that has its own: of the counters, and of the histograms. */
#define STATS_COUNTER_SERIES (STATS_CLASSES + 3 /* by whom */ + 4 + STATS_CODES)
#define STATS_DETAIL_SERIES                                                            \
	(6 * (STATS_TIME_BUCKETS + 3) /* +Inf, sum, count */ + STATS_GAP_BUCKETS + 3 + \
	 2 * (STATS_SIZE_BUCKETS + 3))
/* Histograms leave this many for counters of more slots. */
#define STATS_KEPT_SERIES (STATS_SERIES_MAX / 4)

/* The sum of all workers since the slot has its labels, into a zeroed struct. False: nothing was counted. */
bool stats_slot_sum(const struct stats_hub *hub, unsigned slot, struct stats_slot *ret_sum);
void stats_labels_of(const struct stats_holder *holder, struct stats_labels *ret_labels);

#endif
