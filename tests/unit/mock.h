/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TESTS_UNIT_MOCK_H
#define TESTS_UNIT_MOCK_H

/*
 * What stands around one connection in a test: a worker with a real loop, a socket that is two queues in memory, and a clock that
 * the test moves. Nothing here decides anything. One connection at a time.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/loop.h"
#include "ingress/sock.h"
#include "ingress/worker.h"

static struct {
	struct worker worker;
	struct sock sock;
	struct buf in;    /* from the peer, not read yet */
	struct buf out;   /* to the peer, not taken yet */
	size_t out_room;  /* bytes that the socket takes still */
	bool ended;       /* the peer has closed */
	bool end_written; /* we have */
	unsigned writes;  /* calls that wrote something */
	uint64_t now_ns;
	struct worker_task *posted; /* until mock_tasks() */
	struct wheel_timer *timer;  /* the last that was set, until one is cleared */
} mock;

/* ---- sock ------------------------------------------------------------------------------------------------------- */

ssize_t sock_read(struct sock *sock, void *to, size_t size)
{
	size_t n = mock.in.len < size ? mock.in.len : size;

	(void)sock;
	if (n == 0)
		return mock.ended ? 0 : -EAGAIN;
	memcpy(to, mock.in.data, n);
	buf_consume(&mock.in, n);
	return (ssize_t)n;
}

ssize_t sock_writev(struct sock *sock, const struct iovec *pieces, int n)
{
	size_t len = pieces[0].iov_len;

	(void)sock;
	assert(n == 1);
	if (len > mock.out_room)
		len = mock.out_room;
	if (len == 0)
		return -EAGAIN;
	mock.out_room -= len;
	mock.writes++;
	buf_put(&mock.out, pieces[0].iov_base, len);
	return (ssize_t)len;
}

int sock_flush(struct sock *sock)
{
	(void)sock;
	return 0;
}

void sock_end_write(struct sock *sock)
{
	(void)sock;
	mock.end_written = true;
}

/* ---- worker ----------------------------------------------------------------------------------------------------- */

uint64_t worker_now_ns(const struct worker *worker)
{
	(void)worker;
	return mock.now_ns;
}

struct buf worker_take_buf(struct worker *worker)
{
	(void)worker;
	return (struct buf){ 0 };
}

void worker_give_buf(struct worker *worker, struct buf *buf)
{
	(void)worker;
	buf_done(buf);
}

void worker_bury(struct worker *worker, struct worker_grave *grave)
{
	SLIST_INSERT_HEAD(&worker->graves, grave, link);
}

void worker_task(struct worker *worker, struct worker_task *task)
{
	(void)worker;
	mock.posted = task;
}

void worker_task_cancel(struct worker *worker, struct worker_task *task)
{
	(void)worker;
	(void)task;
	mock.posted = NULL;
}

void worker_set_timer(struct worker *worker, struct wheel_timer *timer, uint64_t deadline_ns)
{
	(void)worker;
	timer->deadline_ns = deadline_ns;
	mock.timer = timer;
}

void worker_clear_timer(struct worker *worker, struct wheel_timer *timer)
{
	(void)worker;
	timer->deadline_ns = 0;
	mock.timer = NULL;
}

static void mock_bury(void)
{
	struct worker_grave *grave;

	while ((grave = SLIST_FIRST(&mock.worker.graves))) {
		SLIST_REMOVE_HEAD(&mock.worker.graves, link);
		grave->free(grave->arg);
	}
}

static void mock_start(const struct settings *settings)
{
	memset(&mock, 0, sizeof(mock));
	mock.worker.settings = settings;
	mock.worker.scratch = malloc(WORKER_SCRATCH);
	mock.out_room = SIZE_MAX;
	mock.now_ns = 1000 * CLOCK_NS_PER_S;
	if (loop_new(&mock.worker.loop) < 0 || !mock.worker.scratch)
		abort();
}

static void mock_end(void)
{
	mock_bury();
	loop_free(mock.worker.loop);
	free(mock.worker.scratch);
	buf_done(&mock.in);
	buf_done(&mock.out);
}

/* Deferred work until there is none. */
static void mock_turns(void)
{
	while (loop_turn(mock.worker.loop, 0) > 0)
		mock_bury();
	mock_bury();
}

/* The same, after tasks of the worker. */
static inline void mock_tasks(void)
{
	while (mock.posted) {
		struct worker_task *task = mock.posted;

		mock.posted = NULL;
		task->fn(task->arg);
	}
	mock_turns();
}

#endif
