// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events (events.k8s.io/v1) about what we do and what is wrong with objects, so that people see them by kubectl where they look.
 *
 * Few: the same word about the same object is counted in one Event (its series), written again at most every 30 s; altogether
 * EVENTS_BURST at once and then one in two seconds. What is too much, or what the API server does not take, is dropped and
 * counted: the log and sluicectl status have it.
 */
#ifndef AGENT_API_EVENTS_H
#define AGENT_API_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "source/source.h"

struct loop;
struct api_events;

#define EVENTS_BURST 25

struct api_event {
	const char *api_version; /* of the object it is about: "v1" */
	const char *kind;
	const char *namespace; /* "" for a cluster-wide object: the Event goes to "default" */
	const char *name;
	const char *uid;    /* NULL: not known */
	bool warning;       /* else normal */
	const char *reason; /* one word, in CamelCase */
	const char *action; /* what we did or tried: one word */
	const char *note;   /* a sentence; cut at 1024 bytes */
};

/* instance: who reports (the node's name). A source that takes no requests makes it mute. 0 or -ENOMEM. */
int api_events_new(struct loop *loop, struct source *source, const char *instance,
		   struct api_events **ret_events);
/* What was not sent is not sent any more. */
void api_events_free(struct api_events *events);

void api_events_tell(struct api_events *events, const struct api_event *event);

struct api_events_stats {
	uint64_t sent;    /* taken by the API server */
	uint64_t dropped; /* too many, or not taken */
};
void api_events_count(const struct api_events *events, struct api_events_stats *ret_stats);

#endif
