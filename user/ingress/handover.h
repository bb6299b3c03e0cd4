/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_HANDOVER_H
#define INGRESS_HANDOVER_H

/*
 * Listening sockets from one process to the next, through a Unix socket (SCM_RIGHTS), so that an upgrade refuses and resets nobody:
 * the sockets stay open all the time, with what is queued in them.
 *
 * The successor asks when it could serve at once, and confirms when it accepts from them; only then the old process stops accepting.
 * Until that moment either may die without harm. One process at a time answers at the path: the newest. Of several successors one at
 * a time is given the sockets; the others wait until it has gone away, or are sent to it once it has confirmed.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct loop;
struct handover;

enum handover_what { HANDOVER_HTTP, HANDOVER_HTTPS, HANDOVER_METRICS, HANDOVER_KINDS };

#define HANDOVER_MAX 768 /* sockets */

struct handover_fd {
	enum handover_what what;
	int fd;
};

/* ---- the successor: waits for the other, a few seconds at most ------------------------------------------------------- */

/* Connects. 0; -ENOENT: nobody is there; or another -errno with *err. */
int handover_connect(const char *path, int *ret_conn, struct err *err);
/* Asks for the sockets and receives at most HANDOVER_MAX into fds; *ret_n of them, the caller's to close. Those of kinds that are
 * not known here, as a later release has them, are closed, with a warning. On failure none;
 * -ECONNRESET: the process before has ended, or another successor was faster and answers at the path now. */
int handover_take(int conn, struct handover_fd *fds, size_t *ret_n, struct err *err);
/* They are accepted from. 0 or -errno. */
int handover_confirm(int conn);

/* ---- the one that is asked ------------------------------------------------------------------------------------------- */

struct handover_ops {
	void *ctx;
	/* The sockets as they are now, borrowed; how many. */
	size_t (*list)(void *ctx, struct handover_fd *fds, size_t max);
	/* The successor accepts: stop doing so. The handover answers nobody any more. */
	void (*released)(void *ctx);
};

/* Answers at the path, in the place of whoever did. 0 or a negative errno with *err. */
int handover_serve(struct loop *loop, const char *path, const struct handover_ops *ops,
		   struct err *err, struct handover **ret_handover);
void handover_free(struct handover *handover); /* NULL is fine */
/* How many successors are connected; -1: nobody is answered any more. */
int handover_successors(const struct handover *handover);

#endif
