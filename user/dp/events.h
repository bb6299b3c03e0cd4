/* SPDX-License-Identifier: GPL-2.0 */
/* Refusals as they happen: the reader of the ring buffer sl_events. One reader gets an event, not all. */
#ifndef DP_EVENTS_H
#define DP_EVENTS_H

#include "dp/maps.h"

struct events;
typedef void events_fn(void *ctx, const struct sl_event *event);

int events_new(struct dp *dp, events_fn *fn, void *ctx, struct events **ret_events);
void events_free(struct events *events);
int events_fd(const struct events *events); /* readable when there is something */
/* Calls fn for all that is waiting. Number of events or -errno. */
int events_read(struct events *events);

#endif
