// SPDX-License-Identifier: GPL-2.0-only
/* Watches a folder of manifests and gives their text to the catalog: when to look, what to read now, when to tell. */
/* Must not know what is in a manifest, nor how a file or the folder is read. */
#include "source/dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "source/catalog.h"
#include "source/dir_state.h"

#define BATCH_NS (200 * CLOCK_NS_PER_MS) /* at most this long a change waits for others */
#define SLICE_NS (20 * CLOCK_NS_PER_MS)  /* reading at a stretch, so that the loop is not held up */

#define PARENT_EVENTS (IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR)

/* ---- when to work ------------------------------------------------------------------------------------------ */

/* Makes the work run in delay_ns, or earlier if it is due earlier. Should the timer fail for lack of memory, the
 * periodic check does the work. */
void dir_work_in(struct dir *dir, uint64_t delay_ns)
{
	uint64_t due_ns = clock_now_ns() + delay_ns;

	if (loop_is_armed(dir->work) && dir->due_ns <= due_ns)
		return;
	dir->due_ns = due_ns;
	(void)loop_arm(dir->work, delay_ns, 0);
}

void dir_begin_batch(struct dir *dir)
{
	if (!dir->batch_ns)
		dir->batch_ns = clock_now_ns();
	dir_work_in(dir, DEBOUNCE_NS);
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
		rc = dir_watched_read(dir,
				      w); /* w may be gone; otherwise rc is not 0 or it is done */
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
		dir_work_in(dir, RETRY_NS);
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

	dir_take_events(dir); /* so as not to read what is known to be half written */
	if (!dir_folder_look(dir))
		return;
	read_dirty(dir, &progress);
	dir_folder_close(dir);
	if (may_flush(dir, &progress))
		flush(dir);
	now_ns = clock_now_ns();
	if (progress.more)
		dir_work_in(dir, 0);
	else if (progress.wait_until_ns != UINT64_MAX)
		dir_work_in(dir,
			    progress.wait_until_ns > now_ns ? progress.wait_until_ns - now_ns : 0);
}

static void on_check(void *arg)
{
	struct dir *dir = arg;

	dir->rescan = true;
	on_work(dir);
}

static void on_readable(void *arg, int fd, uint32_t events)
{
	(void)fd;
	(void)events;
	dir_take_events(arg);
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
	rc = dir_folder_open(dir);
	if (rc < 0)
		return err_set(err, rc,
			       "folder %s: %s: --source dir:PATH names a folder of manifests",
			       dir->path, strerrordesc_np(-rc));
	dir_folder_close(dir);
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
	dir_folder_close(dir);
	if (dir->inotify >= 0)
		close(dir->inotify);
	catalog_free(dir->catalog);
	table_done(&dir->files, dir_watched_free);
	free(dir->path);
	free(dir->parent);
	free(dir->problem);
	free(dir);
}

void dir_relist(struct dir *dir)
{
	dir->relist = true;
	dir_begin_batch(dir);
}

void dir_rescan(struct dir *dir)
{
	dir->rescan = true;
	dir_begin_batch(dir);
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
