/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_FORWARDED_H
#define INGRESS_FORWARDED_H

/*
 * What an origin is told about the client: X-Forwarded-*, X-Real-IP, X-Request-ID. Pure.
 *
 * From a peer that is not trusted, whatever it says about itself is replaced, Forwarded is left out. From a trusted proxy its
 * words are kept and the list of addresses is continued; the client is then the last address in it that is no proxy of ours.
 * A request id is kept from anybody if it looks like one. Trace context (traceparent, tracestate) is passed on as it is.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "core/address.h"
#include "ingress/http1.h"

struct forwarded_input {
	const struct http1_head *head;
	const char *bytes;
	struct address peer; /* of the connection, or as the PROXY header says */
	bool trusted;
	const struct cidr *proxies; /* trusted ones, for the list of addresses */
	size_t n_proxies;
	bool tls;
	uint16_t port;       /* the client connected to */
	uint64_t random[2];  /* for a request id */
	struct arena *arena; /* text lives there */
};

#define FORWARDED_SET 10

struct forwarded {
	struct http1_set set[FORWARDED_SET]; /* for http1_write_request() */
	size_t n_set;
	struct address client; /* believed */
	bool tls;              /* believed */
	const char *request_id;
};

/* 0 or -ENOMEM. */
int forwarded_fill(const struct forwarded_input *in, struct forwarded *ret_forwarded);

/* The 32 digits of a valid traceparent, or NULL. */
const char *forwarded_trace_id(const struct http1_head *head, const char *bytes);

#endif
