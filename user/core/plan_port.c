// SPDX-License-Identifier: GPL-2.0
/*
 * One service port: what its endpoints, lists and rows shall be. First a draft, which may fail;
 * then the commit, which cannot.
 */
/*
 * Must not know: in which order ports are planned, and when numbers that were given back may be
 * used again.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/plan_state.h"
#include "core/ring.h"

#define PROBLEMS_PER_PORT 8 /* refused endpoints named one by one */

/* ---- filter ---------------------------------------------------------------------------------- */

static uint32_t filter_word(const struct address *addr, bool backend, uint64_t *ret_mask)
{
	uint32_t bit = row_filter_bit(addr);

	*ret_mask = 1ull << (bit & 63);
	return (bit >> 6) + (backend ? SL_FILTER_WORDS : 0);
}

bool plan_filter_has(const struct plan_family *f, const struct address *addr, bool backend)
{
	uint64_t mask;
	uint32_t word = filter_word(addr, backend, &mask);

	return f->filter[word] & mask;
}

int plan_filter_set(struct plan *plan, struct plan_family *f, const struct address *addr,
		    bool backend)
{
	uint64_t mask, value;
	uint32_t word = filter_word(addr, backend, &mask);

	if (f->filter[word] & mask)
		return 0;
	value = f->filter[word] | mask;
	if (diff_want(plan->diff, plan_table(f, ROW4_FILTER), &word, &value) < 0)
		return -ENOMEM;
	f->filter[word] = value;
	f->n_filter[backend]++;
	return 0;
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

/* A row that will be published with another record. */
struct draft_row {
	struct plan_row *row;
	bool change;
	uint32_t slot;
	struct row_service record;
};

struct draft_rows VEC_OF(struct draft_row);

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

/* Takes a slot and sets memory aside for record and row, the n_new-th new one. 0, -ENOMEM, -ENOSPC. */
static int draft_row(struct plan *plan, struct plan_family *f, struct plan_row *row, uint32_t n_new,
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

static void undo_row(struct plan_family *f, const struct draft_row *d)
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

static void commit_row(struct plan *plan, struct plan_family *f, const struct draft_row *d,
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

static void unpublish_row(struct plan *plan, struct plan_family *f, struct plan_row *row,
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
	rc = draft_row(plan, f, row, 0, &content, &d);
	if (rc < 0)
		return rc;
	commit_row(plan, f, &d, NULL);
	return 0;
}

void plan_address_withdraw(struct plan *plan, struct plan_family *f, struct plan_row *row)
{
	struct plan_rest *rest = row->parting;

	if (!row->published)
		return;
	row->parting = NULL;
	plan_rest_add_key(rest, &row->key);
	unpublish_row(plan, f, row, rest);
	plan_rest_commit(plan, rest);
}

/* ---- draft of a port ------------------------------------------------------------------------- */

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

static const char *port_label(const struct plan_port *p)
{
	return p->name[0] ? p->name : "(unnamed)";
}

static void tell_refused(void *ctx, const struct endpoint_slice *slice, const struct address *addr,
			 const char *why)
{
	struct draft *d = ctx;
	char text[ADDRESS_TEXT_LEN];

	if (plan_is_service_address(d->port->family, addr))
		d->loops = true;
	if (++d->n_refused <= PROBLEMS_PER_PORT)
		problem_add(
			d->plan->problems,
			"port %s: endpoint %s of EndpointSlice %s %s; it is not used: correct the slice",
			port_label(d->port), address_format(addr, text), slice->meta.name, why);
}

static bool is_service_address(void *ctx, const struct address *addr)
{
	const struct draft *d = ctx;

	return plan_is_service_address(d->port->family, addr);
}

static int draft_policy(struct draft *d)
{
	const struct store_entry *entry = d->port->service->entry;
	struct policy_input in = {
		.service = entry->service,
		.port = d->sp,
		.family = d->port->family->family,
		.slices = entry->slices,
		.n_slices = entry->n_slices,
		.node = &d->plan->node,
		.is_service_address = is_service_address,
		.refused = tell_refused,
		.ctx = d,
	};
	int rc = policy_resolve(&in, &d->policy);

	if (d->n_refused > PROBLEMS_PER_PORT)
		problem_add(d->plan->problems,
			    "port %s: %d more endpoints are refused for such reasons",
			    port_label(d->port), d->n_refused - PROBLEMS_PER_PORT);
	return rc;
}

static uint16_t backend_flags(const struct policy_endpoint *e)
{
	return (uint16_t)((e->in_cluster ? SL_BACKEND_IN_CLUSTER : 0) |
			  (e->in_local ? SL_BACKEND_IN_LOCAL : 0) |
			  (policy_keeps_flows(e) ? SL_BACKEND_SERVING : 0) |
			  (e->local ? SL_BACKEND_LOCAL : 0) |
			  (e->terminating ? SL_BACKEND_TERMINATING : 0));
}

/* Is there any reason to know this endpoint? */
static bool is_needed(const struct policy_endpoint *e)
{
	return e->in_cluster || e->in_local || policy_keeps_flows(e);
}

static int compare_backend(const struct plan_backend *b, const struct policy_endpoint *e)
{
	int cmp = address_cmp(&b->addr, &e->addr);

	return cmp ? cmp : (b->port > e->port) - (b->port < e->port);
}

static int take_backend(struct draft *d, struct plan_backend *b)
{
	struct plan_family *f = d->port->family;
	int rc;

	/*
	 * What this port loses is not counted as room: it may still be referred to when the new one
	 * is.
	 */
	if (f->n_backends + d->fresh.len >= d->plan->config.limits.max_backends)
		return -ENOSPC;
	if (vec_reserve(&d->fresh, 1) < 0)
		return -ENOMEM;
	rc = ids_take(&f->backends, &b->id, &b->gen);
	if (rc < 0)
		return rc;
	d->fresh.data[d->fresh.len++] = b->id;
	return diff_reserve(d->plan->diff, plan_table(f, ROW4_BACKENDS), &b->id);
}

/* Both sorted alike, so one walk over both finds what stays, what is new and what is gone. */
static int draft_backends(struct draft *d)
{
	const struct plan_backends *old = &d->port->backends;
	size_t at = 0, kept = 0;

	if (vec_reserve(&d->backends, d->policy.n_endpoints) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < d->policy.n_endpoints; i++) {
		const struct policy_endpoint *e = &d->policy.endpoints[i];
		struct plan_backend b = { .addr = e->addr,
					  .port = e->port,
					  .flags = backend_flags(e) };
		int rc;

		if (!is_needed(e))
			continue;
		while (at < old->len && compare_backend(&old->data[at], e) < 0)
			at++;
		if (at < old->len && compare_backend(&old->data[at], e) == 0) {
			b.id = old->data[at].id;
			b.gen = old->data[at].gen;
			kept++;
			at++;
			d->backends.data[d->backends.len++] = b;
			continue;
		}
		rc = take_backend(d, &b);
		if (rc == 0)
			d->backends.data[d->backends.len++] = b;
		else if (rc == -ENOSPC)
			d->n_left_out++;
		else
			return rc;
	}
	d->n_gone = old->len - kept;
	return 0;
}

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

static void undo_list(struct plan_family *f, struct draft_list *l)
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
			    port_label(d->port));
		break;
	case BALANCE_MAGLEV:
		if (has_maglev_room(d)) {
			d->algorithm = SL_ALGORITHM_MAGLEV;
			break;
		}
		problem_add(d->plan->problems,
			    "port %s: no room for another Maglev table: random is used; "
			    "remove annotation sluice.dev/algorithm from other services",
			    port_label(d->port));
	}
}

