// SPDX-License-Identifier: GPL-2.0-only
/* Knows which threads are reading, and frees what was replaced when those that might see it are through. */
/* Must not know what is read. */
#include "ingress/epoch.h"

#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* One a thread, on a cache line of its own; never freed, taken over after a thread's end. */
struct slot {
	alignas(64) _Atomic uint64_t inside; /* the age in which its reader came in; 0: outside */
	_Atomic bool taken;
	struct slot *next;
};

struct retired {
	uint64_t age; /* readers that came in later cannot see it */
	void *what;
	void (*done)(void *what);
	struct retired *next;
};

static _Atomic(struct slot *) slots;
static _Atomic uint64_t age = 1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct retired *waiting; /* under lock */
static __thread struct slot *mine;
static pthread_key_t at_exit;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void give_back(void *slot)
{
	atomic_store(&((struct slot *)slot)->taken, false);
}

static void make_key(void)
{
	if (pthread_key_create(&at_exit, give_back) != 0)
		abort();
}

static struct slot *get_slot(void)
{
	struct slot *slot;

	pthread_once(&once, make_key);
	for (slot = atomic_load(&slots); slot; slot = slot->next) {
		bool no = false;

		if (atomic_compare_exchange_strong(&slot->taken, &no, true))
			break;
	}
	if (!slot) {
		slot = aligned_alloc(alignof(struct slot), sizeof(*slot));
		if (!slot)
			abort();
		atomic_init(&slot->inside, 0);
		atomic_init(&slot->taken, true);
		slot->next = atomic_load(&slots);
		while (!atomic_compare_exchange_weak(&slots, &slot->next, slot))
			;
	}
	if (pthread_setspecific(at_exit, slot) != 0)
		abort();
	return slot;
}

/*
 * A writer that does not see this store took its look at the slots before it; its exchange lies before that look, so what is
 * loaded from here on is new. All of it is sequentially consistent.
 */
void epoch_enter(void)
{
	if (!mine)
		mine = get_slot();
	atomic_store(&mine->inside, atomic_load(&age));
}

void epoch_leave(void)
{
	atomic_store_explicit(&mine->inside, 0, memory_order_release);
}

static bool is_unseen(uint64_t then)
{
	for (struct slot *slot = atomic_load(&slots); slot; slot = slot->next) {
		uint64_t inside = atomic_load(&slot->inside);

		if (inside && inside <= then)
			return false;
	}
	return true;
}

void epoch_collect(void)
{
	struct retired *ready = NULL, **slot, *r;

	pthread_mutex_lock(&lock);
	for (slot = &waiting; (r = *slot);) {
		if (!is_unseen(r->age)) {
			slot = &r->next;
			continue;
		}
		*slot = r->next;
		r->next = ready;
		ready = r;
	}
	pthread_mutex_unlock(&lock);
	while ((r = ready)) {
		ready = r->next;
		r->done(r->what);
		free(r);
	}
}

void epoch_retire(void *what, void (*done)(void *what))
{
	uint64_t then = atomic_fetch_add(&age, 1);
	struct retired *r = malloc(sizeof(*r));

	if (!r) {
		while (!is_unseen(then))
			sched_yield();
		done(what);
		return;
	}
	*r = (struct retired){ .age = then, .what = what, .done = done };
	pthread_mutex_lock(&lock);
	r->next = waiting;
	waiting = r;
	pthread_mutex_unlock(&lock);
	epoch_collect();
}
