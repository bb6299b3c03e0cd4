// SPDX-License-Identifier: GPL-2.0-only
/* Keeps what each file says, decides which file's word counts, and tells the sink what changed. */
/* Must not know how files are found or read. */
#include "source/catalog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/table.h"
#include "base/vec.h"
#include "source/decode.h"
#include "source/manifest.h"
#include "source/object.h"

/* Problems of one file that are told one by one. */
#define PROBLEMS_MAX    32
/* The text about one object ends with the file that reaches this. */
#define PROBLEM_LEN_MAX 4096

/* An object that an item, a later item in its place, and the sink's last word may share. */
struct held {
	unsigned refs;
	struct object object;
};

/* One document of a file that names an object. */
struct item {
	struct held *held; /* NULL: refused, and there never was a good one */
	bool stale;        /* held is from an earlier reading of the file */
	char *reasons;     /* what is wrong with it; NULL: nothing */
	char *origin;      /* "web.yaml:12" */
	struct file *file;
	size_t order; /* in the file */
	struct entry *entry;
	struct item *next; /* of the same object; the first with held is served */
};

/* All items of one object. */
struct entry {
	enum object_kind kind;
	struct item *items;
	struct held *served; /* what the sink has; NULL: nothing */
	char *told;          /* the problem that the sink has; NULL: none */
	unsigned mark;       /* the update that last saw it, to find what a file no longer names */
	bool touched;
	struct entry *next_touched;
	char *namespace;
	char *name;
};

struct problem {
	char *subject; /* "web.yaml:12" */
	char *reason;
};

struct problem_vec VEC_OF(struct problem);
struct item_vec VEC_OF(struct item *);

struct file {
	char *name;
	struct item_vec items;
	size_t others;
	struct problem_vec problems; /* as of now */
	struct problem_vec told;     /* what the sink has */
	bool removed;
	bool touched;
	struct file *next_touched;
};

struct catalog {
	struct source_sink sink;
	unsigned kinds;
	struct table entries; /* by "kind/namespace/name" */
	struct table files;   /* by name */
	struct entry *touched_entries, **touched_entries_end;
	struct file *touched_files, **touched_files_end;
	unsigned updates;
	size_t served;
	size_t others;
};

/* ---- parts ------------------------------------------------------------------------------------------------- */

static struct held *held_ref(struct held *held)
{
	if (held)
		held->refs++;
	return held;
}

static void held_unref(struct held *held)
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
	held_unref(item->held);
	free(item->reasons);
	free(item->origin);
	free(item);
}

static void problems_clear(struct problem_vec *problems)
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

static void file_free(void *value)
{
	struct file *file = value;

	items_clear(&file->items);
	problems_clear(&file->problems);
	problems_clear(&file->told);
	free(file->name);
	free(file);
}

static void entry_free(void *value)
{
	struct entry *entry = value;

	held_unref(entry->served);
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
			file_free(file);
	}
	table_done(&c->files, file_free);
	table_done(&c->entries, entry_free);
	free(c);
}

static void touch_entry(struct catalog *c, struct entry *entry)
{
	if (entry->touched)
		return;
	entry->touched = true;
	entry->next_touched = NULL;
	*c->touched_entries_end = entry;
	c->touched_entries_end = &entry->next_touched;
}

static void touch_file(struct catalog *c, struct file *file)
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
			file_free(file);
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

static int get_entry(struct catalog *c, const struct decode_report *report,
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
		touch_entry(c, entry); /* so that it is freed should nothing come of it */
	}
	*ret_entry = entry;
	return 0;
}

/* ---- reading a file ---------------------------------------------------------------------------------------- */

/* What a new text of a file says, before it counts. */
struct reading {
	struct catalog *c;
	struct file *file;
	struct decode_report report;
	struct item_vec items;
	struct problem_vec problems;
	size_t n_problems;
	bool broken; /* some document could not be read, and nobody knows what was in it */
	size_t others;
};

