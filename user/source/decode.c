// SPDX-License-Identifier: GPL-2.0-only
/* Turns values into objects: which kind it is, its names and metadata; lists into their elements. */
/* Must not know which parser made the values, or who is told. */
#include "source/decode.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "source/decode_read.h"

static const struct kind {
	const char *group; /* "" for the core group */
	const char *kind;
	enum object_kind object;
	bool namespaced;
	size_t name_max;
	decode_kind_fn *decode;
} kinds[] = {
	{ "", "Service", OBJECT_SERVICE, true, 63, decode_service },
	{ "", "Node", OBJECT_NODE, false, 253, decode_node },
	{ "discovery.k8s.io", "EndpointSlice", OBJECT_ENDPOINT_SLICE, true, 253, decode_slice },
	{ "networking.k8s.io", "ServiceCIDR", OBJECT_SERVICE_CIDR, false, 253,
	  decode_service_cidr },
	{ "networking.k8s.io", "Ingress", OBJECT_INGRESS, true, 253, decode_ingress },
	{ "networking.k8s.io", "IngressClass", OBJECT_INGRESS_CLASS, false, 253,
	  decode_ingress_class },
	{ "", "Secret", OBJECT_SECRET, true, 253, decode_secret },
};

/* "discovery.k8s.io/v1" is group and version, "v1" a version of the core group. */
static bool is_group(const char *api_version, const char *group)
{
	const char *slash = strchr(api_version, '/');
	size_t len = slash ? (size_t)(slash - api_version) : 0;

	return strlen(group) == len && memcmp(api_version, group, len) == 0;
}

static bool is_v1(const char *api_version)
{
	const char *slash = strchr(api_version, '/');

	return strcmp(slash ? slash + 1 : api_version, "v1") == 0;
}

/* apiVersion or kind: what the object says, or else what the list says. */
static const char *read_type(struct notes *n, const struct field *root, const char *key,
			     const char *implied)
{
	struct field f = field_get(root, key);
	const char *text = field_string(n, &f);

	if (text && *text)
		return text;
	if (!implied && !n->refused)
		note_refusal(n, &f, "is missing: every document begins with apiVersion and kind");
	return implied;
}

static bool is_wanted(const struct decode_input *input, enum object_kind kind)
{
	return !input->kinds || (input->kinds & OBJECT_BIT(kind));
}

/* *ret_kind is NULL for a kind that is not ours. False: refused. */
static bool find_kind(struct notes *n, const struct field *root, const struct decode_input *input,
		      const struct kind **ret_kind)
{
	const char *version = read_type(n, root, "apiVersion", input->api_version);
	const char *kind = read_type(n, root, "kind", input->kind);
	const char *remedy_slash;
	char shown[VALUE_SHOWN_LEN];
	struct field f = field_get(root, "apiVersion");
	size_t i;

	*ret_kind = NULL;
	if (n->refused || !version || !kind)
		return false;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kind, kinds[i].kind) != 0 || !is_group(version, kinds[i].group) ||
		    !is_wanted(input, kinds[i].object))
			continue;
		if (is_v1(version)) {
			*ret_kind = &kinds[i];
			return true;
		}
		remedy_slash = *kinds[i].group ? "/" : "";
		note_refusal(n, &f, "is %s: %s is read as %s%sv1 only", value_show(f.value, shown),
			     kind, kinds[i].group, remedy_slash);
		return false;
	}
	return true;
}

/* Lower-case letters, digits, '-' and '.', of a length: what the API allows in names, coarsely. */
static bool is_name(const char *text, size_t max)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.");

	return text[len] == '\0' && len > 0 && len <= max && isalnum((unsigned char)text[0]) &&
	       isalnum((unsigned char)text[len - 1]);
}

static bool read_name(struct notes *n, const struct field *metadata, const char *key, size_t max,
		      const char *absent, char *buf, size_t size)
{
	struct field f = field_get(metadata, key);
	const char *text = field_string(n, &f);
	char shown[VALUE_SHOWN_LEN];

	if ((!text || !*text) && !absent) {
		if (!field_is_set(&f) || text)
			note_refusal(n, &f, "is missing: give the object a name");
		return false;
	}
	if (!text || !*text)
		text = absent;
	if (!is_name(text, max)) {
		note_refusal(n, &f,
			     "is %s: a name is at most %zu lower-case letters, digits and '-'",
			     value_show(f.value, shown), max);
		return false;
	}
	snprintf(buf, size, "%s", text);
	return true;
}

/* Who the object is, into the report. */
static bool read_identity(const struct field *root, const struct kind *kind,
			  struct decode_report *report)
{
	struct notes *n = &report->notes;
	struct field metadata = field_get(root, "metadata");

	report->kind = kind->object;
	report->namespace[0] = '\0';
	if (!field_is_map(n, &metadata)) {
		if (!field_is_set(&metadata))
			note_refusal(n, &metadata, "is missing: give the object a name");
		return false;
	}
	if (!read_name(n, &metadata, "name", kind->name_max, NULL, report->name,
		       sizeof(report->name)))
		return false;
	if (kind->namespaced && !read_name(n, &metadata, "namespace", DECODE_NAMESPACE_LEN - 1,
					   "default", report->namespace, sizeof(report->namespace)))
		return false;
	report->named = true;
	return true;
}

