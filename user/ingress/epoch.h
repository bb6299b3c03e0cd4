/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_EPOCH_H
#define INGRESS_EPOCH_H

/*
 * Reading what another thread replaces, without a lock: readers say when they look, writers free what was replaced once nobody
 * who could have seen it still looks.
 *
 *	reader (any thread, often)              writer (seldom)
 *	epoch_enter();                          old = atomic_exchange(&shared, new);
 *	p = atomic_load(&shared);               epoch_retire(old, free_it);
 *	… read, count what is to be kept …
 *	epoch_leave();
 *
 * A reader never waits: a store and a load of memory that is the thread's own. It must be short, and must not enter twice.
 * Threads need no registration; what a thread needed is used again after its end.
 */

/* Aborts if there is no memory for a thread's first entry (some bytes, once a thread). */
void epoch_enter(void);
void epoch_leave(void);

/* done(what) is called as soon as no reader can see it: now, or in a later call of this function or of epoch_collect(). Without
 * memory to remember it, waits for the readers. */
void epoch_retire(void *what, void (*done)(void *what));

/* Calls the done() that can be called. To be called now and then, and before the process ends. */
void epoch_collect(void);

#endif
