// SPDX-License-Identifier: GPL-2.0-only
/* Puts the client together: one watch for each kind, over one set of connections, to servers found in one of three ways. */
/* Must not know what answers mean. */
#include "source/kube/kube.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/loop.h"
#include "source/kube/auth.h"
#include "source/kube/endpoints.h"
#include "source/kube/exec.h"
#include "source/object.h"

#define PROBE_NS        (800 * CLOCK_NS_PER_MS)
#define PROBE_JITTER_NS (400 * CLOCK_NS_PER_MS)
#define VIP_TRY_MS      3000 /* at start */
#define NODE_PATH_LEN   512

struct follower {
	struct kube *kube;
	struct watch_config config;
	struct watch *watch;
	struct kube_transfer *transfer; /* NULL: none under way */
	struct loop_event *timer;
	char what[64]; /* the subject of its problem */
	bool problem;
	bool broken; /* an answer was no list or stream; until a list is in */
	bool ended;  /* watches end at once; until one says something */
};

struct kube {
	struct loop *loop;
	struct source_sink sink;
	struct auth *auth;
	struct kube_http *http;
	struct follower follower[OBJECT_KINDS];
	char node_selector[NODE_PATH_LEN];
	bool discovers; /* servers are what default/kubernetes says */
	bool by_vip;    /* until then: the cluster address, which another proxy serves */
	struct api_endpoints endpoints;
	char *endpoints_path;
	struct loop_event *endpoints_work, *probe;
	struct exec *exec; /* the credential plugin, running */
	bool may_kick;     /* something has changed since the last kick */
};

static uint64_t random_bits(void)
{
	uint64_t bits = 0;

	if (getrandom(&bits, sizeof(bits), GRND_NONBLOCK) != sizeof(bits))
		bits = clock_wall_ns() * UINT64_C(0x9e3779b97f4a7c15);
	return bits;
}

/* ---- one kind --------------------------------------------------------------------------------------- */

static void tell(struct follower *f, const char *reason)
{
	struct source_sink *sink = &f->kube->sink;

	if (!reason && !f->problem)
		return;
	f->problem = reason != NULL;
	sink->problem(sink->ctx, f->what, reason);
}

static void on_head(void *ctx, unsigned status, const char *retry_after)
{
	struct follower *f = ctx;

	watch_head(f->watch, clock_now_ns(), status, retry_after);
	f->kube->may_kick = true;
	if (status == 200 && !f->broken && !f->ended)
		tell(f, NULL);
}

static int on_bytes(void *ctx, const char *bytes, size_t len)
{
	struct follower *f = ctx;

	if (f->ended && len)
		tell(f, NULL);
	f->ended = f->ended && !len;
	return watch_bytes(f->watch, clock_now_ns(), bytes, len);
}

static void tell_status(struct follower *f, unsigned status)
{
	char reason[160];

	if (!status || status == 200 || status == 410)
		return;
	if (f->config.optional && (status == 404 || status == 403))
		return;
	snprintf(reason, sizeof(reason), "the API server answers %u%s: what it said before is kept",
		 status,
		 status == 401   ? " (the token or certificate is not accepted)"
		 : status == 403 ? " (may this account list and watch them?)"
		 : status == 404 ? " (is this the API server's address?)"
				 : "");
	tell(f, reason);
}

static void tell_failure(struct follower *f, const char *why)
{
	struct kube_http_stats stats;
	struct buf reason = { 0 };

	kube_http_count(f->kube->http, &stats);
	buf_printf(&reason,
		   "the API server at %s cannot be reached (%s): what it said before is kept",
		   stats.server, why);
	if (!reason.failed)
		tell(f, buf_str(&reason));
	buf_done(&reason);
}

static void step(struct follower *f);

static void start_probing(struct kube *kube)
{
	if (!loop_is_armed(kube->probe))
		(void)loop_arm(kube->probe, PROBE_NS + random_bits() % PROBE_JITTER_NS, 0);
}

