/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_KUBE_KUBE_H
#define SOURCE_KUBE_KUBE_H

/*
 * A Kubernetes API server as a source (--source kube): Services, EndpointSlices, this node's Node and ServiceCIDRs, with
 * kube-proxy's selectors.
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
	const char *node_name;
};

/*
 * Calls the sink (copied) from the loop. 0 or a negative errno with *err. -EHOSTUNREACH: the API server is known by its
 * cluster address only, and nobody serves that here.
 */
int kube_new(struct loop *loop, const struct kube_options *options, const struct source_sink *sink,
	     struct err *err, struct kube **ret_kube);
/* The sink is not called again. NULL is fine. */
void kube_free(struct kube *kube);

/* Lists everything once more, soon: for a sink that lost something. */
void kube_relist(struct kube *kube);

struct kube_stats {
	struct watch_stats watches[OBJECT_KINDS];
	struct kube_http_stats http;
	bool down; /* no answer to the last request of some kind */
};
void kube_count(const struct kube *kube, struct kube_stats *ret_stats);

#endif
