// SPDX-License-Identifier: GPL-2.0-only
/* Runs a program for its output, within limits. */
/* Must not know what the output says. */
#include "source/kube/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/loop.h"

#define REAP_NS (20 * CLOCK_NS_PER_MS) /* between looks whether it has ended, once its output has */

struct exec {
	exec_fn *fn;
	void *ctx;
	pid_t pid; /* also its process group; 0: reaped */
	int fd;    /* -1: its output has ended */
	struct buf output;
	uint64_t end_ns;
	struct loop_event *readable, *timer;
};

void exec_cancel(struct exec *x)
{
	if (!x)
		return;
	loop_remove(x->readable);
	loop_remove(x->timer);
	if (x->fd >= 0)
		close(x->fd);
	if (x->pid > 0) {
		kill(-x->pid, SIGKILL);
		while (waitpid(x->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (x->output.data) /* a token */
		explicit_bzero(x->output.data, x->output.len);
	buf_done(&x->output);
	free(x);
}

static void finish(struct exec *x, const char *why)
{
	x->fn(x->ctx, why ? NULL : buf_str(&x->output), why);
	exec_cancel(x);
}

/* Its output has ended: it is to end too. */
static void reap(struct exec *x)
{
	int status;
	pid_t got = waitpid(x->pid, &status, WNOHANG);

	if (got == 0 && clock_now_ns() < x->end_ns) {
		(void)loop_arm(x->timer, REAP_NS, 0);
		return;
	}
	if (got == 0) {
		finish(x, "did not end within 30 s");
		return;
	}
	x->pid = 0;
	if (got < 0)
		finish(x, "cannot be waited for");
	else if (WIFSIGNALED(status))
		finish(x, "was killed");
	else
		finish(x, WEXITSTATUS(status) == 0
				  ? NULL
				  : "ended with an error: see what it wrote to standard error");
}

static void on_timer(void *arg)
{
	struct exec *x = arg;

	if (x->fd < 0)
		reap(x);
	else
		finish(x, "did not end within 30 s");
}

static void on_readable(void *arg, int fd, uint32_t events)
{
	struct exec *x = arg;
	ssize_t n;

	(void)events;
	if (buf_reserve(&x->output, 4096) < 0) {
		finish(x, "no memory");
		return;
	}
	n = read(fd, x->output.data + x->output.len, 4096);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			finish(x, "its output cannot be read");
		return;
	}
	x->output.len += (size_t)n;
	x->output.data[x->output.len] = 0;
	if (x->output.len > EXEC_OUTPUT_MAX) {
		finish(x, "wrote more than 64 KiB");
	} else if (n == 0) {
		loop_remove(x->readable);
		x->readable = NULL;
		close(x->fd);
		x->fd = -1;
		reap(x);
	}
}

/* The loop has blocked the signals it handles, and SIGPIPE is ignored here: not so in the program. */
static int spawn(struct exec *x, char *const argv[], char *const env[], int out)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, usual;
	int rc;

	sigemptyset(&none);
	sigemptyset(&usual);
	sigaddset(&usual, SIGPIPE);
	if (posix_spawn_file_actions_init(&files) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attr) != 0) {
		posix_spawn_file_actions_destroy(&files);
		return -ENOMEM;
	}
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &usual);
	rc = posix_spawnp(&x->pid, argv[0], &files, &attr, argv, env);
	if (rc != 0)
		x->pid = 0;
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return -rc;
}

int exec_start(struct loop *loop, char *const argv[], char *const env[], exec_fn *fn, void *ctx,
	       struct exec **ret_exec)
{
	struct exec *x = calloc(1, sizeof(*x));
	int fds[2] = { -1, -1 }, rc;

	if (!x)
		return -ENOMEM;
	x->fn = fn;
	x->ctx = ctx;
	x->fd = -1;
	x->end_ns = clock_now_ns() + EXEC_NS;
	rc = pipe2(fds, O_CLOEXEC) < 0 ? -errno : 0;
	x->fd = fds[0];
	if (rc == 0)
		rc = fcntl(x->fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	if (rc == 0)
		rc = spawn(x, argv, env, fds[1]);
	if (fds[1] >= 0)
		close(fds[1]);
	if (rc == 0)
		rc = loop_add_fd(loop, x->fd, EPOLLIN, on_readable, x, &x->readable);
	if (rc == 0)
		rc = loop_add_timer(loop, on_timer, x, &x->timer);
	if (rc == 0)
		rc = loop_arm(x->timer, EXEC_NS, 0);
	if (rc < 0)
		exec_cancel(x);
	else
		*ret_exec = x;
	return rc;
}
