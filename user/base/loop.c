// SPDX-License-Identifier: GPL-2.0-only
// One thread's event loop: epoll for descriptors and signals, a heap of deadlines on one timerfd, deferred work.
// Must not know what its callbacks do; never logs.
#include "base/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/vec.h"

enum { EVENTS_PER_TURN = 64, NOT_IN_HEAP = -1 };

enum loop_kind { LOOP_FD, LOOP_TIMER, LOOP_DEFERRED, LOOP_SIGNAL };

struct loop_event {
	struct loop *loop;
	enum loop_kind kind;
	bool removed; /* waits in the grave until the turn is over */
	void *arg;
	union {
		loop_fd_fn *on_fd;
		loop_fn *on_time;
		loop_signal_fn *on_signal;
	};
	int fd;      /* LOOP_FD: the caller's; LOOP_SIGNAL: our signalfd */
	int signo;   /* LOOP_SIGNAL */
	bool posted; /* LOOP_DEFERRED: stands in the loop's queue */
	uint64_t posted_round;
	TAILQ_ENTRY(loop_event) in_posted;

	uint64_t deadline_ns, period_ns; /* LOOP_TIMER */
	int64_t heap_index;

	LIST_ENTRY(loop_event) in_events; /* in the loop's events, or in its grave */
};

struct loop {
	int epoll_fd, timer_fd;
	uint64_t timer_set_ns; /* what timer_fd is set to; 0 = nothing */
	uint64_t now_ns;
	uint64_t round; /* of deferred work: what is posted while it runs belongs to the next */
	bool stopped;
	int status;
	LIST_HEAD(, loop_event) events, grave;
	TAILQ_HEAD(, loop_event) posted;
	struct VEC_OF(struct loop_event *) heap;
};

/* ------------------------------------------------------------------------------------ heap of deadlines */

static void heap_place(struct loop *loop, size_t i, struct loop_event *timer)
{
	loop->heap.data[i] = timer;
	timer->heap_index = (int64_t)i;
}

static void heap_up(struct loop *loop, size_t i, struct loop_event *timer)
{
	while (i > 0) {
		struct loop_event *parent = loop->heap.data[(i - 1) / 2];

		if (parent->deadline_ns <= timer->deadline_ns)
			break;
		heap_place(loop, i, parent);
		i = (i - 1) / 2;
	}
	heap_place(loop, i, timer);
}

static void heap_down(struct loop *loop, size_t i, struct loop_event *timer)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= loop->heap.len)
			break;
		if (child + 1 < loop->heap.len &&
		    loop->heap.data[child + 1]->deadline_ns < loop->heap.data[child]->deadline_ns)
			child++;
		if (timer->deadline_ns <= loop->heap.data[child]->deadline_ns)
			break;
		heap_place(loop, i, loop->heap.data[child]);
		i = child;
	}
	heap_place(loop, i, timer);
}

static void heap_remove(struct loop *loop, struct loop_event *timer)
{
	size_t i = (size_t)timer->heap_index;
	struct loop_event *last = loop->heap.data[--loop->heap.len];

	timer->heap_index = NOT_IN_HEAP;
	if (last == timer)
		return;
	if (i > 0 && last->deadline_ns < loop->heap.data[(i - 1) / 2]->deadline_ns)
		heap_up(loop, i, last);
	else
		heap_down(loop, i, last);
}

/* ----------------------------------------------------------------------------------------- registration */

static int event_new(struct loop *loop, enum loop_kind kind, void *arg,
		     struct loop_event **ret_event)
{
	struct loop_event *event = calloc(1, sizeof(*event));

	if (!event)
		return -ENOMEM;
	event->loop = loop;
	event->kind = kind;
	event->arg = arg;
	event->fd = -1;
	event->heap_index = NOT_IN_HEAP;
	LIST_INSERT_HEAD(&loop->events, event, in_events);
	*ret_event = event;
	return 0;
}

static int watch(struct loop *loop, struct loop_event *event, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = event };

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *arg,
		struct loop_event **ret_event)
{
	struct loop_event *event;
	int rc = event_new(loop, LOOP_FD, arg, &event);

	if (rc < 0)
		return rc;
	event->on_fd = fn;
	rc = watch(loop, event, fd, events);
	if (rc < 0) {
		loop_remove(event);
		return rc;
	}
	event->fd = fd;
	*ret_event = event;
	return 0;
}

