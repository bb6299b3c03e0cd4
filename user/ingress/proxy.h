/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_PROXY_H
#define INGRESS_PROXY_H

/* The process as a whole: workers, control thread, signals. */

struct settings;

/* Serves until SIGTERM or SIGINT and what is left has ended. An exit code. */
int proxy_run(const struct settings *settings);

#endif
