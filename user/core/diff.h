/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Desired, actual, pending: the rows we want in the control maps, the rows the kernel holds, and
 * the operations that make the second equal to the first. Generic over bytes; knows nothing of
 * services. Pure.
 *
 * Order, which is the whole safety of it: what is added goes in the order of enum row_table
 * (configuration, names, filter, then backends, then rings, then records, then services), so
 * nothing is referred to before it is there; what is taken away goes in reverse order after all
 * that, so nothing disappears while it is referred to. The agent may be killed between any two
 * operations.
 *
 * A mark is cleared only when the kernel accepted the operation: desired and actual differ until
 * diff_done().
 *
 *   diff_begin(d);
 *   while (diff_next(d, &op))           one operation at a time, or:
 *   while ((n = diff_next_run(d, ops, 256)))     or up to 256 of one table and kind at once
 *           … send … diff_done(d, &op) or diff_failed(d, &op) for each …
 */
#ifndef CORE_DIFF_H
#define CORE_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/rows.h"

struct diff;

enum diff_action {
	DIFF_PUT,    /* write key and value, whether or not the key is there */
	DIFF_DELETE, /* delete the key, in hashes only; that it is not there is success */
};

enum diff_phase {
	DIFF_ADD,    /* adds, replaces */
	DIFF_REMOVE, /* deletes, zeroed rows, cleared bits; not before diff_allow_removals() */
};

/*
 * Pointers are valid until the next call that changes the diff, except diff_done() and
 * diff_failed().
 */
struct diff_op {
	enum row_table table;
	enum diff_action action;
	enum diff_phase phase;
	const void *key;
	const void *value; /* DIFF_PUT */
	void *row;         /* of the diff */
};

struct diff *diff_new(void); /* NULL if there is no memory */
void diff_free(struct diff *d);

/* ---- desired: what plan says ----------------------------------------------------------------- */

/* The row shall be there with this value. 0 or -ENOMEM (nothing changed). */
int diff_want(struct diff *d, enum row_table table, const void *key, const void *value);
/*
 * The row shall end as `value`, but must not get there before everything that was added: until then
 * it shall be `interim`. For rows that lose something others may still rely on (a backend that
 * leaves a list). Only for values of at most DIFF_INTERIM_MAX bytes; cannot fail for a row that is
 * wanted or reserved. 0, -EINVAL, -ENOMEM.
 */
#define DIFF_INTERIM_MAX 32
int diff_want_later(struct diff *d, enum row_table table, const void *key, const void *interim,
		    const void *value);
/*
 * The row, which is wanted or reserved, shall end as `value`; until everything that was added is
 * there it stays as the kernel has it. For rows nobody may still use by then. Never fails.
 */
void diff_retire(struct diff *d, enum row_table table, const void *key, const void *value);
/*
 * Sets memory aside, so that the next diff_want() of this row cannot fail; diff_unwant() gives it
 * back. 0 or -ENOMEM.
 */
int diff_reserve(struct diff *d, enum row_table table, const void *key);
/* The row shall not be there. Never fails. */
void diff_unwant(struct diff *d, enum row_table table, const void *key);

/* ---- actual: what the kernel holds ----------------------------------------------------------- */

/* At start: the kernel holds this row. Zeroed rows of arrays are ignored. 0 or -ENOMEM. */
int diff_saw(struct diff *d, enum row_table table, const void *key, const void *value);
/* diff_saw() of all rows of all tables. 0, -ENOMEM, or what the reader returned. */
int diff_saw_all(struct diff *d, const struct row_reader *kernel);

/*
 * Self-audit: compares what the kernel holds with what we believe it holds, row by row. Differences
 * become pending again (repairs), and are told to fn (may be NULL): `expected` or `found` is NULL
 * if there was or is no row.
 *   diff_audit_begin(d, table); diff_audit_saw(d, key, value) for each row; diff_audit_end(d, …);
 * One table at a time. It may be read in pieces: after diff_audit_tell() anything may be wanted and
 * written before the next piece, as long as rows that stay are seen by one of them. Returns of
 * diff_audit_saw: 0 or -ENOMEM; of _tell and _end: number of differences told.
 */
typedef void diff_audit_fn(void *ctx, enum row_table table, const void *key, const void *expected,
			   const void *found);
void diff_audit_begin(struct diff *d, enum row_table table);
int diff_audit_saw(struct diff *d, const void *key, const void *value);
size_t diff_audit_tell(struct diff *d, diff_audit_fn *fn, void *ctx);
size_t diff_audit_end(struct diff *d, diff_audit_fn *fn, void *ctx);
/* All tables. *ret_found: number of differences. 0, -ENOMEM, or what the reader returned. */
int diff_audit(struct diff *d, const struct row_reader *kernel, diff_audit_fn *fn, void *ctx,
	       size_t *ret_found);

/* ---- pending --------------------------------------------------------------------------------- */

/* From now on removals are given out: every kind of every source has been listed once. */
void diff_allow_removals(struct diff *d);

/* Starts a round: what failed before is tried again. */
void diff_begin(struct diff *d);
/*
 * The next operation of this round; false when the round is over. After a failure in a table the
 * later tables of that family are held back in this round (what they write may refer to it).
 */
bool diff_next(struct diff *d, struct diff_op *ret_op);
/*
 * As diff_next(), but up to max operations of the same table, action and phase at once. Returns how
 * many; 0 = round is over.
 */
size_t diff_next_run(struct diff *d, struct diff_op *ret_ops, size_t max);
/* The kernel accepted it. Only for operations got since the last diff_begin(), once each. */
void diff_done(struct diff *d, const struct diff_op *op);
/* It did not: stays pending, and is given out again in the next round. */
void diff_failed(struct diff *d, const struct diff_op *op);

/* Rows that are not yet as they shall be; `all` false: without removals that are held back. */
size_t diff_n_pending(const struct diff *d, bool all);
/* Is this row not yet as it shall be? */
bool diff_is_pending(const struct diff *d, enum row_table table, const void *key);

/* ---- looking --------------------------------------------------------------------------------- */

/* NULL = no such row. Valid until the next change. */
const void *diff_desired(const struct diff *d, enum row_table table, const void *key);
const void *diff_actual(const struct diff *d, enum row_table table, const void *key);
/* Readers over either side, for core/view.h; valid as long as d. */
struct row_reader diff_desired_reader(const struct diff *d);
struct row_reader diff_actual_reader(const struct diff *d);

struct diff_stats {
	uint64_t done; /* operations the kernel accepted */
	uint64_t failed;
	uint64_t repaired;            /* differences found by audits */
	size_t rows[ROW_TABLE_COUNT]; /* desired */
};
void diff_count(const struct diff *d, struct diff_stats *ret_stats);

#endif