static void on_end(void *ctx, enum kube_http_end how, bool may_retry, const char *why)
{
	struct follower *f = ctx;
	struct watch_stats stats, after;
	enum watch_end end = how == KUBE_HTTP_CLEAN ? WATCH_END_CLEAN
			     : may_retry            ? WATCH_END_MOVED
			     : how == KUBE_HTTP_CUT ? WATCH_END_CUT
						    : WATCH_END_UNREACHABLE;

	f->transfer = NULL;
	watch_count(f->watch, &stats);
	if (how == KUBE_HTTP_FAILED)
		tell_failure(f, why);
	else
		tell_status(f, stats.last_status);
	watch_end(f->watch, clock_now_ns(), random_bits(), end);
	watch_count(f->watch, &after);
	if (after.broken > stats.broken && stats.last_status == 200) {
		f->broken = true;
		tell(f,
		     "the API server's answer is no list of these objects: what it said before is kept");
	}
	if (after.ended > stats.ended) {
		f->ended = true;
		tell(f, "the API server ends watches at once: what it said before is kept");
	}
	if (watch_is_down(f->watch))
		start_probing(f->kube);
	step(f);
}

static void kick_all(struct kube *kube)
{
	for (int i = 0; i < OBJECT_KINDS; i++) {
		watch_kick(kube->follower[i].watch, clock_now_ns(), random_bits());
		(void)loop_arm(kube->follower[i].timer, 0,
			       0); /* it looks what it has to wait for */
	}
}

static void tell_plugin(struct kube *kube, const char *why)
{
	struct buf reason = { 0 };

	buf_printf(&reason, "the program %s gives no credential: %s", auth_exec_argv(kube->auth)[0],
		   why ? why : "");
	if (!reason.failed)
		kube->sink.problem(kube->sink.ctx, "API server, exec",
				   why ? buf_str(&reason) : NULL);
	buf_done(&reason);
}

static void on_plugin_end(void *ctx, const char *output, const char *why)
{
	struct kube *kube = ctx;
	struct err err = { 0 };

	kube->exec = NULL;
	if (output && auth_exec_take(kube->auth, output, clock_now_ns(), clock_wall_ns(), &err) < 0)
		why = err.what;
	tell_plugin(kube, why);
	if (!why)
		kick_all(kube);
}

static void run_plugin(struct kube *kube)
{
	int rc;

	if (kube->exec)
		return;
	rc = exec_start(kube->loop, auth_exec_argv(kube->auth), auth_exec_env(kube->auth),
			on_plugin_end, kube, &kube->exec);
	if (rc < 0)
		tell_plugin(kube, strerrordesc_np(-rc));
}

static int request(struct follower *f, const struct watch_step *next)
{
	const struct kube_http_ops ops = {
		.ctx = f, .head = on_head, .bytes = on_bytes, .end = on_end
	};

	if (auth_exec_is_due(f->kube->auth, clock_now_ns())) {
		run_plugin(f->kube);
		return -EAGAIN; /* its end wakes us */
	}
	return kube_http_get(f->kube->http, next->target, next->stream, &ops, &f->transfer);
}

static void step(struct follower *f)
{
	struct watch_step next;
	enum watch_todo todo;
	uint64_t now_ns = clock_now_ns();

	while ((todo = watch_next(f->watch, now_ns, random_bits(), &next)) != WATCH_WAIT) {
		if (todo == WATCH_REQUEST && request(f, &next) < 0) {
			watch_end(f->watch, now_ns, random_bits(), WATCH_END_UNREACHABLE);
		} else if (todo == WATCH_ABORT) {
			kube_http_cancel(f->transfer);
			f->transfer = NULL;
			watch_end(f->watch, now_ns, random_bits(), WATCH_END_CUT);
		}
	}
	(void)loop_arm(f->timer, next.wait_until_ns > now_ns ? next.wait_until_ns - now_ns : 0, 0);
}

static void on_timer(void *arg)
{
	step(arg);
}

/* ---- while it is down ------------------------------------------------------------------------------- */

