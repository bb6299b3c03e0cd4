// SPDX-License-Identifier: GPL-2.0
/* Rows: found by their key, filed by what is left to do for them. */
/* Must not know: who wants them, and why. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/diff_state.h"

/* ---- rows ------------------------------------------------------------------------------------ */

struct row *diff_row_find(const struct diff *d, enum row_table t, const void *key)
{
	uint32_t index;

	if (!is_indexed(t))
		return table_get(&d->services[t == ROW6_SERVICES], key, row_tables[t].key_len);
	memcpy(&index, key, sizeof(index));
	return index < d->indexed_len[t] ? d->indexed[t][index] : NULL;
}

static int grow_index(struct diff *d, enum row_table t, uint32_t want)
{
	uint32_t len = d->indexed_len[t] ? d->indexed_len[t] : 64;
	struct row **grown;

	if (want <= d->indexed_len[t])
		return 0;
	while (len < want)
		len = len > UINT32_MAX / 2 ? UINT32_MAX : len * 2;
	grown = realloc(d->indexed[t], len * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memset(grown + d->indexed_len[t], 0, (len - d->indexed_len[t]) * sizeof(*grown));
	d->indexed[t] = grown;
	d->indexed_len[t] = len;
	return 0;
}

static int insert(struct diff *d, struct row *r)
{
	uint32_t index;

	if (!is_indexed(r->table))
		return table_put(services_of(d, r->table), row_key(r), row_tables[r->table].key_len,
				 r, NULL);
	memcpy(&index, row_key(r), sizeof(index));
	if (index == UINT32_MAX || grow_index(d, r->table, index + 1) < 0)
		return -ENOMEM;
	d->indexed[r->table][index] = r;
	return 0;
}

struct row *diff_row_get(struct diff *d, enum row_table t, const void *key)
{
	struct row *r = diff_row_find(d, t, key);

	if (r)
		return r;
	r = calloc(1, sizeof(*r) + key_room(t) +
			      (has_interim(t) ? 3 : 2) * (size_t)row_tables[t].value_len);
	if (!r)
		return NULL;
	r->table = (uint8_t)t;
	memcpy(row_key(r), key, row_tables[t].key_len);
	if (insert(d, r) < 0) {
		free(r);
		return NULL;
	}
	return r;
}

void diff_row_drop(struct diff *d, struct row *r)
{
	uint32_t index;

	if (is_indexed(r->table)) {
		memcpy(&index, row_key(r), sizeof(index));
		d->indexed[r->table][index] = NULL;
	} else {
		table_remove(services_of(d, r->table), row_key(r), row_tables[r->table].key_len);
	}
	free(r);
}

bool diff_is_nothing(enum row_table t, const void *value)
{
	const unsigned char *p = value;

	if (!row_tables[t].array)
		return false;
	for (size_t i = 0; i < row_tables[t].value_len; i++)
		if (p[i])
			return false;
	return true;
}

/* ---- lists ----------------------------------------------------------------------------------- */

void diff_row_unlink(struct row *r)
{
	struct row_list *l = r->list;

	if (!l)
		return;
	*(r->prev ? &r->prev->next : &l->first) = r->next;
	*(r->next ? &r->next->prev : &l->last) = r->prev;
	r->prev = r->next = NULL;
	r->list = NULL;
}

void diff_row_append(struct row_list *l, struct row *r)
{
	diff_row_unlink(r);
	r->prev = l->last;
	*(l->last ? &l->last->next : &l->first) = r;
	l->last = r;
	r->list = l;
}

enum todo diff_row_todo(struct row *r, const void **ret_value)
{
	size_t len = row_tables[r->table].value_len;

	*ret_value = NULL;
	if (!r->wanted)
		return r->there ? TODO_REMOVE : TODO_NOTHING;
	if (r->interim && !(r->there && memcmp(row_actual(r), row_interim(r), len) == 0)) {
		*ret_value = row_interim(r);
		return TODO_ADD;
	}
	*ret_value = row_desired(r);
	if (r->there && memcmp(row_actual(r), row_desired(r), len) == 0)
		return TODO_NOTHING;
	return r->later ? TODO_REMOVE : TODO_ADD;
}

void diff_row_refile(struct diff *d, struct row *r)
{
	const void *value;
	enum todo todo = diff_row_todo(r, &value);
	bool held = r->list == &d->given || r->list == &d->failed;

	if (r->todo)
		d->n_todo[r->todo - 1]--;
	r->todo = todo;
	if (todo)
		d->n_todo[todo - 1]++;
	if (r->interim && value != row_interim(r)) /* reached: what is left is the end value */
		r->interim = false;
	if (!todo) {
		r->later = false;
		diff_row_unlink(r);
		if (!r->wanted && !r->there && !r->reserved)
			diff_row_drop(d, r);
	} else if (!held) {
		diff_row_append(&d->pending[r->table][todo - 1], r);
	}
}
