// SPDX-License-Identifier: GPL-2.0-only
/* Watches a folder of manifests and gives their text to the catalog. */
/* Must not know what is in a manifest. */
#include "source/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/table.h"
#include "base/vec.h"
#include "source/catalog.h"
#include "source/manifest.h"

#define DEBOUNCE_NS (10 * CLOCK_NS_PER_MS) /* events of one save come together */
#define VANISH_NS   (30 * CLOCK_NS_PER_MS) /* a name without a file: is it being replaced? */
#define WRITING_NS \
	(2 * CLOCK_NS_PER_S) /* since the last write; then a writer that never closes is read */
#define BATCH_NS (200 * CLOCK_NS_PER_MS) /* at most this long a change waits for others */
#define SLICE_NS (20 * CLOCK_NS_PER_MS)  /* reading at a stretch, so that the loop is not held up */
#define RETRY_NS CLOCK_NS_PER_S          /* a missing folder, lack of memory */

#define FOLDER_EVENTS                                                                       \
	(IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | \
	 IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define PARENT_EVENTS (IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR)

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

/* ---- names and stamps -------------------------------------------------------------------------------------- */

static bool has_end(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len > end_len && strcmp(name + len - end_len, end) == 0;
}

static bool is_manifest(const char *name)
{
	const char *c;

	if (*name == '.' || *name == '#')
		return false;
	for (c = name; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f) /* would forge lines in logs */
			return false;
	return has_end(name, ".yaml") || has_end(name, ".yml") || has_end(name, ".json");
}

static struct stamp stamp_of(const struct stat *st)
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

static bool stamps_equal(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       times_equal(a->modified, b->modified) && times_equal(a->changed, b->changed);
}

static void watched_free(void *value)
{
	struct watched *w = value;

	free(w->name);
	free(w);
}

static void hold(struct watched *w, uint64_t ns, bool vanished)
{
	w->hold_until_ns = clock_now_ns() + ns;
	w->vanished = vanished;
}

static struct watched *get_watched(struct dir *dir, const char *name)
{
	struct watched *w = table_get_str(&dir->files, name);

	if (w)
		return w;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->name = strdup(name);
	if (!w->name || table_put_str(&dir->files, name, w, NULL) < 0) {
		watched_free(w);
		return NULL;
	}
	return w;
}

static void drop_watched(struct dir *dir, struct watched *w)
{
	catalog_remove(dir->catalog, w->name);
	table_remove_str(&dir->files, w->name);
	watched_free(w);
}

/* ---- when to work ------------------------------------------------------------------------------------------ */

/* Makes the work run in delay_ns, or earlier if it is due earlier. Should the timer fail for lack of memory, the
 * periodic check does the work. */
static void work_in(struct dir *dir, uint64_t delay_ns)
{
	uint64_t due_ns = clock_now_ns() + delay_ns;

	if (loop_is_armed(dir->work) && dir->due_ns <= due_ns)
		return;
	dir->due_ns = due_ns;
	(void)loop_arm(dir->work, delay_ns, 0);
}

static void begin_batch(struct dir *dir)
{
	if (!dir->batch_ns)
		dir->batch_ns = clock_now_ns();
	work_in(dir, DEBOUNCE_NS);
}

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

/* ---- reading one file -------------------------------------------------------------------------------------- */

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
	stamp = stamp_of(&before);
	w->stamp = stamp;
	if (!S_ISREG(before.st_mode))
		return unreadable(dir, w, "is no ordinary file: remove it or rename it");
	rc = read_all(fd, &text);
	if (rc == 0 && fstat(fd, &after) == 0) {
		stamp_after = stamp_of(&after);
		rc = stamps_equal(&stamp, &stamp_after) ? 0 : 1;
	}
	if (rc == 0)
		rc = catalog_update(dir->catalog, w->name, buf_str(&text), text.len);
	else if (rc < 0 && rc != -ENOMEM)
		rc = unreadable_errno(dir, w, -rc);
	buf_done(&text);
	return rc;
}

