// SPDX-License-Identifier: GPL-2.0-only
/* Opens listening sockets and accepts from them. */
/* Must not know what a client says. */
#include "ingress/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "ingress/client.h"
#include "ingress/settings.h"
#include "ingress/vanish.h"
#include "ingress/worker.h"

#define BACKLOG     4096
#define ACCEPT_TURN 32 /* at a stretch, so that connections that are there are not kept waiting */
#define AGAIN_NS    (100 * CLOCK_NS_PER_MS) /* no descriptors left: try again then */

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

int listen_open(const struct listen_addr *addr, const char *name, struct err *err, int *ret_fd)
{
	int fd = socket(addr->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int code;

	if (fd >= 0 && set(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0 &&
	    set(fd, SOL_SOCKET, SO_REUSEPORT, 1) == 0 &&
	    bind(fd, (const struct sockaddr *)&addr->addr, addr->len) == 0 &&
	    listen(fd, BACKLOG) == 0) {
		*ret_fd = fd;
		return 0;
	}
	code = errno;
	if (fd >= 0)
		close(fd);
	return err_set(err, code == EACCES ? -EPERM : -code, "--%s: cannot listen there: %s%s",
		       name, strerrordesc_np(code),
		       code == EACCES       ? "; a port below 1024 needs CAP_NET_BIND_SERVICE"
		       : code == EADDRINUSE ? "; another process has the port"
					    : "");
}

static struct address address_of(const struct sockaddr_storage *from, uint16_t *ret_port)
{
	struct address addr = { 0 };

	if (from->ss_family == AF_INET) {
		const struct sockaddr_in *in4 = (const struct sockaddr_in *)from;

		addr.family = 4;
		memcpy(addr.b, &in4->sin_addr, 4);
		*ret_port = ntohs(in4->sin_port);
	} else if (from->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;

		addr.family = 6;
		memcpy(addr.b, in6->sin6_addr.s6_addr, 16);
		address_unmap(&addr);
		*ret_port = ntohs(in6->sin6_port);
	}
	return addr;
}

/* Gets one: false when there are none, or none can be had for now. */
static bool accept_one(struct listener *listener)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	struct address peer;
	uint16_t port = 0;
	int fd =
		accept4(listener->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		peer = address_of(&from, &port);
		client_new(listener->worker, listener, fd, &peer, port);
		return true;
	}
	switch (errno) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM: {
		static struct log_rate rate = { .burst = 1, .interval_ns = 10 * CLOCK_NS_PER_S };
		uint64_t held;
		int code = errno;

		/* Level-triggered: it would be said again at once, for nothing. */
		loop_set_fd_events(listener->event, 0);
		loop_arm(listener->again, AGAIN_NS, 0);
		if (listener->worker->index == 0 && log_rate_allows(&rate, clock_now_ns(), &held))
			log_warn("connections wait: they cannot be accepted reason=\"%s\"",
				 strerrordesc_np(code));
		return false;
	}
	case EAGAIN:
		return false;
	default:
		return true; /* of the connection that would have been it */
	}
}

static void on_ready(void *arg, int fd, uint32_t events)
{
	struct listener *listener = arg;

	(void)fd;
	(void)events;
	for (int i = 0; i < ACCEPT_TURN && accept_one(listener); i++)
		;
	worker_run_tasks(listener->worker);
}

static void on_again(void *arg)
{
	struct listener *listener = arg;

	loop_set_fd_events(listener->event, EPOLLIN);
}

static void listener_free(struct listener *listener)
{
	loop_remove(listener->event);
	loop_remove(listener->again);
	close(listener->fd);
	free(listener);
}

/* What accepted sockets inherit, so that none of it costs a call for each. */
static void set_inherited(int fd, const struct settings *settings)
{
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	vanish_set_options(fd, settings->vanished_ns);
}

int listen_add(struct worker *worker, int fd, bool tls)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);
	int rc;

	if (!listener) {
		close(fd);
		return -ENOMEM;
	}
	listener->worker = worker;
	listener->fd = fd;
	listener->tls = tls;
	set_inherited(fd, worker->settings);
	if (getsockname(fd, (struct sockaddr *)&own, &len) == 0)
		address_of(&own, &listener->port);
	rc = loop_add_timer(worker->loop, on_again, listener, &listener->again);
	if (rc == 0)
		rc = loop_add_fd(worker->loop, fd, EPOLLIN, on_ready, listener, &listener->event);
	if (rc < 0) {
		listener_free(listener);
		return rc;
	}
	LIST_INSERT_HEAD(&worker->listeners, listener, link);
	return 0;
}

void listen_close_all(struct worker *worker)
{
	struct listener *listener;

	while ((listener = LIST_FIRST(&worker->listeners))) {
		LIST_REMOVE(listener, link);
		while (accept_one(listener))
			;
		listener_free(listener);
	}
}
