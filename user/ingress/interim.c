// SPDX-License-Identifier: GPL-2.0-only
/* Until config, rule and gate are there: routes and endpoints from any source, no policies. */
/* Must not be relied on. */
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/table.h"
#include "base/vec.h"
#include "ingress/config.h"
#include "ingress/gate.h"
#include "ingress/rule.h"
#include "ingress/settings.h"
#include "ingress/stats.h"
#include "ingress/upstream.h"
#include "ingress/worker.h"
#include "source/object.h"
#include "source/source.h"

struct snapshot {
	_Atomic unsigned refs;
	struct routes *routes;
};

struct config {
	struct config_input in;
	struct source source;
	struct loop_event *work;
	struct table objects; /* kind/ns/name → struct object */
	struct table upstreams;
	unsigned listed;
};

int gate_new(const struct gate_settings *settings, struct gate **ret_gate)
{
	(void)settings;
	*ret_gate = NULL;
	return 0;
}
void gate_free(struct gate *gate)
{
	(void)gate;
}
int gate_check(const struct gate_request *request, struct rule *rule,
	       enum gate_verdict *ret_verdict, struct gate_result *ret_result)
{
	*ret_result = (struct gate_result){ .rule = rule,
					    .body_max = UINT64_MAX,
					    .pick = { .random = request->random,
						      .now_ns = request->now_ns } };
	*ret_verdict = GATE_PASS;
	return 0;
}
int gate_ask(const struct gate_request *request, const struct rule *rule, struct buf *out)
{
	(void)request, (void)rule, (void)out;
	return -ENOMEM;
}
int gate_answered(const struct gate_request *request, struct rule *rule,
		  const struct http1_head *answer, const char *bytes,
		  enum gate_verdict *ret_verdict, struct gate_result *result)
{
	(void)request, (void)rule, (void)answer, (void)bytes, (void)ret_verdict, (void)result;
	return -ENOMEM;
}
const char *gate_cookie(const struct gate_request *request, const struct gate_result *result,
			const struct origin *origin)
{
	(void)request, (void)result, (void)origin;
	return NULL;
}
void gate_leave(struct gate *gate, struct gate_result *result)
{
	(void)gate, (void)result;
}
struct rule *rule_canary(const struct rule *rule)
{
	(void)rule;
	return NULL;
}

struct snapshot *snapshot_hold(struct snapshot *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void snapshot_drop(struct snapshot *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) > 1)
		return;
	routes_drop(s->routes);
	free(s);
}

struct rule *rule_hold(struct rule *rule)
{
	route_hold(rule->route);
	return rule;
}

void rule_drop(struct rule *rule)
{
	if (rule)
		route_drop(rule->route);
}

static struct object *object(struct config *c, enum object_kind kind, const char *ns,
			     const char *name)
{
	char key[600];

	snprintf(key, sizeof(key), "%d/%s/%s", kind, ns, name);
	return table_get_str(&c->objects, key);
}

static struct upstream *upstream_of(struct config *c, const struct route *route)
{
	const struct object *o =
		route->service ? object(c, OBJECT_SERVICE, route->namespace, route->service) : NULL;
	char key[700];

	if (!o)
		return NULL;
	for (size_t i = 0; i < o->service.n_ports; i++) {
		const struct service_port *p = &o->service.ports[i];
		struct upstream *u;

		if (p->proto != IPPROTO_TCP ||
		    (route->port_name ? strcmp(route->port_name, p->name) != 0
				      : p->port != route->port))
			continue;
		snprintf(key, sizeof(key), "%s/%s/%s", route->namespace, route->service, p->name);
		u = table_get_str(&c->upstreams, key);
		if (!u && upstream_new(&upstream_defaults, clock_now_ns(), &u) == 0)
			table_put_str(&c->upstreams, key, u, NULL);
		return u ? upstream_hold(u) : NULL;
	}
	return NULL;
}

int snapshot_find(const struct snapshot *snapshot, struct match_work *work, const char *host,
		  size_t host_len, const char *path, size_t path_len, struct rule **ret_rule)
{
	const struct route *route;
	int rc = routes_find(snapshot->routes, work, host, host_len, path, path_len, &route);

	if (rc == 0)
		*ret_rule = rule_hold(route->rule);
	return rc;
}

static struct rule *attach(void *ctx, size_t source, struct route *route)
{
	struct rule *rule = calloc(1, sizeof(*rule));

	(void)source;
	rule->route = route;
	rule->upstream = upstream_of(ctx, route);
	return rule;
}

static void detach(struct rule *rule)
{
	upstream_drop(rule->upstream);
	free(rule);
}

static void fill(struct config *c, const char *key, struct upstream *u)
{
	struct VEC_OF(struct upstream_endpoint) list = { 0 };
	struct table_entry *e;

	table_for_each(e, &c->objects) {
		const struct object *o = e->value;

		if (o->kind != OBJECT_ENDPOINT_SLICE || !o->slice.service)
			continue;
		for (size_t p = 0; p < o->slice.n_ports; p++) {
			char own[700];

			snprintf(own, sizeof(own), "%s/%s/%s", o->meta.namespace, o->slice.service,
				 o->slice.ports[p].name);
			if (strcmp(own, key) != 0)
				continue;
			for (size_t i = 0; i < o->slice.n_endpoints; i++)
				if (o->slice.endpoints[i].ready) {
					struct upstream_endpoint ep = {
						.addr = o->slice.endpoints[i].addr,
						.port = o->slice.ports[p].port
					};

					(void)vec_push(&list, ep);
				}
		}
	}
	upstream_set(u, list.data, list.len, clock_now_ns(), NULL);
	vec_done(&list);
}

