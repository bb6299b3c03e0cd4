// SPDX-License-Identifier: GPL-2.0-only
/* A thread with its loop, its mailbox, its deadlines and its left-over work. */
/* Must not know HTTP. */
#include "ingress/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "ingress/client.h"
#include "ingress/listen.h"
#include "ingress/match.h"
#include "ingress/pool.h"
#include "ingress/rule.h"

struct letter {
	STAILQ_ENTRY(letter) link;
	void (*fn)(struct worker *worker, void *arg);
	void *arg;
};

struct worker_mailbox {
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* of letters */
	STAILQ_HEAD(, letter) letters;
	int wake; /* eventfd */
	struct loop_event *event;
};

/* ---- tasks and graves ---------------------------------------------------------------------------------------- */

void worker_task(struct worker *worker, struct worker_task *task)
{
	if (task->posted)
		return;
	task->posted = true;
	STAILQ_INSERT_TAIL(&worker->tasks, task, link);
	loop_post(worker->end_of_turn);
}

void worker_task_cancel(struct worker *worker, struct worker_task *task)
{
	if (!task->posted)
		return;
	task->posted = false;
	STAILQ_REMOVE(&worker->tasks, task, worker_task, link);
}

void worker_run_tasks(struct worker *worker)
{
	struct worker_task *task;

	while ((task = STAILQ_FIRST(&worker->tasks))) {
		STAILQ_REMOVE_HEAD(&worker->tasks, link);
		task->posted = false;
		task->fn(task->arg);
	}
}

void worker_bury(struct worker *worker, struct worker_grave *grave)
{
	SLIST_INSERT_HEAD(&worker->graves, grave, link);
	loop_post(worker->end_of_turn);
}

static void bury(struct worker *worker)
{
	struct worker_grave *grave;

	while ((grave = SLIST_FIRST(&worker->graves))) {
		SLIST_REMOVE_HEAD(&worker->graves, link);
		grave->free(grave->arg);
	}
}

static void on_end_of_turn(void *arg)
{
	struct worker *worker = arg;

	worker_run_tasks(worker);
	bury(worker);
}

/* ---- deadlines ----------------------------------------------------------------------------------------------- */

static void set_alarm(struct worker *worker)
{
	uint64_t next = wheel_next(&worker->wheel), now = clock_now_ns();

	worker->alarm_ns = next;
	if (next == UINT64_MAX)
		loop_disarm(worker->alarm);
	else if (loop_arm(worker->alarm, next > now ? next - now : 0, 0) < 0)
		worker->alarm_ns = 0; /* no memory: the next one that is set tries again */
}

static void on_alarm(void *arg)
{
	struct worker *worker = arg;

	worker->alarm_ns = 0; /* so that no callback sets it for nothing */
	wheel_run(&worker->wheel, clock_now_ns());
	worker_run_tasks(worker);
	set_alarm(worker);
}

void worker_set_timer(struct worker *worker, struct wheel_timer *timer, uint64_t deadline_ns)
{
	wheel_set(&worker->wheel, timer, deadline_ns);
	if (timer->slot_ns < worker->alarm_ns)
		set_alarm(worker);
}

void worker_clear_timer(struct worker *worker, struct wheel_timer *timer)
{
	wheel_clear(&worker->wheel, timer);
}

/* ---- the mailbox --------------------------------------------------------------------------------------------- */

