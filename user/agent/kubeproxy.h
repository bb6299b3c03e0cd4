// SPDX-License-Identifier: GPL-2.0-only
/*
 * Figures under the names that kube-proxy gives them, where they mean the same, so that dashboards and alerts need no change.
 * Both families are synced at once: what has the label ip_family is equal for both where it is a duration or a time.
 */
#ifndef AGENT_KUBEPROXY_H
#define AGENT_KUBEPROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/histogram.h"
#include "core/plan.h"

#define KUBEPROXY_TRIGGERS 4096 /* times that wait to be observed; more are left out */

struct kubeproxy_trigger {
	uint64_t service; /* hash of namespace and name */
	int64_t at_ns;    /* Unix time */
	uint8_t family;
};

struct kubeproxy {
	uint64_t started_wall_ns;
	struct histogram sync;       /* length of runs, failed ones too */
	struct histogram network[2]; /* by family: from the cause of a slice's change to the maps */
	struct kubeproxy_trigger *triggers;
	size_t n_triggers;
	uint64_t endpoint_changes, endpoint_pending;
	uint64_t service_changes, service_pending;
	uint64_t queued_wall_ns, synced_wall_ns;
	uint64_t healthz[2], livez[2]; /* answers: 200, 503 */
};

/* 0 or -ENOMEM. */
int kubeproxy_init(struct kubeproxy *k, uint64_t wall_ns);
void kubeproxy_done(struct kubeproxy *k);

void kubeproxy_service_changed(struct kubeproxy *k, uint64_t wall_ns);
/* at_ns: endpoints.kubernetes.io/last-change-trigger-time, Unix time, if it is another than before; 0 = none. */
void kubeproxy_slice_changed(struct kubeproxy *k, const char *namespace, const char *service,
			     int family, int64_t at_ns, uint64_t wall_ns);
/* A deleted slice has no cause that could be timed: what waits for its service is dropped. */
void kubeproxy_slice_gone(struct kubeproxy *k, const char *namespace, const char *service,
			  uint64_t wall_ns);
/* A run is over. */
void kubeproxy_synced(struct kubeproxy *k, bool complete, double took_s, uint64_t wall_ns);

void kubeproxy_write(const struct kubeproxy *k, const struct plan_stats *plan, struct buf *page);

#endif
