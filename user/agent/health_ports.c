// SPDX-License-Identifier: GPL-2.0-only
/*
 * One small HTTP server for each healthCheckNodePort.
 * Must not know what becomes of a page (serve/http.c), nor what it says (health.c).
 */
#include "agent/health_ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/health.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/table.h"
#include "core/policy.h"
#include "core/store.h"
#include "serve/http.h"

struct health_port {
	struct health_ports *all;
	char *namespace, *name;
	int family;
	unsigned int port;
	struct address addr; /* family 0: all addresses */
	struct http *http;
	bool wanted;
};

struct health_ports {
	struct loop *loop;
	struct health_ports_options o;
	struct table ports; /* "4 namespace/name" → struct health_port */
	struct address ips[2];
	int rc; /* of the update under way */
};

/* ---- one port -------------------------------------------------------------------------------------- */

static unsigned int serve(void *ctx, const char *path, struct http_page *page)
{
	const struct health_port *p = ctx;
	const struct health_ports_options *o = &p->all->o;
	const struct store_entry *e = store_find(o->store, p->namespace, p->name);
	int n = e && e->service
			? policy_count_ready_local(e->slices, e->n_slices, p->family, o->node_name)
			: 0;

	(void)path; /* any path will do */
	n = n < 0 ? 0 : n;
	page->type = "application/json";
	page->header = "X-Load-Balancing-Endpoint-Weight";
	snprintf(page->header_value, sizeof(page->header_value), "%d", n);
	return health_write_service(p->namespace, p->name, (unsigned int)n, o->healthy(o->ctx),
				    &page->body);
}

static void cannot_bind(void *ctx, const char *why)
{
	const struct health_port *p = ctx;
	const struct health_ports_options *o = &p->all->o;

	log_warn("healthCheckNodePort %u of Service %s/%s cannot be listened on error=\"%s\"",
		 p->port, p->namespace, p->name, why);
	o->failed(o->ctx, p->namespace, p->name, p->family, p->port, why);
}

static struct listen_addr listen_addr_of(const struct health_port *p)
{
	struct listen_addr addr = { 0 };

	if (p->family == 4) {
		struct sockaddr_in *in = (struct sockaddr_in *)&addr.addr;

		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)p->port);
		memcpy(&in->sin_addr, p->addr.b, 4);
		addr.len = sizeof(*in);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&addr.addr;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)p->port);
		memcpy(&in6->sin6_addr, p->addr.b, 16);
		addr.len = sizeof(*in6);
	}
	return addr;
}

/* Listens anew. */
static int open_port(struct health_port *p)
{
	const struct http_options options = {
		.addr = listen_addr_of(p),
		.what = "healthCheckNodePort",
		.fn = serve,
		.ctx = p,
		.any_method = true,
		.v6_only = true,
		.cannot_bind = cannot_bind,
	};

	http_free(p->http);
	p->http = NULL;
	return http_new_with(p->all->loop, &options, &p->http);
}

static void port_free(void *value)
{
	struct health_port *p = value;

	http_free(p->http);
	free(p->namespace);
	free(p->name);
	free(p);
}

/* ---- all of them ----------------------------------------------------------------------------------- */

static size_t key_of(char *buf, size_t size, int family, const struct store_entry *e)
{
	int len = snprintf(buf, size, "%d %s/%s", family, e->namespace, e->name);

	return (size_t)len < size ? (size_t)len : size - 1;
}

static struct health_port *get_port(struct health_ports *all, int family,
				    const struct store_entry *e)
{
	char key[400];
	size_t len = key_of(key, sizeof(key), family, e);
	struct health_port *p = table_get(&all->ports, key, len);

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->all = all;
	p->family = family;
	p->namespace = strdup(e->namespace);
	p->name = strdup(e->name);
	if (!p->namespace || !p->name || table_put(&all->ports, key, len, p, NULL) < 0) {
		port_free(p);
		return NULL;
	}
	return p;
}

static bool has_family(const struct service *s, int family)
{
	for (size_t i = 0; i < s->n_cluster_ips; i++)
		if (s->cluster_ips[i].family == family)
			return true;
	return false;
}

static int want(struct health_ports *all, int family, const struct store_entry *e)
{
	const struct address *addr = &all->ips[family == 6];
	struct health_port *p = get_port(all, family, e);

	if (!p)
		return -ENOMEM;
	p->wanted = true;
	if (p->http && p->port == e->service->health_check_node_port &&
	    address_cmp(&p->addr, addr) == 0)
		return 0;
	p->port = e->service->health_check_node_port;
	p->addr = *addr;
	return open_port(p);
}

static int look_at(void *ctx, struct store_entry *e)
{
	struct health_ports *all = ctx;
	const struct service *s = e->service;

	if (!s || s->skip || s->type != SERVICE_LOAD_BALANCER ||
	    s->external_policy != POLICY_LOCAL || !s->health_check_node_port)
		return 0;
	for (int family = 4; family <= 6; family += 2)
		if (has_family(s, family) && want(all, family, e) < 0)
			all->rc = -ENOMEM;
	return 0;
}

void health_ports_update(struct health_ports *all, const struct address *ips, size_t n_ips)
{
	struct table_entry *t;

	memset(all->ips, 0, sizeof(all->ips));
	for (size_t i = n_ips; i-- > 0;)
		all->ips[ips[i].family == 6] = ips[i];
	table_for_each(t, &all->ports)
		((struct health_port *)t->value)->wanted = false;
	all->rc = 0;
	store_each_entry(all->o.store, look_at, all);
	if (all->rc < 0)
		log_warn("no memory for a healthCheckNodePort");
	table_for_each(t, &all->ports) {
		struct health_port *p = t->value;

		if (p->wanted)
			continue;
		table_remove(&all->ports, t->key, t->key_len);
		port_free(p);
	}
}

size_t health_ports_count(const struct health_ports *all)
{
	return all->ports.len;
}

int health_ports_new(struct loop *loop, const struct health_ports_options *options,
		     struct health_ports **ret_ports)
{
	struct health_ports *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->loop = loop;
	all->o = *options;
	table_init(&all->ports, (uint64_t)(uintptr_t)all);
	*ret_ports = all;
	return 0;
}

void health_ports_free(struct health_ports *all)
{
	if (!all)
		return;
	table_done(&all->ports, port_free);
	free(all);
}
