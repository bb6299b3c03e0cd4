/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Numbers with owners: service ids, backend ids, record slots (struct ids), and ranges of ring
 * lines (struct extents). Pure.
 *
 * A number is free, used, or resting. Resting: given back, but programs may still hold it; it
 * becomes free by ids_rested(), which is called only after nothing in the kernel refers to it AND a
 * real RCU barrier has passed. Numbers keep a generation, which differs for each owner, over
 * restarts too (the agent tells what the kernel holds by ids_adopt() and ids_note_gen()).
 */
#ifndef CORE_IDS_H
#define CORE_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ids_state {
	IDS_FREE,
	IDS_USED,
	IDS_RESTING,
} __attribute__((packed));

struct ids {
	uint32_t first; /* lowest number given out */
	uint32_t end;   /* one after the highest */
	uint32_t fresh; /* numbers from here on were never used */
	uint32_t n_used;
	uint32_t n_resting;
	uint32_t *gens; /* by number, up to `room` */
	enum ids_state *states;
	uint32_t room;
	uint32_t *free_stack; /* freed numbers below `fresh`; may hold stale entries */
	uint32_t n_free, free_room;
};

void ids_init(struct ids *ids, uint32_t first, uint32_t end);
void ids_done(struct ids *ids);

/* A free number, with a generation that it never had before (never 0). 0, -ENOSPC or -ENOMEM. */
int ids_take(struct ids *ids, uint32_t *ret_id, uint32_t *ret_gen);
/*
 * This number is in use with this generation (restart). 0, -EEXIST if it is used already, -ERANGE,
 * -ENOMEM.
 */
int ids_adopt(struct ids *ids, uint32_t id, uint32_t gen);
/*
 * This number had this generation once (restart); its state does not change. 0, -ERANGE, -ENOMEM.
 */
int ids_note_gen(struct ids *ids, uint32_t id, uint32_t gen);
/* Used becomes resting, resting becomes free. No-ops in any other state. */
void ids_retire(struct ids *ids, uint32_t id);
void ids_rested(struct ids *ids, uint32_t id);
enum ids_state ids_state(const struct ids *ids, uint32_t id);
uint32_t ids_available(const struct ids *ids); /* how many ids_take() could give now */

/* ---- ranges ---------------------------------------------------------------------------------- */

struct extent {
	uint32_t start;
	uint32_t len;
};

/* Free ranges, sorted, never adjacent. */
struct extents {
	struct extent *free;
	size_t n_free, room;
	size_t n_ranges; /* in use or resting */
	uint32_t end;
	uint32_t n_available; /* sum of the free lengths */
	uint32_t n_resting;   /* sum of lengths retired and not yet rested */
};

/* [0, end) is free. 0 or -ENOMEM. */
int extents_init(struct extents *x, uint32_t end);
void extents_done(struct extents *x);
/* First fit. 0, -ENOSPC (no free range is long enough), -ENOMEM. len > 0. */
int extents_take(struct extents *x, uint32_t len, uint32_t *ret_start);
/* Marks a range as in use (restart). 0, -EEXIST if some of it is in use, -ERANGE, -ENOMEM. */
int extents_adopt(struct extents *x, uint32_t start, uint32_t len);
/* In use becomes resting: only counted, as the caller keeps the range until it is rested. */
void extents_retire(struct extents *x, uint32_t start, uint32_t len);
/*
 * Resting becomes free, joined with its neighbours. Never fails: memory was set aside when it was
 * taken.
 */
void extents_rested(struct extents *x, uint32_t start, uint32_t len);

#endif
