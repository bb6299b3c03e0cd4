// SPDX-License-Identifier: GPL-2.0
/*
 * Restart: from the rows the kernel holds back to the state that a plan would have, so that what
 * did not change stays.
 */
/* Must not know: what the source says; ports are found by name when it does. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/plan_state.h"

/* One family while it is restored. */
struct restore {
	struct plan *plan;
	struct plan_family *f;
	struct plan_port *
		*by_id; /* by service id; ports belong to f->nameless until they are named */
};

#define NAME_KEY_LEN (SL_NAMESPACE_LEN + SL_NAME_LEN + SL_PORT_NAME_LEN + 8)

static size_t name_key(char *buf, const char *namespace, const char *name, const char *port_name,
		       uint8_t proto)
{
	int len = snprintf(buf, NAME_KEY_LEN, "%.*s\n%.*s\n%.*s\n%u", SL_NAMESPACE_LEN - 1,
			   namespace, SL_NAME_LEN - 1, name, SL_PORT_NAME_LEN - 1, port_name,
			   proto);

	return (size_t)len;
}

/* The row shall stay as the kernel holds it. */
static int keep(const struct restore *r, enum row_table table4, const void *key, const void *value)
{
	return diff_want(r->plan->diff, plan_table(r->f, table4), key, value);
}

static int each_actual(struct restore *r, enum row_table table4,
		       int (*fn)(void *ctx, const void *key, const void *value))
{
	struct row_reader reader = diff_actual_reader(r->plan->diff);

	return reader.each(reader.ctx, plan_table(r->f, table4), fn, r);
}

/* ---- names: one port for each service id ----------------------------------------------------- */

/* *ret_port is NULL when the id cannot be one of ours. */
static int add_port(struct restore *r, uint32_t id, const struct sl_name *name,
		    struct plan_port **ret_port)
{
	struct plan_port *p;
	int rc;

	*ret_port = NULL;
	if (vec_reserve(&r->f->nameless, 1) < 0)
		return -ENOMEM;
	rc = ids_adopt(&r->f->services, id, 0);
	if (rc == -ERANGE || rc == -EEXIST)
		return 0;
	p = rc < 0 ? NULL : calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->family = r->f;
	p->id = id;
	p->proto = name->proto;
	p->port = name->port;
	r->f->nameless.data[r->f->nameless.len++] = p;
	r->f->n_services++;
	r->by_id[id] = p;
	p->name = strndup(name->port_name, sizeof(name->port_name) - 1);
	if (!p->name)
		return -ENOMEM;
	*ret_port = p;
	return 0;
}

static int restore_name(void *ctx, const void *key, const void *value)
{
	struct plan_port *p;
	struct sl_name name;
	uint32_t id;

	memcpy(&id, key, sizeof(id));
	memcpy(&name, value, sizeof(name));
	return add_port(ctx, id, &name, &p);
}

/* ---- services: what is in force -------------------------------------------------------------- */

/* A list that is in force: its lines are taken and kept. */
static int adopt_lines(struct restore *r, uint32_t line, uint32_t lines)
{
	enum row_table t = plan_table(r->f, ROW4_RINGS);
	int rc = extents_adopt(&r->f->lines, line, lines);

	for (uint32_t i = 0; !rc && i < lines; i++) {
		uint32_t key = line + i;
		const void *held = diff_actual(r->plan->diff, t, &key);

		if (held)
			rc = diff_want(r->plan->diff, t, &key, held);
	}
	return rc;
}

/* Another range than the port's: it rests until the row that names it is replaced. */
static int adopt_other_lines(struct restore *r, const struct plan_row *row, uint32_t line,
			     uint32_t lines)
{
	struct plan_rest *rest = plan_rest_new(r->f, 1, 1);
	int rc;

	if (!rest)
		return -ENOMEM;
	rc = extents_adopt(&r->f->lines, line, lines);
	if (!rc) {
		plan_rest_add_key(rest, &row->key);
		plan_rest_add(rest, REST_LINES, line, lines);
	}
	plan_rest_commit(r->plan, rest);
	return rc;
}

/* Ranges that overlap others or lie outside are left alone: the lists will be made anew. */
static int adopt_list(struct restore *r, const struct plan_row *row, struct plan_list *l,
		      uint32_t line, uint32_t len, uint32_t n_backends)
{
	uint32_t lines = row_ring_lines(len);
	int rc;

	if (!lines || (l->lines && l->line == line && l->len == len))
		return 0;
	if (l->lines) {
		rc = adopt_other_lines(r, row, line, lines);
		return rc == -ENOMEM ? rc : 0;
	}
	rc = adopt_lines(r, line, lines);
	if (rc < 0)
		return rc == -ENOMEM ? rc : 0;
	*l = (struct plan_list){ line, lines, len, n_backends, 0, row->record.algorithm };
	if (l->algorithm == SL_ALGORITHM_MAGLEV)
		r->f->n_maglev_lines += lines;
	return 0;
}

