// SPDX-License-Identifier: GPL-2.0-only
/* Memory of Ingress and IngressClass, and the look at an annotation. */
/* Must not know where the objects come from or what they lead to. */
#include "ingress/model.h"

#include <stdlib.h>
#include <string.h>

static void meta_done(struct object_meta *meta)
{
	free(meta->namespace);
	free(meta->name);
	free(meta->uid);
	free(meta->origin);
}

static void backend_done(struct ingress_backend *b)
{
	free(b->service);
	free(b->port_name);
}

static void rule_done(struct ingress_rule *rule)
{
	for (size_t i = 0; i < rule->n_paths; i++) {
		free(rule->paths[i].path);
		backend_done(&rule->paths[i].backend);
	}
	free(rule->paths);
	free(rule->host);
}

static void tls_done(struct ingress_tls *tls)
{
	for (size_t i = 0; i < tls->n_hosts; i++)
		free(tls->hosts[i]);
	free(tls->hosts);
	free(tls->secret);
}

void ingress_done(struct ingress *ingress)
{
	if (!ingress)
		return;
	meta_done(&ingress->meta);
	free(ingress->class_name);
	for (size_t i = 0; i < ingress->n_annotations; i++) {
		free(ingress->annotations[i].name);
		free(ingress->annotations[i].value);
	}
	free(ingress->annotations);
	backend_done(&ingress->default_backend);
	for (size_t i = 0; i < ingress->n_rules; i++)
		rule_done(&ingress->rules[i]);
	free(ingress->rules);
	for (size_t i = 0; i < ingress->n_tls; i++)
		tls_done(&ingress->tls[i]);
	free(ingress->tls);
}

void ingress_class_done(struct ingress_class *class)
{
	if (!class)
		return;
	meta_done(&class->meta);
	free(class->controller);
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
