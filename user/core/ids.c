// SPDX-License-Identifier: GPL-2.0
/*
 * Hands out numbers and ranges, keeps generations, and lets what was given back rest until it is
 * safe.
 */
/*
 * Must not know: what the numbers stand for, and how one finds out that the kernel lets go of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/ids.h"

void ids_init(struct ids *ids, uint32_t first, uint32_t end)
{
	*ids = (struct ids){ .first = first, .end = end, .fresh = first };
}

void ids_done(struct ids *ids)
{
	free(ids->gens);
	free(ids->states);
	free(ids->free_stack);
	memset(ids, 0, sizeof(*ids));
}

/* Room for numbers below `want`, for their states and for all of them on the free stack. */
static int ids_grow(struct ids *ids, uint32_t want)
{
	uint32_t room = ids->room ? ids->room : 64;
	enum ids_state *states;
	uint32_t *gens, *stack;

	if (want <= ids->room)
		return 0;
	while (room < want)
		room = room > UINT32_MAX / 2 ? UINT32_MAX : room * 2;
	if (room > ids->end)
		room = ids->end;
	gens = realloc(ids->gens, room * sizeof(*gens));
	if (!gens)
		return -ENOMEM;
	ids->gens = gens;
	states = realloc(ids->states, room * sizeof(*states));
	if (!states)
		return -ENOMEM;
	ids->states = states;
	stack = realloc(ids->free_stack, room * sizeof(*stack));
	if (!stack)
		return -ENOMEM;
	ids->free_stack = stack;
	ids->free_room = room;
	memset(gens + ids->room, 0, (room - ids->room) * sizeof(*gens));
	memset(states + ids->room, 0, (room - ids->room) * sizeof(*states));
	ids->room = room;
	return 0;
}

static void use(struct ids *ids, uint32_t id, uint32_t gen)
{
	ids->states[id] = IDS_USED;
	ids->gens[id] = gen;
	ids->n_used++;
}

/* Skips entries that were adopted after they had been put on the stack. */
static bool pop_free(struct ids *ids, uint32_t *ret_id)
{
	while (ids->n_free) {
		uint32_t id = ids->free_stack[--ids->n_free];

		if (ids->states[id] == IDS_FREE) {
			*ret_id = id;
			return true;
		}
	}
	return false;
}

/*
 * Generations are remembered in rows of the kernel: 0 means "never used" there, so it is skipped.
 */
static uint32_t next_gen(uint32_t gen)
{
	return gen + 1 ? gen + 1 : 1;
}

int ids_take(struct ids *ids, uint32_t *ret_id, uint32_t *ret_gen)
{
	uint32_t id;

	if (!pop_free(ids, &id)) {
		/*
		 * Adopted numbers lie beyond `fresh`; they are used or resting, and are passed
		 * over.
		 */
		while (ids->fresh < ids->end && ids->fresh < ids->room &&
		       ids->states[ids->fresh] != IDS_FREE)
			ids->fresh++;
		if (ids->fresh >= ids->end)
			return -ENOSPC;
		if (ids_grow(ids, ids->fresh + 1) < 0)
			return -ENOMEM;
		id = ids->fresh++;
	}
	use(ids, id, next_gen(ids->gens[id]));
	*ret_id = id;
	*ret_gen = ids->gens[id];
	return 0;
}

int ids_adopt(struct ids *ids, uint32_t id, uint32_t gen)
{
	if (id < ids->first || id >= ids->end)
		return -ERANGE;
	if (ids_grow(ids, id + 1) < 0)
		return -ENOMEM;
	if (ids->states[id] != IDS_FREE)
		return -EEXIST;
	use(ids, id, gen);
	return 0;
}

int ids_note_gen(struct ids *ids, uint32_t id, uint32_t gen)
{
	if (id < ids->first || id >= ids->end)
		return -ERANGE;
	if (ids_grow(ids, id + 1) < 0)
		return -ENOMEM;
	/* Generations wrap: the later of two is the one less than half the circle ahead. */
	if ((int32_t)(gen - ids->gens[id]) > 0)
		ids->gens[id] = gen;
	return 0;
}

void ids_retire(struct ids *ids, uint32_t id)
{
	if (id >= ids->room || ids->states[id] != IDS_USED)
		return;
	ids->states[id] = IDS_RESTING;
	ids->n_used--;
	ids->n_resting++;
}

