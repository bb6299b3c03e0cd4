// SPDX-License-Identifier: GPL-2.0-only
/* Looks whether peers answer what they were sent. */
/* Must not know who they are, or what it was. */
#include "ingress/vanish.h"

#include <errno.h>
#include <linux/tcp.h> /* glibc's struct tcp_info ends before tcpi_notsent_bytes */
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "ingress/settings.h"
#include "ingress/sock.h"
#include "ingress/worker.h"

#define LOOKS         16 /* in --vanished-timeout: so late it may be noticed, twice */
#define PROBE_FIRST_S 10 /* keep-alive */
#define PROBES        5

static void set(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof(value));
}

void vanish_set_options(int fd, uint64_t vanished_ns)
{
	int total_s = (int)((vanished_ns + CLOCK_NS_PER_S - 1) / CLOCK_NS_PER_S);
	int first_s = total_s > 3 * PROBE_FIRST_S ? PROBE_FIRST_S : (total_s + 2) / 3;
	int each_s = (total_s - first_s) / PROBES;

	set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 0);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, vanished_ns != 0);
	if (!vanished_ns)
		return;
	each_s = each_s ? each_s : 1;
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, first_s);
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, each_s);
	set(fd, IPPROTO_TCP, TCP_KEEPCNT,
	    total_s > first_s ? (total_s - first_s + each_s - 1) / each_s : 1);
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

bool vanish_is_outstanding(const struct tcp_info *info)
{
	return info->tcpi_unacked || info->tcpi_notsent_bytes || info->tcpi_probes;
}

/* Ages are in milliseconds. What was sent includes what is sent again, but no probes: those have a count, which an answer clears. */
bool vanish_is_over(const struct tcp_info *info, uint64_t now_ns, uint64_t vanished_ns,
		    uint64_t *doubt_ns)
{
	uint32_t heard_ms = info->tcpi_last_ack_recv < info->tcpi_last_data_recv
				    ? info->tcpi_last_ack_recv
				    : info->tcpi_last_data_recv;
	bool unanswered = info->tcpi_probes ||
			  (info->tcpi_unacked && info->tcpi_last_data_sent < heard_ms);

	if (!unanswered)
		*doubt_ns = 0;
	else if (!*doubt_ns || heard_ms * CLOCK_NS_PER_MS < now_ns - *doubt_ns)
		*doubt_ns = now_ns;
	return unanswered && now_ns - *doubt_ns >= vanished_ns;
}

/* ---- looks --------------------------------------------------------------------------------------------------------- */

static void look_later(struct sock *sock)
{
	struct worker *worker = sock->worker;

	/* From now, not from when it was due: so the list stays in order. */
	sock->watch.look_ns = worker_now_ns(worker) + worker->settings->vanished_ns / LOOKS;
	TAILQ_INSERT_TAIL(&worker->watched, sock, watch.link);
}

static void look(struct sock *sock)
{
	struct worker *worker = sock->worker;
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	TAILQ_REMOVE(&worker->watched, sock, watch.link);
	sock->watch.look_ns = 0;
	if (getsockopt(sock->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
	    !vanish_is_outstanding(&info)) {
		sock->watch.doubt_ns = 0;
	} else if (!vanish_is_over(&info, worker_now_ns(worker), worker->settings->vanished_ns,
				   &sock->watch.doubt_ns)) {
		look_later(sock);
	} else {
		sock->error = -ETIMEDOUT;
		sock->fn(sock->arg, EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP);
	}
}

static void on_look(void *arg)
{
	struct worker *worker = arg;
	struct sock *sock;

	while ((sock = TAILQ_FIRST(&worker->watched))) {
		if (sock->watch.look_ns > worker_now_ns(worker)) {
			worker_set_timer(worker, &worker->look, sock->watch.look_ns);
			break;
		}
		look(sock);
	}
}

void vanish_watch(struct sock *sock)
{
	struct worker *worker = sock->worker;
	bool first = TAILQ_EMPTY(&worker->watched);

	if (sock->watch.look_ns || sock->error || !worker->settings->vanished_ns)
		return;
	look_later(sock);
	if (!first)
		return;
	worker->look.fn = on_look;
	worker->look.arg = worker;
	worker_set_timer(worker, &worker->look, sock->watch.look_ns);
}

void vanish_forget(struct sock *sock)
{
	if (!sock->watch.look_ns)
		return;
	TAILQ_REMOVE(&sock->worker->watched, sock, watch.link);
	sock->watch.look_ns = 0;
}
