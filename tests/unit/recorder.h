/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TESTS_UNIT_RECORDER_H
#define TESTS_UNIT_RECORDER_H

/*
 * A source_sink that writes down what it is told, one line a call:
 *
 *	put Service default/web 10.0.0.1        put EndpointSlice default/web-1 2
 *	put Node n1                             put ServiceCIDR c
 *	put Ingress default/web 1 (rules)       put IngressClass c
 *	put Secret default/tls 2 (items)
 *	gone Service default/web                listed Service
 *	problem web.yaml:3: reason              solved web.yaml:3
 */
#include <stdio.h>

#include "base/buf.h"
#include "source/object.h"

struct recorder {
	struct buf said;
	unsigned n; /* calls */
};

__attribute__((format(printf, 2, 3))) static inline void record(struct recorder *r,
								const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vprintf(&r->said, format, args);
	va_end(args);
	buf_putc(&r->said, '\n');
	r->n++;
}

static inline void record_service(void *ctx, const struct service *s)
{
	char text[ADDRESS_TEXT_LEN];

	record(ctx, "put Service %s/%s %s", s->meta.namespace, s->meta.name,
	       s->n_cluster_ips ? address_format(&s->cluster_ips[0], text) : "None");
}

static inline void record_slice(void *ctx, const struct endpoint_slice *s)
{
	record(ctx, "put EndpointSlice %s/%s %zu", s->meta.namespace, s->meta.name, s->n_endpoints);
}

static inline void record_node(void *ctx, const struct node *n)
{
	record(ctx, "put Node %s", n->meta.name);
}

static inline void record_cidr(void *ctx, const struct service_cidr *c)
{
	record(ctx, "put ServiceCIDR %s", c->meta.name);
}

static inline void record_ingress(void *ctx, const struct ingress *i)
{
	record(ctx, "put Ingress %s/%s %zu", i->meta.namespace, i->meta.name, i->n_rules);
}

static inline void record_ingress_class(void *ctx, const struct ingress_class *c)
{
	record(ctx, "put IngressClass %s", c->meta.name);
}

static inline void record_secret(void *ctx, const struct secret *s)
{
	record(ctx, "put Secret %s/%s %zu", s->meta.namespace, s->meta.name, s->n_items);
}

static inline void record_gone(void *ctx, enum object_kind kind, const char *namespace,
			       const char *name)
{
	char subject[OBJECT_SUBJECT_LEN];

	record(ctx, "gone %s", object_subject(kind, namespace, name, subject));
}

static inline void record_listed(void *ctx, enum object_kind kind)
{
	record(ctx, "listed %s", object_kind_name(kind));
}

static inline void record_problem(void *ctx, const char *object, const char *reason)
{
	if (reason)
		record(ctx, "problem %s: %s", object, reason);
	else
		record(ctx, "solved %s", object);
}

static inline struct source_sink recorder_sink(struct recorder *r)
{
	return (struct source_sink){
		.ctx = r,
		.put_service = record_service,
		.put_slice = record_slice,
		.put_node = record_node,
		.put_service_cidr = record_cidr,
		.put_ingress = record_ingress,
		.put_ingress_class = record_ingress_class,
		.put_secret = record_secret,
		.gone = record_gone,
		.listed = record_listed,
		.problem = record_problem,
	};
}

#endif
