// SPDX-License-Identifier: GPL-2.0-only
/* One route: its memory and who holds it. */
/* Must not know how it is found. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/routes_host.h"
#include "ingress/setting.h"

/* Texts lie behind the struct. */
static void put(char **end, const char **field, const char *text)
{
	size_t size;

	if (!text)
		return;
	size = strlen(text) + 1;
	*field = memcpy(*end, text, size);
	*end += size;
}

static size_t size_of(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

struct route *route_new(const struct routes_input *in, const struct routes_part *part,
			const char *host, const char *path, enum ingress_path_type type,
			const struct ingress_backend *backend, const char *target,
			const char *redirect_host)
{
	const struct object_meta *meta = &part->ingress->meta;
	size_t size = sizeof(struct route) + size_of(meta->namespace) + size_of(meta->name) +
		      size_of(host) + size_of(path) + size_of(backend->service) +
		      size_of(backend->port_name) + size_of(target) + size_of(redirect_host);
	struct route *r = calloc(1, size);
	char *end = (char *)(r + 1);

	if (!r)
		return NULL;
	put(&end, &r->namespace, meta->namespace);
	put(&end, &r->ingress, meta->name);
	put(&end, &r->host, host);
	put(&end, &r->path, path);
	put(&end, &r->service, backend->service);
	put(&end, &r->port_name, backend->port_name);
	put(&end, &r->target, target);
	put(&end, &r->redirect_host, redirect_host);
	r->type = type;
	r->port = backend->port;
	r->strip = setting_is_true(part->ingress, "strip-prefix");
	r->detach = in->detach;
	r->refs = 1;
	return r;
}

int route_attach(const struct routes_input *in, const struct routes_part *part, struct route *route)
{
	if (!in->attach)
		return 0;
	route->rule = in->attach(in->ctx, part->source, route);
	return route->rule ? 0 : -ENOMEM;
}

struct route *route_hold(const struct route *route)
{
	struct route *r = (struct route *)route; /* what is counted is not what is said */

	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	return r;
}

void route_drop(const struct route *route)
{
	struct route *r = (struct route *)route;

	if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	if (r->rule && r->detach)
		r->detach(r->rule);
	route_drop(r->canary);
	match_drop(r->match);
	match_drop(r->rewrite);
	free(r);
}