static int read_file(struct dir *dir, struct watched *w)
{
	/* O_NONBLOCK: a FIFO must not hang us */
	int fd = openat(dir->fd, w->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int rc;

	if (fd < 0 && errno == ENOENT) {
		drop_watched(dir, w);
		return 0;
	}
	if (fd < 0)
		return unreadable_errno(dir, w, errno);
	rc = read_open(dir, w, fd);
	close(fd);
	return rc;
}

/* ---- reading the folder ------------------------------------------------------------------------------------ */

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

/* Names of the manifests, sorted. 0 or -errno. */
static int list_names(int folder_fd, struct name_vec *names)
{
	int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	char *name;
	int rc = 0;

	if (!stream) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (errno = 0, rc == 0 && (e = readdir(stream))) {
		if (!is_manifest(e->d_name))
			continue;
		name = strdup(e->d_name);
		if (!name || vec_push(names, name) < 0) {
			free(name);
			rc = -ENOMEM;
		}
	}
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
	w = get_watched(dir, name);
	if (!w)
		return -ENOMEM;
	stamp = stamp_of(&st);
	if (!stamps_equal(&stamp, &w->stamp) || !stamp.ino)
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
			hold(w, RETRY_NS, false);
		} else if (!w->dirty) { /* otherwise it is looked at anyway, in its time */
			drop_watched(dir, w);
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

static void forget_folder(struct dir *dir)
{
	if (dir->folder_wd >= 0)
		inotify_rm_watch(dir->inotify, dir->folder_wd);
	dir->folder_wd = -1;
}

static void close_folder(struct dir *dir)
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
static int open_folder(struct dir *dir)
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
			close_folder(dir);
		}
	}
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
static bool look(struct dir *dir)
{
	int rc = open_folder(dir);

	if (rc == 0 && dir->rescan)
		rc = scan(dir);
	if (rc == 0) {
		tell_folder(dir, NULL);
		return true;
	}
	close_folder(dir);
	dir->rescan = true;
	tell_trouble(dir, rc);
	work_in(dir, RETRY_NS);
	return false;
}

/* ---- events ------------------------------------------------------------------------------------------------ */

/* A new name: links are complete at once, a file of its own is complete when it is closed. */
static bool is_link(struct dir *dir, const char *name)
{
	struct buf path = { 0 };
	struct stat st;
	bool link = false;

	buf_printf(&path, "%s/%s", dir->path, name);
	if (!path.failed && lstat(buf_str(&path), &st) == 0) {
		link = S_ISLNK(st.st_mode) || st.st_nlink > 1;
		dir->links |= S_ISLNK(st.st_mode);
	}
	buf_done(&path);
	return link;
}

static void on_manifest_event(struct dir *dir, const char *name, uint32_t mask)
{
	struct watched *w = get_watched(dir, name);
	bool link = (mask & (IN_CREATE | IN_MOVED_TO)) && is_link(dir, name);

	if (!w) { /* no memory: look at everything later */
		dir->rescan = true;
		return;
	}
	w->dirty = true;
	if (link || (mask & (IN_CLOSE_WRITE | IN_MOVED_TO))) {
		w->hold_until_ns = 0;
		w->vanished = false;
	} else if (mask & (IN_DELETE | IN_MOVED_FROM)) {
		hold(w, VANISH_NS, true);
	} else if (mask & (IN_CREATE | IN_MODIFY)) {
		hold(w, WRITING_NS, false);
	} /* IN_ATTRIB: at once, or when it is written */
}

static void on_event(struct dir *dir, const struct inotify_event *event)
{
	const char *name = event->len ? event->name : "";

	if (event->mask & IN_Q_OVERFLOW) {
		dir->rescan = true;
	} else if (event->wd == dir->parent_wd && event->wd != dir->folder_wd) {
		if (strcmp(name, dir->base) != 0)
			return;
		dir->rescan = true;
	} else if (event->wd != dir->folder_wd) {
		/* of a folder that is no longer ours */
		return;
	} else if (event->mask & IN_IGNORED) {
		/* the folder is gone, and its watch with it */
		dir->folder_wd = -1;
		dir->rescan = true;
	} else if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) {
		dir->rescan = true;
	} else if (is_manifest(name)) {
		on_manifest_event(dir, name, event->mask);
	} else if (dir->links && *name && !(event->mask & IN_MODIFY)) {
		dir->rescan = true; /* perhaps what the links lead through: a volume's ..data */
	} else {
		return;
	}
	begin_batch(dir);
}

