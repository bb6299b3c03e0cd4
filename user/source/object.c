// SPDX-License-Identifier: GPL-2.0-only
/* Objects of any kind: compared, named, given on. */
/* Must not know where they come from nor what the sink does with them. */
#include "source/object.h"

#include <stdio.h>
#include <string.h>

void object_done(struct object *object)
{
	if (!object)
		return;
	switch (object->kind) {
	case OBJECT_SERVICE:
		service_done(&object->service);
		break;
	case OBJECT_ENDPOINT_SLICE:
		endpoint_slice_done(&object->slice);
		break;
	case OBJECT_NODE:
		node_done(&object->node);
		break;
	case OBJECT_SERVICE_CIDR:
		service_cidr_done(&object->service_cidr);
		break;
	case OBJECT_INGRESS:
		ingress_done(&object->ingress);
		break;
	case OBJECT_INGRESS_CLASS:
		ingress_class_done(&object->ingress_class);
		break;
	case OBJECT_SECRET:
		secret_done(&object->secret);
		break;
	case OBJECT_KINDS:
		break;
	}
}

static bool text_equal(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool addresses_equal(const struct address *a, size_t n_a, const struct address *b,
			    size_t n_b)
{
	size_t i;

	for (i = 0; n_a == n_b && i < n_a; i++)
		if (address_cmp(&a[i], &b[i]))
			return false;
	return n_a == n_b;
}

static bool cidrs_equal(const struct cidr *a, size_t n_a, const struct cidr *b, size_t n_b)
{
	size_t i;

	for (i = 0; n_a == n_b && i < n_a; i++)
		if (a[i].len != b[i].len || address_cmp(&a[i].addr, &b[i].addr))
			return false;
	return n_a == n_b;
}

static bool words_equal(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
	size_t i;

	for (i = 0; n_a == n_b && i < n_a; i++)
		if (!text_equal(a[i], b[i]))
			return false;
	return n_a == n_b;
}

static bool service_ports_equal(const struct service *a, const struct service *b)
{
	size_t i;

	for (i = 0; a->n_ports == b->n_ports && i < a->n_ports; i++) {
		const struct service_port *p = &a->ports[i], *q = &b->ports[i];

		if (!text_equal(p->name, q->name) || p->proto != q->proto || p->port != q->port ||
		    p->node_port != q->node_port || p->app != q->app)
			return false;
	}
	return a->n_ports == b->n_ports;
}

static bool services_equal(const struct service *a, const struct service *b)
{
	return a->type == b->type && a->affinity_s == b->affinity_s &&
	       a->internal_policy == b->internal_policy &&
	       a->external_policy == b->external_policy &&
	       a->health_check_node_port == b->health_check_node_port &&
	       a->algorithm == b->algorithm && a->skip == b->skip && a->created_s == b->created_s &&
	       addresses_equal(a->cluster_ips, a->n_cluster_ips, b->cluster_ips,
			       b->n_cluster_ips) &&
	       addresses_equal(a->external_ips, a->n_external_ips, b->external_ips,
			       b->n_external_ips) &&
	       addresses_equal(a->lb_ips, a->n_lb_ips, b->lb_ips, b->n_lb_ips) &&
	       cidrs_equal(a->source_ranges, a->n_source_ranges, b->source_ranges,
			   b->n_source_ranges) &&
	       service_ports_equal(a, b);
}

static bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return address_cmp(&a->addr, &b->addr) == 0 && a->ready == b->ready &&
	       a->serving == b->serving && a->terminating == b->terminating &&
	       text_equal(a->node_name, b->node_name) && text_equal(a->zone, b->zone) &&
	       text_equal(a->pod_name, b->pod_name) &&
	       words_equal(a->zone_hints, a->n_zone_hints, b->zone_hints, b->n_zone_hints) &&
	       words_equal(a->node_hints, a->n_node_hints, b->node_hints, b->n_node_hints);
}

static bool slices_equal(const struct endpoint_slice *a, const struct endpoint_slice *b)
{
	size_t i;

	if (!text_equal(a->service, b->service) || a->family != b->family ||
	    a->triggered_ns != b->triggered_ns || a->n_endpoints != b->n_endpoints ||
	    a->n_ports != b->n_ports)
		return false;
	for (i = 0; i < a->n_ports; i++)
		if (!text_equal(a->ports[i].name, b->ports[i].name) ||
		    a->ports[i].proto != b->ports[i].proto || a->ports[i].port != b->ports[i].port)
			return false;
	for (i = 0; i < a->n_endpoints; i++)
		if (!endpoint_equal(&a->endpoints[i], &b->endpoints[i]))
			return false;
	return true;
}

static bool nodes_equal(const struct node *a, const struct node *b)
{
	return a->deleting == b->deleting && a->doomed == b->doomed &&
	       text_equal(a->zone, b->zone) &&
	       addresses_equal(a->internal_ips, a->n_internal_ips, b->internal_ips,
			       b->n_internal_ips) &&
	       addresses_equal(a->external_ips, a->n_external_ips, b->external_ips,
			       b->n_external_ips) &&
	       cidrs_equal(a->pod_cidrs, a->n_pod_cidrs, b->pod_cidrs, b->n_pod_cidrs);
}

static bool backends_equal(const struct ingress_backend *a, const struct ingress_backend *b)
{
	return text_equal(a->service, b->service) && text_equal(a->port_name, b->port_name) &&
	       a->port == b->port;
}

