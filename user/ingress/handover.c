// SPDX-License-Identifier: GPL-2.0-only
/* Gives listening sockets to a successor, and takes them from a predecessor. */
/* Must not know what is served on them. */
#include "ingress/handover.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"

#define WAIT_MS   5000 /* for the other */
#define BATCH     64   /* sockets a message */
#define MAGIC     0x736c6332u
#define PEERS_MAX 4

/* What a successor says, a byte each. */
enum word { ASK = 'A', CONFIRM = 'K' };

/* Both are of one build or of neighbours: checked, not negotiated. */
struct message {
	unsigned magic;
	unsigned total; /* sockets in all messages */
	unsigned n;     /* in this one */
	unsigned char what[BATCH];
};

static int fill_path(const char *path, struct sockaddr_un *addr)
{
	size_t len = strlen(path);

	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	if (len >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	memcpy(addr->sun_path, path, len);
	return 0;
}

static int wait_for(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n;

	do
		n = poll(&p, 1, WAIT_MS);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n ? 0 : -ETIMEDOUT;
}

/* Only somebody of our own kind. */
static int check_peer(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	return peer.uid == geteuid() ? 0 : -EPERM;
}

static int say(int conn, enum word word)
{
	char byte = (char)word;

	return send(conn, &byte, 1, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

/* ---- the successor --------------------------------------------------------------------------------------------- */

int handover_connect(const char *path, int *ret_conn, struct err *err)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;
	int rc = fill_path(path, &addr);

	if (rc == 0 && fd < 0)
		rc = -errno;
	if (rc == 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		rc = errno == ECONNREFUSED ? -ENOENT : -errno; /* left by one that was killed */
	if (rc == 0)
		rc = check_peer(fd);
	if (rc == -ENOENT)
		return rc;
	if (rc < 0)
		return err_set(err, rc, "--handover-socket %s: %s", path, strerrordesc_np(-rc));
	*ret_conn = TAKE_FD(fd);
	return 0;
}

static void close_all(const struct handover_fd *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i].fd);
}

static int receive(int conn, struct message *message, int *fds, size_t *ret_n)
{
	char control[CMSG_SPACE(sizeof(int) * BATCH)];
	struct iovec piece = { .iov_base = message, .iov_len = sizeof(*message) };
	struct msghdr head = { .msg_iov = &piece,
			       .msg_iovlen = 1,
			       .msg_control = control,
			       .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t len;
	int rc = wait_for(conn, POLLIN);

	*ret_n = 0;
	if (rc < 0)
		return rc;
	len = recvmsg(conn, &head, MSG_CMSG_CLOEXEC);
	if (len < 0)
		return -errno;
	for (c = CMSG_FIRSTHDR(&head); c; c = CMSG_NXTHDR(&head, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			*ret_n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(fds, CMSG_DATA(c), *ret_n * sizeof(int));
		}
	if (!len)
		return -ECONNRESET;
	return len == sizeof(*message) && message->magic == MAGIC && message->n == *ret_n &&
			       !(head.msg_flags & (MSG_CTRUNC | MSG_TRUNC))
		       ? 0
		       : -EPROTO;
}

static void tell_unknown(const unsigned *counts)
{
	for (unsigned kind = 0; kind <= UCHAR_MAX; kind++)
		if (counts[kind])
			log_warn(
				"the process before gave listening sockets of a kind that is not known here; they are closed kind=%u sockets=%u",
				kind, counts[kind]);
}

int handover_take(int conn, struct handover_fd *fds, size_t *ret_n, struct err *err)
{
	unsigned unknown[UCHAR_MAX + 1] = { 0 }; /* of a later release, which was here before */
	struct message message = { 0 };
	int batch[BATCH];
	size_t n = 0, seen = 0, got;
	int rc;

	rc = say(conn, ASK);
	if (rc < 0)
		return err_set(err, -ECONNRESET, "the process before has another successor");
	do {
		rc = receive(conn, &message, batch, &got);
		seen += got;
		for (size_t i = 0; i < got; i++) {
			unsigned char what = message.what[i];

			if (rc < 0 || n == HANDOVER_MAX || what >= HANDOVER_KINDS) {
				unknown[what] += rc == 0 && what >= HANDOVER_KINDS;
				close(batch[i]);
				continue;
			}
			fds[n].what = (enum handover_what)what;
			fds[n++].fd = batch[i];
		}
	} while (rc == 0 && got && seen < message.total);
	tell_unknown(unknown);
	if (rc < 0) {
		close_all(fds, n);
		return err_set(err, rc, "no listening sockets from the process before: %s",
			       strerrordesc_np(-rc));
	}
	*ret_n = n;
	return 0;
}

int handover_confirm(int conn)
{
	return say(conn, CONFIRM);
}

/* ---- the one that is asked ------------------------------------------------------------------------------------- */

struct peer {
	struct handover *handover;
	int fd;     /* -1: free */
	bool waits; /* has asked, while another one had the sockets */
	struct loop_event *event;
};

struct handover {
	struct loop *loop;
	struct handover_ops ops;
	char *path;
	int fd;
	ino_t inode; /* of the path, as we made it */
	struct loop_event *event;
	struct peer peers[PEERS_MAX];
	struct peer *chosen; /* has the sockets, and has not said what comes of it; or NULL */
};

static int send_batch(int conn, const struct handover_fd *fds, size_t n, size_t total)
{
	char control[CMSG_SPACE(sizeof(int) * BATCH)] = { 0 };
	struct message message = { .magic = MAGIC, .total = (unsigned)total, .n = (unsigned)n };
	struct iovec piece = { .iov_base = &message, .iov_len = sizeof(message) };
	struct msghdr head = { .msg_iov = &piece, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (n) {
		head.msg_control = control;
		head.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		c = CMSG_FIRSTHDR(&head);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n);
		for (size_t i = 0; i < n; i++) {
			message.what[i] = (unsigned char)fds[i].what;
			memcpy(CMSG_DATA(c) + i * sizeof(int), &fds[i].fd, sizeof(int));
		}
	}
	return sendmsg(conn, &head, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int give(struct handover *h, int conn)
{
	struct handover_fd fds[HANDOVER_MAX];
	size_t total = h->ops.list(h->ops.ctx, fds, HANDOVER_MAX), at = 0;
	int rc = 0;

	do {
		size_t n = total - at < BATCH ? total - at : BATCH;

		rc = send_batch(conn, fds + at, n, total);
		at += n;
	} while (rc == 0 && at < total);
	return rc;
}

static void peer_close(struct peer *peer)
{
	loop_remove(peer->event);
	peer->event = NULL;
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
	peer->waits = false;
}

/* Those that have no sockets yet find the next one at the path, and ask it. */
static void close_peers(struct handover *h)
{
	for (int i = 0; i < PEERS_MAX; i++)
		peer_close(&h->peers[i]);
	h->chosen = NULL;
}

/* Nobody is answered any more; the path may be the successor's already. */
static void stop(struct handover *h)
{
	struct stat st;

	close_peers(h);
	loop_remove(h->event);
	h->event = NULL;
	if (h->fd >= 0) {
		if (stat(h->path, &st) == 0 && st.st_ino == h->inode)
			unlink(h->path);
		close(h->fd);
	}
	h->fd = -1;
}

/* The sockets go to one successor at a time. */
static void choose(struct handover *h, struct peer *peer)
{
	peer->waits = false;
	h->chosen = peer;
	if (give(h, peer->fd) < 0) {
		h->chosen = NULL;
		peer_close(peer);
	}
}

static void choose_next(struct handover *h)
{
	for (int i = 0; i < PEERS_MAX && !h->chosen; i++)
		if (h->peers[i].waits)
			choose(h, &h->peers[i]);
}

static void on_ask(struct handover *h, struct peer *peer)
{
	peer->waits = true;
	choose_next(h);
}

static void on_end(struct handover *h, struct peer *peer)
{
	bool had = h->chosen == peer;

	peer_close(peer);
	if (!had)
		return;
	log_warn("a successor took the listening sockets and went away; serving goes on");
	h->chosen = NULL;
	choose_next(h);
}

static void on_peer(void *arg, int fd, uint32_t events)
{
	struct peer *peer = arg;
	struct handover *h = peer->handover;
	char word = 0;
	ssize_t n = recv(fd, &word, 1, MSG_DONTWAIT);

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n == 1 && word == ASK && h->chosen != peer) {
		on_ask(h, peer);
	} else if (n == 1 && word == CONFIRM && h->chosen == peer) {
		log_info("a successor accepts from now on");
		stop(h);
		h->ops.released(h->ops.ctx);
	} else {
		on_end(h, peer);
	}
}

static struct peer *free_peer(struct handover *h)
{
	for (int i = 0; i < PEERS_MAX; i++)
		if (h->peers[i].fd < 0)
			return &h->peers[i];
	return NULL;
}

static void on_connection(void *arg, int fd, uint32_t events)
{
	struct handover *h = arg;
	_cleanup_close_ int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	struct peer *peer = free_peer(h);

	(void)events;
	if (conn < 0)
		return;
	if (!peer || check_peer(conn) < 0) {
		log_warn("somebody who is not our successor asked for the listening sockets");
		return;
	}
	if (loop_add_fd(h->loop, conn, EPOLLIN, on_peer, peer, &peer->event) == 0)
		peer->fd = TAKE_FD(conn);
}

/* Under another name first, so that there is always somebody at the path. */
static int bind_path(struct handover *h)
{
	char *temporary = NULL;
	struct sockaddr_un addr;
	struct stat st = { 0 };
	mode_t mask;
	int rc;

	if (asprintf(&temporary, "%s.%d", h->path, getpid()) < 0)
		return -ENOMEM;
	rc = fill_path(temporary, &addr);
	if (rc == 0) {
		unlink(temporary);
		mask = umask(0177);
		if (bind(h->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
		    listen(h->fd, PEERS_MAX) < 0 || stat(temporary, &st) < 0 ||
		    rename(temporary, h->path) < 0)
			rc = -errno;
		umask(mask);
	}
	if (rc == 0)
		h->inode = st.st_ino;
	else
		unlink(temporary);
	free(temporary);
	return rc;
}

int handover_serve(struct loop *loop, const char *path, const struct handover_ops *ops,
		   struct err *err, struct handover **ret_handover)
{
	struct handover *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return err_set(err, -ENOMEM, "no memory");
	h->loop = loop;
	h->ops = *ops;
	h->path = strdup(path);
	h->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	for (int i = 0; i < PEERS_MAX; i++)
		h->peers[i] = (struct peer){ .handover = h, .fd = -1 };
	rc = !h->path ? -ENOMEM : h->fd < 0 ? -errno : bind_path(h);
	if (rc == 0)
		rc = loop_add_fd(loop, h->fd, EPOLLIN, on_connection, h, &h->event);
	if (rc < 0) {
		err_set(err, rc,
			"--handover-socket %s: %s; its folder must be there and be writable", path,
			strerrordesc_np(-rc));
		handover_free(h);
		return rc;
	}
	*ret_handover = h;
	return 0;
}

int handover_successors(const struct handover *h)
{
	int n = 0;

	if (h->fd < 0)
		return -1;
	for (int i = 0; i < PEERS_MAX; i++)
		n += h->peers[i].fd >= 0;
	return n;
}

void handover_free(struct handover *h)
{
	if (!h)
		return;
	stop(h);
	free(h->path);
	free(h);
}
