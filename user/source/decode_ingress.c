// SPDX-License-Identifier: GPL-2.0-only
/* The fields of networking.k8s.io/v1 Ingress and IngressClass. */
/* Must not know what other objects there are, or what annotations mean. */
#include "source/decode_read.h"

#include <stdlib.h>
#include <string.h>

#include "core/model_ingress.h"

static void read_backend_port(struct notes *n, const struct field *service,
			      struct ingress_backend *b)
{
	static const char *const known[] = { "name", "number", NULL };
	struct field port = field_get(service, "port");
	struct field name = field_get(&port, "name"), number = field_get(&port, "number");
	int64_t value;

	if (!field_is_map(n, &port)) {
		if (!field_is_set(&port))
			note_refusal(n, &port, "is missing: give number or name");
		return;
	}
	field_check_names(n, &port, known);
	if (field_is_set(&name))
		b->port_name = field_strdup(n, &name);
	else if (!field_is_set(&number))
		note_refusal(n, &port, "has neither number nor name");
	else if (field_int(n, &number, "a port", 1, 65535, &value))
		b->port = (uint16_t)value;
}

/* A resource is no mistake here: the path exists, and nothing of ours serves it. */
static void read_backend(struct notes *n, const struct field *f, struct ingress_backend *b)
{
	static const char *const known[] = { "resource", "service", NULL };
	struct field service = field_get(f, "service"), name = field_get(&service, "name");

	if (!field_is_map(n, f)) {
		if (!field_is_set(f))
			note_refusal(n, f, "is missing: name a service and its port");
		return;
	}
	field_check_names(n, f, known);
	if (!field_is_map(n, &service))
		return;
	b->service = field_strdup(n, &name);
	if (!b->service || !*b->service)
		note_refusal(n, &name, "is missing: name the Service");
	read_backend_port(n, &service, b);
}

static void read_path(struct notes *n, const struct field *f, struct ingress_rule *rule)
{
	static const char *const known[] = { "backend", "path", "pathType", NULL };
	static const char *const types[] = { "Exact", "Prefix", "ImplementationSpecific", NULL };
	struct field path = field_get(f, "path"), type = field_get(f, "pathType");
	struct field backend = field_get(f, "backend");
	struct ingress_path *p = &rule->paths[rule->n_paths++];

	if (!field_is_map(n, f))
		return;
	field_check_names(n, f, known);
	p->path = field_strdup(n, &path);
	if (p->path && *p->path && *p->path != '/')
		note_refusal(n, &path, "must begin with '/'");
	p->type = (enum ingress_path_type)field_word(n, &type, types, INGRESS_SPECIFIC);
	if (!field_is_set(&type))
		note_refusal(n, &type,
			     "is missing: it is one of Exact, Prefix or ImplementationSpecific");
	read_backend(n, &backend, &p->backend);
}

static void read_rule(struct notes *n, const struct field *f, struct ingress *ingress)
{
	static const char *const known[] = { "host", "http", NULL };
	struct field host = field_get(f, "host"), http = field_get(f, "http");
	struct field paths = field_get(&http, "paths"), e;
	struct ingress_rule *rule = &ingress->rules[ingress->n_rules++];

	if (!field_is_map(n, f))
		return;
	field_check_names(n, f, known);
	rule->host = field_strdup(n, &host);
	if (!field_is_map(n, &http) || !field_is_list(n, &paths))
		return;
	rule->paths = notes_calloc(n, value_count(paths.value), sizeof(*rule->paths));
	for (e = field_first(&paths); rule->paths && e.value.node; field_next(&e))
		read_path(n, &e, rule);
}

static void read_rules(struct notes *n, const struct field *spec, struct ingress *ingress)
{
	struct field list = field_get(spec, "rules"), e;

	if (!field_is_list(n, &list))
		return;
	ingress->rules = notes_calloc(n, value_count(list.value), sizeof(*ingress->rules));
	for (e = field_first(&list); ingress->rules && e.value.node; field_next(&e))
		read_rule(n, &e, ingress);
}

static void read_tls(struct notes *n, const struct field *spec, struct ingress *ingress)
{
	struct field list = field_get(spec, "tls"), e, host;

	if (!field_is_list(n, &list))
		return;
	ingress->tls = notes_calloc(n, value_count(list.value), sizeof(*ingress->tls));
	for (e = field_first(&list); ingress->tls && e.value.node; field_next(&e)) {
		struct ingress_tls *tls = &ingress->tls[ingress->n_tls++];
		struct field secret = field_get(&e, "secretName"), hosts = field_get(&e, "hosts");

		if (!field_is_map(n, &e))
			continue;
		tls->secret = field_strdup(n, &secret);
		if (!field_is_list(n, &hosts))
			continue;
		tls->hosts = notes_calloc(n, value_count(hosts.value), sizeof(*tls->hosts));
		for (host = field_first(&hosts); tls->hosts && host.value.node; field_next(&host)) {
			tls->hosts[tls->n_hosts] = field_strdup(n, &host);
			tls->n_hosts += tls->hosts[tls->n_hosts] != NULL;
		}
	}
}

