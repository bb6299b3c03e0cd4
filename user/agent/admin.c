// SPDX-License-Identifier: GPL-2.0-only
/*
 * The admin socket: lines in, lines out, none of which can make the agent wait.
 * Must not know what answers say (admin_answer.c).
 */
#include "agent/admin.h"

#include <errno.h>
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

#define CLIENTS      16
#define LINE_MAX_LEN 4096

struct client {
	struct admin *admin;
	int fd; /* -1: the place is free */
	struct loop_event *event;
	struct buf in, out;
	struct admin_wanted wanted; /* what is still to come of an answer, behind out */
};

struct admin {
	struct loop *loop;
	struct admin_view view;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd;
	struct loop_event *event;
	struct loop_event *retry; /* armed: no descriptor was left, nobody is let in until then */
	struct client clients[CLIENTS];
};

#define RETRY_NS CLOCK_NS_PER_S

/* ---- clients ------------------------------------------------------------------------------------- */

static void drop_client(struct client *c)
{
	loop_remove(c->event);
	c->event = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	buf_done(&c->in);
	buf_done(&c->out);
	admin_wanted_done(&c->wanted);
}

/* End of the next question, if a whole one is there. */
static char *find_line(const struct client *c)
{
	return c->in.len ? memchr(c->in.data, '\n', c->in.len) : NULL;
}

static bool answer_line(struct client *c)
{
	char *end = find_line(c);
	size_t len;

	if (!end)
		return false;
	len = (size_t)(end - c->in.data) + 1;
	*end = 0;
	admin_answer(&c->admin->view, c->in.data, &c->out, &c->wanted);
	buf_consume(&c->in, len);
	return true;
}

/* What goes out next: a piece, one answer at a time. */
static void fill_out(struct client *c)
{
	while (!c->out.len && !c->out.failed) {
		if (admin_wanted_is_open(&c->wanted))
			admin_wanted_more(&c->wanted, &c->out);
		else if (!answer_line(c))
			break;
	}
}

/* False: the client is done with. */
static bool read_some(struct client *c)
{
	char bytes[1024];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	return n > 0 && c->in.len + (size_t)n <= LINE_MAX_LEN &&
	       buf_put(&c->in, bytes, (size_t)n) == 0;
}

static bool write_some(struct client *c)
{
	ssize_t n = 0;
	bool more;

	fill_out(c);
	if (c->out.failed)
		return false;
	if (c->out.len)
		n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	buf_consume(&c->out, n > 0 ? (size_t)n : 0);
	/* no new question while an answer waits to be fetched */
	more = c->out.len || admin_wanted_is_open(&c->wanted) || find_line(c);
	return loop_set_fd_events(c->event, more ? EPOLLOUT : EPOLLIN) == 0;
}

static void on_client(void *arg, int fd, uint32_t events)
{
	struct client *c = arg;
	bool go_on = true;

	(void)fd;
	if (events & EPOLLIN)
		go_on = read_some(c);
	if (go_on)
		go_on = write_some(c);
	if (!go_on || (events & (EPOLLHUP | EPOLLERR) && !c->out.len))
		drop_client(c);
}

/* Whoever waits would wake us at once again, for nothing: the door is shut for a while. */
static void shut(struct admin *admin, int why)
{
	if (loop_set_fd_events(admin->event, 0) < 0 || loop_arm(admin->retry, RETRY_NS, 0) < 0)
		return;
	log_warn("the admin socket lets nobody in for a second error=\"%s\"", strerror(why));
}

static void on_retry(void *arg)
{
	struct admin *admin = arg;

	loop_set_fd_events(admin->event, EPOLLIN);
}

static void on_connect(void *arg, int fd, uint32_t events)
{
	struct admin *admin = arg;
	struct client *c = admin->clients;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	while (c < admin->clients + CLIENTS && c->fd >= 0)
		c++;
	if (client < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			shut(admin, errno);
		return;
	}
	if (c == admin->clients + CLIENTS ||
	    loop_add_fd(admin->loop, client, EPOLLIN, on_client, c, &c->event) < 0) {
		close(client);
		return;
	}
	c->fd = client;
}

/* ---- listening ----------------------------------------------------------------------------------- */

static void make_parent(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash && slash != dir) {
		*slash = 0;
		mkdir(dir, 0755); /* that it cannot be made shows when the socket is bound */
	}
}

static bool somebody_answers(const struct sockaddr_un *addr)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0;
}

/* What a killed agent left; never a file that is something else. */
static void remove_stale(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
}

static int listen_at(const char *path, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t old;
	int rc;

	if (fd < 0)
		return err_set(err, -errno, "--admin-socket: %s", strerror(errno));
	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, -ENAMETOOLONG, "--admin-socket %s: longer than %zu characters",
			       path, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	make_parent(path);
	if (somebody_answers(&addr))
		return err_set(
			err, -EADDRINUSE,
			"--admin-socket %s: another sluiced answers there; give this one another",
			path);
	remove_stale(path);
	old = umask(0117); /* owner and group may ask */
	rc = bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	umask(old);
	if (rc == 0 && listen(fd, CLIENTS) < 0)
		rc = -errno;
	if (rc == -EADDRINUSE)
		return err_set(
			err, rc,
			"--admin-socket %s: there is something that is no socket; remove it, or give another path "
			"(sluicectl reads the maps alone until then)",
			path);
	if (rc < 0)
		return err_set(
			err, rc,
			"--admin-socket %s: %s; give a path in a folder that can be written, or off (sluicectl reads "
			"the maps alone then)",
			path, strerror(-rc));
	return TAKE_FD(fd);
}

int admin_new(struct loop *loop, const char *path, const struct admin_view *view, struct err *err,
	      struct admin **ret_admin)
{
	struct admin *admin;
	int rc, fd = listen_at(path, err);

	if (fd < 0)
		return fd;
	admin = calloc(1, sizeof(*admin));
	if (!admin) {
		close(fd);
		unlink(path);
		return err_set(err, -ENOMEM, "no memory");
	}
	admin->loop = loop;
	admin->view = *view;
	admin->fd = fd;
	snprintf(admin->path, sizeof(admin->path), "%s", path);
	for (size_t i = 0; i < CLIENTS; i++)
		admin->clients[i] = (struct client){ .admin = admin, .fd = -1 };
	rc = loop_add_timer(loop, on_retry, admin, &admin->retry);
	if (rc == 0)
		rc = loop_add_fd(loop, fd, EPOLLIN, on_connect, admin, &admin->event);
	if (rc < 0) {
		admin_free(admin);
		return err_set(err, rc, "--admin-socket %s: %s", path, strerror(-rc));
	}
	*ret_admin = admin;
	return 0;
}

void admin_free(struct admin *admin)
{
	if (!admin)
		return;
	for (size_t i = 0; i < CLIENTS; i++)
		drop_client(&admin->clients[i]);
	loop_remove(admin->event);
	loop_remove(admin->retry);
	close(admin->fd);
	unlink(admin->path);
	free(admin);
}
