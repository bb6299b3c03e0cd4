// SPDX-License-Identifier: GPL-2.0-only
/* Makes one host from the Ingresses that name it, oldest first: which paths there are and who has each. */
/* Must not know requests, other hosts, or what other annotations ask for. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "ingress/routes_host.h"
#include "ingress/setting.h"

struct maker {
	const struct routes_input *in;
	struct match_cache *cache;
	struct routes_host *host;
	const struct routes_part *parts;
	size_t n_parts;
	struct table claims; /* type and path -> the route that has it */
	struct buf key;
	bool tls;
	bool no_memory;
};

__attribute__((format(printf, 4, 5))) static void say(struct maker *m, size_t part,
						      enum routes_severity severity,
						      const char *format, ...)
{
	struct routes_note note = { .part = part, .severity = severity };
	va_list args;
	int rc;

	va_start(args, format);
	rc = vasprintf(&note.reason, format, args);
	va_end(args);
	if (rc < 0) {
		m->no_memory = true;
	} else if (vec_push(&m->host->notes, note) < 0) {
		free(note.reason);
		m->no_memory = true;
	}
}

/* ---- life --------------------------------------------------------------------------------------------------- */

struct routes_host *routes_host_hold(struct routes_host *host)
{
	atomic_fetch_add_explicit(&host->refs, 1, memory_order_relaxed);
	return host;
}

void routes_host_drop(struct routes_host *host)
{
	struct routes_note *note;
	struct route **route;

	if (!host || atomic_fetch_sub(&host->refs, 1) != 1)
		return;
	vec_for_each(route, &host->routes)
		route_drop(*route);
	vec_done(&host->routes);
	vec_for_each(note, &host->notes)
		free(note->reason);
	vec_done(&host->notes);
	route_drop(host->fallback);
	if (host->made_of != &host->made_of_one)
		free(host->made_of);
	free(host->name);
	free(host);
}

/* ---- names -------------------------------------------------------------------------------------------------- */

/* A name, "*." and a name, or nothing; '*' nowhere else. */
static bool is_host(const char *host)
{
	return !*host || (!strchr(host[0] == '*' && host[1] == '.' ? host + 2 : host, '*') &&
			  (host[0] != '*' || host[2] != '\0') && host[0] != '.' &&
			  strlen(host) <= ROUTES_HOST_MAX);
}

bool routes_host_name(const char *host, char *lower)
{
	size_t len = strlen(host);

	if (!is_host(host))
		return false;
	for (size_t i = 0; i < len; i++)
		lower[i] = (char)tolower((unsigned char)host[i]);
	if (len > 1 && lower[len - 1] == '.')
		len--;
	lower[len] = '\0';
	return true;
}

bool routes_is_canary(const struct ingress *ingress)
{
	return setting_is_true(ingress, "canary");
}

static bool covers(const char *pattern, const char *name)
{
	char lower[ROUTES_HOST_MAX + 1];
	const char *dot = strchr(name, '.');

	if (!routes_host_name(pattern, lower))
		return false;
	return strcmp(lower, name) == 0 ||
	       (lower[0] == '*' && dot && dot != name && strcmp(lower + 1, dot) == 0);
}

/* Is there TLS for this host, by what this Ingress says? Without hosts it is for all of the Ingress's. */
static bool has_tls(const struct ingress *ingress, const char *name)
{
	for (size_t i = 0; i < ingress->n_tls; i++) {
		const struct ingress_tls *tls = &ingress->tls[i];

		if (tls->n_hosts == 0)
			return true;
		for (size_t j = 0; j < tls->n_hosts; j++)
			if (covers(tls->hosts[j], name))
				return true;
	}
	return false;
}

/* ---- one path ------------------------------------------------------------------------------------------------ */

static const char *path_of(const struct ingress_path *p)
{
	return p->path && *p->path ? p->path : "/";
}

static struct route *new_route(struct maker *m, size_t part, const char *path,
			       enum ingress_path_type type, const struct ingress_backend *backend,
			       const char *target)
{
	struct route *r =
		route_new(m->in, &m->parts[part], m->host->name, path, type, backend, target, NULL);

	if (r) {
		r->tls = m->tls;
		r->part = part;
	}
	m->no_memory |= !r;
	return r;
}

