/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_TICKETS_H
#define INGRESS_TICKETS_H

/*
 * Keys of session tickets, shared by all threads: a new one each TICKETS_PERIOD_S for new tickets, the older ones for reading as
 * long as a ticket of theirs may live. Keys are random, in memory only, and overwritten when they go.
 */
#include <stdbool.h>
#include <stdint.h>

#define TICKETS_PERIOD_S 3600
#define TICKETS_KEYS     4
/* How long a ticket is good for at least. */
#define TICKETS_LIFE_S   (TICKETS_PERIOD_S * (TICKETS_KEYS - 1))

struct ticket_key {
	unsigned char name[16]; /* in the clear, in the ticket */
	unsigned char aes[32];
	unsigned char hmac[32];
};

struct tickets;

int tickets_new(struct tickets **ret_tickets); /* 0 or -ENOMEM */
void tickets_free(struct tickets *tickets);    /* NULL is fine */

/* For a new ticket; now_s: CLOCK_MONOTONIC. 0, or -EIO: no randomness. */
int tickets_current(struct tickets *tickets, int64_t now_s, struct ticket_key *ret_key);

/* For a ticket of that name: false if there is none (any more). *ret_stale: the client is to get a new one. */
bool tickets_find(struct tickets *tickets, const unsigned char name[16], int64_t now_s,
		  struct ticket_key *ret_key, bool *ret_stale);

#endif
