// SPDX-License-Identifier: GPL-2.0
/* Who wants which service address and port, and who gets it when several do. */
/* Must not know: endpoints, lists, records; only ports and the rows they want. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/plan_state.h"

/* ---- whose claim counts ---------------------------------------------------------------------- */

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static int64_t age_of(const struct service *s)
{
	return s->created_s ? s->created_s : INT64_MAX;
}

/* The oldest object first; then by UID, by name, by port name, so that every node decides alike. */
static int compare_claims(const struct plan_port *a, const struct plan_port *b)
{
	const struct store_entry *x = a->service->entry, *y = b->service->entry;
	int cmp;

	if (!x->service || !y->service)
		return (x->service == NULL) - (y->service == NULL);
	if (age_of(x->service) != age_of(y->service))
		return age_of(x->service) < age_of(y->service) ? -1 : 1;
	cmp = strcmp(or_empty(x->service->meta.uid), or_empty(y->service->meta.uid));
	if (!cmp)
		cmp = strcmp(x->namespace, y->namespace);
	if (!cmp)
		cmp = strcmp(x->name, y->name);
	return cmp ? cmp : strcmp(a->name, b->name);
}

/* A cluster IP is given out by the API server once; nobody's external address takes it away. */
static int compare_bids(const struct plan_bid *a, const struct plan_bid *b)
{
	bool x = a->kind == SL_KIND_CLUSTER_IP, y = b->kind == SL_KIND_CLUSTER_IP;

	return x != y ? y - x : compare_claims(a->port, b->port);
}

const struct plan_bid *plan_row_winner(const struct plan_row *row)
{
	const struct plan_bid *winner = NULL, *bid;

	vec_for_each(bid, &row->bids)
		if (!winner || compare_bids(bid, winner) < 0)
			winner = bid;
	return winner;
}

bool plan_claim_is_served(const struct plan *plan, const struct plan_port *p,
			  const struct plan_claim *claim)
{
	const struct plan_bid *winner = plan_row_winner(claim->row);

	return winner && winner->port == p && (plan->config.kinds & PLAN_KIND(claim->kind));
}

/* Who else wants the row may win or lose by what happens to it. */
static void wake_others(struct plan *plan, struct plan_row *row, const struct plan_service *but)
{
	const struct plan_bid *bid;

	vec_for_each(bid, &row->bids)
		if (bid->port->service != but)
			store_mark_dirty(plan->store, bid->port->service->entry);
}

static struct plan_bid *find_bid(struct plan_row *row, const struct plan_port *p)
{
	struct plan_bid *bid;

	vec_for_each(bid, &row->bids)
		if (bid->port == p)
			return bid;
	return NULL;
}

static void unclaim(struct plan *plan, struct plan_port *p, size_t i)
{
	struct plan_row *row = p->claims.data[i].row;

	vec_remove(&row->bids, (size_t)(find_bid(row, p) - row->bids.data));
	vec_remove_swap(&p->claims, i);
	wake_others(plan, row, p->service);
	plan_row_drop(p->family, row);
}

static struct plan_claim *find_claim(struct plan_port *p, const struct plan_row *row)
{
	struct plan_claim *c;

	vec_for_each(c, &p->claims)
		if (c->row == row)
			return c;
	return NULL;
}

/* One address twice counts once, as what it is first. */
static int claim(struct plan *plan, struct plan_port *p, enum sl_kind kind,
		 const struct row_service_key *key)
{
	struct plan_row *row = plan_row_get(p->family, key);
	struct plan_claim *c;

	if (!row)
		return -ENOMEM;
	c = find_claim(p, row);
	if (c && c->seen)
		return 0;
	if (c && c->kind == kind) {
		c->seen = true;
		return 0;
	}
	if (!c && (vec_reserve(&row->bids, 1) < 0 || vec_reserve(&p->claims, 1) < 0)) {
		plan_row_drop(p->family, row);
		return -ENOMEM;
	}
	if (c) {
		c->kind = find_bid(row, p)->kind = kind;
		c->seen = true;
	} else {
		row->bids.data[row->bids.len++] = (struct plan_bid){ p, kind };
		p->claims.data[p->claims.len++] = (struct plan_claim){ row, kind, true };
	}
	wake_others(plan, row, p->service);
	return 0;
}

static void unclaim_unseen(struct plan *plan, struct plan_port *p)
{
	for (size_t i = p->claims.len; i-- > 0;)
		if (!p->claims.data[i].seen)
			unclaim(plan, p, i);
}

