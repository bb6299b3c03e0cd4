/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_RECORD_H
#define INGRESS_RECORD_H

/*
 * What became of one request: the exchange fills it in as it goes; access log and counters read it once, at the end. Text and
 * counted things are borrowed and must be there at that moment. All-zero is a valid start; absent text is NULL.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "ingress/ending.h"

struct rule;

#define RECORD_TRIES 4 /* kept; more are only counted */

/* One attempt at an endpoint. */
struct record_try {
	struct address addr;
	uint16_t port;
	uint16_t status; /* of its answer; 0: there was none */
	uint8_t ending;  /* enum ending: how this attempt ended */
};

struct record_text {
	const char *at;
	size_t len;
};

struct record {
	const struct rule *rule; /* NULL: none was found */
	const char *pod;         /* of the last endpoint: namespace/name, or NULL */
	const char *protocol;    /* of the client: "HTTP/1.1", "HTTP/2.0" */
	const char *reason;      /* why the proxy answered by itself, or what was at fault; NULL */
	struct record_text method, host, path, query; /* as received; path without '?' */
	struct record_text request_id, trace_id, agent;
	struct address client; /* believed */
	uint16_t client_port;  /* of the connection */
	bool tls;
	bool retried;      /* at least once sent again */
	bool path_differs; /* what was matched is not what was received */
	uint16_t status;   /* sent to the client; 0: none */
	uint8_t ending;    /* enum ending */
	uint8_t phase;     /* enum phase: where it ended */
	uint16_t n_tries;  /* may be above RECORD_TRIES */
	struct record_try tries[RECORD_TRIES];
	uint64_t bytes_in;  /* of the request's body, framing not counted */
	uint64_t bytes_out; /* of the answer's */

	/* CLOCK_MONOTONIC; 0: did not come to that. */
	uint64_t begin_ns;      /* the head was complete */
	uint64_t connect_ns;    /* the endpoint's connection was wanted … */
	uint64_t connected_ns;  /* … and was ready; equal to connect_ns for one that was idle */
	uint64_t first_byte_ns; /* the final answer's head came */
	uint64_t last_byte_ns;  /* bytes of its body came last */
	uint64_t end_ns;
	uint64_t gap_max_ns; /* longest time between pieces of the answer's body */
};

#endif
