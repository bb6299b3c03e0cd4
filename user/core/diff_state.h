/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside of diff: what its files share. Nobody else includes this.
 *
 *   diff.c        desired and actual, and what is left to do, in a safe order; beginning and end
 *   diff_row.c    rows: found by their key, filed by what is left to do for them
 *   diff_audit.c  comparing what the kernel holds with what we believe it holds
 *   diff_look.c   reading either side
 */
#ifndef CORE_DIFF_STATE_H
#define CORE_DIFF_STATE_H

#include "base/table.h"
#include "base/vec.h"
#include "core/diff.h"

/* What is left to do for a row; DIFF_ADD and DIFF_REMOVE + 1, so that 0 is "nothing". */
enum todo {
	TODO_NOTHING,
	TODO_ADD,
	TODO_REMOVE,
} __attribute__((packed));

struct row {
	struct row *prev, *next; /* in the list it is in */
	struct row_list *list;   /* NULL = none */
	uint8_t table;
	enum todo todo;
	bool wanted;   /* desired is valid */
	bool there;    /* actual is valid */
	bool later;    /* desired must wait for everything that is added */
	bool interim;  /* until then, the third value holds */
	bool reserved; /* exists for a diff_want() to come */
	bool seen;     /* by the audit under way, or written since it began */
	unsigned char bytes
		[]; /* key (padded to 8), desired, actual, and interim in tables of small values */
};

struct row_list {
	struct row *first, *last;
};

struct audit_find {
	struct row *row;
	unsigned char *expected; /* NULL = no row */
	bool found;
};

struct diff {
	struct table services[2];              /* rows whose key is no index, by family */
	struct row **indexed[ROW_TABLE_COUNT]; /* the others */
	uint32_t indexed_len[ROW_TABLE_COUNT];
	struct row_list pending[ROW_TABLE_COUNT][2]; /* by phase */
	struct row_list given;  /* given out in this round, neither done nor failed yet */
	struct row_list failed; /* in this round */
	int add_failed[2];      /* by family: first table in which an add failed in this round */
	int remove_failed[2];   /* … last table in which a removal failed */
	bool removals;
	size_t n_todo[2];
	size_t n_wanted[ROW_TABLE_COUNT];
	struct diff_stats stats;
	enum row_table audit_table;
	struct VEC_OF(struct audit_find) finds;
	int audit_error;
};

static inline size_t key_room(enum row_table t)
{
	return (row_tables[t].key_len + 7u) & ~7u;
}

static inline void *row_key(struct row *r)
{
	return r->bytes;
}

static inline unsigned char *row_desired(struct row *r)
{
	return r->bytes + key_room(r->table);
}

static inline unsigned char *row_actual(struct row *r)
{
	return r->bytes + key_room(r->table) + row_tables[r->table].value_len;
}

static inline bool has_interim(enum row_table t)
{
	return row_tables[t].value_len <= DIFF_INTERIM_MAX;
}

static inline unsigned char *row_interim(struct row *r)
{
	return r->bytes + key_room(r->table) + 2 * (size_t)row_tables[r->table].value_len;
}

static inline bool is_indexed(enum row_table t)
{
	return t != ROW4_SERVICES && t != ROW6_SERVICES;
}

static inline struct table *services_of(struct diff *d, enum row_table t)
{
	return &d->services[t == ROW6_SERVICES];
}

/* diff_row.c */
/* NULL = there is none. */
struct row *diff_row_find(const struct diff *d, enum row_table t, const void *key);
/* NULL without memory. */
struct row *diff_row_get(struct diff *d, enum row_table t, const void *key);
/* Of no further interest: forgets the row. */
void diff_row_drop(struct diff *d, struct row *r);
/* In arrays a row of zeros is no row. */
bool diff_is_nothing(enum row_table t, const void *value);
void diff_row_unlink(struct row *r);
/* It leaves the list it is in. */
void diff_row_append(struct row_list *l, struct row *r);
/* Which value the row shall get next, and in which phase. */
enum todo diff_row_todo(struct row *r, const void **ret_value);
/*
 * After any change of a row: puts it where it belongs now. A row that was given out or failed stays
 * there for this round.
 */
void diff_row_refile(struct diff *d, struct row *r);

/* diff_audit.c */
void diff_finds_clear(struct diff *d);

#endif
