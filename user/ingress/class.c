// SPDX-License-Identifier: GPL-2.0-only
/* Decides by class whether an Ingress is ours: named, default, or by the old annotation. */
/* Must not know what an Ingress leads to. */
#include "ingress/class.h"

#include <stdio.h>
#include <string.h>

static void say(const struct routes_input *in, const struct ingress *ingress, const char *reason)
{
	if (in->note)
		in->note(in->ctx, ingress, ROUTES_REFUSED, reason);
}

static bool is_our_class(const struct routes_input *in, const struct ingress_class *class)
{
	for (size_t i = 0; class->controller && i < in->n_controllers; i++)
		if (strcmp(class->controller, in->controllers[i]) == 0)
			return true;
	return false;
}

static const struct ingress_class *find(const struct routes_input *in, const char *name)
{
	for (size_t i = 0; i < in->n_classes; i++)
		if (strcmp(in->classes[i]->meta.name, name) == 0)
			return in->classes[i];
	return NULL;
}

/* Of several, the newest, then the first by name: as the API server's admission does. */
static const struct ingress_class *find_default(const struct routes_input *in)
{
	const struct ingress_class *best = NULL;

	for (size_t i = 0; i < in->n_classes; i++) {
		const struct ingress_class *c = in->classes[i];

		if (c->is_default && (!best || c->created_ns > best->created_ns ||
				      (c->created_ns == best->created_ns &&
				       strcmp(c->meta.name, best->meta.name) < 0)))
			best = c;
	}
	return best;
}

static bool is_classless_ours(const struct routes_input *in, const struct ingress *ingress)
{
	const struct ingress_class *best = find_default(in);

	if (in->take_classless)
		return true;
	if (!best || !is_our_class(in, best))
		return false;
	if (!in->take_default)
		say(in, ingress,
		    "spec.ingressClassName is not set: the Ingress is older than the default class, so nobody "
		    "serves it; set the field, or start the proxy with --watch-ingress-without-class");
	return in->take_default;
}

bool class_is_ours(const struct routes_input *in, const struct ingress *ingress)
{
	const char *name = ingress_annotation(ingress, INGRESS_ANNOTATION_CLASS);
	const char *field = name ? "annotation " INGRESS_ANNOTATION_CLASS : "spec.ingressClassName";
	const struct ingress_class *class;
	char reason[512];

	name = name ? name : ingress->class_name;
	if (!name || !*name)
		return is_classless_ours(in, ingress);
	class = find(in, name);
	if (class)
		return is_our_class(in, class);
	snprintf(reason, sizeof(reason),
		 "%s is \"%.128s\", and there is no such IngressClass: create it, or use one that "
		 "'kubectl get ingressclass' lists",
		 field, name);
	say(in, ingress, reason);
	return false;
}
