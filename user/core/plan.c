// SPDX-License-Identifier: GPL-2.0
/*
 * The run from store to diff: which services are planned and in which order; node, configuration
 * row, filter.
 */
/* Must not know: maps, file descriptors, clocks; how one port is planned is plan_port.c, plan_list.c and plan_commit.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/plan_state.h"

/* ---- limits ---------------------------------------------------------------------------------- */

#define MAGLEV_LINES 16384 /* 1 MiB a family: four of the largest tables, or 256 of the smallest */

/* Two lists a port, each with at most one line that is not full. */
static uint32_t plain_lines(uint32_t max_services, uint32_t max_backends)
{
	return 2 * (max_services + max_backends / SL_RING_LINE_IDS + 1);
}

/* A quarter more than is admitted, for what rests. */
static uint32_t with_slack(uint32_t n, uint32_t least)
{
	return n + n / 4 + least;
}

struct plan_limits plan_limits_of(uint32_t max_services, uint32_t max_backends)
{
	/* cluster IP and its address row; external IPs, load balancers, node ports */
	uint32_t rows = 4 * max_services;

	return (struct plan_limits){
		.max_services = max_services,
		.max_backends = max_backends,
		.service_ids = with_slack(max_services, 64) + 1,
		.backend_ids = with_slack(max_backends, 256) + 1,
		.rows = rows,
		.slots = with_slack(rows, 256),
		.lines = with_slack(plain_lines(max_services, max_backends), 256) + MAGLEV_LINES,
	};
}

#define LIMIT_MAX (1u << 24)

static bool are_valid(const struct plan_limits *l)
{
	return l->max_services && l->max_backends && l->service_ids > l->max_services &&
	       l->backend_ids > l->max_backends && l->rows && l->slots && l->lines &&
	       l->max_services <= LIMIT_MAX && l->max_backends <= LIMIT_MAX &&
	       l->slots <= LIMIT_MAX * 8u && l->lines <= LIMIT_MAX * 8u;
}

/* ---- configuration --------------------------------------------------------------------------- */

static void config_done(struct plan_config *c)
{
	free((void *)(uintptr_t)c->node_name);
	free((void *)(uintptr_t)c->node_ips);
	free((void *)(uintptr_t)c->service_cidrs);
	free((void *)(uintptr_t)c->exclude_vips);
}

static void *copy_of(const void *from, size_t size, int *rc)
{
	void *to;

	if (!size)
		return NULL;
	to = malloc(size);
	if (!to)
		*rc = -ENOMEM;
	else
		memcpy(to, from, size);
	return to;
}

