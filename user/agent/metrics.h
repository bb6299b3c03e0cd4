// SPDX-License-Identifier: GPL-2.0-only
/* The page /metrics, in Prometheus' text format. Counters live in pinned maps: they survive the agent. */
#ifndef AGENT_METRICS_H
#define AGENT_METRICS_H

#include "agent/api_events.h"
#include "agent/sync.h"
#include "agent/usage.h"
#include "base/buf.h"
#include "dp/attach.h"
#include "dp/load.h"

struct ifaces;
struct problems;

/* Service ports and endpoints with series of their own; what is above is counted in sluice_series_omitted. */
#define METRICS_MAX_SERVICES 5000
#define METRICS_MAX_BACKENDS 5000

/* Where the figures come from. All outlive the page. */
struct metrics {
	struct dp *dp;
	const struct dp_programs *programs;
	const struct sync *sync;
	const struct attach *attach;
	const struct ifaces *ifaces;
	const struct problems *problems;
	const struct usage *usage;
	const struct kubeproxy *kubeproxy;
	uint64_t events; /* refusals read from the ring buffer */
	struct api_events_stats api_events;
	size_t health_ports;
};

/* Writes the whole page. What cannot be read is left out. */
void metrics_write(const struct metrics *metrics, struct buf *page);

#endif
