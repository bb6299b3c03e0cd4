// SPDX-License-Identifier: GPL-2.0
/*
 * From a draft to the desired rows, and everything that a port gives up. Nothing here can fail but for the memory of what rests.
 */
/* Must not know: why the draft looks as it does. */
#include <errno.h>
#include <string.h>

#include "core/plan_draft.h"

static void copy_name(char *to, size_t room, const char *from)
{
	size_t len = strlen(from);

	memcpy(to, from, len < room ? len : room - 1);
}

static void commit_name(struct plan *plan, struct plan_port *p)
{
	const struct store_entry *e = p->service->entry;
	struct sl_name name = { .port = p->port, .proto = p->proto };

	copy_name(name.namespace, sizeof(name.namespace), e->namespace);
	copy_name(name.name, sizeof(name.name), e->name);
	copy_name(name.port_name, sizeof(name.port_name), p->name);
	diff_want(plan->diff, plan_table(p->family, ROW4_NAMES), &p->id, &name);
}

/*
 * A backend that loses a flag must keep it until the lists that still name it are replaced, and a
 * new flag must be there before the lists that need it: so both at first, then the new ones.
 */
static void commit_backend(struct draft *d, const struct plan_backend *b)
{
	struct plan_family *f = d->port->family;
	enum row_table t = plan_table(f, ROW4_BACKENDS);
	struct row_backend row = { b->addr, b->port, b->flags, b->gen, d->id }, held;
	unsigned char bytes[ROW_VALUE_MAX], interim[ROW_VALUE_MAX];
	const void *actual = diff_actual(d->plan->diff, t, &b->id);

	row_encode_backend(f->family, &row, bytes);
	if (actual) {
		row_decode_backend(f->family, actual, &held);
		if (held.gen == b->gen && held.service == d->id && (held.flags & ~b->flags)) {
			row.flags |= held.flags;
			row_encode_backend(f->family, &row, interim);
			diff_want_later(d->plan->diff, t, &b->id, interim, bytes);
			return;
		}
	}
	diff_want(d->plan->diff, t, &b->id, bytes);
}

static int compare_places(const struct plan_backend *a, const struct plan_backend *b)
{
	int cmp = address_cmp(&a->addr, &b->addr);

	return cmp ? cmp : (a->port > b->port) - (a->port < b->port);
}

static void commit_backends(struct draft *d)
{
	struct plan_family *f = d->port->family;
	const struct plan_backends *old = &d->port->backends;
	size_t at = 0;

	for (size_t i = 0; i < d->backends.len; i++) {
		const struct plan_backend *b = &d->backends.data[i];

		while (at < old->len && compare_places(&old->data[at], b) < 0)
			at++;
		if (at == old->len || old->data[at].id != b->id || old->data[at].flags != b->flags)
			commit_backend(d, b);
	}
	for (size_t i = 0; i < d->fresh.len; i++)
		f->new_backends.data[f->new_backends.len++] = d->fresh.data[i];
}

/* Backends of the old list that the new one has no more. */
static void part_with_backends(struct plan *plan, struct plan_port *p,
			       const struct plan_backends *kept, struct plan_rest *rest)
{
	size_t at = 0;

	for (size_t i = 0; i < p->backends.len; i++) {
		const struct plan_backend *b = &p->backends.data[i];

		while (kept && at < kept->len && compare_places(&kept->data[at], b) < 0)
			at++;
		if (kept && at < kept->len && kept->data[at].id == b->id)
			continue;
		plan_retire_backend(plan, p->family, b->id, b->gen);
		plan_rest_add(rest, REST_BACKEND, b->id, 1);
	}
}

static void forget_row(struct plan_port *p, size_t i)
{
	struct plan_row *row = p->rows.data[i];

	vec_remove_swap(&p->rows, i);
	row->n_refs--;
	plan_row_drop(p->family, row);
}

static bool is_settled(const struct plan *plan, const struct plan_family *f,
		       const struct plan_row *row)
{
	unsigned char key[ROW_KEY_MAX];

	row_encode_key(f->family, &row->key, key);
	return !diff_is_pending(plan->diff, plan_table(f, ROW4_SERVICES), key);
}

