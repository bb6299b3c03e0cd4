/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_EVENTS_H
#define INGRESS_EVENTS_H

/*
 * Events on Ingresses, for `kubectl describe ingress`: what is wrong, once each, as long as this replica leads. An Event is
 * told again before the API server forgets it (an hour), and not at all when the problem is gone. At most EVENTS_BURST at once
 * and EVENTS_RATE a second; what is too much waits.
 */
#include <stdbool.h>
#include <stdint.h>

#include "ingress/config.h"

struct events;
struct loop;
struct settings;

#define EVENTS_BURST 50
#define EVENTS_RATE  10
#define EVENTS_MAX   10000 /* problems that are remembered */

int events_new(struct loop *loop, const struct settings *settings, struct events **ret_events);
void events_free(struct events *events); /* before the config; NULL is fine */
/* The configuration, once it is there; until then nothing is sent. */
void events_set_config(struct events *events, struct config *config);

void events_lead(struct events *events, bool leads);
/* As config_input.on_problem. */
void events_problem(struct events *events, enum config_concern concern, const char *object,
		    const char *reason, bool solved);

struct events_stats {
	uint64_t sent, dropped;
};
void events_count(const struct events *events, struct events_stats *ret_stats);

#endif