static char *make_origin(struct notes *n, const char *file, unsigned line)
{
	struct buf origin = { 0 };
	char *text;

	if (!file)
		return NULL;
	buf_printf(&origin, "%s:%u", file, line);
	text = buf_take(&origin);
	if (!text)
		n->no_memory = true;
	return text;
}

static void read_meta(struct decode_report *report, const struct field *root,
		      const struct decode_input *input, struct object_meta *meta)
{
	static const char *const known[] = { "annotations",
					     "clusterName",
					     "creationTimestamp",
					     "deletionGracePeriodSeconds",
					     "deletionTimestamp",
					     "finalizers",
					     "generateName",
					     "generation",
					     "labels",
					     "managedFields",
					     "name",
					     "namespace",
					     "ownerReferences",
					     "resourceVersion",
					     "selfLink",
					     "uid",
					     NULL };
	struct notes *n = &report->notes;
	struct field metadata = field_get(root, "metadata");
	struct field uid = field_get(&metadata, "uid");

	meta->namespace = notes_strdup(n, report->namespace);
	meta->name = notes_strdup(n, report->name);
	if (input->from_api)
		meta->uid = field_strdup(n, &uid);
	meta->origin = make_origin(n, input->file, value_line(root->value));
	field_check_names(n, &metadata, known);
}

struct field decode_tag(struct notes *n, const struct field *metadata, const char *map,
			const char *key, struct field *ret_map)
{
	*ret_map = field_get(metadata, map);
	if (!field_is_map(n, ret_map))
		*ret_map = (struct field){ .up = metadata, .key = map };
	return field_get(ret_map, key);
}

char *decode_label(struct notes *n, const struct field *root, const char *key)
{
	struct field metadata = field_get(root, "metadata"), labels;
	struct field label = decode_tag(n, &metadata, "labels", key, &labels);

	return field_strdup(n, &label);
}

void decode_report_done(struct decode_report *report)
{
	notes_done(&report->notes);
}

int decode_object(struct value v, const struct decode_input *input, struct decode_report *report,
		  struct object *ret_object)
{
	struct notes *n = &report->notes;
	struct field root = { .value = v };
	struct object object = { 0 };
	const struct kind *kind;

	notes_reset(n);
	n->from_api = input->from_api;
	report->named = false;
	if (value_type(v) != VALUE_MAP) {
		note_refusal(n, &root, "an object is a map that begins with apiVersion and kind");
		return n->no_memory ? -ENOMEM : -EINVAL;
	}
	if (find_kind(n, &root, input, &kind) && !kind)
		return DECODE_OTHER;
	if (kind && read_identity(&root, kind, report)) {
		object.kind = kind->object;
		read_meta(report, &root, input, &object.meta);
		kind->decode(n, &root, &object);
	}
	if (n->refused || n->no_memory) {
		object_done(&object);
		return n->no_memory ? -ENOMEM : -EINVAL;
	}
	*ret_object = object;
	return DECODE_OBJECT;
}

/* ---- lists ------------------------------------------------------------------------------------------------- */

#define LISTS_DEEP_MAX 4

/* "ServiceList" implies "Service"; "List" implies nothing. */
static size_t implied_len(const char *kind)
{
	size_t len = kind ? strlen(kind) : 0;

	return len >= 4 && strcmp(kind + len - 4, "List") == 0 ? len - 4 : SIZE_MAX;
}

static int each(struct value v, const struct decode_input *input, struct notes *notes,
		decode_each_fn *fn, void *ctx, int deep)
{
	const char *kind = value_string(value_get(v, "kind"));
	size_t len = implied_len(kind);
	struct decode_input item = *input;
	struct field root = { .value = v }, items = field_get(&root, "items"), e;
	char implied[64];
	int rc = 0;

	/* "AllowList" may be a kind of somebody's that is no list at all */
	if (len == SIZE_MAX || (len > 0 && value_type(items.value) != VALUE_LIST))
		return fn(ctx, v, input);
	if (deep == LISTS_DEEP_MAX) {
		note_refusal(notes, &root, "lists are more than %d inside each other", deep);
		return -EINVAL;
	}
	if (!field_is_list(notes, &items)) {
		if (!notes->refused && value_type(items.value) != VALUE_NULL)
			note_refusal(notes, &items, "is missing: a List has items");
		return notes->refused ? -EINVAL : 0;
	}
	if (len > 0 && len < sizeof(implied)) {
		memcpy(implied, kind, len);
		implied[len] = '\0';
		item.kind = implied;
		item.api_version = value_string(value_get(v, "apiVersion"));
	}
	for (e = field_first(&items); e.value.node && rc == 0; field_next(&e))
		rc = each(e.value, &item, notes, fn, ctx, deep + 1);
	return rc;
}

int decode_each(struct value v, const struct decode_input *input, struct notes *notes,
		decode_each_fn *fn, void *ctx)
{
	return each(v, input, notes, fn, ctx, 0);
}
