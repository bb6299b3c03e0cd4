/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_GATE_H
#define INGRESS_GATE_H

/*
 * What an Ingress's annotations mean for one request, in the order in which they count: source ranges, rate and connection limits,
 * redirects, CORS preflight, client certificate, basic authentication, external authentication, canary, body size, affinity.
 * Pure: a request in, a decision out; clock and randomness come from the caller.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "core/address.h"
#include "ingress/http1.h"
#include "ingress/rule.h"
#include "ingress/upstream.h"

struct gate_request {
	const struct http1_head *head;
	const char *bytes;
	const char *path; /* in the matched form */
	size_t path_len;
	struct address
		client; /* believed: of the peer, the PROXY protocol or a trusted X-Forwarded-For */
	bool tls;       /* believed: of the connection, or a trusted X-Forwarded-Proto */
	const char *client_cert_problem; /* NULL: verified, or none was asked for */
	uint64_t now_ns;                 /* CLOCK_MONOTONIC */
	int64_t now_s;                   /* Unix time */
	uint32_t random;
	struct arena *arena; /* results live there */
};

enum gate_verdict {
	GATE_PASS,
	GATE_ANSWER, /* with status, set and body */
	GATE_ASK, /* external authentication: ask policy's URL first, then gate_check() again with its answer */
};

struct gate_result {
	struct rule *rule; /* the one that counts from here on (a canary's, maybe); borrowed */
	unsigned status;
	const struct http1_set *answer_set; /* fields of our answer */
	size_t n_answer_set;
	const char *body;
	size_t body_len;
	const struct http1_set *request_set; /* fields for the origin */
	size_t n_request_set;
	const struct http1_set
		*response_set; /* fields for the client: CORS, HSTS, cookies, custom ones */
	size_t n_response_set;
	struct upstream_pick pick; /* choice, hash, sticky */
	uint64_t body_max;         /* bytes; UINT64_MAX: no limit */
	const char *reason;        /* why it is an answer: for the log */
};

/* 0 or -ENOMEM. */
int gate_check(const struct gate_request *request, struct rule *rule,
	       enum gate_verdict *ret_verdict, struct gate_result *ret_result);

#endif
