// SPDX-License-Identifier: GPL-2.0-only
/* Services and EndpointSlices into upstreams, one for each port of a Service that an Ingress names. */
/* Must not know routes, requests, or annotations. */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "ingress/config_state.h"
#include "ingress/settings.h"
#include "ingress/upstream.h"

/* ---- what a Service says -------------------------------------------------------------------------------------- */

struct found {
	const struct service_port *port; /* NULL: none */
	const char *missing, *hint;      /* why; literals */
};

static struct found find_port(const struct config_backend *b, const struct service *s)
{
	struct found found = { .missing = "there is no such Service",
			       .hint = "create it, or correct the name in the Ingress" };

	if (!s)
		return found;
	if (s->type == SERVICE_EXTERNAL_NAME) {
		found.missing = "the Service is of type ExternalName, which is not followed";
		found.hint = "use a Service with endpoints: a name could lead anywhere";
		return found;
	}
	for (size_t i = 0; i < s->n_ports; i++) {
		const struct service_port *p = &s->ports[i];

		if (p->proto == IPPROTO_TCP &&
		    (b->port_name ? strcmp(p->name, b->port_name) == 0 : p->port == b->port)) {
			found.port = p;
			return found;
		}
	}
	found.missing = "the Service has no such port";
	found.hint =
		"name one of its ports (kubectl get service), by number or name, of protocol TCP";
	return found;
}

static bool app_of(const struct service_port *port, enum policy_protocol *ret_protocol)
{
	switch ((enum app_protocol)port->app) {
	case APP_HTTP:
		*ret_protocol = POLICY_HTTP;
		return true;
	case APP_HTTPS:
		*ret_protocol = POLICY_HTTPS;
		return true;
	case APP_H2C:
		*ret_protocol = POLICY_GRPC;
		return true;
	case APP_H2:
		*ret_protocol = POLICY_GRPCS;
		return true;
	case APP_UNKNOWN:
		break;
	}
	return false;
}

/* ---- endpoints ------------------------------------------------------------------------------------------------ */

struct endpoints VEC_OF(struct upstream_endpoint);

struct gather {
	const struct config *config;
	const struct store_entry *entry;
	const char *port_name;
	uint8_t family;      /* 0: any */
	bool terminating;    /* those that go on serving while they end, since no other is left */
	const char *my_zone; /* NULL: unknown */
	struct endpoints list;
	struct arena pods; /* their names */
	bool no_memory;
};

static bool has_text(char *const *texts, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(texts[i], text) == 0)
			return true;
	return false;
}

/* There, or meant for it: hints are only there if the Service asks for them. */
static bool is_of_zone(const struct endpoint *e, const char *zone)
{
	return (e->zone && strcmp(e->zone, zone) == 0) ||
	       has_text(e->zone_hints, e->n_zone_hints, zone);
}

static void add_endpoint(struct gather *g, const struct endpoint *e, uint16_t port)
{
	const char *node = g->config->in.settings->node_name;
	struct upstream_endpoint ep = { .addr = e->addr, .port = port };

	if (g->terminating ? !(e->serving && e->terminating) : !e->ready)
		return;
	if (address_refusal(&e->addr))
		return;
	ep.same_node = node && e->node_name && strcmp(node, e->node_name) == 0;
	ep.same_zone = ep.same_node || (g->my_zone && is_of_zone(e, g->my_zone));
	if (e->pod_name) {
		ep.pod = arena_printf(&g->pods, "%s/%s", g->entry->namespace, e->pod_name);
		g->no_memory |= !ep.pod;
	}
	g->no_memory |= vec_push(&g->list, ep) < 0;
}

static void add_slice(struct gather *g, const struct endpoint_slice *slice)
{
	for (size_t p = 0; p < slice->n_ports; p++)
		if (slice->ports[p].proto == IPPROTO_TCP && slice->ports[p].port &&
		    strcmp(slice->ports[p].name, g->port_name) == 0)
			for (size_t i = 0; i < slice->n_endpoints; i++)
				add_endpoint(g, &slice->endpoints[i], slice->ports[p].port);
}