int loop_set_fd_events(struct loop_event *event, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = event };

	return epoll_ctl(event->loop->epoll_fd, EPOLL_CTL_MOD, event->fd, &ev) < 0 ? -errno : 0;
}

int loop_add_timer(struct loop *loop, loop_fn *fn, void *arg, struct loop_event **ret_event)
{
	int rc = event_new(loop, LOOP_TIMER, arg, ret_event);

	if (!rc)
		(*ret_event)->on_time = fn;
	return rc;
}

int loop_add_deferred(struct loop *loop, loop_fn *fn, void *arg, struct loop_event **ret_event)
{
	int rc = event_new(loop, LOOP_DEFERRED, arg, ret_event);

	if (!rc)
		(*ret_event)->on_time = fn;
	return rc;
}

int loop_add_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *arg,
		    struct loop_event **ret_event)
{
	struct loop_event *event;
	sigset_t set;
	int rc = event_new(loop, LOOP_SIGNAL, arg, &event);

	if (rc < 0)
		return rc;
	event->on_signal = fn;
	event->signo = signo;
	sigemptyset(&set);
	if (sigaddset(&set, signo) < 0 || pthread_sigmask(SIG_BLOCK, &set, NULL)) {
		rc = -EINVAL;
		goto fail;
	}
	event->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	rc = event->fd < 0 ? -errno : watch(loop, event, event->fd, EPOLLIN);
	if (rc < 0)
		goto fail;
	*ret_event = event;
	return 0;
fail:
	loop_remove(event);
	return rc;
}

void loop_remove(struct loop_event *event)
{
	struct loop *loop;

	if (!event || event->removed)
		return;
	loop = event->loop;
	event->removed = true;
	if (event->heap_index != NOT_IN_HEAP)
		heap_remove(loop, event);
	if (event->fd >= 0)
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, event->fd, NULL);
	if (event->kind == LOOP_SIGNAL && event->fd >= 0)
		close(event->fd);
	if (event->posted)
		TAILQ_REMOVE(&loop->posted, event, in_posted);
	LIST_REMOVE(event, in_events);
	LIST_INSERT_HEAD(&loop->grave, event, in_events);
}

static void bury(struct loop *loop)
{
	struct loop_event *event;

	while ((event = LIST_FIRST(&loop->grave))) {
		LIST_REMOVE(event, in_events);
		free(event);
	}
}

/* ---------------------------------------------------------------------------------- timers and deferred work */

int loop_arm(struct loop_event *timer, uint64_t delay_ns, uint64_t period_ns)
{
	struct loop *loop = timer->loop;
	uint64_t now_ns = clock_now_ns();
	int rc;

	if (timer->removed)
		return -ESTALE;
	loop_disarm(timer);
	rc = vec_reserve(&loop->heap, 1);
	if (rc < 0)
		return rc;
	timer->deadline_ns = delay_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + delay_ns;
	timer->period_ns = period_ns;
	heap_up(loop, loop->heap.len++, timer);
	return 0;
}

void loop_disarm(struct loop_event *timer)
{
	if (timer->heap_index != NOT_IN_HEAP)
		heap_remove(timer->loop, timer);
}

int loop_is_armed(const struct loop_event *timer)
{
	return timer->heap_index != NOT_IN_HEAP;
}

void loop_post(struct loop_event *deferred)
{
	struct loop *loop = deferred->loop;

	if (deferred->posted || deferred->removed)
		return;
	deferred->posted = true;
	deferred->posted_round = loop->round;
	TAILQ_INSERT_TAIL(&loop->posted, deferred, in_posted);
}

/* Sets timer_fd to the earliest deadline, when that is another than before. */
static int set_timer(struct loop *loop)
{
	uint64_t ns = loop->heap.len ? loop->heap.data[0]->deadline_ns : 0;
	struct itimerspec spec = { .it_value = { .tv_sec = (time_t)(ns / CLOCK_NS_PER_S),
						 .tv_nsec = (long)(ns % CLOCK_NS_PER_S) } };

	if (ns == loop->timer_set_ns)
		return 0;
	if (ns / CLOCK_NS_PER_S >
	    INT64_MAX / CLOCK_NS_PER_S) /* further than the kernel can count */
		spec = (struct itimerspec){ 0 };
	if (timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) < 0)
		return -errno;
	loop->timer_set_ns = ns;
	return 0;
}

