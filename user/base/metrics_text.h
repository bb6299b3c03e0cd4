// SPDX-License-Identifier: GPL-2.0-only
/* Prometheus' text format: families, samples, labels. Pure. */
#ifndef BASE_METRICS_TEXT_H
#define BASE_METRICS_TEXT_H

#include <stdint.h>

#include "base/buf.h"

/* "# HELP", "# TYPE". type: "counter", "gauge", "histogram". */
void metrics_family(struct buf *page, const char *name, const char *type, const char *help);
/* A label's value with backslash, quote and newline escaped. */
void metrics_escape(struct buf *page, const char *text);
/* One sample; labels as name, value, name, value, …, NULL. */
void metrics_sample(struct buf *page, const char *name, uint64_t value, ...)
	__attribute__((sentinel));
/* A family of one sample without labels. */
void metrics_single(struct buf *page, const char *name, const char *type, const char *help,
		    uint64_t value);

#endif
