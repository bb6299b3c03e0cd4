/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_DIR_STATE_H
#define SOURCE_DIR_STATE_H

/*
 * What a folder source is, for dir*.c alone.
 *
 *   dir.c         when to look, what to read now, when to tell; beginning and end
 *   dir_events.c  what the kernel says has happened
 *   dir_folder.c  which folder the path leads to, and which files are in it
 *   dir_file.c    one file: what is known of it, reading it
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "base/clock.h"
#include "base/table.h"
#include "source/dir.h"

#define DEBOUNCE_NS (10 * CLOCK_NS_PER_MS) /* events of one save come together */
#define RETRY_NS    CLOCK_NS_PER_S         /* a missing folder, lack of memory */

struct loop_event;

/* What stat() says of a file's content: another value, and the file is read again. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec modified;
	struct timespec changed;
};

struct watched {
	char *name;
	struct stamp stamp; /* when it was last read */
	bool dirty;
	bool listed;            /* in the listing that is under way */
	bool vanished;          /* hold_until_ns is for its being replaced */
	uint64_t hold_until_ns; /* not to be read before; 0 = at once */
};

struct dir {
	struct loop *loop;
	struct source_sink sink;
	unsigned kinds;
	struct catalog *catalog;
	char *path;
	char *parent;     /* NULL: none to watch */
	const char *base; /* the folder's name in it */
	/* of the folder, open only while there is work: it would keep the kernel from saying that the folder is gone */
	int fd;
	dev_t dev; /* which folder is watched */
	ino_t ino;
	bool fresh; /* it is another than before, and not yet taken up */
	int inotify;
	int folder_wd, parent_wd; /* -1: none */
	bool rescan;
	bool links;   /* some file is a symbolic link, so that any change may be one of content */
	bool scanned; /* the folder was read through at least once */
	bool relist;
	bool said_listed;
	uint64_t due_ns;    /* when the work is armed for */
	uint64_t batch_ns;  /* when the changes that wait began; 0 = none wait */
	char *problem;      /* of the folder, as told; NULL = none */
	struct table files; /* struct watched by name */
	struct loop_event *events, *work, *check;
};

/* ---- dir.c ---- */

/* Makes the work run in delay_ns, or earlier if it is due earlier. */
void dir_work_in(struct dir *dir, uint64_t delay_ns);
/* Something has changed: the work runs soon, with what else comes at once. */
void dir_begin_batch(struct dir *dir);

/* ---- dir_events.c ---- */

/* All that there are. */
void dir_take_events(struct dir *dir);

/* ---- dir_folder.c ---- */

/* Opens the folder, and watches it if it is another one than before. 0 or -errno. */
int dir_folder_open(struct dir *dir);
void dir_folder_close(struct dir *dir);
/* Opens the folder and takes up its files, if they may be others. True if there is a folder to read from. */
bool dir_folder_look(struct dir *dir);

/* ---- dir_file.c ---- */

/* Is it one by its name? */
bool dir_is_manifest(const char *name);
struct stamp dir_stamp_of(const struct stat *st);
bool dir_stamps_equal(const struct stamp *a, const struct stamp *b);
/* Makes or finds it; NULL without memory. */
struct watched *dir_watched_get(struct dir *dir, const char *name);
/* The file is gone, and its objects with it. */
void dir_watched_drop(struct dir *dir, struct watched *w);
void dir_watched_free(void *watched);
/* Not to be read for so long. */
void dir_watched_hold(struct watched *w, uint64_t ns, bool vanished);
/* 0: done, whatever came of it; w may be gone. 1: it changed while it was read, so try again. -ENOMEM. */
int dir_watched_read(struct dir *dir, struct watched *w);

#endif
