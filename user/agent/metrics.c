// SPDX-License-Identifier: GPL-2.0-only
/*
 * The figures of the agent and of the data path as a page.
 * Must not know how a page is served, nor change anything.
 */
#include "agent/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "agent/ifaces.h"
#include "agent/metrics_services.h"
#include "base/metrics_text.h"
#include "core/format.h"
#include "core/problem.h"
#include "core/view.h"
#include "sluice_version.h"

/* ---- packets ------------------------------------------------------------------------------------- */

static const struct sl_hook_counter *hook_counter(const struct sl_counter *counter,
						  enum sl_hook hook)
{
	switch (hook) {
	case SL_HOOK_XDP:
		return &counter->xdp;
	case SL_HOOK_INGRESS:
		return &counter->ingress;
	case SL_HOOK_EGRESS:
		return &counter->egress;
	default:
		return &counter->socket;
	}
}

static void write_packets(const struct metrics *m, struct buf *page)
{
	struct sl_counter counters[SL_REASON_COUNT];

	if (dp_counters_read(m->dp, counters) < 0)
		return;
	for (int bytes = 0; bytes <= 1; bytes++) {
		const char *name = bytes ? "sluice_bytes_total" : "sluice_packets_total";

		metrics_family(
			page, name, "counter",
			bytes ? "Bytes of frames, by what became of them and at which hook."
			      : "Packets (at the socket hook: calls), by what became of them and at which hook.");
		for (int reason = 0; reason < SL_REASON_COUNT; reason++)
			for (int hook = 0; hook < SL_HOOK_COUNT; hook++) {
				const struct sl_hook_counter *c =
					hook_counter(&counters[reason], hook);

				if (bytes && hook == SL_HOOK_SOCKET)
					continue;
				metrics_sample(page, name, bytes ? c->bytes : c->packets, "reason",
					       format_reason_name(reason), "verdict",
					       format_verdict(format_reason_verdict(reason)),
					       "hook", format_hook(hook), NULL);
			}
	}
	metrics_single(page, "sluice_events_total", "counter",
		       "Refusals read one by one from the ring buffer.", m->events);
}

/* ---- sync ---------------------------------------------------------------------------------------- */

static void write_histogram(struct buf *page, const char *name, const char *help,
			    const struct sync_histogram *h)
{
	uint64_t sum = 0;

	metrics_family(page, name, "histogram", help);
	for (int i = 0; i < SYNC_BUCKETS; i++) {
		sum += h->count[i];
		buf_printf(page, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
			   sync_bucket_us[i] / 1e6, sum);
	}
	sum += h->count[SYNC_BUCKETS];
	buf_printf(page, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.9f\n%s_count %" PRIu64 "\n",
		   name, sum, name, (double)h->sum_ns / 1e9, name, sum);
}