static int config_copy(const struct plan_config *from, struct plan_config *ret_to)
{
	struct plan_config to = *from;
	int rc = 0;

	to.node_name =
		copy_of(from->node_name, from->node_name ? strlen(from->node_name) + 1 : 0, &rc);
	to.node_ips = copy_of(from->node_ips, from->n_node_ips * sizeof(*from->node_ips), &rc);
	to.service_cidrs = copy_of(from->service_cidrs,
				   from->n_service_cidrs * sizeof(*from->service_cidrs), &rc);
	to.exclude_vips = copy_of(from->exclude_vips,
				  from->n_exclude_vips * sizeof(*from->exclude_vips), &rc);
	if (rc < 0) {
		config_done(&to);
		return rc;
	}
	*ret_to = to;
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_bytes(const void *a, size_t n_a, const void *b, size_t n_b, size_t size)
{
	return n_a == n_b && (!n_a || memcmp(a, b, n_a * size) == 0);
}

/* Do these options decide which services are served, and by which endpoints? The others only fill one row. */
static bool same_for_services(const struct plan_config *a, const struct plan_config *b)
{
	return same_text(a->node_name, b->node_name) &&
	       same_bytes(a->exclude_vips, a->n_exclude_vips, b->exclude_vips, b->n_exclude_vips,
			  sizeof(*a->exclude_vips));
}

int plan_configure(struct plan *plan, const struct plan_config *config)
{
	struct plan_limits limits = plan->config.limits;
	unsigned kinds = plan->config.kinds;
	struct plan_config copy;

	if (config_copy(config, &copy) < 0)
		return -ENOMEM;
	if (!same_for_services(&plan->config, &copy))
		store_mark_all_dirty(plan->store);
	config_done(&plan->config);
	plan->config = copy;
	plan->config.limits = limits;
	plan->config.kinds = kinds;
	plan->node.name = plan->config.node_name;
	plan->config_dirty = true;
	plan->node_dirty = true;
	return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int family_init(struct plan_family *f, int family, const struct plan_limits *l,
		       uint64_t seed)
{
	f->family = family;
	ids_init(&f->services, 1, l->service_ids);
	ids_init(&f->backends, 1, l->backend_ids);
	ids_init(&f->slots, 0, l->slots);
	table_init(&f->rows, seed + (uint64_t)family);
	table_init(&f->restored, seed - (uint64_t)family);
	f->max_maglev_lines = l->lines < MAGLEV_LINES ? 0 : MAGLEV_LINES;
	return extents_init(&f->lines, l->lines);
}

static void row_free(void *value)
{
	struct plan_row *row = value;

	vec_done(&row->bids);
	free(row->parting);
	free(row);
}

static void port_free(void *value)
{
	plan_port_free(value);
}

static void family_done(struct plan_family *f)
{
	struct plan_port **p;

	table_done(&f->rows, row_free);
	table_done(&f->restored, port_free);
	vec_for_each(p, &f->nameless)
		plan_port_free(*p);
	vec_done(&f->nameless);
	vec_done(&f->new_services);
	vec_done(&f->new_backends);
	extents_done(&f->lines);
	ids_done(&f->services);
	ids_done(&f->backends);
	ids_done(&f->slots);
}

int plan_new(const struct plan_config *config, struct store *store, struct diff *diff,
	     struct problems *problems, struct plan **ret_plan)
{
	struct plan *plan;

	if (!are_valid(&config->limits))
		return -EINVAL;
	plan = calloc(1, sizeof(*plan));
	if (!plan)
		return -ENOMEM;
	plan->store = store;
	plan->diff = diff;
	plan->problems = problems;
	plan->config_dirty = plan->node_dirty = true;
	for (int i = 0; i < 2; i++) {
		if (family_init(&plan->families[i], i ? 6 : 4, &config->limits,
				(uint64_t)(uintptr_t)plan) < 0) {
			plan_free(plan);
			return -ENOMEM;
		}
	}
	if (config_copy(config, &plan->config) < 0) {
		plan_free(plan);
		return -ENOMEM;
	}
	if (!plan->config.kinds)
		plan->config.kinds = PLAN_KINDS_SERVED;
	plan->node.name = plan->config.node_name;
	store_mark_all_dirty(store);
	*ret_plan = plan;
	return 0;
}

static void service_free(struct plan_service *s)
{
	for (size_t i = 0; i < s->ports.len; i++)
		plan_port_free(s->ports.data[i]);
	vec_done(&s->ports);
	s->entry->user = NULL;
	free(s);
}

static int free_user(void *ctx, struct store_entry *entry)
{
	(void)ctx;
	if (entry->user)
		service_free(entry->user);
	return 0;
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	store_each_entry(plan->store, free_user, NULL);
	plan_rest_free_all(plan);
	family_done(&plan->families[0]);
	family_done(&plan->families[1]);
	vec_done(&plan->work);
	config_done(&plan->config);
	free(plan->zone);
	free(plan);
}

/* ---- node ------------------------------------------------------------------------------------ */

/* The node's zone decides which endpoints are used, so another zone means planning everything. */
static int refresh_node(struct plan *plan)
{
	const struct node *node = store_node(plan->store, plan->config.node_name);
	const char *zone = node ? node->zone : NULL;
	char *copy = NULL;

	if (!plan->node_dirty && !store_nodes_dirty(plan->store))
		return 0;
	if (!same_text(zone, plan->zone)) {
		if (zone && !(copy = strdup(zone)))
			return -ENOMEM;
		free(plan->zone);
		plan->node.zone = plan->zone = copy;
		store_mark_all_dirty(plan->store);
	}
	plan->config_dirty = true;
	plan->node_dirty = false;
	store_clean_nodes(plan->store);
	return 0;
}

static const struct address *first_of(const struct address *addrs, size_t n, int family)
{
	for (size_t i = 0; i < n; i++)
		if (addrs[i].family == family)
			return &addrs[i];
	return NULL;
}

static void fill_node_address(const struct plan *plan, int family, uint8_t *ret_bytes, size_t len)
{
	const struct plan_config *c = &plan->config;
	const struct node *node = store_node(plan->store, c->node_name);
	const struct address *addr = first_of(c->node_ips, c->n_node_ips, family);

	if (!c->n_node_ips && node) {
		addr = first_of(node->internal_ips, node->n_internal_ips, family);
		if (!addr)
			addr = first_of(node->external_ips, node->n_external_ips, family);
	}
	if (addr)
		memcpy(ret_bytes, addr->b, len);
}

/* ---- service CIDRs --------------------------------------------------------------------------- */

struct cidr_list {
	struct cidr cidrs[2][SL_CIDRS];
	size_t n[2];
	const struct plan *plan;
};

static bool same_cidr(const struct cidr *a, const struct cidr *b)
{
	return a->len == b->len && address_cmp(&a->addr, &b->addr) == 0;
}

static void add_cidr(struct cidr_list *list, const struct cidr *c, const char *from)
{
	int f = plan_family_index(c->addr.family);
	char text[CIDR_TEXT_LEN];

	for (size_t i = 0; i < list->n[f]; i++)
		if (same_cidr(&list->cidrs[f][i], c))
			return;
	if (c->len == 0) {
		problem_add(list->plan->problems,
			    "%s: %s is every address: not used; name the service range", from,
			    cidr_format(c, text));
		return;
	}
	if (list->n[f] == SL_CIDRS) {
		problem_add(list->plan->problems,
			    "%s: %s is not used: there is room for %d service CIDRs of a family; "
			    "merge some",
			    from, cidr_format(c, text), SL_CIDRS);
		return;
	}
	list->cidrs[f][list->n[f]++] = *c;
}

static int add_object_cidrs(void *ctx, const struct service_cidr *object)
{
	char from[300];

	snprintf(from, sizeof(from), "ServiceCIDR %s", object->meta.name);
	for (size_t i = 0; i < object->n_cidrs; i++)
		add_cidr(ctx, &object->cidrs[i], from);
	return 0;
}

static int wanted_cidrs(struct plan *plan, struct cidr_list *ret_list)
{
	const struct plan_config *c = &plan->config;

	*ret_list = (struct cidr_list){ .plan = plan };
	problem_begin(plan->problems, "plan", "service CIDRs");
	for (size_t i = 0; i < c->n_service_cidrs; i++)
		add_cidr(ret_list, &c->service_cidrs[i], "--service-cidr");
	if (!c->n_service_cidrs)
		store_each_cidr(plan->store, add_object_cidrs, ret_list);
	return problem_end(plan->problems);
}

static struct cidr_slot *find_slot(struct cidr_slot slots[SL_CIDRS], const struct cidr *c)
{
	for (int i = 0; i < SL_CIDRS; i++)
		if (slots[i].state != CIDR_OFF && slots[i].state != CIDR_CLEARED &&
		    same_cidr(&slots[i].cidr, c))
			return &slots[i];
	return NULL;
}

static struct cidr_slot *free_slot(struct cidr_slot slots[SL_CIDRS])
{
	for (int i = 0; i < SL_CIDRS; i++)
		if (slots[i].state == CIDR_OFF)
			return &slots[i];
	return NULL;
}

/*
 * Programs read these slots while they change, and not in one piece. So a slot is never overwritten
 * while it is on: it is written with its mask off, switched on after a barrier; switched off, and
 * written again only after another barrier.
 */
static void arrange_cidrs(struct cidr_slot slots[SL_CIDRS], const struct cidr *wanted, size_t n)
{
	bool keep[SL_CIDRS] = { false };

	for (size_t i = 0; i < n; i++) {
		struct cidr_slot *slot = find_slot(slots, &wanted[i]);

		if (!slot) {
			slot = free_slot(slots);
			if (!slot)
				continue; /* one is being cleared: room after the barrier */
			*slot = (struct cidr_slot){ .state = CIDR_WRITTEN, .cidr = wanted[i] };
		} else if (slot->state == CIDR_READY) {
			slot->state = CIDR_ON;
		}
		keep[slot - slots] = true;
	}
	for (int i = 0; i < SL_CIDRS; i++) {
		if (keep[i] || slots[i].state == CIDR_OFF || slots[i].state == CIDR_CLEARED)
			continue;
		slots[i].state = CIDR_CLEARED;
		slots[i].barrier = false;
	}
}

static void fill_mask(uint8_t len, uint8_t *mask, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		int bits = (int)len - (int)i * 8;

		mask[i] = bits >= 8 ? 0xff : bits <= 0 ? 0 : (uint8_t)(0xff << (8 - bits));
	}
}

static void fill_cidr(const struct cidr_slot *slot, uint8_t *addr, uint8_t *mask, size_t bytes)
{
	if (slot->state == CIDR_OFF || slot->state == CIDR_CLEARED)
		return;
	memcpy(addr, slot->cidr.addr.b, bytes);
	fill_mask(slot->cidr.len, mask, bytes);
	if (slot->state != CIDR_ON)
		mask[0] = 0;
}

static int write_config(struct plan *plan)
{
	struct sl_config row = {
		.host_netns = plan->config.host_netns,
		.flags = plan->config.flags,
		.snat_low = plan->config.snat_low,
		.snat_high = plan->config.snat_high,
	};
	uint32_t key = 0;

	fill_node_address(plan, 4, row.node4, sizeof(row.node4));
	fill_node_address(plan, 6, row.node6, sizeof(row.node6));
	for (int i = 0; i < SL_CIDRS; i++) {
		fill_cidr(&plan->cidrs[0][i], row.cidrs4[i].addr, row.cidrs4[i].mask, 4);
		fill_cidr(&plan->cidrs[1][i], row.cidrs6[i].addr, row.cidrs6[i].mask, 16);
	}
	return diff_want(plan->diff, ROW_CONFIG, &key, &row);
}

static int refresh_config(struct plan *plan)
{
	struct cidr_list list;

	if (!plan->config_dirty && !store_cidrs_dirty(plan->store))
		return 0;
	if (wanted_cidrs(plan, &list) < 0)
		return -ENOMEM;
	for (int f = 0; f < 2; f++)
		arrange_cidrs(plan->cidrs[f], list.cidrs[f], list.n[f]);
	if (write_config(plan) < 0)
		return -ENOMEM;
	plan->config_dirty = false;
	store_clean_cidrs(plan->store);
	return 0;
}

/* ---- one service ----------------------------------------------------------------------------- */

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

			if (a->proto != b->proto || !same_text(a->name, b->name))
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
	const char *label = p->name[0] ? p->name : "(unnamed)";
	const char *why = winner->kind == SL_KIND_CLUSTER_IP && c->kind != SL_KIND_CLUSTER_IP
				  ? ", whose cluster IP it is"
				  : ", which is older";

	plan_port_format(winner->port, other, sizeof(other));
	if (c->kind == SL_KIND_NODE_PORT)
		problem_add(plan->problems,
			    "port %s: node port %u belongs to %s%s: not served; give the Service "
			    "another node port",
			    label, c->row->key.port, other, why);
	else
		problem_add(plan->problems,
			    "port %s: %s:%u belongs to %s%s: not served; give the Service another "
			    "address or port",
			    label, address_format(&c->row->key.vip, vip), p->port, other, why);
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

static int plan_service(struct plan *plan, struct store_entry *entry)
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
		service_free(s);
	store_clean(plan->store, entry);
	plan->planned++;
	return 0;
}

