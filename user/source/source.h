/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

/*
 * Where objects come from: a folder of manifests, or a Kubernetes API server. What the agent and the proxy open.
 *
 *	struct source_options options = { .dir = NULL, .kinds = OBJECTS_OF_PROXY, .kube = { .node_name = "n1" } };
 *	source_init(loop, &options, &sink, &err, &source);
 */
#include "base/buf.h"
#include "base/err.h"
#include "core/model.h"
#include "source/kube/kube.h"

struct loop;
struct dir;

struct source_options {
	const char *dir;          /* a folder of manifests; NULL: an API server */
	unsigned kinds;           /* OBJECT_BIT()s of what the sink is told of */
	struct kube_options kube; /* kinds in it does not count */
};

struct source {
	struct dir *dir; /* one of them is there */
	struct kube *kube;
};

/* The options' texts must outlive it. 0 or a negative errno with *err. */
int source_init(struct loop *loop, const struct source_options *options,
		const struct source_sink *sink, struct err *err, struct source *ret_source);
/* The sink is not called again. Works on a zeroed one. */
void source_done(struct source *source);
/* Everything again, soon. */
void source_relist(struct source *source);

/* As kube_set_secrets(). A folder gives all Secrets that it has, and has listed them from the start. */
int source_set_secrets(struct source *source, const struct kube_secret *wanted, size_t n);

/* As kube_send(); -EOPNOTSUPP: a folder takes nothing. */
int source_send(struct source *source, const struct kube_http_request *request, kube_answer_fn *fn,
		void *ctx, struct kube_send **ret_send);

/* Metrics of the API client; none for a folder. */
void source_write_metrics(const struct source *source, struct buf *out);

#endif
