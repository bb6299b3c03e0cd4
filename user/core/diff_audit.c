// SPDX-License-Identifier: GPL-2.0
/* Self-audit: compares what the kernel holds with what we believe it holds. */
/* Must not know: what rows mean, and how the kernel is read. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/diff_state.h"

void diff_finds_clear(struct diff *d)
{
	struct audit_find *f;

	vec_for_each(f, &d->finds)
		free(f->expected);
	vec_clear(&d->finds);
}

/* Calls fn for each row of a table; fn may drop the row it is given. */
static void each_row(struct diff *d, enum row_table t, void (*fn)(struct diff *d, struct row *r))
{
	struct table_entry *entry;

	for (uint32_t i = 0; i < d->indexed_len[t]; i++)
		if (d->indexed[t][i])
			fn(d, d->indexed[t][i]);
	if (!is_indexed(t))
		table_for_each(entry, services_of(d, t))
			fn(d, entry->value);
}

static void forget_seen(struct diff *d, struct row *r)
{
	(void)d;
	r->seen = false;
}

void diff_audit_begin(struct diff *d, enum row_table table)
{
	diff_finds_clear(d);
	d->audit_table = table;
	d->audit_error = 0;
	each_row(d, table, forget_seen);
}

/* Notes the difference; what the kernel holds from now on is taken over by the caller. */
static int note_find(struct diff *d, struct row *r, bool found)
{
	size_t len = row_tables[r->table].value_len;
	struct audit_find f = { .row = r, .found = found };

	if (r->there) {
		f.expected = malloc(len);
		if (!f.expected)
			return -ENOMEM;
		memcpy(f.expected, row_actual(r), len);
	}
	if (vec_push(&d->finds, f) < 0) {
		free(f.expected);
		return -ENOMEM;
	}
	return 0;
}

int diff_audit_saw(struct diff *d, const void *key, const void *value)
{
	enum row_table t = d->audit_table;
	struct row *r;

	if (diff_is_nothing(t, value))
		return 0;
	r = diff_row_get(d, t, key);
	if (!r)
		return -ENOMEM;
	r->seen = true;
	if (r->there && memcmp(row_actual(r), value, row_tables[t].value_len) == 0)
		return 0;
	if (note_find(d, r, true) < 0) {
		if (!r->wanted && !r->there && !r->reserved)
			diff_row_drop(d, r);
		return -ENOMEM;
	}
	r->there = true;
	memcpy(row_actual(r), value, row_tables[t].value_len);
	diff_row_refile(d, r);
	return 0;
}

static void find_missing(struct diff *d, struct row *r)
{
	if (r->there && !r->seen && note_find(d, r, false) < 0)
		d->audit_error = -ENOMEM; /* the next audit finds it */
}

size_t diff_audit_tell(struct diff *d, diff_audit_fn *fn, void *ctx)
{
	size_t n = d->finds.len;

	for (size_t i = 0; i < n; i++) {
		struct audit_find *f = &d->finds.data[i];
		struct row *r = f->row;

		if (fn)
			fn(ctx, d->audit_table, row_key(r), f->expected,
			   f->found ? row_actual(r) : NULL);
		if (!f->found) {
			r->there = false;
			diff_row_refile(d, r);
		}
	}
	diff_finds_clear(d);
	d->stats.repaired += n;
	return n;
}

size_t diff_audit_end(struct diff *d, diff_audit_fn *fn, void *ctx)
{
	each_row(d, d->audit_table, find_missing);
	return diff_audit_tell(d, fn, ctx);
}

static int audit_one(void *ctx, const void *key, const void *value)
{
	return diff_audit_saw(ctx, key, value);
}

int diff_audit(struct diff *d, const struct row_reader *kernel, diff_audit_fn *fn, void *ctx,
	       size_t *ret_found)
{
	size_t n = 0;

	for (int t = 0; t < ROW_TABLE_COUNT; t++) {
		int rc;

		diff_audit_begin(d, (enum row_table)t);
		rc = kernel->each(kernel->ctx, (enum row_table)t, audit_one, d);
		if (rc) {
			/* What was not read is not missing; what differed is already taken over. */
			d->stats.repaired += d->finds.len;
			diff_finds_clear(d);
			return rc;
		}
		n += diff_audit_end(d, fn, ctx);
		if (d->audit_error)
			return d->audit_error;
	}
	*ret_found = n;
	return 0;
}