static void add_slices(struct gather *g)
{
	for (size_t i = 0; i < g->entry->n_slices; i++)
		if (g->entry->slices[i]->family &&
		    (!g->family || g->entry->slices[i]->family == g->family))
			add_slice(g, g->entry->slices[i]);
}

/* A Service of two families lists each pod twice: one is enough, that of its first address. */
static void gather(struct gather *g)
{
	const struct service *s = g->entry->service;
	uint8_t first = s->n_cluster_ips ? s->cluster_ips[0].family : 0;

	for (int round = 0; round < 4 && !g->list.len; round++) {
		g->terminating = round >= 2;
		g->family = round % 2 ? 0 : first;
		add_slices(g);
	}
}

static int set_endpoints(struct config *config, struct config_backend *b,
			 const struct store_entry *entry, const struct service_port *port)
{
	const struct node *node =
		config->in.settings->node_name
			? store_node(config->store, config->in.settings->node_name)
			: NULL;
	struct gather g = { .config = config,
			    .entry = entry,
			    .port_name = port->name,
			    .my_zone = node ? node->zone : NULL };
	const struct service *s = entry->service;
	size_t left = 0;
	int rc = 0;

	if (b->by_address && s->n_cluster_ips) {
		struct upstream_endpoint ep = { .addr = s->cluster_ips[0], .port = port->port };

		g.no_memory = vec_push(&g.list, ep) < 0;
	} else {
		gather(&g);
	}
	rc = g.no_memory
		     ? -ENOMEM
		     : upstream_set(b->upstream, g.list.data, g.list.len, clock_now_ns(), &left);
	if (rc == 0) {
		b->empty = g.list.len == 0;
		config->endpoints_left |= left > 0;
	}
	vec_done(&g.list);
	arena_done(&g.pods);
	return rc;
}

/* ---- one backend ---------------------------------------------------------------------------------------------- */

/* Rules know the upstream and the protocol, so that these make them anew; endpoints do not. */
struct shape {
	const struct upstream *upstream;
	const char *missing;
	enum policy_protocol protocol;
	bool has_protocol;
};

static struct shape shape_of(const struct config_backend *b)
{
	return (struct shape){ b->upstream, b->missing, b->protocol, b->has_protocol };
}

static bool is_same_shape(const struct shape *a, const struct config_backend *b)
{
	return a->upstream == b->upstream && a->missing == b->missing &&
	       a->has_protocol == b->has_protocol &&
	       (!a->has_protocol || a->protocol == b->protocol);
}

static int new_upstream(struct config_backend *b, const struct service *s)
{
	struct upstream_settings settings = upstream_defaults;
	const char *uid = s->meta.uid ? s->meta.uid : s->meta.name;

	settings.seed = table_hash(0, uid, strlen(uid)) ^ b->port;
	return upstream_new(&settings, clock_now_ns(), &b->upstream);
}

static int refresh(struct config *config, struct config_backend *b)
{
	const struct store_entry *entry = store_find(config->store, b->namespace, b->service);
	struct found found = find_port(b, entry ? entry->service : NULL);

	b->missing = found.port ? NULL : found.missing;
	b->hint = found.port ? NULL : found.hint;
	/* another Service of that name has other clients to keep at its endpoints */
	if (!found.port || !entry || (b->upstream && b->incarnation != entry->incarnation)) {
		upstream_drop(b->upstream);
		b->upstream = NULL;
	}
	if (!found.port || !entry) {
		b->has_protocol = false;
		b->empty = false;
		return 0;
	}
	if (!b->upstream && new_upstream(b, entry->service) < 0) {
		b->missing = "out of memory";
		return -ENOMEM;
	}
	b->incarnation = entry->incarnation;
	b->has_protocol = app_of(found.port, &b->protocol);
	return set_endpoints(config, b, entry, found.port);
}

/* ---- the table ------------------------------------------------------------------------------------------------ */

