/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_LISTENERS_H
#define INGRESS_LISTENERS_H

/*
 * All listening sockets of the process, and whether they are opened, taken from the process before, or have gone to the next.
 *
 * With --handover-socket and a process that answers there, nothing is opened at the start: its sockets are taken when the
 * configuration is in force, and accepted from at once. Otherwise they are opened at the start, and clients wait in their queues
 * until the configuration is in force, five seconds at most.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct listeners;
struct loop;
struct settings;
struct worker;

struct listeners_input {
	struct loop *loop;
	const struct settings *settings;
	struct worker *const *workers;
	size_t n_workers;
	/* Metrics may be served: at this socket, which is the callee's; or at one of its own (-1). */
	void (*metrics)(void *ctx, int fd);
	/* The socket of metrics, to be given on; -1: none. */
	int (*metrics_fd)(void *ctx);
	/* A successor serves: the workers are to close their copies of the sockets. */
	void (*released)(void *ctx);
	void *ctx;
};

/* Before the workers run. 0 or a negative errno with *err. */
int listeners_new(const struct listeners_input *input, struct err *err,
		  struct listeners **ret_listeners);
/* After the workers. NULL is fine. */
void listeners_free(struct listeners *listeners);
/* The configuration is in force; more than once is fine. 0 or a negative errno with *err: nobody can be served. */
int listeners_ready(struct listeners *listeners, struct err *err);
/* How many processes are about to take the sockets over; -1: none can. */
int listeners_successors(const struct listeners *listeners);
/* The workers are about to close the sockets: no successor is given them any more. NULL is fine. */
void listeners_drain(struct listeners *listeners);

#endif
