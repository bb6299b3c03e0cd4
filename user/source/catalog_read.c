// SPDX-License-Identifier: GPL-2.0-only
/* Reads what a new text of a file says, before it counts. */
/* Must not know what other files say, nor what the sink has heard. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "source/catalog_state.h"
#include "source/manifest.h"

/* Problems of one file that are told one by one. */
#define PROBLEMS_MAX 32

/* ---- problems ---------------------------------------------------------------------------------------------- */

/* "web.yaml:12", to be freed. */
static char *origin_of(const struct file *file, unsigned line)
{
	struct buf buf = { 0 };

	buf_printf(&buf, "%s:%u", file->name, line);
	return buf_take(&buf);
}

/* A problem with a document rather than with an object. */
static int add_line_problem(struct reading *r, unsigned line, const char *reason)
{
	char *subject;
	int rc;

	if (r->n_problems++ >= PROBLEMS_MAX)
		return 0;
	subject = origin_of(r->file, line);
	if (!subject)
		return -ENOMEM;
	rc = catalog_problem_add(&r->problems, subject, reason);
	free(subject);
	return rc;
}

static int on_broken(void *ctx, unsigned line, const char *reason)
{
	struct reading *r = ctx;

	r->broken = true;
	return add_line_problem(r, line, reason);
}

/* ---- items ------------------------------------------------------------------------------------------------- */

/* The latest good content that the file had for this object, or NULL. */
static struct held *last_good(const struct file *file, const struct entry *entry)
{
	const struct item *item;

	for (item = entry->items; item; item = item->next)
		if (item->file == file && item->held)
			return item->held;
	return NULL;
}

/* A new item of the reading, which owns it; NULL without memory. */
static struct item *new_item(struct reading *r, struct entry *entry)
{
	struct item *item;

	if (vec_reserve(&r->items, 1) < 0)
		return NULL;
	item = calloc(1, sizeof(*item));
	if (!item)
		return NULL;
	item->file = r->file;
	item->entry = entry;
	item->order = r->items.len;
	r->items.data[r->items.len++] = item;
	return item;
}

/* Takes over object, which may be NULL; also on failure. */
static int hold_object(struct item *item, struct object *object)
{
	if (!object)
		return 0;
	item->held = calloc(1, sizeof(*item->held));
	if (!item->held) {
		object_done(object);
		return -ENOMEM;
	}
	item->held->refs = 1;
	item->held->object = *object;
	return 0;
}

/* object: NULL if it is refused. It is taken over, also on failure. */
static int add_item(struct reading *r, struct entry *entry, struct object *object, unsigned line,
		    const char *reasons)
{
	struct item *item = new_item(r, entry);

	if (!item) {
		object_done(object);
		return -ENOMEM;
	}
	if (hold_object(item, object) < 0)
		return -ENOMEM;
	item->origin = origin_of(r->file, line);
	item->reasons = *reasons ? strdup(reasons) : NULL;
	if (!item->origin || (*reasons && !item->reasons))
		return -ENOMEM;
	if (!object) {
		item->held = catalog_held_ref(last_good(r->file, entry));
		item->stale = item->held != NULL;
	}
	entry->mark = r->c->updates;
	return 0;
}

/* The file named this object before: the first counts. */
static int refuse_twin(struct reading *r, struct entry *entry, unsigned line)
{
	char subject[OBJECT_SUBJECT_LEN], reason[OBJECT_SUBJECT_LEN + 64];

	snprintf(reason, sizeof(reason),
		 "%s is in this file twice: the first is served, remove one",
		 object_subject(entry->kind, entry->namespace, entry->name, subject));
	return add_line_problem(r, line, reason);
}

/* ---- the text ---------------------------------------------------------------------------------------------- */

static int on_object(void *ctx, struct value v, const struct decode_input *input)
{
	struct reading *r = ctx;
	const struct notes *notes = &r->report.notes;
	struct object object;
	struct entry *entry;
	int rc = decode_object(v, input, &r->report, &object);

	if (rc == -ENOMEM)
		return rc;
	if (rc == DECODE_OTHER) {
		r->others++;
		return 0;
	}
	if (!r->report.named)
		return on_broken(r, value_line(v), buf_str(&notes->text));
	if (catalog_entry_get(r->c, &r->report, &entry) < 0) {
		if (rc == DECODE_OBJECT)
			object_done(&object);
		return -ENOMEM;
	}
	if (entry->mark == r->c->updates) {
		if (rc == DECODE_OBJECT)
			object_done(&object);
		return refuse_twin(r, entry, value_line(v));
	}
	return add_item(r, entry, rc == DECODE_OBJECT ? &object : NULL, value_line(v),
			buf_str(&notes->text));
}

static int on_document(void *ctx, struct value root)
{
	struct reading *r = ctx;
	struct decode_input input = { .kinds = r->c->kinds, .file = r->file->name };
	struct notes notes = { 0 };
	int rc = decode_each(root, &input, &notes, on_object, r);

	if (rc == -EINVAL)
		rc = notes.no_memory ? -ENOMEM
				     : on_broken(r, value_line(root), buf_str(&notes.text));
	notes_done(&notes);
	return rc;
}

/* What the file had and no longer names may stand in its broken documents, so it stays. */
static int keep_unnamed(struct reading *r)
{
	struct item *old, *kept;
	size_t i;

	for (i = 0; i < r->file->items.len; i++) {
		old = r->file->items.data[i];
		if (!old->held || old->entry->mark == r->c->updates)
			continue;
		kept = new_item(r, old->entry);
		if (!kept)
			return -ENOMEM;
		kept->origin = strdup(old->origin);
		if (!kept->origin)
			return -ENOMEM;
		kept->stale = true;
		kept->held = catalog_held_ref(old->held);
		old->entry->mark = r->c->updates;
	}
	return 0;
}

int catalog_read(struct reading *r, const char *text, size_t len)
{
	const struct manifest_handler handler = { r, on_document, on_broken };
	char more[80];
	int rc;

	rc = manifest_read(text, len, manifest_form_of(r->file->name) == MANIFEST_JSON, &handler);
	if (rc < 0)
		return rc;
	if (r->n_problems > PROBLEMS_MAX) {
		snprintf(more, sizeof(more), "%zu more documents have problems",
			 r->n_problems - PROBLEMS_MAX);
		rc = catalog_problem_add(&r->problems, r->file->name, more);
	}
	if (rc == 0 && r->broken)
		rc = keep_unnamed(r);
	return rc;
}
