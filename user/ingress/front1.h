/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_FRONT1_H
#define INGRESS_FRONT1_H

/* HTTP/1.1 on a client's connection: its requests one after the other, pipelined ones too. */
#include <stddef.h>

struct client;

/* Speaks HTTP/1.1 from here on; bytes were read already. There may be more to read. 0 or -ENOMEM. */
int front1_new(struct client *client, const char *bytes, size_t len);

#endif
