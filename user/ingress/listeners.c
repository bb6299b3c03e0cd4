// SPDX-License-Identifier: GPL-2.0-only
/* Opens the listening sockets or takes them from a predecessor, and gives them to the workers. */
/* Must not know how they are accepted from, nor how they are sent. */
#include "ingress/listeners.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "ingress/handover.h"
#include "ingress/listen.h"
#include "ingress/settings.h"
#include "ingress/worker.h"

struct listeners {
	struct listeners_input in;
	int conn;     /* to the predecessor, until its sockets are taken; -1: none */
	bool settled; /* opened or taken, and offered to the next */
	struct handover *handover;
	struct loop_event *late;
	struct handover_fd
		fds[HANDOVER_MAX]; /* of HTTP and HTTPS; the workers' own from `given` back */
	size_t to[HANDOVER_MAX];
	size_t n, given;
};

#define LATE_NS (5 * CLOCK_NS_PER_S)
#define TRIES   4 /* with one predecessor after the other */

/* For a worker. */
struct gift {
	int fd;
	bool tls;
};

static void accept_gift(struct worker *worker, void *arg)
{
	struct gift *gift = arg;
	int rc = listen_add(worker, gift->fd, gift->tls);

	if (rc < 0)
		log_err("a listening socket is lost reason=\"%s\"", strerrordesc_np(-rc));
	free(gift);
}

/* What it says is kept: l->fds[i] goes to worker number l->to[i]. */
static int keep(struct listeners *l, size_t worker, enum handover_what what, int fd)
{
	if (l->n == HANDOVER_MAX) {
		close(fd);
		return -ENFILE;
	}
	l->to[l->n] = worker % l->in.n_workers;
	l->fds[l->n++] = (struct handover_fd){ .what = what, .fd = fd };
	return 0;
}

static int give(struct worker *to, enum handover_what what, int fd)
{
	struct gift *gift = malloc(sizeof(*gift));
	int rc;

	if (!gift)
		return -ENOMEM;
	*gift = (struct gift){ .fd = fd, .tls = what == HANDOVER_HTTPS };
	rc = worker_post(to, accept_gift, gift);
	if (rc < 0)
		free(gift);
	return rc;
}

/* The workers begin to accept. */
static int give_all(struct listeners *l, struct err *err)
{
	for (; l->given < l->n; l->given++) {
		const struct handover_fd *f = &l->fds[l->given];
		int rc = give(l->in.workers[l->to[l->given]], f->what, f->fd);

		if (rc < 0)
			return err_set(err, rc, "no memory for a listening socket");
	}
	return 0;
}

/* From this worker on: those before have one. */
static int open_from(struct listeners *l, enum handover_what what, size_t worker, struct err *err)
{
	bool tls = what == HANDOVER_HTTPS;
	const struct listen_addr *addr = tls ? &l->in.settings->https : &l->in.settings->http;
	const char *name = tls ? "https-addr" : "http-addr";

	for (; addr->addr.ss_family != AF_UNSPEC && worker < l->in.n_workers; worker++) {
		int fd, rc = listen_open(addr, name, err, &fd);

		if (rc < 0)
			return rc;
		rc = keep(l, worker, what, fd);
		if (rc < 0)
			return err_set(err, rc, "--%s: %s", name, strerrordesc_np(-rc));
	}
	return 0;
}

static int open_all(struct listeners *l, struct err *err)
{
	int rc = open_from(l, HANDOVER_HTTP, 0, err);

	if (rc == 0)
		rc = open_from(l, HANDOVER_HTTPS, 0, err);
	if (rc == 0)
		l->in.metrics(l->in.ctx, -1);
	return rc;
}

/* ---- to the next ------------------------------------------------------------------------------------------------- */

static size_t list(void *ctx, struct handover_fd *fds, size_t max)
{
	struct listeners *l = ctx;
	size_t n = l->n < max ? l->n : max;
	int metrics = l->in.metrics_fd(l->in.ctx);

	memcpy(fds, l->fds, n * sizeof(*fds));
	if (metrics >= 0 && n < max)
		fds[n++] = (struct handover_fd){ .what = HANDOVER_METRICS, .fd = metrics };
	return n;
}

/* The sockets live on in the successor. */
static void released(void *ctx)
{
	struct listeners *l = ctx;

	l->n = l->given = 0;
	l->in.released(l->in.ctx);
}

static void offer(struct listeners *l)
{
	const struct handover_ops ops = { .ctx = l, .list = list, .released = released };
	struct err err = { 0 };

	l->settled = true;
	if (l->in.settings->handover &&
	    handover_serve(l->in.loop, l->in.settings->handover, &ops, &err, &l->handover) < 0)
		log_warn("an upgrade will not be without a gap: %s", err.what);
}

/* ---- from the one before ----------------------------------------------------------------------------------------- */

