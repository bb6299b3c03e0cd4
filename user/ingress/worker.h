/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_WORKER_H
#define INGRESS_WORKER_H

/*
 * A thread: its loop, its listeners, and what all of its connections share. Everything that is reached from here belongs to
 * this thread, unless it is said to be shared.
 *
 * Two habits keep callbacks simple. Nothing is freed while somebody may stand on it: worker_bury() frees at the end of the turn.
 * And what a callback leaves for afterwards (bytes to be written at once, a next request to be begun) is a task: tasks run
 * when the callback that posted them has returned, before anything else is waited for or read.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/arena.h"
#include "base/buf.h"
#include "ingress/http1.h"
#include "ingress/vanish.h"
#include "ingress/wheel.h"

struct client;
struct listener;
struct gate;
struct loop;
struct loop_event;
struct match_work;
struct access_log;
struct peers;
struct pool;
struct settings;
struct snapshot;
struct stats;
struct certs;
struct tls;
struct verifier;

#define WORKER_SCRATCH \
	(192 * 1024)     /* bytes; a read takes as much of it as reads of late have filled */
#define WORKER_BUFS 64   /* empty buffers that are kept */
#define WORKER_BUF  4096 /* bytes; a larger one is not kept */

/* Embedded in what has work left over; all-zero but for fn and arg. */
struct worker_task {
	STAILQ_ENTRY(worker_task) link;
	bool posted;
	void (*fn)(void *arg);
	void *arg;
};

/* Embedded in what is to be freed. */
struct worker_grave {
	SLIST_ENTRY(worker_grave) link;
	void (*free)(void *arg);
	void *arg;
};

struct worker {
	unsigned index;
	struct loop *loop;
	const struct settings *settings; /* of the process; never changes */
	struct snapshot *snapshot;       /* the one in force here, counted; NULL: none yet (503) */
	struct pool *pool;               /* idle connections to endpoints */
	struct match_work *match;        /* for regular expressions */
	struct stats *stats;             /* written here, read by the control thread */
	struct peers *peers;             /* shared: how many connections there are, by address */
	struct gate *gate;               /* shared: rates and the like */
	struct tls *tls;                 /* shared */
	const struct certs *first_certs; /* shared: as long as there is no snapshot */
	struct verifier *verifier;       /* shared: checks passwords; NULL: nobody does */
	struct access_log *log;          /* shared; NULL: none */
	uint64_t random[2];              /* state; worker_random64() */
	char *scratch;                   /* WORKER_SCRATCH bytes, for the length of one callback */
	struct buf text;                 /* for composing; the same */
	struct arena arena;              /* the same; reset when an exchange starts */
	struct http1_head head;          /* for reading a head that is there as a whole; the same */
	TAILQ_HEAD(client_list, client) clients; /* the newest first */
	LIST_HEAD(, listener) listeners;
	size_t n_clients;
	_Atomic size_t n_clients_seen; /* the same, for other threads */
	_Atomic bool
		draining; /* no new connections; the ones that are there end with their answer */

	/* worker.c's own. */
	struct vanish_list watched; /* vanish.c's, and when it looks next */
	struct wheel_timer look;
	struct wheel wheel;
	struct loop_event *alarm;
	uint64_t alarm_ns;
	struct loop_event *end_of_turn;
	STAILQ_HEAD(, worker_task) tasks;
	SLIST_HEAD(, worker_grave) graves;
	struct buf bufs[WORKER_BUFS];
	unsigned n_bufs;
	struct worker_mailbox *mailbox;
};

/* Everything but the thread. 0 or -errno. */
int worker_new(unsigned index, const struct settings *settings, struct worker **ret_worker);
/* Frees what is left, connections included; the thread must have ended. NULL is fine. */
void worker_free(struct worker *worker);
/* Starts the thread; worker_stop() makes its loop end (from any thread), worker_join() waits for that. */
int worker_start(struct worker *worker);
void worker_stop(struct worker *worker);
void worker_join(struct worker *worker);

/* Uniform; no secret depends on it. */
uint64_t worker_random64(struct worker *worker);

/* Runs fn(arg) on the worker's thread, soon; called from any thread. In order. 0 or -ENOMEM. */
int worker_post(struct worker *worker, void (*fn)(struct worker *worker, void *arg), void *arg);

/* Monotonic time at which this turn of the loop began. */
uint64_t worker_now_ns(const struct worker *worker);

/* The rest is for the worker's own thread. */
void worker_task(struct worker *worker,
		 struct worker_task *task); /* once, however often it is posted */
void worker_task_cancel(struct worker *worker, struct worker_task *task);
void worker_run_tasks(struct worker *worker);
void worker_bury(struct worker *worker, struct worker_grave *grave);

void worker_set_timer(struct worker *worker, struct wheel_timer *timer, uint64_t deadline_ns);
void worker_clear_timer(struct worker *worker, struct wheel_timer *timer);

/* An empty buffer, maybe with memory of its own; and back, with whatever it holds. */
struct buf worker_take_buf(struct worker *worker);
void worker_give_buf(struct worker *worker, struct buf *buf);

/* A new snapshot; the worker counts it for itself. From any thread. 0 or -ENOMEM. */
int worker_publish(struct worker *worker, struct snapshot *snapshot);

#endif
