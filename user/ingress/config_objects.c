// SPDX-License-Identifier: GPL-2.0-only
/* Keeps what the source says, and notes what has to be made anew for it. */
/* Must not know how, or when. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/certs.h"
#include "ingress/config_state.h"
#include "source/object.h"

/* An object that could not be kept: everything is asked for again. */
static void lost(struct config *config)
{
	config->stats.failures++;
	source_relist(&config->source);
}

static void on_service(void *ctx, const struct service *s)
{
	struct config *config = ctx;

	config->store_sink.put_service(config->store_sink.ctx, s);
	config_wake(config);
}

static void on_slice(void *ctx, const struct endpoint_slice *s)
{
	struct config *config = ctx;

	config->store_sink.put_slice(config->store_sink.ctx, s);
	config_wake(config);
}

static void on_node(void *ctx, const struct node *n)
{
	struct config *config = ctx;

	config->store_sink.put_node(config->store_sink.ctx, n);
	config_wake(config);
}

static bool is_same_ingress(const struct ingress *a, const struct ingress *b)
{
	const struct object one = { .kind = OBJECT_INGRESS, .ingress = *a };
	const struct object two = { .kind = OBJECT_INGRESS, .ingress = *b };

	return object_equal(&one, &two);
}

static struct config_ingress *ingress_of(struct config *config, const struct ingress *i)
{
	char key[CONFIG_KEY_MAX];
	struct config_ingress *c;

	config_key(i->meta.namespace, i->meta.name, key);
	c = table_get_str(&config->ingresses, key);
	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (c && table_put_str(&config->ingresses, key, c, NULL) < 0) {
		free(c);
		return NULL;
	}
	return c;
}

static void on_ingress(void *ctx, const struct ingress *i)
{
	struct config *config = ctx;
	struct config_ingress *c = ingress_of(config, i);
	struct ingress copy = { 0 };

	if (!c || ingress_copy(i, &copy) < 0) {
		lost(config);
		return;
	}
	if (c->version && is_same_ingress(i, &c->ingress)) {
		/* what is not served of it has changed: its status, mostly */
		ingress_done(&c->ingress);
		c->ingress = copy;
		return;
	}
	ingress_done(&c->ingress);
	c->ingress = copy;
	config_touch(config, c);
	config_wake(config);
}

void config_class_free(void *value)
{
	struct ingress_class *class = value;

	ingress_class_done(class);
	free(class);
}

static void on_class(void *ctx, const struct ingress_class *c)
{
	struct config *config = ctx;
	struct ingress_class *copy = calloc(1, sizeof(*copy));
	void *old = NULL;

	if (!copy || ingress_class_copy(c, copy) < 0 ||
	    table_put_str(&config->classes, c->meta.name, copy, &old) < 0) {
		if (copy)
			config_class_free(copy);
		lost(config);
		return;
	}
	if (old)
		config_class_free(old);
	config->classes_dirty = config->routes_dirty = true;
	config_wake(config);
}

void config_secret_free(void *value)
{
	struct config_secret *s = value;

	secret_done(&s->secret);
	free(s->broken);
	free(s);
}

/* A certificate that was right must not be lost to one that is not. */
static char *why_not(const struct secret *s)
{
	const struct secret_item *crt = secret_find(s, "tls.crt"), *key = secret_find(s, "tls.key");
	struct certs_secret pair = { .namespace = s->meta.namespace,
				     .name = s->meta.name,
				     .crt = crt ? (const char *)crt->data : NULL,
				     .crt_len = crt ? crt->len : 0,
				     .key = key ? (const char *)key->data : NULL,
				     .key_len = key ? key->len : 0 };
	struct err err = { 0 };
	struct cert *cert;

	if (!s->type || strcmp(s->type, SECRET_TLS) != 0)
		return NULL;
	if (cert_parse(&pair, &cert, &err) < 0)
		return strdup(err.what);
	cert_drop(cert);
	return NULL;
}

/* Policies hold what is in a Secret (passwords): those that name it are made anew. */
static void touch_users(struct config *config, const struct secret *s)
{
	struct table_entry *entry;

	table_for_each(entry, &config->ingresses) {
		struct config_ingress *i = entry->value;
		const struct policy_ref *refs[3];

		if (!i->ours || !i->policy)
			continue;
		refs[0] = &i->policy->auth.secret;
		refs[1] = &i->policy->ssl.secret;
		refs[2] = &i->policy->client_cert.secret;
		for (int k = 0; k < 3; k++)
			if (refs[k]->name && strcmp(refs[k]->name, s->meta.name) == 0 &&
			    strcmp(refs[k]->namespace, s->meta.namespace) == 0) {
				config_touch(config, i);
				break;
			}
	}
}

