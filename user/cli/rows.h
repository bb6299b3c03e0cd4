/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What commands print, apart from where it was read: given rows in, lines out. Tests call these with rows of their own.
 */
#ifndef CLI_ROWS_H
#define CLI_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cli/cli.h"
#include "dp/attach.h"

struct rows_filter {
	const char *namespace; /* NULL = any, as below */
	const char *service;
	bool all;
};

struct rows_filter rows_filter_of(const struct cli *cli);
bool rows_wants_service(const struct rows_filter *filter, const struct view_service *s);

void rows_services(struct out *out, const struct view *view, const struct rows_filter *filter);

/* stats by backend id, one array a family; ids beyond the end have none. */
struct rows_stats {
	const struct sl_backend_stats *v4, *v6;
	size_t n4, n6;
};
void rows_backends(struct out *out, const struct view *view, const struct rows_stats *stats,
		   const struct rows_filter *filter);

/* One entry of a flow table; key and value are of the family's type. */
void rows_flows_begin(struct out *out);
void rows_flow(struct out *out, int family, const void *key, const void *value,
	       const struct sl_name *name, uint64_t now_ns, bool expired);
void rows_flows_end(struct out *out);

void rows_counters(struct out *out, const struct sl_counter counters[SL_REASON_COUNT], bool all);
/* Refusals only, with their advice; what most deserves a look first. */
void rows_drops(struct out *out, const struct sl_counter counters[SL_REASON_COUNT], bool all);

/* One refusal, in words. */
struct rows_drop {
	const char *time; /* RFC 3339 */
	enum sl_reason reason;
	const char *hook, *proto;
	struct address from, to;
	uint16_t sport, port;
	uint32_t ifindex;
	const char *namespace, *name, *port_name; /* NULL or empty: of no service */
};
struct cJSON;
void rows_events_begin(struct out *out);
/* As the agent tells it (agent/admin.h, "drops"). */
void rows_agent_drop(struct out *out, const struct cJSON *item);
void rows_event(struct out *out, const struct sl_event *event, const struct sl_name *name,
		uint64_t wall_ns);

void rows_attach(struct out *out, const struct attach_row *rows, size_t n);

#endif
