// SPDX-License-Identifier: GPL-2.0
/* What differs between two views, in sentences. */
/* Must not know: where a view comes from. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/view.h"

struct comparison {
	const char *a_name, *b_name;
	void (*fn)(void *ctx, const char *sentence);
	void *ctx;
	int n;
	char label[400]; /* the service under comparison */
};

static void tell(struct comparison *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void tell(struct comparison *c, const char *fmt, ...)
{
	char text[900];
	va_list args;
	int at = snprintf(text, sizeof(text), "%s: ", c->label);

	va_start(args, fmt);
	vsnprintf(text + at, sizeof(text) - (size_t)at, fmt, args);
	va_end(args);
	c->n++;
	if (c->fn)
		c->fn(c->ctx, text);
}

static void set_label(struct comparison *c, const struct view_service *s)
{
	char vip[ADDRESS_TEXT_LEN];

	if (s->kind == SL_KIND_ADDRESS)
		snprintf(c->label, sizeof(c->label), "%s/%s address %s", s->namespace, s->name,
			 address_format(&s->vip, vip));
	else
		snprintf(c->label, sizeof(c->label), "%s/%s:%s %s %s:%u", s->namespace, s->name,
			 s->port_name, view_proto_name(s->proto), address_format(&s->vip, vip),
			 s->port);
}

/* ---- endpoints ------------------------------------------------------------------------------- */

static int compare_targets(const struct view_endpoint *a, const struct view_endpoint *b)
{
	int cmp = address_cmp(&a->addr, &b->addr);

	return cmp ? cmp : (a->port > b->port) - (a->port < b->port);
}

static void tell_endpoint(struct comparison *c, const struct view_endpoint *e, const char *list,
			  const char *in, const char *not_in)
{
	char addr[ADDRESS_TEXT_LEN];

	tell(c, "%s %s port %u is in %s, not in %s", list, address_format(&e->addr, addr), e->port,
	     in, not_in);
}

static void compare_one(struct comparison *c, const struct view_endpoint *a,
			const struct view_endpoint *b, const char *list)
{
	char addr[ADDRESS_TEXT_LEN];

	address_format(&a->addr, addr);
	if (a->flags != b->flags)
		tell(c, "%s %s port %u has flags 0x%x in %s, 0x%x in %s", list, addr, a->port,
		     a->flags, c->a_name, b->flags, c->b_name);
	if (a->share != b->share)
		tell(c, "%s %s port %u has %u ring elements in %s, %u in %s", list, addr, a->port,
		     a->share, c->a_name, b->share, c->b_name);
	if (a->foreign != b->foreign)
		tell(c, "%s %s port %u belongs to another service in %s", list, addr, a->port,
		     a->foreign ? c->a_name : c->b_name);
}

static void compare_lists(struct comparison *c, const char *list, const struct view_endpoint *a,
			  size_t n_a, const struct view_endpoint *b, size_t n_b)
{
	size_t i = 0, k = 0;

	while (i < n_a || k < n_b) {
		int cmp = i == n_a ? 1 : k == n_b ? -1 : compare_targets(&a[i], &b[k]);

		if (cmp < 0)
			tell_endpoint(c, &a[i++], list, c->a_name, c->b_name);
		else if (cmp > 0)
			tell_endpoint(c, &b[k++], list, c->b_name, c->a_name);
		else
			compare_one(c, &a[i++], &b[k++], list);
	}
}

/* ---- services -------------------------------------------------------------------------------- */

static void compare_records(struct comparison *c, const struct view_service *a,
			    const struct view_service *b)
{
	if (a->flags != b->flags)
		tell(c, "flags are 0x%x in %s, 0x%x in %s", a->flags, c->a_name, b->flags,
		     c->b_name);
	if (a->affinity_s != b->affinity_s)
		tell(c, "session affinity is %u s in %s, %u s in %s", a->affinity_s, c->a_name,
		     b->affinity_s, c->b_name);
	if (a->algorithm != b->algorithm)
		tell(c, "algorithm is %s in %s, %s in %s", view_algorithm_name(a->algorithm),
		     c->a_name, view_algorithm_name(b->algorithm), c->b_name);
	if (a->cluster_len != b->cluster_len)
		tell(c, "cluster ring has %u elements in %s, %u in %s", a->cluster_len, c->a_name,
		     b->cluster_len, c->b_name);
	if (a->local_len != b->local_len)
		tell(c, "local ring has %u elements in %s, %u in %s", a->local_len, c->a_name,
		     b->local_len, c->b_name);
}

static void compare_pair(struct comparison *c, const struct view_service *a,
			 const struct view_service *b)
{
	set_label(c, a);
	if (a->damage || b->damage) {
		if (a->damage && !b->damage)
			tell(c, "cannot be used in %s: %s", c->a_name, a->damage);
		else if (b->damage && !a->damage)
			tell(c, "cannot be used in %s: %s", c->b_name, b->damage);
		return;
	}
	compare_records(c, a, b);
	compare_lists(c, "cluster endpoint", a->cluster, a->n_cluster, b->cluster, b->n_cluster);
	compare_lists(c, "local endpoint", a->local, a->n_local, b->local, b->n_local);
	compare_lists(c, "backend", a->backends, a->n_backends, b->backends, b->n_backends);
}

static void tell_missing(struct comparison *c, const struct view_service *s, const char *in,
			 const char *not_in)
{
	set_label(c, s);
	if (s->damage)
		tell(c, "cannot be used in %s: %s", in, s->damage);
	else
		tell(c, "is in %s, not in %s", in, not_in);
}

/* ---- configuration --------------------------------------------------------------------------- */

static void compare_cidrs(struct comparison *c, int family, const void *a, const void *b,
			  size_t size)
{
	const unsigned char *x = a, *y = b;

	for (int i = 0; i < SL_CIDRS; i++)
		if (memcmp(x + (size_t)i * size, y + (size_t)i * size, size) != 0)
			tell(c, "IPv%d service CIDR slot %d differs between %s and %s", family, i,
			     c->a_name, c->b_name);
}

static void compare_config(struct comparison *c, const struct view *a, const struct view *b)
{
	const struct sl_config *x = &a->config, *y = &b->config;

	snprintf(c->label, sizeof(c->label), "configuration");
	if (a->has_config != b->has_config)
		tell(c, "is in %s, not in %s", a->has_config ? c->a_name : c->b_name,
		     a->has_config ? c->b_name : c->a_name);
	if (!a->has_config || !b->has_config)
		return;
	if (x->host_netns != y->host_netns)
		tell(c, "network namespace of the node is %llu in %s, %llu in %s",
		     (unsigned long long)x->host_netns, c->a_name,
		     (unsigned long long)y->host_netns, c->b_name);
	if (x->flags != y->flags)
		tell(c, "flags are 0x%x in %s, 0x%x in %s", x->flags, c->a_name, y->flags,
		     c->b_name);
	if (x->snat_low != y->snat_low || x->snat_high != y->snat_high)
		tell(c, "SNAT ports are %u-%u in %s, %u-%u in %s", x->snat_low, x->snat_high,
		     c->a_name, y->snat_low, y->snat_high, c->b_name);
	if (memcmp(x->node4, y->node4, sizeof(x->node4)) != 0 ||
	    memcmp(x->node6, y->node6, sizeof(x->node6)) != 0)
		tell(c, "node addresses differ between %s and %s", c->a_name, c->b_name);
	compare_cidrs(c, 4, x->cidrs4, y->cidrs4, sizeof(x->cidrs4[0]));
	compare_cidrs(c, 6, x->cidrs6, y->cidrs6, sizeof(x->cidrs6[0]));
}

/* ---- all of it ------------------------------------------------------------------------------- */

int view_diff(const struct view *a, const char *a_name, const struct view *b, const char *b_name,
	      void (*fn)(void *ctx, const char *sentence), void *ctx)
{
	struct comparison c = { .a_name = a_name, .b_name = b_name, .fn = fn, .ctx = ctx };
	size_t i = 0, k = 0;

	compare_config(&c, a, b);
	while (i < a->n_services || k < b->n_services) {
		int cmp = i == a->n_services   ? 1
			  : k == b->n_services ? -1
					       : view_service_cmp(&a->services[i], &b->services[k]);

		if (cmp < 0)
			tell_missing(&c, &a->services[i++], a_name, b_name);
		else if (cmp > 0)
			tell_missing(&c, &b->services[k++], b_name, a_name);
		else
			compare_pair(&c, &a->services[i++], &b->services[k++]);
	}
	return c.n;
}
