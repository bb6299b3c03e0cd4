/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_CONTROL_H
#define INGRESS_CONTROL_H

/*
 * What the control thread does besides the configuration, which it owns: the pages, and where objects come from an API server
 * the election, the Ingresses' status and Events.
 */
#include <stddef.h>

#include "base/err.h"

struct access_log;
struct config;
struct control;
struct loop;
struct settings;
struct stats_hub;
struct worker;

struct control_input {
	struct loop *loop;
	const struct settings *settings;
	struct worker *const *workers;
	size_t n_workers;
	struct stats_hub *stats;
	struct access_log *log;      /* NULL: none */
	void (*on_ready)(void *ctx); /* the configuration is in force; each time it changes */
	void *ctx;
};

/* 0 or a negative errno with *err. */
int control_new(const struct control_input *input, struct err *err, struct control **ret_control);
/* After the workers. NULL is fine. */
void control_free(struct control *control);

/* Begins to serve the pages: at fd, which listens and is taken over, or (-1) at --metrics-addr. */
void control_serve(struct control *control, int fd);
/* Where they are served, borrowed; -1: nowhere. */
int control_listens_at(const struct control *control);
void control_stop_serving(struct control *control);

/* No longer ready, no longer a leader. */
void control_drain(struct control *control);

/* --check: reads everything once, prints what is wrong; an exit code. */
int control_check(const struct settings *settings);

#endif
