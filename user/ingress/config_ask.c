// SPDX-License-Identifier: GPL-2.0-only
/* Finds who is asked for external authentication: a Service of the cluster, or a host elsewhere. */
/* Must not know what is asked. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "ingress/config_state.h"
#include "ingress/resolver.h"
#include "ingress/tls.h"
#include "ingress/upstream.h"

#define LABEL_MAX 64

struct place {
	char service[LABEL_MAX], namespace[LABEL_MAX];
	bool certain; /* "name.namespace.svc…": it can be nothing else */
};

/* A Service by a name of the cluster's DNS, as a pod of the Ingress's namespace would write it. False: it is none. */
static bool parse(const char *host, const char *own, struct place *ret_place)
{
	char tail[8];
	int n = sscanf(host, "%63[^.].%63[^.].%7[^.]", ret_place->service, ret_place->namespace,
		       tail);

	if (strspn(host, "0123456789.") == strlen(host) || strchr(host, ':'))
		return false;
	if (n == 1)
		snprintf(ret_place->namespace, LABEL_MAX, "%s", own);
	ret_place->certain = n == 3 && strcmp(tail, "svc") == 0;
	return ret_place->certain || n == 1 || n == 2;
}

static bool find(const struct config *config, const struct config_ingress *i,
		 struct place *ret_place)
{
	const char *host = i->policy->ask.url.host;

	return parse(host, i->ingress.meta.namespace, ret_place) &&
	       (ret_place->certain ||
		store_find(config->store, ret_place->namespace, ret_place->service));
}

bool config_asks(const struct config_ingress *i, const char *namespace, const char *service)
{
	struct place place;

	return i->policy && i->policy->ask.url.host &&
	       parse(i->policy->ask.url.host, i->ingress.meta.namespace, &place) &&
	       strcmp(place.namespace, namespace) == 0 && strcmp(place.service, service) == 0;
}

/* As ingress-nginx does, the name is sent and the certificate is not checked. */
static int fill_tls(const struct policy_url *url, struct rule *rule)
{
	const struct tls_origin_input in = { .name = url->host, .send_name = true };
	struct err err;
	int rc;

	if (!url->tls)
		return 0;
	rc = tls_origin_new(&in, &rule->ask_tls, &err);
	return rc == -ENOMEM ? rc : 0;
}

int config_fill_ask(struct config *config, struct config_ingress *i, struct rule *rule)
{
	const struct policy_url *url = &rule->policy->ask.url;
	struct config_backend *b;
	struct place place;

	if (!url->host || !*url->host) /* the request's own host is looked up when it is asked */
		return 0;
	if (find(config, i, &place)) {
		b = config_backend_get(config, place.namespace, place.service, NULL, url->port,
				       false);
		if (!b)
			return -ENOMEM;
		rule->ask = b->upstream ? upstream_hold(b->upstream) : NULL;
		rule->ask_users = &b->users;
		atomic_fetch_add(&b->users, 1);
	} else {
		rule->ask = resolver_want(config->resolver, url->host, url->port);
		if (!rule->ask)
			return -ENOMEM;
	}
	return fill_tls(url, rule);
}