static void unclaim_all(struct plan *plan, struct plan_port *p)
{
	while (p->claims.len)
		unclaim(plan, p, p->claims.len - 1);
}

/* ---- addresses ------------------------------------------------------------------------------- */

static struct row_service_key address_key(const struct address *addr)
{
	return (struct row_service_key){ .vip = *addr };
}

bool plan_is_service_address(const struct plan_family *f, const struct address *addr)
{
	struct row_service_key key = address_key(addr);
	struct plan_row *row = plan_row_find(f, &key);

	return row && row->n_known;
}

static bool is_excluded(const struct plan *plan, const struct address *addr)
{
	for (size_t i = 0; i < plan->config.n_exclude_vips; i++)
		if (address_cmp(&plan->config.exclude_vips[i], addr) == 0)
			return true;
	return false;
}

const struct address *plan_service_address(const struct plan *plan, const struct service *s,
					   int family)
{
	const struct address *found = NULL;

	if (!s || s->skip || s->type == SERVICE_EXTERNAL_NAME)
		return NULL;
	for (size_t i = 0; i < s->n_cluster_ips && !found; i++)
		if (s->cluster_ips[i].family == family)
			found = &s->cluster_ips[i];
	return found && is_excluded(plan, found) ? NULL : found;
}

static bool uses_service_address(const struct plan_service *s)
{
	for (size_t i = 0; i < s->ports.len; i++) {
		const struct plan_backend *b;

		vec_for_each(b, &s->ports.data[i]->backends)
			if (plan_is_service_address(s->ports.data[i]->family, &b->addr))
				return true;
	}
	return false;
}

static int wake_looping(void *ctx, struct store_entry *entry)
{
	struct plan *plan = ctx;
	struct plan_service *s = entry->user;

	if (s && !store_is_dirty(entry) && (s->loops || uses_service_address(s)))
		store_mark_dirty(plan->store, entry);
	return 0;
}

void plan_wake_looping(struct plan *plan)
{
	if (plan->addresses_changed)
		store_each_entry(plan->store, wake_looping, plan);
	plan->addresses_changed = false;
}

/*
 * An address became a service's, or ceased to be one: services with such an endpoint have to be
 * looked at again. Rare: the address filter says at once that no backend ever had it.
 */
static void address_changed(struct plan *plan, struct plan_family *f, const struct address *addr,
			    bool known)
{
	if (known ? plan_filter_has(f, addr, true) : plan->n_loops > 0)
		plan->addresses_changed = true;
}

static void leave_address(struct plan *plan, struct plan_service *s, int i)
{
	struct plan_row *row = s->address[i];
	struct address addr;

	if (!row)
		return;
	addr = row->key.vip;
	s->address[i] = NULL;
	row->n_known--;
	if (s->address_used[i])
		row->n_users--;
	s->address_used[i] = false;
	if (!row->n_users)
		plan_address_withdraw(plan, &plan->families[i], row);
	if (!row->n_known)
		address_changed(plan, &plan->families[i], &addr, false);
	plan_row_drop(&plan->families[i], row);
}

static int join_address(struct plan *plan, struct plan_service *s, int i,
			const struct address *addr)
{
	struct row_service_key key = address_key(addr);
	struct plan_row *row = plan_row_get(&plan->families[i], &key);

	if (!row)
		return -ENOMEM;
	if (s->address[i] == row)
		return 0;
	leave_address(plan, s, i);
	s->address[i] = row;
	if (row->n_known++ == 0)
		address_changed(plan, &plan->families[i], addr, true);
	return 0;
}

/* ---- ports of a service ---------------------------------------------------------------------- */

const char *plan_port_format(const struct plan_port *p, char *buf, size_t len)
{
	const struct store_entry *e = p->service->entry;

	snprintf(buf, len, "Service %s/%s port %s", e->namespace, e->name, plan_port_label(p));
	return buf;
}

static struct plan_port *find_port(const struct plan_service *s, const struct plan_family *f,
				   const struct service_port *sp)
{
	for (size_t i = 0; i < s->ports.len; i++) {
		struct plan_port *p = s->ports.data[i];

		if (!p->stale && p->family == f && p->proto == sp->proto &&
		    strcmp(p->name, or_empty(sp->name)) == 0)
			return p;
	}
	return NULL;
}