static void write_sync(const struct metrics *m, struct buf *page)
{
	struct diff_stats diff;
	struct plan_stats plan;
	struct sync_stats s;

	sync_count(m->sync, &s);
	diff_count(sync_diff(m->sync), &diff);
	write_histogram(page, "sluice_sync_latency_seconds",
			"From the first change the source told to all maps written.", &s.latency);
	write_histogram(page, "sluice_sync_work_seconds",
			"Planning and writing, without waiting for more changes.", &s.work);
	metrics_single(page, "sluice_syncs_total", "counter", "Runs of plan and write.", s.runs);
	plan_count(sync_plan(m->sync), &plan);
	metrics_single(page, "sluice_services_planned_total", "counter",
		       "Services that runs had to look at.", plan.planned);
	metrics_single(page, "sluice_sync_failures_total", "counter",
		       "Runs that left something to be tried again.", s.failures);
	metrics_single(page, "sluice_pending_rows", "gauge",
		       "Rows of maps that are not yet as they shall be.", s.pending_rows);
	metrics_single(page, "sluice_audits_total", "counter",
		       "Comparisons of all control maps with the plan.", s.audits);
	metrics_single(page, "sluice_drift_repairs_total", "counter",
		       "Rows that an audit found different from the plan and put right.",
		       s.repaired);
	metrics_single(page, "sluice_barriers_total", "counter",
		       "Waits for programs to end before numbers are used again.", s.barriers);
	metrics_single(page, "sluice_socket_sweeps_total", "counter",
		       "Looks for connected UDP sockets whose endpoint had gone.", s.sweeps.sweeps);
	metrics_single(page, "sluice_sockets_destroyed_total", "counter",
		       "Connected UDP sockets whose endpoint had gone.", s.sweeps.destroyed);
	metrics_family(page, "sluice_map_writes_total", "counter", "Operations on control maps.");
	metrics_sample(page, "sluice_map_writes_total", diff.done, "result", "ok", NULL);
	metrics_sample(page, "sluice_map_writes_total", diff.failed, "result", "failed", NULL);
	metrics_family(page, "sluice_last_sync_timestamp_seconds", "gauge",
		       "When the maps were last made equal to the source, Unix time; 0: not yet.");
	buf_printf(page, "sluice_last_sync_timestamp_seconds %.3f\n",
		   (double)s.synced_wall_ns / 1e9);
}

static void write_kubeproxy(const struct metrics *m, struct buf *page)
{
	struct plan_stats plan;

	plan_count(sync_plan(m->sync), &plan);
	kubeproxy_write(m->kubeproxy, &plan, page);
	metrics_family(page, "sluice_api_writes_total", "counter",
		       "Events about objects: taken by the API server, or left out.");
	metrics_sample(page, "sluice_api_writes_total", m->api_events.sent, "what", "events",
		       "result", "sent", NULL);
	metrics_sample(page, "sluice_api_writes_total", m->api_events.dropped, "what", "events",
		       "result", "dropped", NULL);
	metrics_single(page, "sluice_health_check_ports", "gauge",
		       "Listeners of healthCheckNodePorts.", m->health_ports);
}

/* ---- what is served ------------------------------------------------------------------------------- */

static void write_served(const struct metrics *m, struct buf *page)
{
	static const struct {
		const char *name, *help;
		size_t offset;
	} gauges[] = {
		{ "sluice_service_ports", "Service ports served.",
		  offsetof(struct plan_family_stats, services) },
		{ "sluice_service_records", "Addresses with a port that are service traffic.",
		  offsetof(struct plan_family_stats, rows) },
		{ "sluice_backends", "Endpoints of service ports.",
		  offsetof(struct plan_family_stats, backends) },
		{ "sluice_refused", "Service ports and endpoints there was no room for.",
		  offsetof(struct plan_family_stats, refused) },
	};
	static const enum sl_kind kinds[] = { SL_KIND_NODE_PORT, SL_KIND_LOAD_BALANCER,
					      SL_KIND_EXTERNAL_IP };
	struct plan_stats plan;
	struct store_stats store;

	plan_count(sync_plan(m->sync), &plan);
	store_count(sync_store(m->sync), &store);
	for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
		metrics_family(page, gauges[i].name, "gauge", gauges[i].help);
		for (int v6 = 0; v6 <= 1; v6++)
			metrics_sample(
				page, gauges[i].name,
				*(const uint32_t *)((const char *)(v6 ? &plan.v6 : &plan.v4) +
						    gauges[i].offset),
				"family", v6 ? "IPv6" : "IPv4", NULL);
	}
	metrics_family(page, "sluice_frontends_not_served", "gauge",
		       "Node ports and addresses that are known and not yet served.");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		metrics_sample(page, "sluice_frontends_not_served",
			       plan_count_unserved(sync_plan(m->sync), kinds[i]), "kind",
			       view_kind_name(kinds[i]), NULL);
	metrics_family(page, "sluice_source_objects", "gauge", "Objects the source tells of.");
	metrics_sample(page, "sluice_source_objects", store.services, "kind", "Service", NULL);
	metrics_sample(page, "sluice_source_objects", store.slices, "kind", "EndpointSlice", NULL);
	metrics_sample(page, "sluice_source_objects", store.nodes, "kind", "Node", NULL);
	metrics_sample(page, "sluice_source_objects", store.cidrs, "kind", "ServiceCIDR", NULL);
	metrics_single(page, "sluice_problems", "gauge",
		       "Objects, options and interfaces something is wrong with.",
		       problem_count(m->problems));
}

