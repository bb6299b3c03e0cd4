/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_GATE_H
#define INGRESS_GATE_H

/*
 * What an Ingress's annotations mean for one request, in the order in which they count: source ranges, redirects (to TLS, app-root,
 * permanent ones), CORS preflight, rate and connection limits, client certificate, basic authentication, external authentication,
 * canary, body size, affinity. What costs nothing is not counted against a rate. Pure but for the counters of struct gate: a request in, a decision out; clock and
 * randomness come from the caller.
 *
 *	gate_check()      GATE_ASK: send gate_ask() to rule->ask, then gate_answered() with what came
 *	                  GATE_VERIFY: gate_job_run() on a thread that may be busy for a while, then gate_verified()
 *	upstream_take()   with result.pick
 *	gate_cookie()     once the origin is known: a Set-Cookie for the client, or none
 *	gate_leave()      when the exchange is over, always
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "core/address.h"
#include "ingress/http1.h"
#include "ingress/rule.h"
#include "ingress/upstream.h"

/* What all threads count together: rates, passwords that were found right. One a process. */
struct gate;

struct gate_settings {
	uint64_t seed;       /* random: of hash tables that clients choose the keys of */
	uint16_t https_port; /* in redirects, if it is not 443; 0: 443 */
	uint64_t body_max;   /* of requests whose Ingress says nothing; bytes, 0: no limit */
	enum upstream_near near;
};

int gate_new(const struct gate_settings *settings, struct gate **ret_gate); /* 0 or -ENOMEM */
void gate_free(struct gate *gate);                                          /* NULL is fine */

struct gate_request {
	struct gate *gate;
	const struct http1_head *head;
	const char *bytes;
	const char *path; /* in the matched form */
	size_t path_len;
	struct address
		client; /* believed: of the peer, the PROXY protocol or a trusted X-Forwarded-For */
	bool tls;       /* believed: of the connection, or a trusted X-Forwarded-Proto */
	const char *client_cert_problem; /* NULL: verified, or none was demanded */
	bool has_client_cert;
	const char *client_cert_subject, *client_cert_issuer; /* RFC 2253; NULL without one */
	const char *client_cert_pem; /* percent-encoded; NULL without one */
	uint64_t now_ns;             /* CLOCK_MONOTONIC */
	int64_t now_s;               /* Unix time */
	uint32_t random;
	struct match_work *match; /* of the thread; NULL: one is made where it is needed */
	bool can_wait; /* GATE_VERIFY is understood; else a password is checked within gate_check() */
	struct arena *arena; /* results live there */
};

enum gate_verdict {
	GATE_PASS,
	GATE_ANSWER, /* with status, answer_set, response_set and body */
	GATE_ASK,    /* external authentication: gate_ask(), then gate_answered() */
	GATE_VERIFY, /* a password: gate_job_run(result->job), then gate_verified() */
};

struct gate_job;

struct gate_sets {
	struct http1_set *set; /* in the arena */
	size_t n;
};

struct gate_result {
	/* Whose endpoints are asked: the given rule, or its canary's; borrowed from it. */
	struct rule *rule;
	/* What counts for the request in any case: time-outs, fields, limits. Of the given rule, never of a canary. */
	const struct policy *policy;
	unsigned status;
	struct gate_sets answer_set; /* of our answer: Location, WWW-Authenticate, Retry-After … */
	const char *body;            /* of our answer; NULL: as pages of errors are */
	size_t body_len;
	struct gate_sets request_set; /* for the origin */
	struct gate_sets
		response_set; /* for the client, in every answer: CORS, HSTS, cookies, custom ones */
	struct upstream_pick pick; /* choice, near, hash, sticky, random, now_ns */
	uint64_t body_max;         /* bytes; UINT64_MAX: no limit */
	const char *reason;        /* why it is an answer: for the log */
	void *held;                /* of a connection limit; given back by gate_leave() */
	struct gate_job
		*job; /* GATE_VERIFY: counted; gate_job_drop() when nobody needs it any more */
};

/* 0 or -ENOMEM. *ret_result is to be given to gate_leave() in any case. */
int gate_check(const struct gate_request *request, struct rule *rule,
	       enum gate_verdict *ret_verdict, struct gate_result *ret_result);

/* Appends the head of the request to the authentication service: text of HTTP/1.1, without a body. 0 or -ENOMEM. */
int gate_ask(const struct gate_request *request, const struct rule *rule, struct buf *out);

/* Its answer's head; NULL: there was none (answered 503). *result as gate_check() left it. Never GATE_ASK. 0 or -ENOMEM. */
int gate_answered(const struct gate_request *request, struct rule *rule,
		  const struct http1_head *answer, const char *bytes,
		  enum gate_verdict *ret_verdict, struct gate_result *result);

/* Is the password right? Takes up to a tenth of a second, on any thread; the answer is kept in the gate for a while. */
void gate_job_run(struct gate_job *job);
struct gate_job *gate_job_hold(struct gate_job *job);
void gate_job_drop(struct gate_job *job); /* NULL is fine */

/* result->job has been run; or has not (run false), because too many wait: answered 503. Never GATE_VERIFY. 0 or -ENOMEM. */
int gate_verified(const struct gate_request *request, struct rule *rule, bool run,
		  enum gate_verdict *ret_verdict, struct gate_result *result);

/* The value of Set-Cookie that keeps the client at this origin; NULL: it has that cookie, or is not to be kept. */
const char *gate_cookie(const struct gate_request *request, const struct gate_result *result,
			const struct origin *origin);

void gate_leave(struct gate *gate, struct gate_result *result);

#endif
