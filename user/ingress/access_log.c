// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lines from workers to a file or standard output, by a thread of its own.
 * Must not know what a line says.
 */
#include "ingress/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

#define HURRY     ((size_t)128 << 10) /* bytes that are not waited with */
#define REOPEN_NS (1 * CLOCK_NS_PER_S)
#define END_S     3 /* what is left may take to be written */

/* A worker's lines. The lock is held for composing one, and for taking all. */
struct lane {
	pthread_mutex_t lock;
	struct buf buf;
	uint64_t lines, lost;
	uint64_t lines_taken, lost_said; /* by the writer */
} __attribute__((aligned(64)));

struct access_log {
	char *path; /* NULL: standard output */
	int fd;
	bool with_query;
	unsigned n_lanes;
	struct lane *lanes;
	uint64_t failed;     /* lines; atomic */
	uint64_t checked_ns; /* when the file was looked for by its name */
	struct log_rate complaints;

	struct buf taken; /* the thread's: being written */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool started, some, much, ending; /* under the lock */
};

/* ---- workers ------------------------------------------------------------------------------------- */

static void wake(struct access_log *log, bool much)
{
	pthread_mutex_lock(&log->lock);
	log->some = true;
	log->much |= much;
	pthread_cond_signal(&log->wake);
	pthread_mutex_unlock(&log->lock);
}

void access_log_write(struct access_log *log, unsigned worker, const struct record *record,
		      uint64_t wall_ns)
{
	bool first, much = false;
	struct lane *lane;
	size_t before;

	if (!log)
		return;
	lane = &log->lanes[worker];
	pthread_mutex_lock(&lane->lock);
	before = lane->buf.len;
	first = !before;
	if (before + ACCESS_LOG_LINE <= ACCESS_LOG_KEEP)
		access_log_format(record, log->with_query, wall_ns, &lane->buf);
	if (lane->buf.len > before)
		lane->lines++;
	else
		lane->lost++;
	lane->buf.failed = false;
	much = before < HURRY && lane->buf.len >= HURRY;
	pthread_mutex_unlock(&lane->lock);
	if (first || much)
		wake(log, much);
}

/* ---- writing ------------------------------------------------------------------------------------- */

static int open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);

	return fd < 0 ? -errno : fd;
}

static void complain(struct access_log *log, const char *what, int error)
{
	uint64_t held;

	if (log_rate_allows(&log->complaints, clock_now_ns(), &held))
		log_warn("%s of the access log failed file=%s error=\"%s\" suppressed=%" PRIu64,
			 what, log->path ? log->path : "stdout", strerror(error), held);
}

/* Moved away, as logrotate does: a new file of the same name. */
static void reopen(struct access_log *log)
{
	struct stat named, ours;
	int fd;

	log->checked_ns = clock_now_ns();
	if (stat(log->path, &named) == 0 && fstat(log->fd, &ours) == 0 &&
	    named.st_ino == ours.st_ino && named.st_dev == ours.st_dev)
		return;
	fd = open_file(log->path);
	if (fd < 0) {
		complain(log, "opening", -fd);
		return;
	}
	close(log->fd);
	log->fd = fd;
}

static void write_all(struct access_log *log, const char *bytes, size_t len, uint64_t lines)
{
	while (len) {
		ssize_t n = write(log->fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) { /* lines that were cut stay in the count of what was lost */
			complain(log, "writing", errno);
			__atomic_fetch_add(&log->failed, lines, __ATOMIC_RELAXED);
			return;
		}
		bytes += n;
		len -= (size_t)n;
	}
}

static void write_lane(struct access_log *log, struct lane *lane)
{
	uint64_t lines, lost;
	struct buf *full = &log->taken;
	struct buf empty = *full;

	pthread_mutex_lock(&lane->lock);
	*full = lane->buf;
	lane->buf = empty;
	lines = lane->lines - lane->lines_taken;
	lane->lines_taken = lane->lines;
	lost = lane->lost - lane->lost_said;
	lane->lost_said = lane->lost;
	pthread_mutex_unlock(&lane->lock);
	if (lost)
		buf_printf(full, "{\"lost_lines\":%" PRIu64 "}\n", lost);
	if (full->len)
		write_all(log, full->data, full->len, lines);
	buf_reset(full);
}

static void write_lanes(struct access_log *log)
{
	if (log->path && clock_now_ns() - log->checked_ns >= REOPEN_NS)
		reopen(log);
	for (unsigned i = 0; i < log->n_lanes; i++)
		write_lane(log, &log->lanes[i]);
}