static bool ingress_rules_equal(const struct ingress_rule *a, const struct ingress_rule *b)
{
	size_t i;

	if (!text_equal(a->host, b->host) || a->n_paths != b->n_paths)
		return false;
	for (i = 0; i < a->n_paths; i++)
		if (!text_equal(a->paths[i].path, b->paths[i].path) ||
		    a->paths[i].type != b->paths[i].type ||
		    !backends_equal(&a->paths[i].backend, &b->paths[i].backend))
			return false;
	return true;
}

static bool annotations_equal(const struct ingress *a, const struct ingress *b)
{
	size_t i;

	for (i = 0; a->n_annotations == b->n_annotations && i < a->n_annotations; i++)
		if (!text_equal(a->annotations[i].name, b->annotations[i].name) ||
		    !text_equal(a->annotations[i].value, b->annotations[i].value))
			return false;
	return a->n_annotations == b->n_annotations;
}

static bool ingresses_equal(const struct ingress *a, const struct ingress *b)
{
	size_t i;

	if (a->created_ns != b->created_ns || !text_equal(a->class_name, b->class_name) ||
	    a->has_default != b->has_default ||
	    !backends_equal(&a->default_backend, &b->default_backend) || a->n_rules != b->n_rules ||
	    a->n_tls != b->n_tls || !annotations_equal(a, b))
		return false;
	for (i = 0; i < a->n_rules; i++)
		if (!ingress_rules_equal(&a->rules[i], &b->rules[i]))
			return false;
	for (i = 0; i < a->n_tls; i++)
		if (!text_equal(a->tls[i].secret, b->tls[i].secret) ||
		    !words_equal(a->tls[i].hosts, a->tls[i].n_hosts, b->tls[i].hosts,
				 b->tls[i].n_hosts))
			return false;
	return true;
}

static bool secrets_equal(const struct secret *a, const struct secret *b)
{
	size_t i;

	if (!text_equal(a->type, b->type) || a->n_items != b->n_items)
		return false;
	for (i = 0; i < a->n_items; i++)
		if (!text_equal(a->items[i].key, b->items[i].key) ||
		    a->items[i].len != b->items[i].len ||
		    (a->items[i].len &&
		     memcmp(a->items[i].data, b->items[i].data, a->items[i].len) != 0))
			return false;
	return true;
}

bool object_equal(const struct object *a, const struct object *b)
{
	if (a->kind != b->kind || !text_equal(a->meta.namespace, b->meta.namespace) ||
	    !text_equal(a->meta.name, b->meta.name) || !text_equal(a->meta.uid, b->meta.uid))
		return false;
	switch (a->kind) {
	case OBJECT_SERVICE:
		return services_equal(&a->service, &b->service);
	case OBJECT_ENDPOINT_SLICE:
		return slices_equal(&a->slice, &b->slice);
	case OBJECT_NODE:
		return nodes_equal(&a->node, &b->node);
	case OBJECT_SERVICE_CIDR:
		return cidrs_equal(a->service_cidr.cidrs, a->service_cidr.n_cidrs,
				   b->service_cidr.cidrs, b->service_cidr.n_cidrs);
	case OBJECT_INGRESS:
		return ingresses_equal(&a->ingress, &b->ingress);
	case OBJECT_INGRESS_CLASS:
		return a->ingress_class.created_ns == b->ingress_class.created_ns &&
		       a->ingress_class.is_default == b->ingress_class.is_default &&
		       text_equal(a->ingress_class.controller, b->ingress_class.controller);
	case OBJECT_SECRET:
		return secrets_equal(&a->secret, &b->secret);
	case OBJECT_KINDS:
		break;
	}
	return false;
}

void object_put(const struct object *object, const struct source_sink *sink)
{
	switch (object->kind) {
	case OBJECT_SERVICE:
		sink->put_service(sink->ctx, &object->service);
		break;
	case OBJECT_ENDPOINT_SLICE:
		sink->put_slice(sink->ctx, &object->slice);
		break;
	case OBJECT_NODE:
		sink->put_node(sink->ctx, &object->node);
		break;
	case OBJECT_SERVICE_CIDR:
		sink->put_service_cidr(sink->ctx, &object->service_cidr);
		break;
	case OBJECT_INGRESS:
		sink->put_ingress(sink->ctx, &object->ingress);
		break;
	case OBJECT_INGRESS_CLASS:
		sink->put_ingress_class(sink->ctx, &object->ingress_class);
		break;
	case OBJECT_SECRET:
		sink->put_secret(sink->ctx, &object->secret);
		break;
	case OBJECT_KINDS:
		break;
	}
}

const char *object_kind_name(enum object_kind kind)
{
	static const char *const names[OBJECT_KINDS] = {
		[OBJECT_SERVICE] = "Service", [OBJECT_ENDPOINT_SLICE] = "EndpointSlice",
		[OBJECT_NODE] = "Node",       [OBJECT_SERVICE_CIDR] = "ServiceCIDR",
		[OBJECT_INGRESS] = "Ingress", [OBJECT_INGRESS_CLASS] = "IngressClass",
		[OBJECT_SECRET] = "Secret",
	};

	return kind < OBJECT_KINDS ? names[kind] : "object";
}

const char *object_subject(enum object_kind kind, const char *namespace, const char *name,
			   char buf[OBJECT_SUBJECT_LEN])
{
	snprintf(buf, OBJECT_SUBJECT_LEN, "%s %s%s%s", object_kind_name(kind), namespace,
		 *namespace ? "/" : "", name);
	return buf;
}