static struct config_service *service_of(struct config *config, const char *namespace,
					 const char *service, bool make)
{
	char key[CONFIG_KEY_MAX];
	struct config_service *s;

	config_key(namespace, service, key);
	s = table_get_str(&config->services, key);
	if (s || !make)
		return s;
	s = calloc(1, sizeof(*s));
	if (s && table_put_str(&config->services, key, s, NULL) < 0) {
		free(s);
		return NULL;
	}
	return s;
}

static struct config_backend *add(struct config *config, const char *key, const char *namespace,
				  const char *service, const char *port_name, uint16_t port,
				  bool by_address)
{
	struct config_service *s = service_of(config, namespace, service, true);
	struct config_backend *b = s ? calloc(1, sizeof(*b)) : NULL;

	if (!b)
		return NULL;
	b->namespace = strdup(namespace);
	b->service = strdup(service);
	b->port_name = port_name ? strdup(port_name) : NULL;
	b->port = port;
	b->by_address = by_address;
	if (!b->namespace || !b->service || (port_name && !b->port_name) ||
	    vec_reserve(&s->backends, 1) < 0 || refresh(config, b) < 0 ||
	    table_put_str(&config->backends, key, b, NULL) < 0) {
		config_backend_free(b);
		return NULL;
	}
	(void)vec_push(&s->backends, b);
	return b;
}

struct config_backend *config_backend_get(struct config *config, const char *namespace,
					  const char *service, const char *port_name, uint16_t port,
					  bool by_address)
{
	char key[2 * CONFIG_KEY_MAX];
	struct config_backend *b;

	snprintf(key, sizeof(key), "%.250s/%.250s/%.64s/%u/%d", namespace, service,
		 port_name ? port_name : "", port_name ? 0 : port, by_address);
	b = table_get_str(&config->backends, key);
	return b ? b : add(config, key, namespace, service, port_name, port, by_address);
}

void config_backend_free(void *backend)
{
	struct config_backend *b = backend;

	upstream_drop(b->upstream);
	free(b->namespace);
	free(b->service);
	free(b->port_name);
	free(b);
}

void config_service_free(void *service)
{
	struct config_service *s = service;

	vec_done(&s->backends);
	free(s);
}

static void forget(struct config *config, struct config_backend *b)
{
	struct config_service *s = service_of(config, b->namespace, b->service, false);
	char key[CONFIG_KEY_MAX];

	for (size_t i = 0; s && i < s->backends.len; i++)
		if (s->backends.data[i] == b) {
			vec_remove_swap(&s->backends, i);
			break;
		}
	if (s && !s->backends.len) {
		config_key(b->namespace, b->service, key);
		config_service_free(table_remove_str(&config->services, key));
	}
	config_backend_free(b);
}

void config_sweep_backends(struct config *config)
{
	struct table_entry *entry;

	table_for_each(entry, &config->backends) {
		struct config_backend *b = entry->value;

		if (atomic_load(&b->users) == 0) {
			table_remove(&config->backends, entry->key, entry->key_len);
			forget(config, b);
		}
	}
}

/* ---- figures ---------------------------------------------------------------------------------------------------- */

struct count {
	size_t all, ejected;
	uint64_t now_ns;
};

static void count_one(void *ctx, const struct origin *origin)
{
	struct count *count = ctx;

	count->all++;
	count->ejected += atomic_load(&origin->ejected_until_ns) > count->now_ns;
}

void config_count_endpoints(const struct config *config, size_t *ret_all, size_t *ret_ejected)
{
	struct count count = { .now_ns = clock_now_ns() };
	struct table_entry *entry;

	table_for_each(entry, &config->backends) {
		const struct config_backend *b = entry->value;

		if (b->upstream)
			upstream_each(b->upstream, count_one, &count);
	}
	*ret_all = count.all;
	*ret_ejected = count.ejected;
}

/* ---- changes -------------------------------------------------------------------------------------------------- */

