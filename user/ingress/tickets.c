// SPDX-License-Identifier: GPL-2.0-only
/* A ring of ticket keys, turned by whoever looks after its time. */
/* Must not know TLS. */
#include "ingress/tickets.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct tickets {
	pthread_mutex_t lock; /* never held across a call that waits */
	struct ticket_key keys[TICKETS_KEYS];
	int64_t made_s[TICKETS_KEYS];
	unsigned newest;
	unsigned n; /* keys that are there */
};

int tickets_new(struct tickets **ret_tickets)
{
	struct tickets *t = calloc(1, sizeof(*t));

	if (!t || pthread_mutex_init(&t->lock, NULL) != 0) {
		free(t);
		return -ENOMEM;
	}
	*ret_tickets = t;
	return 0;
}

void tickets_free(struct tickets *tickets)
{
	if (!tickets)
		return;
	pthread_mutex_destroy(&tickets->lock);
	OPENSSL_cleanse(tickets->keys, sizeof(tickets->keys));
	free(tickets);
}

/* Makes the newest one, over the oldest. */
static int turn(struct tickets *t, int64_t now_s)
{
	unsigned next = t->n ? (t->newest + 1) % TICKETS_KEYS : 0;
	struct ticket_key key;

	if (RAND_bytes((unsigned char *)&key, sizeof(key)) != 1)
		return -EIO;
	t->keys[next] = key;
	t->made_s[next] = now_s;
	t->newest = next;
	if (t->n < TICKETS_KEYS)
		t->n++;
	OPENSSL_cleanse(&key, sizeof(key));
	return 0;
}

int tickets_current(struct tickets *t, int64_t now_s, struct ticket_key *ret_key)
{
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	if (!t->n || now_s - t->made_s[t->newest] >= TICKETS_PERIOD_S)
		rc = turn(t, now_s);
	if (rc == 0)
		*ret_key = t->keys[t->newest];
	pthread_mutex_unlock(&t->lock);
	return rc;
}

bool tickets_find(struct tickets *t, const unsigned char name[16], int64_t now_s,
		  struct ticket_key *ret_key, bool *ret_stale)
{
	bool found = false;

	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < t->n && !found; i++) {
		int64_t age_s = now_s - t->made_s[i];

		/* A ticket may have been made until its key was a period old. */
		if (age_s >= TICKETS_PERIOD_S + TICKETS_LIFE_S ||
		    memcmp(t->keys[i].name, name, sizeof(t->keys[i].name)) != 0)
			continue;
		*ret_key = t->keys[i];
		*ret_stale = age_s >= TICKETS_PERIOD_S;
		found = true;
	}
	pthread_mutex_unlock(&t->lock);
	return found;
}
