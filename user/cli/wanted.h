/* SPDX-License-Identifier: GPL-2.0-only */
/* Views to compare the kernel's with: what the source says, planned here anew, and what the agent wants. */
#ifndef CLI_WANTED_H
#define CLI_WANTED_H

#include "base/err.h"
#include "core/view.h"
#include "dp/maps.h"
#include "source/source.h"

struct cJSON;

/*
 * Reads a source once and plans it with an empty past. Sizes, node addresses, service ranges and options that no object says
 * are taken from the kernel's maps. The view, and whatever objects were refused (one line each to complain), are the caller's.
 * -ETIMEDOUT: a file was being written, or the API server has not answered, for 30 s.
 */
int wanted_from_source(const struct source_options *source, const struct sl_meta *meta,
		       const struct sl_config *config,
		       void (*complain)(void *ctx, const char *object, const char *reason),
		       void *ctx, struct err *err, struct view *ret_view);

/* The agent's answer to "wanted": services and their lists, without ids and rings. -ENOMEM or -EPROTO. */
int wanted_from_agent(const struct cJSON *answer, struct view *ret_view);

/* Takes out of a view what the agent's answer does not tell, so that the two can be compared. */
void wanted_reduce(struct view *view);

#endif
