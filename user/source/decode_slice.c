// SPDX-License-Identifier: GPL-2.0-only
/* The fields of a discovery.k8s.io/v1 EndpointSlice. */
/* Must not know the Service it belongs to, nor which endpoints are usable. */
#include "source/decode_read.h"

#include <stdlib.h>
#include <string.h>

#define LABEL_SERVICE_NAME "kubernetes.io/service-name"
#define LABEL_HEADLESS     "service.kubernetes.io/headless"
#define ANNOTATION_TRIGGER "endpoints.kubernetes.io/last-change-trigger-time"

static void read_slice_port(struct notes *n, const struct field *f, struct endpoint_slice *slice)
{
	static const char *const known[] = { "appProtocol", "name", "port", "protocol", NULL };
	struct field name = field_get(f, "name"), port = field_get(f, "port");
	struct field protocol = field_get(f, "protocol");
	struct slice_port *p = &slice->ports[slice->n_ports];
	int word;

	if (!field_is_map(n, f))
		return;
	field_check_names(n, f, known);
	word = field_word(n, &protocol, decode_proto_words, field_is_set(&protocol) ? -1 : 0);
	p->port = field_optional_port(n, &port);
	if (!field_is_set(&name)) {
		note(n, &name,
		     "is missing, so the port is ignored: write the Service port's name, "
		     "or \"\" if it has none");
		return;
	}
	if (!p->port) {
		note(n, &port, "is missing, so the port is ignored: a port is 1 to 65535");
		return;
	}
	if (word < 0)
		return;
	p->proto = decode_protos[word];
	p->name = field_strdup(n, &name);
	slice->n_ports += p->name != NULL;
}

static void read_slice_ports(struct notes *n, const struct field *root,
			     struct endpoint_slice *slice)
{
	struct field list = field_get(root, "ports"), e;

	if (!field_is_list(n, &list))
		return;
	slice->ports = notes_calloc(n, value_count(list.value), sizeof(*slice->ports));
	for (e = field_first(&list); slice->ports && e.value.node; field_next(&e))
		read_slice_port(n, &e, slice);
}

static void read_conditions(struct notes *n, const struct field *f, struct endpoint *e)
{
	static const char *const known[] = { "ready", "serving", "terminating", NULL };
	struct field conditions = field_get(f, "conditions");
	struct field ready = field_get(&conditions, "ready");
	struct field serving = field_get(&conditions, "serving");
	struct field terminating = field_get(&conditions, "terminating");

	if (field_is_map(n, &conditions))
		field_check_names(n, &conditions, known);
	e->ready = field_bool(n, &ready, true);
	e->serving = field_bool(n, &serving, true);
	e->terminating = field_bool(n, &terminating, false);
}

static void read_hints(struct notes *n, const struct field *f, struct endpoint *e)
{
	struct field hints = field_get(f, "hints");
	struct field zones = field_get(&hints, "forZones"), nodes = field_get(&hints, "forNodes");

	if (!field_is_map(n, &hints))
		return;
	field_names(n, &zones, &e->zone_hints, &e->n_zone_hints);
	field_names(n, &nodes, &e->node_hints, &e->n_node_hints);
}

/* addresses[0], the only one that is used. */
static bool read_endpoint_address(struct notes *n, const struct field *f, uint8_t family,
				  struct address *ret_addr)
{
	struct field list = field_get(f, "addresses"), first;
	char shown[VALUE_SHOWN_LEN];
	struct address addr;
	const char *text;

	if (!field_is_list(n, &list) && field_is_set(&list))
		return false;
	if (!value_count(list.value)) {
		note(n, &list, "is empty, so the endpoint is ignored: give its address");
		return false;
	}
	first = field_first(&list);
	text = field_string(n, &first);
	if (!text || !field_address_text(n, &first, text, &addr))
		return false;
	if (addr.family != family) {
		note(n, &first, "is %s, so the endpoint is ignored: addressType says IPv%d",
		     value_show(first.value, shown), family);
		return false;
	}
	*ret_addr = addr;
	return true;
}

static void read_endpoint(struct notes *n, const struct field *f, struct endpoint_slice *slice)
{
	static const char *const known[] = { "addresses", "conditions", "deprecatedTopology",
					     "hints",     "hostname",   "nodeName",
					     "targetRef", "zone",       NULL };
	struct field node = field_get(f, "nodeName"), target = field_get(f, "targetRef");
	struct field target_name = field_get(&target, "name"), zone = field_get(f, "zone");
	struct endpoint *e = &slice->endpoints[slice->n_endpoints];

	if (!field_is_map(n, f))
		return;
	field_check_names(n, f, known);
	if (!read_endpoint_address(n, f, slice->family, &e->addr))
		return;
	slice->n_endpoints++; /* from here on it is freed with the slice */
	e->node_name = field_strdup(n, &node);
	e->zone = field_strdup(n, &zone);
	if (field_is_map(n, &target))
		e->pod_name = field_strdup(n, &target_name);
	read_conditions(n, f, e);
	read_hints(n, f, e);
}

static void read_endpoints(struct notes *n, const struct field *root, struct endpoint_slice *slice)
{
	struct field list = field_get(root, "endpoints"), e;

	if (!field_is_list(n, &list))
		return;
	slice->endpoints = notes_calloc(n, value_count(list.value), sizeof(*slice->endpoints));
	for (e = field_first(&list); slice->endpoints && e.value.node; field_next(&e))
		read_endpoint(n, &e, slice);
}

void decode_slice(struct notes *n, const struct field *root, struct object *object)
{
	static const char *const known[] = { "addressType", "apiVersion", "endpoints", "kind",
					     "metadata",    "ports",      NULL };
	static const char *const types[] = { "IPv4", "IPv6", "FQDN", NULL };
	struct endpoint_slice *slice = &object->slice;
	struct field type = field_get(root, "addressType"), annotations, labels, headless;
	struct field metadata = field_get(root, "metadata");
	struct field trigger =
		decode_tag(n, &metadata, "annotations", ANNOTATION_TRIGGER, &annotations);
	int word;

	field_check_names(n, root, known);
	slice->triggered_ns = field_time(n, &trigger);
	labels = field_get(&metadata, "labels");
	headless = field_get(&labels, LABEL_HEADLESS);
	if (headless.value.node) /* nobody's: the API client does not even receive these */
		return;
	slice->service = decode_label(n, root, LABEL_SERVICE_NAME);
	if (slice->service && !*slice->service) {
		free(slice->service);
		slice->service = NULL;
	}
	if (!slice->service && !n->refused && !n->no_memory) {
		struct field label =
			decode_tag(n, &metadata, "labels", LABEL_SERVICE_NAME, &labels);

		note(n, &label,
		     "is missing, so the slice is ignored: write the name of its Service");
	}
	if (!field_is_set(&type) && !n->from_api)
		note_refusal(n, &type, "is missing: it is one of IPv4, IPv6 or FQDN");
	word = field_word(n, &type, types, 2);
	if (word == 2)
		return;
	slice->family = (uint8_t)(word == 0 ? 4 : 6);
	read_slice_ports(n, root, slice);
	read_endpoints(n, root, slice);
}
