// SPDX-License-Identifier: GPL-2.0-only
/* Deadlines in slots; one that moved away is put right when its old slot comes up. */
/* Must not know what waits, or any clock. */
#include "ingress/wheel.h"

#include <stddef.h>
#include <string.h>

void wheel_init(struct wheel *wheel, uint64_t now_ns)
{
	memset(wheel, 0, sizeof(*wheel));
	wheel->now_tick = now_ns / WHEEL_TICK_NS;
}

static unsigned slot_of(uint64_t tick)
{
	return (unsigned)(tick % WHEEL_SLOTS);
}

static void take_out(struct wheel *wheel, struct wheel_timer *timer)
{
	unsigned slot = slot_of(timer->slot_ns / WHEEL_TICK_NS);

	LIST_REMOVE(timer, link);
	timer->slot_ns = 0;
	if (LIST_EMPTY(&wheel->slots[slot]))
		wheel->used[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
}

/* Rounded up, so that it is never early; what is further away than one round is looked at again then. */
static uint64_t tick_for(const struct wheel *wheel, uint64_t deadline_ns)
{
	uint64_t tick = deadline_ns / WHEEL_TICK_NS + 1;

	if (tick <= wheel->now_tick)
		return wheel->now_tick + 1;
	if (tick >= wheel->now_tick + WHEEL_SLOTS)
		return wheel->now_tick + WHEEL_SLOTS - 1;
	return tick;
}

static void put_in(struct wheel *wheel, struct wheel_timer *timer, uint64_t tick)
{
	unsigned slot = slot_of(tick);

	timer->slot_ns = tick * WHEEL_TICK_NS;
	LIST_INSERT_HEAD(&wheel->slots[slot], timer, link);
	wheel->used[slot / 64] |= UINT64_C(1) << (slot % 64);
}

void wheel_set(struct wheel *wheel, struct wheel_timer *timer, uint64_t deadline_ns)
{
	uint64_t tick;

	timer->deadline_ns = deadline_ns;
	if (timer->slot_ns && timer->slot_ns <= deadline_ns)
		return;
	tick = tick_for(wheel, deadline_ns);
	if (timer->slot_ns) {
		if (timer->slot_ns == tick * WHEEL_TICK_NS)
			return;
		take_out(wheel, timer);
	}
	put_in(wheel, timer, tick);
}

void wheel_clear(struct wheel *wheel, struct wheel_timer *timer)
{
	timer->deadline_ns = 0;
	if (timer->slot_ns)
		take_out(wheel, timer);
}

uint64_t wheel_next(const struct wheel *wheel)
{
	uint64_t first = wheel->now_tick + 1;

	for (unsigned step = 0; step < WHEEL_SLOTS;) {
		unsigned slot = slot_of(first + step);
		uint64_t word = wheel->used[slot / 64] >> (slot % 64);

		if (word)
			return (first + step + (unsigned)__builtin_ctzll(word)) * WHEEL_TICK_NS;
		step += 64 - slot % 64;
	}
	return UINT64_MAX;
}

static void run_slot(struct wheel *wheel, uint64_t tick, uint64_t now_ns)
{
	LIST_HEAD(, wheel_timer) due = LIST_HEAD_INITIALIZER(due);
	unsigned slot = slot_of(tick);
	struct wheel_timer *timer;

	/* Moved to a list of its own, where wheel_clear() of any of them still works: it only touches the neighbours. */
	if (LIST_EMPTY(&wheel->slots[slot]))
		return;
	due.lh_first = wheel->slots[slot].lh_first;
	due.lh_first->link.le_prev = &due.lh_first;
	LIST_INIT(&wheel->slots[slot]);
	wheel->used[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
	while ((timer = LIST_FIRST(&due))) {
		LIST_REMOVE(timer, link);
		timer->slot_ns = 0;
		if (timer->deadline_ns > now_ns) {
			put_in(wheel, timer, tick_for(wheel, timer->deadline_ns));
			continue;
		}
		timer->deadline_ns = 0;
		timer->fn(timer->arg);
	}
}

void wheel_run(struct wheel *wheel, uint64_t now_ns)
{
	uint64_t until = now_ns / WHEEL_TICK_NS, next;

	while (wheel->now_tick < until) {
		next = wheel_next(wheel);
		if (next == UINT64_MAX || next / WHEEL_TICK_NS > until) {
			wheel->now_tick = until;
			return;
		}
		wheel->now_tick = next / WHEEL_TICK_NS;
		run_slot(wheel, wheel->now_tick, now_ns);
	}
}
