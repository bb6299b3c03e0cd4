// SPDX-License-Identifier: GPL-2.0
/*
 * The two lists of a service port, as ring lines: which algorithm, which elements, which range; drafted, then committed.
 */
/* Must not know: rows, or where endpoints come from. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/plan_draft.h"
#include "core/ring.h"

/* ---- draft ----------------------------------------------------------------------------------- */

static uint64_t list_hash(enum sl_algorithm algorithm, const uint32_t *ids, uint32_t n)
{
	uint64_t h = table_hash(algorithm, ids, n * sizeof(*ids));

	return h ? h : 1; /* 0 means "not known" */
}

static bool is_member(const struct plan_backend *b, uint16_t flag)
{
	return b->flags & flag;
}

static int collect_ids(const struct draft *d, uint16_t flag, struct draft_list *l)
{
	const struct plan_backend *b;

	l->ids = malloc((d->backends.len + 1) * sizeof(*l->ids));
	if (!l->ids)
		return -ENOMEM;
	vec_for_each(b, &d->backends)
		if (is_member(b, flag))
			l->ids[l->n_ids++] = b->id;
	return 0;
}

/* The elements of a Maglev ring as lines. */
static int maglev_lines(const struct draft *d, uint16_t flag, struct draft_list *l)
{
	struct ring_backend *members = malloc(l->n_ids * sizeof(*members));
	uint32_t *elements = malloc(l->list.len * sizeof(*elements));
	const struct plan_backend *b;
	size_t n = 0;
	int rc = -ENOMEM;

	if (members && elements) {
		vec_for_each(b, &d->backends)
			if (is_member(b, flag))
				members[n++] = (struct ring_backend){ b->addr, b->port, b->id };
		rc = ring_maglev(members, n, elements);
	}
	if (!rc)
		ring_lines(elements, l->list.len, l->lines);
	free(members);
	free(elements);
	return rc;
}

static int build_lines(const struct draft *d, uint16_t flag, struct draft_list *l)
{
	l->lines = malloc(l->list.lines * sizeof(*l->lines));
	if (!l->lines)
		return -ENOMEM;
	if (l->list.algorithm == SL_ALGORITHM_MAGLEV)
		return maglev_lines(d, flag, l);
	ring_lines(l->ids, l->list.len, l->lines);
	return 0;
}

/*
 * Does the range of the old list already hold these lines? Only asked after a restart, when the old
 * hash is not known.
 */
static bool lines_are_there(const struct draft *d, const struct plan_list *old,
			    const struct draft_list *l)
{
	enum row_table t = plan_table(d->port->family, ROW4_RINGS);

	if (old->len != l->list.len || old->lines != l->list.lines ||
	    old->algorithm != l->list.algorithm)
		return false;
	for (uint32_t i = 0; i < l->list.lines; i++) {
		uint32_t line = old->line + i;
		const void *held = diff_desired(d->plan->diff, t, &line);

		if (!held || memcmp(held, &l->lines[i], sizeof(*l->lines)) != 0)
			return false;
	}
	return true;
}