/* ---- the run --------------------------------------------------------------------------------- */

static int rank(const struct store_entry *entry)
{
	const struct plan_service *s = entry->user;

	if (!entry->service)
		return 0; /* what goes makes room */
	for (size_t i = 0; i < s->ports.len; i++)
		if (s->ports.data[i]->id)
			return 1; /* what is served stays served */
	return 2;
}

/* Existing first, then the oldest. */
static int compare_work(const void *a, const void *b)
{
	const struct store_entry *x = *(struct store_entry *const *)a,
				 *y = *(struct store_entry *const *)b;
	int64_t x_age, y_age;
	int cmp = rank(x) - rank(y);

	if (cmp || !x->service || !y->service)
		return cmp ? cmp : strcmp(x->name, y->name);
	x_age = x->service->created_s ? x->service->created_s : INT64_MAX;
	y_age = y->service->created_s ? y->service->created_s : INT64_MAX;
	if (x_age != y_age)
		return x_age < y_age ? -1 : 1;
	if (x->service->meta.uid && y->service->meta.uid)
		cmp = strcmp(x->service->meta.uid, y->service->meta.uid);
	if (!cmp)
		cmp = strcmp(x->namespace, y->namespace);
	return cmp ? cmp : strcmp(x->name, y->name);
}

static int wake_waiting(void *ctx, struct store_entry *entry)
{
	struct plan *plan = ctx;
	const struct plan_service *s = entry->user;

	if (s && s->waiting)
		store_mark_dirty(plan->store, entry);
	return 0;
}

