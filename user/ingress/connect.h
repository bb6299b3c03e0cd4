/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_CONNECT_H
#define INGRESS_CONNECT_H

/* Sockets towards endpoints. */
#include <stdbool.h>

struct origin;
struct settings;

/* A socket that is connected (0) or on its way (-EINPROGRESS), or -errno. */
int connect_start(const struct origin *origin, const struct settings *settings, int *ret_fd);

/* The socket was reported writable or in error: 0 if it is connected, else -errno. */
int connect_result(int fd);

#endif