static int publish(struct restore *r, struct plan_row *row, const struct row_service *record,
		   uint32_t slot)
{
	struct sl_slot_ref ref = { slot, record->gen };
	unsigned char key[ROW_KEY_MAX];
	const void *held = diff_actual(r->plan->diff, plan_table(r->f, ROW4_RECORDS), &slot);

	row_encode_key(r->f->family, &row->key, key);
	if (keep(r, ROW4_SERVICES, key, &ref) < 0 || keep(r, ROW4_RECORDS, &slot, held) < 0)
		return -ENOMEM;
	row->published = true;
	row->slot = slot;
	row->record = *record;
	r->f->n_rows++;
	return 0;
}

static int restore_address(struct restore *r, struct plan_row *row)
{
	row->parting = plan_rest_new(r->f, 1, 1);
	return row->parting ? 0 : -ENOMEM;
}

static int restore_port_row(struct restore *r, struct plan_row *row, struct plan_port *p)
{
	const struct row_service *s = &row->record;

	if (vec_push(&p->rows, row) < 0)
		return -ENOMEM;
	row->owner = p;
	row->n_refs++;
	if (adopt_list(r, row, &p->cluster, s->cluster_line, s->cluster_len, s->cluster_backends) <
	    0)
		return -ENOMEM;
	return adopt_list(r, row, &p->local, s->local_line, s->local_len, s->local_backends);
}

/*
 * The port a record belongs to; one without a name if its name is missing. NULL in *ret_port: there
 * can be none.
 */
static int find_port(struct restore *r, const struct row_service *record,
		     struct plan_port **ret_port)
{
	struct sl_name nameless = { .port = record->key.port, .proto = record->key.proto };

	*ret_port = NULL;
	if (record->service >= r->plan->config.limits.service_ids)
		return 0;
	*ret_port = r->by_id[record->service];
	return *ret_port ? 0 : add_port(r, record->service, &nameless, ret_port);
}

/* A row that programs would not believe is no row: it is left to be removed. */
static bool read_record(const struct restore *r, const struct row_service_key *key,
			const struct sl_slot_ref *ref, struct row_service *ret_record)
{
	const void *held = diff_actual(r->plan->diff, plan_table(r->f, ROW4_RECORDS), &ref->slot);

	if (!held)
		return false;
	row_decode_service(r->f->family, held, ret_record);
	return ret_record->gen == ref->gen && ret_record->key.port == key->port &&
	       ret_record->key.proto == key->proto &&
	       address_cmp(&ret_record->key.vip, &key->vip) == 0;
}

static int restore_service(void *ctx, const void *key_bytes, const void *value)
{
	struct restore *r = ctx;
	struct plan_port *p = NULL;
	struct row_service_key key;
	struct row_service record;
	struct sl_slot_ref ref;
	struct plan_row *row;
	bool is_address;
	int rc;

	row_decode_key(r->f->family, key_bytes, &key);
	memcpy(&ref, value, sizeof(ref));
	if (!read_record(r, &key, &ref, &record))
		return 0;
	is_address = record.kind == SL_KIND_ADDRESS && !key.port && !key.proto;
	if (!is_address) {
		rc = find_port(r, &record, &p);
		if (rc < 0 || !p)
			return rc;
	}
	rc = ids_adopt(&r->f->slots, ref.slot, ref.gen);
	if (rc < 0)
		return rc == -ENOMEM ? rc : 0;
	row = plan_row_get(r->f, &key);
	if (!row || publish(r, row, &record, ref.slot) < 0)
		return -ENOMEM;
	return is_address ? restore_address(r, row) : restore_port_row(r, row, p);
}

/* ---- backends -------------------------------------------------------------------------------- */

static int restore_backend(void *ctx, const void *key, const void *value)
{
	struct restore *r = ctx;
	struct plan_port *p = NULL;
	struct row_backend b;
	uint32_t id;
	int rc;

	memcpy(&id, key, sizeof(id));
	row_decode_backend(r->f->family, value, &b);
	if (b.flags && b.service < r->plan->config.limits.service_ids)
		p = r->by_id[b.service];
	rc = p ? ids_adopt(&r->f->backends, id, b.gen) : -ERANGE;
	if (rc == -ENOMEM)
		return rc;
	if (!rc) {
		if (keep(r, ROW4_BACKENDS, key, value) < 0)
			return -ENOMEM;
		r->f->n_backends++;
		return vec_push(&p->backends,
				(struct plan_backend){ b.addr, b.port, b.flags, id, b.gen });
	}
	rc = ids_note_gen(&r->f->backends, id, b.gen);
	if (!rc)
		plan_retire_backend(r->plan, r->f, id, b.gen);
	return rc == -ENOMEM ? rc : 0;
}