static int add_problem(struct problem_vec *problems, const char *subject, const char *reason)
{
	struct problem p = { .subject = strdup(subject), .reason = strdup(reason) };

	if (p.subject && p.reason && vec_push(problems, p) == 0)
		return 0;
	free(p.subject);
	free(p.reason);
	return -ENOMEM;
}

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
	rc = add_problem(&r->problems, subject, reason);
	free(subject);
	return rc;
}

static int on_broken(void *ctx, unsigned line, const char *reason)
{
	struct reading *r = ctx;

	r->broken = true;
	return add_line_problem(r, line, reason);
}

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
		item->held = held_ref(last_good(r->file, entry));
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
	if (get_entry(r->c, &r->report, &entry) < 0) {
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
		kept->held = held_ref(old->held);
		old->entry->mark = r->c->updates;
	}
	return 0;
}

static bool has_end(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

static int read_text(struct reading *r, const char *text, size_t len)
{
	const struct manifest_handler handler = { r, on_document, on_broken };
	char more[80];
	int rc;

	rc = manifest_read(text, len, has_end(r->file->name, ".json"), &handler);
	if (rc < 0)
		return rc;
	if (r->n_problems > PROBLEMS_MAX) {
		snprintf(more, sizeof(more), "%zu more documents have problems",
			 r->n_problems - PROBLEMS_MAX);
		rc = add_problem(&r->problems, r->file->name, more);
	}
	if (rc == 0 && r->broken)
		rc = keep_unnamed(r);
	return rc;
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
	touch_entry(c, item->entry);
}

static void unlink_item(struct catalog *c, struct item *item)
{
	struct item **at = &item->entry->items;

	while (*at != item)
		at = &(*at)->next;
	*at = item->next;
	touch_entry(c, item->entry);
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
	problems_clear(&file->problems);
	file->problems = *problems;
	*problems = (struct problem_vec){ 0 };
	touch_file(c, file);
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
	rc = read_text(&r, text, len);
	if (rc == 0)
		accept(&r);
	decode_report_done(&r.report);
	items_clear(&r.items);
	problems_clear(&r.problems);
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
		rc = add_problem(&problems, file, reason);
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
	problems_clear(&f->problems);
	c->others -= f->others;
	f->removed = true; /* freed when the sink knows that its problems are over */
	touch_file(c, f);
}

/* ---- telling the sink -------------------------------------------------------------------------------------- */

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
	entry->served = held_ref(winner->held);
	c->served += !served;
	if (put)
		object_put(&winner->held->object, &c->sink);
	held_unref(served);
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

static void drop_entry(struct catalog *c, struct entry *entry)
{
	char key[KEY_LEN];
	size_t len = entry_key(entry->kind, entry->namespace, entry->name, key, sizeof(key));

	table_remove(&c->entries, key, len);
	entry_free(entry);
}

/* First what goes, so that an object that was renamed does not meet its old self. */
static void flush_gone(struct catalog *c)
{
	struct entry *entry;

	for (entry = c->touched_entries; entry; entry = entry->next_touched) {
		if (!entry->served || winner_of(entry))
			continue;
		c->sink.gone(c->sink.ctx, entry->kind, entry->namespace, entry->name);
		held_unref(entry->served);
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
			touch_entry(c, entry);
			rc = -ENOMEM;
		} else if (!entry->items) {
			drop_entry(c, entry);
		}
	}
	return rc;
}

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
		if (add_problem(&copy, p->subject, p->reason) < 0) {
			problems_clear(&copy);
			return -ENOMEM;
		}
	}
	problems_clear(&file->told);
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
			file_free(file);
		} else if (copy_problems(file) < 0) {
			touch_file(c, file);
			rc = -ENOMEM;
		}
	}
	return rc;
}

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

void catalog_count(const struct catalog *c, struct catalog_stats *ret_stats)
{
	*ret_stats = (struct catalog_stats){
		.files = c->files.len,
		.objects = c->served,
		.others = c->others,
	};
}
