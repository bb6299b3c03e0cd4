// SPDX-License-Identifier: GPL-2.0
/*
 * What every row shall be, what the kernel holds, and what is left to do, given out in a safe order.
 */
/* Must not know: what rows mean, how they get into the kernel, and how they are kept. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/diff_state.h"

/* ---- life ------------------------------------------------------------------------------------ */

struct diff *diff_new(void)
{
	struct diff *d = calloc(1, sizeof(*d));
	uint64_t seed = (uint64_t)(uintptr_t)d *
			0x9e3779b97f4a7c15ull; /* service keys come from strangers */

	if (!d)
		return NULL;
	table_init(&d->services[0], seed);
	table_init(&d->services[1], seed + 1);
	diff_begin(d);
	return d;
}

void diff_free(struct diff *d)
{
	if (!d)
		return;
	for (int t = 0; t < ROW_TABLE_COUNT; t++) {
		for (uint32_t i = 0; i < d->indexed_len[t]; i++)
			free(d->indexed[t][i]);
		free(d->indexed[t]);
	}
	table_done(&d->services[0], free);
	table_done(&d->services[1], free);
	diff_finds_clear(d);
	vec_done(&d->finds);
	free(d);
}

/* ---- desired --------------------------------------------------------------------------------- */

static void set_wanted(struct diff *d, struct row *r, bool wanted)
{
	if (wanted != r->wanted)
		wanted ? d->n_wanted[r->table]++ : d->n_wanted[r->table]--;
	r->wanted = wanted;
	r->reserved = false;
	r->later = r->interim = false;
}

int diff_reserve(struct diff *d, enum row_table table, const void *key)
{
	struct row *r = diff_row_get(d, table, key);

	if (!r)
		return -ENOMEM;
	r->reserved = true;
	return 0;
}

int diff_want(struct diff *d, enum row_table table, const void *key, const void *value)
{
	struct row *r;

	if (diff_is_nothing(table, value)) {
		diff_unwant(d, table, key);
		return 0;
	}
	r = diff_row_get(d, table, key);
	if (!r)
		return -ENOMEM;
	set_wanted(d, r, true);
	memcpy(row_desired(r), value, row_tables[table].value_len);
	diff_row_refile(d, r);
	return 0;
}

void diff_retire(struct diff *d, enum row_table table, const void *key, const void *value)
{
	struct row *r = diff_row_find(d, table, key);

	if (!r)
		return;
	if (diff_is_nothing(table, value)) {
		diff_unwant(d, table, key);
		return;
	}
	set_wanted(d, r, true);
	memcpy(row_desired(r), value, row_tables[table].value_len);
	r->later = true;
	diff_row_refile(d, r);
}

int diff_want_later(struct diff *d, enum row_table table, const void *key, const void *interim,
		    const void *value)
{
	size_t len = row_tables[table].value_len;
	struct row *r;

	if (!has_interim(table))
		return -EINVAL;
	r = diff_row_get(d, table, key);
	if (!r)
		return -ENOMEM;
	set_wanted(d, r, true);
	memcpy(row_desired(r), value, len);
	memcpy(row_interim(r), interim, len);
	r->interim = r->later = true;
	diff_row_refile(d, r);
	return 0;
}

void diff_unwant(struct diff *d, enum row_table table, const void *key)
{
	struct row *r = diff_row_find(d, table, key);

	if (!r)
		return;
	set_wanted(d, r, false);
	diff_row_refile(d, r);
}

/* ---- actual ---------------------------------------------------------------------------------- */

int diff_saw(struct diff *d, enum row_table table, const void *key, const void *value)
{
	struct row *r;

	if (diff_is_nothing(table, value))
		return 0;
	r = diff_row_get(d, table, key);
	if (!r)
		return -ENOMEM;
	r->there = true;
	memcpy(row_actual(r), value, row_tables[table].value_len);
	diff_row_refile(d, r);
	return 0;
}

struct saw {
	struct diff *d;
	enum row_table table;
};

static int saw_one(void *ctx, const void *key, const void *value)
{
	struct saw *saw = ctx;

	return diff_saw(saw->d, saw->table, key, value);
}

int diff_saw_all(struct diff *d, const struct row_reader *kernel)
{
	int rc = 0;

	for (int t = 0; t < ROW_TABLE_COUNT && !rc; t++) {
		struct saw saw = { d, (enum row_table)t };

		rc = kernel->each(kernel->ctx, saw.table, saw_one, &saw);
	}
	return rc;
}

/* ---- pending --------------------------------------------------------------------------------- */

void diff_allow_removals(struct diff *d)
{
	d->removals = true;
}