void ids_rested(struct ids *ids, uint32_t id)
{
	if (id >= ids->room || ids->states[id] != IDS_RESTING)
		return;
	ids->states[id] = IDS_FREE;
	ids->n_resting--;
	/* Beyond `fresh` it is found there; the stack has room for every number below it once. */
	if (id < ids->fresh && ids->n_free < ids->free_room)
		ids->free_stack[ids->n_free++] = id;
}

enum ids_state ids_state(const struct ids *ids, uint32_t id)
{
	return id < ids->room ? ids->states[id] : IDS_FREE;
}

uint32_t ids_available(const struct ids *ids)
{
	return ids->end - ids->first - ids->n_used - ids->n_resting;
}

/* ---- ranges ---------------------------------------------------------------------------------- */

int extents_init(struct extents *x, uint32_t end)
{
	*x = (struct extents){ .end = end, .n_available = end };
	x->free = malloc(4 * sizeof(*x->free));
	if (!x->free)
		return -ENOMEM;
	x->room = 4;
	if (end)
		x->free[x->n_free++] = (struct extent){ 0, end };
	return 0;
}

void extents_done(struct extents *x)
{
	free(x->free);
	memset(x, 0, sizeof(*x));
}

/*
 * Each range in use can split the free ones once more. Memory for that is set aside when a range is
 * taken, so that giving it back cannot fail: there are never more free ranges than ranges in use
 * plus one.
 */
static int extents_reserve(struct extents *x, size_t want)
{
	struct extent *grown;
	size_t room = x->room;

	if (want <= room)
		return 0;
	while (room < want)
		room *= 2;
	grown = realloc(x->free, room * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	x->free = grown;
	x->room = room;
	return 0;
}

static void remove_free(struct extents *x, size_t i)
{
	memmove(&x->free[i], &x->free[i + 1], (x->n_free - i - 1) * sizeof(*x->free));
	x->n_free--;
}

static void insert_free(struct extents *x, size_t i, struct extent e)
{
	memmove(&x->free[i + 1], &x->free[i], (x->n_free - i) * sizeof(*x->free));
	x->free[i] = e;
	x->n_free++;
}

int extents_take(struct extents *x, uint32_t len, uint32_t *ret_start)
{
	if (extents_reserve(x, x->n_ranges + 3) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < x->n_free; i++) {
		struct extent *f = &x->free[i];

		if (f->len < len)
			continue;
		*ret_start = f->start;
		f->start += len;
		f->len -= len;
		if (!f->len)
			remove_free(x, i);
		x->n_available -= len;
		x->n_ranges++;
		return 0;
	}
	return -ENOSPC;
}

int extents_adopt(struct extents *x, uint32_t start, uint32_t len)
{
	if (len > x->end || start > x->end - len)
		return -ERANGE;
	if (extents_reserve(x, x->n_ranges + 3) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < x->n_free; i++) {
		struct extent *f = &x->free[i];
		struct extent rest = { start + len, f->start + f->len - start - len };

		if (start < f->start || start + len > f->start + f->len)
			continue;
		f->len = start - f->start;
		if (rest.len)
			insert_free(x, i + 1, rest);
		if (!x->free[i].len)
			remove_free(x, i);
		x->n_available -= len;
		x->n_ranges++;
		return 0;
	}
	return -EEXIST;
}

void extents_retire(struct extents *x, uint32_t start, uint32_t len)
{
	(void)start;
	x->n_resting += len;
}

/* Index of the first free range that starts behind `start`. */
static size_t find_behind(const struct extents *x, uint32_t start)
{
	size_t low = 0, high = x->n_free;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (x->free[mid].start > start)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

void extents_rested(struct extents *x, uint32_t start, uint32_t len)
{
	size_t i = find_behind(x, start);
	bool before = i > 0 && x->free[i - 1].start + x->free[i - 1].len == start;
	bool behind = i < x->n_free && start + len == x->free[i].start;

	if (before && behind) {
		x->free[i - 1].len += len + x->free[i].len;
		remove_free(x, i);
	} else if (before) {
		x->free[i - 1].len += len;
	} else if (behind) {
		x->free[i].start = start;
		x->free[i].len += len;
	} else {
		insert_free(x, i, (struct extent){ start, len });
	}
	x->n_available += len;
	x->n_resting -= len;
	x->n_ranges--;
}
