/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_PEERS_H
#define INGRESS_PEERS_H

/* How many connections there are, in all and of each address; shared by all workers. */
#include <stdbool.h>
#include <stdint.h>

#include "core/address.h"

struct peers;

/* max: connections in all; per_address: 0 for any number. NULL: no memory. */
struct peers *peers_new(uint64_t max, uint64_t per_address);
void peers_free(struct peers *peers);

/* One more, or false: there are enough. address NULL: it counts in all only. */
bool peers_enter(struct peers *peers, const struct address *address);
/* As it was entered. */
void peers_leave(struct peers *peers, const struct address *address);

/* As many in all as there may be. */
bool peers_are_full(const struct peers *peers);

/* Whether peers_enter() looks at addresses. */
bool peers_by_address(const struct peers *peers);

#endif
