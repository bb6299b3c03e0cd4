// SPDX-License-Identifier: GPL-2.0
/*
 * The run from store to diff: which services are planned and in which order. Beginning, end, looking.
 */
/* Must not know: maps, file descriptors, clocks; what a run does with one service is plan_service.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/plan_state.h"

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

	if (!plan_limits_are_valid(&config->limits))
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
	if (plan_config_copy(config, &plan->config) < 0) {
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

static int free_user(void *ctx, struct store_entry *entry)
{
	(void)ctx;
	if (entry->user)
		plan_service_free(entry->user);
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
	plan_config_done(&plan->config);
	free(plan->zone);
	free(plan);
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
	if (plan_refresh_node(plan) < 0 || plan_refresh_config(plan) < 0)
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
			if (plan_service_run(plan, plan->work.data[i]) < 0)
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