static bool is_down(const struct kube *kube)
{
	for (int i = 0; i < OBJECT_KINDS; i++)
		if (watch_is_down(kube->follower[i].watch))
			return true;
	return false;
}

/*
 * A port that accepts need not answer requests: only what can be reached again, and was not before, ends the waiting.
 */
static void on_probed(void *ctx, bool reached)
{
	struct kube *kube = ctx;

	if (!reached)
		kube->may_kick = true;
	if (!reached || !kube->may_kick)
		return;
	kube->may_kick = false;
	kick_all(kube);
}

static void on_probe(void *arg)
{
	struct kube *kube = arg;

	if (!is_down(kube))
		return;
	kube_http_probe(kube->http, on_probed, kube);
	start_probing(kube);
}

/* ---- where the API servers are ---------------------------------------------------------------------- */

/* Not from within the call that brought the slice: connections may be given up. */
static void on_endpoints_work(void *arg)
{
	struct kube *kube = arg;
	char reason[256];
	int rc = kube_http_set_servers(kube->http, kube->endpoints.servers, kube->endpoints.n);

	if (rc == 0 && kube->by_vip) {
		kube->by_vip = false;
		kube_http_give_up(kube->http);
	}
	if (!kube->endpoints_path)
		return;
	rc = api_endpoints_save(&kube->endpoints, kube->endpoints_path);
	snprintf(reason, sizeof(reason),
		 "cannot be written (%s): after a reboot the API servers have to be found anew",
		 rc < 0 ? strerrordesc_np(-rc) : "");
	kube->sink.problem(kube->sink.ctx, kube->endpoints_path, rc < 0 ? reason : NULL);
}

static void put_slice(void *ctx, const struct endpoint_slice *slice)
{
	struct kube *kube = ctx;

	if (kube->discovers && api_endpoints_are_in(slice) &&
	    api_endpoints_take(&kube->endpoints, slice) > 0)
		loop_post(kube->endpoints_work);
	kube->sink.put_slice(kube->sink.ctx, slice);
}

static void put_service(void *ctx, const struct service *service)
{
	struct kube *kube = ctx;

	kube->sink.put_service(kube->sink.ctx, service);
}

static void put_node(void *ctx, const struct node *node)
{
	struct kube *kube = ctx;

	kube->sink.put_node(kube->sink.ctx, node);
}

static void put_service_cidr(void *ctx, const struct service_cidr *cidr)
{
	struct kube *kube = ctx;

	kube->sink.put_service_cidr(kube->sink.ctx, cidr);
}

static void gone(void *ctx, enum object_kind kind, const char *namespace, const char *name)
{
	struct kube *kube = ctx;

	kube->sink.gone(kube->sink.ctx, kind, namespace, name);
}

static void listed(void *ctx, enum object_kind kind)
{
	struct kube *kube = ctx;
	struct follower *f = &kube->follower[kind];

	f->broken = false;
	tell(f, NULL);
	kube->sink.listed(kube->sink.ctx, kind);
}

static void problem(void *ctx, const char *object, const char *reason)
{
	struct kube *kube = ctx;

	kube->sink.problem(kube->sink.ctx, object, reason);
}

/* ---- beginning: servers ----------------------------------------------------------------------------- */

static int use_urls(struct kube *kube, const char *const *urls, size_t n, const char *tls_name,
		    struct err *err)
{
	_cleanup_free_ struct kube_server *servers = calloc(n, sizeof(*servers));
	int rc = servers ? 0 : err_set(err, -ENOMEM, "no memory");

	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = kube_server_parse(urls[i], &servers[i], err);
		if (rc == 0 && tls_name)
			snprintf(servers[i].tls_name, sizeof(servers[i].tls_name), "%s", tls_name);
	}
	return rc == 0 ? kube_http_set_servers(kube->http, servers, n) : rc;
}