int worker_post(struct worker *worker, void (*fn)(struct worker *worker, void *arg), void *arg)
{
	struct worker_mailbox *box = worker->mailbox;
	struct letter *letter = malloc(sizeof(*letter));
	uint64_t one = 1;

	if (!letter)
		return -ENOMEM;
	*letter = (struct letter){ .fn = fn, .arg = arg };
	pthread_mutex_lock(&box->lock);
	STAILQ_INSERT_TAIL(&box->letters, letter, link);
	pthread_mutex_unlock(&box->lock);
	while (write(box->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	return 0;
}

static struct letter *take_letter(struct worker_mailbox *box)
{
	struct letter *letter;

	pthread_mutex_lock(&box->lock);
	letter = STAILQ_FIRST(&box->letters);
	if (letter)
		STAILQ_REMOVE_HEAD(&box->letters, link);
	pthread_mutex_unlock(&box->lock);
	return letter;
}

static void read_letters(struct worker *worker)
{
	struct letter *letter;

	while ((letter = take_letter(worker->mailbox))) {
		letter->fn(worker, letter->arg);
		free(letter);
	}
}

static void on_wake(void *arg, int fd, uint32_t events)
{
	struct worker *worker = arg;
	uint64_t n;

	(void)events;
	if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_warn("a worker's mailbox cannot be read: %s", strerrordesc_np(errno));
	read_letters(worker);
	worker_run_tasks(worker);
}

static void take_snapshot(struct worker *worker, void *arg)
{
	struct snapshot *old = worker->snapshot;

	worker->snapshot = arg;
	snapshot_drop(old);
	pool_drop_gone(worker->pool);
}

int worker_publish(struct worker *worker, struct snapshot *snapshot)
{
	int rc;

	snapshot_hold(snapshot);
	rc = worker_post(worker, take_snapshot, snapshot);
	if (rc < 0)
		snapshot_drop(snapshot);
	return rc;
}

/* ---- small things -------------------------------------------------------------------------------------------- */

/* xoroshiro128+. */
uint64_t worker_random64(struct worker *worker)
{
	uint64_t a = worker->random[0], b = worker->random[1], sum = a + b;

	b ^= a;
	worker->random[0] = (a << 24 | a >> 40) ^ b ^ b << 16;
	worker->random[1] = b << 37 | b >> 27;
	return sum;
}

uint64_t worker_now_ns(const struct worker *worker)
{
	return loop_now_ns(worker->loop);
}

struct buf worker_take_buf(struct worker *worker)
{
	struct buf empty = { 0 };

	return worker->n_bufs ? worker->bufs[--worker->n_bufs] : empty;
}

void worker_give_buf(struct worker *worker, struct buf *buf)
{
	if (buf->data && buf->size <= WORKER_BUF && worker->n_bufs < WORKER_BUFS) {
		buf_reset(buf);
		worker->bufs[worker->n_bufs++] = *buf;
		*buf = (struct buf){ 0 };
	} else {
		buf_done(buf);
	}
}

/* ---- life ---------------------------------------------------------------------------------------------------- */

static int mailbox_new(struct worker *worker)
{
	struct worker_mailbox *box = calloc(1, sizeof(*box));

	if (!box)
		return -ENOMEM;
	worker->mailbox = box;
	STAILQ_INIT(&box->letters);
	pthread_mutex_init(&box->lock, NULL);
	box->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (box->wake < 0)
		return -errno;
	return loop_add_fd(worker->loop, box->wake, EPOLLIN, on_wake, worker, &box->event);
}

static void mailbox_free(struct worker *worker)
{
	struct worker_mailbox *box = worker->mailbox;

	if (!box)
		return;
	read_letters(worker); /* they may own something */
	loop_remove(box->event);
	cleanup_close(&box->wake);
	pthread_mutex_destroy(&box->lock);
	free(box);
}

static int fill(struct worker *worker)
{
	int rc = loop_new(&worker->loop);

	if (rc == 0)
		rc = loop_add_timer(worker->loop, on_alarm, worker, &worker->alarm);
	if (rc == 0)
		rc = loop_add_deferred(worker->loop, on_end_of_turn, worker, &worker->end_of_turn);
	if (rc == 0)
		rc = mailbox_new(worker);
	if (rc < 0)
		return rc;
	worker->scratch = malloc(WORKER_SCRATCH);
	worker->match = match_work_new();
	worker->pool = pool_new(worker);
	if (!worker->scratch || !worker->match || !worker->pool)
		return -ENOMEM;
	if (getrandom(worker->random, sizeof(worker->random), 0) != (ssize_t)sizeof(worker->random))
		return -errno;
	return 0;
}

int worker_new(unsigned index, const struct settings *settings, struct worker **ret_worker)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int rc;

	if (!worker)
		return -ENOMEM;
	worker->index = index;
	worker->settings = settings;
	worker->alarm_ns = UINT64_MAX;
	STAILQ_INIT(&worker->tasks);
	TAILQ_INIT(&worker->clients);
	TAILQ_INIT(&worker->watched);
	wheel_init(&worker->wheel, clock_now_ns());
	rc = fill(worker);
	if (rc < 0) {
		worker_free(worker);
		return rc;
	}
	*ret_worker = worker;
	return 0;
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	if (worker->mailbox)
		mailbox_free(worker);
	listen_close_all(worker);
	client_close_all(worker, ENDING_DRAINED);
	worker_run_tasks(worker);
	pool_free(worker->pool);
	bury(worker);
	snapshot_drop(worker->snapshot);
	match_work_free(worker->match);
	while (worker->n_bufs)
		buf_done(&worker->bufs[--worker->n_bufs]);
	buf_done(&worker->text);
	arena_done(&worker->arena);
	free(worker->scratch);
	loop_free(worker->loop);
	free(worker);
}

static void *run(void *arg)
{
	struct worker *worker = arg;
	int rc = loop_run(worker->loop);

	if (rc < 0)
		log_err("a worker ended worker=%u reason=\"%s\"", worker->index,
			strerrordesc_np(-rc));
	return NULL;
}

int worker_start(struct worker *worker)
{
	int rc = pthread_create(&worker->mailbox->thread, NULL, run, worker);

	worker->mailbox->started = rc == 0;
	return -rc;
}

static void stop(struct worker *worker, void *arg)
{
	(void)arg;
	loop_stop(worker->loop, 0);
}

void worker_stop(struct worker *worker)
{
	if (worker_post(worker, stop, NULL) < 0)
		log_err("out of memory while stopping a worker");
}

void worker_join(struct worker *worker)
{
	if (worker->mailbox->started)
		pthread_join(worker->mailbox->thread, NULL);
	worker->mailbox->started = false;
}
