/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_STATUS_H
#define INGRESS_STATUS_H

/*
 * Writes the addresses where we are reached into status.loadBalancer.ingress of our Ingresses, while this replica leads:
 * --status-address; else those of the Service --publish-service; else of the nodes whose proxy pod is Ready, asked for every two
 * seconds. Sorted. Addresses that cannot be learnt leave what is there, and nothing is taken back at the end: a restart is no
 * reason for a change.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct config;
struct loop;
struct settings;
struct status;

struct status_input {
	struct loop *loop;
	const struct settings *settings;
	struct config *config;
};

int status_new(const struct status_input *input, struct status **ret_status); /* 0 or -ENOMEM */
void status_free(struct status *status); /* before the config; NULL is fine */

/* Whether this replica leads. */
void status_lead(struct status *status, bool leads);
/* Ingresses have come, or changed. */
void status_wake(struct status *status);

struct status_stats {
	uint64_t writes, failures;
};
void status_count(const struct status *status, struct status_stats *ret_stats);

/* ---- pure ---------------------------------------------------------------------------------------------------------- */

struct status_list {
	char **text; /* addresses and host names; sorted, each once */
	size_t n;
};
void status_list_done(struct status_list *list);
/* Sorted, each once. */
void status_list_settle(struct status_list *list);

/* Of a Service or a list of pods as the API gives them. 0; -EINVAL: it is none; -ENOMEM. */
int status_of_service(const char *json, struct status_list *ret_list);
int status_of_pods(const char *json, struct status_list *ret_list);
/* The merge patch. */
void status_write_patch(const struct status_list *list, struct buf *out);
bool status_is(const struct status_list *list, char *const *addresses, size_t n);

#endif
