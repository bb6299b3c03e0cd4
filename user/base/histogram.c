// SPDX-License-Identifier: GPL-2.0-only
/* Durations by buckets. */
/* Must not know what took so long. */
#include "base/histogram.h"

#include <inttypes.h>

void histogram_observe(struct histogram *h, double seconds)
{
	size_t i = 0;

	while (i < h->n_bounds && seconds > h->bounds_s[i])
		i++;
	h->count[i]++;
	h->sum_s += seconds;
}

void histogram_write(const struct histogram *h, const char *name, const char *label,
		     struct buf *page)
{
	const char *comma = *label ? "," : "", *open = *label ? "{" : "",
		   *close = *label ? "}" : "";
	uint64_t sum = 0;

	for (size_t i = 0; i < h->n_bounds; i++) {
		sum += h->count[i];
		buf_printf(page, "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, label, comma,
			   h->bounds_s[i], sum);
	}
	sum += h->count[h->n_bounds];
	buf_printf(page, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, label, comma, sum);
	buf_printf(page, "%s_sum%s%s%s %.9f\n", name, open, label, close, h->sum_s);
	buf_printf(page, "%s_count%s%s%s %" PRIu64 "\n", name, open, label, close, sum);
}
