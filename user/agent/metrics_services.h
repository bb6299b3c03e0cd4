// SPDX-License-Identifier: GPL-2.0-only
/* Traffic by service port and by endpoint, up to METRICS_MAX_… of each. */
#ifndef AGENT_METRICS_SERVICES_H
#define AGENT_METRICS_SERVICES_H

#include "base/buf.h"
#include "core/diff.h"
#include "dp/maps.h"

void metrics_write_services(struct dp *dp, const struct diff *diff, struct buf *page);

#endif
