// SPDX-License-Identifier: GPL-2.0-only
/* Ingresses into policies, routes and rules. */
/* Must not know how a route is found, nor what a policy means. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "ingress/config_state.h"
#include "ingress/settings.h"
#include "ingress/stats.h"
#include "ingress/tls.h"
#include "ingress/upstream.h"

#define HSTS "max-age=31536000; includeSubDomains" /* as ingress-nginx has it; for hosts with TLS */

void config_touch(struct config *config, struct config_ingress *i)
{
	i->version = ++config->next_version;
	i->fresh = true;
	config->routes_dirty = true;
}

void config_ingress_free(void *ingress)
{
	struct config_ingress *i = ingress;

	policy_drop(i->policy);
	tls_origin_drop(i->tls);
	free(i->tls_service);
	buf_done(&i->notes);
	buf_done(&i->policy_notes);
	ingress_done(&i->ingress);
	free(i);
}

/* ---- what is said ---------------------------------------------------------------------------------------------- */

static void keep_note(struct buf *notes, const char *reason)
{
	buf_puts(notes, reason);
	buf_putc(notes, 0);
}

static void tell(struct config *config, enum config_concern concern, const struct ingress *ingress,
		 const struct buf *notes)
{
	struct problems *p = config->problems[concern];
	char object[CONFIG_KEY_MAX + 16];

	snprintf(object, sizeof(object), "Ingress %s/%s", ingress->meta.namespace,
		 ingress->meta.name);
	problem_begin(p, "", object);
	for (size_t at = 0; notes && at < notes->len; at += strlen(notes->data + at) + 1)
		problem_add(p, "%s", notes->data + at);
	problem_end(p);
}

static void on_routes_note(void *ctx, const struct ingress *ingress, enum routes_severity severity,
			   const char *reason)
{
	/* the first member, so that one leads to the other */
	struct config_ingress *i = (struct config_ingress *)ingress;

	(void)ctx;
	(void)severity;
	keep_note(&i->notes, reason);
}

static void on_policy_note(void *ctx, const struct ingress *ingress, enum policy_severity severity,
			   const char *reason)
{
	struct config_ingress *i = (struct config_ingress *)ingress;

	(void)ctx;
	(void)severity;
	keep_note(&i->policy_notes, reason);
}

/* ---- policies -------------------------------------------------------------------------------------------------- */

static const struct secret *find_secret(void *ctx, const char *namespace, const char *name)
{
	const struct config_secret *s = config_secret_find(ctx, namespace, name);

	return s ? &s->secret : NULL;
}

/* Counted. Most Ingresses ask for nothing, and share one. 0 or -ENOMEM. */
static int get_policy(struct config *config, const struct policy_input *in,
		      struct policy **ret_policy)
{
	struct policy **shared = policy_is_plain(in->ingress) ? &config->plain[in->hsts != NULL]
							      : NULL;
	int rc = shared && *shared ? 0 : policy_build(in, shared ? shared : ret_policy);

	if (rc == 0 && shared)
		*ret_policy = policy_hold(*shared);
	return rc;
}

static int make_policy(struct config *config, struct config_ingress *i)
{
	struct policy_input in = { .ingress = &i->ingress,
				   .secret = find_secret,
				   .note = on_policy_note,
				   .ctx = config,
				   .hsts = i->ingress.n_tls ? HSTS : NULL };
	struct policy *policy;
	int rc;

	buf_reset(&i->policy_notes);
	rc = get_policy(config, &in, &policy);
	if (rc < 0)
		return rc;
	policy_drop(i->policy);
	i->policy = policy;
	tls_origin_drop(i->tls);
	i->tls = NULL;
	return 0;
}

/* ---- rules ----------------------------------------------------------------------------------------------------- */

static struct config_backend *backend_of(struct config *config, const struct policy *policy,
					 const struct route *route)
{
	if (!route->service)
		return NULL;
	return config_backend_get(config, route->namespace, route->service, route->port_name,
				  route->port, policy->service_upstream);
}

static void fill_backend(struct config *config, struct config_ingress *i, struct config_backend *b,
			 const char *service, struct rule *rule)
{
	rule->missing = b->missing;
	rule->upstream = b->upstream ? upstream_hold(b->upstream) : NULL;
	if (!rule->policy->has_protocol && b->has_protocol)
		rule->protocol = b->protocol;
	rule->users = &b->users;
	atomic_fetch_add(&b->users, 1);
	rule->tls = config_tls_origin(config, i, service, rule->protocol);
}

static void take_slot(struct config *config, const struct route *route, struct rule *rule)
{
	const struct stats_labels labels = { .namespace = route->namespace,
					     .ingress = route->ingress,
					     .host = route->host,
					     .path = route->path,
					     .service = route->service };

	if (!config->in.stats)
		return;
	rule->hub = config->in.stats;
	rule->stats = stats_slot_take(config->in.stats, &labels);
}