/* The claim on a path, or NULL and the key left in m->key. */
static struct route *find_claim(struct maker *m, const char *path, enum ingress_path_type type)
{
	buf_reset(&m->key);
	buf_putc(&m->key, (char)('0' + type));
	buf_puts(&m->key, path);
	m->no_memory |= m->key.failed;
	return m->key.failed ? NULL : table_get(&m->claims, m->key.data, m->key.len);
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

/* The commonest mistake: everything below the path ends up at one place. */
static void warn_lost_path(struct maker *m, size_t part, const char *target, const char *path)
{
	if (!strcmp(path, "/") || strchr(target, '$') || strcmp(target, "/") != 0)
		return;
	say(m, part, ROUTES_WARNING,
	    "rewrite-target \"/\" sends %s and all below it to \"/\": to cut %s off instead, use the annotation "
	    "sluice.dev/strip-prefix: \"true\" without rewrite-target, or path \"%s(/|$)(.*)\" with pathType "
	    "ImplementationSpecific and rewrite-target \"/$2\"",
	    path, path, path);
}

static void keep_route(struct maker *m, struct route *r)
{
	if (vec_push(&m->host->routes, r) < 0) {
		route_drop(r);
		m->no_memory = true;
		return;
	}
	m->no_memory |= table_put(&m->claims, m->key.data, m->key.len, r, NULL) < 0;
}

static void add_path(struct maker *m, size_t part, const struct ingress_path *p)
{
	const struct ingress *ingress = m->parts[part].ingress;
	const char *path = path_of(p), *target = setting_get(ingress, "rewrite-target");
	struct route *r = find_claim(m, path, p->type);

	if (r) {
		say(m, part, ROUTES_LOSER,
		    "host \"%s\" path \"%s\": Ingress %s/%s is older and has the same path; change one of them",
		    m->host->name, path, r->namespace, r->ingress);
		return;
	}
	target = changes(target, path, p->type) ? target : NULL;
	r = m->no_memory ? NULL : new_route(m, part, path, p->type, &p->backend, target);
	if (!r)
		return;
	if (!r->service)
		say(m, part, ROUTES_REFUSED,
		    "host \"%s\" path \"%s\": the backend is no Service, so the answer is 404; name a Service",
		    m->host->name, path);
	if (target)
		warn_lost_path(m, part, target, path);
	m->host->regex |= target || setting_is_true(ingress, "use-regex");
	keep_route(m, r);
}

static void add_parts(struct maker *m)
{
	bool fresh = true;

	for (size_t i = 0; i < m->n_parts && !m->no_memory; i++) {
		const struct routes_part *part = &m->parts[i];

		if (routes_is_canary(part->ingress))
			continue;
		/* The oldest Ingress of a host has its misses. */
		if (fresh && part->ingress->has_default)
			m->host->fallback = new_route(m, i, "", INGRESS_PREFIX,
						      &part->ingress->default_backend, NULL);
		fresh = false;
		for (size_t j = 0; j < part->rule->n_paths && !m->no_memory; j++)
			add_path(m, i, &part->rule->paths[j]);
	}
}

/* ---- canaries ------------------------------------------------------------------------------------------------ */

static void add_canary_path(struct maker *m, size_t part, const struct ingress_path *p)
{
	const char *path = path_of(p);
	struct route *twin = find_claim(m, path, p->type);

	if (!twin) {
		say(m, part, ROUTES_REFUSED,
		    "host \"%s\" path \"%s\": a canary needs another Ingress with the same host, path and pathType",
		    m->host->name, path);
	} else if (twin->canary) {
		say(m, part, ROUTES_LOSER,
		    "host \"%s\" path \"%s\": Ingress %s/%s is its canary already", m->host->name,
		    path, twin->canary->namespace, twin->canary->ingress);
	} else {
		/* A canary lies in its twin's location: it is rewritten as that is. */
		twin->canary = new_route(m, part, path, p->type, &p->backend, twin->target);
		if (twin->canary)
			twin->canary->strip = twin->strip;
	}
}

static void add_canaries(struct maker *m)
{
	for (size_t i = 0; i < m->n_parts && !m->no_memory; i++)
		if (routes_is_canary(m->parts[i].ingress))
			for (size_t j = 0; j < m->parts[i].rule->n_paths; j++)
				add_canary_path(m, i, &m->parts[i].rule->paths[j]);
}

/* ---- finished ------------------------------------------------------------------------------------------------- */

/* 0, -EINVAL: not to be served; -ENOMEM. */
static int compile(struct maker *m, struct route *r)
{
	char why[160] = "";
	int rc = match_cache_get(m->cache, r->path, MATCH_ANCHORED, why, sizeof(why), &r->match);

	if (!rc && r->target)
		rc = match_cache_get(m->cache, r->path, 0, why, sizeof(why), &r->rewrite);
	if (!rc && r->canary && r->rewrite)
		r->canary->rewrite = match_hold(r->rewrite);
	if (rc == -EINVAL)
		say(m, r->part, ROUTES_REFUSED,
		    "host \"%s\" path \"%s\" is not served: the regular expression cannot be compiled (%s)",
		    r->host, r->path, why);
	m->no_memory |= rc == -ENOMEM;
	return rc;
}

static void compile_all(struct maker *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->host->routes.len; i++) {
		struct route *r = m->host->routes.data[i];

		if (compile(m, r) == 0)
			m->host->routes.data[n++] = r;
		else
			route_drop(r);
	}
	m->host->routes.len = n;
}