static int draft_lists(struct draft *d)
{
	const struct plan_port *p = d->port;
	int rc = draft_list(d, SL_BACKEND_IN_CLUSTER, &p->cluster, &d->cluster);

	return rc < 0 ? rc : draft_list(d, SL_BACKEND_IN_LOCAL, &p->local, &d->local);
}

/* SCTP's checksum covers the ports, so it is only translated where they stay. */
static bool has_other_port(const struct draft *d)
{
	const struct plan_backend *b;

	vec_for_each(b, &d->backends)
		if (b->port != d->sp->port)
			return true;
	return false;
}

static uint16_t service_flags(const struct draft *d)
{
	struct policy_needs needs =
		policy_needs(d->port->service->entry->service, d->sp, d->port->family->family);
	uint16_t flags = 0;

	if (needs.internal_local)
		flags |= SL_SERVICE_INTERNAL_LOCAL;
	if (needs.external_local)
		flags |= SL_SERVICE_EXTERNAL_LOCAL;
	if (d->policy.summary.any)
		flags |= SL_SERVICE_ANY_ENDPOINT;
	if (d->sp->proto == IPPROTO_SCTP && has_other_port(d)) {
		flags |= SL_SERVICE_SCTP_PORT;
		problem_add(d->plan->problems,
			    "port %s: SCTP is only translated when the target port is the same; "
			    "connections are dropped: set targetPort to %u",
			    port_label(d->port), d->sp->port);
	}
	return flags;
}

/* The record of this port in a row; key and generation are the row's. */
static struct row_service draft_content(const struct draft *d, enum sl_kind kind)
{
	const struct service *s = d->port->service->entry->service;
	bool ranges = kind == SL_KIND_LOAD_BALANCER &&
		      policy_has_ranges(s, d->port->family->family);

