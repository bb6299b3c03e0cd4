/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_LISTEN_H
#define INGRESS_LISTEN_H

/* Sockets that accept clients: one a worker and address (SO_REUSEPORT), so that no worker waits for another. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/err.h"
#include "serve/listen_addr.h"

struct loop_event;
struct worker;

struct listener {
	LIST_ENTRY(listener) link;
	struct worker *worker;
	int fd;
	struct loop_event *event, *again;
	bool tls;
	uint16_t port; /* host order */
};

/* A socket that listens already, non-blocking; name: of the option, for the error. 0 or -errno with *err; -EPERM: a capability is
 * missing. */
int listen_open(const struct listen_addr *addr, const char *name, struct err *err, int *ret_fd);

/* Begins to accept, on the worker's thread or before it runs. Takes over fd, also when it fails. */
int listen_add(struct worker *worker, int fd, bool tls);

/* Accepts what is queued, then closes all of them. */
void listen_close_all(struct worker *worker);

#endif
