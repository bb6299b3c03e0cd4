// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters of backends and services under the names of their owners.
 * Must not know anything that changes maps.
 */
#include "agent/metrics_services.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/metrics.h"
#include "base/metrics_text.h"
#include "base/vec.h"
#include "core/format.h"

struct endpoint_row {
	int family; /* 4 or 6 */
	uint32_t id;
	uint32_t service;
	struct address addr;
	uint16_t port;
	struct sl_backend_stats stats;
};

struct service_row {
	int family;
	uint32_t id;
	const struct sl_name *name;      /* the diff's, valid while nothing is planned */
	struct sl_backend_stats traffic; /* sum over its backends */
	struct sl_service_stats stats;
};

struct census {
	struct VEC_OF(struct endpoint_row) endpoints;
	struct VEC_OF(struct service_row) services; /* sorted by family and id */
	int family;
	bool failed;
};

static int add_endpoint(void *ctx, const void *key, const void *value)
{
	struct census *c = ctx;
	struct endpoint_row row = { .family = c->family };
	struct row_backend backend;

	memcpy(&row.id, key, sizeof(row.id));
	row_decode_backend(c->family, value, &backend);
	row.service = backend.service;
	row.addr = backend.addr;
	row.port = backend.port;
	return vec_push(&c->endpoints, row);
}

static int add_service(void *ctx, const void *key, const void *value)
{
	struct census *c = ctx;
	struct service_row row = { .family = c->family, .name = value };

	memcpy(&row.id, key, sizeof(row.id));
	return vec_push(&c->services, row);
}

static int compare_services(const void *a, const void *b)
{
	const struct service_row *x = a, *y = b;

	if (x->family != y->family)
		return x->family - y->family;
	return x->id < y->id ? -1 : x->id > y->id;
}

static int compare_endpoints(const void *a, const void *b)
{
	const struct endpoint_row *x = a, *y = b;

	if (x->family != y->family)
		return x->family - y->family;
	return x->id < y->id ? -1 : x->id > y->id;
}

static struct service_row *find_service(const struct census *c, int family, uint32_t id)
{
	struct service_row key = { .family = family, .id = id };

	return c->services.len ? bsearch(&key, c->services.data, c->services.len, sizeof(key),
					 compare_services)
			       : NULL;
}

/* ---- reading ------------------------------------------------------------------------------------- */

static void read_endpoint_stats(struct dp *dp, struct census *c, int family)
{
	struct sl_backend_stats *stats;
	struct endpoint_row *row;
	uint32_t end = 0;

	vec_for_each(row, &c->endpoints)
		if (row->family == family && row->id >= end)
			end = row->id + 1;
	stats = end ? calloc(end, sizeof(*stats)) : NULL;
	if (stats && dp_stats_read(dp, dp_map_of(family, DP_sl4_be_stats), 0, end, stats) == 0)
		vec_for_each(row, &c->endpoints)
			if (row->family == family)
				row->stats = stats[row->id];
	free(stats);
}

static void read_service_stats(struct dp *dp, struct census *c, int family)
{
	struct sl_service_stats *stats;
	struct service_row *row;
	uint32_t end = 0;

	vec_for_each(row, &c->services)
		if (row->family == family && row->id >= end)
			end = row->id + 1;
	stats = end ? calloc(end, sizeof(*stats)) : NULL;
	if (stats && dp_stats_read(dp, dp_map_of(family, DP_sl4_svc_stats), 0, end, stats) == 0)
		vec_for_each(row, &c->services)
			if (row->family == family)
				row->stats = stats[row->id];
	free(stats);
}

static void sum_traffic(struct census *c)
{
	const struct endpoint_row *row;

	vec_for_each(row, &c->endpoints) {
		struct service_row *service = find_service(c, row->family, row->service);

		if (!service)
			continue;
		service->traffic.packets_to += row->stats.packets_to;
		service->traffic.bytes_to += row->stats.bytes_to;
		service->traffic.packets_from += row->stats.packets_from;
		service->traffic.bytes_from += row->stats.bytes_from;
	}
}

static int take_census(struct dp *dp, const struct diff *diff, struct census *c)
{
	struct row_reader reader =
		diff_desired_reader(diff); /* not the kernel's, which may be damaged */
	int rc = 0;

	for (int family = 4; rc == 0 && family <= 6; family += 2) {
		c->family = family;
		rc = reader.each(reader.ctx, row_table_of(ROW4_BACKENDS, family), add_endpoint, c);
		if (rc == 0)
			rc = reader.each(reader.ctx, row_table_of(ROW4_NAMES, family), add_service,
					 c);
		read_endpoint_stats(dp, c, family);
		read_service_stats(dp, c, family);
	}
	vec_sort(&c->services, compare_services);
	vec_sort(&c->endpoints, compare_endpoints);
	sum_traffic(c);
	return rc;
}

/* ---- writing ------------------------------------------------------------------------------------- */

static const char *port_text(const struct sl_name *name, char text[SL_PORT_NAME_LEN])
{
	if (name->port_name[0])
		return name->port_name;
	snprintf(text, SL_PORT_NAME_LEN, "%u", name->port);
	return text;
}

