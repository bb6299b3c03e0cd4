// SPDX-License-Identifier: GPL-2.0-only
/* One file of the folder: what is known of it, and reading it. */
/* Must not know when it is read, nor what is in a manifest. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "source/catalog.h"
#include "source/dir_state.h"
#include "source/manifest.h"

/* ---- names and stamps -------------------------------------------------------------------------------------- */

bool dir_is_manifest(const char *name)
{
	const char *c;

	if (*name == '.' || *name == '#')
		return false;
	for (c = name; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f) /* would forge lines in logs */
			return false;
	return manifest_form_of(name) != MANIFEST_NONE;
}

struct stamp dir_stamp_of(const struct stat *st)
{
	return (struct stamp){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.modified = st->st_mtim,
		.changed = st->st_ctim,
	};
}

static bool times_equal(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool dir_stamps_equal(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       times_equal(a->modified, b->modified) && times_equal(a->changed, b->changed);
}

/* ---- what is known of it ----------------------------------------------------------------------------------- */

void dir_watched_free(void *value)
{
	struct watched *w = value;

	free(w->name);
	free(w);
}

void dir_watched_hold(struct watched *w, uint64_t ns, bool vanished)
{
	w->hold_until_ns = clock_now_ns() + ns;
	w->vanished = vanished;
}

struct watched *dir_watched_get(struct dir *dir, const char *name)
{
	struct watched *w = table_get_str(&dir->files, name);

	if (w)
		return w;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->name = strdup(name);
	if (!w->name || table_put_str(&dir->files, name, w, NULL) < 0) {
		dir_watched_free(w);
		return NULL;
	}
	return w;
}

void dir_watched_drop(struct dir *dir, struct watched *w)
{
	catalog_remove(dir->catalog, w->name);
	table_remove_str(&dir->files, w->name);
	dir_watched_free(w);
}

/* ---- reading it -------------------------------------------------------------------------------------------- */

/* All of the file, or as much as shows that it is too large. 0 or -errno. */
static int read_all(int fd, struct buf *out)
{
	ssize_t n;
	int rc;

	while (out->len <= MANIFEST_BYTES_MAX) {
		rc = buf_reserve(out, 65536);
		if (rc < 0)
			return rc;
		n = read(fd, out->data + out->len, 65536);
		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		out->len += (size_t)n;
	}
	return 0;
}

static int unreadable(struct dir *dir, struct watched *w, const char *reason)
{
	memset(&w->stamp, 0, sizeof(w->stamp)); /* the next check tries again */
	return catalog_set_unreadable(dir->catalog, w->name, reason);
}

static int unreadable_errno(struct dir *dir, struct watched *w, int code)
{
	struct buf reason = { 0 };
	int rc;

	buf_printf(&reason, "cannot be read (%s): its last known objects are served",
		   strerrordesc_np(code));
	rc = reason.failed ? -ENOMEM : unreadable(dir, w, buf_str(&reason));
	buf_done(&reason);
	return rc;
}

/* 0: done, whatever came of it. 1: it changed while it was read, so try again. -ENOMEM. */
static int read_open(struct dir *dir, struct watched *w, int fd)
{
	struct buf text = { 0 };
	struct stat before, after;
	struct stamp stamp, stamp_after;
	int rc;

	if (fstat(fd, &before) < 0)
		return unreadable_errno(dir, w, errno);
	stamp = dir_stamp_of(&before);
	w->stamp = stamp;
	if (!S_ISREG(before.st_mode))
		return unreadable(dir, w, "is no ordinary file: remove it or rename it");
	rc = read_all(fd, &text);
	if (rc == 0 && fstat(fd, &after) == 0) {
		stamp_after = dir_stamp_of(&after);
		rc = dir_stamps_equal(&stamp, &stamp_after) ? 0 : 1;
	}
	if (rc == 0)
		rc = catalog_update(dir->catalog, w->name, buf_str(&text), text.len);
	else if (rc < 0 && rc != -ENOMEM)
		rc = unreadable_errno(dir, w, -rc);
	buf_done(&text);
	return rc;
}

int dir_watched_read(struct dir *dir, struct watched *w)
{
	/* O_NONBLOCK: a FIFO must not hang us */
	int fd = openat(dir->fd, w->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int rc;

	if (fd < 0 && errno == ENOENT) {
		dir_watched_drop(dir, w);
		return 0;
	}
	if (fd < 0)
		return unreadable_errno(dir, w, errno);
	rc = read_open(dir, w, fd);
	close(fd);
	return rc;
}