static void take_back(struct diff *d, struct row_list *l)
{
	struct row *r;

	while ((r = l->first)) {
		diff_row_unlink(r);
		diff_row_refile(d, r);
	}
}

void diff_begin(struct diff *d)
{
	take_back(d, &d->failed);
	take_back(d, &d->given);
	for (int f = 0; f < 2; f++) {
		d->add_failed[f] = ROW_TABLE_COUNT;
		d->remove_failed[f] = -1;
	}
}

/* 0 or 1 for tables of a family, -1 for the configuration. */
static int family_of(enum row_table t)
{
	return t == ROW_CONFIG ? -1 : (int)(t - ROW4_NAMES) & 1;
}

/* What is added later may refer to what could not be added before. */
static bool may_add(const struct diff *d, int table)
{
	int family = family_of((enum row_table)table);

	return family < 0 || table <= d->add_failed[family];
}

/*
 * What is taken away may still be referred to while anything added or taken away before has failed.
 * Services only lose references, so they may always go.
 */
static bool may_remove(const struct diff *d, int table)
{
	int family = family_of((enum row_table)table);

	if (family < 0 || !is_indexed((enum row_table)table))
		return true;
	return d->add_failed[family] == ROW_TABLE_COUNT && table >= d->remove_failed[family];
}

/* The first list that may be given out now. */
static struct row_list *next_list(struct diff *d, enum diff_phase *ret_phase)
{
	for (int t = 0; t < ROW_TABLE_COUNT; t++) {
		if (d->pending[t][DIFF_ADD].first && may_add(d, t)) {
			*ret_phase = DIFF_ADD;
			return &d->pending[t][DIFF_ADD];
		}
	}
	for (int t = ROW_TABLE_COUNT - 1; d->removals && t >= 0; t--) {
		if (d->pending[t][DIFF_REMOVE].first && may_remove(d, t)) {
			*ret_phase = DIFF_REMOVE;
			return &d->pending[t][DIFF_REMOVE];
		}
	}
	return NULL;
}

static struct diff_op make_op(struct row *r, enum diff_phase phase)
{
	static const unsigned char zeros[ROW_VALUE_MAX];
	struct diff_op op = {
		.table = r->table, .action = DIFF_PUT, .phase = phase, .key = row_key(r), .row = r
	};

	diff_row_todo(r, &op.value);
	if (!op.value && row_tables[r->table].array)
		op.value = zeros;
	else if (!op.value)
		op.action = DIFF_DELETE;
	return op;
}

size_t diff_next_run(struct diff *d, struct diff_op *ret_ops, size_t max)
{
	enum diff_phase phase;
	struct row_list *l = next_list(d, &phase);
	size_t n = 0;

	while (l && n < max && l->first) {
		struct diff_op op = make_op(l->first, phase);

		if (n > 0 && op.action != ret_ops[0].action)
			break;
		ret_ops[n++] = op;
		diff_row_append(&d->given, l->first);
	}
	return n;
}

bool diff_next(struct diff *d, struct diff_op *ret_op)
{
	return diff_next_run(d, ret_op, 1) == 1;
}

void diff_done(struct diff *d, const struct diff_op *op)
{
	struct row *r = op->row;

	d->stats.done++;
	if (op->action == DIFF_DELETE || diff_is_nothing(op->table, op->value)) {
		r->there = false;
	} else {
		r->there = true;
		memcpy(row_actual(r), op->value, row_tables[op->table].value_len);
	}
	r->seen = true; /* an audit under way may have passed its place before it was there */
	diff_row_unlink(r);
	diff_row_refile(d, r);
}

void diff_failed(struct diff *d, const struct diff_op *op)
{
	int family = family_of(op->table);

	d->stats.failed++;
	if (family >= 0 && op->phase == DIFF_ADD && (int)op->table < d->add_failed[family])
		d->add_failed[family] = (int)op->table;
	if (family >= 0 && op->phase == DIFF_REMOVE && (int)op->table > d->remove_failed[family])
		d->remove_failed[family] = (int)op->table;
	diff_row_append(&d->failed, op->row);
}

size_t diff_n_pending(const struct diff *d, bool all)
{
	return d->n_todo[DIFF_ADD] + (all || d->removals ? d->n_todo[DIFF_REMOVE] : 0);
}

bool diff_is_pending(const struct diff *d, enum row_table table, const void *key)
{
	struct row *r = diff_row_find(d, table, key);

	return r && r->todo;
}

/* ---- looking --------------------------------------------------------------------------------- */

void diff_count(const struct diff *d, struct diff_stats *ret_stats)
{
	*ret_stats = d->stats;
	memcpy(ret_stats->rows, d->n_wanted, sizeof(d->n_wanted));
}
