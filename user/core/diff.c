// SPDX-License-Identifier: GPL-2.0
/*
 * Keeps for every row what it shall be and what the kernel holds, and gives out what is left to do,
 * in a safe order.
 */
/* Must not know: what rows mean, and how they get into the kernel. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "base/vec.h"
#include "core/diff.h"

/* What is left to do for a row; DIFF_ADD and DIFF_REMOVE + 1, so that 0 is "nothing". */
enum todo {
	TODO_NOTHING,
	TODO_ADD,
	TODO_REMOVE,
} __attribute__((packed));

struct row {
	struct row *prev, *next; /* in the list it is in */
	struct row_list *list;   /* NULL = none */
	uint8_t table;
	enum todo todo;
	bool wanted;   /* desired is valid */
	bool there;    /* actual is valid */
	bool later;    /* desired must wait for everything that is added */
	bool interim;  /* until then, the third value holds */
	bool reserved; /* exists for a diff_want() to come */
	bool seen;     /* by the audit under way, or written since it began */
	unsigned char bytes
		[]; /* key (padded to 8), desired, actual, and interim in tables of small values */
};

struct row_list {
	struct row *first, *last;
};

struct audit_find {
	struct row *row;
	unsigned char *expected; /* NULL = no row */
	bool found;
};

struct diff {
	struct table services[2];              /* rows whose key is no index, by family */
	struct row **indexed[ROW_TABLE_COUNT]; /* the others */
	uint32_t indexed_len[ROW_TABLE_COUNT];
	struct row_list pending[ROW_TABLE_COUNT][2]; /* by phase */
	struct row_list given;  /* given out in this round, neither done nor failed yet */
	struct row_list failed; /* in this round */
	int add_failed[2];      /* by family: first table in which an add failed in this round */
	int remove_failed[2];   /* … last table in which a removal failed */
	bool removals;
	size_t n_todo[2];
	size_t n_wanted[ROW_TABLE_COUNT];
	struct diff_stats stats;
	enum row_table audit_table;
	struct VEC_OF(struct audit_find) finds;
	int audit_error;
};

/* ---- rows ------------------------------------------------------------------------------------ */

static size_t key_room(enum row_table t)
{
	return (row_tables[t].key_len + 7u) & ~7u;
}

static void *row_key(struct row *r)
{
	return r->bytes;
}

static unsigned char *row_desired(struct row *r)
{
	return r->bytes + key_room(r->table);
}

static unsigned char *row_actual(struct row *r)
{
	return r->bytes + key_room(r->table) + row_tables[r->table].value_len;
}

static bool has_interim(enum row_table t)
{
	return row_tables[t].value_len <= DIFF_INTERIM_MAX;
}

static unsigned char *row_interim(struct row *r)
{
	return r->bytes + key_room(r->table) + 2u * row_tables[r->table].value_len;
}

static bool is_indexed(enum row_table t)
{
	return t != ROW4_SERVICES && t != ROW6_SERVICES;
}

static struct table *services_of(struct diff *d, enum row_table t)
{
	return &d->services[t == ROW6_SERVICES];
}

/* 0 or 1 for tables of a family, -1 for the configuration. */
static int family_of(enum row_table t)
{
	return t == ROW_CONFIG ? -1 : (int)(t - ROW4_NAMES) & 1;
}

static struct row *find(const struct diff *d, enum row_table t, const void *key)
{
	uint32_t index;

	if (!is_indexed(t))
		return table_get(&d->services[t == ROW6_SERVICES], key, row_tables[t].key_len);
	memcpy(&index, key, sizeof(index));
	return index < d->indexed_len[t] ? d->indexed[t][index] : NULL;
}

