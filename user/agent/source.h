// SPDX-License-Identifier: GPL-2.0-only
/* Where objects come from, by the options: a folder of manifests, or a Kubernetes API server. */
#ifndef AGENT_SOURCE_H
#define AGENT_SOURCE_H

#include "agent/options.h"
#include "base/buf.h"
#include "base/err.h"
#include "core/model.h"

struct loop;
struct dir;
struct kube;

struct source {
	struct dir *dir; /* one of them is there */
	struct kube *kube;
};

/* config must outlive it. 0 or a negative errno with *err. */
int source_init(struct loop *loop, const struct config *config, const struct source_sink *sink,
		struct err *err, struct source *ret_source);
/* The sink is not called again. Works on a zeroed one. */
void source_done(struct source *source);
/* Everything again, soon. */
void source_relist(struct source *source);

/* Metrics of the API client; none for a folder. */
void source_write_metrics(const struct source *source, struct buf *out);

#endif
