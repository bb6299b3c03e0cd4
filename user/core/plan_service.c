// SPDX-License-Identifier: GPL-2.0
/* One service: which of its ports are served, what is told of the others, and the rows of its addresses. */
/* Must not know: how one port is planned, which is plan_port.c, plan_list.c and plan_commit.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/plan_state.h"

/* The object's port that this port stands for: the first of its name and protocol. */
static const struct service_port *object_port(const struct plan_port *p,
					      const struct service *object)
{
	for (size_t i = 0; i < object->n_ports; i++) {
		const struct service_port *sp = &object->ports[i];

		if (sp->proto == p->proto && strcmp(sp->name ? sp->name : "", p->name) == 0)
			return sp;
	}
	return NULL;
}

static void tell_duplicates(struct plan *plan, const struct service *object)
{
	for (size_t i = 1; i < object->n_ports; i++) {
		for (size_t k = 0; k < i; k++) {
			const struct service_port *a = &object->ports[k], *b = &object->ports[i];

			if (a->proto != b->proto || !plan_same_text(a->name, b->name))
				continue;
			problem_add(
				plan->problems,
				"port %u: its name and protocol are those of port %u: not served; "
				"give it a name of its own",
				b->port, a->port);
			break;
		}
	}
}

static int release_stale(struct plan *plan, struct plan_service *s)
{
	for (size_t i = 0; i < s->ports.len;) {
		struct plan_port *p = s->ports.data[i];

		if (!p->stale) {
			i++;
			continue;
		}
		if (plan_port_release(plan, p) < 0)
			return -ENOMEM;
		plan_port_free(p);
		vec_remove(&s->ports, i);
	}
	return 0;
}

static void tell_lost(struct plan *plan, const struct plan_port *p, const struct plan_claim *c,
		      const struct plan_bid *winner)
{
	char other[400], vip[ADDRESS_TEXT_LEN];
	const char *why = winner->kind == SL_KIND_CLUSTER_IP && c->kind != SL_KIND_CLUSTER_IP
				  ? ", whose cluster IP it is"
				  : ", which is older";

	plan_port_format(winner->port, other, sizeof(other));
	if (c->kind == SL_KIND_NODE_PORT)
		problem_add(plan->problems,
			    "port %s: node port %u belongs to %s%s: not served; give the Service "
			    "another node port",
			    plan_port_label(p), c->row->key.port, other, why);
	else
		problem_add(plan->problems,
			    "port %s: %s:%u belongs to %s%s: not served; give the Service another "
			    "address or port",
			    plan_port_label(p), address_format(&c->row->key.vip, vip), p->port,
			    other, why);
}

static int plan_one_port(struct plan *plan, struct plan_port *p, bool *waits)
{
	const struct plan_claim *c;
	size_t n_served = 0;
	int rc;

	vec_for_each(c, &p->claims) {
		const struct plan_bid *winner = plan_row_winner(c->row);

		if (winner->port != p)
			tell_lost(plan, p, c, winner);
		n_served += plan_claim_is_served(plan, p, c);
	}
	if (!n_served)
		return plan_port_release(plan, p);
	rc = plan_port_update(plan, p, object_port(p, p->service->entry->service));
	if (rc == -ENOSPC) {
		*waits = true;
		return 0;
	}
	return rc;
}

/* The address answers for its other ports as long as one port of one service is served there. */
static int plan_addresses(struct plan *plan, struct plan_service *s, bool *waits)
{
	for (int i = 0; i < 2; i++) {
		struct plan_row *row = s->address[i];
		bool used = false;
		int rc;

		if (!row)
			continue;
		for (size_t k = 0; k < s->ports.len; k++)
			used = used || (s->ports.data[k]->family == &plan->families[i] &&
					s->ports.data[k]->id);
		if (used != s->address_used[i])
			used ? row->n_users++ : row->n_users--;
		s->address_used[i] = used;
		if (!row->n_users) {
			plan_address_withdraw(plan, &plan->families[i], row);
			continue;
		}
		rc = plan_address_publish(plan, &plan->families[i], row);
		if (rc == -ENOSPC)
			*waits = true;
		else if (rc < 0)
			return rc;
	}
	return 0;
}

static void set_waiting(struct plan *plan, struct plan_service *s, bool waits)
{
	if (waits != s->waiting)
		waits ? plan->n_waiting++ : plan->n_waiting--;
	s->waiting = waits;
}

static void set_loops(struct plan *plan, struct plan_service *s, bool before)
{
	if (s->loops != before)
		s->loops ? plan->n_loops++ : plan->n_loops--;
}

static int plan_ports(struct plan *plan, struct plan_service *s)
{
	bool waits = false, loops = s->loops;
	int rc = release_stale(plan, s);

	s->loops = false;
	if (!rc && s->entry->service)
		tell_duplicates(plan, s->entry->service);
	for (size_t i = 0; !rc && i < s->ports.len; i++)
		rc = plan_one_port(plan, s->ports.data[i], &waits);
	if (!rc)
		rc = plan_addresses(plan, s, &waits);
	set_loops(plan, s, loops);
	if (!rc)
		set_waiting(plan, s, waits);
	return rc;
}

int plan_service_run(struct plan *plan, struct store_entry *entry)
{
	struct plan_service *s = entry->user;
	char label[256];
	int rc, told;

	snprintf(label, sizeof(label), "Service %s/%s", entry->namespace, entry->name);
	problem_begin(plan->problems, "plan", label);
	rc = plan_ports(plan, s);
	told = problem_end(plan->problems);
	if (rc < 0 || told < 0)
		return -ENOMEM;
	if (!s->ports.len && !s->address[0] && !s->address[1])
		plan_service_free(s);
	store_clean(plan->store, entry);
	plan->planned++;
	return 0;
}

void plan_service_free(struct plan_service *s)
{
	for (size_t i = 0; i < s->ports.len; i++)
		plan_port_free(s->ports.data[i]);
	vec_done(&s->ports);
	s->entry->user = NULL;
	free(s);
}