/* Does anything accept connections there? Waits for VIP_TRY_MS at most: there is nothing else to do yet. */
static bool can_connect(const char *host, const char *port)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	struct pollfd wait = { .events = POLLOUT };
	socklen_t len = sizeof(int);
	int error = -1;

	if (getaddrinfo(host, port, &hints, &found) != 0)
		return false;
	wait.fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (wait.fd >= 0) {
		if (connect(wait.fd, found->ai_addr, found->ai_addrlen) == 0)
			error = 0;
		else if (errno == EINPROGRESS && poll(&wait, 1, VIP_TRY_MS) == 1)
			getsockopt(wait.fd, SOL_SOCKET, SO_ERROR, &error, &len);
		close(wait.fd);
	}
	freeaddrinfo(found);
	return error == 0;
}

/* The address every pod is told is the one that we are to translate: good only while another proxy does. */
static int use_environment(struct kube *kube, struct err *err)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST"),
		   *port = getenv("KUBERNETES_SERVICE_PORT");
	struct buf url = { 0 };
	const char *text;
	int rc;

	if (!host || !port)
		return err_set(err, -EINVAL,
			       "no API server is known: give --api-server or --kubeconfig");
	if (!can_connect(host, port))
		return err_set(
			err, -EHOSTUNREACH,
			"the API server is known only by its cluster address, %s port %s, and nothing serves that on this "
			"node yet: give --api-server https://ADDRESS:PORT of an API server itself",
			host, port);
	buf_printf(&url, strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
	text = buf_str(&url);
	rc = url.failed ? -ENOMEM : use_urls(kube, &text, 1, NULL, err);
	buf_done(&url);
	kube->by_vip = true;
	return rc;
}

static int find_servers(struct kube *kube, const struct kube_options *o, struct err *err)
{
	const char *url = auth_server(kube->auth);
	struct buf path = { 0 };

	if (o->n_api_servers)
		return use_urls(kube, o->api_servers, o->n_api_servers, auth_tls_name(kube->auth),
				err);
	if (url)
		return use_urls(kube, &url, 1, auth_tls_name(kube->auth), err);
	kube->discovers = true;
	if (o->state_dir) {
		mkdir(o->state_dir, 0755); /* if not: saving will say why */
		buf_printf(&path, "%s/api-servers", o->state_dir);
		kube->endpoints_path = buf_take(&path);
		if (!kube->endpoints_path)
			return err_set(err, -ENOMEM, "no memory");
		api_endpoints_load(&kube->endpoints, kube->endpoints_path);
	}
	if (kube->endpoints.n)
		return kube_http_set_servers(kube->http, kube->endpoints.servers,
					     kube->endpoints.n);
	return use_environment(kube, err);
}

/* ---- beginning and end ------------------------------------------------------------------------------ */

/*
 * As kube-proxy of 1.36 and later selects: services of other proxies and headless ones are not ours; a label that comes or
 * goes arrives as a deletion or an addition.
 */
static const struct watch_config kinds[OBJECT_KINDS] = {
	[OBJECT_SERVICE] = {
		.kind = OBJECT_SERVICE,
		.api_version = "v1",
		.path = "/api/v1/services",
		.selector = "fieldSelector=spec.clusterIP%21%3DNone"
			    "&labelSelector=%21service.kubernetes.io%2Fservice-proxy-name",
	},
	[OBJECT_ENDPOINT_SLICE] = {
		.kind = OBJECT_ENDPOINT_SLICE,
		.api_version = "discovery.k8s.io/v1",
		.path = "/apis/discovery.k8s.io/v1/endpointslices",
		.selector = "labelSelector=%21service.kubernetes.io%2Fheadless",
	},
	[OBJECT_NODE] = {
		.kind = OBJECT_NODE,
		.api_version = "v1",
		.path = "/api/v1/nodes", /* and this node's name */
	},
	[OBJECT_SERVICE_CIDR] = {
		.kind = OBJECT_SERVICE_CIDR,
		.optional = true,
		.api_version = "networking.k8s.io/v1",
		.path = "/apis/networking.k8s.io/v1/servicecidrs",
		.selector = "",
	},
};

