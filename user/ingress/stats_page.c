// SPDX-License-Identifier: GPL-2.0-only
/*
 * The counters of workers as families of Prometheus: ours, and those of ingress-nginx.
 * Must not know how they are counted, nor who asks.
 *
 * A slot gets series of its own when it has first counted something, and keeps them until its rules are gone and somebody else
 * needs the slot, so that no counter ever falls. Those for which nothing is left are summed up as "other".
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/metrics_text.h"
#include "base/vec.h"
#include "ingress/stats_internal.h"

struct row {
	struct stats_labels labels;
	bool none; /* no rule was met */
	bool detail;
	struct stats_slot sum;
};

struct rows VEC_OF(struct row);

struct page {
	struct buf *out;
	struct rows rows;
	const char *class; /* controller_class of ingress-nginx */
};

/* ---- rows ---------------------------------------------------------------------------------------- */

static void name_it(struct stats_hub *hub, struct stats_holder *holder)
{
	if (!holder->named && hub->series + STATS_COUNTER_SERIES <= STATS_SERIES_MAX) {
		holder->named = true;
		hub->series += STATS_COUNTER_SERIES;
	}
	if (holder->named && !holder->detail &&
	    hub->series + STATS_DETAIL_SERIES <= STATS_SERIES_MAX - STATS_KEPT_SERIES) {
		holder->detail = true;
		hub->series += STATS_DETAIL_SERIES;
	}
}

/* Of the slot's words [from, to), counted from its beginning. */
static void add_words(struct stats_slot *to, const struct stats_slot *from, size_t first,
		      size_t end)
{
	for (size_t i = first / sizeof(uint64_t); i < end / sizeof(uint64_t); i++)
		((uint64_t *)to)[i] += ((const uint64_t *)from)[i];
}

#define DETAIL_FROM offsetof(struct stats_slot, duration)
#define DETAIL_TO   offsetof(struct stats_slot, codes)

static void add_codes(struct stats_slot *to, const struct stats_slot *from)
{
	for (size_t i = 0; i < STATS_CODES; i++) {
		struct stats_code *code = to->codes;

		if (!from->codes[i].count)
			continue;
		while (code < to->codes + STATS_CODES - 1 && code->what &&
		       code->what != from->codes[i].what)
			code++;
		if (code == to->codes + STATS_CODES - 1)
			code->what = (uint64_t)STATS_OTHER_METHOD << 16;
		else
			code->what = from->codes[i].what;
		code->count += from->codes[i].count;
	}
}

/* rows[0]: no rule, rows[1]: others; then those with names. 0 or -ENOMEM. */
static int collect(struct stats_hub *hub, struct rows *rows)
{
	static const struct stats_labels other = { "other", "other", "other", "other", "other" };
	static const struct stats_labels none = { "", "", "", "", "" };
	struct stats_slot rest = { 0 };

	if (vec_reserve(rows, 2) < 0)
		return -ENOMEM;
	memset(rows->data, 0, 2 * sizeof(*rows->data));
	rows->len = 2;
	rows->data[0].labels = none;
	rows->data[0].none = rows->data[0].detail = rows->data[1].detail = true;
	rows->data[1].labels = other;
	stats_slot_sum(hub, STATS_SLOT_NONE, &rows->data[0].sum);
	stats_slot_sum(hub, STATS_SLOT_OTHER, &rest);
	for (unsigned slot = STATS_SLOT_OTHER + 1; slot < hub->n_holders; slot++) {
		struct stats_holder *holder = &hub->holders[slot];
		struct stats_slot sum = { 0 };
		struct row *row;

		if (!stats_slot_sum(hub, slot, &sum))
			continue;
		name_it(hub, holder);
		if (!holder->detail)
			add_words(&rest, &sum, DETAIL_FROM, DETAIL_TO);
		if (!holder->named) {
			add_words(&rest, &sum, 0, DETAIL_FROM);
			add_codes(&rest, &sum);
			continue;
		}
		row = vec_add(rows);
		if (!row)
			return -ENOMEM;
		stats_labels_of(holder, &row->labels);
		row->detail = holder->detail;
		row->sum = sum;
	}
	rows->data[1].sum = rest;
	return 0;
}

/* ---- samples ------------------------------------------------------------------------------------- */

static void put_label(struct buf *out, const char *name, const char *value, bool first)
{
	buf_printf(out, "%s%s=\"", first ? "" : ",", name);
	metrics_escape(out, value);
	buf_putc(out, '"');
}

/* Name and labels up to the last one, so that more may follow: the brace is open. */
static void put_row(const struct page *page, const char *name, const char *suffix,
		    const struct row *row)
{
	buf_printf(page->out, "%s%s{", name, suffix);
	put_label(page->out, "namespace", row->labels.namespace, true);
	put_label(page->out, "ingress", row->labels.ingress, false);
	put_label(page->out, "host", row->labels.host, false);
	put_label(page->out, "path", row->labels.path, false);
	put_label(page->out, "service", row->labels.service, false);
	if (page->class)
		put_label(page->out, "controller_class", page->class, false);
}