/* Those that somebody here may read; others can be large and are nobody's business. */
static bool is_ours(const char *name)
{
	return strncmp(name, INGRESS_NGINX, strlen(INGRESS_NGINX)) == 0 ||
	       strncmp(name, INGRESS_SLUICE, strlen(INGRESS_SLUICE)) == 0 ||
	       strcmp(name, INGRESS_ANNOTATION_CLASS) == 0;
}

/* Values may hold line breaks (snippets do), so they are not read as other strings are. */
static void read_annotations(struct notes *n, const struct field *metadata, struct ingress *ingress)
{
	struct field map = field_get(metadata, "annotations"), e;

	if (!field_is_map(n, &map))
		return;
	ingress->annotations =
		notes_calloc(n, value_count(map.value), sizeof(*ingress->annotations));
	for (e = field_first(&map); ingress->annotations && e.value.node; field_next(&e)) {
		const char *name = value_key(e.value), *value = value_string(e.value);
		struct ingress_annotation *a = &ingress->annotations[ingress->n_annotations];

		if (!name || !is_ours(name))
			continue;
		if (!value) {
			note_refusal(n, &e, "is no string: put it in quotes");
			continue;
		}
		ingress->n_annotations++;
		a->name = notes_strdup(n, name);
		a->value = notes_strdup(n, value);
	}
}

/* What the API says of it, and nobody writes by hand: what is wrong in there is not worth a word. */
static void read_addresses(struct notes *n, const struct field *root, struct ingress *ingress)
{
	struct field status = field_get(root, "status");
	struct field balancer = field_get(&status, "loadBalancer");
	struct field list = field_get(&balancer, "ingress"), e;
	size_t count = value_type(list.value) == VALUE_LIST ? value_count(list.value) : 0;

	ingress->addresses = notes_calloc(n, count, sizeof(*ingress->addresses));
	if (!ingress->addresses)
		return;
	for (e = field_first(&list); e.value.node; field_next(&e)) {
		const char *ip = value_string(value_get(e.value, "ip"));
		const char *name = value_string(value_get(e.value, "hostname"));

		if (ip || name)
			ingress->addresses[ingress->n_addresses++] =
				notes_strdup(n, ip ? ip : name);
	}
}

void decode_ingress(struct notes *n, const struct field *root, struct object *object)
{
	static const char *const known[] = { "defaultBackend", "ingressClassName", "rules", "tls",
					     NULL };
	struct ingress *ingress = &object->ingress;
	struct field metadata = field_get(root, "metadata"), spec = field_get(root, "spec");
	struct field created = field_get(&metadata, "creationTimestamp");
	struct field class = field_get(&spec, "ingressClassName");
	struct field backend = field_get(&spec, "defaultBackend");

	ingress->created_ns = field_time(n, &created);
	read_annotations(n, &metadata, ingress);
	read_addresses(n, root, ingress);
	if (!field_is_map(n, &spec))
		return;
	field_check_names(n, &spec, known);
	ingress->class_name = field_strdup(n, &class);
	ingress->has_default = field_is_set(&backend);
	if (ingress->has_default)
		read_backend(n, &backend, &ingress->default_backend);
	read_rules(n, &spec, ingress);
	read_tls(n, &spec, ingress);
}

void decode_ingress_class(struct notes *n, const struct field *root, struct object *object)
{
	static const char *const known[] = { "controller", "parameters", NULL };
	struct ingress_class *class = &object->ingress_class;
	struct field metadata = field_get(root, "metadata"), spec = field_get(root, "spec");
	struct field created = field_get(&metadata, "creationTimestamp"), annotations;
	struct field mark = decode_tag(n, &metadata, "annotations",
				       "ingressclass.kubernetes.io/is-default-class", &annotations);
	struct field controller = field_get(&spec, "controller");

	class->created_ns = field_time(n, &created);
	class->is_default = ingress_is_true(field_string(n, &mark));
	if (!field_is_map(n, &spec))
		return;
	field_check_names(n, &spec, known);
	class->controller = field_strdup(n, &controller);
}
