// SPDX-License-Identifier: GPL-2.0
/* Reading either side, desired or actual: a row, or all of a table. */
/* Must not know: what rows mean. */
#include <errno.h>
#include <string.h>

#include "core/diff_state.h"

const void *diff_desired(const struct diff *d, enum row_table table, const void *key)
{
	struct row *r = diff_row_find(d, table, key);

	return r && r->wanted ? row_desired(r) : NULL;
}

const void *diff_actual(const struct diff *d, enum row_table table, const void *key)
{
	struct row *r = diff_row_find(d, table, key);

	return r && r->there ? row_actual(r) : NULL;
}

static int call_row(struct row *r, bool desired,
		    int (*fn)(void *fn_ctx, const void *key, const void *value), void *fn_ctx)
{
	if (!r || !(desired ? r->wanted : r->there))
		return 0;
	return fn(fn_ctx, row_key(r), desired ? row_desired(r) : row_actual(r));
}

static int each_side(const struct diff *d, enum row_table t, bool desired,
		     int (*fn)(void *fn_ctx, const void *key, const void *value), void *fn_ctx)
{
	struct table_entry *entry;
	int rc = 0;

	for (uint32_t i = 0; i < d->indexed_len[t] && !rc; i++)
		rc = call_row(d->indexed[t][i], desired, fn, fn_ctx);
	if (is_indexed(t))
		return rc;
	table_for_each(entry, &d->services[t == ROW6_SERVICES]) {
		rc = call_row(entry->value, desired, fn, fn_ctx);
		if (rc)
			break;
	}
	return rc;
}

static int get_side(const void *value, enum row_table t, void *ret_value)
{
	if (!value)
		return -ENOENT;
	memcpy(ret_value, value, row_tables[t].value_len);
	return 0;
}

static int each_desired(void *ctx, enum row_table t,
			int (*fn)(void *fn_ctx, const void *key, const void *value), void *fn_ctx)
{
	return each_side(ctx, t, true, fn, fn_ctx);
}

static int each_actual(void *ctx, enum row_table t,
		       int (*fn)(void *fn_ctx, const void *key, const void *value), void *fn_ctx)
{
	return each_side(ctx, t, false, fn, fn_ctx);
}

static int get_desired(void *ctx, enum row_table t, const void *key, void *ret_value)
{
	return get_side(diff_desired(ctx, t, key), t, ret_value);
}

static int get_actual(void *ctx, enum row_table t, const void *key, void *ret_value)
{
	return get_side(diff_actual(ctx, t, key), t, ret_value);
}

struct row_reader diff_desired_reader(const struct diff *d)
{
	return (struct row_reader){ .ctx = (void *)(uintptr_t)d,
				    .each = each_desired,
				    .get = get_desired };
}

struct row_reader diff_actual_reader(const struct diff *d)
{
	return (struct row_reader){ .ctx = (void *)(uintptr_t)d,
				    .each = each_actual,
				    .get = get_actual };
}
