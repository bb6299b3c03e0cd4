// SPDX-License-Identifier: GPL-2.0-only
/* A small HTTP server for pages that are made on demand: health and metrics. Answers GET and HEAD, unless told otherwise. */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H

#include <stdbool.h>

#include "serve/listen_addr.h"
#include "base/buf.h"

struct loop;
struct http;

struct http_page {
	struct buf body;
	const char *type;   /* Content-Type; a literal */
	const char *header; /* name of one more field, a literal; NULL: none */
	char header_value[32];
};

/* Fills the page for a path; returns the status (200, 503), or 404 for a path that is none. */
typedef unsigned int http_fn(void *ctx, const char *path, struct http_page *page);

struct http_options {
	struct listen_addr addr;
	const char *what; /* names the server in the log; must outlive it */
	http_fn *fn;
	void *ctx;
	bool any_method; /* whatever the method is, the page comes */
	bool v6_only;    /* an IPv6 address takes no IPv4 */
	/* In place of a word in the log, when the address cannot be bound; once, until it can. May be NULL */
	void (*cannot_bind)(void *ctx, const char *why);
	bool has_socket; /* one that listens already, taken over in any case: */
	int socket;
};

/* As http_new(). */
int http_new_with(struct loop *loop, const struct http_options *options, struct http **ret_http);

/*
 * Serves at addr from the loop. That the address cannot be bound is no failure: it is said in the log and tried again every five
 * seconds. what names the server in the log ("metrics"). 0 or -ENOMEM. An addr of nowhere gives *ret_http NULL.
 */
int http_new(struct loop *loop, const struct listen_addr *addr, const char *what, http_fn *fn,
	     void *ctx, struct http **ret_http);
/* The socket that listens, borrowed; -1: none does. http may be NULL. */
int http_listens_at(const struct http *http);
void http_free(struct http *http);

#endif