static int compare_backends(const void *a, const void *b)
{
	const struct plan_backend *x = a, *y = b;
	int cmp = address_cmp(&x->addr, &y->addr);

	return cmp ? cmp : (x->port > y->port) - (x->port < y->port);
}

static bool list_names(const struct restore *r, const struct plan_list *l, uint32_t id)
{
	for (uint32_t i = 0; i < l->lines; i++) {
		uint32_t line = l->line + i;
		struct sl_ring_line held = { 0 };
		const void *bytes = diff_actual(r->plan->diff, plan_table(r->f, ROW4_RINGS), &line);

		if (bytes)
			memcpy(&held, bytes, sizeof(held));
		for (int k = 0; k < SL_RING_LINE_IDS; k++)
			if (held.backend[k] == id)
				return true;
	}
	return false;
}

/*
 * An endpoint that left and came back has two ids while the agent works on it. The one in the
 * port's list stays. Another row of the port may still lead to the other one, so that rests until
 * all its rows are as they shall be.
 */
static int drop_double(struct restore *r, struct plan_port *p, size_t i)
{
	struct plan_backend *a = &p->backends.data[i], *b = &p->backends.data[i + 1];
	bool keep_b = list_names(r, &p->cluster, b->id) || list_names(r, &p->local, b->id);
	struct plan_rest *rest = plan_rest_new(r->f, p->rows.len, 1);
	struct plan_backend gone = keep_b ? *a : *b;

	if (!rest)
		return -ENOMEM;
	for (size_t k = 0; k < p->rows.len; k++)
		plan_rest_add_key(rest, &p->rows.data[k]->key);
	plan_retire_backend(r->plan, r->f, gone.id, gone.gen);
	plan_rest_add(rest, REST_BACKEND, gone.id, 1);
	plan_rest_commit(r->plan, rest);
	r->f->n_backends--;
	vec_remove(&p->backends, keep_b ? i : i + 1);
	return 0;
}

