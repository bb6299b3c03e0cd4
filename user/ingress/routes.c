// SPDX-License-Identifier: GPL-2.0-only
/* Builds the snapshot of hosts and paths from Ingresses, oldest first. */
/* Must not know requests, Services' endpoints, or what other annotations ask for. */
#include "ingress/routes.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/class.h"
#include "ingress/routes_host.h"

#define NGINX(name) INGRESS_NGINX name

struct builder {
	const struct routes_input *in;
	struct routes *routes;
	struct order *order; /* our Ingresses, oldest first */
	size_t n_order;
	struct table claims; /* host, type and path -> the route that has it */
	struct buf key;
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

/* ---- hosts -------------------------------------------------------------------------------------------------- */

static const char *path_of(const struct ingress_path *p)
{
	return p->path && *p->path ? p->path : "/";
}

/* A name, "*." and a name, or nothing; '*' nowhere else. */
static bool is_host(const char *host)
{
	return !*host || (!strchr(host[0] == '*' && host[1] == '.' ? host + 2 : host, '*') &&
			  (host[0] != '*' || host[2] != '\0') && host[0] != '.' &&
			  strlen(host) <= ROUTES_HOST_MAX);
}

static struct routes_host *get_host(struct builder *b, const char *name)
{
	char lower[ROUTES_HOST_MAX + 1];
	struct routes_host *host;
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		lower[i] = (char)tolower((unsigned char)name[i]);
	if (len > 1 && lower[len - 1] == '.')
		len--;
	lower[len] = '\0';
	host = table_get(&b->routes->hosts, lower, len);
	if (host)
		return host;
	host = arena_new(&b->routes->arena, struct routes_host, 1);
	if (!host || !(host->name = arena_strdup(&b->routes->arena, lower)) ||
	    table_put(&b->routes->hosts, lower, len, host, NULL) < 0) {
		b->no_memory = true;
		return NULL;
	}
	host->fresh = true;
	return host;
}

/* ---- one path ------------------------------------------------------------------------------------------------ */

static const char *copy(struct builder *b, const char *text)
{
	const char *out = text ? arena_strdup(&b->routes->arena, text) : NULL;

	b->no_memory |= text && !out;
	return out;
}

static struct route *new_route(struct builder *b, const struct order *o, const char *host,
			       const char *path, enum ingress_path_type type,
			       const struct ingress_backend *backend)
{
	struct route *r = arena_new(&b->routes->arena, struct route, 1);

	if (!r) {
		b->no_memory = true;
		return NULL;
	}
	r->namespace = copy(b, o->ingress->meta.namespace);
	r->ingress = copy(b, o->ingress->meta.name);
	r->host = host;
	r->path = copy(b, path);
	r->type = type;
	r->service = copy(b, backend->service);
	r->port_name = copy(b, backend->port_name);
	r->port = backend->port;
	r->source = o->source;
	return b->no_memory ? NULL : r;
}

/* The claim on a path, or NULL and the key left in b->key. */
static struct route *find_claim(struct builder *b, const char *host, const char *path,
				enum ingress_path_type type)
{
	buf_reset(&b->key);
	buf_printf(&b->key, "%s %d %s", host, type, path);
	b->no_memory |= b->key.failed;
	return b->key.failed ? NULL : table_get(&b->claims, b->key.data, b->key.len);
}

/* Where nginx would look: a Prefix becomes a folder first, so that "/foo" to "/foo" is a rewrite and "/" to "/" is none. */
static bool changes(const char *target, const char *path, enum ingress_path_type type)
{
	size_t len = strlen(path);

	if (!target || !*target)
		return false;
	if (type != INGRESS_PREFIX || path[len - 1] == '/')
		return strcmp(target, path) != 0;
	return strlen(target) != len + 1 || strncmp(target, path, len) != 0 || target[len] != '/';
}

static const char *target_of(const struct ingress *ingress)
{
	return ingress_annotation(ingress, NGINX("rewrite-target"));
}

/* The commonest mistake: everything below the path ends up at one place. */
static void warn_lost_path(const struct builder *b, const struct ingress *ingress, const char *path)
{
	const char *target = target_of(ingress);

	if (!strcmp(path, "/") || strchr(target, '$') || strcmp(target, "/") != 0)
		return;
	say(b, ingress, ROUTES_WARNING,
	    "rewrite-target \"/\" sends %s and all below it to \"/\": to cut %s off instead, use the annotation "
	    "sluice.dev/strip-prefix: \"true\" without rewrite-target, or path \"%s(/|$)(.*)\" with pathType "
	    "ImplementationSpecific and rewrite-target \"/$2\"",
	    path, path, path);
}

static void add_path(struct builder *b, const struct order *o, struct routes_host *host,
		     const struct ingress_path *p)
{
	const char *path = path_of(p), *target = target_of(o->ingress);
	struct route *r = find_claim(b, host->name, path, p->type);

	if (r) {
		say(b, o->ingress, ROUTES_LOSER,
		    "host \"%s\" path \"%s\": Ingress %s/%s is older and has the same path; change one of them",
		    host->name, path, r->namespace, r->ingress);
		return;
	}
	r = b->no_memory ? NULL : new_route(b, o, host->name, path, p->type, &p->backend);
	if (!r)
		return;
	if (!r->service)
		say(b, o->ingress, ROUTES_REFUSED,
		    "host \"%s\" path \"%s\": the backend is no Service, so the answer is 404; name a Service",
		    host->name, path);
	r->strip = ingress_is_true(ingress_annotation(o->ingress, INGRESS_SLUICE "strip-prefix"));
	if (changes(target, path, p->type)) {
		r->target = copy(b, target);
		host->regex = true;
		warn_lost_path(b, o->ingress, path);
	}
	host->regex |= ingress_is_true(ingress_annotation(o->ingress, NGINX("use-regex")));
	b->no_memory |= table_put(&b->claims, b->key.data, b->key.len, r, NULL) < 0;
	b->no_memory |= vec_push(&host->routes, r) < 0;
}

/* ---- one Ingress ---------------------------------------------------------------------------------------------- */

static bool is_canary(const struct ingress *ingress)
{
	return ingress_is_true(ingress_annotation(ingress, NGINX("canary")));
}

static void add_default(struct builder *b, const struct order *o, const char *host,
			const struct route **slot)
{
	if (o->ingress->has_default)
		*slot = new_route(b, o, host, "", INGRESS_PREFIX, &o->ingress->default_backend);
}

static void add_rule(struct builder *b, const struct order *o, const struct ingress_rule *rule)
{
	const char *name = rule->host ? rule->host : "";
	struct routes_host *host;

	if (!is_host(name)) {
		say(b, o->ingress, ROUTES_REFUSED,
		    "host \"%.128s\" is not served: write a name, or \"*.\" and a name", name);
		return;
	}
	host = get_host(b, name);
	if (!host)
		return;
	/* The oldest Ingress of a host has its misses. */
	if (host->fresh)
		add_default(b, o, host->name, &host->fallback);
	host->fresh = false;
	for (size_t i = 0; i < rule->n_paths; i++)
		add_path(b, o, host, &rule->paths[i]);
}

static void add_ingress(struct builder *b, const struct order *o)
{
	const struct ingress *ingress = o->ingress;

	if (ingress->n_rules == 0 && ingress->has_default) {
		if (b->routes->fallback)
			say(b, ingress, ROUTES_LOSER,
			    "spec.defaultBackend: Ingress %s/%s is older and has the default backend of all hosts",
			    b->routes->fallback->namespace, b->routes->fallback->ingress);
		else
			add_default(b, o, "", &b->routes->fallback);
	}
	for (size_t i = 0; i < ingress->n_rules; i++)
		add_rule(b, o, &ingress->rules[i]);
}

static void add_canary_path(struct builder *b, const struct order *o, const char *host,
			    const struct ingress_path *p)
{
	char lower[ROUTES_HOST_MAX + 1];
	struct route *twin;
	size_t i;

	for (i = 0; i < ROUTES_HOST_MAX && host[i]; i++)
		lower[i] = (char)tolower((unsigned char)host[i]);
	lower[i] = '\0';
	twin = find_claim(b, lower, path_of(p), p->type);
	if (!twin)
		say(b, o->ingress, ROUTES_REFUSED,
		    "host \"%s\" path \"%s\": a canary needs another Ingress with the same host, path and pathType",
		    host, path_of(p));
	else if (twin->canary)
		say(b, o->ingress, ROUTES_LOSER,
		    "host \"%s\" path \"%s\": Ingress %s/%s is its canary already", host,
		    path_of(p), twin->canary->namespace, twin->canary->ingress);
	else
		twin->canary = new_route(b, o, twin->host, path_of(p), p->type, &p->backend);
}

static void add_canary(struct builder *b, const struct order *o)
{
	for (size_t i = 0; i < o->ingress->n_rules; i++) {
		const struct ingress_rule *rule = &o->ingress->rules[i];

		for (size_t j = 0; j < rule->n_paths; j++)
			add_canary_path(b, o, rule->host ? rule->host : "", &rule->paths[j]);
	}
}

/* ---- hosts, finished ------------------------------------------------------------------------------------------ */

static void refuse_expression(struct builder *b, const struct route *r, const char *why)
{
	say(b, b->in->ingresses[r->source], ROUTES_REFUSED,
	    "host \"%s\" path \"%s\" is not served: the regular expression cannot be compiled (%s)",
	    r->host, r->path, why);
}

/* Compiled, and owned by the snapshot. */
static int compile(struct builder *b, const char *pattern, bool anchored, char *why, size_t size,
		   struct match **ret_match)
{
	struct match *match;
	int rc = match_new(pattern, anchored, why, size, &match);

