/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_ACCESS_LOG_H
#define INGRESS_ACCESS_LOG_H

/*
 * One line of JSON for each request that is over. A worker puts its lines into a buffer of its own, and a thread of the log's
 * own writes what is there, so that a slow disk or reader of a pipe never holds a request. A full buffer loses lines, which is
 * counted and said in the log itself.
 *
 * Never written: Authorization, cookies, any other field but User-Agent, and arguments unless asked for.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "ingress/record.h"

struct access_log;
struct buf;

#define ACCESS_LOG_KEEP    ((size_t)1 << 20)   /* bytes a worker may be ahead of the writing */
#define ACCESS_LOG_LINE    8192                /* bytes; path, arguments, agent are cut to fit */
#define ACCESS_LOG_WAIT_NS UINT64_C(100000000) /* from a line to its writing, at most */

/*
 * Opens and starts the thread. where: "stdout" or a file's name, appended to; it is opened anew within two seconds when it
 * has been moved away (logrotate). 0 or a negative errno with *err.
 */
int access_log_new(const char *where, unsigned n_workers, bool with_query, struct err *err,
		   struct access_log **ret_log);
/* Writes what is there and ends, within three seconds even if nobody reads. After the workers. NULL is fine. */
void access_log_free(struct access_log *log);

/* From worker number `worker` only. log NULL: nothing happens. wall_ns: CLOCK_REALTIME now. */
void access_log_write(struct access_log *log, unsigned worker, const struct record *record,
		      uint64_t wall_ns);

struct access_log_stats {
	uint64_t lines;
	uint64_t lost;   /* the buffer was full, or there was no memory */
	uint64_t failed; /* writes that failed: their lines are lost, too, and counted there */
};
void access_log_count(const struct access_log *log, struct access_log_stats *ret_stats);

/* The line, with its end. Pure. */
void access_log_format(const struct record *record, bool with_query, uint64_t wall_ns,
		       struct buf *out);

#endif
