/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_STATS_H
#define INGRESS_STATS_H

/*
 * Counters. Each worker writes its own, without locks; the control thread reads them all.
 *
 * What is counted by rule has a slot (an index) that rules hold while they live, so that a request of an old version
 * counts where it belongs. Slots of equal labels are one; a slot that nobody holds any more may be given to other labels, which begin
 * at zero.
 */
#include <stdbool.h>
#include <stdint.h>

#include "ingress/record.h"

struct buf;
struct stats;
struct stats_hub;

/* Counters of a worker that belong to no rule: X(id, name, help) */
#define STATS(X)                                                                                \
	X(CONNECTIONS, "connections_total", "Connections of clients that were accepted.")       \
	X(CONNECTIONS_REFUSED, "connections_refused_total",                                     \
	  "Connections closed at once: a limit was reached, or the PROXY header was wrong.")    \
	X(HANDSHAKES, "tls_handshakes_total", "TLS handshakes of clients that succeeded.")      \
	X(HANDSHAKES_RESUMED, "tls_resumed_total", "Those of them that resumed a session.")     \
	X(HANDSHAKES_FAILED, "tls_handshake_errors_total",                                      \
	  "TLS handshakes of clients that failed.")                                             \
	X(HTTP2_CONNECTIONS, "http2_connections_total", "Connections of HTTP/2 of clients.")    \
	X(FAULTS, "request_faults_total", "Requests refused as malformed.")                     \
	X(PATH_DIFFERS, "path_normalised_total",                                                \
	  "Requests whose path was matched in another form than it was received.")              \
	X(ORIGIN_CONNECTIONS, "origin_connections_total", "Connections made to endpoints.")     \
	X(ORIGIN_REUSED, "origin_reused_total", "Requests sent on connections that were idle.") \
	X(RETRIES_REFUSED, "retries_refused_total",                                             \
	  "Second attempts that the budget did not allow.")                                     \
	X(DRAINED, "drained_total", "Connections cut at the end of the time to drain.")

/* What is open now: X(id, name, help) */
#define GAUGES(X)                                                                   \
	X(CLIENTS, "connections", "Connections of clients that are open.")          \
	X(ORIGINS, "origin_connections", "Connections to endpoints that are open.") \
	X(ORIGINS_IDLE, "origin_connections_idle", "Those of them that wait for a request.")

enum stats_counter {
#define X(id, name, help) STATS_##id,
	STATS(X)
#undef X
		STATS_COUNTERS,
};

enum stats_gauge {
#define X(id, name, help) GAUGE_##id,
	GAUGES(X)
#undef X
		STATS_GAUGES,
};

/* ---- for workers: each its own struct stats ----------------------------------------------------------------------- */

void stats_add(struct stats *stats, enum stats_counter counter, uint64_t n);
void stats_gauge(struct stats *stats, enum stats_gauge gauge, int64_t change);

/* A request begins to count for a rule's slot, and ends: always in pairs, on one worker. 0: no rule. */
void stats_begin(struct stats *stats, unsigned slot);
void stats_end(struct stats *stats, unsigned slot, const struct record *record);
/* A piece of an answer's body came gap_ns after the one before. */
void stats_gap(struct stats *stats, unsigned slot, uint64_t gap_ns);

/* ---- for the control thread ---------------------------------------------------------------------------------------- */

struct stats_labels {
	const char *namespace, *ingress, *host, *path, *service;
};

/* seed: of the table of labels. 0 or -ENOMEM. */
int stats_hub_new(unsigned n_workers, uint64_t seed, struct stats_hub **ret_hub);
void stats_hub_free(struct stats_hub *hub); /* after the workers and all rules */
struct stats *stats_hub_worker(struct stats_hub *hub, unsigned worker);

/* The slot of these labels, held once more. STATS_SLOT_OTHER when there is no memory, or no room. */
unsigned stats_slot_take(struct stats_hub *hub, const struct stats_labels *labels);
/* From any thread. */
void stats_slot_drop(struct stats_hub *hub, unsigned slot);

#define STATS_SLOT_NONE  0 /* requests that met no rule */
#define STATS_SLOT_OTHER 1
#define STATS_SLOTS      16384

#define STATS_SERIES_MAX 10000 /* of rules, on the page; what is above is summed up as "other" */

/* Appends the page's families: ours, and with nginx those of ingress-nginx under controller_class `class`. */
void stats_write(struct stats_hub *hub, const char *controller_class, bool nginx, struct buf *page);

#endif
