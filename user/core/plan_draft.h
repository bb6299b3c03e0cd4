/* SPDX-License-Identifier: GPL-2.0 */
/* Inside of plan: the draft of a service port. It may fail, and changes nothing then; its commit cannot. */
#ifndef CORE_PLAN_DRAFT_H
#define CORE_PLAN_DRAFT_H

#include "core/plan_state.h"

/* A row that will be published with another record. */
struct draft_row {
	struct plan_row *row;
	bool change;
	uint32_t slot;
	struct row_service record;
};

struct draft_rows VEC_OF(struct draft_row);

struct draft_list {
	struct plan_list list;
	bool change;
	uint32_t *ids; /* distinct ids, in order of address and port */
	uint32_t n_ids;
	struct sl_ring_line *lines; /* list.lines of them, when the list changes and is not empty */
};

struct draft {
	struct plan *plan;
	struct plan_port *port;
	const struct service_port *sp;
	struct policy_result policy;
	struct plan_backends backends;
	struct VEC_OF(uint32_t) fresh; /* backend ids taken for this draft */
	size_t n_gone;
	struct draft_list cluster, local;
	struct draft_rows rows; /* one for each frontend that is won and served */
	uint16_t flags;         /* SL_SERVICE_, of all of them */
	uint32_t id;
	bool new_id;
	uint32_t n_left_out; /* endpoints for which there is no room */
	enum sl_algorithm algorithm;
	struct plan_rest *rest;
	int n_refused; /* endpoints refused by policy */
	bool loops;
};

/* plan_row.c */
/* Takes a slot and sets memory aside for record and row, the n_new-th new one. 0, -ENOMEM, -ENOSPC. */
int plan_row_draft(struct plan *plan, struct plan_family *f, struct plan_row *row, uint32_t n_new,
		   const struct row_service *content, struct draft_row *ret_draft);
void plan_row_undo(struct plan_family *f, const struct draft_row *d);
/* What the row pointed to before goes to rest. */
void plan_row_commit(struct plan *plan, struct plan_family *f, const struct draft_row *d,
		     struct plan_rest *rest);
void plan_row_unpublish(struct plan *plan, struct plan_family *f, struct plan_row *row,
			struct plan_rest *rest);

/* plan_list.c */
/* Algorithm and both lists, from the draft's backends. 0, -ENOMEM, -ENOSPC. */
int plan_lists_draft(struct draft *d);
void plan_list_undo(struct plan_family *f, struct draft_list *l);
void plan_list_commit(struct draft *d, struct plan_list *old, struct draft_list *l);
/* Its lines go to rest; it is empty then. */
void plan_list_part(struct plan *plan, struct plan_family *f, struct plan_list *l,
		    struct plan_rest *rest);

/* plan_commit.c */
/* The draft owns nothing afterwards. */
void plan_draft_commit(struct draft *d);
void plan_port_count_refused(struct plan_port *p, uint32_t n);
void plan_port_count_no_local(struct plan_port *p, const bool no_local[2]);

#endif