static void put_value(const struct page *page, uint64_t value)
{
	buf_printf(page->out, "} %" PRIu64 "\n", value);
}

/* One sample a row: the word at this place of its sums. */
static void write_words(const struct page *page, const char *name, const char *type,
			const char *help, size_t at)
{
	const struct row *row;

	metrics_family(page->out, name, type, help);
	vec_for_each(row, &page->rows) {
		put_row(page, name, "", row);
		put_value(page, *(const uint64_t *)((const char *)&row->sum + at));
	}
}

struct histogram {
	size_t at; /* in struct stats_slot: the sum, then the counts */
	const uint64_t *bounds;
	size_t n;
	double unit; /* what a bound is divided by */
};

#define TIMES(field)                                                                       \
	{                                                                                  \
		offsetof(struct stats_slot, field), stats_time_ns, STATS_TIME_BUCKETS, 1e9 \
	}
#define SIZES(field)                                                                  \
	{                                                                             \
		offsetof(struct stats_slot, field), stats_size, STATS_SIZE_BUCKETS, 1 \
	}

static void write_histogram_row(const struct page *page, const char *name, const struct row *row,
				const struct histogram *h)
{
	const uint64_t *sum = (const uint64_t *)((const char *)&row->sum + h->at);
	uint64_t n = 0;

	for (size_t i = 0; i <= h->n; i++) {
		n += sum[1 + i];
		put_row(page, name, "_bucket", row);
		if (i < h->n)
			buf_printf(page->out, ",le=\"%g\"", (double)h->bounds[i] / h->unit);
		else
			buf_puts(page->out, ",le=\"+Inf\"");
		put_value(page, n);
	}
	put_row(page, name, "_sum", row);
	buf_printf(page->out, "} %.9g\n", (double)*sum / h->unit);
	put_row(page, name, "_count", row);
	put_value(page, n);
}

static void write_histogram(const struct page *page, const char *name, const char *help,
			    const struct histogram *h)
{
	const struct row *row;

	metrics_family(page->out, name, "histogram", help);
	vec_for_each(row, &page->rows)
		if (row->detail)
			write_histogram_row(page, name, row, h);
}

/* ---- ours ---------------------------------------------------------------------------------------- */

static void write_requests(const struct page *page)
{
	static const char *const classes[STATS_CLASSES] = { "none", "1xx", "2xx",
							    "3xx",  "4xx", "5xx" };
	const char *name = "sluice_http_requests_total";
	const struct row *row;

	metrics_family(page->out, name, "counter", "Requests that are over, by class of status.");
	vec_for_each(row, &page->rows)
		for (int i = 0; i < STATS_CLASSES; i++) {
			if (!row->sum.classes[i])
				continue;
			put_row(page, name, "", row);
			put_label(page->out, "status", classes[i], false);
			put_value(page, row->sum.classes[i]);
		}
}

static void write_errors(const struct page *page)
{
	static const char *const whose[] = { "client", "origin", "proxy" };
	const char *name = "sluice_http_errors_total";
	const struct row *row;

	metrics_family(page->out, name, "counter",
		       "Requests that were cut or not served as asked, by whom.");
	vec_for_each(row, &page->rows)
		for (int who = 0; who < 3; who++) {
			uint64_t n = 0;

			for (int i = 0; i < ENDINGS_COUNT; i++)
				if (i != ENDING_COMPLETE && i != ENDING_ANSWERED &&
				    strcmp(ending_who((enum ending)i), whose[who]) == 0)
					n += row->sum.endings[i];
			if (!n)
				continue;
			put_row(page, name, "", row);
			put_label(page->out, "by", whose[who], false);
			put_value(page, n);
		}
}

static void write_endings(const struct page *page)
{
	metrics_family(page->out, "sluice_http_endings_total", "counter",
		       "Requests that are over, by how they ended.");
	for (int i = 0; i < ENDINGS_COUNT; i++) {
		uint64_t n = 0;
		const struct row *row;

		vec_for_each(row, &page->rows)
			n += row->sum.endings[i];
		metrics_sample(page->out, "sluice_http_endings_total", n, "by",
			       ending_who((enum ending)i), "ended", ending_name((enum ending)i),
			       NULL);
	}
}

static void write_active(const struct page *page)
{
	const char *name = "sluice_http_active_requests";
	const struct row *row;

	metrics_family(page->out, name, "gauge", "Requests that run, streams among them.");
	vec_for_each(row, &page->rows) {
		/* read apart, so that it could seem negative for a moment */
		uint64_t active = row->sum.begun > row->sum.ended ? row->sum.begun - row->sum.ended
								  : 0;

		put_row(page, name, "", row);
		put_value(page, active);
	}
}

