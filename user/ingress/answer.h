/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_ANSWER_H
#define INGRESS_ANSWER_H

/* Answers of the proxy itself, by whatever protocol the client speaks: a status, a few fields, a line of text. */
#include <stdbool.h>
#include <stddef.h>

#include "ingress/exchange.h"

struct answer {
	unsigned status;
	const struct http1_set
		*set;     /* fields; Content-Type, Content-Length and Date come by themselves */
	size_t n_set;     /* at most ANSWER_SET */
	const char *body; /* NULL: one line, from status and reason */
	size_t body_len;
	const char *reason; /* a few words, never of the request; NULL: none */
	bool is_head;       /* the request's method is HEAD */
	bool is_grpc;       /* the request is one of gRPC: the answer is 200 with grpc-status */
	bool close;         /* the connection ends */
};

#define ANSWER_SET 16

/* Head, body and end. 0, or what the front's head() said: nothing was sent. */
int answer_send(struct front *front, const struct answer *answer);

/* The same for a request that never became an exchange, and its line in the access log. reason NULL: no line. */
void answer_refused(struct front *front, unsigned status, const char *reason);

/* "Not Found"; never NULL. */
const char *answer_phrase(unsigned status);

#endif