/* Registers all that is dirty, which may make more dirty, and lists it. */
static int gather(struct plan *plan)
{
	struct store_entry *e, *next;

	vec_clear(&plan->work);
	for (e = store_first_dirty(plan->store); e; e = next) {
		if (plan_register(plan, e) < 0)
			return -ENOMEM;
		if (vec_push(&plan->work, e) < 0)
			return -ENOMEM;
		next = store_next_dirty(plan->store, e);
	}
	plan_wake_looping(plan);
	vec_sort(&plan->work, compare_work);
	return 0;
}

/* Whoever waits is asked with everybody else, so that what becomes free goes to the oldest. */
static void wake(struct plan *plan)
{
	if (plan->n_waiting && (plan->room || store_n_dirty(plan->store)))
		store_each_entry(plan->store, wake_waiting, plan);
	plan->room = false;
}

int plan_run(struct plan *plan)
{
	plan->runs++;
	if (refresh_node(plan) < 0 || refresh_config(plan) < 0)
		return -ENOMEM;
	do {
		wake(plan);
		if (gather(plan) < 0)
			return -ENOMEM;
		/*
		 * Everybody has claimed now: what is left of a former life is nobody's, and makes
		 * room.
		 */
		if (plan->restored && plan_sweep(plan) < 0)
			return -ENOMEM;
		for (size_t i = 0; i < plan->work.len; i++)
			if (plan_service(plan, plan->work.data[i]) < 0)
				return -ENOMEM;
	} while (store_n_dirty(plan->store) || (plan->room && plan->n_waiting));
	plan->restored = false;
	return 0;
}