static void write_ours(const struct page *page)
{
	static const struct histogram duration = TIMES(duration), first_byte = TIMES(first_byte),
				      gap = { offsetof(struct stats_slot, gap), stats_gap_ns,
					      STATS_GAP_BUCKETS, 1e9 };

	write_requests(page);
	write_errors(page);
	write_endings(page);
	write_active(page);
	write_words(page, "sluice_http_retries_total", "counter",
		    "Attempts at another endpoint, beyond the first of a request.",
		    offsetof(struct stats_slot, retries));
	write_words(page, "sluice_http_request_bytes_total", "counter",
		    "Bytes of requests' bodies.", offsetof(struct stats_slot, bytes_in.sum));
	write_words(page, "sluice_http_response_bytes_total", "counter",
		    "Bytes of answers' bodies.", offsetof(struct stats_slot, bytes_out.sum));
	write_histogram(page, "sluice_http_request_duration_seconds",
			"From a request's head to the end of its answer.", &duration);
	write_histogram(page, "sluice_http_first_byte_seconds",
			"From a request's head to the head of the endpoint's answer.", &first_byte);
	write_histogram(page, "sluice_http_chunk_gap_seconds",
			"Time between pieces of an answer's body.", &gap);
}

/* ---- as ingress-nginx names them ------------------------------------------------------------------- */

static void write_nginx_requests(const struct page *page)
{
	const char *name = "nginx_ingress_controller_requests";
	const struct row *row;

	metrics_family(page->out, name, "counter", "Requests, as ingress-nginx counts them.");
	vec_for_each(row, &page->rows)
		for (int i = 0; i < STATS_CODES; i++) {
			const struct stats_code *code = &row->sum.codes[i];
			unsigned method = (unsigned)(code->what >> 16);
			char status[8] = "other";

			if (!code->count)
				continue;
			if (code->what & 0xffff)
				snprintf(status, sizeof(status), "%u",
					 (unsigned)(code->what & 0xffff));
			put_row(page, name, "", row);
			put_label(page->out, "method",
				  stats_method_names[method < STATS_METHODS ? method : 0], false);
			put_label(page->out, "status", status, false);
			put_value(page, code->count);
		}
}

static void write_nginx(const struct page *page)
{
	static const struct {
		const char *name, *help;
		struct histogram histogram;
	} histograms[] = {
		{ "nginx_ingress_controller_request_duration_seconds",
		  "From a request's head to the end of its answer.", TIMES(duration) },
		{ "nginx_ingress_controller_response_duration_seconds",
		  "From the endpoint's connection to the end of its answer.", TIMES(response) },
		{ "nginx_ingress_controller_header_duration_seconds",
		  "From a request's head to the head of the endpoint's answer.",
		  TIMES(first_byte) },
		{ "nginx_ingress_controller_connect_duration_seconds",
		  "Time to get a connection to the endpoint.", TIMES(connect) },
		{ "nginx_ingress_controller_request_size", "Bytes of requests' bodies.",
		  SIZES(bytes_in) },
		{ "nginx_ingress_controller_response_size", "Bytes of answers' bodies.",
		  SIZES(bytes_out) },
	};

	write_nginx_requests(page);
	for (size_t i = 0; i < sizeof(histograms) / sizeof(histograms[0]); i++)
		write_histogram(page, histograms[i].name, histograms[i].help,
				&histograms[i].histogram);
}

/* ---- of no rule ---------------------------------------------------------------------------------- */

static uint64_t total(const struct stats_hub *hub, size_t at)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < hub->n_workers; i++)
		n += __atomic_load_n((const uint64_t *)((const char *)&hub->workers[i] + at),
				     __ATOMIC_RELAXED);
	return n;
}

static uint64_t gauge_of(const struct stats_hub *hub, enum stats_gauge gauge)
{
	int64_t n = (int64_t)total(hub, offsetof(struct stats, gauges[gauge]));

	return n > 0 ? (uint64_t)n : 0;
}

static void write_totals(const struct stats_hub *hub, struct buf *out)
{
#define X(id, name, help)                                         \
	metrics_single(out, "sluice_http_" name, "counter", help, \
		       total(hub, offsetof(struct stats, counters[STATS_##id])));
	STATS(X)
#undef X
#define X(id, name, help) \
	metrics_single(out, "sluice_http_" name, "gauge", help, gauge_of(hub, GAUGE_##id));
	GAUGES(X)
#undef X
}

static void write_nginx_totals(const struct stats_hub *hub, struct buf *out)
{
	const char *name = "nginx_ingress_controller_nginx_process_connections";

	metrics_family(out, name, "gauge", "Connections of clients.");
	metrics_sample(out, name, gauge_of(hub, GAUGE_CLIENTS), "state", "active", NULL);
	name = "nginx_ingress_controller_nginx_process_connections_total";
	metrics_family(out, name, "counter", "Connections of clients.");
	metrics_sample(out, name, total(hub, offsetof(struct stats, counters[STATS_CONNECTIONS])),
		       "state", "accepted", NULL);
}

void stats_write(struct stats_hub *hub, const char *controller_class, bool nginx, struct buf *out)
{
	struct page page = { .out = out };

	write_totals(hub, out);
	if (nginx)
		write_nginx_totals(hub, out);
	if (collect(hub, &page.rows) < 0) {
		out->failed = true;
	} else {
		write_ours(&page);
		page.class = controller_class;
		if (nginx)
			write_nginx(&page);
	}
	vec_done(&page.rows);
}
