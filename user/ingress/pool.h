/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_POOL_H
#define INGRESS_POOL_H

/*
 * Connections of one worker to endpoints: idle ones of HTTP/1.1, the newest first, and the way to a back of any protocol.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "ingress/exchange.h"

struct origin;
struct pool;
struct tls_origin;
struct worker;

/* What the exchange wants to be connected to. */
struct back_want {
	struct origin *origin; /* the back counts it for itself */
	bool http2;            /* with TLS: nothing else is offered; without: prior knowledge */
	struct tls_origin *
		tls; /* NULL: plain. Connections of another one (compared by pointer) are not used */
	bool fresh;  /* not an idle one: the last of those was no good */
	uint64_t connect_ns; /* time for the connection, TLS included */
};

/*
 * A back for the exchange, which is x->back from then on: 0, and it may be given the head at once; -EINPROGRESS,
 * and exchange_back_ready() or exchange_back_failed() will be called from the loop; or another -errno: there is none.
 */
int pool_open(struct worker *worker, const struct back_want *want, struct exchange *x,
	      struct back **ret_back);

struct pool *pool_new(struct worker *worker); /* NULL: no memory */
void pool_free(struct pool *pool);            /* with the idle connections; NULL is fine */

/* Closes the idle connections to endpoints that left. */
void pool_drop_gone(struct pool *pool);

/* ---- for back1 and back2 ------------------------------------------------------------------------------------ */

/* Embedded in a connection. */
struct pool_entry {
	LIST_ENTRY(pool_entry) link;
	struct pool_origin *of;
	struct tls_origin *tls; /* counted */
};

/* Keeps it; false: there are enough already. */
bool pool_put(struct pool *pool, struct origin *origin, struct pool_entry *entry);
void pool_remove(struct pool *pool, struct pool_entry *entry);

/* HTTP/2: the connection takes further streams; false: nobody else will come. Until pool_unshare(), back2_retire() or
 * back2_cut(). */
bool pool_share(struct pool *pool, struct origin *origin, struct pool_entry *entry);
void pool_unshare(struct pool *pool, struct pool_entry *entry);

#endif
