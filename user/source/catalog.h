/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_CATALOG_H
#define SOURCE_CATALOG_H

/*
 * What the files of a folder say, and what of it the sink was told: text in, differences out. No file descriptor, no
 * clock.
 *
 *   catalog_update(c, "web.yaml", text, len);   any number of files
 *   catalog_flush(c);                           gone, put, problem: what is different since the last time
 *
 * Nothing that once was good is lost by a mistake: a file with a broken document keeps the objects that its good
 * documents no longer name, and an object that is refused stays as it was, until the file is right again. Where
 * two files have the same object, the first by name is served and the other is a problem.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/model.h"

struct catalog;

struct catalog_stats {
	size_t files;
	size_t objects; /* served */
	size_t others;  /* of kinds that are not ours: passed over in silence */
};

/*
 * kinds: OBJECT_BIT()s of what the sink is told of. seed: for the hash tables. The sink is copied; its ctx must outlive the
 * catalog. 0 or -ENOMEM.
 */
int catalog_new(const struct source_sink *sink, unsigned kinds, uint64_t seed,
		struct catalog **ret_catalog);
/* The sink is told nothing. NULL is fine. */
void catalog_free(struct catalog *c);

/*
 * The file's text, all of it; borrowed for the call. JSON is known by the name's end. 0; or -ENOMEM, and then the
 * catalog is as it was. Text longer than MANIFEST_BYTES_MAX counts as unreadable.
 */
int catalog_update(struct catalog *c, const char *file, const char *text, size_t len);

/* The file is there and cannot be read: its objects stay, the reason becomes a problem. 0 or -ENOMEM. */
int catalog_set_unreadable(struct catalog *c, const char *file, const char *reason);

/* The file is gone, and its objects with it. */
void catalog_remove(struct catalog *c, const char *file);

/* Tells the sink. 0; or -ENOMEM, when some problem could not be put into words: flush again. */
int catalog_flush(struct catalog *c);

/* Puts everything once more, for a sink that lost something, and flushes. */
int catalog_relist(struct catalog *c);

void catalog_count(const struct catalog *c, struct catalog_stats *ret_stats);

#endif
