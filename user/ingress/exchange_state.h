/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_EXCHANGE_STATE_H
#define INGRESS_EXCHANGE_STATE_H

/* What an exchange is, for exchange*.c and ask.c alone. */
#include "base/buf.h"
#include "ingress/exchange.h"
#include "ingress/forwarded.h"
#include "ingress/gate.h"
#include "ingress/pool.h"
#include "ingress/record.h"
#include "ingress/upstream.h"
#include "ingress/worker.h"

/* A request while it is judged, and what came of it. */
struct judged {
	const struct http1_head *head;
	const char *bytes;
	struct arena *arena; /* of all this */
	char *path;          /* the form that is matched */
	size_t path_len;
	struct forwarded forwarded;
	struct gate_request request;
	struct gate_result gate;
};

struct http1_trailer {
	struct http1_head head;
	char bytes[];
};

struct exchange {
	struct worker *worker;
	struct front *front;       /* NULL: it is over for the client */
	struct back *back;         /* NULL: none, or none yet */
	struct rule *rule;         /* counted; whose endpoints are asked: a canary's, maybe */
	struct policy *policy;     /* counted; what counts in any case; NULL: not judged yet */
	struct upstream *upstream; /* of the rule */
	struct tls_origin *tls;    /* of the rule, or NULL */
	struct origin *origin;     /* taken from the upstream, or NULL */
	struct wheel_timer timer;
	struct worker_grave grave;
	struct record record;

	/* The request, for as long as it may have to be sent again. */
	struct buf text;               /* words for the log, then the head for the origin */
	size_t head_at;                /* where that begins */
	struct buf kept;               /* its body so far */
	size_t kept_sent;              /* of it, to this back */
	struct http1_trailer *trailer; /* a copy, or NULL */
	uint64_t body_max;             /* bytes */

	/* Endpoints. */
	struct upstream_pick pick;
	struct origin *tried[RECORD_TRIES]; /* counted */

	/* What it was judged by: while it is being started; longer only if that is in the arena. */
	struct judged *judged;
	void *held;                     /* of the gate */
	struct ask *ask;                /* external authentication that runs */
	struct verify_wait *verify;     /* a password that is being checked */
	struct http1_set *response_set; /* in the arena, with room for one more */
	size_t n_response_set;
	struct arena *arena; /* of its own: what must outlive the start; or NULL */

	/* Limits. Times are nanoseconds. */
	uint64_t connect_limit_ns, send_limit_ns, first_byte_limit_ns, idle_limit_ns, wait_limit_ns;
	uint64_t tries_until_ns; /* 0: not limited */
	uint64_t wait_until_ns;  /* for an endpoint; 0: not waiting */
	uint64_t sent_ns;        /* the request was complete, or its last piece sent */
	uint64_t rate,
		rate_after; /* bytes a second of the answer (0: any), and those before that counts */
	unsigned next;      /* POLICY_NEXT_* */
	unsigned tries;
	unsigned stats; /* slot of counters */

	enum http1_body body;
	uint16_t origin_status; /* of the endpoint's answer; 0: none yet */
	uint8_t phase;          /* enum phase */
	uint8_t last_failure;   /* enum ending, of the endpoint before this one */
	bool ready;             /* the back has the head */
	bool keeping;           /* kept holds all of the body so far */
	bool client_stalls;     /* the front did not take all of the answer */
	bool throttled;         /* the rate allows no more of it for now */
	bool request_done;      /* all of it has come from the client */
	bool request_sent;      /* and was given to the back, its end too */
	bool front_waits;       /* for room */
	bool answering;         /* the final answer's head is with the front */
	bool fresh;             /* no idle connection for the next try */
	bool http2;             /* towards the origin */
	bool is_head, is_idempotent, is_grpc, upgrade;
	bool has_cookie; /* the last of response_set is one for the endpoint */
	bool is_ask;     /* not a client's: it asks for one */
	bool logged;     /* the access log wants it */
};

/* Chooses an endpoint and sends the request, or answers that there is none. */
void exchange_pick(struct exchange *x);

/* The gate has said what to do: answers, asks, or sends the request on its way. */
void exchange_judged(struct exchange *x, enum gate_verdict verdict);

/* The authentication service's answer; NULL: there is none. */
void exchange_asked(struct exchange *x, const struct http1_head *head, const char *bytes);

/* The gate's password was checked; or could not be. */
void exchange_verified(struct exchange *x, bool run);

/* Fields for the client, beside those of the gate, once the origin is known. */
void exchange_know_origin(struct exchange *x);

/* Ends it with an answer of ours; an origin that is at work is left. */
void exchange_answer(struct exchange *x, unsigned status, enum ending ending, const char *reason);
void exchange_answer_with(struct exchange *x, unsigned status, enum ending ending,
			  const char *reason, const struct http1_set *set, size_t n_set,
			  const char *body, size_t body_len);

void exchange_init_timer(struct exchange *x);

/* ---- exchange_end.c ---- */

/* Lets go of the endpoint. */
void exchange_release_origin(struct exchange *x, enum upstream_result result);
/* For the log: what came of this endpoint. */
void exchange_note_try(struct exchange *x, enum ending ending);
/* Nobody wants the endpoint's answer. */
void exchange_leave_back(struct exchange *x, enum ending why);
/* What has begun cannot be completed. */
void exchange_cut(struct exchange *x, enum ending ending);
/* It has failed: an answer of ours, unless one has begun. */
void exchange_fail(struct exchange *x, enum ending ending);
/* The client's side knows already. */
void exchange_finish(struct exchange *x, enum ending ending);

#endif