static bool is_drafted(const struct draft *d, const struct plan_row *row)
{
	for (size_t i = 0; d && i < d->rows.len; i++)
		if (d->rows.data[i].row == row)
			return true;
	return false;
}

/*
 * What this port gives up must rest until none of its rows leads there any more, so all of them go
 * into `rest`. Rows it had and does not own now disappear, unless somebody else took them over. The
 * port remembers them until the kernel has followed: until then they may lead to a former state of
 * this port, and what it gives up next has to wait for them as well.
 */
static void leave_rows(struct plan *plan, struct plan_port *p, const struct draft *keep,
		       struct plan_rest *rest)
{
	for (size_t i = p->rows.len; i-- > 0;) {
		struct plan_row *row = p->rows.data[i];

		plan_rest_add_key(rest, &row->key);
		if (is_drafted(keep, row))
			continue;
		if (row->owner == p)
			plan_row_unpublish(plan, p->family, row, rest);
		else if (is_settled(plan, p->family, row))
			forget_row(p, i);
	}
}

static void own_row(struct plan_port *p, struct plan_row *row)
{
	row->owner = p;
	for (size_t i = 0; i < p->rows.len; i++)
		if (p->rows.data[i] == row)
			return;
	p->rows.data[p->rows.len++] = row;
	row->n_refs++;
}

void plan_draft_commit(struct draft *d)
{
	struct plan_port *p = d->port;
	struct plan_family *f = p->family;
	size_t before = p->backends.len;

	if (d->new_id) {
		p->id = d->id;
		f->n_services++;
		f->new_services.data[f->new_services.len++] = d->id;
	}
	commit_name(d->plan, p);
	commit_backends(d);
	plan_list_commit(d, &p->cluster, &d->cluster);
	plan_list_commit(d, &p->local, &d->local);
	for (size_t i = 0; i < d->rows.len; i++) {
		own_row(p, d->rows.data[i].row);
		plan_row_commit(d->plan, f, &d->rows.data[i], d->rest);
	}
	leave_rows(d->plan, p, d, d->rest);
	vec_done(&d->rows);
	part_with_backends(d->plan, p, &d->backends, d->rest);
	f->n_backends += (uint32_t)(d->backends.len - before);
	if (d->n_gone)
		d->plan->room = true;
	plan_rest_commit(d->plan, d->rest);
	d->rest = NULL;
	vec_done(&p->backends);
	p->backends = d->backends;
	free(d->cluster.ids);
	free(d->cluster.lines);
	free(d->local.ids);
	free(d->local.lines);
	vec_done(&d->fresh);
	policy_result_done(&d->policy);
}

/* ---- what is counted, what is given back ------------------------------------------------------ */

void plan_port_count_refused(struct plan_port *p, uint32_t n)
{
	p->family->n_refused += n - p->n_refused;
	p->n_refused = n;
}

void plan_port_count_no_local(struct plan_port *p, const bool no_local[2])
{
	for (int i = 0; i < 2; i++) {
		p->family->n_no_local[i] += (uint32_t)no_local[i] - (uint32_t)p->no_local[i];
		p->no_local[i] = no_local[i];
	}
}

int plan_port_release(struct plan *plan, struct plan_port *p)
{
	struct plan_family *f = p->family;
	struct plan_rest *rest;

	plan_port_count_refused(p, 0);
	plan_port_count_no_local(p, (const bool[2]){ false, false });
	if (!p->id && !p->rows.len)
		return 0;
	rest = plan_rest_new(f, p->rows.len, p->rows.len + p->backends.len + 3);
	if (!rest)
		return -ENOMEM;
	leave_rows(plan, p, NULL, rest);
	while (p->rows.len)
		forget_row(p, p->rows.len - 1);
	plan_list_part(plan, f, &p->cluster, rest);
	plan_list_part(plan, f, &p->local, rest);
	part_with_backends(plan, p, NULL, rest);
	f->n_backends -= (uint32_t)p->backends.len;
	vec_done(&p->backends);
	if (p->id) {
		diff_unwant(plan->diff, plan_table(f, ROW4_NAMES), &p->id);
		plan_rest_add(rest, REST_SERVICE, p->id, 1);
		f->n_services--;
		p->id = 0;
	}
	plan_rest_commit(plan, rest);
	plan->room = true;
	return 0;
}
