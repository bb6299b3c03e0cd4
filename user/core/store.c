// SPDX-License-Identifier: GPL-2.0
/* Keeps copies of what the source says exists, and which services changed. */
/*
 * Must not know: what follows from the objects (that is policy and plan), and where they come from.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "base/vec.h"
#include "core/problem.h"
#include "core/store.h"

struct entry {
	struct store_entry pub; /* first: a store_entry is an entry */
	struct service service;
	bool has_service;
	char *uid; /* of the last service that was here */
	struct VEC_OF(const struct endpoint_slice *) slices;
	char *key; /* "namespace/name"; pub.namespace and pub.name point into names */
	char *names;
	bool dirty;
	struct entry *prev, *next; /* dirty list */
};

struct slice {
	struct endpoint_slice data; /* first */
	struct entry *entry;
};

struct store {
	struct table entries; /* "namespace/name" of the service → struct entry */
	struct table slices;  /* "namespace/name" of the slice → struct slice */
	struct table nodes;   /* name → struct node */
	struct table cidrs;   /* name → struct service_cidr */
	struct entry *dirty_first, *dirty_last;
	size_t n_dirty, n_services;
	uint64_t incarnations;
	bool listed[OBJECT_KINDS];
	bool nodes_dirty, cidrs_dirty;
	int error;
	struct problems *problems;
};

static char *make_key(const char *namespace, const char *name)
{
	size_t a = strlen(namespace), b = strlen(name);
	char *key = malloc(a + b + 2);

	if (!key)
		return NULL;
	memcpy(key, namespace, a);
	key[a] = '/';
	memcpy(key + a + 1, name, b + 1);
	return key;
}

static const char *text_or_empty(const char *text)
{
	return text ? text : "";
}

/* ---- entries and the dirty list -------------------------------------------------------------- */

static void entry_free(void *value)
{
	struct entry *e = value;

	service_done(&e->service);
	vec_done(&e->slices);
	free(e->uid);
	free(e->names);
	free(e->key);
	free(e);
}

static void unlink_dirty(struct store *s, struct entry *e)
{
	if (!e->dirty)
		return;
	*(e->prev ? &e->prev->next : &s->dirty_first) = e->next;
	*(e->next ? &e->next->prev : &s->dirty_last) = e->prev;
	e->prev = e->next = NULL;
	e->dirty = false;
	s->n_dirty--;
}

static void mark_dirty(struct store *s, struct entry *e)
{
	if (e->dirty)
		return;
	e->dirty = true;
	e->prev = s->dirty_last;
	e->next = NULL;
	*(e->prev ? &e->prev->next : &s->dirty_first) = e;
	s->dirty_last = e;
	s->n_dirty++;
}

static struct entry *entry_new(struct store *s, const char *namespace, char *key)
{
	struct entry *e = calloc(1, sizeof(*e));
	size_t len = strlen(namespace);

	if (!e)
		return NULL;
	e->names = strdup(key);
	if (!e->names || table_put_str(&s->entries, key, e, NULL) < 0) {
		free(e->names);
		free(e);
		return NULL;
	}
	e->key = key;
	e->names[len] = '\0';
	e->pub.namespace = e->names;
	e->pub.name = e->names + len + 1;
	e->pub.incarnation = ++s->incarnations;
	return e;
}

/* Finds or makes it; NULL if there is no memory. */
static struct entry *entry_get(struct store *s, const char *namespace, const char *name)
{
	char *key = make_key(namespace, name);
	struct entry *e;

	if (!key)
		return NULL;
	e = table_get_str(&s->entries, key);
	if (!e) {
		e = entry_new(s, namespace, key);
		if (e)
			return e; /* the key is its own now */
	}
	free(key);
	return e;
}

static bool entry_is_empty(const struct entry *e)
{
	return !e->has_service && !e->slices.len && !e->pub.user;
}

/* An entry that was made for an object that then could not be kept. */
static void drop_if_unused(struct store *s, struct entry *e)
{
	if (e->dirty || !entry_is_empty(e))
		return;
	table_remove_str(&s->entries, e->key);
	entry_free(e);
}

