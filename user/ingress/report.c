// SPDX-License-Identifier: GPL-2.0-only
/* Tells access log and counters of requests that are over. */
/* Must not know how they went. */
#include "ingress/report.h"

#include "base/clock.h"
#include "ingress/access_log.h"
#include "ingress/client.h"
#include "ingress/exchange.h"
#include "ingress/stats.h"
#include "ingress/worker.h"

void report(struct worker *worker, unsigned slot, struct record *record, bool logged)
{
	record->end_ns = worker_now_ns(worker);
	stats_end(worker->stats, slot, record);
	if (logged && worker->log)
		access_log_write(worker->log, worker->index, record, clock_wall_ns());
}

void report_refused(struct front *front, unsigned status, const char *reason)
{
	const struct client *client = front->client;
	struct record record = {
		.protocol = front->ops->protocol,
		.reason = reason,
		.client = client->peer,
		.client_port = client->peer_port,
		.tls = client->tls,
		.status = (uint16_t)status,
		.ending = ENDING_REFUSED,
		.phase = PHASE_REQUEST,
		.begin_ns = worker_now_ns(front->worker),
	};

	stats_begin(front->worker->stats, STATS_SLOT_NONE);
	report(front->worker, STATS_SLOT_NONE, &record, true);
}
