/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_CONFIG_H
#define INGRESS_CONFIG_H

/* Objects of the source into snapshots and endpoints, for all workers. On the control thread. */
#include <stddef.h>

#include "base/err.h"

struct config;
struct gate;
struct loop;
struct settings;
struct stats_hub;
struct tls;
struct worker;

struct config_input {
	struct loop *loop; /* the control thread's */
	const struct settings *settings;
	struct worker *const *workers;
	size_t n_workers;
	struct stats_hub *stats;
};

/* Opens the source. 0 or a negative errno with *err. */
int config_new(const struct config_input *input, struct err *err, struct config **ret_config);
void config_free(struct config *config); /* after the workers; NULL is fine */

#endif
