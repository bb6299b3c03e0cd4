// SPDX-License-Identifier: GPL-2.0-only
/* Opens the source that the options name. */
/* Must not know what a source does. */
#include "source/source.h"

#include <errno.h>
#include <string.h>

#include "base/metrics_text.h"
#include "source/dir.h"
#include "source/object.h"

int source_init(struct loop *loop, const struct source_options *options,
		const struct source_sink *sink, struct err *err, struct source *ret_source)
{
	struct kube_options kube = options->kube;
	struct source source = { 0 };
	int rc;

	kube.kinds = options->kinds;
	if (options->dir)
		rc = dir_new(loop, options->dir, options->kinds, sink, err, &source.dir);
	else
		rc = kube_new(loop, &kube, sink, err, &source.kube);
	if (rc == 0)
		*ret_source = source;
	return rc;
}

void source_done(struct source *source)
{
	dir_free(source->dir);
	kube_free(source->kube);
	memset(source, 0, sizeof(*source));
}

void source_relist(struct source *source)
{
	if (source->dir)
		dir_relist(source->dir);
	if (source->kube)
		kube_relist(source->kube);
}

int source_set_secrets(struct source *source, const struct kube_secret *wanted, size_t n)
{
	return source->kube ? kube_set_secrets(source->kube, wanted, n) : 0;
}

int source_send(struct source *source, const struct kube_http_request *request, kube_answer_fn *fn,
		void *ctx, struct kube_send **ret_send)
{
	if (!source->kube)
		return -EOPNOTSUPP;
	return kube_send(source->kube, request, fn, ctx, ret_send);
}

/* ---- metrics ---------------------------------------------------------------------------------------- */

static const struct {
	const char *name, *help;
	size_t offset;
} counters[] = {
	{ "sluice_api_lists_total", "Pages of lists asked for.",
	  offsetof(struct watch_stats, lists) },
	{ "sluice_api_streams_total", "Watches asked for that begin with a list.",
	  offsetof(struct watch_stats, streams) },
	{ "sluice_api_watches_total", "Watches asked for from a version.",
	  offsetof(struct watch_stats, watches) },
	{ "sluice_api_syncs_total", "Whole lists taken over.",
	  offsetof(struct watch_stats, syncs) },
	{ "sluice_api_events_total", "Objects added, modified, deleted.",
	  offsetof(struct watch_stats, events) },
	{ "sluice_api_bookmarks_total", "Bookmarks.", offsetof(struct watch_stats, bookmarks) },
	{ "sluice_api_expired_total", "Versions that had expired (410).",
	  offsetof(struct watch_stats, expired) },
	{ "sluice_api_refusals_total", "Answers other than 200 and 410.",
	  offsetof(struct watch_stats, refusals) },
	{ "sluice_api_broken_total", "Answers that are no list or stream, or too large.",
	  offsetof(struct watch_stats, broken) },
	{ "sluice_api_cut_total", "Answers without their end.", offsetof(struct watch_stats, cut) },
	{ "sluice_api_ended_total", "Watches that ended at once, without an event.",
	  offsetof(struct watch_stats, ended) },
	{ "sluice_api_failures_total", "Requests without an answer.",
	  offsetof(struct watch_stats, failures) },
	{ "sluice_api_refused_objects_total", "Objects that could not be used.",
	  offsetof(struct watch_stats, refused) },
};

void source_write_metrics(const struct source *source, struct buf *out)
{
	struct kube_stats stats;

	if (!source->kube)
		return;
	kube_count(source->kube, &stats);
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		metrics_family(out, counters[i].name, "counter", counters[i].help);
		for (int kind = 0; kind < OBJECT_KINDS; kind++) {
			uint64_t value;

			if (!(kube_kinds(source->kube) & OBJECT_BIT(kind)))
				continue;

			memcpy(&value, (const char *)&stats.watches[kind] + counters[i].offset,
			       sizeof(value));
			metrics_sample(out, counters[i].name, value, "kind",
				       object_kind_name((enum object_kind)kind), NULL);
		}
	}
	metrics_single(out, "sluice_api_connections_given_up_total", "counter",
		       "Connections given up because the server behind them was silent.",
		       stats.http.misses);
	metrics_single(out, "sluice_api_server_changes_total", "counter",
		       "Changes to another API server.", stats.http.moves);
	metrics_single(out, "sluice_api_down", "gauge", "1 while the API server gives no answer.",
		       stats.down);
}
