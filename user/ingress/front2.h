/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_FRONT2_H
#define INGRESS_FRONT2_H

/*
 * HTTP/2 on a client's connection: one front for each stream.
 *
 * Frames of all streams of a turn leave in one write at its end, or before that when they are many. A request's body that the
 * origin does not take waits here, at most a stream's window; the window moves only by what was taken. The connection's moves by
 * what came, so one stream that stands does not hold up its siblings.
 *
 * Not offered: CONNECT, WebSocket over HTTP/2 (RFC 8441), push. Browsers then open HTTP/1.1 connections for WebSocket.
 */
#include <stddef.h>

struct client;

#define FRONT2_STREAMS 128 /* at once, on one connection */

/* Resets that a client may cause: so many at once, and then one for each stream that ends well, or a few a second. */
#define FRONT2_RESETS               200
#define FRONT2_RESETS_A_SECOND      20
/* The same for frames that ask for work and bring nothing: PING, SETTINGS, PRIORITY, DATA without bytes. */
#define FRONT2_IDLE_FRAMES          1000
#define FRONT2_IDLE_FRAMES_A_SECOND 100

/* Speaks HTTP/2 from here on; bytes were read already (the preface, by prior knowledge). There may be more to read. 0 or
 * -ENOMEM. */
int front2_new(struct client *client, const char *bytes, size_t len);

#endif