	if (rc)
		return rc;
	if (vec_push(&b->routes->matches, match) < 0) {
		match_free(match);
		return -ENOMEM;
	}
	*ret_match = match;
	return 0;
}

/* False: not to be served. */
static bool compile_route(struct builder *b, struct route *r)
{
	char why[160] = "";
	int rc = compile(b, r->path, true, why, sizeof(why), &r->match);

	if (!rc && r->target)
		rc = compile(b, r->path, false, why, sizeof(why), &r->rewrite);
	b->no_memory |= rc == -ENOMEM;
	if (rc == -EINVAL)
		refuse_expression(b, r, why);
	return rc == 0;
}

static void compile_host(struct builder *b, struct routes_host *host)
{
	size_t n = 0;

	for (size_t i = 0; i < host->routes.len; i++)
		if (compile_route(b, host->routes.data[i]))
			host->routes.data[n++] = host->routes.data[i];
	host->routes.len = n;
}

static int finish(struct builder *b)
{
	struct table_entry *entry;

	table_for_each(entry, &b->routes->hosts) {
		struct routes_host *host = entry->value;

		if (host->regex)
			compile_host(b, host);
		b->no_memory |= routes_host_sort(host, &b->routes->arena) < 0;
	}
	return b->no_memory ? -ENOMEM : 0;
}

int routes_build(const struct routes_input *input, struct routes **ret_routes)
{
	struct builder b = { .in = input, .routes = calloc(1, sizeof(struct routes)) };
	int rc;

	if (!b.routes)
		return -ENOMEM;
	table_init(&b.routes->hosts, input->seed);
	table_init(&b.claims, input->seed);
	rc = take_ours(&b);
	for (size_t i = 0; i < b.n_order && !b.no_memory; i++)
		if (!is_canary(b.order[i].ingress))
			add_ingress(&b, &b.order[i]);
	for (size_t i = 0; i < b.n_order && !b.no_memory; i++)
		if (is_canary(b.order[i].ingress))
			add_canary(&b, &b.order[i]);
	if (!rc)
		rc = b.no_memory ? -ENOMEM : finish(&b);
	free(b.order);
	table_done(&b.claims, NULL);
	buf_done(&b.key);
	if (rc)
		routes_free(b.routes);
	else
		*ret_routes = b.routes;
	return rc;
}

void routes_free(struct routes *routes)
{
	struct table_entry *entry;
	struct match **match;

	if (!routes)
		return;
	table_for_each(entry, &routes->hosts)
		vec_done(&((struct routes_host *)entry->value)->routes);
	table_done(&routes->hosts, NULL);
	vec_for_each(match, &routes->matches)
		match_free(*match);
	vec_done(&routes->matches);
	arena_done(&routes->arena);
	free(routes);
}
