/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_WHEEL_H
#define INGRESS_WHEEL_H

/*
 * Deadlines of many connections, in slots of WHEEL_TICK_NS: cheap to set, cheap to move, late by at most two ticks, never
 * early. Pure: whoever owns the wheel wakes up at wheel_next() and calls wheel_run().
 *
 * A deadline that moves further away (the usual case: something happened) is only written down; its timer is put into
 * another slot when the old one comes up. So a request costs no more than a store.
 */
#include <stdint.h>
#include <sys/queue.h>

#define WHEEL_TICK_NS UINT64_C(16777216) /* 2^24: about 17 ms */
#define WHEEL_SLOTS   4096               /* about 69 s round */

struct wheel_timer {
	LIST_ENTRY(wheel_timer) link;
	uint64_t slot_ns;     /* when its slot comes up; 0: in none */
	uint64_t deadline_ns; /* 0: not set */
	void (*fn)(void *arg);
	void *arg;
};

struct wheel {
	uint64_t now_tick; /* ticks that have been run */
	uint64_t used[WHEEL_SLOTS / 64];
	LIST_HEAD(, wheel_timer) slots[WHEEL_SLOTS];
};

void wheel_init(struct wheel *wheel, uint64_t now_ns);

/* fn(arg) is to be called once deadline_ns has passed; once. An earlier setting is replaced. The timer is the caller's: it
 * must be cleared before its memory goes. */
void wheel_set(struct wheel *wheel, struct wheel_timer *timer, uint64_t deadline_ns);
void wheel_clear(struct wheel *wheel, struct wheel_timer *timer);

/* When wheel_run() has work next, at the earliest; UINT64_MAX: there is none. */
uint64_t wheel_next(const struct wheel *wheel);

/* Runs what is due. Callbacks may set and clear any timer, themselves included. */
void wheel_run(struct wheel *wheel, uint64_t now_ns);

#endif
