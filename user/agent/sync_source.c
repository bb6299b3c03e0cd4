// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the source calls: objects go on to the store, and what follows from them is noted.
 * Must not know what is planned.
 */
#include <string.h>

#include "agent/sync_state.h"

static void nodes_changed(struct sync *s)
{
	sync_configure(s);
	s->services_changed = true; /* listeners are on the node's address */
	if (s->hooks.nodes)
		s->hooks.nodes(s->hooks.ctx);
}

static void put_service(void *ctx, const struct service *service)
{
	struct sync *s = ctx;

	s->inner.put_service(s->inner.ctx, service);
	kubeproxy_service_changed(&s->kubeproxy, clock_wall_ns());
	s->services_changed = true;
	sync_poke(s);
}

/* The slice as the store has it; NULL: it has none. */
static const struct endpoint_slice *known_slice(const struct sync *s,
						const struct endpoint_slice *slice)
{
	const struct store_entry *e =
		slice->service ? store_find(s->store, slice->meta.namespace, slice->service) : NULL;

	for (size_t i = 0; e && i < e->n_slices; i++)
		if (strcmp(e->slices[i]->meta.name, slice->meta.name) == 0)
			return e->slices[i];
	return NULL;
}

static void put_slice(void *ctx, const struct endpoint_slice *slice)
{
	struct sync *s = ctx;
	const struct endpoint_slice *known = known_slice(s, slice);
	bool same_cause = known && known->triggered_ns == slice->triggered_ns;

	kubeproxy_slice_changed(&s->kubeproxy, slice->meta.namespace, slice->service, slice->family,
				same_cause ? 0 : slice->triggered_ns, clock_wall_ns());
	s->inner.put_slice(s->inner.ctx, slice);
	sync_poke(s);
}

static void put_node(void *ctx, const struct node *node)
{
	struct sync *s = ctx;

	s->inner.put_node(s->inner.ctx, node);
	nodes_changed(s);
	sync_poke(s);
}

static void put_service_cidr(void *ctx, const struct service_cidr *cidr)
{
	struct sync *s = ctx;

	s->inner.put_service_cidr(s->inner.ctx, cidr);
	sync_poke(s);
}

static void slice_gone(struct sync *s, const char *namespace, const char *name)
{
	const struct endpoint_slice *slice = store_slice(s->store, namespace, name);

	kubeproxy_slice_gone(&s->kubeproxy, namespace, slice ? slice->service : NULL,
			     clock_wall_ns());
}

static void gone(void *ctx, enum object_kind kind, const char *namespace, const char *name)
{
	struct sync *s = ctx;

	if (kind == OBJECT_ENDPOINT_SLICE)
		slice_gone(s, namespace, name);
	s->inner.gone(s->inner.ctx, kind, namespace, name);
	if (kind == OBJECT_SERVICE) {
		kubeproxy_service_changed(&s->kubeproxy, clock_wall_ns());
		s->services_changed = true;
	}
	if (kind == OBJECT_NODE)
		nodes_changed(s);
	sync_poke(s);
}

static void listed(void *ctx, enum object_kind kind)
{
	struct sync *s = ctx;

	s->inner.listed(s->inner.ctx, kind);
	sync_poke(s);
}

static void problem(void *ctx, const char *object, const char *reason)
{
	struct sync *s = ctx;

	s->inner.problem(s->inner.ctx, object, reason);
}

struct source_sink sync_sink(struct sync *s)
{
	return (struct source_sink){
		.ctx = s,
		.put_service = put_service,
		.put_slice = put_slice,
		.put_node = put_node,
		.put_service_cidr = put_service_cidr,
		.gone = gone,
		.listed = listed,
		.problem = problem,
	};
}
