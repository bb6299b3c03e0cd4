// SPDX-License-Identifier: GPL-2.0-only
/* Puts the process together, runs it, and lets it end without cutting anything. */
/* Must not know HTTP. */
#include "ingress/proxy.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/notify.h"
#include "ingress/access_log.h"
#include "ingress/certs.h"
#include "ingress/client.h"
#include "ingress/control.h"
#include "ingress/gate.h"
#include "ingress/listen.h"
#include "ingress/listeners.h"
#include "ingress/peers.h"
#include "ingress/rule.h"
#include "ingress/settings.h"
#include "ingress/stats.h"
#include "ingress/tls.h"
#include "ingress/verify.h"
#include "ingress/worker.h"

#define DRAIN_POLL_NS      (50 * CLOCK_NS_PER_MS)
#define SUCCESSOR_NS       (5 * CLOCK_NS_PER_S)  /* nobody has come by then: nobody will */
#define SUCCESSOR_READY_NS (60 * CLOCK_NS_PER_S) /* for one that has, to have its configuration */

struct proxy {
	const struct settings *settings;
	struct loop *loop;
	struct worker **workers;
	size_t n_workers; /* that are there */
	struct peers *peers;
	struct stats_hub *stats;
	struct gate *gate;
	struct access_log *log;
	struct tls *tls;           /* NULL: no HTTPS */
	struct certs *first_certs; /* until there is a configuration: one that is self-signed */
	struct verifier *verifier;
	struct control *control;
	struct listeners *listeners;
	struct loop_event *term, *interrupt, *drain;
	uint64_t
		told_ns; /* when it was told to end, and has waited for a successor since; 0: it has not */
	uint64_t drain_until_ns; /* 0: not draining */
	bool cut;
};

/* ---- the end --------------------------------------------------------------------------------------------------- */

static void drain_worker(struct worker *worker, void *arg)
{
	(void)arg;
	atomic_store(&worker->draining, true);
	listen_close_all(worker);
	client_drain_all(worker);
}

static void cut_worker(struct worker *worker, void *arg)
{
	(void)arg;
	stats_add(worker->stats, STATS_DRAINED, worker->n_clients);
	client_close_all(worker, ENDING_DRAINED);
}

static void tell_all(struct proxy *p, void (*fn)(struct worker *worker, void *arg))
{
	for (size_t i = 0; i < p->n_workers; i++)
		if (worker_post(p->workers[i], fn, NULL) < 0)
			log_err("out of memory while draining");
}

static size_t n_clients(const struct proxy *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_workers; i++)
		n += atomic_load(&p->workers[i]->n_clients_seen) +
		     !atomic_load(&p->workers[i]->draining);
	return n;
}

static void begin_drain(struct proxy *p)
{
	log_info("draining connections=%zu", n_clients(p));
	p->drain_until_ns = clock_now_ns() + p->settings->drain_ns;
	listeners_drain(p->listeners);
	tell_all(p, drain_worker);
}

/* None, or it serves, or it takes too long. */
static bool is_successor_settled(const struct proxy *p)
{
	int n = p->listeners ? listeners_successors(p->listeners) : -1;

	return n < 0 || clock_now_ns() - p->told_ns >= (n ? SUCCESSOR_READY_NS : SUCCESSOR_NS);
}

static void on_drain(void *arg)
{
	struct proxy *p = arg;

	if (!p->drain_until_ns) {
		if (is_successor_settled(p))
			begin_drain(p);
		return;
	}
	if (n_clients(p) == 0) {
		loop_stop(p->loop, 0);
	} else if (clock_now_ns() >= p->drain_until_ns && !p->cut) {
		log_warn("cutting what is left: --drain-timeout is over connections=%zu",
			 n_clients(p));
		p->cut = true;
		tell_all(p, cut_worker);
	}
}

/*
 * The first time it is told: a successor may be on its way, and until that accepts somebody has to. Kubernetes ends the old pod as
 * soon as the new one looks ready, and on the host's network it is the old one that answers the probe of the new.
 */