static void attach(struct maker *m, struct route *r)
{
	if (r->canary)
		attach(m, r->canary);
	if (!m->no_memory && route_attach(m->in, &m->parts[r->part], r) < 0)
		m->no_memory = true;
}

static void attach_all(struct maker *m)
{
	for (size_t i = 0; i < m->host->routes.len && !m->no_memory; i++)
		attach(m, m->host->routes.data[i]);
	if (m->host->fallback && !m->no_memory)
		attach(m, m->host->fallback);
}

static void add_redirect(struct maker *m, const char *to)
{
	static const struct ingress_backend none;
	struct route *r =
		route_new(m->in, &m->parts[0], m->host->name, "/", INGRESS_PREFIX, &none, NULL, to);

	if (!r) {
		m->no_memory = true;
		return;
	}
	r->tls = has_tls(m->parts[0].ingress, to);
	if (find_claim(m, r->path, r->type) || m->no_memory) {
		route_drop(r);
		return;
	}
	m->host->redirect_to = r->redirect_host;
	keep_route(m, r);
}

static struct routes_host *new_host(const char *name, const struct routes_part *parts, size_t n)
{
	struct routes_host *host = routes_host_alloc(0);

	if (!host)
		return NULL;
	host->refs = 1;
	host->name = strdup(name);
	host->made_of = n == 1 ? &host->made_of_one : calloc(n + 1, sizeof(uint64_t));
	if (!host->name || !host->made_of) {
		routes_host_drop(host);
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		host->made_of[host->n_made_of++] = parts[i].version;
	return host;
}

static void fill(struct maker *m, const char *redirect_to)
{
	if (redirect_to) {
		add_redirect(m, redirect_to);
	} else {
		for (size_t i = 0; i < m->n_parts && !m->tls; i++)
			m->tls = has_tls(m->parts[i].ingress, m->host->name);
		add_parts(m);
		add_canaries(m);
	}
	if (m->host->regex && !m->no_memory)
		compile_all(m);
	if (!m->no_memory)
		attach_all(m);
	m->no_memory |= routes_host_sort(&m->host) < 0;
}

int routes_host_make(const struct routes_input *in, struct match_cache *cache, const char *name,
		     const char *redirect_to, const struct routes_part *parts, size_t n_parts,
		     struct routes_host **ret_host)
{
	struct maker m = { .in = in, .cache = cache, .parts = parts, .n_parts = n_parts };

	m.host = new_host(name, parts, n_parts);
	if (!m.host)
		return -ENOMEM;
	table_init(&m.claims, in->seed);
	fill(&m, redirect_to);
	table_done(&m.claims, NULL);
	buf_done(&m.key);
	if (m.no_memory) {
		routes_host_drop(m.host);
		return -ENOMEM;
	}
	*ret_host = m.host;
	return 0;
}