	return (struct row_service){
		.service = d->id,
		.cluster_line = d->cluster.list.line,
		.cluster_len = d->cluster.list.len,
		.cluster_backends = d->cluster.list.n_backends,
		.local_line = d->local.list.line,
		.local_len = d->local.list.len,
		.local_backends = d->local.list.n_backends,
		.affinity_s = s->affinity_s,
		.flags = (uint16_t)(d->flags | (ranges ? SL_SERVICE_SOURCE_RANGES : 0)),
		.algorithm = d->algorithm,
		.kind = kind,
	};
}

static int draft_id(struct draft *d)
{
	struct plan_port *p = d->port;
	struct plan_family *f = p->family;
	uint32_t gen;
	int rc;

	d->id = p->id;
	if (d->id)
		return 0;
	if (f->n_services >= d->plan->config.limits.max_services)
		return -ENOSPC;
	rc = ids_take(&f->services, &d->id, &gen);
	d->new_id = rc == 0;
	return rc;
}

/* A row for each frontend that this port has won and that may be published. */
static int draft_rows(struct draft *d)
{
	const struct plan_claim *c;
	uint32_t n_new = 0;
	int rc;

	d->flags = service_flags(d);
	if (vec_reserve(&d->rows, d->port->claims.len) < 0)
		return -ENOMEM;
	vec_for_each(c, &d->port->claims) {
		struct row_service content;

		if (!plan_claim_is_served(d->plan, d->port, c))
			continue;
		content = draft_content(d, c->kind);
		rc = draft_row(d->plan, d->port->family, c->row, n_new, &content,
			       &d->rows.data[d->rows.len]);
		if (rc < 0)
			return rc;
		n_new += !c->row->published;
		d->rows.len++;
	}
	return 0;
}

static int draft_rest(struct draft *d)
{
	/*
	 * rows: those it has and those it gets; items: their records, two lists, backends that are
	 * gone
	 */
	size_t n_rows = d->port->rows.len + d->port->claims.len;

	d->rest = plan_rest_new(d->port->family, n_rows, n_rows + 2 + d->n_gone);
	return d->rest ? 0 : -ENOMEM;
}

/* Everything else that commit will write into. */
static int draft_memory(struct draft *d)
{
	struct plan_family *f = d->port->family;
	const struct plan_claim *c;
	const struct plan_backend *b;

	if (vec_reserve(&d->port->rows, d->port->claims.len) < 0 ||
	    vec_reserve(&f->new_services, 1) < 0 || vec_reserve(&f->new_backends, d->fresh.len) < 0)
		return -ENOMEM;
	if (diff_reserve(d->plan->diff, plan_table(f, ROW4_NAMES), &d->id) < 0)
		return -ENOMEM;
	vec_for_each(c, &d->port->claims)
		if (plan_claim_is_served(d->plan, d->port, c) &&
		    !address_is_zero(&c->row->key.vip) &&
		    plan_filter_set(d->plan, f, &c->row->key.vip, false) < 0)
			return -ENOMEM;
	vec_for_each(b, &d->backends)
		if (plan_filter_set(d->plan, f, &b->addr, true) < 0)
			return -ENOMEM;
	return 0;
}

static int draft_port(struct draft *d)
{
	int rc = draft_policy(d);

	if (!rc)
		rc = draft_id(d);
	if (!rc)
		rc = draft_backends(d);
	if (!rc && !d->backends.len && d->n_left_out)
		rc = -ENOSPC; /* no endpoint fits: refused by name, not rejecting in silence */
	if (rc)
		return rc;
	draft_algorithm(d);
	rc = draft_lists(d);
	if (!rc)
		rc = draft_rest(d);
	if (!rc)
		rc = draft_memory(d);
	return rc ? rc : draft_rows(d);
}

static void draft_undo(struct draft *d)
{
	struct plan_family *f = d->port->family;

	for (size_t i = 0; i < d->rows.len; i++)
		undo_row(f, &d->rows.data[i]);
	vec_done(&d->rows);
	undo_list(f, &d->cluster);
	undo_list(f, &d->local);
	for (size_t i = 0; i < d->fresh.len; i++) {
		ids_retire(&f->backends, d->fresh.data[i]);
		ids_rested(&f->backends, d->fresh.data[i]);
	}
	if (d->new_id) {
		ids_retire(&f->services, d->id);
		ids_rested(&f->services, d->id);
	}
	free(d->rest);
	vec_done(&d->backends);
	vec_done(&d->fresh);
	policy_result_done(&d->policy);
}

/* ---- commit of a port ------------------------------------------------------------------------ */

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

