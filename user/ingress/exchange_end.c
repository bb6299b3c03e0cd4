// SPDX-License-Identifier: GPL-2.0-only
/* How an exchange ends: who is told, what the client gets, what is let go. */
/* Must not know when it ends. */
#include <stdlib.h>

#include "ingress/answer.h"
#include "ingress/ask.h"
#include "ingress/client.h"
#include "ingress/exchange_state.h"
#include "ingress/report.h"
#include "ingress/rule.h"
#include "ingress/upstream.h"
#include "ingress/verify.h"

static void exchange_free(void *arg)
{
	struct exchange *x = arg;

	if (x->arena) {
		arena_done(x->arena);
		free(x->arena);
	}
	buf_done(&x->kept);
	free(x->trailer);
	free(x);
}

void exchange_release_origin(struct exchange *x, enum upstream_result result)
{
	if (!x->origin)
		return;
	upstream_release(x->upstream, x->origin, result, worker_now_ns(x->worker));
	x->origin = NULL;
}

static enum upstream_result result_of(enum ending ending)
{
	switch (ending) {
	case ENDING_COMPLETE:
		return UPSTREAM_OK;
	case ENDING_ORIGIN_CONNECT:
	case ENDING_ORIGIN_TLS:
	case ENDING_ORIGIN_CLOSED:
	case ENDING_ORIGIN_RESET:
	case ENDING_ORIGIN_TIMEOUT:
	case ENDING_ORIGIN_FAULT:
		return UPSTREAM_FAILED;
	default:
		return UPSTREAM_ABANDONED;
	}
}

void exchange_note_try(struct exchange *x, enum ending ending)
{
	struct record *record = &x->record;

	if (!x->origin)
		return;
	if (record->n_tries < RECORD_TRIES) {
		struct record_try *try = &record->tries[record->n_tries];

		try->addr = x->origin->addr;
		try->port = x->origin->port;
		try->status = x->origin_status;
		try->ending = (uint8_t)ending;
	}
	record->n_tries++;
}

void exchange_finish(struct exchange *x, enum ending ending)
{
	struct worker *worker = x->worker;

	if (x->front)
		x->front->exchange = NULL;
	x->front = NULL;
	x->back = NULL;
	worker_clear_timer(worker, &x->timer);
	if (x->ask)
		ask_abandon(x->ask);
	if (x->verify)
		verify_abandon(x->verify);
	if (x->judged)
		gate_job_drop(x->judged->gate.job);
	x->judged = NULL;
	exchange_note_try(x, ending);
	x->record.ending = (uint8_t)ending;
	x->record.phase = ending == ENDING_COMPLETE ? PHASE_DONE : x->phase;
	x->record.rule = x->rule;
	x->record.pod = x->origin ? x->origin->pod : NULL;
	if (!x->is_ask)
		report(worker, x->stats, &x->record, x->logged);
	if (x->held) {
		struct gate_result left = { .held = x->held };

		gate_leave(worker->gate, &left);
	}
	exchange_release_origin(x, result_of(ending));
	for (size_t i = 0; i < RECORD_TRIES; i++)
		origin_drop(x->tried[i]);
	rule_drop(x->rule);
	policy_drop(x->policy);
	worker_give_buf(worker, &x->text);
	x->grave = (struct worker_grave){ .free = exchange_free, .arg = x };
	worker_bury(worker, &x->grave);
}

void exchange_leave_back(struct exchange *x, enum ending why)
{
	struct back *back = x->back;

	x->back = NULL;
	x->ready = false;
	if (back)
		back->ops->abort(back, why);
}

/* With those that are for every answer. */
static size_t join_sets(const struct exchange *x, const struct http1_set *set, size_t n_set,
			struct http1_set *all)
{
	size_t n = 0;

	for (size_t i = 0; i < n_set && n < ANSWER_SET; i++)
		all[n++] = set[i];
	for (size_t i = 0; i < x->n_response_set && n < ANSWER_SET; i++)
		all[n++] = x->response_set[i];
	return n;
}

void exchange_answer_with(struct exchange *x, unsigned status, enum ending ending,
			  const char *reason, const struct http1_set *set, size_t n_set,
			  const char *body, size_t body_len)
{
	struct front *front = x->front;
	struct http1_set all[ANSWER_SET];
	struct answer answer = {
		.status = status,
		.set = all,
		.n_set = join_sets(x, set, n_set, all),
		.body = body,
		.body_len = body_len,
		.reason = reason,
		.is_head = x->is_head,
		.is_grpc = x->is_grpc,
	};

	exchange_leave_back(x, ending);
	x->front = NULL;
	x->record.status = (uint16_t)status;
	x->record.reason = reason;
	if (x->is_ask) /* who asks tells no answer from ours */
		front->ops->abort(front, ending);
	else if (answer_send(front, &answer) < 0)
		front->ops->abort(front, ending);
	front->exchange = NULL;
	exchange_finish(x, ending);
}

void exchange_answer(struct exchange *x, unsigned status, enum ending ending, const char *reason)
{
	static const struct http1_set soon[] = { { .name = "Retry-After", .value = "5" } };

	exchange_answer_with(x, status, ending, reason, soon, status == 503, NULL, 0);
}

/* What has begun cannot be completed. */
void exchange_cut(struct exchange *x, enum ending ending)
{
	struct front *front = x->front;

	exchange_leave_back(x, ending);
	x->front = NULL;
	front->exchange = NULL;
	front->ops->abort(front, ending);
	exchange_finish(x, ending);
}

void exchange_fail(struct exchange *x, enum ending ending)
{
	if (x->answering)
		exchange_cut(x, ending);
	else if (ending == ENDING_NO_MEMORY)
		exchange_answer(x, 500, ending, "out of memory");
	else
		exchange_answer(x, ending == ENDING_ORIGIN_TIMEOUT ? 504 : 502, ending,
				ending_text(ending));
}
