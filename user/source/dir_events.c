// SPDX-License-Identifier: GPL-2.0-only
/* What the kernel says has happened in the folder: which files are to be read, and when, and whether to look at all of them. */
/* Must not know how they are read. */
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/buf.h"
#include "source/dir_state.h"

#define VANISH_NS (30 * CLOCK_NS_PER_MS) /* a name without a file: is it being replaced? */
#define WRITING_NS \
	(2 * CLOCK_NS_PER_S) /* since the last write; then a writer that never closes is read */

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
	struct watched *w = dir_watched_get(dir, name);
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
		dir_watched_hold(w, VANISH_NS, true);
	} else if (mask & (IN_CREATE | IN_MODIFY)) {
		dir_watched_hold(w, WRITING_NS, false);
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
	} else if (dir_is_manifest(name)) {
		on_manifest_event(dir, name, event->mask);
	} else if (dir->links && *name && !(event->mask & IN_MODIFY)) {
		dir->rescan = true; /* perhaps what the links lead through: a volume's ..data */
	} else {
		return;
	}
	dir_begin_batch(dir);
}

void dir_take_events(struct dir *dir)
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