static bool is_same_secret(const struct secret *a, const struct secret *b)
{
	const struct object one = { .kind = OBJECT_SECRET, .secret = *a };
	const struct object two = { .kind = OBJECT_SECRET, .secret = *b };

	return object_equal(&one, &two);
}

static void on_secret(void *ctx, const struct secret *s)
{
	struct config *config = ctx;
	char key[CONFIG_KEY_MAX], *broken;
	struct config_secret *c, *made = NULL;
	struct secret copy = { 0 };

	config_key(s->meta.namespace, s->meta.name, key);
	c = table_get_str(&config->secrets, key);
	if (!c) {
		c = made = calloc(1, sizeof(*made));
		if (!c || table_put_str(&config->secrets, key, made, NULL) < 0) {
			free(made);
			lost(config);
			return;
		}
	}
	if (!made && !c->broken && is_same_secret(s, &c->secret)) { /* listed once more */
		if (c->gone)
			config->certs_dirty = true;
		c->gone = false;
		config_wake(config);
		return;
	}
	/* of a new one there is nothing to keep; the store says what is wrong with it */
	broken = made ? NULL : why_not(s);
	free(c->broken);
	c->broken = NULL;
	if (broken) { /* what was there is kept */
		c->broken = broken;
	} else {
		if (secret_copy(s, &copy) < 0) {
			lost(config);
			return;
		}
		secret_done(&c->secret);
		c->secret = copy;
		c->tag = ++config->next_version;
	}
	c->gone = false;
	touch_users(config, s);
	config->certs_dirty = true;
	config_wake(config);
}

static const char *const all_tellers[] = { "", "secret", "certificate" };

static void forget_ingress(struct config *config, const char *key)
{
	struct config_ingress *i = table_remove_str(&config->ingresses, key);
	char object[CONFIG_KEY_MAX + 16];

	if (!i)
		return;
	snprintf(object, sizeof(object), "Ingress %s", key);
	for (int c = CONFIG_ROUTES; c < CONFIG_CONCERNS; c++)
		for (size_t t = 0; t < sizeof(all_tellers) / sizeof(all_tellers[0]); t++)
			problem_set(config->problems[c], all_tellers[t], object, NULL);
	config->certs_dirty |= i->had_certs;
	config->secrets_dirty |= i->had_secrets;
	config->routes_dirty = true;
	config_ingress_free(i);
}

static void on_gone(void *ctx, enum object_kind kind, const char *namespace, const char *name)
{
	struct config *config = ctx;
	char key[CONFIG_KEY_MAX];
	struct config_secret *secret;
	void *class;

	config_key(namespace, name, key);
	switch (kind) {
	case OBJECT_INGRESS:
		forget_ingress(config, key);
		break;
	case OBJECT_INGRESS_CLASS:
		class = table_remove_str(&config->classes, name);
		if (class)
			config_class_free(class);
		config->classes_dirty = config->routes_dirty = true;
		break;
	case OBJECT_SECRET:
		secret = table_get_str(&config->secrets, key);
		if (secret) {
			secret->gone = true;
			config->certs_dirty = true;
		}
		break;
	default:
		config->store_sink.gone(config->store_sink.ctx, kind, namespace, name);
	}
	config_wake(config);
}

static void on_listed(void *ctx, enum object_kind kind)
{
	struct config *config = ctx;

	config->listed |= OBJECT_BIT(kind);
	config->store_sink.listed(config->store_sink.ctx, kind);
	if (config_has_first(config) && !config->routes)
		config->routes_dirty = config->secrets_dirty = true;
	if (store_error(config->store) < 0) {
		store_clear_error(config->store);
		lost(config);
	}
	config_wake(config);
}

static void on_source_problem(void *ctx, const char *object, const char *reason)
{
	struct config *config = ctx;

	problem_set(config->problems[CONFIG_SOURCE], "", object, reason);
}

struct source_sink config_sink(struct config *config)
{
	return (struct source_sink){ .ctx = config,
				     .put_service = on_service,
				     .put_slice = on_slice,
				     .put_node = on_node,
				     .put_ingress = on_ingress,
				     .put_ingress_class = on_class,
				     .put_secret = on_secret,
				     .gone = on_gone,
				     .listed = on_listed,
				     .problem = on_source_problem };
}