static void take_events(struct dir *dir)
{
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	const struct inotify_event *event;
	ssize_t len, at;

	while ((len = read(dir->inotify, buf, sizeof(buf))) > 0) {
		for (at = 0; at < len; at += (ssize_t)(sizeof(*event) + event->len)) {
			event = (const struct inotify_event *)(buf + at);
			on_event(dir, event);
		}
	}
}

static void on_readable(void *arg, int fd, uint32_t events)
{
	(void)fd;
	(void)events;
	take_events(arg);
}

/* ---- the work ---------------------------------------------------------------------------------------------- */

struct progress {
	bool more;              /* the slice was too short */
	bool vanished;          /* some name may be about to come back */
	uint64_t wait_until_ns; /* when the first held file is due; UINT64_MAX = none is held */
};

/* Reads files that changed, for at most SLICE_NS. */
static void read_dirty(struct dir *dir, struct progress *progress)
{
	uint64_t start_ns = clock_now_ns(), now_ns = start_ns;
	struct table_entry *e;
	struct watched *w;
	int rc;

	table_for_each(e, &dir->files) {
		w = e->value;
		if (!w->dirty)
			continue;
		if (w->hold_until_ns > now_ns) {
			progress->vanished |= w->vanished;
			if (w->hold_until_ns < progress->wait_until_ns)
				progress->wait_until_ns = w->hold_until_ns;
			continue;
		}
		if (now_ns - start_ns > SLICE_NS) {
			progress->more = true;
			return;
		}
		w->dirty = false;
		w->vanished = false;
		w->hold_until_ns = 0;
		rc = read_file(dir, w); /* w may be gone; otherwise rc is not 0 or it is done */
		if (rc != 0) {
			w->dirty = true;
			w->hold_until_ns = clock_now_ns() + (rc < 0 ? RETRY_NS : DEBOUNCE_NS);
			if (w->hold_until_ns < progress->wait_until_ns)
				progress->wait_until_ns = w->hold_until_ns;
		}
		now_ns = clock_now_ns();
	}
}

static void say_listed(struct dir *dir)
{
	int kind;

	for (kind = 0; kind < OBJECT_KINDS; kind++)
		if (dir->kinds & OBJECT_BIT(kind))
			dir->sink.listed(dir->sink.ctx, (enum object_kind)kind);
	dir->said_listed = true;
}

static void flush(struct dir *dir)
{
	int rc = dir->relist ? catalog_relist(dir->catalog) : catalog_flush(dir->catalog);

	dir->batch_ns = 0;
	if (rc < 0)
		work_in(dir, RETRY_NS);
	if (dir->scanned && (!dir->said_listed || dir->relist))
		say_listed(dir);
	dir->relist = false;
}

/* May what was read be told now, or is it better told together with what comes at once? */
static bool may_flush(const struct dir *dir, const struct progress *progress)
{
	if (!progress->more && !progress->vanished)
		return true;
	return dir->said_listed && dir->batch_ns && clock_now_ns() - dir->batch_ns > BATCH_NS;
}

static void on_work(void *arg)
{
	struct dir *dir = arg;
	struct progress progress = { .wait_until_ns = UINT64_MAX };
	uint64_t now_ns;

	take_events(dir); /* so as not to read what is known to be half written */
	if (!look(dir))
		return;
	read_dirty(dir, &progress);
	close_folder(dir);
	if (may_flush(dir, &progress))
		flush(dir);
	now_ns = clock_now_ns();
	if (progress.more)
		work_in(dir, 0);
	else if (progress.wait_until_ns != UINT64_MAX)
		work_in(dir, progress.wait_until_ns > now_ns ? progress.wait_until_ns - now_ns : 0);
}

static void on_check(void *arg)
{
	struct dir *dir = arg;

	dir->rescan = true;
	on_work(dir);
}

/* ---- beginning and end ------------------------------------------------------------------------------------- */

