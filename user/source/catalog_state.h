/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_CATALOG_STATE_H
#define SOURCE_CATALOG_STATE_H

/*
 * What a catalog is, for catalog*.c alone.
 *
 *   catalog.c       files, items and entries; whose word counts
 *   catalog_read.c  what a new text of a file says, before it counts
 *   catalog_tell.c  what of it the sink has not heard yet
 */
#include "base/table.h"
#include "base/vec.h"
#include "source/catalog.h"
#include "source/decode.h"
#include "source/object.h"

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

/* ---- catalog.c ---- */

/* One more holder; NULL is fine, here and below. */
struct held *catalog_held_ref(struct held *held);
void catalog_held_unref(struct held *held);
/* Both texts are copied. 0 or -ENOMEM. */
int catalog_problem_add(struct problem_vec *problems, const char *subject, const char *reason);
void catalog_problems_clear(struct problem_vec *problems);
/* Makes or finds the entry of the object that the report names. 0 or -ENOMEM. */
int catalog_entry_get(struct catalog *c, const struct decode_report *report,
		      struct entry **ret_entry);
void catalog_entry_drop(struct catalog *c, struct entry *entry);
void catalog_file_free(void *file);
/* The next flush looks at it. */
void catalog_touch_entry(struct catalog *c, struct entry *entry);
void catalog_touch_file(struct catalog *c, struct file *file);

/* ---- catalog_read.c ---- */

/* Fills the reading, whose c and file are set. 0 or -ENOMEM. */
int catalog_read(struct reading *r, const char *text, size_t len);

#endif
