// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts what kube-proxy counts, and writes it under kube-proxy's names.
 * Must not know how a sync works.
 */
#include "agent/kubeproxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics_text.h"
#include "base/table.h"

#define SYNC_BUCKETS_N    15 /* 0.001 s, each twice the last */
#define NETWORK_BUCKETS_N 80

static double sync_bounds[SYNC_BUCKETS_N], network_bounds[NETWORK_BUCKETS_N];

/* 0.25, 0.5, each second from 1 to 59, every 5 from 60 to 115, every 30 from 120 to 300. */
static void fill_bounds(void)
{
	size_t n = 0;

	for (int i = 0; i < SYNC_BUCKETS_N; i++)
		sync_bounds[i] = 0.001 * (double)(1 << i);
	network_bounds[n++] = 0.25;
	network_bounds[n++] = 0.5;
	for (int s = 1; s <= 59; s++)
		network_bounds[n++] = s;
	for (int s = 60; s <= 115; s += 5)
		network_bounds[n++] = s;
	for (int s = 120; s <= 300; s += 30)
		network_bounds[n++] = s;
	_Static_assert(2 + 59 + 12 + 7 == NETWORK_BUCKETS_N, "bounds");
}

int kubeproxy_init(struct kubeproxy *k, uint64_t wall_ns)
{
	memset(k, 0, sizeof(*k));
	fill_bounds();
	k->triggers = calloc(KUBEPROXY_TRIGGERS, sizeof(*k->triggers));
	k->started_wall_ns = k->queued_wall_ns = wall_ns;
	k->sync = (struct histogram){ .bounds_s = sync_bounds, .n_bounds = SYNC_BUCKETS_N };
	for (int i = 0; i < 2; i++)
		k->network[i] = (struct histogram){ .bounds_s = network_bounds,
						    .n_bounds = NETWORK_BUCKETS_N };
	return k->triggers ? 0 : -ENOMEM;
}

void kubeproxy_done(struct kubeproxy *k)
{
	free(k->triggers);
	k->triggers = NULL;
}

/* ---- counting ---------------------------------------------------------------------------------------- */

static uint64_t hash_of(const char *namespace, const char *service)
{
	return table_hash(table_hash(1, namespace, strlen(namespace)), service, strlen(service));
}

void kubeproxy_service_changed(struct kubeproxy *k, uint64_t wall_ns)
{
	k->service_changes += 2; /* once for each family, as it counts there */
	k->service_pending += 2;
	k->queued_wall_ns = wall_ns;
}

void kubeproxy_slice_changed(struct kubeproxy *k, const char *namespace, const char *service,
			     int family, int64_t at_ns, uint64_t wall_ns)
{
	k->endpoint_changes++;
	k->endpoint_pending++;
	k->queued_wall_ns = wall_ns;
	if (!at_ns || !service || at_ns <= (int64_t)k->started_wall_ns ||
	    (family != 4 && family != 6) || k->n_triggers == KUBEPROXY_TRIGGERS)
		return;
	k->triggers[k->n_triggers++] =
		(struct kubeproxy_trigger){ hash_of(namespace, service), at_ns, (uint8_t)family };
}

void kubeproxy_slice_gone(struct kubeproxy *k, const char *namespace, const char *service,
			  uint64_t wall_ns)
{
	uint64_t hash = service ? hash_of(namespace, service) : 0;
	size_t kept = 0;

	k->endpoint_changes++;
	k->endpoint_pending++;
	k->queued_wall_ns = wall_ns;
	for (size_t i = 0; i < k->n_triggers; i++)
		if (!service || k->triggers[i].service != hash)
			k->triggers[kept++] = k->triggers[i];
	k->n_triggers = kept;
}

void kubeproxy_synced(struct kubeproxy *k, bool complete, double took_s, uint64_t wall_ns)
{
	histogram_observe(&k->sync, took_s);
	if (!complete)
		return;
	k->endpoint_pending = k->service_pending = 0;
	k->synced_wall_ns = wall_ns;
	for (size_t i = 0; i < k->n_triggers; i++) {
		double s = ((double)wall_ns - (double)k->triggers[i].at_ns) / 1e9;

		histogram_observe(&k->network[k->triggers[i].family == 6], s > 0 ? s : 0);
	}
	k->n_triggers = 0;
}

/* ---- writing ----------------------------------------------------------------------------------------- */

static const char *const family_labels[] = { "ip_family=\"IPv4\"", "ip_family=\"IPv6\"" };
static const char *const family_names[] = { "IPv4", "IPv6" };

static void write_time(struct buf *page, const char *name, const char *help, uint64_t wall_ns)
{
	metrics_family(page, name, "gauge", help);
	for (int f = 0; f < 2; f++)
		buf_printf(page, "%s{%s} %.3f\n", name, family_labels[f], (double)wall_ns / 1e9);
}

static void write_health(struct buf *page, const char *name, const char *help,
			 const uint64_t counts[2])
{
	metrics_family(page, name, "counter", help);
	metrics_sample(page, name, counts[0], "code", "200", NULL);
	metrics_sample(page, name, counts[1], "code", "503", NULL);
}

static void write_no_local(struct buf *page, const struct plan_stats *plan)
{
	static const char name[] = "kubeproxy_sync_proxy_rules_no_local_endpoints_total";
	const struct plan_family_stats *families[] = { &plan->v4, &plan->v6 };

	metrics_family(page, name, "gauge",
		       "Service ports with a Local policy and no endpoint here, but elsewhere.");
	for (int f = 0; f < 2; f++) {
		metrics_sample(page, name, families[f]->no_local_internal, "ip_family",
			       family_names[f], "traffic_policy", "internal", NULL);
		metrics_sample(page, name, families[f]->no_local_external, "ip_family",
			       family_names[f], "traffic_policy", "external", NULL);
	}
}

void kubeproxy_write(const struct kubeproxy *k, const struct plan_stats *plan, struct buf *page)
{
	metrics_family(page, "kubeproxy_sync_proxy_rules_duration_seconds", "histogram",
		       "Length of a run of planning and writing.");
	for (int f = 0; f < 2; f++)
		histogram_write(&k->sync, "kubeproxy_sync_proxy_rules_duration_seconds",
				family_labels[f], page);
	metrics_family(page, "kubeproxy_network_programming_duration_seconds", "histogram",
		       "From the change of a Service or its pods to this node's maps.");
	for (int f = 0; f < 2; f++)
		histogram_write(&k->network[f], "kubeproxy_network_programming_duration_seconds",
				family_labels[f], page);
	write_time(page, "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
		   "When the last complete run ended, Unix time.", k->synced_wall_ns);
	write_time(page, "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
		   "When a run was last asked for, Unix time.", k->queued_wall_ns);
	metrics_single(page, "kubeproxy_sync_proxy_rules_endpoint_changes_total", "counter",
		       "EndpointSlices that came, changed or went.", k->endpoint_changes);
	metrics_single(page, "kubeproxy_sync_proxy_rules_endpoint_changes_pending", "gauge",
		       "Of those, since the last complete run.", k->endpoint_pending);
	metrics_single(page, "kubeproxy_sync_proxy_rules_service_changes_total", "counter",
		       "Services that came, changed or went, once for each family.",
		       k->service_changes);
	metrics_single(page, "kubeproxy_sync_proxy_rules_service_changes_pending", "gauge",
		       "Of those, since the last complete run.", k->service_pending);
	write_no_local(page, plan);
	write_health(page, "kubeproxy_proxy_healthz_total", "Answers of /healthz.", k->healthz);
	write_health(page, "kubeproxy_proxy_livez_total", "Answers of /livez.", k->livez);
}