static struct rule *attach(void *ctx, size_t source, struct route *route)
{
	struct config *config = ctx;
	struct config_ingress *i = (struct config_ingress *)config->order[source];
	struct config_backend *b;
	struct rule *rule = calloc(1, sizeof(*rule));

	if (!rule)
		return NULL;
	rule->route = route;
	rule->policy = policy_hold(i->policy);
	rule->protocol = rule->policy->protocol;
	b = backend_of(config, rule->policy, route);
	if (route->service && !b) {
		rule_free(rule);
		return NULL;
	}
	if (b)
		fill_backend(config, i, b, route->service, rule);
	if (config_fill_ask(config, i, rule) < 0) {
		rule_free(rule);
		return NULL;
	}
	take_slot(config, route, rule);
	return rule;
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

struct lists {
	const struct ingress **ingresses;
	uint64_t *versions;
	const struct ingress_class **classes;
	const struct config_ingress **order;
};

static int make_lists(struct config *config, struct lists *l, struct routes_input *in)
{
	struct table_entry *entry;
	size_t n = 0;

	l->ingresses = calloc(config->ingresses.len + 1, sizeof(*l->ingresses));
	l->versions = calloc(config->ingresses.len + 1, sizeof(*l->versions));
	l->order = calloc(config->ingresses.len + 1, sizeof(*l->order));
	l->classes = calloc(config->classes.len + 1, sizeof(*l->classes));
	if (!l->ingresses || !l->versions || !l->order || !l->classes)
		return -ENOMEM;
	table_for_each(entry, &config->classes)
		l->classes[in->n_classes++] = entry->value;
	in->classes = l->classes;
	table_for_each(entry, &config->ingresses) {
		struct config_ingress *i = entry->value;

		buf_reset(&i->notes);
		l->ingresses[n] = &i->ingress;
		l->versions[n] = i->version;
		l->order[n++] = i;
	}
	in->ingresses = l->ingresses;
	in->versions = l->versions;
	in->n_ingresses = n;
	config->order = l->order;
	return 0;
}

static void free_lists(struct config *config, struct lists *l)
{
	free(l->ingresses);
	free(l->versions);
	free(l->order);
	free(l->classes);
	config->order = NULL;
}

static bool has_certs(const struct config_ingress *i)
{
	return i->ingress.n_tls || (i->policy && i->policy->client_cert.secret.name);
}

static bool names_secrets(const struct config_ingress *i)
{
	return has_certs(i) ||
	       (i->policy && (i->policy->auth.secret.name || i->policy->ssl.secret.name));
}

/* Which are ours, and the policies of those that changed. */
static int judge(struct config *config, const struct routes_input *in)
{
	struct table_entry *entry;

	table_for_each(entry, &config->ingresses) {
		struct config_ingress *i = entry->value;
		bool ours = config->classes_dirty || i->fresh ? routes_is_ours(in, &i->ingress)
							      : i->ours;

		if (ours && (i->fresh || !i->ours || !i->policy) && make_policy(config, i) < 0)
			return -ENOMEM;
		if (i->ours != ours || (ours && i->fresh)) {
			config->certs_dirty |= i->had_certs || has_certs(i);
			config->secrets_dirty |= i->had_secrets || names_secrets(i);
			i->had_certs = has_certs(i);
			i->had_secrets = names_secrets(i);
		}
		if (i->ours && !ours)
			buf_reset(&i->policy_notes);
		if (i->ours != ours)
			i->fresh = true; /* so that it is told of */
		i->ours = ours;
	}
	config->classes_dirty = false;
	return 0;
}

static void tell_all(struct config *config)
{
	struct table_entry *entry;

	table_for_each(entry, &config->ingresses) {
		struct config_ingress *i = entry->value;

		if (i->notes.len || i->noted)
			tell(config, CONFIG_ROUTES, &i->ingress, &i->notes);
		i->noted = i->notes.len;
		if (!i->fresh)
			continue;
		tell(config, CONFIG_POLICY, &i->ingress, &i->policy_notes);
		config_tell_backends(config, i);
		if (!i->ours)
			config_untell_certs(config, i);
		i->fresh = false;
	}
}

int config_make_routes(struct config *config)
{
	const struct settings *settings = config->in.settings;
	struct routes_input in = { .controllers = settings->controllers,
				   .n_controllers = settings->n_controllers,
				   .take_default = settings->source_dir != NULL,
				   .take_classless = settings->take_classless,
				   .seed = config->seed,
				   .note = on_routes_note,
				   .attach = attach,
				   .detach = rule_free,
				   .ctx = config };
	struct lists lists = { 0 };
	struct routes *routes;
	int rc = make_lists(config, &lists, &in);

	if (rc == 0)
		rc = judge(config, &in);
	if (rc == 0)
		rc = routes_make(config->maker, &in, &routes);
	if (rc == 0) {
		routes_drop(config->routes);
		config->routes = routes;
		tell_all(config);
	}
	free_lists(config, &lists);
	return rc;
}
