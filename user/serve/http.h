// SPDX-License-Identifier: GPL-2.0-only
/* A small HTTP server for pages that are made on demand: health and metrics. Answers GET and HEAD, nothing else. */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H

#include "serve/listen_addr.h"
#include "base/buf.h"

struct loop;
struct http;

struct http_page {
	struct buf body;
	const char *type; /* Content-Type; a literal */
};

/* Fills the page for a path; returns the status (200, 503), or 404 for a path that is none. */
typedef unsigned int http_fn(void *ctx, const char *path, struct http_page *page);

/*
 * Serves at addr from the loop. That the address cannot be bound is no failure: it is said in the log and tried again every five
 * seconds. what names the server in the log ("metrics"). 0 or -ENOMEM. An addr of nowhere gives *ret_http NULL.
 */
int http_new(struct loop *loop, const struct listen_addr *addr, const char *what, http_fn *fn,
	     void *ctx, struct http **ret_http);
void http_free(struct http *http);

#endif
