// SPDX-License-Identifier: GPL-2.0-only
/*
 * One thread that asks for an RCU barrier when it is told to, and says when it has passed.
 * Must not know what waits for it.
 */
#include "agent/grace.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "dp/maps.h"

enum { ASK = 1, END = 2 }; /* what is written to ask_fd; both together are an END */

#define STACK_BYTES ((size_t)256 << 10) /* a system call needs little */

struct grace {
	struct dp *dp;
	grace_fn *fn;
	void *ctx;
	int ask_fd, done_fd;
	int rc; /* the thread's until done_fd says so */
	bool under_way, running;
	pthread_t thread;
	struct loop_event *event;
};

static void write_number(int fd, uint64_t number)
{
	while (write(fd, &number, sizeof(number)) < 0 && errno == EINTR)
		;
}

static uint64_t read_number(int fd)
{
	uint64_t number = 0;

	while (read(fd, &number, sizeof(number)) < 0 && errno == EINTR)
		;
	return number;
}

static void *work(void *arg)
{
	struct grace *g = arg;

	while (read_number(g->ask_fd) == ASK) {
		g->rc = dp_barrier(g->dp);
		write_number(g->done_fd, 1);
	}
	return NULL;
}

static void on_done(void *arg, int fd, uint32_t events)
{
	struct grace *g = arg;

	(void)events;
	read_number(fd);
	g->under_way = false;
	g->fn(g->ctx, g->rc);
}

static int start(struct grace *g)
{
	pthread_attr_t attr;
	int rc = pthread_attr_init(&attr);

	if (rc == 0)
		rc = pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (rc == 0)
		rc = pthread_create(&g->thread, &attr, work, g);
	pthread_attr_destroy(&attr);
	g->running = rc == 0;
	return -rc;
}

int grace_new(struct loop *loop, struct dp *dp, grace_fn *fn, void *ctx, struct grace **ret_grace)
{
	struct grace *g = calloc(1, sizeof(*g));
	int rc;

	if (!g)
		return -ENOMEM;
	g->dp = dp;
	g->fn = fn;
	g->ctx = ctx;
	g->ask_fd = eventfd(0, EFD_CLOEXEC);
	g->done_fd = eventfd(0, EFD_CLOEXEC);
	rc = g->ask_fd < 0 || g->done_fd < 0 ? -errno : 0;
	if (rc == 0)
		rc = loop_add_fd(loop, g->done_fd, EPOLLIN, on_done, g, &g->event);
	if (rc == 0)
		rc = start(g);
	if (rc < 0) {
		grace_free(g);
		return rc;
	}
	*ret_grace = g;
	return 0;
}

void grace_free(struct grace *g)
{
	if (!g)
		return;
	if (g->running) {
		write_number(g->ask_fd, END);
		pthread_join(g->thread, NULL);
	}
	loop_remove(g->event);
	cleanup_close(&g->ask_fd);
	cleanup_close(&g->done_fd);
	free(g);
}

void grace_begin(struct grace *g)
{
	g->under_way = true;
	write_number(g->ask_fd, ASK);
}

bool grace_is_under_way(const struct grace *g)
{
	return g->under_way;
}
