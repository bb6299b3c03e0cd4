/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_EXCHANGE_STATE_H
#define INGRESS_EXCHANGE_STATE_H

/* What an exchange is, for exchange*.c alone. */
#include "base/buf.h"
#include "ingress/exchange.h"
#include "ingress/gate.h"
#include "ingress/pool.h"
#include "ingress/record.h"
#include "ingress/worker.h"

struct exchange {
	struct worker *worker;
	struct front *front;       /* NULL: it is over for the client */
	struct back *back;         /* NULL: none, or none yet */
	struct rule *rule;         /* counted; the one that counts */
	struct upstream *upstream; /* of the rule */
	struct origin *origin;     /* taken from it, or NULL */
	struct wheel_timer timer;
	struct worker_grave grave;
	struct record record;

	/* The request, for as long as it may have to be sent again. */
	struct buf text;               /* words for the log, then the head for the origin */
	size_t head_at;                /* where that begins */
	struct buf kept;               /* its body so far */
	size_t kept_sent;              /* of it, to this back */
	struct http1_trailer *trailer; /* a copy, or NULL */
	enum http1_body body;
	uint64_t body_max; /* bytes */

	struct upstream_pick pick;
	struct origin *tried[RECORD_TRIES]; /* counted */
	struct http1_set *response_set;     /* one block with its text, or NULL */
	size_t n_response_set;
	struct arena *arena; /* response_set and what it says, or NULL */

	uint64_t wait_until_ns; /* for an endpoint; 0: not waiting */
	uint64_t sent_ns;       /* the request was complete, or its last piece sent */
	uint64_t connect_limit_ns, send_limit_ns, first_byte_limit_ns, idle_limit_ns;
	enum back_protocol protocol;
	uint8_t phase;      /* enum phase */
	bool ready;         /* the back has the head */
	bool keeping;       /* kept holds all of the body so far */
	bool client_stalls; /* the front did not take all of the answer */
	bool request_done;  /* all of it has come from the client */
	bool request_sent;  /* and was given to the back, its end too */
	bool front_waits;   /* for room */
	bool is_head, is_idempotent, is_grpc, upgrade;
	bool answering; /* the final answer's head is with the front */
	bool fresh;     /* no idle connection for the next try */
};

struct http1_trailer {
	struct http1_head head;
	char bytes[];
};

/* Chooses an endpoint and sends the request, or answers that there is none. */
void exchange_pick(struct exchange *x);

/* Ends it with an answer of ours; an origin that is at work is left. */
void exchange_answer(struct exchange *x, unsigned status, enum ending ending, const char *reason);
void exchange_answer_with(struct exchange *x, unsigned status, enum ending ending,
			  const char *reason, const struct http1_set *set, size_t n_set,
			  const char *body, size_t body_len);

void exchange_init_timer(struct exchange *x);

/* The client's side knows already. */
void exchange_finish(struct exchange *x, enum ending ending);

#endif
