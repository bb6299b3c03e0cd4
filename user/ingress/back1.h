/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_BACK1_H
#define INGRESS_BACK1_H

/* HTTP/1.1 to an endpoint: one connection, one exchange after the other. */
#include "ingress/pool.h"

/* A new connection for the exchange: as pool_open(). */
int back1_connect(struct worker *worker, const struct back_want *want, struct exchange *x,
		  struct back **ret_back);

/* An idle connection is put to use again: NULL if its end has come, or bytes that nobody asked for (it is gone then). */
struct back *back1_reuse(struct pool_entry *entry, struct exchange *x);

/* An idle connection is closed; it has left the pool already. */
void back1_close_idle(struct pool_entry *entry);

#endif
