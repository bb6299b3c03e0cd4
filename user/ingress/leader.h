/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_LEADER_H
#define INGRESS_LEADER_H

/*
 * One of several replicas leads, by a Lease (coordination.k8s.io/v1) that it holds and renews. Pure: no I/O, no clock; the
 * owner asks leader_next() what to do, does it, and tells leader_answer() what came of it.
 *
 * Whether another's lease has run out is judged by when its renewal was first seen here, on this machine's clock: clocks of
 * machines need not agree. Who cannot renew stops leading before anybody else may begin.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define LEADER_DURATION_S 6 /* a lease that was not renewed for so long is anybody's */
#define LEADER_RENEW_NS   UINT64_C(2000000000)
#define LEADER_GIVE_UP_NS UINT64_C(4000000000) /* since the last renewal: no longer leading */
#define LEADER_RETRY_NS   UINT64_C(1000000000)

struct leader {
	const char *identity; /* of this replica; must be its own */
	const char *namespace, *name;

	bool known; /* the Lease is there, and this is what it says: */
	char holder[256];
	char version[256]; /* resourceVersion */
	char renewed[64];
	char acquired[64];
	uint64_t transitions;
	uint64_t duration_s;
	uint64_t seen_ns; /* when `renewed` was first seen to be so */

	bool busy;  /* a request is under way */
	bool holds; /* the last that was heard */
	bool releasing;
	enum { LEADER_GET, LEADER_CREATE, LEADER_UPDATE } asked;
	uint64_t sent_ns, next_ns;
	uint64_t renewed_ns;   /* when the last successful renewal was sent */
	const char *complaint; /* why it does not go on; NULL: it does */
	unsigned status;       /* of the last answer */
};

/* Strings are borrowed. */
void leader_init(struct leader *leader, const char *identity, const char *namespace,
		 const char *name);

struct leader_request {
	const char *method;
	struct buf target, body; /* body may be empty */
};

/*
 * True: send *request (its buffers are reset and filled; wall_ns is Unix time), and tell leader_answer(). False: nothing to do
 * before *ret_next_ns.
 */
bool leader_next(struct leader *leader, uint64_t now_ns, uint64_t wall_ns,
		 struct leader_request *request, uint64_t *ret_next_ns);

/* The answer; status 0: none came, and it may have been carried out or not. random: 32 fresh random bits. */
void leader_answer(struct leader *leader, uint64_t now_ns, uint32_t random, unsigned status,
		   const char *body);

bool leader_leads(const struct leader *leader, uint64_t now_ns);

/* From now on it does not want to lead; the next request gives the lease back, if it has it. */
void leader_release(struct leader *leader);
bool leader_is_released(const struct leader *leader);

#endif
