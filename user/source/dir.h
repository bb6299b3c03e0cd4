/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_DIR_H
#define SOURCE_DIR_H

/*
 * A folder of manifests as a source (--source dir:PATH).
 *
 * Read are *.yaml, *.yml and *.json in the folder itself, symbolic links followed; names that begin with '.' or '#'
 * are editors' and volumes' own. Changes are seen by inotify and taken up within 10 ms of the event, many at once; a file
 * that is being written is waited for. So is, for a blink, one that vanished, since editors and version control
 * replace files by deleting them first.
 *
 * What cannot be read stays as it was: a broken document, an unreadable file, a folder that is missing. Each is a
 * problem with its place and reason until it is right again. Only a file that is deleted takes its objects along.
 *
 * Every DIR_CHECK_NS the folder is compared with what is known of it by size and times, for file systems (and targets
 * of links) that send no events.
 */
#include <stdint.h>

#include "base/err.h"
#include "core/model.h"

struct loop;
struct dir;

#define DIR_CHECK_NS UINT64_C(30000000000)

/*
 * Opens the folder and calls the sink from the loop: everything of these kinds (OBJECT_BIT()s) that is there, `listed` for
 * each kind, and then each change. The sink is copied; path too. 0 or a negative errno with *err, -ENOENT if there is no
 * such folder.
 */
int dir_new(struct loop *loop, const char *path, unsigned kinds, const struct source_sink *sink,
	    struct err *err, struct dir **ret_dir);
/* The sink is not called again. NULL is fine. */
void dir_free(struct dir *dir);

/* Puts everything and says `listed` once more, soon: for a sink that lost something. */
void dir_relist(struct dir *dir);

/* Compares the folder with what is known of it, soon, instead of at the next DIR_CHECK_NS. */
void dir_rescan(struct dir *dir);

struct dir_stats {
	size_t files;
	size_t objects; /* served */
	size_t others;  /* objects of kinds that are not ours */
};
void dir_count(const struct dir *dir, struct dir_stats *ret_stats);

#endif