/* Waits for a first line, then a little for more. True: this was the last time. */
static bool wait_for_lines(struct access_log *log)
{
	struct timespec until;
	bool ending;

	pthread_mutex_lock(&log->lock);
	while (!log->some && !log->ending)
		pthread_cond_wait(&log->wake, &log->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)ACCESS_LOG_WAIT_NS / 2;
	if (until.tv_nsec >= (long)CLOCK_NS_PER_S) {
		until.tv_nsec -= (long)CLOCK_NS_PER_S;
		until.tv_sec++;
	}
	while (!log->much && !log->ending &&
	       pthread_cond_timedwait(&log->wake, &log->lock, &until) == 0)
		;
	log->some = log->much = false;
	ending = log->ending;
	pthread_mutex_unlock(&log->lock);
	return ending;
}

static void *write_lines(void *arg)
{
	struct access_log *log = arg;
	bool ending;

	do {
		ending = wait_for_lines(log);
		write_lanes(log);
	} while (!ending);
	return NULL;
}

/* ---- life ---------------------------------------------------------------------------------------- */

static int start(struct access_log *log)
{
	pthread_condattr_t monotonic;
	int rc;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	rc = pthread_cond_init(&log->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (rc == 0)
		rc = pthread_create(&log->thread, NULL, write_lines, log);
	log->started = rc == 0;
	return -rc;
}

int access_log_new(const char *where, unsigned n_workers, bool with_query, struct err *err,
		   struct access_log **ret_log)
{
	bool to_file = strcmp(where, "stdout") != 0;
	struct access_log *log = calloc(1, sizeof(*log));
	int rc;

	if (!log)
		return err_set(err, -ENOMEM, "no memory");
	log->fd = STDOUT_FILENO;
	log->with_query = with_query;
	log->complaints = (struct log_rate){ .burst = 1, .interval_ns = 10 * CLOCK_NS_PER_S };
	pthread_mutex_init(&log->lock, NULL);
	log->lanes = aligned_alloc(64, n_workers * sizeof(*log->lanes));
	log->path = to_file ? strdup(where) : NULL;
	if (!log->lanes || (to_file && !log->path)) {
		access_log_free(log);
		return err_set(err, -ENOMEM, "no memory");
	}
	memset(log->lanes, 0, n_workers * sizeof(*log->lanes));
	for (; log->n_lanes < n_workers; log->n_lanes++)
		pthread_mutex_init(&log->lanes[log->n_lanes].lock, NULL);
	if (to_file && (log->fd = open_file(where)) < 0) {
		rc = err_set(err, log->fd, "--access-log %s: %s; it is a file, stdout or off",
			     where, strerror(-log->fd));
		access_log_free(log);
		return rc;
	}
	rc = start(log);
	if (rc < 0) {
		access_log_free(log);
		return err_set(err, rc, "no thread for the access log: %s", strerror(-rc));
	}
	*ret_log = log;
	return 0;
}

/* A reader that does not read must not keep the process. */
static void stop(struct access_log *log)
{
	struct timespec until;

	pthread_mutex_lock(&log->lock);
	log->ending = true;
	pthread_cond_signal(&log->wake);
	pthread_mutex_unlock(&log->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += END_S;
	if (pthread_timedjoin_np(log->thread, NULL, &until) != 0) {
		pthread_cancel(log->thread); /* it waits in write() */
		pthread_join(log->thread, NULL);
	}
	pthread_cond_destroy(&log->wake);
}

void access_log_free(struct access_log *log)
{
	if (!log)
		return;
	if (log->started)
		stop(log);
	for (unsigned i = 0; log->lanes && i < log->n_lanes; i++) {
		buf_done(&log->lanes[i].buf);
		pthread_mutex_destroy(&log->lanes[i].lock);
	}
	buf_done(&log->taken);
	pthread_mutex_destroy(&log->lock);
	if (log->path && log->fd >= 0)
		close(log->fd);
	free(log->lanes);
	free(log->path);
	free(log);
}

void access_log_count(const struct access_log *log, struct access_log_stats *ret_stats)
{
	*ret_stats = (struct access_log_stats){ 0 };
	if (!log)
		return;
	for (unsigned i = 0; log->lanes && i < log->n_lanes; i++) {
		struct lane *lane = &log->lanes[i];

		pthread_mutex_lock(&lane->lock);
		ret_stats->lines += lane->lines;
		ret_stats->lost += lane->lost;
		pthread_mutex_unlock(&lane->lock);
	}
	ret_stats->failed = __atomic_load_n(&log->failed, __ATOMIC_RELAXED);
}