static void part_with_list(struct plan *plan, struct plan_family *f, struct plan_list *l,
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

static void commit_list(struct draft *d, struct plan_list *old, struct draft_list *l)
{
	struct plan_family *f = d->port->family;

	if (l->change) {
		part_with_list(d->plan, f, old, d->rest);
		if (l->list.algorithm == SL_ALGORITHM_MAGLEV)
			f->n_maglev_lines += l->list.lines;
	}
	for (uint32_t i = 0; l->change && i < l->list.lines; i++) {
		uint32_t line = l->list.line + i;

		diff_want(d->plan->diff, plan_table(f, ROW4_RINGS), &line, &l->lines[i]);
	}
	*old = l->list;
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
			unpublish_row(plan, p->family, row, rest);
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

static void draft_commit(struct draft *d)
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
	commit_list(d, &p->cluster, &d->cluster);
	commit_list(d, &p->local, &d->local);
	for (size_t i = 0; i < d->rows.len; i++) {
		own_row(p, d->rows.data[i].row);
		commit_row(d->plan, f, &d->rows.data[i], d->rest);
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

/* ---- entry points ---------------------------------------------------------------------------- */

static void tell_no_room(struct draft *d)
{
	const struct plan_limits *l = &d->plan->config.limits;
	const char *what = d->port->id ? "keeps its former state" : "is not served";
	const char *label = port_label(d->port);
	int family = d->port->family->family;

	if (!d->id)
		problem_add(
			d->plan->problems,
			"port %s (IPv%d) %s: all %u service ports are in use; raise --max-services",
			label, family, what, l->max_services);
	else if (d->n_left_out)
		problem_add(d->plan->problems,
			    "port %s (IPv%d) %s: all %u backends are in use; raise --max-backends",
			    label, family, what, l->max_backends);
	else
		problem_add(d->plan->problems,
			    "port %s (IPv%d) %s: no free rows; raise --max-services", label, family,
			    what);
}

static void count_refused(struct plan_port *p, uint32_t n)
{
	p->family->n_refused += n - p->n_refused;
	p->n_refused = n;
}

static void count_no_local(struct plan_port *p, const bool no_local[2])
{
	for (int i = 0; i < 2; i++) {
		p->family->n_no_local[i] += (uint32_t)no_local[i] - (uint32_t)p->no_local[i];
		p->no_local[i] = no_local[i];
	}
}

/* Counted also where no address from outside is there yet that the policy could matter to. */
static void judge_local(struct draft *d)
{
	const struct policy_needs needs =
		policy_needs(d->port->service->entry->service, d->sp, d->port->family->family);
	bool any = false, here = false, no_local[2];

	for (size_t i = 0; i < d->policy.n_endpoints; i++) {
		const struct policy_endpoint *e = &d->policy.endpoints[i];
		bool serves = e->ready || (e->serving && e->terminating);

		any = any || serves;
		here = here || (serves && e->local);
	}
	no_local[0] = needs.internal_local && any && !here;
	no_local[1] = needs.external_local && any && !here;
	count_no_local(d->port, no_local);
}

int plan_port_update(struct plan *plan, struct plan_port *p, const struct service_port *sp)
{
	struct draft d = { .plan = plan, .port = p, .sp = sp };
	int rc = draft_port(&d);

	if (d.loops)
		p->service->loops = true;
	if (rc < 0) {
		if (rc == -ENOSPC) {
			tell_no_room(&d);
			count_refused(p, 1);
		}
		draft_undo(&d);
		return rc;
	}
	count_refused(p, d.n_left_out);
	if (d.n_left_out) {
		problem_add(
			plan->problems,
			"port %s (IPv%d): %u of %zu endpoints are not used: all %u backends are in use; "
			"raise --max-backends",
			port_label(p), p->family->family, d.n_left_out,
			d.backends.len + d.n_left_out, plan->config.limits.max_backends);
		rc = -ENOSPC;
	}
	judge_local(&d);
	draft_commit(&d);
	return rc;
}

int plan_port_release(struct plan *plan, struct plan_port *p)
{
	struct plan_family *f = p->family;
	struct plan_rest *rest;

	count_refused(p, 0);
	count_no_local(p, (const bool[2]){ false, false });
	if (!p->id && !p->rows.len)
		return 0;
	rest = plan_rest_new(f, p->rows.len, p->rows.len + p->backends.len + 3);
	if (!rest)
		return -ENOMEM;
	leave_rows(plan, p, NULL, rest);
	while (p->rows.len)
		forget_row(p, p->rows.len - 1);
	part_with_list(plan, f, &p->cluster, rest);
	part_with_list(plan, f, &p->local, rest);
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

void plan_port_free(struct plan_port *p)
{
	if (!p)
		return;
	vec_done(&p->rows);
	vec_done(&p->claims);
	vec_done(&p->backends);
	free(p->name);
	free(p);
}
