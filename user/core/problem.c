// SPDX-License-Identifier: GPL-2.0
/* Keeps what is wrong with each object, and notices what is new and what is solved. */
/* Must not know: who reads it, and what the objects are. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "base/vec.h"
#include "core/problem.h"

#define REASON_LEN 640

struct reason {
	char *text;
	bool said;  /* since problem_begin() */
	bool fresh; /* not yet told to on_change */
};

struct object {
	char *name; /* as people know it */
	struct VEC_OF(struct reason) reasons;
};

struct problems {
	struct table objects; /* "teller\nobject" → struct object */
	size_t n_reasons;
	problem_change_fn *on_change;
	void *ctx;
	const char *teller, *current;
	int error; /* since problem_begin() */
};

struct problems *problems_new(problem_change_fn *on_change, void *ctx)
{
	struct problems *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	table_init(&p->objects, (uint64_t)(uintptr_t)p);
	p->on_change = on_change;
	p->ctx = ctx;
	return p;
}

static void object_free(void *value)
{
	struct object *o = value;
	struct reason *r;

	if (!o)
		return;
	vec_for_each(r, &o->reasons)
		free(r->text);
	vec_done(&o->reasons);
	free(o->name);
	free(o);
}

void problems_free(struct problems *p)
{
	if (!p)
		return;
	table_done(&p->objects, object_free);
	free(p);
}

/* The table's key; cut when very long, which only makes two such objects share their problems. */
static size_t make_key(const struct problems *p, char buf[REASON_LEN])
{
	int len = snprintf(buf, REASON_LEN, "%s\n%s", p->teller, p->current);

	return len < REASON_LEN ? (size_t)len : REASON_LEN - 1;
}

static struct object *find(const struct problems *p)
{
	char key[REASON_LEN];

	return table_get(&p->objects, key, make_key(p, key));
}

static struct object *find_or_add(struct problems *p)
{
	char key[REASON_LEN];
	size_t len = make_key(p, key);
	struct object *o = table_get(&p->objects, key, len);

	if (o)
		return o;
	o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->name = strdup(p->current);
	if (!o->name || table_put(&p->objects, key, len, o, NULL) < 0) {
		object_free(o);
		return NULL;
	}
	return o;
}

void problem_begin(struct problems *p, const char *teller, const char *object)
{
	struct object *o;
	struct reason *r;

	p->teller = teller;
	p->current = object;
	p->error = 0;
	o = find(p);
	if (!o)
		return;
	vec_for_each(r, &o->reasons)
		r->said = false;
}

static int try_text(struct problems *p, const char *text)
{
	struct object *o = find_or_add(p);
	struct reason *r;
	char *copy;

	if (!o)
		return -ENOMEM;
	vec_for_each(r, &o->reasons) {
		if (strcmp(r->text, text) == 0) {
			r->said = true;
			return 0;
		}
	}
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	if (vec_push(&o->reasons, (struct reason){ copy, true, true }) < 0) {
		free(copy);
		return -ENOMEM;
	}
	p->n_reasons++;
	return 0;
}

static int add_text(struct problems *p, const char *text)
{
	int rc = try_text(p, text);

	if (rc < 0)
		p->error = rc;
	return rc;
}

int problem_add(struct problems *p, const char *fmt, ...)
{
	char text[REASON_LEN];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return add_text(p, text);
}

int problem_end(struct problems *p)
{
	struct object *o = find(p);
	char key[REASON_LEN];

	if (!o)
		return p->error;
	for (size_t i = 0; i < o->reasons.len;) {
		struct reason *r = &o->reasons.data[i];

		if (p->on_change && (r->fresh || !r->said))
			p->on_change(p->ctx, o->name, r->text, !r->said);
		r->fresh = false;
		if (r->said) {
			i++;
			continue;
		}
		free(r->text);
		vec_remove(&o->reasons, i);
		p->n_reasons--;
	}
	if (!o->reasons.len)
		object_free(table_remove(&p->objects, key, make_key(p, key)));
	return p->error;
}

int problem_set(struct problems *p, const char *teller, const char *object, const char *reason)
{
	problem_begin(p, teller, object);
	if (reason)
		add_text(p, reason);
	return problem_end(p);
}

size_t problem_count(const struct problems *p)
{
	return p->n_reasons;
}

static int compare_objects(const void *a, const void *b)
{
	return strcmp((*(struct object *const *)a)->name, (*(struct object *const *)b)->name);
}

void problem_each(const struct problems *p,
		  void (*fn)(void *ctx, const char *object, const char *reason), void *ctx)
{
	struct object **sorted = p->objects.len ? malloc(p->objects.len * sizeof(*sorted)) : NULL;
	struct table_entry *entry;
	struct reason *r;
	size_t n = 0;

	table_for_each(entry, &p->objects) {
		struct object *o = entry->value;

		if (sorted) {
			sorted[n++] = o;
			continue;
		}
		vec_for_each(r, &o->reasons) /* no memory to sort: as they came */
			fn(ctx, o->name, r->text);
	}
	if (n > 1)
		qsort(sorted, n, sizeof(*sorted), compare_objects);
	for (size_t i = 0; i < n; i++)
		vec_for_each(r, &sorted[i]->reasons)
			fn(ctx, sorted[i]->name, r->text);
	free(sorted);
}
