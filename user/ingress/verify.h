/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_VERIFY_H
#define INGRESS_VERIFY_H

/*
 * Passwords take a tenth of a second to check, for which no worker's other connections wait: a thread of its own does it, one
 * password after the other, and a request whose turn is too far away is told so.
 */
#include <stdbool.h>

struct exchange;
struct verifier;
struct verify_wait;

#define VERIFY_MAX 64 /* passwords that wait, of all workers */

/* Starts the thread. NULL: no memory, or no thread. */
struct verifier *verifier_new(void);
/* After the workers' threads, before the workers: what waits is given up. NULL is fine. */
void verifier_free(struct verifier *verifier);

/* For x, which was judged GATE_VERIFY; exchange_verified() follows from its worker's loop. False: too many wait. */
bool verify_start(struct exchange *x);
/* Nobody wants to know any more. */
void verify_abandon(struct verify_wait *wait);

#endif
