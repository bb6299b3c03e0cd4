// SPDX-License-Identifier: GPL-2.0
/* Rows of the control maps as services with names and endpoints. */
/* Must not know: maps, output formats, the store, what makes two views differ. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/vec.h"
#include "core/diff.h"
#include "core/view.h"

/* ---- reading: rows by index ------------------------------------------------------------------ */

/* Values of one table by its index; NULL = no such row. */
struct index {
	void **values;
	uint32_t len;
};

struct services VEC_OF(struct view_service);

struct owned {
	uint32_t service, id;
};

struct reading {
	struct arena *memory;
	int family;
	const struct row_reader *rows; /* one service alone: look-ups instead of the indexes */
	struct index names, backends, rings, records;
	struct VEC_OF(struct owned) owned; /* backends by service */
	struct services services;
	/* where load_one() puts rows */
	struct index *target;
	size_t value_len;
	union {
		struct sl_name name;
		struct sl4_service record4;
		struct sl6_service record6;
		struct sl4_backend backend4;
		struct sl6_backend backend6;
		struct sl_ring_line line;
	} row; /* the last look-up's */
};

static int index_grow(struct index *x, uint32_t want)
{
	uint32_t len = x->len ? x->len : 64;
	void **grown;

	if (want <= x->len)
		return 0;
	while (len < want)
		len = len > UINT32_MAX / 2 ? UINT32_MAX : len * 2;
	grown = realloc(x->values, len * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memset(grown + x->len, 0, (len - x->len) * sizeof(*grown));
	x->values = grown;
	x->len = len;
	return 0;
}

static const void *index_get(const struct index *x, uint32_t i)
{
	return i < x->len ? x->values[i] : NULL;
}

/* One row of a table with numbers as keys, or NULL. Valid until the next call. */
static const void *row_at(struct reading *r, const struct index *x, enum row_table table4,
			  uint32_t i)
{
	if (!r->rows)
		return index_get(x, i);
	return r->rows->get(r->rows->ctx, row_table_of(table4, r->family), &i, &r->row) == 0
		       ? &r->row
		       : NULL;
}

static int load_one(void *ctx, const void *key, const void *value)
{
	struct reading *r = ctx;
	const unsigned char *bytes = value;
	uint32_t i;
	size_t at = 0;

	while (at < r->value_len && !bytes[at])
		at++;
	if (at == r->value_len)
		return 0;
	memcpy(&i, key, sizeof(i));
	if (i == UINT32_MAX || index_grow(r->target, i + 1) < 0)
		return -ENOMEM;
	r->target->values[i] = arena_memdup(r->memory, value, r->value_len);
	return r->target->values[i] ? 0 : -ENOMEM;
}

static int load(struct reading *r, const struct row_reader *rows, enum row_table table4,
		struct index *ret_index)
{
	enum row_table t = row_table_of(table4, r->family);

	r->target = ret_index;
	r->value_len = row_tables[t].value_len;
	return rows->each(rows->ctx, t, load_one, r);
}

/* ---- endpoints ------------------------------------------------------------------------------- */

static int compare_owned(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;

	if (x->service != y->service)
		return x->service < y->service ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

static int index_owners(struct reading *r)
{
	for (uint32_t i = 0; i < r->backends.len; i++) {
		struct row_backend b;

		if (!r->backends.values[i])
			continue;
		row_decode_backend(r->family, r->backends.values[i], &b);
		if (b.flags && vec_push(&r->owned, (struct owned){ b.service, i }) < 0)
			return -ENOMEM;
	}
	vec_sort(&r->owned, compare_owned);
	return 0;
}

static struct view_endpoint make_endpoint(struct reading *r, uint32_t id, uint32_t service)
{
	const void *row = row_at(r, &r->backends, ROW4_BACKENDS, id);
	struct row_backend b = { .addr.family = (uint8_t)r->family };

	if (row)
		row_decode_backend(r->family, row, &b);
	return (struct view_endpoint){
		.addr = b.addr,
		.port = b.port,
		.flags = b.flags,
		.backend = id,
		.gen = b.gen,
		.foreign = b.flags && b.service != service,
	};
}

static int compare_endpoints(const void *a, const void *b)
{
	const struct view_endpoint *x = a, *y = b;
	int cmp = address_cmp(&x->addr, &y->addr);

	if (!cmp)
		cmp = (x->port > y->port) - (x->port < y->port);
	return cmp ? cmp : (x->backend > y->backend) - (x->backend < y->backend);
}

static int fill_backends(struct reading *r, struct view_service *s)
{
	struct owned key = { s->service, 0 };
	size_t low = 0, high = r->owned.len, n = 0;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (compare_owned(&r->owned.data[mid], &key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	while (low + n < r->owned.len && r->owned.data[low + n].service == s->service)
		n++;
	if (!n || !s->service)
		return 0;
	s->backends = arena_new(r->memory, struct view_endpoint, n);
	if (!s->backends)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		s->backends[i] = make_endpoint(r, r->owned.data[low + i].id, s->service);
	s->n_backends = n;
	qsort(s->backends, n, sizeof(*s->backends), compare_endpoints);
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void read_ring(struct reading *r, uint32_t line, uint32_t len, uint32_t *ret_ids)
{
	const struct sl_ring_line *l = NULL;

	for (uint32_t i = 0; i < len; i++) {
		if (i % SL_RING_LINE_IDS == 0)
			l = row_at(r, &r->rings, ROW4_RINGS, line + i / SL_RING_LINE_IDS);
		ret_ids[i] = l ? l->backend[i % SL_RING_LINE_IDS] : 0;
	}
}

/* Distinct endpoints of a ring, with how often each is in it. */
static int fill_list(struct reading *r, const struct view_service *s, uint32_t line, uint32_t len,
		     struct view_endpoint **ret_list, size_t *ret_n)
{
	size_t n = 0, room = r->rows || len <= r->backends.len ? len : r->backends.len + 1;
	struct view_endpoint *list;
	uint32_t *ids;

	if (!len)
		return 0;
	ids = malloc(len * sizeof(*ids));
	list = arena_new(r->memory, struct view_endpoint, room);
	if (!ids || !list) {
		free(ids);
		return -ENOMEM;
	}
	read_ring(r, line, len, ids);
	qsort(ids, len, sizeof(*ids), compare_ids);
	for (uint32_t i = 0; i < len; i++) {
		if (n > 0 && list[n - 1].backend == ids[i]) {
			list[n - 1].share++;
			continue;
		}
		if (n == room) /* more ids than backends: enough is told */
			break;
		list[n] = make_endpoint(r, ids[i], s->service);
		list[n++].share = 1;
	}
	free(ids);
	qsort(list, n, sizeof(*list), compare_endpoints);
	*ret_list = list;
	*ret_n = n;
	return 0;
}

/* ---- services -------------------------------------------------------------------------------- */

static const char *find_damage(const void *held, const struct row_service *record,
			       const struct row_service_key *key, const struct sl_slot_ref *ref)
{
	if (!held)
		return "there is no record in its slot";
	if (record->gen != ref->gen)
		return "the record in its slot is of another generation";
	if (record->key.port != key->port || record->key.proto != key->proto ||
	    address_cmp(&record->key.vip, &key->vip))
		return "the record in its slot belongs to another address";
	return NULL;
}

static int fill_names(struct reading *r, struct view_service *s)
{
	const struct sl_name *name = row_at(r, &r->names, ROW4_NAMES, s->service);
	static const struct sl_name none;

	if (!name || !s->service)
		name = &none;
	s->namespace = arena_strndup(r->memory, name->namespace, sizeof(name->namespace) - 1);
	s->name = arena_strndup(r->memory, name->name, sizeof(name->name) - 1);
	s->port_name = arena_strndup(r->memory, name->port_name, sizeof(name->port_name) - 1);
	return s->namespace && s->name && s->port_name ? 0 : -ENOMEM;
}

static void fill_record(struct view_service *s, const struct row_service *record)
{
	s->kind = record->kind;
	s->algorithm = record->algorithm;
	s->flags = record->flags;
	s->affinity_s = record->affinity_s;
	s->service = record->service;
	s->cluster_len = record->cluster_len;
	s->local_len = record->local_len;
}

static int fill_service(struct reading *r, const void *key_bytes, const struct sl_slot_ref *ref,
			struct view_service *s)
{
	struct row_service record = { 0 };
	struct row_service_key key;
	const void *held;
	int rc;

	row_decode_key(r->family, key_bytes, &key);
	held = row_at(r, &r->records, ROW4_RECORDS, ref->slot);
	if (held)
		row_decode_service(r->family, held, &record);
	s->vip = key.vip;
	s->port = key.port;
	s->proto = key.proto;
	s->slot = ref->slot;
	s->gen = ref->gen;
	s->damage = find_damage(held, &record, &key, ref);
	if (!s->damage)
		fill_record(s, &record);
	rc = fill_names(r, s);
	if (!rc && !s->damage)
		rc = fill_list(r, s, record.cluster_line, record.cluster_len, &s->cluster,
			       &s->n_cluster);
	if (!rc && !s->damage)
		rc = fill_list(r, s, record.local_line, record.local_len, &s->local, &s->n_local);
	return rc;
}

static int add_service(void *ctx, const void *key_bytes, const void *value)
{
	struct reading *r = ctx;
	struct view_service s = { 0 };
	struct sl_slot_ref ref;
	int rc;

	memcpy(&ref, value, sizeof(ref));
	rc = fill_service(r, key_bytes, &ref, &s);
	if (!rc)
		rc = fill_backends(r, &s);
	return rc < 0 ? rc : vec_push(&r->services, s);
}

int view_read_service(const struct row_reader *rows, int family, const void *key,
		      struct arena *memory, struct view_service *ret_service)
{
	struct reading r = { .memory = memory, .family = family, .rows = rows };
	struct view_service s = { 0 };
	struct sl_slot_ref ref;
	int rc = rows->get(rows->ctx, row_table_of(ROW4_SERVICES, family), key, &ref);

	if (!rc)
		rc = fill_service(&r, key, &ref, &s);
	if (!rc)
		*ret_service = s;
	return rc;
}

/* Addresses have no name of their own: they take that of a service that lives there. */
static int compare_places(const void *a, const void *b)
{
	const struct view_service *x = *(struct view_service *const *)a,
				  *y = *(struct view_service *const *)b;
	int cmp = address_cmp(&x->vip, &y->vip);

	if (!cmp)
		cmp = (x->kind == SL_KIND_ADDRESS) - (y->kind == SL_KIND_ADDRESS);
	if (!cmp)
		cmp = strcmp(x->namespace, y->namespace);
	return cmp ? cmp : strcmp(x->name, y->name);
}

static int name_addresses(struct view_service *services, size_t n)
{
	struct view_service **sorted = malloc((n + 1) * sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = &services[i];
	qsort(sorted, n, sizeof(*sorted), compare_places);
	for (size_t i = 1; i < n; i++) {
		if (sorted[i]->kind != SL_KIND_ADDRESS ||
		    address_cmp(&sorted[i]->vip, &sorted[i - 1]->vip) != 0)
			continue;
		sorted[i]->namespace = sorted[i - 1]->namespace;
		sorted[i]->name = sorted[i - 1]->name;
	}
	free(sorted);
	return 0;
}

/* Addresses come last, and without the names they have borrowed. */
int view_service_cmp(const struct view_service *a, const struct view_service *b)
{
	int cmp = (a->kind == SL_KIND_ADDRESS) - (b->kind == SL_KIND_ADDRESS);

	if (!cmp && a->kind == SL_KIND_ADDRESS)
		return address_cmp(&a->vip, &b->vip);
	if (!cmp)
		cmp = strcmp(a->namespace, b->namespace);
	if (!cmp)
		cmp = strcmp(a->name, b->name);
	if (!cmp)
		cmp = strcmp(a->port_name, b->port_name);
	if (!cmp)
		cmp = (int)a->proto - b->proto;
	if (!cmp)
		cmp = (int)a->kind - (int)b->kind;
	if (!cmp)
		cmp = address_cmp(&a->vip, &b->vip);
	return cmp ? cmp : (int)a->port - b->port;
}

static int compare_services(const void *a, const void *b)
{
	return view_service_cmp(a, b);
}

int view_sort(struct view *v)
{
	int rc = name_addresses(v->services, v->n_services);

	if (!rc && v->n_services)
		qsort(v->services, v->n_services, sizeof(*v->services), compare_services);
	return rc;
}

static int read_family(struct reading *r, const struct row_reader *rows)
{
	int rc = load(r, rows, ROW4_NAMES, &r->names);

	if (!rc)
		rc = load(r, rows, ROW4_BACKENDS, &r->backends);
	if (!rc)
		rc = load(r, rows, ROW4_RINGS, &r->rings);
	if (!rc)
		rc = load(r, rows, ROW4_RECORDS, &r->records);
	if (!rc)
		rc = index_owners(r);
	if (!rc)
		rc = rows->each(rows->ctx, row_table_of(ROW4_SERVICES, r->family), add_service, r);
	free(r->names.values);
	free(r->backends.values);
	free(r->rings.values);
	free(r->records.values);
	vec_done(&r->owned);
	return rc;
}

static int read_config(void *ctx, const void *key, const void *value)
{
	struct view *v = ctx;
	uint32_t index;

	memcpy(&index, key, sizeof(index));
	if (index == 0) {
		memcpy(&v->config, value, sizeof(v->config));
		v->has_config = true;
	}
	return 0;
}

int view_from_rows(const struct row_reader *rows, struct view *ret_view)
{
	struct view v = { .memory = calloc(1, sizeof(*v.memory)) };
	struct reading r = { .memory = v.memory };
	int rc = v.memory ? rows->each(rows->ctx, ROW_CONFIG, read_config, &v) : -ENOMEM;

	for (int family = 4; family <= 6 && !rc; family += 2) {
		struct services services = r.services;

		r = (struct reading){ .memory = v.memory, .family = family, .services = services };
		rc = read_family(&r, rows);
	}
	v.services = r.services.data;
	v.n_services = r.services.len;
	if (!rc)
		rc = view_sort(&v);
	if (rc) {
		view_done(&v);
		return rc;
	}
	*ret_view = v;
	return 0;
}

int view_from_plan(const struct diff *d, struct view *ret_view)
{
	struct row_reader rows = diff_desired_reader(d);

	return view_from_rows(&rows, ret_view);
}

void view_done(struct view *v)
{
	if (!v)
		return;
	free(v->services);
	if (v->memory)
		arena_done(v->memory);
	free(v->memory);
	memset(v, 0, sizeof(*v));
}

/* ---- words ----------------------------------------------------------------------------------- */

const char *view_kind_name(enum sl_kind kind)
{
	switch (kind) {
	case SL_KIND_NONE:
		return "none";
	case SL_KIND_CLUSTER_IP:
		return "ClusterIP";
	case SL_KIND_EXTERNAL_IP:
		return "ExternalIP";
	case SL_KIND_LOAD_BALANCER:
		return "LoadBalancer";
	case SL_KIND_NODE_PORT:
		return "NodePort";
	case SL_KIND_ADDRESS:
		return "address";
	}
	return "unknown";
}

const char *view_proto_name(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return "TCP";
	case IPPROTO_UDP:
		return "UDP";
	case IPPROTO_SCTP:
		return "SCTP";
	case 0:
		return "any";
	}
	return "unknown";
}

const char *view_algorithm_name(enum sl_algorithm algorithm)
{
	switch (algorithm) {
	case SL_ALGORITHM_RANDOM:
		return "random";
	case SL_ALGORITHM_MAGLEV:
		return "maglev";
	case SL_ALGORITHM_LEAST_CONN:
		return "least-connections";
	}
	return "unknown";
}

/* ---- looking ------------------------------------------------------------------------------------- */

const struct view_service *view_find(const struct view *v, const struct address *addr,
				     uint16_t port, uint8_t proto)
{
	for (size_t i = 0; i < v->n_services; i++) {
		const struct view_service *s = &v->services[i];

		if (s->port == port && s->proto == proto && address_cmp(&s->vip, addr) == 0)
			return s;
	}
	return NULL;
}
