// SPDX-License-Identifier: GPL-2.0-only
/* Puts the client together: one watch for each kind, over one set of connections, to servers found in one of three ways. */
/* Must not know what answers mean. */
#include "source/kube/kube.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/loop.h"
#include "source/kube/exec.h"
#include "source/kube/follower.h"
#include "source/object.h"

#define PROBE_NS        (800 * CLOCK_NS_PER_MS)
#define PROBE_JITTER_NS (400 * CLOCK_NS_PER_MS)

uint64_t kube_random(void)
{
	uint64_t bits = 0;

	if (getrandom(&bits, sizeof(bits), GRND_NONBLOCK) != sizeof(bits))
		bits = clock_wall_ns() * UINT64_C(0x9e3779b97f4a7c15);
	return bits;
}

/* ---- the credential plugin -------------------------------------------------------------------------- */

void kube_kick(struct kube *kube)
{
	struct follower *f;

	for (f = kube->followers; f; f = f->next) {
		watch_kick(f->watch, clock_now_ns(), kube_random());
		follower_wake(f); /* it looks what it has to wait for */
	}
	kube_sends_kick(kube);
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
		kube_kick(kube);
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

bool kube_may_ask(struct kube *kube)
{
	if (!auth_exec_is_due(kube->auth, clock_now_ns()))
		return true;
	run_plugin(kube);
	return false;
}

/* ---- while it is down ------------------------------------------------------------------------------- */

void kube_start_probing(struct kube *kube)
{
	if (!loop_is_armed(kube->probe))
		(void)loop_arm(kube->probe, PROBE_NS + kube_random() % PROBE_JITTER_NS, 0);
}

static bool is_down(const struct kube *kube)
{
	const struct follower *f;

	for (f = kube->followers; f; f = f->next)
		if (watch_is_down(f->watch))
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
	kube_kick(kube);
}

static void on_probe(void *arg)
{
	struct kube *kube = arg;

	if (!is_down(kube))
		return;
	kube_http_probe(kube->http, on_probed, kube);
	kube_start_probing(kube);
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
	[OBJECT_INGRESS] = {
		.kind = OBJECT_INGRESS,
		.api_version = "networking.k8s.io/v1",
		.path = "/apis/networking.k8s.io/v1/ingresses",
		.selector = "",
	},
	[OBJECT_INGRESS_CLASS] = {
		.kind = OBJECT_INGRESS_CLASS,
		.api_version = "networking.k8s.io/v1",
		.path = "/apis/networking.k8s.io/v1/ingressclasses",
		.selector = "",
	}, /* Secrets: kube_set_secrets() */
};

static int add_kind(struct kube *kube, enum object_kind kind)
{
	struct watch_config config = kinds[kind];
	char what[64];

	if (kind == OBJECT_NODE)
		config.selector = kube->node_selector;
	snprintf(what, sizeof(what), "API server, %s list", object_kind_name(kind));
	return follower_add(kube, &config, false, what);
}

static int add_all(struct kube *kube, const struct kube_options *o)
{
	int rc = loop_add_timer(kube->loop, on_probe, kube, &kube->probe);

	snprintf(kube->node_selector, sizeof(kube->node_selector),
		 "fieldSelector=metadata.name%%3D%s", o->node_name ? o->node_name : "");
	if (rc == 0)
		rc = loop_add_deferred(kube->loop, on_endpoints_work, kube, &kube->endpoints_work);
	if (rc == 0)
		rc = kube_secrets_init(kube);
	if (rc == 0)
		rc = kube_sends_init(kube);
	for (int i = 0; i < OBJECT_KINDS && rc == 0; i++)
		if ((o->kinds & OBJECT_BIT(i)) && kinds[i].path &&
		    (i != OBJECT_NODE || o->node_name))
			rc = add_kind(kube, (enum object_kind)i);
	return rc;
}

static int start(struct kube *kube, const struct kube_options *o, struct err *err)
{
	int rc;

	if (o->node_name &&
	    o->node_name[strspn(o->node_name, "abcdefghijklmnopqrstuvwxyz0123456789-.")])
		return err_set(err, -EINVAL,
			       "node name %s: the API knows only a-z, 0-9, '-' and '.'",
			       o->node_name);
	rc = auth_new(o->kubeconfig, err, &kube->auth);
	if (rc < 0)
		return rc;
	rc = kube_http_new(kube->loop, kube->auth, &kube->http);
	if (rc < 0)
		return err_set(err, rc, "cannot set up HTTP: %s", strerrordesc_np(-rc));
	rc = kube_find_servers(kube, o, err);
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
	kube->kinds = options->kinds;
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
	kube_sends_done(kube);
	while (kube->followers)
		follower_remove(kube->followers, false);
	kube_http_free(kube->http);
	loop_remove(kube->probe);
	loop_remove(kube->endpoints_work);
	kube_secrets_done(kube);
	auth_free(kube->auth);
	api_endpoints_done(&kube->endpoints);
	free(kube->endpoints_path);
	free(kube);
}

void kube_relist(struct kube *kube)
{
	struct follower *f;

	for (f = kube->followers; f; f = f->next) {
		watch_relist(f->watch);
		follower_wake(f);
	}
}

unsigned kube_kinds(const struct kube *kube)
{
	return kube->kinds;
}

void kube_count(const struct kube *kube, struct kube_stats *ret_stats)
{
	const struct follower *f;
	struct watch_stats one;

	memset(ret_stats, 0, sizeof(*ret_stats));
	for (f = kube->followers; f; f = f->next) {
		watch_count(f->watch, &one);
		watch_stats_add(&ret_stats->watches[f->config.kind], &one);
	}
	kube_http_count(kube->http, &ret_stats->http);
	ret_stats->down = is_down(kube);
}
