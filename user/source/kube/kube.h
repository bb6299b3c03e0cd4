/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_KUBE_KUBE_H
#define SOURCE_KUBE_KUBE_H

/*
 * A Kubernetes API server as a source (--source kube): Services, EndpointSlices, this node's Node and ServiceCIDRs, with
 * kube-proxy's selectors; and for a proxy Ingresses, IngressClasses and the Secrets that it names. Besides, requests of
 * one's own over the same connections.
 *
 * Whatever the server does or does not answer, what it said last is kept. While it cannot be reached, each second one
 * connection is tried, so that a short outage is over at most two seconds after its end.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/model.h"
#include "source/kube/http.h"
#include "source/kube/watch.h"

struct loop;
struct kube;

struct kube_options {
	const char *kubeconfig; /* NULL: the pod's service account */
	const char *const *
		api_servers; /* URLs, in place of what kubeconfig or environment say; tried in turn */
	size_t n_api_servers;
	const char *state_dir; /* where the API servers' addresses are kept; NULL: nowhere */
	const char *node_name; /* NULL: no Node is followed */
	unsigned kinds;        /* OBJECT_BIT()s of what is followed */
};

/*
 * Calls the sink (copied) from the loop. 0 or a negative errno with *err. -EHOSTUNREACH: the API server is known by its
 * cluster address only, and nobody serves that here.
 */
int kube_new(struct loop *loop, const struct kube_options *options, const struct source_sink *sink,
	     struct err *err, struct kube **ret_kube);
/* The sink is not called again. NULL is fine. */
void kube_free(struct kube *kube);

/* A Secret that is wanted, or all of type kubernetes.io/tls of a namespace. */
struct kube_secret {
	const char *namespace;
	const char *name; /* NULL: all of that type */
};

/*
 * From now on these Secrets are followed and no others; nothing before the first call. Copied; each time, when all of them
 * were listed, the sink hears `listed`. What is no longer wanted is gone. One that we may not read counts as listed and is a
 * problem. Any time, also from the sink. 0 or -ENOMEM.
 */
int kube_set_secrets(struct kube *kube, const struct kube_secret *wanted, size_t n);

#define KUBE_SENDS_MAX 1024 /* under way and waiting */

struct kube_send;

struct kube_answer {
	unsigned status;  /* 0: none came, or not all of it: it may have been carried out */
	const char *body; /* NUL-terminated, at most 1 MiB; valid during the call */
	size_t len;
	const char *why; /* status 0: what went wrong */
};
typedef void kube_answer_fn(void *ctx, const struct kube_answer *answer);

/*
 * Sends a request of one's own: an Event, a status, a Lease. It is copied; content_type NULL: application/json. fn is called
 * once, from the loop, never from within this call; the send is gone then. It is sent again after a 401, once, with the
 * credential read anew; and libcurl sends it again on a new connection when an old one breaks before the first byte of an
 * answer. So give what is POSTed a name: 409 says then that it is there already. 0; -EBUSY: too many; -ENOMEM. ret_send may be NULL. Any time, also from the sink.
 */
int kube_send(struct kube *kube, const struct kube_http_request *request, kube_answer_fn *fn,
	      void *ctx, struct kube_send **ret_send);
/* fn is not called; not from the sink. NULL is fine. */
void kube_send_cancel(struct kube_send *send);

/* Lists everything once more, soon: for a sink that lost something. */
void kube_relist(struct kube *kube);

/* The kinds that were asked for. */
unsigned kube_kinds(const struct kube *kube);

struct kube_stats {
	struct watch_stats watches[OBJECT_KINDS];
	struct kube_http_stats http;
	bool down; /* no answer to the last request of some kind */
};
void kube_count(const struct kube *kube, struct kube_stats *ret_stats);

#endif
