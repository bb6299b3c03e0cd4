/* SPDX-License-Identifier: GPL-2.0 */
/* Which interfaces get programs. Pure: a table and rules in, a list out. */
/* Must not know netlink. */
#include "dp/links.h"

#include <errno.h>
#include <fnmatch.h>
#include <net/if_arp.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

struct choice {
	const struct links_table *table;
	const struct links_rules *rules;
	links_note_fn *note;
	void *note_ctx;
	struct VEC_OF(struct attach_want) wants;
	int rc;
};

static __attribute__((format(printf, 2, 3))) void note(const struct choice *c, const char *format,
						       ...)
{
	char text[256];
	va_list args;

	if (!c->note)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	c->note(c->note_ctx, text);
}

static bool is_auto(const char *list)
{
	return !list || !*list || strcmp(list, "auto") == 0;
}

/* Calls fn for each name of a comma-separated list. */
static bool list_any(const char *list, bool (*fn)(const char *item, void *ctx), void *ctx)
{
	char item[IF_NAMESIZE * 4];
	bool any = false;

	while (*list) {
		size_t len = strcspn(list, ",");

		snprintf(item, sizeof(item), "%.*s", (int)len, list);
		if (*item)
			any |= fn(item, ctx);
		list += len + (list[len] == ',');
	}
	return any;
}

static bool name_matches(const char *item, void *name)
{
	return fnmatch(item, name, 0) == 0;
}

static bool in_list(const char *list, const char *name)
{
	char copy[IF_NAMESIZE];

	snprintf(copy, sizeof(copy), "%s", name);
	return list_any(list, name_matches, copy);
}

static bool is_kind(const struct link_info *link, const char *const *kinds)
{
	for (; *kinds; kinds++)
		if (strcmp(link->kind, *kinds) == 0)
			return true;
	return false;
}

static bool is_bridge(const struct link_info *link)
{
	return strcmp(link->kind, "bridge") == 0 || strcmp(link->kind, "openvswitch") == 0;
}

static bool is_overlay(const struct link_info *link)
{
	static const char *const kinds[] = { "vxlan",  "geneve",    "wireguard", "ipip",
					     "sit",    "ip6tnl",    "gre",       "gretap",
					     "ip6gre", "ip6gretap", NULL };

	/* tunl0, sit0 and the like come with their modules and carry nothing until they are up */
	return is_kind(link, kinds) && link->flags & IFF_UP;
}

static bool is_pod(const struct link_info *link)
{
	static const char *const kinds[] = { "veth", "netkit", NULL };

	return is_kind(link, kinds) && link->lower_elsewhere;
}

/* ---- list ---------------------------------------------------------------------------------------- */

static bool is_chosen(const struct choice *c, uint32_t ifindex)
{
	const struct attach_want *want;

	vec_for_each(want, &c->wants)
		if (want->ifindex == ifindex)
			return true;
	return false;
}

static void choose(struct choice *c, const struct link_info *link, enum attach_class class)
{
	struct attach_want want = {
		.ifindex = link->ifindex,
		.class = class,
		.ethernet = link->arphrd == ARPHRD_ETHER,
		.handover = class == ATTACH_POD && link->arphrd == ARPHRD_ETHER && is_pod(link) &&
			    !link->queued,
	};

	if (link->flags & IFF_LOOPBACK || is_chosen(c, link->ifindex))
		return;
	memcpy(want.name, link->name, sizeof(want.name));
	if (vec_push(&c->wants, want) < 0)
		c->rc = -ENOMEM;
}

static const struct link_info *find(const struct choice *c, uint32_t ifindex)
{
	for (size_t i = 0; i < c->table->n_links; i++)
		if (c->table->links[i].ifindex == ifindex)
			return &c->table->links[i];
	return NULL;
}

/* ---- uplinks ------------------------------------------------------------------------------------- */

/* The devices below: of a VLAN its carrier, of a bond or bridge its ports that are no pods. */
static void choose_below(struct choice *c, const struct link_info *link, int depth)
{
	static const char *const stacked[] = { "vlan", "macvlan", "ipvlan", NULL };
	static const char *const masters[] = { "bond", "team", "bridge", NULL };
	const struct link_info *lower =
		is_kind(link, stacked) && !link->lower_elsewhere ? find(c, link->lower) : NULL;

	choose(c, link, ATTACH_UPLINK);
	if (depth > 4)
		return;
	if (lower)
		choose_below(c, lower, depth + 1);
	for (size_t i = 0; is_kind(link, masters) && i < c->table->n_links; i++) {
		const struct link_info *port = &c->table->links[i];

		if (port->master == link->ifindex && !is_pod(port) &&
		    strcmp(port->kind, "tun") != 0 && !is_overlay(port))
			choose_below(c, port, depth + 1);
	}
}

static bool has_node_ip(const struct choice *c, const struct link_info *link)
{
	for (size_t i = 0; i < c->table->n_addrs; i++) {
		const struct link_addr *addr = &c->table->addrs[i];

		for (size_t k = 0; addr->ifindex == link->ifindex && k < c->rules->n_node_ips; k++)
			if (address_cmp(&addr->addr, &c->rules->node_ips[k]) == 0)
				return true;
	}
	return false;
}

