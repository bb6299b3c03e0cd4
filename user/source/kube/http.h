/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_KUBE_HTTP_H
#define SOURCE_KUBE_HTTP_H

/*
 * Requests to API servers, by libcurl on the loop: HTTP/2 where the server has it, TLS 1.2 or later.
 *
 * One server at a time, the same one as long as it answers. Every 30 s a small request asks whether it still does, on the
 * connection of the others; when 15 s bring no answer, that connection is given up with all that is on it. A hung server
 * still acknowledges packets, so nothing below HTTP would notice.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct loop;
struct auth;
struct kube_http;
struct kube_transfer;

struct kube_server {
	char host[256]; /* name or address, IPv6 without brackets */
	uint16_t port;
	char tls_name[256]; /* the certificate must be for it; "": for host */
	char path[256];     /* in front of every path, "" for none */
	bool plain; /* http://, allowed towards this machine itself only; the token is not sent */
};

/* "https://host[:port][/path]", "http://127.0.0.1:8001". 0, or -EINVAL with *err. */
int kube_server_parse(const char *url, struct kube_server *ret_server, struct err *err);

/* auth must outlive it. */
int kube_http_new(struct loop *loop, struct auth *auth, struct kube_http **ret_http);
/* No callback is made any more; NULL is fine. */
void kube_http_free(struct kube_http *http);

/* Replaces the list (n > 0; copied). If the server in use is not in it, the first one is used from now on. */
int kube_http_set_servers(struct kube_http *http, const struct kube_server *servers, size_t n);

/* Ends all transfers under way (KUBE_HTTP_MISSED), so that nothing of the old connections is used any more. */
void kube_http_give_up(struct kube_http *http);

enum kube_http_end {
	KUBE_HTTP_CLEAN,
	KUBE_HTTP_CUT,    /* the answer has no end, or bytes() refused it */
	KUBE_HTTP_FAILED, /* there was no answer */
	KUBE_HTTP_MISSED, /* the connection was given up */
};

struct kube_http_ops {
	void *ctx;
	void (*head)(void *ctx, unsigned status, const char *retry_after); /* NULL: no such field */
	int (*bytes)(void *ctx, const char *bytes, size_t len);            /* not 0: cut it */
	/* The last call; the transfer is gone. may_retry: another server or connection waits to be tried. */
	void (*end)(void *ctx, enum kube_http_end how, bool may_retry, const char *why);
};

/* stream: taken uncompressed and without end; else compressed, if the server likes. 0 or a negative errno. */
int kube_http_get(struct kube_http *http, const char *target, bool stream,
		  const struct kube_http_ops *ops, struct kube_transfer **ret_transfer);
struct kube_http_request {
	const char *method; /* "GET", "POST", "PUT", "PATCH", "DELETE" */
	const char *target;
	const char *content_type; /* of the body */
	const char *body;         /* NULL: none; must live until end() */
	size_t body_len;
};

/* One request with one answer, within KUBE_HTTP_SEND_MS; bytes() gets the body of any status. 0 or a negative errno. */
#define KUBE_HTTP_SEND_MS 15000
int kube_http_send(struct kube_http *http, const struct kube_http_request *request,
		   const struct kube_http_ops *ops, struct kube_transfer **ret_transfer);

/* Ends it without a callback; not from within head() and bytes(). NULL is fine. */
void kube_http_cancel(struct kube_transfer *transfer);

/* Connects to each server in turn, one a call, and closes again. fn(ctx) when one can be reached: it is in use then. */
void kube_http_probe(struct kube_http *http, void (*fn)(void *ctx, bool reached), void *ctx);

struct kube_http_stats {
	uint64_t generations; /* sets of connections made */
	uint64_t misses;      /* of the 30 s request */
	uint64_t moves;       /* to another server */
	const char *server;   /* in use: host */
};
void kube_http_count(const struct kube_http *http, struct kube_http_stats *ret_stats);

#endif
