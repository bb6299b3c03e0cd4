/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_GRPC_H
#define INGRESS_GRPC_H

/*
 * Answers of our own to calls of gRPC: 200 with the status in the head and no body ("trailers-only"), which is all that its
 * clients understand well. Pure.
 */
#include <stdbool.h>

#include "ingress/http1.h"

/* Content-Type: application/grpc, with or without +proto and the like. */
bool grpc_is_call(const struct http1_head *head, const char *bytes);

/* The code that stands for an HTTP status: 503 → 14 (unavailable), 504 → 4 (deadline exceeded), … */
unsigned grpc_status(unsigned http_status);

#define GRPC_ANSWER_FIELDS 3

/* The fields of such an answer: content-type, grpc-status and grpc-message (text, percent-encoded). They live in `room`. */
struct grpc_answer {
	struct http1_set set[GRPC_ANSWER_FIELDS];
	char status[4];
	char message[256];
};
void grpc_answer(unsigned http_status, const char *text, struct grpc_answer *room);

#endif
