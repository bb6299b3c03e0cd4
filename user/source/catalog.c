// SPDX-License-Identifier: GPL-2.0-only
/* Keeps what each file says, and decides which file's word counts. */
/* Must not know how files are found or read, nor what the sink has heard. */
#include "source/catalog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source/catalog_state.h"
#include "source/manifest.h"

/* ---- parts ------------------------------------------------------------------------------------------------- */

struct held *catalog_held_ref(struct held *held)
{
	if (held)
		held->refs++;
	return held;
}

void catalog_held_unref(struct held *held)
{
	if (!held || --held->refs)
		return;
	object_done(&held->object);
	free(held);
}

static void item_free(struct item *item)
{
	if (!item)
		return;
	catalog_held_unref(item->held);
	free(item->reasons);
	free(item->origin);
	free(item);
}

int catalog_problem_add(struct problem_vec *problems, const char *subject, const char *reason)
{
	struct problem p = { .subject = strdup(subject), .reason = strdup(reason) };

	if (p.subject && p.reason && vec_push(problems, p) == 0)
		return 0;
	free(p.subject);
	free(p.reason);
	return -ENOMEM;
}

void catalog_problems_clear(struct problem_vec *problems)
{
	struct problem *p;

	vec_for_each(p, problems) {
		free(p->subject);
		free(p->reason);
	}
	vec_done(problems);
}

static void items_clear(struct item_vec *items)
{
	size_t i;

	for (i = 0; i < items->len; i++)
		item_free(items->data[i]);
	vec_done(items);
}

void catalog_file_free(void *value)
{
	struct file *file = value;

	items_clear(&file->items);
	catalog_problems_clear(&file->problems);
	catalog_problems_clear(&file->told);
	free(file->name);
	free(file);
}

static void entry_free(void *value)
{
	struct entry *entry = value;

	catalog_held_unref(entry->served);
	free(entry->told);
	free(entry->namespace);
	free(entry->name);
	free(entry);
}

int catalog_new(const struct source_sink *sink, unsigned kinds, uint64_t seed,
		struct catalog **ret_catalog)
{
	struct catalog *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->sink = *sink;
	c->kinds = kinds;
	table_init(&c->entries, seed);
	table_init(&c->files, seed);
	c->touched_entries_end = &c->touched_entries;
	c->touched_files_end = &c->touched_files;
	*ret_catalog = c;
	return 0;
}

void catalog_free(struct catalog *c)
{
	struct file *file, *next;

	if (!c)
		return;
	for (file = c->touched_files; file; file = next) {
		next = file->next_touched;
		if (file->removed) /* no longer in the table */
			catalog_file_free(file);
	}
	table_done(&c->files, catalog_file_free);
	table_done(&c->entries, entry_free);
	free(c);
}

void catalog_touch_entry(struct catalog *c, struct entry *entry)
{
	if (entry->touched)
		return;
	entry->touched = true;
	entry->next_touched = NULL;
	*c->touched_entries_end = entry;
	c->touched_entries_end = &entry->next_touched;
}

void catalog_touch_file(struct catalog *c, struct file *file)
{
	if (file->touched)
		return;
	file->touched = true;
	file->next_touched = NULL;
	*c->touched_files_end = file;
	c->touched_files_end = &file->next_touched;
}

static int get_file(struct catalog *c, const char *name, struct file **ret_file)
{
	struct file *file = table_get_str(&c->files, name);

	if (!file) {
		file = calloc(1, sizeof(*file));
		if (!file)
			return -ENOMEM;
		file->name = strdup(name);
		if (!file->name || table_put_str(&c->files, name, file, NULL) < 0) {
			catalog_file_free(file);
			return -ENOMEM;
		}
	}
	*ret_file = file;
	return 0;
}

/* Length of the key. Names were checked by the decoder, so it fits, and none holds a '/'. */
static size_t entry_key(enum object_kind kind, const char *namespace, const char *name, char *buf,
			size_t size)
{
	return (size_t)snprintf(buf, size, "%d/%s/%s", kind, namespace, name);
}

#define KEY_LEN (16 + DECODE_NAMESPACE_LEN + DECODE_NAME_LEN)

int catalog_entry_get(struct catalog *c, const struct decode_report *report,
		      struct entry **ret_entry)
{
	char key[KEY_LEN];
	size_t len = entry_key(report->kind, report->namespace, report->name, key, sizeof(key));
	struct entry *entry = table_get(&c->entries, key, len);

