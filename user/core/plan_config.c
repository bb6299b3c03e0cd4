// SPDX-License-Identifier: GPL-2.0
/* From options and the node to the row of the configuration: limits, addresses, zone, service CIDRs. */
/* Must not know: maps, clocks, services. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/plan_state.h"

/* ---- limits ---------------------------------------------------------------------------------- */

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

bool plan_limits_are_valid(const struct plan_limits *l)
{
	return l->max_services && l->max_backends && l->service_ids > l->max_services &&
	       l->backend_ids > l->max_backends && l->rows && l->slots && l->lines &&
	       l->max_services <= LIMIT_MAX && l->max_backends <= LIMIT_MAX &&
	       l->slots <= LIMIT_MAX * 8u && l->lines <= LIMIT_MAX * 8u;
}

/* ---- configuration --------------------------------------------------------------------------- */

void plan_config_done(struct plan_config *c)
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

int plan_config_copy(const struct plan_config *from, struct plan_config *ret_to)
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
		plan_config_done(&to);
		return rc;
	}
	*ret_to = to;
	return 0;
}

static bool same_bytes(const void *a, size_t n_a, const void *b, size_t n_b, size_t size)
{
	return n_a == n_b && (!n_a || memcmp(a, b, n_a * size) == 0);
}

/* Do these options decide which services are served, and by which endpoints? The others only fill one row. */
static bool same_for_services(const struct plan_config *a, const struct plan_config *b)
{
	return plan_same_text(a->node_name, b->node_name) &&
	       same_bytes(a->exclude_vips, a->n_exclude_vips, b->exclude_vips, b->n_exclude_vips,
			  sizeof(*a->exclude_vips));
}

int plan_configure(struct plan *plan, const struct plan_config *config)
{
	struct plan_limits limits = plan->config.limits;
	unsigned kinds = plan->config.kinds;
	struct plan_config copy;

	if (plan_config_copy(config, &copy) < 0)
		return -ENOMEM;
	if (!same_for_services(&plan->config, &copy))
		store_mark_all_dirty(plan->store);
	plan_config_done(&plan->config);
	plan->config = copy;
	plan->config.limits = limits;
	plan->config.kinds = kinds;
	plan->node.name = plan->config.node_name;
	plan->config_dirty = true;
	plan->node_dirty = true;
	return 0;
}

/* ---- node ------------------------------------------------------------------------------------ */

/* The node's zone decides which endpoints are used, so another zone means planning everything. */
int plan_refresh_node(struct plan *plan)
{
	const struct node *node = store_node(plan->store, plan->config.node_name);
	const char *zone = node ? node->zone : NULL;
	char *copy = NULL;

	if (!plan->node_dirty && !store_nodes_dirty(plan->store))
		return 0;
	if (!plan_same_text(zone, plan->zone)) {
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

int plan_refresh_config(struct plan *plan)
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