/* The folder's path without slashes at its end; its parent and its name there, unless it has none of its own. */
static int set_path(struct dir *dir, const char *path)
{
	size_t len = strlen(path);
	char *slash;

	while (len > 1 && path[len - 1] == '/')
		len--;
	dir->path = strndup(path, len);
	if (!dir->path)
		return -ENOMEM;
	slash = strrchr(dir->path, '/');
	dir->base = slash ? slash + 1 : dir->path;
	if (!*dir->base || strcmp(dir->base, ".") == 0 || strcmp(dir->base, "..") == 0)
		return 0;
	if (!slash)
		dir->parent = strdup(".");
	else
		dir->parent =
			strndup(dir->path, slash == dir->path ? 1 : (size_t)(slash - dir->path));
	return dir->parent ? 0 : -ENOMEM;
}

static int add_events(struct dir *dir)
{
	int rc;

	rc = loop_add_fd(dir->loop, dir->inotify, EPOLLIN, on_readable, dir, &dir->events);
	if (rc == 0)
		rc = loop_add_timer(dir->loop, on_work, dir, &dir->work);
	if (rc == 0)
		rc = loop_add_timer(dir->loop, on_check, dir, &dir->check);
	if (rc == 0)
		rc = loop_arm(dir->check, DIR_CHECK_NS, DIR_CHECK_NS);
	if (rc == 0)
		rc = loop_arm(dir->work, 0, 0);
	return rc;
}

/* What remains of dir_new() once there is a struct to free. */
static int start(struct dir *dir, const char *path, struct err *err)
{
	uint64_t seed = 0;
	int rc;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = clock_wall_ns();
	table_init(&dir->files, seed);
	rc = set_path(dir, path);
	if (rc == 0)
		rc = catalog_new(&dir->sink, dir->kinds, seed, &dir->catalog);
	if (rc < 0)
		return err_set(err, rc, "no memory for the folder source");
	dir->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (dir->inotify < 0)
		return err_set(err, -errno,
			       "inotify: %s: see the limit fs.inotify.max_user_instances",
			       strerrordesc_np(errno));
	if (dir->parent) /* a parent that cannot be watched leaves the periodic check */
		dir->parent_wd = inotify_add_watch(dir->inotify, dir->parent, PARENT_EVENTS);
	rc = open_folder(dir);
	if (rc < 0)
		return err_set(err, rc,
			       "folder %s: %s: --source dir:PATH names a folder of manifests",
			       dir->path, strerrordesc_np(-rc));
	close_folder(dir);
	rc = add_events(dir);
	return rc < 0 ? err_set(err, rc, "folder %s: %s", dir->path, strerrordesc_np(-rc)) : 0;
}

int dir_new(struct loop *loop, const char *path, unsigned kinds, const struct source_sink *sink,
	    struct err *err, struct dir **ret_dir)
{
	struct dir *dir = calloc(1, sizeof(*dir));
	int rc;

	if (!dir)
		return err_set(err, -ENOMEM, "no memory for the folder source");
	dir->loop = loop;
	dir->sink = *sink;
	dir->kinds = kinds;
	dir->fd = dir->inotify = dir->folder_wd = dir->parent_wd = -1;
	rc = start(dir, path, err);
	if (rc < 0) {
		dir_free(dir);
		return rc;
	}
	*ret_dir = dir;
	return 0;
}

void dir_free(struct dir *dir)
{
	if (!dir)
		return;
	loop_remove(dir->events);
	loop_remove(dir->work);
	loop_remove(dir->check);
	close_folder(dir);
	if (dir->inotify >= 0)
		close(dir->inotify);
	catalog_free(dir->catalog);
	table_done(&dir->files, watched_free);
	free(dir->path);
	free(dir->parent);
	free(dir->problem);
	free(dir);
}

void dir_relist(struct dir *dir)
{
	dir->relist = true;
	begin_batch(dir);
}

void dir_rescan(struct dir *dir)
{
	dir->rescan = true;
	begin_batch(dir);
}

void dir_count(const struct dir *dir, struct dir_stats *ret_stats)
{
	struct catalog_stats stats;

	catalog_count(dir->catalog, &stats);
	*ret_stats = (struct dir_stats){
		.files = stats.files,
		.objects = stats.objects,
		.others = stats.others,
	};
}
