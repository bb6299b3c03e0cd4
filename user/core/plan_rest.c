// SPDX-License-Identifier: GPL-2.0
/*
 * Numbers that were given back: they rest until the kernel has let go of them and every running
 * program has ended.
 */
/* Must not know: why they were given back. */
#include <stdlib.h>

#include "core/plan_state.h"

struct plan_rest *plan_rest_new(struct plan_family *f, size_t max_keys, size_t max_items)
{
	size_t items = max_items * sizeof(struct plan_rest_item);
	struct plan_rest *r = malloc(sizeof(*r) + items + max_keys * sizeof(*r->keys));

	if (!r)
		return NULL;
	*r = (struct plan_rest){ .family = f, .max_keys = max_keys, .max_items = max_items };
	r->keys = (struct row_service_key *)(r->items + max_items);
	return r;
}

void plan_rest_add_key(struct plan_rest *r, const struct row_service_key *key)
{
	if (r->n_keys < r->max_keys)
		r->keys[r->n_keys++] = *key;
}

void plan_rest_add(struct plan_rest *r, enum plan_rest_kind kind, uint32_t start, uint32_t len)
{
	struct plan_family *f = r->family;

	if (!len)
		return;
	r->items[r->n_items++] = (struct plan_rest_item){ kind, start, len };
	switch (kind) {
	case REST_SERVICE:
		ids_retire(&f->services, start);
		break;
	case REST_BACKEND:
		ids_retire(&f->backends, start);
		break;
	case REST_SLOT:
		ids_retire(&f->slots, start);
		break;
	case REST_LINES:
		extents_retire(&f->lines, start, len);
		break;
	}
}

void plan_rest_commit(struct plan *plan, struct plan_rest *r)
{
	if (!r->n_items) {
		free(r);
		return;
	}
	r->next = plan->resting;
	plan->resting = r;
}

/* Do the rows in the kernel still lead to a former state of this port? */
static bool is_referenced(const struct plan *plan, const struct plan_rest *r)
{
	unsigned char key[ROW_KEY_MAX];

	for (size_t i = 0; i < r->n_keys; i++) {
		row_encode_key(r->family->family, &r->keys[i], key);
		if (diff_is_pending(plan->diff, plan_table(r->family, ROW4_SERVICES), key))
			return true;
	}
	return false;
}

static bool cidr_begin(struct plan *plan)
{
	uint32_t key = 0;
	bool settled = !diff_is_pending(plan->diff, ROW_CONFIG, &key) && !plan->config_dirty;
	bool any = false;

	for (int f = 0; f < 2; f++) {
		for (int i = 0; i < SL_CIDRS; i++) {
			struct cidr_slot *slot = &plan->cidrs[f][i];

			slot->barrier = settled && (slot->state == CIDR_WRITTEN ||
						    slot->state == CIDR_CLEARED);
			any = any || slot->barrier;
		}
	}
	return any;
}

bool plan_rest_begin(struct plan *plan)
{
	bool any = cidr_begin(plan);

	if (plan->restored) /* what a former life left is not sorted out yet */
		return false;
	for (struct plan_rest *r = plan->resting; r; r = r->next) {
		r->barrier = !is_referenced(plan, r);
		any = any || r->barrier;
	}
	return any;
}

static void release(struct plan_family *f, const struct plan_rest_item *item)
{
	switch (item->kind) {
	case REST_SERVICE:
		ids_rested(&f->services, item->start);
		break;
	case REST_BACKEND:
		ids_rested(&f->backends, item->start);
		break;
	case REST_SLOT:
		ids_rested(&f->slots, item->start);
		break;
	case REST_LINES:
		extents_rested(&f->lines, item->start, item->len);
		break;
	}
}

static void cidr_end(struct plan *plan)
{
	for (int f = 0; f < 2; f++) {
		for (int i = 0; i < SL_CIDRS; i++) {
			struct cidr_slot *slot = &plan->cidrs[f][i];

			if (!slot->barrier) /* it changed since */
				continue;
			slot->state = slot->state == CIDR_WRITTEN ? CIDR_READY : CIDR_OFF;
			slot->barrier = false;
			plan->config_dirty = true;
		}
	}
}

void plan_rest_end(struct plan *plan)
{
	struct plan_rest **at = &plan->resting;

	cidr_end(plan);
	while (*at) {
		struct plan_rest *r = *at;

		if (!r->barrier) {
			at = &r->next;
			continue;
		}
		for (size_t i = 0; i < r->n_items; i++)
			release(r->family, &r->items[i]);
		*at = r->next;
		free(r);
		plan->room = true;
	}
}

void plan_rest_free_all(struct plan *plan)
{
	struct plan_rest *r;

	while ((r = plan->resting)) {
		plan->resting = r->next;
		free(r);
	}
}
