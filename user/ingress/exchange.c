// SPDX-License-Identifier: GPL-2.0-only
/* Carries one request to an endpoint and its answer back, and decides what a failure means. */
/* Must not know protocols, or how a request is judged. */
#include "ingress/exchange_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ingress/answer.h"
#include "ingress/client.h"
#include "ingress/report.h"
#include "ingress/rule.h"
#include "ingress/settings.h"
#include "ingress/stats.h"
#include "ingress/upstream.h"

#define WAIT_POLL_NS (25 * CLOCK_NS_PER_MS) /* is there an endpoint now? */
#define RACE_NS \
	CLOCK_NS_PER_S /* an idle connection that is closed under a request is closed that soon */

static uint64_t now(const struct exchange *x)
{
	return worker_now_ns(x->worker);
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

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

static void release_origin(struct exchange *x, enum upstream_result result)
{
	if (!x->origin)
		return;
	upstream_release(x->upstream, x->origin, result, now(x));
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

static void note_try(struct exchange *x, enum ending ending)
{
	struct record *record = &x->record;

	if (!x->origin)
		return;
	if (record->n_tries < RECORD_TRIES) {
		struct record_try *try = &record->tries[record->n_tries];

		try->addr = x->origin->addr;
		try->port = x->origin->port;
		try->status = x->answering ? record->status : 0;
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
	note_try(x, ending);
	x->record.ending = (uint8_t)ending;
	x->record.phase = ending == ENDING_COMPLETE ? PHASE_DONE : x->phase;
	x->record.rule = x->rule;
	x->record.pod = x->origin ? x->origin->pod : NULL;
	report(worker, &x->record);
	release_origin(x, result_of(ending));
	for (size_t i = 0; i < RECORD_TRIES; i++)
		origin_drop(x->tried[i]);
	rule_drop(x->rule);
	worker_give_buf(worker, &x->text);
	x->grave = (struct worker_grave){ .free = exchange_free, .arg = x };
	worker_bury(worker, &x->grave);
}

static void leave_back(struct exchange *x, enum ending why)
{
	struct back *back = x->back;

	x->back = NULL;
	x->ready = false;
	if (back)
		back->ops->abort(back, why);
}

void exchange_answer_with(struct exchange *x, unsigned status, enum ending ending,
			  const char *reason, const struct http1_set *set, size_t n_set,
			  const char *body, size_t body_len)
{
	struct front *front = x->front;
	struct answer answer = {
		.status = status,
		.set = set,
		.n_set = n_set,
		.body = body,
		.body_len = body_len,
		.reason = reason,
		.is_head = x->is_head,
		.is_grpc = x->is_grpc,
	};

	leave_back(x, ending);
	x->front = NULL;
	x->record.status = (uint16_t)status;
	x->record.reason = reason;
	if (answer_send(front, &answer) < 0)
		front->ops->abort(front, ending);
	front->exchange = NULL;
	exchange_finish(x, ending);
}

void exchange_answer(struct exchange *x, unsigned status, enum ending ending, const char *reason)
{
	static const struct http1_set soon[] = { { "Retry-After", "5" } };

	exchange_answer_with(x, status, ending, reason, soon, status == 503, NULL, 0);
}

/* What has begun cannot be completed. */
static void cut(struct exchange *x, enum ending ending)
{
	struct front *front = x->front;

	leave_back(x, ending);
	x->front = NULL;
	front->exchange = NULL;
	front->ops->abort(front, ending);
	exchange_finish(x, ending);
}

static void fail(struct exchange *x, enum ending ending)
{
	if (x->answering)
		cut(x, ending);
	else if (ending == ENDING_NO_MEMORY)
		exchange_answer(x, 500, ending, "out of memory");
	else
		exchange_answer(x, ending == ENDING_ORIGIN_TIMEOUT ? 504 : 502, ending,
				ending_text(ending));
}

/* ---- deadlines ------------------------------------------------------------------------------------------------- */

static uint64_t limit(const struct exchange *x)
{
	switch (x->phase) {
	case PHASE_SEND:
		return x->send_limit_ns;
	case PHASE_WAIT:
		return x->first_byte_limit_ns;
	case PHASE_BODY:
	case PHASE_TUNNEL:
		return x->idle_limit_ns;
	default: /* connecting is timed by who does it */
		return 0;
	}
}

/* Something has moved. */
static void touch(struct exchange *x)
{
	uint64_t ns = limit(x);

	if (ns)
		worker_set_timer(x->worker, &x->timer, now(x) + ns);
}

static void set_phase(struct exchange *x, enum phase phase)
{
	x->phase = (uint8_t)phase;
	touch(x);
}

static void on_timeout(void *arg)
{
	struct exchange *x = arg;

	if (x->wait_until_ns)
		exchange_pick(x);
	else if (x->client_stalls ||
		 (x->phase == PHASE_SEND && !x->request_done && !(x->back && x->front_waits)))
		touch(x); /* it is the client that is slow, and the front has its own deadline for that */
	else
		fail(x, ENDING_ORIGIN_TIMEOUT);
}

/* ---- towards the origin ---------------------------------------------------------------------------------------- */

static void forget_request(struct exchange *x)
{
	x->keeping = false;
	buf_done(&x->kept);
	x->kept_sent = 0;
}

/* The end of the request, once all before it is with the back. */
static void send_end(struct exchange *x)
{
	struct http1_trailer *trailer = x->trailer;

	if (!x->ready || !x->request_done || x->request_sent || x->kept_sent < x->kept.len)
		return;
	x->request_sent = true;
	if (x->body != HTTP1_NO_BODY)
		x->back->ops->end(x->back, trailer ? &trailer->head : NULL,
				  trailer ? trailer->bytes : NULL);
	x->sent_ns = now(x);
	if (!x->answering)
		set_phase(x, PHASE_WAIT);
}

/* What was kept, to a back that has not had it. */
static void send_kept(struct exchange *x)
{
	size_t left = x->kept.len - x->kept_sent;

	if (left)
		x->kept_sent += x->back->ops->body(x->back, x->kept.data + x->kept_sent, left);
	send_end(x);
}

/* The back can be given the request. 0 or -errno. */
static int send_request(struct exchange *x)
{
	struct back *back = x->back;
	int rc;

	back->is_head = x->is_head;
	back->asked_upgrade = x->upgrade;
	rc = back->ops->head(back, x->text.data + x->head_at, x->text.len - x->head_at, x->body);

	if (rc < 0)
		return rc;
	x->ready = true;
	x->kept_sent = 0;
	x->record.connected_ns = now(x);
	x->sent_ns = now(x);
	set_phase(x, PHASE_SEND);
	send_kept(x);
	if (x->front_waits && x->kept_sent == x->kept.len) {
		x->front_waits = false;
		x->front->ops->resume(x->front);
	}
	return 0;
}

static bool was_tried(const struct exchange *x, const struct origin *origin)
{
	for (size_t i = 0; i < RECORD_TRIES; i++)
		if (x->tried[i] == origin)
			return true;
	return false;
}

/* Could the same request be sent once more, to anybody? */
static bool may_try_again(struct exchange *x)
{
	struct worker *worker = x->worker;

	if (x->answering || x->record.n_tries >= worker->settings->tries)
		return false;
	if (x->body != HTTP1_NO_BODY && !x->keeping)
		return false;
	if (upstream_may_retry(x->upstream, now(x)))
		return true;
	stats_add(worker->stats, STATS_RETRIES_REFUSED, 1);
	return false;
}

/* Lets go of the endpoint, which did not answer. */
static void give_back(struct exchange *x, enum ending why)
{
	note_try(x, why);
	if (x->record.n_tries <= RECORD_TRIES)
		x->tried[x->record.n_tries - 1] = origin_hold(x->origin);
	release_origin(x, UPSTREAM_FAILED);
	x->request_sent = false;
	x->ready = false;
}

static void none_is_ready(struct exchange *x)
{
	if (!x->wait_until_ns && x->worker->settings->wait_ns)
		x->wait_until_ns = now(x) + x->worker->settings->wait_ns;
	if (x->wait_until_ns > now(x) && !x->worker->draining) {
		worker_set_timer(x->worker, &x->timer, now(x) + WAIT_POLL_NS);
		return;
	}
	exchange_answer(x, 503, ENDING_ORIGIN_NONE, "no endpoint is ready");
}

/* Opens the way to x->origin. 0: it is under way. */
static int open_back(struct exchange *x)
{
	struct back_want want = {
		.origin = x->origin,
		.protocol = x->protocol,
		.policy = x->rule->policy,
		.fresh = x->fresh,
		.connect_ns = x->connect_limit_ns,
	};
	int rc;

	x->phase = PHASE_CONNECT;
	x->record.connect_ns = now(x);
	rc = pool_open(x->worker, &want, x, &x->back);
	if (rc == -EINPROGRESS)
		return 0;
	if (rc == 0)
		rc = send_request(x);
	return rc;
}

void exchange_pick(struct exchange *x)
{
	for (;;) {
		struct origin *origin;
		int rc;

		x->pick.tried = x->tried;
		x->pick.n_tried = x->record.n_tries < RECORD_TRIES ? x->record.n_tries
								   : RECORD_TRIES;
		x->pick.random = (uint32_t)worker_random64(x->worker);
		x->pick.now_ns = now(x);
		origin = upstream_take(x->upstream, &x->pick);
		if (!origin) {
			none_is_ready(x);
			return;
		}
		x->wait_until_ns = 0;
		worker_clear_timer(x->worker, &x->timer);
		x->origin = origin;
		rc = open_back(x);
		if (rc == 0)
			return;
		leave_back(x, ENDING_ORIGIN_CONNECT);
		if (rc == -ENOMEM || !may_try_again(x)) {
			fail(x, rc == -ENOMEM ? ENDING_NO_MEMORY : ENDING_ORIGIN_CONNECT);
			return;
		}
		x->record.retried = true;
		give_back(x, ENDING_ORIGIN_CONNECT);
	}
}

void exchange_back_ready(struct exchange *x, struct back *back)
{
	x->back = back;
	if (send_request(x) < 0)
		exchange_back_failed(x, ENDING_ORIGIN_CONNECT, true);
}

/*
 * A request that the origin may have acted on goes out again only if that does no harm by its method; or if the connection had been
 * idle and ended at once without a byte: then it was closed while the request was on its way.
 */
static bool is_harmless(const struct exchange *x, enum ending why, bool safe, bool reused)
{
	if (safe)
		return true;
	if (why != ENDING_ORIGIN_CLOSED && why != ENDING_ORIGIN_RESET)
		return false;
	return x->is_idempotent || (reused && now(x) - x->sent_ns < RACE_NS);
}

void exchange_back_failed(struct exchange *x, enum ending why, bool safe)
{
	bool reused = x->back && x->back->reused;
	struct origin *origin = x->origin;
	bool again;

	x->back = NULL;
	x->ready = false;
	again = !x->answering && is_harmless(x, why, safe, reused) && may_try_again(x);
	if (!again) {
		fail(x, why);
		return;
	}
	x->record.retried = true;
	x->fresh = reused;
	if (reused) { /* the endpoint is as good as any other: only the connection was old */
		note_try(x, why);
		release_origin(x, UPSTREAM_ABANDONED);
		x->request_sent = false;
	} else {
		bool known = was_tried(x, origin);

		give_back(x, why);
		if (known && why == ENDING_ORIGIN_CONNECT) { /* there is no other */
			fail(x, why);
			return;
		}
	}
	exchange_pick(x);
}

size_t exchange_request_body(struct exchange *x, const char *data, size_t len)
{
	size_t n = 0, room;

	if (x->phase == PHASE_TUNNEL) {
		n = x->back->ops->body(x->back, data, len);
		x->front_waits = n < len;
		touch(x);
		return n;
	}
	if (x->record.bytes_in + len > x->body_max) {
		if (x->answering)
			cut(x, ENDING_REFUSED);
		else
			exchange_answer(x, 413, ENDING_REFUSED, "the body is larger than allowed");
		return len;
	}
	room = x->keeping ? x->worker->settings->retry_body - x->kept.len : 0;
	if (x->ready && x->kept_sent == x->kept.len) {
		n = x->back->ops->body(x->back, data, len);
		x->sent_ns = now(x);
		if (n)
			touch(x);
		if (x->keeping && (n > room || buf_put(&x->kept, data, n) < 0))
			forget_request(x);
		else if (x->keeping)
			x->kept_sent += n;
	} else if (x->keeping) { /* what would not fit waits at the client */
		n = len < room ? len : room;
		if (buf_put(&x->kept, data, n) < 0)
			n = 0;
	}
	x->record.bytes_in += n;
	x->front_waits = n < len;
	return n;
}

static void keep_trailer(struct exchange *x, const struct http1_head *trailer, const char *bytes)
{
	size_t len = trailer->seen;

	free(x->trailer);
	x->trailer = malloc(sizeof(*x->trailer) + len);
	if (!x->trailer)
		return; /* they are optional (RFC 9110 6.5.1) */
	x->trailer->head = *trailer;
	memcpy(x->trailer->bytes, bytes, len);
}

void exchange_request_end(struct exchange *x, const struct http1_head *trailer, const char *bytes)
{
	x->request_done = true;
	if (x->phase == PHASE_TUNNEL) {
		x->back->ops->end(x->back, NULL, NULL);
		return;
	}
	if (trailer && trailer->n_fields)
		keep_trailer(x, trailer, bytes);
	send_end(x);
}

void exchange_back_room(struct exchange *x)
{
	touch(x);
	if (x->kept_sent < x->kept.len)
		send_kept(x);
	if (x->kept_sent == x->kept.len && x->front_waits) {
		x->front_waits = false;
		x->front->ops->resume(x->front);
	}
}

/* ---- towards the client ---------------------------------------------------------------------------------------- */

void exchange_client_gone(struct exchange *x, enum ending why)
{
	x->front = NULL;
	leave_back(x, why);
	exchange_finish(x, why);
}

void exchange_front_room(struct exchange *x)
{
	x->client_stalls = false;
	touch(x);
	if (x->back)
		x->back->ops->resume(x->back);
}

static void begin_answer(struct exchange *x, const struct http1_head *head)
{
	x->answering = true;
	x->record.status = head->status;
	x->record.first_byte_ns = now(x);
	forget_request(x);
	set_phase(x, head->status == 101 ? PHASE_TUNNEL : PHASE_BODY);
}

void exchange_response(struct exchange *x, const struct http1_head *head, const char *bytes)
{
	struct http1_out out = { .body = head->body, .body_len = head->body_len };
	bool final = head->status >= 200 || head->status == 101;
	int rc;

	if (head->status == 101 && !x->request_done) {
		fail(x, ENDING_ORIGIN_FAULT); /* its body would be taken for the other protocol */
		return;
	}
	if (final) {
		out.set = x->response_set;
		out.n_set = x->n_response_set;
		out.upgrade = head->status == 101;
	}
	rc = x->front->ops->head(x->front, head, bytes, &out);
	if (rc < 0) {
		fail(x, rc == -ENOMEM ? ENDING_NO_MEMORY : ENDING_ORIGIN_FAULT);
		return;
	}
	if (final)
		begin_answer(x, head);
	else
		touch(x);
}

size_t exchange_response_body(struct exchange *x, const char *data, size_t len)
{
	size_t n = x->front->ops->body(x->front, data, len);
	struct record *record = &x->record;

	if (n) {
		uint64_t gap = record->last_byte_ns ? now(x) - record->last_byte_ns : 0;

		if (gap) {
			stats_gap(x->worker->stats, x->rule->stats, gap);
			if (gap > record->gap_max_ns)
				record->gap_max_ns = gap;
		}
		record->last_byte_ns = now(x);
		record->bytes_out += n;
	}
	x->client_stalls = n < len;
	touch(x);
	return n;
}

void exchange_response_end(struct exchange *x, const struct http1_head *trailer, const char *bytes)
{
	struct front *front = x->front;

	x->front = NULL;
	front->exchange = NULL;
	front->ops->end(front, trailer, bytes);
	exchange_finish(x, ENDING_COMPLETE);
}

void exchange_init_timer(struct exchange *x)
{
	x->timer = (struct wheel_timer){ .fn = on_timeout, .arg = x };
}