/* ---- what sources say ------------------------------------------------------------------------ */

static void lost(struct store *s)
{
	s->error = -ENOMEM;
}

static bool same_uid(const char *a, const char *b)
{
	return !a || !b || strcmp(a, b) == 0;
}

static void put_service(void *ctx, const struct service *service)
{
	struct store *s = ctx;
	struct entry *e = entry_get(s, text_or_empty(service->meta.namespace), service->meta.name);
	struct service copy;
	char *uid = NULL;

	if (!e) {
		lost(s);
		return;
	}
	if (service->meta.uid && !(uid = strdup(service->meta.uid))) {
		lost(s);
		drop_if_unused(s, e);
		return;
	}
	if (service_copy(service, &copy) < 0) {
		lost(s);
		free(uid);
		drop_if_unused(s, e);
		return;
	}
	if (!same_uid(e->uid, uid))
		e->pub.incarnation = ++s->incarnations;
	if (uid) {
		free(e->uid);
		e->uid = uid;
	}
	s->n_services += !e->has_service;
	service_done(&e->service);
	e->service = copy;
	e->has_service = true;
	e->pub.service = &e->service;
	mark_dirty(s, e);
}

static void gone_service(struct store *s, const char *key)
{
	struct entry *e = table_get_str(&s->entries, key);

	if (!e || !e->has_service)
		return;
	service_done(&e->service);
	e->has_service = false;
	e->pub.service = NULL;
	s->n_services--;
	mark_dirty(s, e);
}

static void publish_slices(struct entry *e)
{
	e->pub.slices = e->slices.data;
	e->pub.n_slices = e->slices.len;
}

static void detach(struct store *s, struct slice *slice)
{
	struct entry *e = slice->entry;

	for (size_t i = 0; i < e->slices.len; i++) {
		if (e->slices.data[i] == &slice->data) {
			vec_remove(&e->slices, i);
			break;
		}
	}
	publish_slices(e);
	mark_dirty(s, e);
	slice->entry = NULL;
}

/*
 * Room was made before. Sorted by name, so that what follows from the slices does not depend on the
 * order of events.
 */
static void attach(struct store *s, struct slice *slice, struct entry *e)
{
	size_t i = e->slices.len++;

	for (; i > 0 && strcmp(e->slices.data[i - 1]->meta.name, slice->data.meta.name) > 0; i--)
		e->slices.data[i] = e->slices.data[i - 1];
	e->slices.data[i] = &slice->data;
	slice->entry = e;
	publish_slices(e);
	mark_dirty(s, e);
}

static void slice_free(void *value)
{
	struct slice *slice = value;

	endpoint_slice_done(&slice->data);
	free(slice);
}

static void gone_slice(struct store *s, const char *key)
{
	struct slice *slice = table_remove_str(&s->slices, key);

	if (!slice)
		return;
	detach(s, slice);
	slice_free(slice);
}

/* `fresh` takes the place of what is there under its key; 0 or -ENOMEM, then nothing changed. */
static int replace_slice(struct store *s, struct slice *fresh, const char *key)
{
	const char *namespace = text_or_empty(fresh->data.meta.namespace);
	struct entry *e = entry_get(s, namespace, fresh->data.service);
	void *old = NULL;

	if (!e)
		return -ENOMEM;
	if (vec_reserve(&e->slices, 1) < 0 || table_put_str(&s->slices, key, fresh, &old) < 0) {
		publish_slices(e); /* the array may have moved */
		drop_if_unused(s, e);
		return -ENOMEM;
	}
	if (old) {
		detach(s, old);
		slice_free(old);
	}
	attach(s, fresh, e);
	return 0;
}