/* Runs what was due when the turn began. What is armed meanwhile is due later than that, so the turn ends. */
static int run_timers(struct loop *loop)
{
	int ran = 0;

	while (loop->heap.len) {
		struct loop_event *timer = loop->heap.data[0];

		if (timer->deadline_ns > loop->now_ns)
			break;
		heap_remove(loop, timer);
		if (timer->period_ns) {
			uint64_t late = (loop->now_ns - timer->deadline_ns) / timer->period_ns;

			timer->deadline_ns += (late + 1) * timer->period_ns;
			heap_up(loop, loop->heap.len++, timer); /* the room it just left */
		}
		timer->on_time(timer->arg);
		ran++;
	}
	return ran;
}

/* Runs what was posted until now; what that posts stays for the next turn. */
static int run_posted(struct loop *loop)
{
	uint64_t round = loop->round++;
	struct loop_event *event;
	int ran = 0;

	while ((event = TAILQ_FIRST(&loop->posted)) && event->posted_round <= round) {
		TAILQ_REMOVE(&loop->posted, event, in_posted);
		event->posted = false;
		event->on_time(event->arg);
		ran++;
	}
	return ran;
}

/* ---------------------------------------------------------------------------------------------- the turn */

static int run_signal(struct loop_event *event)
{
	struct signalfd_siginfo info;
	int ran = 0;

	while (!event->removed && read(event->fd, &info, sizeof(info)) == sizeof(info)) {
		event->on_signal(event->arg, event->signo);
		ran++;
	}
	return ran;
}

static int run_ready(struct loop *loop, const struct epoll_event *ready, int n)
{
	int ran = 0;

	for (int i = 0; i < n; i++) {
		struct loop_event *event = ready[i].data.ptr;
		uint64_t expirations;

		if (!event) { /* timer_fd: only there to wake us */
			if (read(loop->timer_fd, &expirations, sizeof(expirations)) > 0)
				loop->timer_set_ns = 0;
		} else if (event->removed) {
			continue;
		} else if (event->kind == LOOP_SIGNAL) {
			ran += run_signal(event);
		} else {
			event->on_fd(event->arg, event->fd, ready[i].events);
			ran++;
		}
	}
	return ran;
}

int loop_turn(struct loop *loop, uint64_t timeout_ns)
{
	struct epoll_event ready[EVENTS_PER_TURN];
	int timeout_ms = -1, ran, n;
	int rc = set_timer(loop);

	if (rc < 0)
		return rc;
	if (!TAILQ_EMPTY(&loop->posted))
		timeout_ms = 0;
	else if (timeout_ns < (uint64_t)INT32_MAX * CLOCK_NS_PER_MS)
		timeout_ms = (int)((timeout_ns + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS);
	n = epoll_wait(loop->epoll_fd, ready, EVENTS_PER_TURN, timeout_ms);
	if (n < 0 && errno != EINTR)
		return -errno;
	loop->now_ns = clock_now_ns();
	ran = run_timers(loop);
	ran += run_ready(loop, ready, n);
	ran += run_posted(loop);
	bury(loop);
	return ran;
}

int loop_run(struct loop *loop)
{
	int rc;

	loop->stopped = false;
	while (!loop->stopped) {
		rc = loop_turn(loop, UINT64_MAX);
		if (rc < 0)
			return rc;
	}
	return loop->status;
}

void loop_stop(struct loop *loop, int status)
{
	loop->stopped = true;
	loop->status = status;
}

uint64_t loop_now_ns(const struct loop *loop)
{
	return loop->now_ns;
}

int loop_new(struct loop **ret_loop)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int rc;

	if (!loop)
		return -ENOMEM;
	LIST_INIT(&loop->events);
	LIST_INIT(&loop->grave);
	TAILQ_INIT(&loop->posted);
	loop->now_ns = clock_now_ns();
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->epoll_fd < 0 || loop->timer_fd < 0)
		rc = -errno;
	else
		rc = watch(loop, NULL, loop->timer_fd, EPOLLIN);
	if (rc < 0) {
		loop_free(loop);
		return rc;
	}
	*ret_loop = loop;
	return 0;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	while (!LIST_EMPTY(&loop->events))
		loop_remove(LIST_FIRST(&loop->events));
	bury(loop);
	vec_done(&loop->heap);
	cleanup_close(&loop->epoll_fd);
	cleanup_close(&loop->timer_fd);
	free(loop);
}
