/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_PAGES_H
#define INGRESS_PAGES_H

/*
 * What the proxy says of itself, at --metrics-addr:
 *
 *	/metrics   Prometheus' text format
 *	/healthz   200 as long as the control thread runs
 *	/readyz    200 from when the configuration is in force until draining begins
 *	/configz   JSON: what is in force, and everything that is wrong, with the remedy
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct access_log;
struct config;
struct http_page;
struct settings;
struct stats_hub;

/* Where the figures come from. All outlive the pages. */
struct pages {
	const struct settings *settings;
	const struct config *config;
	struct stats_hub *stats;
	const struct access_log *log; /* NULL: none */
	uint64_t started_wall_ns;
	const bool *draining;
	bool has_leader; /* there are elections */
	bool leads;
	uint64_t status_writes, status_failures, events_sent, events_dropped;
};

/* An http_fn, with ctx a struct pages. */
unsigned int pages_answer(void *ctx, const char *path, struct http_page *page);

#endif
