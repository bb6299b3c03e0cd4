// SPDX-License-Identifier: GPL-2.0-only
/* The fields of what belongs to the whole cluster: v1 Node and networking.k8s.io/v1 ServiceCIDR. */
/* Must not know which node is ours. */
#include "source/decode_read.h"

#include <stdlib.h>
#include <string.h>

#define LABEL_ZONE   "topology.kubernetes.io/zone"
#define TAINT_DOOMED "ToBeDeletedByClusterAutoscaler"

/* Addresses of one type from status.addresses. */
static void read_node_addresses(struct notes *n, const struct field *list, const char *type,
				struct address **ret_addrs, size_t *ret_n)
{
	struct address *addrs = notes_calloc(n, value_count(list->value), sizeof(*addrs));
	struct field e;
	size_t used = 0;

	for (e = field_first(list); addrs && e.value.node; field_next(&e)) {
		struct field kind = field_get(&e, "type"), address = field_get(&e, "address");
		const char *text;

		text = value_string(kind.value);
		if (!text || strcmp(text, type) != 0)
			continue;
		text = field_string(n, &address);
		if (text && field_address_text(n, &address, text, &addrs[used]))
			used++;
	}
	*ret_addrs = addrs;
	*ret_n = used;
}

/* spec.podCIDRs, or podCIDR of older objects. */
static void read_pod_cidrs(struct notes *n, const struct field *spec, struct node *node)
{
	struct field list = field_get(spec, "podCIDRs"), one = field_get(spec, "podCIDR");
	const char *text = field_string(n, &one);

	field_cidrs(n, &list, &node->pod_cidrs, &node->n_pod_cidrs);
	if (node->n_pod_cidrs || !text || !*text)
		return;
	free(node->pod_cidrs);
	node->pod_cidrs = notes_calloc(n, 1, sizeof(*node->pod_cidrs));
	if (!node->pod_cidrs)
		return;
	if (cidr_parse(text, node->pod_cidrs) == 0)
		node->n_pod_cidrs = 1;
	else
		note(n, &one, "is not a CIDR and ignored: write it as 10.0.0.0/24");
}

static bool has_taint(struct notes *n, const struct field *spec, const char *key)
{
	struct field list = field_get(spec, "taints"), e;
	const char *text;

	if (!field_is_list(n, &list))
		return false;
	for (e = field_first(&list); e.value.node; field_next(&e)) {
		struct field f = field_get(&e, "key");

		text = value_string(f.value);
		if (text && strcmp(text, key) == 0)
			return true;
	}
	return false;
}

void decode_node(struct notes *n, const struct field *root, struct object *object)
{
	static const char *const known[] = { "configSource",  "externalID", "podCIDR",
					     "podCIDRs",      "providerID", "taints",
					     "unschedulable", NULL };
	struct node *node = &object->node;
	struct field metadata = field_get(root, "metadata");
	struct field deleted = field_get(&metadata, "deletionTimestamp");
	struct field spec = field_get(root, "spec"), status = field_get(root, "status");
	struct field addresses = field_get(&status, "addresses");

	node->zone = decode_label(n, root, LABEL_ZONE);
	node->deleting = field_is_set(&deleted);
	if (field_is_map(n, &spec)) {
		field_check_names(n, &spec, known);
		read_pod_cidrs(n, &spec, node);
		node->doomed = has_taint(n, &spec, TAINT_DOOMED);
	}
	if (field_is_map(n, &status) && field_is_list(n, &addresses)) {
		read_node_addresses(n, &addresses, "InternalIP", &node->internal_ips,
				    &node->n_internal_ips);
		read_node_addresses(n, &addresses, "ExternalIP", &node->external_ips,
				    &node->n_external_ips);
	}
}

void decode_service_cidr(struct notes *n, const struct field *root, struct object *object)
{
	static const char *const known[] = { "cidrs", NULL };
	struct service_cidr *c = &object->service_cidr;
	struct field spec = field_get(root, "spec"), list = field_get(&spec, "cidrs");

	if (!field_is_map(n, &spec)) {
		if (!field_is_set(&spec))
			note_refusal(n, &spec, "is missing: give it cidrs");
		return;
	}
	field_check_names(n, &spec, known);
	field_cidrs(n, &list, &c->cidrs, &c->n_cidrs);
}