static struct plan_port *port_new(struct plan_service *s, struct plan_family *f,
				  const struct service_port *sp)
{
	struct plan_port *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->name = strdup(or_empty(sp->name));
	if (!p->name) {
		free(p);
		return NULL;
	}
	p->family = f;
	p->proto = sp->proto;
	p->service = s;
	return p;
}

/* The port as it is, as it was in a former life, or a new one. */
static struct plan_port *get_port(struct plan_service *s, struct plan_family *f,
				  const struct service_port *sp)
{
	struct plan_port *p = find_port(s, f, sp);

	if (p)
		return p;
	if (vec_reserve(&s->ports, 1) < 0)
		return NULL;
	p = plan_claim_restored(f, s->entry, or_empty(sp->name), sp->proto);
	if (p)
		p->service = s;
	else
		p = port_new(s, f, sp);
	if (p)
		s->ports.data[s->ports.len++] = p;
	return p;
}

static int claim_addresses(struct plan *plan, struct plan_port *p, enum sl_kind kind,
			   const struct address *addrs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct row_service_key key = { addrs[i], p->port, p->proto };

		if (addrs[i].family != p->family->family || is_excluded(plan, &addrs[i]))
			continue;
		if (claim(plan, p, kind, &key) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Every frontend of a service port. Source ranges go with load balancer addresses, so those come before external ones. */
static int claim_frontends(struct plan *plan, struct plan_port *p, const struct address *vip,
			   const struct service_port *sp)
{
	const struct service *s = p->service->entry->service;
	struct row_service_key node_port = { .vip.family = vip->family,
					     .port = sp->node_port,
					     .proto = sp->proto };
	struct plan_claim *c;
	int rc;

	vec_for_each(c, &p->claims)
		c->seen = false;
	rc = claim_addresses(plan, p, SL_KIND_CLUSTER_IP, vip, 1);
	if (rc == 0)
		rc = claim_addresses(plan, p, SL_KIND_LOAD_BALANCER, s->lb_ips, s->n_lb_ips);
	if (rc == 0)
		rc = claim_addresses(plan, p, SL_KIND_EXTERNAL_IP, s->external_ips,
				     s->n_external_ips);
	if (rc == 0 && sp->node_port)
		rc = claim(plan, p, SL_KIND_NODE_PORT, &node_port);
	if (rc == 0)
		unclaim_unseen(plan, p);
	return rc;
}

static int register_port(struct plan *plan, struct plan_service *s, struct plan_family *f,
			 const struct address *vip, const struct service_port *sp)
{
	struct plan_port *p = get_port(s, f, sp);

	if (!p)
		return -ENOMEM;
	if (p->wanted) /* two ports of one name and protocol: the first one counts */
		return 0;
	p->wanted = true;
	p->port = sp->port;
	return claim_frontends(plan, p, vip, sp);
}

static void make_stale(struct plan *plan, struct plan_port *p)
{
	unclaim_all(plan, p);
	p->stale = true;
	p->wanted = false;
}

static struct plan_service *service_new(struct store_entry *entry)
{
	struct plan_service *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->entry = entry;
	s->incarnation = entry->incarnation;
	entry->user = s;
	return s;
}

static int register_family(struct plan *plan, struct plan_service *s, int i)
{
	const struct service *object = s->entry->service;
	const struct address *vip = plan_service_address(plan, object, i ? 6 : 4);

	if (!vip) {
		leave_address(plan, s, i);
		return 0;
	}
	if (join_address(plan, s, i, vip) < 0)
		return -ENOMEM;
	for (size_t k = 0; k < object->n_ports; k++)
		if (register_port(plan, s, &plan->families[i], vip, &object->ports[k]) < 0)
			return -ENOMEM;
	return 0;
}

int plan_register(struct plan *plan, struct store_entry *entry)
{
	struct plan_service *s = entry->user;

	if (!s)
		s = service_new(entry);
	if (!s)
		return -ENOMEM;
	for (size_t i = 0; i < s->ports.len; i++) {
		if (s->incarnation != entry->incarnation) /* another object under the same name */
			make_stale(plan, s->ports.data[i]);
		s->ports.data[i]->wanted = false;
	}
	s->incarnation = entry->incarnation;
	for (int i = 0; i < 2; i++)
		if (register_family(plan, s, i) < 0)
			return -ENOMEM;
	for (size_t i = 0; i < s->ports.len; i++)
		if (!s->ports.data[i]->wanted)
			make_stale(plan, s->ports.data[i]);
	return 0;
}