static int sort_backends(struct restore *r, struct plan_port *p)
{
	vec_sort(&p->backends, compare_backends);
	for (size_t i = 0; i + 1 < p->backends.len;) {
		if (compare_backends(&p->backends.data[i], &p->backends.data[i + 1]) != 0)
			i++;
		else if (drop_double(r, p, i) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- records that nobody refers to, and the filter ------------------------------------------- */

static int restore_record(void *ctx, const void *key, const void *value)
{
	struct restore *r = ctx;
	struct row_service s;
	uint32_t slot;
	int rc;

	memcpy(&slot, key, sizeof(slot));
	if (ids_state(&r->f->slots, slot) == IDS_USED)
		return 0;
	row_decode_service(r->f->family, value, &s);
	rc = ids_note_gen(&r->f->slots, slot, s.gen);
	if (!rc)
		plan_retire_record(r->plan, r->f, slot, s.gen);
	return rc == -ENOMEM ? rc : 0;
}

static int restore_filter(void *ctx, const void *key, const void *value)
{
	struct restore *r = ctx;
	uint64_t bits;
	uint32_t word;

	memcpy(&word, key, sizeof(word));
	memcpy(&bits, value, sizeof(bits));
	if (word >= 2 * SL_FILTER_WORDS)
		return 0;
	r->f->filter[word] = bits;
	r->f->n_filter[word >= SL_FILTER_WORDS] += (uint32_t)__builtin_popcountll(bits);
	return keep(r, ROW4_FILTER, key, value);
}

/* ---- ports by name --------------------------------------------------------------------------- */

/*
 * Moves a port from the nameless ones to where its service will find it. Of two with one name the
 * one in force counts.
 */
static int name_port(struct restore *r, struct plan_port *p, bool *ret_moved)
{
	const struct sl_name *name =
		diff_actual(r->plan->diff, plan_table(r->f, ROW4_NAMES), &p->id);
	char key[NAME_KEY_LEN];
	struct plan_port *other;
	size_t len;

	*ret_moved = false;
	if (!name)
		return 0;
	if (keep(r, ROW4_NAMES, &p->id, name) < 0)
		return -ENOMEM;
	len = name_key(key, name->namespace, name->name, p->name, p->proto);
	other = table_get(&r->f->restored, key, len);
	if (other && (other->rows.len || !p->rows.len))
		return 0;
	if (other && vec_reserve(&r->f->nameless, 1) < 0)
		return -ENOMEM;
	if (table_put(&r->f->restored, key, len, p, NULL) < 0)
		return -ENOMEM;
	if (other)
		r->f->nameless.data[r->f->nameless.len++] = other;
	*ret_moved = true;
	return 0;
}

static int name_ports(struct restore *r)
{
	size_t n = r->f->nameless.len;

	for (size_t i = 0; i < n; i++)
		if (sort_backends(r, r->f->nameless.data[i]) < 0)
			return -ENOMEM;
	for (size_t i = n; i-- > 0;) {
		bool moved;

		if (name_port(r, r->f->nameless.data[i], &moved) < 0)
			return -ENOMEM;
		if (moved)
			vec_remove_swap(&r->f->nameless, i);
	}
	return 0;
}

struct plan_port *plan_claim_restored(struct plan_family *f, const struct store_entry *entry,
				      const char *port_name, uint8_t proto)
{
	char key[NAME_KEY_LEN];
	size_t len;

	if (!f->restored.len)
		return NULL;
	len = name_key(key, entry->namespace, entry->name, port_name, proto);
	return table_remove(&f->restored, key, len);
}

/* ---- configuration --------------------------------------------------------------------------- */

static void restore_cidr(struct cidr_slot *slot, int family, const uint8_t *addr,
			 const uint8_t *mask, size_t bytes)
{
	int len = 0;

	slot->cidr = (struct cidr){ .addr.family = (uint8_t)family };
	memcpy(slot->cidr.addr.b, addr, bytes);
	for (size_t i = 0; i < bytes; i++)
		len += __builtin_popcount(mask[i]);
	if (mask[0]) {
		slot->state = CIDR_ON;
	} else if (!address_is_zero(&slot->cidr.addr) && len) {
		slot->state = CIDR_READY; /* the mask's first byte is what is missing */
		len += 8;
	}
	slot->cidr.len = (uint8_t)len;
}

static int restore_config(struct plan *plan)
{
	uint32_t key = 0;
	const void *held = diff_actual(plan->diff, ROW_CONFIG, &key);
	struct sl_config c;

	if (!held)
		return 0;
	memcpy(&c, held, sizeof(c));
	for (int i = 0; i < SL_CIDRS; i++) {
		restore_cidr(&plan->cidrs[0][i], 4, c.cidrs4[i].addr, c.cidrs4[i].mask, 4);
		restore_cidr(&plan->cidrs[1][i], 6, c.cidrs6[i].addr, c.cidrs6[i].mask, 16);
	}
	return diff_want(plan->diff, ROW_CONFIG, &key, &c);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int restore_family(struct plan *plan, struct plan_family *f)
{
	struct restore r = { .plan = plan, .f = f };
	int rc;

	r.by_id = calloc(plan->config.limits.service_ids, sizeof(struct plan_port *));
	if (!r.by_id)
		return -ENOMEM;
	rc = each_actual(&r, ROW4_NAMES, restore_name);
	if (!rc)
		rc = each_actual(&r, ROW4_SERVICES, restore_service);
	if (!rc)
		rc = each_actual(&r, ROW4_BACKENDS, restore_backend);
	if (!rc)
		rc = each_actual(&r, ROW4_RECORDS, restore_record);
	if (!rc)
		rc = each_actual(&r, ROW4_FILTER, restore_filter);
	if (!rc)
		rc = name_ports(&r);
	free(r.by_id);
	return rc;
}

int plan_restore(struct plan *plan)
{
	plan->restored = true;
	for (int i = 0; i < 2; i++)
		if (restore_family(plan, &plan->families[i]) < 0)
			return -ENOMEM;
	return restore_config(plan);
}

static int sweep_ports(struct plan *plan, struct plan_family *f)
{
	struct table_entry *t;
	size_t pos = 0;

	while (f->nameless.len) {
		struct plan_port *p = f->nameless.data[f->nameless.len - 1];

		if (plan_port_release(plan, p) < 0)
			return -ENOMEM;
		f->nameless.len--;
		plan_port_free(p);
	}
	while ((t = table_next(&f->restored, &pos))) {
		struct plan_port *p = t->value;

		if (plan_port_release(plan, p) < 0)
			return -ENOMEM;
		table_remove(&f->restored, t->key, t->key_len);
		plan_port_free(p);
	}
	return 0;
}

static void sweep_addresses(struct plan *plan, struct plan_family *f)
{
	struct table_entry *t;

	table_for_each(t, &f->rows) {
		struct plan_row *row = t->value;

		if (row->owner || row->n_known)
			continue;
		plan_address_withdraw(plan, f, row);
		plan_row_drop(f, row);
	}
}

int plan_sweep(struct plan *plan)
{
	for (int i = 0; i < 2; i++) {
		if (sweep_ports(plan, &plan->families[i]) < 0)
			return -ENOMEM;
		sweep_addresses(plan, &plan->families[i]);
	}
	return 0;
}
