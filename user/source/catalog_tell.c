// SPDX-License-Identifier: GPL-2.0-only
/* Tells the sink what it has not heard yet. */
/* Must not know how a text is read. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "source/catalog_state.h"

/* The text about one object ends with the file that reaches this. */
#define PROBLEM_LEN_MAX 4096

/* ---- objects ----------------------------------------------------------------------------------------------- */

/* What the sink should have of an object now; NULL: nothing. */
static struct item *winner_of(const struct entry *entry)
{
	return entry->items && entry->items->held ? entry->items : NULL;
}

static void put_item_problem(struct buf *out, const struct item *item, const struct item *winner)
{
	const char *sep = out->len ? "; " : "";

	if (item->reasons)
		buf_printf(out, "%s%s (%s%s)", sep, item->reasons, item->origin,
			   item->stale && item == winner ? ", its last good version is served"
							 : "");
	sep = out->len ? "; " : "";
	if (item != winner && winner && !item->stale && item->held)
		buf_printf(out, "%sis in %s and in %s: the first is served, remove one", sep,
			   winner->origin, item->origin);
}

/* One text of all that is wrong with an object; *ret_text is NULL when nothing is. */
static int entry_problem(const struct entry *entry, char **ret_text)
{
	const struct item *winner = winner_of(entry), *item;
	struct buf out = { 0 };

	for (item = entry->items; item && out.len < PROBLEM_LEN_MAX; item = item->next)
		put_item_problem(&out, item, winner);
	if (!out.len && !out.failed) {
		*ret_text = NULL;
		return 0;
	}
	*ret_text = buf_take(&out);
	return *ret_text ? 0 : -ENOMEM;
}

/* True when the sink was given the object: it may have forgotten the problem it had with it. */
static bool flush_object(struct catalog *c, struct entry *entry)
{
	struct item *winner = winner_of(entry);
	struct held *served = entry->served;
	bool put;

	if (!winner)
		return false;
	put = !served ||
	      (served != winner->held && !object_equal(&served->object, &winner->held->object));
	entry->served = catalog_held_ref(winner->held);
	c->served += !served;
	if (put)
		object_put(&winner->held->object, &c->sink);
	catalog_held_unref(served);
	return put;
}

static int flush_problem(struct catalog *c, struct entry *entry, bool put)
{
	char subject[OBJECT_SUBJECT_LEN];
	char *text;

	if (entry_problem(entry, &text) < 0)
		return -ENOMEM;
	object_subject(entry->kind, entry->namespace, entry->name, subject);
	if (text ? put || !entry->told || strcmp(text, entry->told) != 0 : entry->told != NULL)
		c->sink.problem(c->sink.ctx, subject, text);
	free(entry->told);
	entry->told = text;
	return 0;
}

/* First what goes, so that an object that was renamed does not meet its old self. */
static void flush_gone(struct catalog *c)
{
	struct entry *entry;

	for (entry = c->touched_entries; entry; entry = entry->next_touched) {
		if (!entry->served || winner_of(entry))
			continue;
		c->sink.gone(c->sink.ctx, entry->kind, entry->namespace, entry->name);
		catalog_held_unref(entry->served);
		entry->served = NULL;
		c->served--;
	}
}

static int flush_entries(struct catalog *c)
{
	struct entry *entry = c->touched_entries, *next;
	int rc = 0;

	c->touched_entries = NULL;
	c->touched_entries_end = &c->touched_entries;
	for (; entry; entry = next) {
		next = entry->next_touched;
		entry->touched = false;
		if (flush_problem(c, entry, flush_object(c, entry)) < 0) {
			catalog_touch_entry(c, entry);
			rc = -ENOMEM;
		} else if (!entry->items) {
			catalog_entry_drop(c, entry);
		}
	}
	return rc;
}

/* ---- files ------------------------------------------------------------------------------------------------- */

static const struct problem *find_problem(const struct problem_vec *problems, const char *subject)
{
	const struct problem *p;

	vec_for_each(p, problems)
		if (strcmp(p->subject, subject) == 0)
			return p;
	return NULL;
}

/* Two broken documents on one line make one subject; the first says it. */
static void flush_file(struct catalog *c, struct file *file)
{
	const struct problem *p, *other;

	vec_for_each(p, &file->told)
		if (!find_problem(&file->problems, p->subject))
			c->sink.problem(c->sink.ctx, p->subject, NULL);
	vec_for_each(p, &file->problems) {
		other = find_problem(&file->told, p->subject);
		if (find_problem(&file->problems, p->subject) == p &&
		    (!other || strcmp(other->reason, p->reason) != 0))
			c->sink.problem(c->sink.ctx, p->subject, p->reason);
	}
}

/* told becomes a copy of problems. */
static int copy_problems(struct file *file)
{
	struct problem_vec copy = { 0 };
	const struct problem *p;

	vec_for_each(p, &file->problems) {
		if (catalog_problem_add(&copy, p->subject, p->reason) < 0) {
			catalog_problems_clear(&copy);
			return -ENOMEM;
		}
	}
	catalog_problems_clear(&file->told);
	file->told = copy;
	return 0;
}

static int flush_files(struct catalog *c)
{
	struct file *file = c->touched_files, *next;
	int rc = 0;

	c->touched_files = NULL;
	c->touched_files_end = &c->touched_files;
	for (; file; file = next) {
		next = file->next_touched;
		file->touched = false;
		flush_file(c, file);
		if (file->removed) {
			catalog_file_free(file);
		} else if (copy_problems(file) < 0) {
			catalog_touch_file(c, file);
			rc = -ENOMEM;
		}
	}
	return rc;
}

/* ---- all of it --------------------------------------------------------------------------------------------- */

int catalog_flush(struct catalog *c)
{
	int rc, rc_files;

	flush_gone(c);
	rc = flush_entries(c);
	rc_files = flush_files(c);
	return rc ? rc : rc_files;
}

int catalog_relist(struct catalog *c)
{
	struct table_entry *e;
	struct entry *entry;

	table_for_each(e, &c->entries) {
		entry = e->value;
		if (entry->served)
			object_put(&entry->served->object, &c->sink);
		if (entry->told) {
			char subject[OBJECT_SUBJECT_LEN];

			object_subject(entry->kind, entry->namespace, entry->name, subject);
			c->sink.problem(c->sink.ctx, subject, entry->told);
		}
	}
	return catalog_flush(c);
}