static bool has_global_address(const struct links_table *table, const struct link_info *link,
			       int family)
{
	for (size_t i = 0; i < table->n_addrs; i++)
		if (table->addrs[i].ifindex == link->ifindex &&
		    table->addrs[i].scope == RT_SCOPE_UNIVERSE &&
		    (!family || table->addrs[i].addr.family == family))
			return true;
	return false;
}

static void choose_uplinks_auto(struct choice *c)
{
	const struct link_info *end = c->table->links + c->table->n_links;

	for (const struct link_info *link = c->table->links; link < end; link++)
		if ((link->default_route || has_node_ip(c, link)) && !is_overlay(link))
			choose_below(c, link, 0);
	if (c->wants.len)
		return;
	/* no default route and no known address: what has an address and is neither pod nor overlay nor bridge */
	for (const struct link_info *link = c->table->links; link < end; link++)
		if (has_global_address(c->table, link, 0) && !is_pod(link) && !is_overlay(link) &&
		    !is_bridge(link) && strcmp(link->kind, "dummy") != 0)
			choose_below(c, link, 0);
	if (!c->wants.len)
		note(c,
		     "no uplink found: no default route, and no device has a node address; name it with --uplink");
}

static bool names_none(const char *item, void *ctx)
{
	const struct choice *c = ctx;

	for (size_t i = 0; i < c->table->n_links; i++)
		if (name_matches(item, (void *)(uintptr_t)c->table->links[i].name))
			return false;
	note(c, "--uplink %s: no such interface (yet)", item);
	return true;
}

static void choose_uplinks_named(struct choice *c)
{
	for (size_t i = 0; i < c->table->n_links; i++)
		if (in_list(c->rules->uplink, c->table->links[i].name))
			choose(c, &c->table->links[i], ATTACH_UPLINK);
	list_any(c->rules->uplink, names_none, c);
}

/* ---- pods and overlays ----------------------------------------------------------------------------- */

static void choose_by(struct choice *c, const char *list, enum attach_class class,
		      bool (*automatic)(const struct link_info *link))
{
	for (size_t i = 0; i < c->table->n_links; i++) {
		const struct link_info *link = &c->table->links[i];

		if (is_auto(list) ? automatic(link) : in_list(list, link->name))
			choose(c, link, class);
	}
}

int links_choose(const struct links_table *table, const struct links_rules *rules,
		 links_note_fn *note_fn, void *ctx, struct attach_want **ret_wants, size_t *ret_n)
{
	struct choice c = { .table = table, .rules = rules, .note = note_fn, .note_ctx = ctx };

	if (is_auto(rules->uplink))
		choose_uplinks_auto(&c);
	else
		choose_uplinks_named(&c);
	choose_by(&c, rules->overlay_ifaces, ATTACH_OVERLAY, is_overlay);
	choose_by(&c, rules->pod_ifaces, ATTACH_POD, is_pod);
	if (c.rc < 0) {
		vec_done(&c.wants);
		return c.rc;
	}
	*ret_wants = c.wants.data;
	*ret_n = c.wants.len;
	return 0;
}

struct pattern_check {
	const struct links_table *table;
	struct err *err;
};

static bool only_bridges(const char *item, void *ctx)
{
	const struct pattern_check *check = ctx;
	const char *bridge = NULL;

	for (size_t i = 0; i < check->table->n_links; i++) {
		const struct link_info *link = &check->table->links[i];

		if (fnmatch(item, link->name, 0))
			continue;
		if (!is_bridge(link))
			return false;
		bridge = link->name;
	}
	if (bridge)
		err_set(check->err, -EINVAL,
			"--pod-ifaces %s matches only the bridge %s: replies between two pods of a bridge never pass the bridge "
			"itself; name its ports, for example veth*",
			item, bridge);
	return bridge;
}

int links_check_pods(const struct links_table *table, const char *pod_ifaces, struct err *err)
{
	struct pattern_check check = { table, err };

	return !is_auto(pod_ifaces) && list_any(pod_ifaces, only_bridges, &check) ? -EINVAL : 0;
}

int links_node_address(const struct links_table *table, const struct links_rules *rules, int family,
		       struct address *ret_addr)
{
	const struct link_addr *best = NULL;
	int best_rank = 0;

	for (size_t i = 0; i < table->n_addrs; i++) {
		const struct link_addr *addr = &table->addrs[i];
		const struct link_info *link = NULL;
		int rank;

		for (size_t k = 0; k < table->n_links && !link; k++)
			if (table->links[k].ifindex == addr->ifindex)
				link = &table->links[k];
		if (!link || addr->addr.family != family || addr->scope != RT_SCOPE_UNIVERSE ||
		    link->flags & IFF_LOOPBACK)
			continue;
		rank = !is_auto(rules->uplink) ? (in_list(rules->uplink, link->name) ? 3 : 0)
		       : link->default_route   ? 3
		       : !is_pod(link) && !is_overlay(link) && !is_bridge(link) &&
				       strcmp(link->kind, "dummy") != 0
			       ? 1
			       : 0;
		if (rank > best_rank) {
			best = addr;
			best_rank = rank;
		}
	}
	if (!best)
		return -ENOENT;
	*ret_addr = best->addr;
	return 0;
}
