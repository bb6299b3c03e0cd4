// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pages /healthz and /livez, and those of healthCheckNodePorts, as kube-proxy serves them, so that load balancers and probes
 * need no change; and /readyz, for a readiness probe.
 *
 * Healthy: no change has waited for the maps for HEALTH_LATE_NS or longer; nothing waiting is healthy, and so is starting.
 * Eligible: the Node object is known and has no deletionTimestamp and no taint ToBeDeletedByClusterAutoscaler. A source
 * without Node objects (a folder) makes the node eligible.
 * Ready: the maps were equal to the source once, no change has waited for HEALTH_READY_NS, and the last self-audit found nothing
 * to repair.
 */
#ifndef AGENT_HEALTH_H
#define AGENT_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define HEALTH_LATE_NS  (UINT64_C(60) * 1000000000)
#define HEALTH_READY_NS (UINT64_C(10) * 1000000000)

struct health_family {
	uint64_t waiting_since_ns; /* CLOCK_MONOTONIC; 0 = nothing waits */
	uint64_t updated_wall_ns;  /* last success, Unix time; 0 = none yet */
};

struct health_state {
	struct health_family v4, v6;
	bool eligible;
	bool synced;          /* once at least */
	bool clean;           /* the last self-audit, if there was one */
	uint64_t now_ns;      /* CLOCK_MONOTONIC */
	uint64_t now_wall_ns; /* Unix time */
};

bool health_is_healthy(const struct health_state *state);
/* One line of JSON, and the status it is sent with (200 or 503). Pure. */
unsigned int health_write_healthz(const struct health_state *state, struct buf *body);
unsigned int health_write_livez(const struct health_state *state, struct buf *body);
unsigned int health_write_readyz(const struct health_state *state, struct buf *body);

/* The page of a Service's healthCheckNodePort: 200 while somebody local is ready and we are healthy. */
unsigned int health_write_service(const char *namespace, const char *name, unsigned int n_local,
				  bool healthy, struct buf *body);

#endif
