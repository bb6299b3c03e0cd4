// SPDX-License-Identifier: GPL-2.0-only
/* Builds the snapshot of hosts from Ingresses, oldest first; hosts for which nothing has changed are taken over. */
/* Must not know requests, paths, Services' endpoints, or what other annotations ask for. */
#include "ingress/routes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "ingress/class.h"
#include "ingress/routes_host.h"
#include "ingress/setting.h"

struct routes_maker {
	struct routes *last; /* counted; NULL: nothing was made yet */
	struct match_cache *cache;
};

/* The rules of one host. */
struct group {
	const char *redirect_to; /* a host that only sends on */
	struct VEC_OF(struct routes_part) parts;
};

struct builder {
	const struct routes_input *in;
	struct routes_maker *maker;
	struct routes *routes;
	struct arena arena;  /* groups */
	struct order *order; /* our Ingresses, oldest first */
	size_t n_order;
	struct table groups;
	bool no_memory;
};

struct order {
	const struct ingress *ingress;
	size_t source;
};

__attribute__((format(printf, 4, 5))) static void say(const struct builder *b,
						      const struct ingress *ingress,
						      enum routes_severity severity,
						      const char *format, ...)
{
	char reason[1024];
	va_list args;

	if (!b->in->note)
		return;
	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	b->in->note(b->in->ctx, ingress, severity, reason);
}

/* ---- order -------------------------------------------------------------------------------------------------- */

static int older(const void *one, const void *two)
{
	const struct ingress *a = ((const struct order *)one)->ingress;
	const struct ingress *b = ((const struct order *)two)->ingress;
	int rc;

	if (a->created_ns != b->created_ns)
		return a->created_ns < b->created_ns ? -1 : 1;
	rc = strcmp(a->meta.namespace, b->meta.namespace);
	return rc ? rc : strcmp(a->meta.name, b->meta.name);
}

static int take_ours(struct builder *b)
{
	b->order = calloc(b->in->n_ingresses + 1, sizeof(*b->order));
	if (!b->order)
		return -ENOMEM;
	for (size_t i = 0; i < b->in->n_ingresses; i++)
		if (class_is_ours(b->in, b->in->ingresses[i]))
			b->order[b->n_order++] = (struct order){ b->in->ingresses[i], i };
	qsort(b->order, b->n_order, sizeof(*b->order), older);
	return 0;
}

bool routes_is_ours(const struct routes_input *input, const struct ingress *ingress)
{
	struct routes_input quiet = *input;

	quiet.note = NULL;
	return class_is_ours(&quiet, ingress);
}

/* ---- who says what about a host ------------------------------------------------------------------------------ */

static struct group *add_group(struct builder *b, const char *name)
{
	struct group *group = arena_new(&b->arena, struct group, 1);

	if (!group || table_put_str(&b->groups, name, group, NULL) < 0) {
		b->no_memory = true;
		return NULL;
	}
	return group;
}

static struct routes_part part_of(const struct builder *b, const struct order *o,
				  const struct ingress_rule *rule)
{
	return (struct routes_part){ .ingress = o->ingress,
				     .rule = rule,
				     .source = o->source,
				     .version = b->in->versions ? b->in->versions[o->source] : 0 };
}

static void add_rule(struct builder *b, const struct order *o, const struct ingress_rule *rule)
{
	const char *name = rule->host ? rule->host : "";
	char lower[ROUTES_HOST_MAX + 1];
	struct group *group;

	if (!routes_host_name(name, lower)) {
		say(b, o->ingress, ROUTES_REFUSED,
		    "host \"%.128s\" is not served: write a name, or \"*.\" and a name", name);
		return;
	}
	group = table_get_str(&b->groups, lower);
	if (!group)
		group = add_group(b, lower);
	if (group)
		b->no_memory |= vec_push(&group->parts, part_of(b, o, rule)) < 0;
}

/* www.a.test for a.test, and the other way round, unless somebody serves it. */
static void add_www(struct builder *b, const struct order *o, const struct ingress_rule *rule)
{
	char lower[ROUTES_HOST_MAX + 1], other[ROUTES_HOST_MAX + 5];
	struct group *group;

	if (!rule->host || !routes_host_name(rule->host, lower) || !*lower || *lower == '*')
		return;
	if (strncmp(lower, "www.", 4) == 0)
		strcpy(other, lower + 4);
	else
		snprintf(other, sizeof(other), "www.%s", lower);
	if (!*other || strlen(other) > ROUTES_HOST_MAX || table_get_str(&b->groups, other))
		return;
	group = add_group(b, other);
	if (!group)
		return;
	group->redirect_to = arena_strdup(&b->arena, lower);
	b->no_memory |= !group->redirect_to || vec_push(&group->parts, part_of(b, o, rule)) < 0;
}

