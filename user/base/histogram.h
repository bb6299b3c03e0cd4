/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

/* Durations by buckets, and as Prometheus wants them. */
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define HISTOGRAM_BUCKETS_MAX 128

struct histogram {
	const double *bounds_s; /* upper bounds, rising; a last bucket has none */
	size_t n_bounds;        /* at most HISTOGRAM_BUCKETS_MAX */
	uint64_t count[HISTOGRAM_BUCKETS_MAX + 1];
	double sum_s;
};

void histogram_observe(struct histogram *h, double seconds);
/* Its samples; label: one label as it stands in the braces ("ip_family=\"IPv4\""), or "". */
void histogram_write(const struct histogram *h, const char *name, const char *label,
		     struct buf *page);

#endif