static void rebuild(void *arg)
{
	struct config *c = arg;
	struct VEC_OF(const struct ingress *) ingresses = { 0 };
	struct VEC_OF(const struct ingress_class *) classes = { 0 };
	struct snapshot *s = calloc(1, sizeof(*s));
	struct routes_input in = { .controllers = c->in.settings->controllers,
				   .n_controllers = c->in.settings->n_controllers,
				   .attach = attach,
				   .detach = detach,
				   .ctx = c,
				   .take_default = true,
				   .take_classless = c->in.settings->take_classless,
				   .seed = 7 };
	struct table_entry *e;

	table_for_each(e, &c->objects) {
		const struct object *o = e->value;

		if (o->kind == OBJECT_INGRESS)
			(void)vec_push(&ingresses, &o->ingress);
		else if (o->kind == OBJECT_INGRESS_CLASS)
			(void)vec_push(&classes, &o->ingress_class);
	}
	in.ingresses = ingresses.data;
	in.n_ingresses = ingresses.len;
	in.classes = classes.data;
	in.n_classes = classes.len;
	table_for_each(e, &c->upstreams)
		fill(c, e->key, e->value);
	s->refs = 1;
	if (routes_build(&in, &s->routes) < 0)
		abort();
	table_for_each(e, &c->upstreams)
		fill(c, e->key, e->value);
	for (size_t i = 0; i < c->in.n_workers; i++)
		worker_publish(c->in.workers[i], s);
	snapshot_drop(s);
	vec_done(&ingresses);
	vec_done(&classes);
}

static void put(struct config *c, struct object *o)
{
	char key[600];
	void *old = NULL;

	snprintf(key, sizeof(key), "%d/%s/%s", o->kind, o->meta.namespace, o->meta.name);
	table_put_str(&c->objects, key, o, &old);
	if (old) {
		object_done(old);
		free(old);
	}
	loop_post(c->work);
}
#define PUT(name, type, KIND, field)                         \
	static void name(void *ctx, const struct type *from) \
	{                                                    \
		struct object *o = calloc(1, sizeof(*o));    \
		o->kind = KIND;                              \
		type##_copy(from, &o->field);                \
		put(ctx, o);                                 \
	}
PUT(on_service, service, OBJECT_SERVICE, service)
PUT(on_slice, endpoint_slice, OBJECT_ENDPOINT_SLICE, slice)
PUT(on_ingress, ingress, OBJECT_INGRESS, ingress)
PUT(on_class, ingress_class, OBJECT_INGRESS_CLASS, ingress_class)
static void on_node(void *ctx, const struct node *n)
{
	(void)ctx, (void)n;
}
static void on_cidr(void *ctx, const struct service_cidr *n)
{
	(void)ctx, (void)n;
}
static void on_secret(void *ctx, const struct secret *n)
{
	(void)ctx, (void)n;
}
static void on_gone(void *ctx, enum object_kind kind, const char *ns, const char *name)
{
	struct config *c = ctx;
	char key[600];
	void *old;

	snprintf(key, sizeof(key), "%d/%s/%s", kind, ns, name);
	old = table_remove_str(&c->objects, key);
	if (old) {
		object_done(old);
		free(old);
	}
	loop_post(c->work);
}
static void on_listed(void *ctx, enum object_kind kind)
{
	struct config *c = ctx;

	c->listed |= OBJECT_BIT(kind);
	loop_post(c->work);
}
static void on_problem(void *ctx, const char *what, const char *reason)
{
	(void)ctx;
	if (reason)
		log_warn("problem object=\"%s\" reason=\"%s\"", what, reason);
}

int config_new(const struct config_input *input, struct err *err, struct config **ret_config)
{
	struct config *c = calloc(1, sizeof(*c));
	struct source_options options = { .dir = input->settings->source_dir,
					  .kinds = OBJECTS_OF_PROXY };
	struct source_sink sink = { .ctx = c,
				    .put_service = on_service,
				    .put_slice = on_slice,
				    .put_node = on_node,
				    .put_service_cidr = on_cidr,
				    .put_ingress = on_ingress,
				    .put_ingress_class = on_class,
				    .put_secret = on_secret,
				    .gone = on_gone,
				    .listed = on_listed,
				    .problem = on_problem };
	int rc;

	c->in = *input;
	table_init(&c->objects, 1);
	table_init(&c->upstreams, 2);
	rc = loop_add_deferred(input->loop, rebuild, c, &c->work);
	if (rc == 0)
		rc = source_init(input->loop, &options, &sink, err, &c->source);
	*ret_config = c;
	return rc;
}
static void free_object(void *o)
{
	object_done(o);
	free(o);
}
static void free_upstream(void *u)
{
	upstream_drop(u);
}
void config_free(struct config *c)
{
	if (!c)
		return;
	source_done(&c->source);
	loop_remove(c->work);
	table_done(&c->objects, free_object);
	table_done(&c->upstreams, free_upstream);
	free(c);
}