bool plan_wants_run(const struct plan *plan)
{
	return store_n_dirty(plan->store) || plan->config_dirty || store_nodes_dirty(plan->store) ||
	       store_cidrs_dirty(plan->store) || (plan->room && plan->n_waiting);
}

/* ---- filter ---------------------------------------------------------------------------------- */

static void needed_bits(const struct plan_family *f, uint64_t *words)
{
	struct table_entry *t;

	table_for_each(t, &f->rows) {
		const struct plan_row *row = t->value;
		const struct plan_backend *b;
		uint32_t bit;

		if (!row->published)
			continue;
		bit = row_filter_bit(&row->key.vip);
		if (!address_is_zero(&row->key.vip)) /* node ports have none of their own */
			words[bit >> 6] |= 1ull << (bit & 63);
		if (!row->owner)
			continue;
		vec_for_each(b, &row->owner->backends) {
			bit = row_filter_bit(&b->addr);
			words[SL_FILTER_WORDS + (bit >> 6)] |= 1ull << (bit & 63);
		}
	}
}

int plan_filter_rebuild(struct plan *plan)
{
	uint64_t *words = calloc(2 * SL_FILTER_WORDS, sizeof(*words));

	if (!words)
		return -ENOMEM;
	for (int i = 0; i < 2; i++) {
		struct plan_family *f = &plan->families[i];

		memset(words, 0, sizeof(f->filter));
		needed_bits(f, words);
		f->n_filter[0] = f->n_filter[1] = 0;
		for (uint32_t w = 0; w < 2 * SL_FILTER_WORDS; w++) {
			f->n_filter[w >= SL_FILTER_WORDS] +=
				(uint32_t)__builtin_popcountll(words[w]);
			if (words[w] != f->filter[w]) /* a row that is wanted, as it has bits */
				diff_retire(plan->diff, plan_table(f, ROW4_FILTER), &w, &words[w]);
		}
		memcpy(f->filter, words, sizeof(f->filter));
	}
	free(words);
	return 0;
}