static void write_usage(const struct metrics *m, struct buf *page)
{
	for (int room = 0; room <= 1; room++) {
		const char *name = room ? "sluice_map_capacity" : "sluice_map_entries";

		metrics_family(page, name, "gauge",
			       room ? "Entries there is room for."
				    : "Entries in use, counted now and then.");
		for (int i = 0; i < DP_MAPS; i++)
			if (m->usage->room[i])
				metrics_sample(page, name,
					       room ? m->usage->room[i] : m->usage->entries[i],
					       "map", dp_map_name(i), NULL);
	}
}

/* ---- hooks and collection ------------------------------------------------------------------------- */

static void write_hooks(const struct metrics *m, struct buf *page)
{
	const struct attach_counts *c = attach_counts(m->attach);
	size_t n;
	const struct attach_row *rows = attach_rows(m->attach, &n);

	metrics_family(page, "sluice_hook_attached", "gauge",
		       "1: our program is on the hook; 0: it is not, state says why.");
	for (size_t i = 0; i < n; i++)
		metrics_sample(page, "sluice_hook_attached", rows[i].state == ATTACH_OK,
			       "interface", rows[i].name, "hook", rows[i].hook, "how", rows[i].how,
			       "program", rows[i].program, "state",
			       attach_state_name(rows[i].state), NULL);
	metrics_family(page, "sluice_hook_changes_total", "counter",
		       "What was done to hooks since the agent started.");
	metrics_sample(page, "sluice_hook_changes_total", c->attached, "change", "attached", NULL);
	metrics_sample(page, "sluice_hook_changes_total", c->adopted, "change", "adopted", NULL);
	metrics_sample(page, "sluice_hook_changes_total", c->updated, "change", "updated", NULL);
	metrics_sample(page, "sluice_hook_changes_total", c->reattached, "change", "reattached",
		       NULL);
	metrics_sample(page, "sluice_hook_changes_total", c->detached, "change", "detached", NULL);
	metrics_sample(page, "sluice_hook_changes_total", c->failed, "change", "failed", NULL);
	metrics_single(page, "sluice_interface_scans_total", "counter",
		       "Looks at the node's interfaces.", ifaces_scans(m->ifaces));
}

static void write_build(const struct metrics *m, struct buf *page)
{
	const struct dp_features *f = &m->programs->features;

	metrics_family(page, "sluice_build_info", "gauge", "Version of the agent.");
	metrics_sample(page, "sluice_build_info", 1, "version", SLUICE_VERSION, NULL);
	metrics_family(page, "sluice_kernel_feature", "gauge",
		       "What this kernel offers and is used.");
	metrics_sample(page, "sluice_kernel_feature", f->coarse_clock, "feature", "coarse_clock",
		       NULL);
	metrics_sample(page, "sluice_kernel_feature", f->set_retval, "feature", "set_retval", NULL);
	metrics_sample(page, "sluice_kernel_feature", f->fast_tc, "feature", "kern_ctx", NULL);
	metrics_sample(page, "sluice_kernel_feature", f->tcx, "feature", "tcx", NULL);
}

void metrics_write(const struct metrics *m, struct buf *page)
{
	write_build(m, page);
	write_sync(m, page);
	write_kubeproxy(m, page);
	write_served(m, page);
	write_packets(m, page);
	write_usage(m, page);
	write_hooks(m, page);
	metrics_write_services(m->dp, sync_diff(m->sync), page);
}