static bool names(const struct ingress *ingress, const char *service)
{
	if (ingress->has_default && ingress->default_backend.service &&
	    strcmp(ingress->default_backend.service, service) == 0)
		return true;
	for (size_t i = 0; i < ingress->n_rules; i++)
		for (size_t j = 0; j < ingress->rules[i].n_paths; j++) {
			const char *name = ingress->rules[i].paths[j].backend.service;

			if (name && strcmp(name, service) == 0)
				return true;
		}
	return false;
}

static void tell_users(struct config *config, const struct store_entry *entry, bool shape)
{
	struct table_entry *e;

	table_for_each(e, &config->ingresses) {
		struct config_ingress *i = e->value;

		if (!i->ours || ((strcmp(i->ingress.meta.namespace, entry->namespace) != 0 ||
				  !names(&i->ingress, entry->name)) &&
				 !config_asks(i, entry->namespace, entry->name)))
			continue;
		if (shape)
			config_touch(config, i); /* which tells of it, too */
		else
			config_tell_backends(config, i);
	}
}

static int update(struct config *config, const struct store_entry *entry)
{
	struct config_service *s = service_of(config, entry->namespace, entry->name, false);
	bool shape = false, emptied = false;
	int rc = 0;

	for (size_t i = 0; s && i < s->backends.len; i++) {
		struct config_backend *b = s->backends.data[i];
		struct shape before = shape_of(b);
		bool empty = b->empty;

		if (refresh(config, b) < 0)
			rc = -ENOMEM;
		shape |= !is_same_shape(&before, b);
		emptied |= empty != b->empty;
	}
	if (s)
		config->stats.endpoint_changes++;
	if (shape || emptied)
		tell_users(config, entry, shape);
	return rc;
}

int config_update_backends(struct config *config)
{
	struct store_entry *entry, *next;
	int rc = 0;

	if (store_nodes_dirty(config->store)) { /* our zone, maybe */
		store_mark_all_dirty(config->store);
		store_clean_nodes(config->store);
	}
	for (entry = store_first_dirty(config->store); entry; entry = next) {
		next = store_next_dirty(config->store, entry);
		if (update(config, entry) < 0)
			rc = -ENOMEM; /* stays dirty */
		else
			store_clean(config->store, entry);
	}
	return rc;
}

/* ---- what is said of them --------------------------------------------------------------------------------------- */

static void tell(struct config *config, const struct ingress *ingress,
		 const struct ingress_backend *named)
{
	struct problems *p = config->problems[CONFIG_BACKEND];
	char port[80];
	const struct config_backend *b;

	if (!named->service)
		return;
	b = config_backend_get(config, ingress->meta.namespace, named->service, named->port_name,
			       named->port, false);
	if (!b)
		return;
	if (named->port_name)
		snprintf(port, sizeof(port), "\"%.64s\"", named->port_name);
	else
		snprintf(port, sizeof(port), "%u", named->port);
	if (b->missing)
		problem_add(p, "Service %s, port %s: %s, so the answer is 503; %s", named->service,
			    port, b->missing, b->hint);
	else if (b->empty)
		problem_add(
			p,
			"Service %s, port %s: no endpoint is ready, so the answer is 503; look at its pods "
			"(kubectl get endpointslices -l kubernetes.io/service-name=%s)",
			named->service, port, named->service);
}

void config_tell_backends(struct config *config, const struct config_ingress *i)
{
	const struct ingress *ingress = &i->ingress;
	char object[CONFIG_KEY_MAX + 16];

	snprintf(object, sizeof(object), "Ingress %s/%s", ingress->meta.namespace,
		 ingress->meta.name);
	problem_begin(config->problems[CONFIG_BACKEND], "", object);
	if (i->ours && ingress->has_default)
		tell(config, ingress, &ingress->default_backend);
	for (size_t r = 0; i->ours && r < ingress->n_rules; r++)
		for (size_t k = 0; k < ingress->rules[r].n_paths; k++)
			tell(config, ingress, &ingress->rules[r].paths[k].backend);
	problem_end(config->problems[CONFIG_BACKEND]);
}
