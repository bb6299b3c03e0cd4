/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_KUBE_HTTP_STATE_H
#define SOURCE_KUBE_HTTP_STATE_H

/*
 * Connections and transfers, for http*.c alone; no other file of the source includes libcurl.
 *
 *   http.c          transfers from beginning to end; the watchdog, probes, the list of servers
 *   http_pool.c     connections on the loop: made, retired, given up
 *   http_request.c  what a request says and whom it trusts; what its answer's head and body say
 *   http_server.c   a server's URL
 */
#include <curl/curl.h>
#include <errno.h>
#include <string.h>

#include "source/kube/http.h"

struct loop_event;

/* Connections that belong together: one server, one authority, one client certificate. */
struct pool {
	struct kube_http *http;
	struct pool *next;
	CURLM *multi;
	struct loop_event *timer;
	struct kube_transfer *first;
	bool retired; /* freed when its last transfer ends */
};

struct kube_transfer {
	struct pool *pool;
	struct kube_transfer *prev, *next;
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	struct kube_http_ops ops;
	void (*probed)(void *ctx, bool reached); /* of a probe; ops.ctx is its argument */
	size_t probe_server;
	bool watchdog;
	bool sends; /* kube_http_send() */
	uint64_t started_ns;
	unsigned status;
	size_t refusal_bytes;
	char retry_after[64];
	char why[CURL_ERROR_SIZE];
};

struct kube_http {
	struct loop *loop;
	struct auth *auth;
	struct kube_server *servers;
	size_t n_servers, current, probed;
	size_t tried;       /* servers that gave no answer since the last one that did */
	struct pool *pools; /* the first is in use, unless it is retired */
	uint64_t auth_generation;
	struct loop_event *watchdog_timer, *sweeper;
	struct kube_transfer *watchdog;
	struct kube_http_stats stats;
};

/* A part of a text, with a NUL behind it. 0, or -EINVAL: there is no room for it. */
static inline int copy_part(char *to, size_t size, const char *from, size_t len)
{
	if (len >= size)
		return -EINVAL;
	memcpy(to, from, len);
	to[len] = 0;
	return 0;
}

/* ---- http.c ---- */

/* The transfer is over, and gone; its owner is told. missed: because its connection was given up. */
void kube_http_finish(struct kube_transfer *t, CURLcode code, bool missed);

/* ---- http_pool.c ---- */

/* The first of http->pools from now on; NULL without memory. */
struct pool *kube_pool_new(struct kube_http *http);
void kube_pool_free(struct pool *pool);
/* The pool for a request that begins now; NULL without memory. */
struct pool *kube_pool_current(struct kube_http *http);
/* The next request makes connections of its own; what is under way goes on. */
void kube_pool_retire(struct kube_http *http);
/* Frees what is retired and empty; arg: the kube_http. */
void kube_pool_sweep(void *arg);

/* ---- http_request.c ---- */

/* NULL without memory. */
struct kube_transfer *kube_transfer_new(void);
void kube_transfer_free(struct kube_transfer *t);
/* Where to, and what the certificate must say. 0 or -ENOMEM. */
int kube_transfer_set_address(struct kube_transfer *t, const struct kube_server *s, bool probe,
			      const char *target);
/* A request, GET at first, not yet started. 0 or -ENOMEM. */
int kube_transfer_prepare(struct kube_http *http, const char *target, bool stream,
			  struct kube_transfer **ret);
/* Method and body. 0 or -ENOMEM. */
int kube_transfer_set_request(struct kube_transfer *t, const struct kube_http_request *request);

/* ---- http_server.c ---- */

bool kube_server_is_same(const struct kube_server *a, const struct kube_server *b);

#endif
