/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_BACK2_H
#define INGRESS_BACK2_H

/*
 * HTTP/2 to an endpoint: one connection, shared by exchanges of the worker, one back for each stream.
 *
 * SETTINGS_MAX_CONCURRENT_STREAMS, GOAWAY and REFUSED_STREAM are obeyed; a stream that was certainly not acted on fails as safe to
 * retry. What a client does not take waits here, at most a stream's window; its siblings go on.
 */
#include "ingress/pool.h"

#define BACK2_STREAMS 100 /* until the endpoint says how many it takes, and at most */

/* A new connection, which is shared by the pool from now on, and a stream on it: as pool_open(). */
int back2_connect(struct worker *worker, const struct back_want *want, struct exchange *x,
		  struct back **ret_back);

/* A stream on a connection that is there: as pool_open(), or -EAGAIN: it has no room. */
int back2_join(struct pool_entry *entry, struct exchange *x, struct back **ret_back);

/* It has left the pool: the streams that are there end as they like, then it is closed. */
void back2_retire(struct pool_entry *entry);
/* It ends now; exchanges are told. It has left the pool, too. */
void back2_cut(struct pool_entry *entry);

#endif