static void on_signal(void *arg, int signo)
{
	struct proxy *p = arg;

	if (p->drain_until_ns) { /* asked again */
		p->drain_until_ns = clock_now_ns();
		return;
	}
	if (!p->told_ns) {
		p->told_ns = clock_now_ns();
		notify_send("STOPPING=1\nSTATUS=draining");
		control_drain(p->control);
		loop_arm(p->drain, DRAIN_POLL_NS, DRAIN_POLL_NS);
		if (!is_successor_settled(p)) {
			log_info(
				"told to end: accepting until a successor does signal=%s seconds=%d",
				sigabbrev_np(signo), (int)(SUCCESSOR_NS / CLOCK_NS_PER_S));
			return;
		}
	}
	begin_drain(p);
}

/* ---- the beginning --------------------------------------------------------------------------------------------- */

/* Two descriptors a connection, and some for everything else. */
static void raise_descriptors(const struct settings *settings)
{
	struct rlimit limit;
	rlim_t want = settings->connections_max * 2 + 1024;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= want)
		return;
	limit.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int add_worker(struct proxy *p, struct err *err)
{
	struct worker *worker;
	int rc = worker_new((unsigned)p->n_workers, p->settings, &worker);

	if (rc < 0)
		return err_set(err, rc, "a worker cannot be made: %s", strerrordesc_np(-rc));
	worker->stats = stats_hub_worker(p->stats, worker->index);
	worker->peers = p->peers;
	worker->gate = p->gate;
	worker->log = p->log;
	worker->tls = p->tls;
	worker->first_certs = p->first_certs;
	worker->verifier = p->verifier;
	p->workers[p->n_workers++] = worker;
	return 0;
}

/* For a handshake on this worker. */
static const struct certs *certs_of(void *arg)
{
	const struct worker *worker = arg;

	return worker->snapshot ? snapshot_certs(worker->snapshot) : worker->first_certs;
}

/* So that a client hears why there is nothing yet, over HTTPS too. */
static int make_first_certs(struct proxy *p, struct err *err)
{
	const struct certs_input none = { .now_s = (int64_t)(clock_wall_ns() / CLOCK_NS_PER_S) };
	struct certs_cache *cache;
	int rc = certs_cache_new(&cache);

	if (rc == 0) {
		rc = certs_build(cache, &none, &p->first_certs);
		certs_cache_free(cache);
	}
	return rc < 0 ? err_set(err, rc, "no certificate can be made: %s", strerrordesc_np(-rc))
		      : 0;
}

static int make(struct proxy *p, struct err *err)
{
	const struct settings *settings = p->settings;
	struct gate_settings gate = {
		.body_max = settings->body_max,
		.near = settings->near_node   ? UPSTREAM_SAME_NODE
			: settings->near_zone ? UPSTREAM_SAME_ZONE
					      : UPSTREAM_ANYWHERE,
	};
	const struct tls_settings tls = { .http2 = true, .certs = certs_of };
	int rc = 0;

	if (getrandom(&gate.seed, sizeof(gate.seed), 0) < 0)
		return err_set(err, -errno, "no randomness: %s", strerrordesc_np(errno));
	p->workers = calloc(settings->workers, sizeof(*p->workers));
	p->peers = peers_new(settings->connections_max, settings->connections_per_ip);
	if (!p->workers || !p->peers ||
	    stats_hub_new(settings->workers, gate.seed, &p->stats) < 0 ||
	    gate_new(&gate, &p->gate) < 0 || !(p->verifier = verifier_new()))
		return err_set(err, -ENOMEM, "out of memory");
	if (settings->https.addr.ss_family != AF_UNSPEC)
		rc = tls_new(&tls, &p->tls, err);
	if (rc == 0 && p->tls)
		rc = make_first_certs(p, err);
	if (rc == 0 && settings->access_log)
		rc = access_log_new(settings->access_log, settings->workers,
				    settings->access_log_query, err, &p->log);
	for (unsigned i = 0; rc == 0 && i < settings->workers; i++)
		rc = add_worker(p, err);
	return rc;
}

