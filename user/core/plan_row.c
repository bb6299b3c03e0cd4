// SPDX-License-Identifier: GPL-2.0
/*
 * Rows: entries of sl4_services and the records they point to. Drafted, published, withdrawn.
 */
/* Must not know: who wants a row, or what a record means. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/plan_draft.h"

/* ---- rows ------------------------------------------------------------------------------------ */

static size_t encode(const struct plan_family *f, const struct row_service_key *key,
		     unsigned char bytes[ROW_KEY_MAX])
{
	row_encode_key(f->family, key, bytes);
	return row_tables[plan_table(f, ROW4_SERVICES)].key_len;
}

struct plan_row *plan_row_find(const struct plan_family *f, const struct row_service_key *key)
{
	unsigned char bytes[ROW_KEY_MAX];
	size_t len = encode(f, key, bytes);

	return table_get(&f->rows, bytes, len);
}

struct plan_row *plan_row_get(struct plan_family *f, const struct row_service_key *key)
{
	unsigned char bytes[ROW_KEY_MAX];
	size_t len = encode(f, key, bytes);
	struct plan_row *row = table_get(&f->rows, bytes, len);

	if (row)
		return row;
	row = calloc(1, sizeof(*row));
	if (!row)
		return NULL;
	row->key = *key;
	if (table_put(&f->rows, bytes, len, row, NULL) < 0) {
		free(row);
		return NULL;
	}
	return row;
}

void plan_row_drop(struct plan_family *f, struct plan_row *row)
{
	unsigned char bytes[ROW_KEY_MAX];
	size_t len;

	if (row->bids.len || row->n_known || row->n_refs || row->published)
		return;
	len = encode(f, &row->key, bytes);
	table_remove(&f->rows, bytes, len);
	vec_done(&row->bids);
	free(row->parting);
	free(row);
}

/* ---- records and rows ------------------------------------------------------------------------ */

/* Retired records and backends keep their generation, so that it goes on after a restart. */
void plan_retire_record(struct plan *plan, struct plan_family *f, uint32_t slot, uint32_t gen)
{
	struct row_service empty = { .key.vip.family = (uint8_t)f->family, .gen = gen };
	unsigned char bytes[ROW_VALUE_MAX];

	row_encode_service(f->family, &empty, bytes);
	diff_retire(plan->diff, plan_table(f, ROW4_RECORDS), &slot, bytes);
}

void plan_retire_backend(struct plan *plan, struct plan_family *f, uint32_t id, uint32_t gen)
{
	struct row_backend empty = { .addr.family = (uint8_t)f->family, .gen = gen };
	unsigned char bytes[ROW_VALUE_MAX];

	row_encode_backend(f->family, &empty, bytes);
	diff_retire(plan->diff, plan_table(f, ROW4_BACKENDS), &id, bytes);
}

static bool same_record(const struct row_service *a, const struct row_service *b)
{
	unsigned char x[sizeof(struct sl6_service)], y[sizeof(struct sl6_service)];
	struct row_service c = *b;

	c.gen = a->gen;
	row_encode_service(6, a, x);
	row_encode_service(6, &c, y);
	return memcmp(x, y, sizeof(x)) == 0;
}

static void give_back_slot(struct plan_family *f, uint32_t slot)
{
	ids_retire(&f->slots, slot);
	ids_rested(&f->slots, slot); /* it was never published */
}

int plan_row_draft(struct plan *plan, struct plan_family *f, struct plan_row *row, uint32_t n_new,
		   const struct row_service *content, struct draft_row *ret_draft)
{
	struct draft_row d = { .row = row, .record = *content };
	unsigned char key[ROW_KEY_MAX];
	int rc;

	d.record.key = row->key;
	d.change = !row->published || !same_record(&row->record, &d.record);
	if (!d.change) {
		*ret_draft = d;
		return 0;
	}
	if (!row->published && f->n_rows + n_new >= plan->config.limits.rows)
		return -ENOSPC;
	rc = ids_take(&f->slots, &d.slot, &d.record.gen);
	if (rc < 0)
		return rc;
	row_encode_key(f->family, &row->key, key);
	if (diff_reserve(plan->diff, plan_table(f, ROW4_RECORDS), &d.slot) < 0 ||
	    diff_reserve(plan->diff, plan_table(f, ROW4_SERVICES), key) < 0) {
		give_back_slot(f, d.slot);
		return -ENOMEM;
	}
	*ret_draft = d;
	return 0;
}

void plan_row_undo(struct plan_family *f, const struct draft_row *d)
{
	if (d->change)
		give_back_slot(f, d->slot);
}

/* The former record's slot goes to rest. */
static void part_with_record(struct plan *plan, struct plan_family *f, struct plan_row *row,
			     struct plan_rest *rest)
{
	plan_retire_record(plan, f, row->slot, row->record.gen);
	plan_rest_add(rest, REST_SLOT, row->slot, 1);
}

void plan_row_commit(struct plan *plan, struct plan_family *f, const struct draft_row *d,
		     struct plan_rest *rest)
{
	struct sl_slot_ref ref = { d->slot, d->record.gen };
	unsigned char bytes[ROW_VALUE_MAX], key[ROW_KEY_MAX];
	struct plan_row *row = d->row;

	if (!d->change)
		return;
	if (row->published)
		part_with_record(plan, f, row, rest);
	else
		f->n_rows++;
	row_encode_service(f->family, &d->record, bytes);
	diff_want(plan->diff, plan_table(f, ROW4_RECORDS), &d->slot, bytes);
	row_encode_key(f->family, &row->key, key);
	diff_want(plan->diff, plan_table(f, ROW4_SERVICES), key, &ref);
	row->published = true;
	row->slot = d->slot;
	row->record = d->record;
}

void plan_row_unpublish(struct plan *plan, struct plan_family *f, struct plan_row *row,
			struct plan_rest *rest)
{
	unsigned char key[ROW_KEY_MAX];

	if (!row->published)
		return;
	row_encode_key(f->family, &row->key, key);
	diff_unwant(plan->diff, plan_table(f, ROW4_SERVICES), key);
	part_with_record(plan, f, row, rest);
	row->published = false;
	row->owner = NULL;
	f->n_rows--;
}

/* ---- the row of an address ------------------------------------------------------------------- */

int plan_address_publish(struct plan *plan, struct plan_family *f, struct plan_row *row)
{
	struct row_service content = { .kind = SL_KIND_ADDRESS };
	struct draft_row d;
	int rc;

	if (plan_filter_set(plan, f, &row->key.vip, false) < 0)
		return -ENOMEM;
	if (row->published)
		return 0;
	if (!row->parting)
		row->parting = plan_rest_new(f, 1, 1);
	if (!row->parting)
		return -ENOMEM;
	rc = plan_row_draft(plan, f, row, 0, &content, &d);
	if (rc < 0)
		return rc;
	plan_row_commit(plan, f, &d, NULL);
	return 0;
}

void plan_address_withdraw(struct plan *plan, struct plan_family *f, struct plan_row *row)
{
	struct plan_rest *rest = row->parting;

	if (!row->published)
		return;
	row->parting = NULL;
	plan_rest_add_key(rest, &row->key);
	plan_row_unpublish(plan, f, row, rest);
	plan_rest_commit(plan, rest);
}