static void write_sample(struct buf *page, const char *metric, uint64_t value,
			 const struct service_row *service, const char *endpoint)
{
	char port[SL_PORT_NAME_LEN], proto[FORMAT_SHORT_LEN];
	const struct sl_name *name = service->name;

	metrics_sample(page, metric, value, "namespace", name->namespace, "service", name->name,
		       "port", port_text(name, port), "protocol", format_proto(name->proto, proto),
		       "family", service->family == 6 ? "IPv6" : "IPv4",
		       endpoint ? "endpoint" : NULL, endpoint, NULL);
}

static uint64_t u64_at(const void *base, size_t offset)
{
	return *(const uint64_t *)((const char *)base + offset);
}

static void write_services(const struct census *c, struct buf *page)
{
	static const struct {
		const char *name, *help;
		bool traffic; /* of struct sl_backend_stats, else sl_service_stats */
		size_t offset;
	} columns[] = {
		{ "sluice_service_flows_total", "New flows.", false,
		  offsetof(struct sl_service_stats, new_flows) },
		{ "sluice_service_refused_total", "New flows that were refused.", false,
		  offsetof(struct sl_service_stats, refused) },
		{ "sluice_service_packets_to_total", "Packets to the endpoints that are there now.",
		  true, offsetof(struct sl_backend_stats, packets_to) },
		{ "sluice_service_bytes_to_total", "Bytes to the endpoints that are there now.",
		  true, offsetof(struct sl_backend_stats, bytes_to) },
		{ "sluice_service_packets_from_total",
		  "Packets from the endpoints that are there now.", true,
		  offsetof(struct sl_backend_stats, packets_from) },
		{ "sluice_service_bytes_from_total", "Bytes from the endpoints that are there now.",
		  true, offsetof(struct sl_backend_stats, bytes_from) },
	};
	size_t n = c->services.len < METRICS_MAX_SERVICES ? c->services.len : METRICS_MAX_SERVICES;

	for (size_t k = 0; k < sizeof(columns) / sizeof(columns[0]); k++) {
		metrics_family(page, columns[k].name, "counter", columns[k].help);
		for (size_t i = 0; i < n; i++) {
			const struct service_row *row = &c->services.data[i];
			const void *base = columns[k].traffic ? (const void *)&row->traffic
							      : &row->stats;

			write_sample(page, columns[k].name, u64_at(base, columns[k].offset), row,
				     NULL);
		}
	}
}

static void write_endpoints(const struct census *c, struct buf *page)
{
	static const struct {
		const char *name, *help;
		size_t offset;
	} columns[] = {
		{ "sluice_backend_flows_total", "New flows to the endpoint.",
		  offsetof(struct sl_backend_stats, new_flows) },
		{ "sluice_backend_packets_to_total", "Packets to the endpoint.",
		  offsetof(struct sl_backend_stats, packets_to) },
		{ "sluice_backend_bytes_to_total", "Bytes to the endpoint.",
		  offsetof(struct sl_backend_stats, bytes_to) },
		{ "sluice_backend_packets_from_total", "Packets from the endpoint.",
		  offsetof(struct sl_backend_stats, packets_from) },
		{ "sluice_backend_bytes_from_total", "Bytes from the endpoint.",
		  offsetof(struct sl_backend_stats, bytes_from) },
	};
	size_t n = c->endpoints.len < METRICS_MAX_BACKENDS ? c->endpoints.len
							   : METRICS_MAX_BACKENDS;
	char endpoint[FORMAT_ENDPOINT_LEN];

	for (size_t k = 0; k < sizeof(columns) / sizeof(columns[0]); k++) {
		metrics_family(page, columns[k].name, "counter", columns[k].help);
		for (size_t i = 0; i < n; i++) {
			const struct endpoint_row *row = &c->endpoints.data[i];
			const struct service_row *service =
				find_service(c, row->family, row->service);

			if (service)
				write_sample(page, columns[k].name,
					     u64_at(&row->stats, columns[k].offset), service,
					     format_endpoint(&row->addr, row->port, endpoint));
		}
	}
}

static uint64_t above(size_t n, size_t limit)
{
	return n > limit ? n - limit : 0;
}

void metrics_write_services(struct dp *dp, const struct diff *diff, struct buf *page)
{
	struct census c = { 0 };

	if (take_census(dp, diff, &c) == 0) {
		write_services(&c, page);
		write_endpoints(&c, page);
		metrics_family(
			page, "sluice_series_omitted", "gauge",
			"Service ports and endpoints without series of their own, as there are too many.");
		metrics_sample(page, "sluice_series_omitted",
			       above(c.services.len, METRICS_MAX_SERVICES), "kind", "service",
			       NULL);
		metrics_sample(page, "sluice_series_omitted",
			       above(c.endpoints.len, METRICS_MAX_BACKENDS), "kind", "backend",
			       NULL);
	}
	vec_done(&c.services);
	vec_done(&c.endpoints);
}