	if (!entry) {
		entry = calloc(1, sizeof(*entry));
		if (!entry)
			return -ENOMEM;
		entry->kind = report->kind;
		entry->namespace = strdup(report->namespace);
		entry->name = strdup(report->name);
		if (!entry->namespace || !entry->name ||
		    table_put(&c->entries, key, len, entry, NULL) < 0) {
			entry_free(entry);
			return -ENOMEM;
		}
		catalog_touch_entry(c, entry); /* so that it is freed should nothing come of it */
	}
	*ret_entry = entry;
	return 0;
}

void catalog_entry_drop(struct catalog *c, struct entry *entry)
{
	char key[KEY_LEN];
	size_t len = entry_key(entry->kind, entry->namespace, entry->name, key, sizeof(key));

	table_remove(&c->entries, key, len);
	entry_free(entry);
}

/* ---- making it count --------------------------------------------------------------------------------------- */

/* Which of two items of one object comes first: what can be served, then what is fresh, then by file and place. */
static int item_order(const struct item *a, const struct item *b)
{
	int order;

	if (!a->held != !b->held)
		return a->held ? -1 : 1;
	if (a->stale != b->stale)
		return a->stale ? 1 : -1;
	order = strcmp(a->file->name, b->file->name);
	return order ? order : (a->order > b->order) - (a->order < b->order);
}

static void link_item(struct catalog *c, struct item *item)
{
	struct item **at = &item->entry->items;

	while (*at && item_order(*at, item) <= 0)
		at = &(*at)->next;
	item->next = *at;
	*at = item;
	catalog_touch_entry(c, item->entry);
}

static void unlink_item(struct catalog *c, struct item *item)
{
	struct item **at = &item->entry->items;

	while (*at != item)
		at = &(*at)->next;
	*at = item->next;
	catalog_touch_entry(c, item->entry);
}

static void unlink_items(struct catalog *c, struct file *file)
{
	size_t i;

	for (i = 0; i < file->items.len; i++)
		unlink_item(c, file->items.data[i]);
}

static void link_items(struct catalog *c, struct file *file)
{
	size_t i;

	for (i = 0; i < file->items.len; i++)
		link_item(c, file->items.data[i]);
}

static void set_problems(struct catalog *c, struct file *file, struct problem_vec *problems)
{
	catalog_problems_clear(&file->problems);
	file->problems = *problems;
	*problems = (struct problem_vec){ 0 };
	catalog_touch_file(c, file);
}

/* The reading replaces what the file said. Cannot fail. */
static void accept(struct reading *r)
{
	struct file *file = r->file;
	struct item_vec old = file->items;

	unlink_items(r->c, file);
	file->items = r->items;
	link_items(r->c, file);
	r->items = old; /* freed with the reading */
	r->c->others += r->others - file->others;
	file->others = r->others;
	set_problems(r->c, file, &r->problems);
}

int catalog_update(struct catalog *c, const char *file, const char *text, size_t len)
{
	struct reading r = { .c = c };
	char reason[96];
	int rc;

	if (len > MANIFEST_BYTES_MAX) {
		snprintf(reason, sizeof(reason), "is larger than %zu MiB: split it",
			 MANIFEST_BYTES_MAX >> 20);
		return catalog_set_unreadable(c, file, reason);
	}
	rc = get_file(c, file, &r.file);
	if (rc < 0)
		return rc;
	c->updates++;
	rc = catalog_read(&r, text, len);
	if (rc == 0)
		accept(&r);
	decode_report_done(&r.report);
	items_clear(&r.items);
	catalog_problems_clear(&r.problems);
	return rc;
}

int catalog_set_unreadable(struct catalog *c, const char *file, const char *reason)
{
	struct problem_vec problems = { 0 };
	struct file *f;
	size_t i;
	int rc;

	rc = get_file(c, file, &f);
	if (rc == 0)
		rc = catalog_problem_add(&problems, file, reason);
	if (rc < 0)
		return rc;
	unlink_items(c, f);
	for (i = 0; i < f->items.len; i++)
		f->items.data[i]->stale = true;
	link_items(c, f);
	set_problems(c, f, &problems);
	return 0;
}

void catalog_remove(struct catalog *c, const char *file)
{
	struct file *f = table_remove_str(&c->files, file);

	if (!f)
		return;
	unlink_items(c, f);
	items_clear(&f->items);
	catalog_problems_clear(&f->problems);
	c->others -= f->others;
	f->removed = true; /* freed when the sink knows that its problems are over */
	catalog_touch_file(c, f);
}

void catalog_count(const struct catalog *c, struct catalog_stats *ret_stats)
{
	*ret_stats = (struct catalog_stats){
		.files = c->files.len,
		.objects = c->served,
		.others = c->others,
	};
}