static void put_slice(void *ctx, const struct endpoint_slice *data)
{
	struct store *s = ctx;
	char *key = make_key(text_or_empty(data->meta.namespace), data->meta.name);
	struct slice *fresh;

	if (!key) {
		lost(s);
		return;
	}
	if (!data->service || !*data->service || (data->family != 4 && data->family != 6)) {
		gone_slice(s, key); /* it may have belonged to a service before */
		free(key);
		return;
	}
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh || endpoint_slice_copy(data, &fresh->data) < 0) {
		lost(s);
		free(fresh);
	} else if (replace_slice(s, fresh, key) < 0) {
		lost(s);
		slice_free(fresh);
	}
	free(key);
}

static void node_free(void *value)
{
	node_done(value);
	free(value);
}

static void put_node(void *ctx, const struct node *node)
{
	struct store *s = ctx;
	struct node *copy = calloc(1, sizeof(*copy));
	void *old = NULL;

	if (!copy || node_copy(node, copy) < 0) {
		free(copy);
		lost(s);
		return;
	}
	if (table_put_str(&s->nodes, node->meta.name, copy, &old) < 0) {
		node_free(copy);
		lost(s);
		return;
	}
	if (old)
		node_free(old);
	s->nodes_dirty = true;
}

static void cidr_free(void *value)
{
	service_cidr_done(value);
	free(value);
}

static void put_service_cidr(void *ctx, const struct service_cidr *c)
{
	struct store *s = ctx;
	struct service_cidr *copy = calloc(1, sizeof(*copy));
	void *old = NULL;

	if (!copy || service_cidr_copy(c, copy) < 0) {
		free(copy);
		lost(s);
		return;
	}
	if (table_put_str(&s->cidrs, c->meta.name, copy, &old) < 0) {
		cidr_free(copy);
		lost(s);
		return;
	}
	if (old)
		cidr_free(old);
	s->cidrs_dirty = true;
}

static void gone_named(struct table *table, const char *name, void (*free_value)(void *),
		       bool *dirty)
{
	void *old = table_remove_str(table, name);

	if (!old)
		return;
	free_value(old);
	*dirty = true;
}

static void gone(void *ctx, enum object_kind kind, const char *namespace, const char *name)
{
	struct store *s = ctx;
	char *key;

	if (kind == OBJECT_NODE) {
		gone_named(&s->nodes, name, node_free, &s->nodes_dirty);
		return;
	}
	if (kind == OBJECT_SERVICE_CIDR) {
		gone_named(&s->cidrs, name, cidr_free, &s->cidrs_dirty);
		return;
	}
	key = make_key(text_or_empty(namespace), name);
	if (!key) {
		lost(s);
		return;
	}
	if (kind == OBJECT_SERVICE)
		gone_service(s, key);
	else if (kind == OBJECT_ENDPOINT_SLICE)
		gone_slice(s, key);
	free(key);
}

static void listed(void *ctx, enum object_kind kind)
{
	struct store *s = ctx;

	if (kind < OBJECT_KINDS)
		s->listed[kind] = true;
}

static void problem(void *ctx, const char *object, const char *reason)
{
	struct store *s = ctx;

	if (s->problems)
		problem_set(s->problems, "source", object, reason);
}

struct source_sink store_sink(struct store *store)
{
	return (struct source_sink){
		.ctx = store,
		.put_service = put_service,
		.put_slice = put_slice,
		.put_node = put_node,
		.put_service_cidr = put_service_cidr,
		.gone = gone,
		.listed = listed,
		.problem = problem,
	};
}

/* ---- life ------------------------------------------------------------------------------------ */

struct store *store_new(struct problems *problems)
{
	struct store *s = calloc(1, sizeof(*s));
	uint64_t seed =
		(uint64_t)(uintptr_t)s * 0x9e3779b97f4a7c15ull; /* names come from strangers */

	if (!s)
		return NULL;
	table_init(&s->entries, seed);
	table_init(&s->slices, seed + 1);
	table_init(&s->nodes, seed + 2);
	table_init(&s->cidrs, seed + 3);
	s->problems = problems;
	s->nodes_dirty = s->cidrs_dirty = true;
	return s;
}