static void group_rules(struct builder *b)
{
	for (size_t i = 0; i < b->n_order && !b->no_memory; i++)
		for (size_t j = 0; j < b->order[i].ingress->n_rules; j++)
			add_rule(b, &b->order[i], &b->order[i].ingress->rules[j]);
	for (size_t i = 0; i < b->n_order && !b->no_memory; i++) {
		const struct ingress *ingress = b->order[i].ingress;

		if (ingress->n_annotations && setting_is_true(ingress, "from-to-www-redirect"))
			for (size_t j = 0; j < ingress->n_rules; j++)
				add_www(b, &b->order[i], &ingress->rules[j]);
	}
}

/* ---- hosts ---------------------------------------------------------------------------------------------------- */

static bool is_unchanged(const struct routes_host *host, const struct group *group)
{
	if (!host->redirect_to != !group->redirect_to || host->n_made_of != group->parts.len ||
	    (host->redirect_to && strcmp(host->redirect_to, group->redirect_to) != 0))
		return false;
	for (size_t i = 0; i < host->n_made_of; i++)
		if (!host->made_of[i] || host->made_of[i] != group->parts.data[i].version)
			return false;
	return true;
}

static void say_notes(const struct builder *b, const struct routes_host *host,
		      const struct group *group)
{
	const struct routes_note *note;

	vec_for_each(note, &host->notes)
		say(b, group->parts.data[note->part].ingress, note->severity, "%s", note->reason);
}

static void put_host(struct builder *b, struct table *hosts, const char *name,
		     struct routes_host *host)
{
	if (table_put_str(hosts, name, host, NULL) < 0) {
		routes_host_drop(host);
		b->no_memory = true;
	}
}

static void make_host(struct builder *b, const char *name, const struct group *group)
{
	struct routes_host *host = b->maker->last ? table_get_str(&b->maker->last->hosts, name)
						  : NULL;

	if (host && is_unchanged(host, group)) {
		routes_host_hold(host);
	} else if (routes_host_make(b->in, b->maker->cache, name, group->redirect_to,
				    group->parts.data, group->parts.len, &host) < 0) {
		b->no_memory = true;
		return;
	}
	say_notes(b, host, group);
	put_host(b, &b->routes->hosts, name, host);
}

static void add_alias(struct builder *b, const struct ingress *ingress, const char *alias,
		      struct routes_host *host)
{
	char lower[ROUTES_HOST_MAX + 1];
	const struct routes_host *there;

	if (!*alias || !routes_host_name(alias, lower)) {
		say(b, ingress, ROUTES_REFUSED,
		    "server-alias \"%.128s\" is not served: write a name, or \"*.\" and a name",
		    alias);
		return;
	}
	there = table_get_str(&b->routes->hosts, lower);
	if (!there)
		there = table_get_str(&b->routes->aliases, lower);
	if (!there)
		put_host(b, &b->routes->aliases, lower, routes_host_hold(host));
	else if (there != host)
		say(b, ingress, ROUTES_LOSER,
		    "server-alias \"%s\": another Ingress has this host; change one of them",
		    lower);
}

static void add_aliases(struct builder *b, const struct ingress *ingress)
{
	const char *list = setting_get(ingress, "server-alias"), *item;
	char lower[ROUTES_HOST_MAX + 1], alias[ROUTES_HOST_MAX + 2];
	size_t len;

	while ((item = setting_next(&list, &len)) && !b->no_memory) {
		snprintf(alias, sizeof(alias), "%.*s", (int)len, item);
		for (size_t i = 0; i < ingress->n_rules && !b->no_memory; i++) {
			const char *name = ingress->rules[i].host;
			struct routes_host *host = name && routes_host_name(name, lower)
							   ? table_get_str(&b->routes->hosts, lower)
							   : NULL;

			if (host) {
				add_alias(b, ingress, alias, host);
				break; /* one alias leads to one host */
			}
		}
	}
}

