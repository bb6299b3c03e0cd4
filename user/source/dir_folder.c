// SPDX-License-Identifier: GPL-2.0-only
/* Which folder the path leads to, and which files are in it. */
/* Must not know what a file holds. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/vec.h"
#include "source/dir_state.h"

#define FOLDER_EVENTS                                                                       \
	(IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | \
	 IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* ---- which folder ------------------------------------------------------------------------------------------ */

static void forget_folder(struct dir *dir)
{
	if (dir->folder_wd >= 0)
		inotify_rm_watch(dir->inotify, dir->folder_wd);
	dir->folder_wd = -1;
}

void dir_folder_close(struct dir *dir)
{
	if (dir->fd >= 0)
		close(dir->fd);
	dir->fd = -1;
}

/* Watches what path leads to; -EAGAIN if that is no longer the open folder, because somebody swapped it just now. */
static int watch_folder(struct dir *dir, const struct stat *open_st)
{
	struct stat path_st;

	forget_folder(dir);
	dir->folder_wd = inotify_add_watch(dir->inotify, dir->path, FOLDER_EVENTS);
	if (dir->folder_wd < 0 || stat(dir->path, &path_st) < 0)
		return -errno;
	if (open_st->st_dev != path_st.st_dev || open_st->st_ino != path_st.st_ino)
		return -EAGAIN;
	dir->dev = open_st->st_dev;
	dir->ino = open_st->st_ino;
	dir->fresh = true;
	dir->rescan = true;
	return 0;
}

/* The watch on a folder keeps its inode number from being given to another one. */
static bool is_watched(const struct dir *dir, const struct stat *st)
{
	return dir->folder_wd >= 0 && st->st_dev == dir->dev && st->st_ino == dir->ino;
}

/* Opens the folder, and watches it if it is another one than before. */
int dir_folder_open(struct dir *dir)
{
	struct stat st;
	int tries, rc = -EAGAIN;

	for (tries = 0; tries < 3 && rc == -EAGAIN; tries++) {
		dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir->fd < 0)
			return -errno;
		if (fstat(dir->fd, &st) < 0)
			rc = -errno;
		else
			rc = is_watched(dir, &st) ? 0 : watch_folder(dir, &st);
		if (rc < 0) {
			forget_folder(dir);
			dir_folder_close(dir);
		}
	}
	return rc;
}

/* ---- its files --------------------------------------------------------------------------------------------- */

struct name_vec VEC_OF(char *);

static void names_clear(struct name_vec *names)
{
	size_t i;

	for (i = 0; i < names->len; i++)
		free(names->data[i]);
	vec_done(names);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(struct name_vec *names, const char *text)
{
	char *name = strdup(text);

	if (name && vec_push(names, name) == 0)
		return 0;
	free(name);
	return -ENOMEM;
}

/* Names of the manifests, sorted. 0 or -errno. */
static int list_names(int folder_fd, struct name_vec *names)
{
	int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int rc = 0;

	if (!stream) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (errno = 0, rc == 0 && (e = readdir(stream)))
		if (dir_is_manifest(e->d_name))
			rc = add_name(names, e->d_name);
	if (rc == 0)
		rc = -errno; /* 0 at the end of the folder */
	closedir(stream);
	vec_sort(names, compare_names);
	return rc;
}

/* Compares one file with what is known of it. A name without a file behind it counts as not there. */
static int check_file(struct dir *dir, const char *name)
{
	struct watched *w;
	struct stat st;
	struct stamp stamp;

	if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
		dir->links = true;
	if (fstatat(dir->fd, name, &st, 0) < 0) {
		if (errno == ENOENT)
			return 0;
		memset(&st, 0, sizeof(st)); /* reading will say what is wrong */
	}
	w = dir_watched_get(dir, name);
	if (!w)
		return -ENOMEM;
	stamp = dir_stamp_of(&st);
	if (!dir_stamps_equal(&stamp, &w->stamp) || !stamp.ino)
		w->dirty = true;
	w->listed = true;
	return 0;
}

/* In another folder than before, files may still be on their way: what is missing has a second to come. */
static void drop_unlisted(struct dir *dir)
{
	struct table_entry *e;
	struct watched *w;

	table_for_each(e, &dir->files) {
		w = e->value;
		if (w->listed) {
			w->listed = false;
		} else if (dir->fresh) {
			w->dirty = true;
			dir_watched_hold(w, RETRY_NS, false);
		} else if (!w->dirty) { /* otherwise it is looked at anyway, in its time */
			dir_watched_drop(dir, w);
		}
	}
}

static int check_files(struct dir *dir, const struct name_vec *names)
{
	size_t i;
	int rc = 0;

	dir->links = false;
	for (i = 0; i < names->len && rc == 0; i++)
		rc = check_file(dir, names->data[i]);
	if (rc == 0)
		drop_unlisted(dir);
	return rc;
}

/*
 * Takes up what is different in the folder. 0; 1 if it is another folder than before and empty, so that nothing was
 * taken up; or -errno.
 */
static int scan(struct dir *dir)
{
	struct name_vec names = { 0 };
	int rc = list_names(dir->fd, &names);

	if (rc == 0 && dir->fresh && dir->scanned && !names.len && dir->files.len)
		rc = 1;
	if (rc == 0)
		rc = check_files(dir, &names);
	if (rc == 0) {
		dir->scanned = true;
		dir->fresh = false;
		dir->rescan = false;
	}
	names_clear(&names);
	return rc;
}

/* ---- looking ----------------------------------------------------------------------------------------------- */

/* The sink hears of a problem once, and once that it is over. */
static void tell_folder(struct dir *dir, const char *reason)
{
	char *copy = reason ? strdup(reason) : NULL;

	if (!reason && !dir->problem)
		return;
	if (!reason || !dir->problem || strcmp(reason, dir->problem) != 0)
		dir->sink.problem(dir->sink.ctx, dir->path, reason);
	free(dir->problem);
	dir->problem = copy;
}

static void tell_trouble(struct dir *dir, int rc)
{
	struct buf reason = { 0 };

	if (rc == 1)
		buf_puts(&reason, "is another folder now and empty: the last known objects are "
				  "served until a manifest is put there");
	else
		buf_printf(&reason, "cannot be read (%s): the last known objects are served",
			   strerrordesc_np(-rc));
	if (rc != -ENOMEM && !reason.failed)
		tell_folder(dir, buf_str(&reason));
	buf_done(&reason);
}

/* Opens the folder and takes up its files, if they may be others. True if there is a folder to read from. */
bool dir_folder_look(struct dir *dir)
{
	int rc = dir_folder_open(dir);

	if (rc == 0 && dir->rescan)
		rc = scan(dir);
	if (rc == 0) {
		tell_folder(dir, NULL);
		return true;
	}
	dir_folder_close(dir);
	dir->rescan = true;
	tell_trouble(dir, rc);
	dir_work_in(dir, RETRY_NS);
	return false;
}