void store_free(struct store *store)
{
	if (!store)
		return;
	table_done(&store->entries, entry_free);
	table_done(&store->slices, slice_free);
	table_done(&store->nodes, node_free);
	table_done(&store->cidrs, cidr_free);
	free(store);
}

bool store_is_listed(const struct store *store)
{
	for (int i = 0; i < OBJECT_KINDS; i++)
		if ((OBJECTS_OF_AGENT & OBJECT_BIT(i)) && !store->listed[i])
			return false;
	return true;
}

int store_error(const struct store *store)
{
	return store->error;
}

void store_clear_error(struct store *store)
{
	store->error = 0;
}

/* ---- what planners ask ----------------------------------------------------------------------- */

struct store_entry *store_first_dirty(struct store *store)
{
	return store->dirty_first ? &store->dirty_first->pub : NULL;
}

struct store_entry *store_next_dirty(struct store *store, struct store_entry *entry)
{
	struct entry *e = (struct entry *)entry;

	(void)store;
	return e->next ? &e->next->pub : NULL;
}

size_t store_n_dirty(const struct store *store)
{
	return store->n_dirty;
}

void store_clean(struct store *store, struct store_entry *entry)
{
	struct entry *e = (struct entry *)entry;

	unlink_dirty(store, e);
	drop_if_unused(store, e);
}

void store_mark_dirty(struct store *store, struct store_entry *entry)
{
	mark_dirty(store, (struct entry *)entry);
}

bool store_is_dirty(const struct store_entry *entry)
{
	return ((const struct entry *)entry)->dirty;
}

void store_mark_all_dirty(struct store *store)
{
	struct table_entry *t;

	table_for_each(t, &store->entries)
		mark_dirty(store, t->value);
}

bool store_nodes_dirty(const struct store *store)
{
	return store->nodes_dirty;
}

void store_clean_nodes(struct store *store)
{
	store->nodes_dirty = false;
}

bool store_cidrs_dirty(const struct store *store)
{
	return store->cidrs_dirty;
}

void store_clean_cidrs(struct store *store)
{
	store->cidrs_dirty = false;
}

const struct store_entry *store_find(const struct store *store, const char *namespace,
				     const char *name)
{
	char *key = make_key(namespace, name);
	struct entry *e;

	if (!key)
		return NULL;
	e = table_get_str(&store->entries, key);
	free(key);
	return e ? &e->pub : NULL;
}

const struct endpoint_slice *store_slice(const struct store *store, const char *namespace,
					 const char *name)
{
	char *key = make_key(text_or_empty(namespace), name);
	const struct slice *slice = key ? table_get_str(&store->slices, key) : NULL;

	free(key);
	return slice ? &slice->data : NULL;
}

const struct node *store_node(const struct store *store, const char *name)
{
	return name ? table_get_str(&store->nodes, name) : NULL;
}

int store_each_entry(const struct store *store, int (*fn)(void *ctx, struct store_entry *entry),
		     void *ctx)
{
	struct table_entry *t;
	int rc = 0;

	table_for_each(t, &store->entries) {
		rc = fn(ctx, &((struct entry *)t->value)->pub);
		if (rc)
			break;
	}
	return rc;
}

int store_each_cidr(const struct store *store, int (*fn)(void *ctx, const struct service_cidr *c),
		    void *ctx)
{
	struct table_entry *t;
	int rc = 0;

	table_for_each(t, &store->cidrs) {
		rc = fn(ctx, t->value);
		if (rc)
			break;
	}
	return rc;
}

void store_count(const struct store *store, struct store_stats *ret_stats)
{
	struct table_entry *t;
	size_t endpoints = 0;

	table_for_each(t, &store->slices)
		endpoints += ((struct slice *)t->value)->data.n_endpoints;
	*ret_stats = (struct store_stats){
		.services = store->n_services,
		.slices = store->slices.len,
		.endpoints = endpoints,
		.nodes = store->nodes.len,
		.cidrs = store->cidrs.len,
	};
}