static void make_hosts(struct builder *b)
{
	struct table_entry *entry;

	table_for_each(entry, &b->groups)
		if (!b->no_memory)
			make_host(b, entry->key, entry->value);
	for (size_t i = 0; i < b->n_order && !b->no_memory; i++)
		if (b->order[i].ingress->n_annotations && !routes_is_canary(b->order[i].ingress))
			add_aliases(b, b->order[i].ingress);
}

/* ---- misses of all ---------------------------------------------------------------------------------------------- */

static void make_fallback(struct builder *b, const struct order *o)
{
	struct routes_part part = part_of(b, o, NULL);
	struct routes *last = b->maker->last;

	b->routes->fallback_version = part.version;
	if (last && last->fallback && part.version && last->fallback_version == part.version) {
		b->routes->fallback = route_hold(last->fallback);
		return;
	}
	b->routes->fallback = route_new(b->in, &part, "", "", INGRESS_PREFIX,
					&o->ingress->default_backend, NULL, NULL);
	b->no_memory |= !b->routes->fallback || route_attach(b->in, &part, b->routes->fallback) < 0;
}

static void find_fallback(struct builder *b)
{
	for (size_t i = 0; i < b->n_order && !b->no_memory; i++) {
		const struct ingress *ingress = b->order[i].ingress;

		if (ingress->n_rules || !ingress->has_default || routes_is_canary(ingress))
			continue;
		if (!b->routes->fallback)
			make_fallback(b, &b->order[i]);
		else
			say(b, ingress, ROUTES_LOSER,
			    "spec.defaultBackend: Ingress %s/%s is older and has the default backend of all hosts",
			    b->routes->fallback->namespace, b->routes->fallback->ingress);
	}
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static void done(struct builder *b)
{
	struct table_entry *entry;

	table_for_each(entry, &b->groups)
		vec_done(&((struct group *)entry->value)->parts);
	table_done(&b->groups, NULL);
	arena_done(&b->arena);
	free(b->order);
}

int routes_make(struct routes_maker *maker, const struct routes_input *input,
		struct routes **ret_routes)
{
	struct builder b = { .in = input,
			     .maker = maker,
			     .routes = calloc(1, sizeof(struct routes)) };

	if (!b.routes)
		return -ENOMEM;
	b.routes->refs = 1;
	table_init(&b.routes->hosts, input->seed);
	table_init(&b.routes->aliases, input->seed);
	table_init(&b.groups, input->seed);
	b.no_memory = take_ours(&b) < 0;
	group_rules(&b);
	if (!b.no_memory)
		make_hosts(&b);
	find_fallback(&b);
	done(&b);
	if (b.no_memory) {
		routes_drop(b.routes);
		return -ENOMEM;
	}
	routes_drop(maker->last);
	maker->last = routes_hold(b.routes);
	match_cache_sweep(maker->cache);
	*ret_routes = b.routes;
	return 0;
}

int routes_build(const struct routes_input *input, struct routes **ret_routes)
{
	struct routes_maker *maker;
	int rc = routes_maker_new(input->seed, &maker);

	if (rc)
		return rc;
	rc = routes_make(maker, input, ret_routes);
	routes_maker_free(maker);
	return rc;
}

int routes_maker_new(uint64_t seed, struct routes_maker **ret_maker)
{
	struct routes_maker *maker = calloc(1, sizeof(*maker));

	if (maker)
		maker->cache = match_cache_new(seed);
	if (!maker || !maker->cache) {
		free(maker);
		return -ENOMEM;
	}
	*ret_maker = maker;
	return 0;
}

void routes_maker_free(struct routes_maker *maker)
{
	if (!maker)
		return;
	routes_drop(maker->last);
	match_cache_free(maker->cache);
	free(maker);
}

struct routes *routes_hold(struct routes *routes)
{
	atomic_fetch_add_explicit(&routes->refs, 1, memory_order_relaxed);
	return routes;
}

static void drop_host(void *host)
{
	routes_host_drop(host);
}

void routes_drop(struct routes *routes)
{
	if (!routes || atomic_fetch_sub(&routes->refs, 1) != 1)
		return;
	table_done(&routes->hosts, drop_host);
	table_done(&routes->aliases, drop_host);
	route_drop(routes->fallback);
	free(routes);
}