static int add_follower(struct kube *kube, enum object_kind kind)
{
	struct follower *f = &kube->follower[kind];
	const struct source_sink sink = {
		.ctx = kube,
		.put_service = put_service,
		.put_slice = put_slice,
		.put_node = put_node,
		.put_service_cidr = put_service_cidr,
		.gone = gone,
		.listed = listed,
		.problem = problem,
	};
	int rc;

	f->kube = kube;
	f->config = kinds[kind];
	if (kind == OBJECT_NODE)
		f->config.selector = kube->node_selector;
	snprintf(f->what, sizeof(f->what), "API server, %s list", object_kind_name(kind));
	rc = watch_new(&f->config, &sink, random_bits(), &f->watch);
	if (rc == 0)
		rc = loop_add_timer(kube->loop, on_timer, f, &f->timer);
	return rc == 0 ? loop_arm(f->timer, 0, 0) : rc;
}

static int add_all(struct kube *kube, const struct kube_options *o)
{
	int rc = loop_add_timer(kube->loop, on_probe, kube, &kube->probe);

	snprintf(kube->node_selector, sizeof(kube->node_selector),
		 "fieldSelector=metadata.name%%3D%s", o->node_name);
	if (rc == 0)
		rc = loop_add_deferred(kube->loop, on_endpoints_work, kube, &kube->endpoints_work);
	for (int i = 0; i < OBJECT_KINDS && rc == 0; i++)
		rc = add_follower(kube, (enum object_kind)i);
	return rc;
}

static int start(struct kube *kube, const struct kube_options *o, struct err *err)
{
	int rc;

	if (o->node_name[strspn(o->node_name, "abcdefghijklmnopqrstuvwxyz0123456789-.")])
		return err_set(err, -EINVAL,
			       "node name %s: the API knows only a-z, 0-9, '-' and '.'",
			       o->node_name);
	rc = auth_new(o->kubeconfig, err, &kube->auth);
	if (rc < 0)
		return rc;
	rc = kube_http_new(kube->loop, kube->auth, &kube->http);
	if (rc < 0)
		return err_set(err, rc, "cannot set up HTTP: %s", strerrordesc_np(-rc));
	rc = find_servers(kube, o, err);
	if (rc < 0)
		return rc;
	rc = add_all(kube, o);
	return rc < 0 ? err_set(err, rc, "cannot set up the source: %s", strerrordesc_np(-rc)) : 0;
}

int kube_new(struct loop *loop, const struct kube_options *options, const struct source_sink *sink,
	     struct err *err, struct kube **ret_kube)
{
	struct kube *kube = calloc(1, sizeof(*kube));
	int rc;

	if (!kube)
		return err_set(err, -ENOMEM, "no memory");
	kube->loop = loop;
	kube->sink = *sink;
	kube->may_kick = true;
	rc = start(kube, options, err);
	if (rc < 0)
		kube_free(kube);
	else
		*ret_kube = kube;
	return rc;
}

void kube_free(struct kube *kube)
{
	if (!kube)
		return;
	exec_cancel(kube->exec);
	kube_http_free(kube->http);
	for (int i = 0; i < OBJECT_KINDS; i++) {
		loop_remove(kube->follower[i].timer);
		watch_free(kube->follower[i].watch);
	}
	loop_remove(kube->probe);
	loop_remove(kube->endpoints_work);
	auth_free(kube->auth);
	api_endpoints_done(&kube->endpoints);
	free(kube->endpoints_path);
	free(kube);
}

void kube_relist(struct kube *kube)
{
	for (int i = 0; i < OBJECT_KINDS; i++) {
		watch_relist(kube->follower[i].watch);
		(void)loop_arm(kube->follower[i].timer, 0, 0);
	}
}

void kube_count(const struct kube *kube, struct kube_stats *ret_stats)
{
	for (int i = 0; i < OBJECT_KINDS; i++)
		watch_count(kube->follower[i].watch, &ret_stats->watches[i]);
	kube_http_count(kube->http, &ret_stats->http);
	ret_stats->down = is_down(kube);
}