/* ---- looking --------------------------------------------------------------------------------- */

static struct plan_family_stats count_family(const struct plan_family *f)
{
	return (struct plan_family_stats){
		.services = f->n_services,
		.backends = f->n_backends,
		.backends_resting = f->backends.n_resting,
		.rows = f->n_rows,
		.lines_used = f->lines.end - f->lines.n_available - f->lines.n_resting,
		.lines_resting = f->lines.n_resting,
		.refused = f->n_refused,
		.no_local_internal = f->n_no_local[0],
		.no_local_external = f->n_no_local[1],
		.filter_vips = f->n_filter[0],
		.filter_backends = f->n_filter[1],
	};
}

void plan_count(const struct plan *plan, struct plan_stats *ret_stats)
{
	*ret_stats = (struct plan_stats){
		.v4 = count_family(&plan->families[0]),
		.v6 = count_family(&plan->families[1]),
		.runs = plan->runs,
		.planned = plan->planned,
	};
}

bool plan_has_address(const struct plan *plan, const struct address *addr)
{
	return plan_is_service_address(&plan->families[plan_family_index(addr->family)], addr);
}

uint32_t plan_count_unserved(const struct plan *plan, enum sl_kind kind)
{
	uint32_t n = 0;

	if (plan->config.kinds & PLAN_KIND(kind))
		return 0;
	for (int i = 0; i < 2; i++) {
		const struct table_entry *t;

		table_for_each(t, &plan->families[i].rows) {
			const struct plan_bid *winner = plan_row_winner(t->value);

			n += winner && winner->kind == kind;
		}
	}
	return n;
}

size_t plan_take_new_backends(struct plan *plan, int family, uint32_t *ret_ids, size_t max)
{
	struct plan_family *f = &plan->families[plan_family_index(family)];
	size_t n = 0;

	while (n < max && f->new_backends.len)
		ret_ids[n++] = f->new_backends.data[--f->new_backends.len];
	return n;
}

size_t plan_take_new_services(struct plan *plan, int family, uint32_t *ret_ids, size_t max)
{
	struct plan_family *f = &plan->families[plan_family_index(family)];
	size_t n = 0;

	while (n < max && f->new_services.len)
		ret_ids[n++] = f->new_services.data[--f->new_services.len];
	return n;
}
