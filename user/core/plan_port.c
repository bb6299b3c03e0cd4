// SPDX-License-Identifier: GPL-2.0
/* One service port: what its endpoints, lists and rows shall be, as a draft, which may fail. */
/*
 * Must not know: in which order ports are planned, and when numbers that were given back may be
 * used again.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/plan_draft.h"

#define PROBLEMS_PER_PORT 8 /* refused endpoints named one by one */

/* ---- draft of a port ------------------------------------------------------------------------- */

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
			plan_port_label(d->port), address_format(addr, text), slice->meta.name,
			why);
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
			    plan_port_label(d->port), d->n_refused - PROBLEMS_PER_PORT);
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

	/* What this port loses is room, though its numbers rest for a while: there are more of those than may be in use. */
	if (f->n_backends - d->n_gone + d->fresh.len >= d->plan->config.limits.max_backends)
		return -ENOSPC;
	if (vec_reserve(&d->fresh, 1) < 0)
		return -ENOMEM;
	rc = ids_take(&f->backends, &b->id, &b->gen);
	if (rc < 0)
		return rc;
	d->fresh.data[d->fresh.len++] = b->id;
	return diff_reserve(d->plan->diff, plan_table(f, ROW4_BACKENDS), &b->id);
}

/* Both sorted alike, so one walk over both finds what stays. */
static size_t count_gone(const struct draft *d)
{
	const struct plan_backends *old = &d->port->backends;
	size_t at = 0, kept = 0;

	for (size_t i = 0; i < d->policy.n_endpoints; i++) {
		const struct policy_endpoint *e = &d->policy.endpoints[i];

		while (at < old->len && compare_backend(&old->data[at], e) < 0)
			at++;
		if (is_needed(e) && at < old->len && compare_backend(&old->data[at], e) == 0) {
			kept++;
			at++;
		}
	}
	return old->len - kept;
}

static int draft_backends(struct draft *d)
{
	const struct plan_backends *old = &d->port->backends;
	size_t at = 0;

	d->n_gone = count_gone(d);
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
	return 0;
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
			    plan_port_label(d->port), d->sp->port);
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
		rc = plan_row_draft(d->plan, d->port->family, c->row, n_new, &content,
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
	rc = plan_lists_draft(d);
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
		plan_row_undo(f, &d->rows.data[i]);
	vec_done(&d->rows);
	plan_list_undo(f, &d->cluster);
	plan_list_undo(f, &d->local);
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

/* ---- entry points ---------------------------------------------------------------------------- */

static void tell_no_room(struct draft *d)
{
	const struct plan_limits *l = &d->plan->config.limits;
	const char *what = d->port->id ? "keeps its former state" : "is not served";
	const char *label = plan_port_label(d->port);
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
	plan_port_count_no_local(d->port, no_local);
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
			plan_port_count_refused(p, 1);
		}
		draft_undo(&d);
		return rc;
	}
	plan_port_count_refused(p, d.n_left_out);
	if (d.n_left_out) {
		problem_add(
			plan->problems,
			"port %s (IPv%d): %u of %zu endpoints are not used: all %u backends are in use; "
			"raise --max-backends",
			plan_port_label(p), p->family->family, d.n_left_out,
			d.backends.len + d.n_left_out, plan->config.limits.max_backends);
		rc = -ENOSPC;
	}
	judge_local(&d);
	plan_draft_commit(&d);
	return rc;
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