/* Takes a range for a list that changed. */
static int take_lines(struct draft *d, struct draft_list *l)
{
	struct plan_family *f = d->port->family;
	enum row_table t = plan_table(f, ROW4_RINGS);
	int rc = extents_take(&f->lines, l->list.lines, &l->list.line);

	if (rc < 0)
		return rc;
	l->change = true;
	for (uint32_t i = 0; i < l->list.lines; i++) {
		uint32_t line = l->list.line + i;

		if (diff_reserve(d->plan->diff, t, &line) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int draft_list(struct draft *d, uint16_t flag, const struct plan_list *old,
		      struct draft_list *l)
{
	bool maglev = d->algorithm == SL_ALGORITHM_MAGLEV;
	int rc = collect_ids(d, flag, l);

	if (rc < 0)
		return rc;
	if (!l->n_ids) {
		l->change = old->lines > 0;
		return 0;
	}
	l->list.algorithm = d->algorithm;
	l->list.n_backends = l->n_ids;
	l->list.len = maglev ? ring_maglev_len(l->n_ids) : l->n_ids;
	l->list.lines = row_ring_lines(l->list.len);
	l->list.hash = list_hash(d->algorithm, l->ids, l->n_ids);
	if (old->lines && old->hash == l->list.hash && old->len == l->list.len) {
		l->list = *old;
		return 0;
	}
	rc = build_lines(d, flag, l);
	if (rc < 0)
		return rc;
	if (old->lines && !old->hash && lines_are_there(d, old, l)) {
		l->list.line = old->line;
		return 0;
	}
	return take_lines(d, l);
}

void plan_list_undo(struct plan_family *f, struct draft_list *l)
{
	if (l->change && l->list.lines) {
		extents_retire(&f->lines, l->list.line, l->list.lines);
		extents_rested(&f->lines, l->list.line, l->list.lines); /* never published */
	}
	free(l->ids);
	free(l->lines);
	memset(l, 0, sizeof(*l));
}

static uint64_t maglev_lines_wanted(const struct draft *d, uint16_t flag)
{
	const struct plan_backend *b;
	size_t n = 0;

	vec_for_each(b, &d->backends)
		n += is_member(b, flag);
	return n > ring_maglev_len(n) ? UINT32_MAX : row_ring_lines(ring_maglev_len(n));
}

static uint32_t maglev_lines_held(const struct plan_list *l)
{
	return l->algorithm == SL_ALGORITHM_MAGLEV ? l->lines : 0;
}

static bool has_maglev_room(const struct draft *d)
{
	const struct plan_family *f = d->port->family;
	uint64_t others = f->n_maglev_lines - maglev_lines_held(&d->port->cluster) -
			  maglev_lines_held(&d->port->local);

	return others + maglev_lines_wanted(d, SL_BACKEND_IN_CLUSTER) +
		       maglev_lines_wanted(d, SL_BACKEND_IN_LOCAL) <=
	       f->max_maglev_lines;
}

/* Which algorithm the data path gets: what is asked for, unless that cannot be had. */
static void draft_algorithm(struct draft *d)
{
	d->algorithm = SL_ALGORITHM_RANDOM;
	switch (d->port->service->entry->service->algorithm) {
	case BALANCE_RANDOM:
		break;
	case BALANCE_LEAST_CONN:
		problem_add(d->plan->problems,
			    "port %s: annotation sluice.dev/algorithm: least-connections is not "
			    "available yet: random is used",
			    plan_port_label(d->port));
		break;
	case BALANCE_MAGLEV:
		if (has_maglev_room(d)) {
			d->algorithm = SL_ALGORITHM_MAGLEV;
			break;
		}
		problem_add(d->plan->problems,
			    "port %s: no room for another Maglev table: random is used; "
			    "remove annotation sluice.dev/algorithm from other services",
			    plan_port_label(d->port));
	}
}

int plan_lists_draft(struct draft *d)
{
	const struct plan_port *p = d->port;
	int rc;

	draft_algorithm(d);
	rc = draft_list(d, SL_BACKEND_IN_CLUSTER, &p->cluster, &d->cluster);
	return rc < 0 ? rc : draft_list(d, SL_BACKEND_IN_LOCAL, &p->local, &d->local);
}

/* ---- commit ---------------------------------------------------------------------------------- */

void plan_list_part(struct plan *plan, struct plan_family *f, struct plan_list *l,
		    struct plan_rest *rest)
{
	for (uint32_t i = 0; i < l->lines; i++) {
		uint32_t line = l->line + i;

		diff_unwant(plan->diff, plan_table(f, ROW4_RINGS), &line);
	}
	if (l->algorithm == SL_ALGORITHM_MAGLEV)
		f->n_maglev_lines -= l->lines;
	plan_rest_add(rest, REST_LINES, l->line, l->lines);
	*l = (struct plan_list){ 0 };
}

void plan_list_commit(struct draft *d, struct plan_list *old, struct draft_list *l)
{
	struct plan_family *f = d->port->family;

	if (l->change) {
		plan_list_part(d->plan, f, old, d->rest);
		if (l->list.algorithm == SL_ALGORITHM_MAGLEV)
			f->n_maglev_lines += l->list.lines;
	}
	for (uint32_t i = 0; l->change && i < l->list.lines; i++) {
		uint32_t line = l->list.line + i;

		diff_want(d->plan->diff, plan_table(f, ROW4_RINGS), &line, &l->lines[i]);
	}
	*old = l->list;
}
