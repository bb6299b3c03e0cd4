// SPDX-License-Identifier: GPL-2.0-only
/* Memory of Ingress, IngressClass and Secret, and looks into them. */
/* Must not know where the objects come from or what they lead to. */
#include "core/model_ingress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/model_copy.h"

/* ---- Ingress ---------------------------------------------------------------------------------------- */

static void backend_done(struct ingress_backend *b)
{
	free(b->service);
	free(b->port_name);
}

static void copy_backend(const struct ingress_backend *from, struct ingress_backend *to, int *rc)
{
	to->service = model_copy_text(from->service, rc);
	to->port_name = model_copy_text(from->port_name, rc);
}

static void rule_done(struct ingress_rule *rule)
{
	for (size_t i = 0; rule->paths && i < rule->n_paths; i++) {
		free(rule->paths[i].path);
		backend_done(&rule->paths[i].backend);
	}
	free(rule->paths);
	free(rule->host);
}

/* Every element is visited also after a failure: what was copied bytewise must not be freed twice. */
static void copy_rule(const struct ingress_rule *from, struct ingress_rule *to, int *rc)
{
	to->host = model_copy_text(from->host, rc);
	to->paths = model_copy_array(from->paths, from->n_paths, sizeof(*from->paths), rc);
	for (size_t i = 0; to->paths && i < from->n_paths; i++) {
		to->paths[i].path = model_copy_text(from->paths[i].path, rc);
		copy_backend(&from->paths[i].backend, &to->paths[i].backend, rc);
	}
}

static void tls_done(struct ingress_tls *tls)
{
	model_free_texts(tls->hosts, tls->n_hosts);
	free(tls->secret);
}

static void copy_tls(const struct ingress_tls *from, struct ingress_tls *to, int *rc)
{
	to->hosts = model_copy_texts(from->hosts, from->n_hosts, rc);
	to->secret = model_copy_text(from->secret, rc);
}

static void copy_annotation(const struct ingress_annotation *from, struct ingress_annotation *to,
			    int *rc)
{
	to->name = model_copy_text(from->name, rc);
	to->value = model_copy_text(from->value, rc);
}

void ingress_done(struct ingress *ingress)
{
	size_t i;

	if (!ingress)
		return;
	model_meta_done(&ingress->meta);
	free(ingress->class_name);
	for (i = 0; ingress->annotations && i < ingress->n_annotations; i++) {
		free(ingress->annotations[i].name);
		free(ingress->annotations[i].value);
	}
	free(ingress->annotations);
	backend_done(&ingress->default_backend);
	for (i = 0; ingress->rules && i < ingress->n_rules; i++)
		rule_done(&ingress->rules[i]);
	free(ingress->rules);
	for (i = 0; ingress->tls && i < ingress->n_tls; i++)
		tls_done(&ingress->tls[i]);
	free(ingress->tls);
	model_free_texts(ingress->addresses, ingress->n_addresses);
	memset(ingress, 0, sizeof(*ingress));
}

int ingress_copy(const struct ingress *ingress, struct ingress *ret_copy)
{
	struct ingress c = *ingress;
	size_t i;
	int rc = 0;

	model_copy_meta(&ingress->meta, &c.meta, &rc);
	c.class_name = model_copy_text(ingress->class_name, &rc);
	c.annotations = model_copy_array(ingress->annotations, ingress->n_annotations,
					 sizeof(*ingress->annotations), &rc);
	for (i = 0; c.annotations && i < ingress->n_annotations; i++)
		copy_annotation(&ingress->annotations[i], &c.annotations[i], &rc);
	copy_backend(&ingress->default_backend, &c.default_backend, &rc);
	c.rules = model_copy_array(ingress->rules, ingress->n_rules, sizeof(*ingress->rules), &rc);
	for (i = 0; c.rules && i < ingress->n_rules; i++)
		copy_rule(&ingress->rules[i], &c.rules[i], &rc);
	c.tls = model_copy_array(ingress->tls, ingress->n_tls, sizeof(*ingress->tls), &rc);
	for (i = 0; c.tls && i < ingress->n_tls; i++)
		copy_tls(&ingress->tls[i], &c.tls[i], &rc);
	c.addresses = model_copy_texts(ingress->addresses, ingress->n_addresses, &rc);
	if (rc < 0)
		ingress_done(&c);
	else
		*ret_copy = c;
	return rc;
}

const char *ingress_annotation(const struct ingress *ingress, const char *name)
{
	for (size_t i = 0; i < ingress->n_annotations; i++)
		if (strcmp(ingress->annotations[i].name, name) == 0)
			return ingress->annotations[i].value;
	return NULL;
}

bool ingress_is_true(const char *value)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };

	for (size_t i = 0; value && i < sizeof(yes) / sizeof(yes[0]); i++)
		if (strcmp(value, yes[i]) == 0)
			return true;
	return false;
}

/* ---- IngressClass ----------------------------------------------------------------------------------- */

void ingress_class_done(struct ingress_class *class)
{
	if (!class)
		return;
	model_meta_done(&class->meta);
	free(class->controller);
	memset(class, 0, sizeof(*class));
}

int ingress_class_copy(const struct ingress_class *class, struct ingress_class *ret_copy)
{
	struct ingress_class c = *class;
	int rc = 0;

	model_copy_meta(&class->meta, &c.meta, &rc);
	c.controller = model_copy_text(class->controller, &rc);
	if (rc < 0)
		ingress_class_done(&c);
	else
		*ret_copy = c;
	return rc;
}

/* ---- Secret ----------------------------------------------------------------------------------------- */

void secret_done(struct secret *secret)
{
	if (!secret)
		return;
	model_meta_done(&secret->meta);
	free(secret->type);
	for (size_t i = 0; secret->items && i < secret->n_items; i++) {
		struct secret_item *item = &secret->items[i];

		if (item->data)
			explicit_bzero(item->data, item->len);
		free(item->data);
		free(item->key);
	}
	free(secret->items);
	memset(secret, 0, sizeof(*secret));
}

int secret_copy(const struct secret *secret, struct secret *ret_copy)
{
	struct secret c = *secret;
	int rc = 0;

	model_copy_meta(&secret->meta, &c.meta, &rc);
	c.type = model_copy_text(secret->type, &rc);
	c.items = model_copy_array(secret->items, secret->n_items, sizeof(*secret->items), &rc);
	for (size_t i = 0; c.items && i < secret->n_items; i++) {
		const struct secret_item *from = &secret->items[i];

		c.items[i].key = model_copy_text(from->key, &rc);
		c.items[i].data =
			model_copy_array(from->data, from->data ? from->len + 1 : 0, 1, &rc);
	}
	if (rc < 0)
		secret_done(&c);
	else
		*ret_copy = c;
	return rc;
}

const struct secret_item *secret_find(const struct secret *secret, const char *key)
{
	for (size_t i = 0; i < secret->n_items; i++)
		if (strcmp(secret->items[i].key, key) == 0)
			return &secret->items[i];
	return NULL;
}
