// SPDX-License-Identifier: GPL-2.0
/* Copies and frees the plain objects that sources make and the store keeps. */
/* Must not know: what the values mean. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/model.h"
#include "core/model_copy.h"

void *model_copy_array(const void *from, size_t n, size_t size, int *rc)
{
	void *to;

	if (*rc || !n || !from)
		return NULL;
	to = calloc(n, size);
	if (!to)
		*rc = -ENOMEM;
	else
		memcpy(to, from, n * size);
	return to;
}

char *model_copy_text(const char *from, int *rc)
{
	return from ? model_copy_array(from, strlen(from) + 1, 1, rc) : NULL;
}

char **model_copy_texts(char *const *from, size_t n, int *rc)
{
	char **to;

	if (*rc || !n)
		return NULL;
	to = calloc(n, sizeof(*to));
	if (!to) {
		*rc = -ENOMEM;
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		to[i] = model_copy_text(from[i], rc);
	return to;
}

void model_free_texts(char **texts, size_t n)
{
	if (!texts)
		return;
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

void model_meta_done(struct object_meta *m)
{
	free(m->namespace);
	free(m->name);
	free(m->uid);
	free(m->origin);
}

void model_copy_meta(const struct object_meta *from, struct object_meta *to, int *rc)
{
	to->namespace = model_copy_text(from->namespace, rc);
	to->name = model_copy_text(from->name, rc);
	to->uid = model_copy_text(from->uid, rc);
	to->origin = model_copy_text(from->origin, rc);
}

/* ---- Service --------------------------------------------------------------------------------- */

void service_done(struct service *s)
{
	if (!s)
		return;
	model_meta_done(&s->meta);
	free(s->cluster_ips);
	free(s->external_ips);
	free(s->lb_ips);
	free(s->source_ranges);
	for (size_t i = 0; s->ports && i < s->n_ports; i++)
		free(s->ports[i].name);
	free(s->ports);
	memset(s, 0, sizeof(*s));
}

int service_copy(const struct service *s, struct service *ret_copy)
{
	struct service c = *s;
	int rc = 0;

	memset(&c.meta, 0, sizeof(c.meta));
	model_copy_meta(&s->meta, &c.meta, &rc);
	c.cluster_ips =
		model_copy_array(s->cluster_ips, s->n_cluster_ips, sizeof(*s->cluster_ips), &rc);
	c.external_ips =
		model_copy_array(s->external_ips, s->n_external_ips, sizeof(*s->external_ips), &rc);
	c.lb_ips = model_copy_array(s->lb_ips, s->n_lb_ips, sizeof(*s->lb_ips), &rc);
	c.source_ranges = model_copy_array(s->source_ranges, s->n_source_ranges,
					   sizeof(*s->source_ranges), &rc);
	c.ports = model_copy_array(s->ports, s->n_ports, sizeof(*s->ports), &rc);
	for (size_t i = 0; c.ports && i < s->n_ports; i++)
		c.ports[i].name = model_copy_text(s->ports[i].name, &rc);
	if (rc < 0) {
		service_done(&c);
		return rc;
	}
	*ret_copy = c;
	return 0;
}

/* ---- EndpointSlice --------------------------------------------------------------------------- */

static void endpoint_done(struct endpoint *e)
{
	free(e->node_name);
	free(e->zone);
	free(e->pod_name);
	model_free_texts(e->zone_hints, e->n_zone_hints);
	model_free_texts(e->node_hints, e->n_node_hints);
}

static void copy_endpoint(const struct endpoint *from, struct endpoint *to, int *rc)
{
	to->node_name = model_copy_text(from->node_name, rc);
	to->zone = model_copy_text(from->zone, rc);
	to->pod_name = model_copy_text(from->pod_name, rc);
	to->zone_hints = model_copy_texts(from->zone_hints, from->n_zone_hints, rc);
	to->node_hints = model_copy_texts(from->node_hints, from->n_node_hints, rc);
}

void endpoint_slice_done(struct endpoint_slice *s)
{
	if (!s)
		return;
	model_meta_done(&s->meta);
	free(s->service);
	for (size_t i = 0; s->endpoints && i < s->n_endpoints; i++)
		endpoint_done(&s->endpoints[i]);
	free(s->endpoints);
	for (size_t i = 0; s->ports && i < s->n_ports; i++)
		free(s->ports[i].name);
	free(s->ports);
	memset(s, 0, sizeof(*s));
}

int endpoint_slice_copy(const struct endpoint_slice *s, struct endpoint_slice *ret_copy)
{
	struct endpoint_slice c = *s;
	int rc = 0;

	memset(&c.meta, 0, sizeof(c.meta));
	model_copy_meta(&s->meta, &c.meta, &rc);
	c.service = model_copy_text(s->service, &rc);
	/*
	 * Every element is visited even after a failure: what was copied bytewise must not be freed
	 * twice.
	 */
	c.endpoints = model_copy_array(s->endpoints, s->n_endpoints, sizeof(*s->endpoints), &rc);
	for (size_t i = 0; c.endpoints && i < s->n_endpoints; i++)
		copy_endpoint(&s->endpoints[i], &c.endpoints[i], &rc);
	c.ports = model_copy_array(s->ports, s->n_ports, sizeof(*s->ports), &rc);
	for (size_t i = 0; c.ports && i < s->n_ports; i++)
		c.ports[i].name = model_copy_text(s->ports[i].name, &rc);
	if (rc < 0) {
		endpoint_slice_done(&c);
		return rc;
	}
	*ret_copy = c;
	return 0;
}

/* ---- Node ------------------------------------------------------------------------------------ */

void node_done(struct node *n)
{
	if (!n)
		return;
	model_meta_done(&n->meta);
	free(n->internal_ips);
	free(n->external_ips);
	free(n->pod_cidrs);
	free(n->zone);
	memset(n, 0, sizeof(*n));
}

int node_copy(const struct node *n, struct node *ret_copy)
{
	struct node c = *n;
	int rc = 0;

	memset(&c.meta, 0, sizeof(c.meta));
	model_copy_meta(&n->meta, &c.meta, &rc);
	c.internal_ips =
		model_copy_array(n->internal_ips, n->n_internal_ips, sizeof(*n->internal_ips), &rc);
	c.external_ips =
		model_copy_array(n->external_ips, n->n_external_ips, sizeof(*n->external_ips), &rc);
	c.pod_cidrs = model_copy_array(n->pod_cidrs, n->n_pod_cidrs, sizeof(*n->pod_cidrs), &rc);
	c.zone = model_copy_text(n->zone, &rc);
	if (rc < 0) {
		node_done(&c);
		return rc;
	}
	*ret_copy = c;
	return 0;
}

/* ---- ServiceCIDR ----------------------------------------------------------------------------- */

void service_cidr_done(struct service_cidr *c)
{
	if (!c)
		return;
	model_meta_done(&c->meta);
	free(c->cidrs);
	memset(c, 0, sizeof(*c));
}

int service_cidr_copy(const struct service_cidr *c, struct service_cidr *ret_copy)
{
	struct service_cidr copy = *c;
	int rc = 0;

	memset(&copy.meta, 0, sizeof(copy.meta));
	model_copy_meta(&c->meta, &copy.meta, &rc);
	copy.cidrs = model_copy_array(c->cidrs, c->n_cidrs, sizeof(*c->cidrs), &rc);
	if (rc < 0) {
		service_cidr_done(&copy);
		return rc;
	}
	*ret_copy = copy;
	return 0;
}