static int grow_index(struct diff *d, enum row_table t, uint32_t want)
{
	uint32_t len = d->indexed_len[t] ? d->indexed_len[t] : 64;
	struct row **grown;

	if (want <= d->indexed_len[t])
		return 0;
	while (len < want)
		len = len > UINT32_MAX / 2 ? UINT32_MAX : len * 2;
	grown = realloc(d->indexed[t], len * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memset(grown + d->indexed_len[t], 0, (len - d->indexed_len[t]) * sizeof(*grown));
	d->indexed[t] = grown;
	d->indexed_len[t] = len;
	return 0;
}

static int insert(struct diff *d, struct row *r)
{
	uint32_t index;

	if (!is_indexed(r->table))
		return table_put(services_of(d, r->table), row_key(r), row_tables[r->table].key_len,
				 r, NULL);
	memcpy(&index, row_key(r), sizeof(index));
	if (index == UINT32_MAX || grow_index(d, r->table, index + 1) < 0)
		return -ENOMEM;
	d->indexed[r->table][index] = r;
	return 0;
}

static struct row *find_or_add(struct diff *d, enum row_table t, const void *key)
{
	struct row *r = find(d, t, key);

	if (r)
		return r;
	r = calloc(1,
		   sizeof(*r) + key_room(t) + (has_interim(t) ? 3u : 2u) * row_tables[t].value_len);
	if (!r)
		return NULL;
	r->table = (uint8_t)t;
	memcpy(row_key(r), key, row_tables[t].key_len);
	if (insert(d, r) < 0) {
		free(r);
		return NULL;
	}
	return r;
}

/* Of no further interest: forgets the row. */
static void drop(struct diff *d, struct row *r)
{
	uint32_t index;

	if (is_indexed(r->table)) {
		memcpy(&index, row_key(r), sizeof(index));
		d->indexed[r->table][index] = NULL;
	} else {
		table_remove(services_of(d, r->table), row_key(r), row_tables[r->table].key_len);
	}
	free(r);
}

/* In arrays a row of zeros is no row. */
static bool is_nothing(enum row_table t, const void *value)
{
	const unsigned char *p = value;

	if (!row_tables[t].array)
		return false;
	for (size_t i = 0; i < row_tables[t].value_len; i++)
		if (p[i])
			return false;
	return true;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void unlink_row(struct row *r)
{
	struct row_list *l = r->list;

	if (!l)
		return;
	*(r->prev ? &r->prev->next : &l->first) = r->next;
	*(r->next ? &r->next->prev : &l->last) = r->prev;
	r->prev = r->next = NULL;
	r->list = NULL;
}

static void append(struct row_list *l, struct row *r)
{
	unlink_row(r);
	r->prev = l->last;
	*(l->last ? &l->last->next : &l->first) = r;
	l->last = r;
	r->list = l;
}

/* Which value the row shall get next, and in which phase. */
static enum todo what_to_do(struct row *r, const void **ret_value)
{
	size_t len = row_tables[r->table].value_len;

	*ret_value = NULL;
	if (!r->wanted)
		return r->there ? TODO_REMOVE : TODO_NOTHING;
	if (r->interim && !(r->there && memcmp(row_actual(r), row_interim(r), len) == 0)) {
		*ret_value = row_interim(r);
		return TODO_ADD;
	}
	*ret_value = row_desired(r);
	if (r->there && memcmp(row_actual(r), row_desired(r), len) == 0)
		return TODO_NOTHING;
	return r->later ? TODO_REMOVE : TODO_ADD;
}

/*
 * After any change of a row: puts it where it belongs now. A row that was given out or failed stays
 * there for this round.
 */
static void refile(struct diff *d, struct row *r)
{
	const void *value;
	enum todo todo = what_to_do(r, &value);
	bool held = r->list == &d->given || r->list == &d->failed;

	if (r->todo)
		d->n_todo[r->todo - 1]--;
	r->todo = todo;
	if (todo)
		d->n_todo[todo - 1]++;
	if (r->interim && value != row_interim(r)) /* reached: what is left is the end value */
		r->interim = false;
	if (!todo) {
		r->later = false;
		unlink_row(r);
		if (!r->wanted && !r->there && !r->reserved)
			drop(d, r);
	} else if (!held) {
		append(&d->pending[r->table][todo - 1], r);
	}
}

/* ---- life ------------------------------------------------------------------------------------ */

struct diff *diff_new(void)
{
	struct diff *d = calloc(1, sizeof(*d));
	uint64_t seed = (uint64_t)(uintptr_t)d *
			0x9e3779b97f4a7c15ull; /* service keys come from strangers */

	if (!d)
		return NULL;
	table_init(&d->services[0], seed);
	table_init(&d->services[1], seed + 1);
	diff_begin(d);
	return d;
}

static void finds_clear(struct diff *d)
{
	struct audit_find *f;

	vec_for_each(f, &d->finds)
		free(f->expected);
	vec_clear(&d->finds);
}

void diff_free(struct diff *d)
{
	if (!d)
		return;
	for (int t = 0; t < ROW_TABLE_COUNT; t++) {
		for (uint32_t i = 0; i < d->indexed_len[t]; i++)
			free(d->indexed[t][i]);
		free(d->indexed[t]);
	}
	table_done(&d->services[0], free);
	table_done(&d->services[1], free);
	finds_clear(d);
	vec_done(&d->finds);
	free(d);
}

/* ---- desired --------------------------------------------------------------------------------- */

static void set_wanted(struct diff *d, struct row *r, bool wanted)
{
	if (wanted != r->wanted)
		wanted ? d->n_wanted[r->table]++ : d->n_wanted[r->table]--;
	r->wanted = wanted;
	r->reserved = false;
	r->later = r->interim = false;
}

int diff_reserve(struct diff *d, enum row_table table, const void *key)
{
	struct row *r = find_or_add(d, table, key);

	if (!r)
		return -ENOMEM;
	r->reserved = true;
	return 0;
}

int diff_want(struct diff *d, enum row_table table, const void *key, const void *value)
{
	struct row *r;

	if (is_nothing(table, value)) {
		diff_unwant(d, table, key);
		return 0;
	}
	r = find_or_add(d, table, key);
	if (!r)
		return -ENOMEM;
	set_wanted(d, r, true);
	memcpy(row_desired(r), value, row_tables[table].value_len);
	refile(d, r);
	return 0;
}

void diff_retire(struct diff *d, enum row_table table, const void *key, const void *value)
{
	struct row *r = find(d, table, key);

	if (!r)
		return;
	if (is_nothing(table, value)) {
		diff_unwant(d, table, key);
		return;
	}
	set_wanted(d, r, true);
	memcpy(row_desired(r), value, row_tables[table].value_len);
	r->later = true;
	refile(d, r);
}

int diff_want_later(struct diff *d, enum row_table table, const void *key, const void *interim,
		    const void *value)
{
	size_t len = row_tables[table].value_len;
	struct row *r;

	if (!has_interim(table))
		return -EINVAL;
	r = find_or_add(d, table, key);
	if (!r)
		return -ENOMEM;
	set_wanted(d, r, true);
	memcpy(row_desired(r), value, len);
	memcpy(row_interim(r), interim, len);
	r->interim = r->later = true;
	refile(d, r);
	return 0;
}

void diff_unwant(struct diff *d, enum row_table table, const void *key)
{
	struct row *r = find(d, table, key);

	if (!r)
		return;
	set_wanted(d, r, false);
	refile(d, r);
}

/* ---- actual ---------------------------------------------------------------------------------- */

int diff_saw(struct diff *d, enum row_table table, const void *key, const void *value)
{
	struct row *r;

	if (is_nothing(table, value))
		return 0;
	r = find_or_add(d, table, key);
	if (!r)
		return -ENOMEM;
	r->there = true;
	memcpy(row_actual(r), value, row_tables[table].value_len);
	refile(d, r);
	return 0;
}

struct saw {
	struct diff *d;
	enum row_table table;
};

static int saw_one(void *ctx, const void *key, const void *value)
{
	struct saw *saw = ctx;

	return diff_saw(saw->d, saw->table, key, value);
}

int diff_saw_all(struct diff *d, const struct row_reader *kernel)
{
	int rc = 0;

	for (int t = 0; t < ROW_TABLE_COUNT && !rc; t++) {
		struct saw saw = { d, (enum row_table)t };

		rc = kernel->each(kernel->ctx, saw.table, saw_one, &saw);
	}
	return rc;
}

/* ---- audit ----------------------------------------------------------------------------------- */

/* Calls fn for each row of a table; fn may drop the row it is given. */
static void each_row(struct diff *d, enum row_table t, void (*fn)(struct diff *d, struct row *r))
{
	struct table_entry *entry;

	for (uint32_t i = 0; i < d->indexed_len[t]; i++)
		if (d->indexed[t][i])
			fn(d, d->indexed[t][i]);
	if (!is_indexed(t))
		table_for_each(entry, services_of(d, t))
			fn(d, entry->value);
}

static void forget_seen(struct diff *d, struct row *r)
{
	(void)d;
	r->seen = false;
}

void diff_audit_begin(struct diff *d, enum row_table table)
{
	finds_clear(d);
	d->audit_table = table;
	d->audit_error = 0;
	each_row(d, table, forget_seen);
}

/* Notes the difference; what the kernel holds from now on is taken over by the caller. */
static int note_find(struct diff *d, struct row *r, bool found)
{
	size_t len = row_tables[r->table].value_len;
	struct audit_find f = { .row = r, .found = found };

	if (r->there) {
		f.expected = malloc(len);
		if (!f.expected)
			return -ENOMEM;
		memcpy(f.expected, row_actual(r), len);
	}
	if (vec_push(&d->finds, f) < 0) {
		free(f.expected);
		return -ENOMEM;
	}
	return 0;
}

int diff_audit_saw(struct diff *d, const void *key, const void *value)
{
	enum row_table t = d->audit_table;
	struct row *r;

	if (is_nothing(t, value))
		return 0;
	r = find_or_add(d, t, key);
	if (!r)
		return -ENOMEM;
	r->seen = true;
	if (r->there && memcmp(row_actual(r), value, row_tables[t].value_len) == 0)
		return 0;
	if (note_find(d, r, true) < 0) {
		if (!r->wanted && !r->there && !r->reserved)
			drop(d, r);
		return -ENOMEM;
	}
	r->there = true;
	memcpy(row_actual(r), value, row_tables[t].value_len);
	refile(d, r);
	return 0;
}

static void find_missing(struct diff *d, struct row *r)
{
	if (r->there && !r->seen && note_find(d, r, false) < 0)
		d->audit_error = -ENOMEM; /* the next audit finds it */
}

size_t diff_audit_tell(struct diff *d, diff_audit_fn *fn, void *ctx)
{
	size_t n = d->finds.len;

	for (size_t i = 0; i < n; i++) {
		struct audit_find *f = &d->finds.data[i];
		struct row *r = f->row;

		if (fn)
			fn(ctx, d->audit_table, row_key(r), f->expected,
			   f->found ? row_actual(r) : NULL);
		if (!f->found) {
			r->there = false;
			refile(d, r);
		}
	}
	finds_clear(d);
	d->stats.repaired += n;
	return n;
}

size_t diff_audit_end(struct diff *d, diff_audit_fn *fn, void *ctx)
{
	each_row(d, d->audit_table, find_missing);
	return diff_audit_tell(d, fn, ctx);
}

static int audit_one(void *ctx, const void *key, const void *value)
{
	return diff_audit_saw(ctx, key, value);
}

int diff_audit(struct diff *d, const struct row_reader *kernel, diff_audit_fn *fn, void *ctx,
	       size_t *ret_found)
{
	size_t n = 0;

	for (int t = 0; t < ROW_TABLE_COUNT; t++) {
		int rc;

		diff_audit_begin(d, (enum row_table)t);
		rc = kernel->each(kernel->ctx, (enum row_table)t, audit_one, d);
		if (rc) {
			/* What was not read is not missing; what differed is already taken over. */
			d->stats.repaired += d->finds.len;
			finds_clear(d);
			return rc;
		}
		n += diff_audit_end(d, fn, ctx);
		if (d->audit_error)
			return d->audit_error;
	}
	*ret_found = n;
	return 0;
}

/* ---- pending --------------------------------------------------------------------------------- */

void diff_allow_removals(struct diff *d)
{
	d->removals = true;
}

static void take_back(struct diff *d, struct row_list *l)
{
	struct row *r;

	while ((r = l->first)) {
		unlink_row(r);
		refile(d, r);
	}
}

void diff_begin(struct diff *d)
{
	take_back(d, &d->failed);
	take_back(d, &d->given);
	for (int f = 0; f < 2; f++) {
		d->add_failed[f] = ROW_TABLE_COUNT;
		d->remove_failed[f] = -1;
	}
}

/* What is added later may refer to what could not be added before. */
static bool may_add(const struct diff *d, int table)
{
	int family = family_of((enum row_table)table);

	return family < 0 || table <= d->add_failed[family];
}

/*
 * What is taken away may still be referred to while anything added or taken away before has failed.
 * Services only lose references, so they may always go.
 */
static bool may_remove(const struct diff *d, int table)
{
	int family = family_of((enum row_table)table);

	if (family < 0 || !is_indexed((enum row_table)table))
		return true;
	return d->add_failed[family] == ROW_TABLE_COUNT && table >= d->remove_failed[family];
}

/* The first list that may be given out now. */
static struct row_list *next_list(struct diff *d, enum diff_phase *ret_phase)
{
	for (int t = 0; t < ROW_TABLE_COUNT; t++) {
		if (d->pending[t][DIFF_ADD].first && may_add(d, t)) {
			*ret_phase = DIFF_ADD;
			return &d->pending[t][DIFF_ADD];
		}
	}
	for (int t = ROW_TABLE_COUNT - 1; d->removals && t >= 0; t--) {
		if (d->pending[t][DIFF_REMOVE].first && may_remove(d, t)) {
			*ret_phase = DIFF_REMOVE;
			return &d->pending[t][DIFF_REMOVE];
		}
	}
	return NULL;
}

static struct diff_op make_op(struct row *r, enum diff_phase phase)
{
	static const unsigned char zeros[ROW_VALUE_MAX];
	struct diff_op op = {
		.table = r->table, .action = DIFF_PUT, .phase = phase, .key = row_key(r), .row = r
	};

	what_to_do(r, &op.value);
	if (!op.value && row_tables[r->table].array)
		op.value = zeros;
	else if (!op.value)
		op.action = DIFF_DELETE;
	return op;
}

size_t diff_next_run(struct diff *d, struct diff_op *ret_ops, size_t max)
{
	enum diff_phase phase;
	struct row_list *l = next_list(d, &phase);
	size_t n = 0;

	while (l && n < max && l->first) {
		struct diff_op op = make_op(l->first, phase);

		if (n > 0 && op.action != ret_ops[0].action)
			break;
		ret_ops[n++] = op;
		append(&d->given, l->first);
	}
	return n;
}

bool diff_next(struct diff *d, struct diff_op *ret_op)
{
	return diff_next_run(d, ret_op, 1) == 1;
}

void diff_done(struct diff *d, const struct diff_op *op)
{
	struct row *r = op->row;

	d->stats.done++;
	if (op->action == DIFF_DELETE || is_nothing(op->table, op->value)) {
		r->there = false;
	} else {
		r->there = true;
		memcpy(row_actual(r), op->value, row_tables[op->table].value_len);
	}
	r->seen = true; /* an audit under way may have passed its place before it was there */
	unlink_row(r);
	refile(d, r);
}

void diff_failed(struct diff *d, const struct diff_op *op)
{
	int family = family_of(op->table);

	d->stats.failed++;
	if (family >= 0 && op->phase == DIFF_ADD && (int)op->table < d->add_failed[family])
		d->add_failed[family] = (int)op->table;
	if (family >= 0 && op->phase == DIFF_REMOVE && (int)op->table > d->remove_failed[family])
		d->remove_failed[family] = (int)op->table;
	append(&d->failed, op->row);
}

size_t diff_n_pending(const struct diff *d, bool all)
{
	return d->n_todo[DIFF_ADD] + (all || d->removals ? d->n_todo[DIFF_REMOVE] : 0);
}

bool diff_is_pending(const struct diff *d, enum row_table table, const void *key)
{
	struct row *r = find(d, table, key);

	return r && r->todo;
}

/* ---- looking --------------------------------------------------------------------------------- */

const void *diff_desired(const struct diff *d, enum row_table table, const void *key)
{
	struct row *r = find(d, table, key);

	return r && r->wanted ? row_desired(r) : NULL;
}

const void *diff_actual(const struct diff *d, enum row_table table, const void *key)
{
	struct row *r = find(d, table, key);

	return r && r->there ? row_actual(r) : NULL;
}

static int call_row(struct row *r, bool desired,
		    int (*fn)(void *fn_ctx, const void *key, const void *value), void *fn_ctx)
{
	if (!r || !(desired ? r->wanted : r->there))
		return 0;
	return fn(fn_ctx, row_key(r), desired ? row_desired(r) : row_actual(r));
}

static int each_side(const struct diff *d, enum row_table t, bool desired,
		     int (*fn)(void *fn_ctx, const void *key, const void *value), void *fn_ctx)
{
	struct table_entry *entry;
	int rc = 0;

	for (uint32_t i = 0; i < d->indexed_len[t] && !rc; i++)
		rc = call_row(d->indexed[t][i], desired, fn, fn_ctx);
	if (is_indexed(t))
		return rc;
	table_for_each(entry, &d->services[t == ROW6_SERVICES]) {
		rc = call_row(entry->value, desired, fn, fn_ctx);
		if (rc)
			break;
	}
	return rc;
}

static int get_side(const void *value, enum row_table t, void *ret_value)
{
	if (!value)
		return -ENOENT;
	memcpy(ret_value, value, row_tables[t].value_len);
	return 0;
}

static int each_desired(void *ctx, enum row_table t,
			int (*fn)(void *fn_ctx, const void *key, const void *value), void *fn_ctx)
{
	return each_side(ctx, t, true, fn, fn_ctx);
}

static int each_actual(void *ctx, enum row_table t,
		       int (*fn)(void *fn_ctx, const void *key, const void *value), void *fn_ctx)
{
	return each_side(ctx, t, false, fn, fn_ctx);
}

static int get_desired(void *ctx, enum row_table t, const void *key, void *ret_value)
{
	return get_side(diff_desired(ctx, t, key), t, ret_value);
}

static int get_actual(void *ctx, enum row_table t, const void *key, void *ret_value)
{
	return get_side(diff_actual(ctx, t, key), t, ret_value);
}

struct row_reader diff_desired_reader(const struct diff *d)
{
	return (struct row_reader){ .ctx = (void *)(uintptr_t)d,
				    .each = each_desired,
				    .get = get_desired };
}

struct row_reader diff_actual_reader(const struct diff *d)
{
	return (struct row_reader){ .ctx = (void *)(uintptr_t)d,
				    .each = each_actual,
				    .get = get_actual };
}

void diff_count(const struct diff *d, struct diff_stats *ret_stats)
{
	*ret_stats = d->stats;
	memcpy(ret_stats->rows, d->n_wanted, sizeof(d->n_wanted));
}