/* From whoever is there when we are ready: others may have been faster than we. */
static int take_from_newest(struct listeners *l, struct handover_fd *fds, size_t *ret_n,
			    struct err *err)
{
	int rc = -ECONNRESET;

	for (int i = 0; i < TRIES && rc == -ECONNRESET; i++) {
		rc = handover_take(l->conn, fds, ret_n, err);
		if (rc != -ECONNRESET)
			break;
		close(l->conn);
		l->conn = -1;
		if (handover_connect(l->in.settings->handover, &l->conn, err) < 0)
			break;
	}
	return rc;
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return a4->sin_port == b4->sin_port && a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return a->ss_family == AF_INET6 && a6->sin6_port == b6->sin6_port &&
	       memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
}

/* The one before may have been told to listen elsewhere, or to what is off now. */
static bool is_wanted(const struct listeners *l, const struct handover_fd *f)
{
	const struct settings *s = l->in.settings;
	const struct listen_addr *addr = f->what == HANDOVER_HTTP    ? &s->http
					 : f->what == HANDOVER_HTTPS ? &s->https
								     : &s->metrics;
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);

	return getsockname(f->fd, (struct sockaddr *)&own, &len) == 0 &&
	       same_address(&own, &addr->addr);
}

static int take(struct listeners *l, struct err *err)
{
	struct handover_fd fds[HANDOVER_MAX];
	size_t n = 0, counts[HANDOVER_KINDS] = { 0 };
	bool metrics = false;
	int rc = take_from_newest(l, fds, &n, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++) {
		if (!is_wanted(l, &fds[i]) || (fds[i].what == HANDOVER_METRICS && metrics)) {
			close(fds[i].fd);
		} else if (fds[i].what == HANDOVER_METRICS) {
			metrics = true;
			l->in.metrics(l->in.ctx, fds[i].fd);
		} else {
			rc = keep(l, counts[fds[i].what]++, fds[i].what, fds[i].fd);
			if (rc < 0)
				return err_set(err, rc, "cannot take a listening socket: %s",
					       strerrordesc_np(-rc));
		}
	}
	if (!metrics)
		l->in.metrics(l->in.ctx, -1);
	rc = open_from(l, HANDOVER_HTTP, counts[HANDOVER_HTTP], err);
	if (rc == 0)
		rc = open_from(l, HANDOVER_HTTPS, counts[HANDOVER_HTTPS], err);
	return rc;
}

int listeners_ready(struct listeners *l, struct err *err)
{
	bool from_before = l->conn >= 0;
	int rc = 0;

	if (l->settled)
		return 0;
	loop_disarm(l->late);
	if (from_before) {
		rc = take(l, err);
		if (rc < 0 &&
		    !l->n) { /* it went away, or cannot be understood: as if it had not been there */
			log_warn("%s; opening sockets instead", err->what);
			rc = open_all(l, err);
		}
	}
	if (rc == 0)
		rc = give_all(l, err);
	if (rc == 0)
		offer(l); /* before the other stops: there is always one that answers */
	if (rc == 0 && l->conn >= 0 && handover_confirm(l->conn) == 0)
		log_info("took over listening sockets=%zu", l->n);
	if (l->conn >= 0)
		close(l->conn);
	l->conn = -1;
	return rc;
}

int listeners_successors(const struct listeners *l)
{
	return l->handover ? handover_successors(l->handover) : -1;
}

void listeners_drain(struct listeners *l)
{
	if (!l)
		return;
	handover_free(l->handover);
	l->handover = NULL;
}

/* Without a configuration, 503 is a better answer than none. */
static void on_late(void *arg)
{
	struct listeners *l = arg;
	struct err err = { 0 };

	if (give_all(l, &err) < 0)
		log_err("%s", err.what);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

int listeners_new(const struct listeners_input *input, struct err *err,
		  struct listeners **ret_listeners)
{
	struct listeners *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return err_set(err, -ENOMEM, "no memory");
	l->in = *input;
	l->conn = -1;
	rc = loop_add_timer(input->loop, on_late, l, &l->late);
	if (rc == 0)
		rc = loop_arm(l->late, LATE_NS, 0);
	if (rc < 0) {
		listeners_free(l);
		return err_set(err, rc, "cannot start: %s", strerrordesc_np(-rc));
	}
	rc = -ENOENT;
	if (input->settings->handover)
		rc = handover_connect(input->settings->handover, &l->conn, err);
	if (rc == -ENOENT)
		rc = open_all(l, err);
	if (rc < 0) {
		listeners_free(l);
		return rc;
	}
	*ret_listeners = l;
	return 0;
}

void listeners_free(struct listeners *l)
{
	if (!l)
		return;
	listeners_drain(l);
	loop_remove(l->late);
	while (l->n > l->given)
		close(l->fds[--l->n].fd);
	if (l->conn >= 0)
		close(l->conn);
	free(l);
}