/* ---- listeners ------------------------------------------------------------------------------------------------- */

static void serve_metrics(void *ctx, int fd)
{
	const struct proxy *p = ctx;

	control_serve(p->control, fd);
}

static int metrics_fd(void *ctx)
{
	const struct proxy *p = ctx;

	return control_listens_at(p->control);
}

/*
 * Clients are sent to the successor, requests that run go on. The end comes by a signal: a process that ended by itself here
 * would be started again by its supervisor, and take everything back.
 */
static void released(void *ctx)
{
	struct proxy *p = ctx;

	tell_all(p, drain_worker);
	control_drain(p->control);
	control_stop_serving(p->control);
}

static void on_ready(void *ctx)
{
	struct proxy *p = ctx;
	struct err err = { 0 };

	if (!p->listeners || listeners_ready(p->listeners, &err) == 0)
		return;
	log_err("%s", err.what);
	loop_stop(p->loop, -err.code);
}

static int begin_listening(struct proxy *p, struct err *err)
{
	const struct listeners_input input = {
		.loop = p->loop,
		.settings = p->settings,
		.workers = p->workers,
		.n_workers = p->n_workers,
		.metrics = serve_metrics,
		.metrics_fd = metrics_fd,
		.released = released,
		.ctx = p,
	};

	return listeners_new(&input, err, &p->listeners);
}

static int begin(struct proxy *p, struct err *err)
{
	struct control_input input = { .settings = p->settings, .on_ready = on_ready, .ctx = p };
	int rc = loop_new(&p->loop);

	signal(SIGPIPE, SIG_IGN);
	if (rc == 0) /* before any thread, which inherits what is blocked */
		rc = loop_add_signal(p->loop, SIGTERM, on_signal, p, &p->term);
	if (rc == 0)
		rc = loop_add_signal(p->loop, SIGINT, on_signal, p, &p->interrupt);
	if (rc == 0)
		rc = loop_add_timer(p->loop, on_drain, p, &p->drain);
	if (rc < 0)
		return err_set(err, rc, "cannot start: %s", strerrordesc_np(-rc));
	rc = make(p, err);
	if (rc < 0)
		return rc;
	input.loop = p->loop;
	input.workers = p->workers;
	input.n_workers = p->n_workers;
	input.stats = p->stats;
	input.log = p->log;
	rc = control_new(&input, err, &p->control);
	if (rc == 0)
		rc = begin_listening(p, err);
	for (size_t i = 0; rc == 0 && i < p->n_workers; i++) {
		rc = worker_start(p->workers[i]);
		if (rc < 0)
			err_set(err, rc, "a worker cannot be started: %s", strerrordesc_np(-rc));
	}
	return rc;
}

static void end(struct proxy *p)
{
	for (size_t i = 0; i < p->n_workers; i++)
		worker_stop(p->workers[i]);
	for (size_t i = 0; i < p->n_workers; i++)
		worker_join(p->workers[i]);
	verifier_free(p->verifier);
	for (size_t i = 0; i < p->n_workers; i++)
		worker_free(p->workers[i]);
	listeners_free(p->listeners);
	control_free(p->control);
	access_log_free(p->log);
	tls_free(p->tls);
	certs_drop(p->first_certs);
	gate_free(p->gate);
	stats_hub_free(p->stats);
	peers_free(p->peers);
	free(p->workers);
	loop_free(p->loop);
}

int proxy_run(const struct settings *settings)
{
	struct proxy p = { .settings = settings };
	struct err err = { 0 };
	int rc, code = EXIT_CODE_OK;

	raise_descriptors(settings);
	rc = begin(&p, &err);
	if (rc < 0) {
		log_err("%s", err.what);
		code = exit_code_of(&err);
	} else {
		log_info("serving workers=%u", settings->workers);
		notify_send("READY=1");
		rc = loop_run(p.loop);
		if (rc < 0) {
			log_err("the control thread ended reason=\"%s\"", strerrordesc_np(-rc));
			code = EXIT_CODE_PROBLEM;
		}
	}
	end(&p);
	return code;
}
