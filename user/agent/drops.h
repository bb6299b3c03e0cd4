// SPDX-License-Identifier: GPL-2.0-only
/* The last refusals, read from the ring buffer: logged (not all of a flood), and kept for whoever asks. */
#ifndef AGENT_DROPS_H
#define AGENT_DROPS_H

#include <stdint.h>

#include "core/diff.h"
#include "dp/events.h"

#define DROPS_KEPT 256

struct drops {
	struct events *events;
	const struct diff *diff; /* names of services */
	struct sl_event kept[DROPS_KEPT];
	uint64_t n; /* read in all; the last DROPS_KEPT are kept */
};

int drops_init(struct drops *drops, struct dp *dp, const struct diff *diff);
void drops_done(struct drops *drops);
/* Reads what is waiting. Call it now and then: events wake nobody, so that a flood of them stays cheap. */
void drops_read(struct drops *drops);
/* The name of the service an event is about, or NULL. */
const struct sl_name *drops_service(const struct drops *drops, const struct sl_event *event);
/* The event's addresses as text. */
void drops_endpoints(const struct sl_event *event, char from[64], char to[64]);

#endif
