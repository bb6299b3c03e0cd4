// SPDX-License-Identifier: GPL-2.0-only
/* Carries one request to an endpoint and its answer back, and decides what a failure means. */
/* Must not know protocols, or how a request is judged. */
#include "ingress/exchange_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ingress/settings.h"
#include "ingress/stats.h"
#include "ingress/upstream.h"

#define WAIT_POLL_NS      (25 * CLOCK_NS_PER_MS) /* is there an endpoint now? */
#define POLICY_NEXT_USUAL (POLICY_NEXT_ERROR | POLICY_NEXT_TIMEOUT | POLICY_NEXT_NON_IDEMPOTENT)
#define RACE_NS \
	CLOCK_NS_PER_S /* an idle connection that is closed under a request is closed that soon */

static uint64_t now(const struct exchange *x)
{
	return worker_now_ns(x->worker);
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

	if (ns && !x->throttled)
		worker_set_timer(x->worker, &x->timer, now(x) + ns);
}

static void set_phase(struct exchange *x, enum phase phase)
{
	x->phase = (uint8_t)phase;
	touch(x);
}

static void time_out(struct exchange *x)
{
	exchange_leave_back(x, ENDING_ORIGIN_TIMEOUT);
	exchange_back_failed(x, ENDING_ORIGIN_TIMEOUT, false);
}

static void on_timeout(void *arg)
{
	struct exchange *x = arg;

	if (x->throttled) {
		x->throttled = false;
		exchange_front_room(x);
	} else if (x->wait_until_ns)
		exchange_pick(x);
	else if (x->client_stalls ||
		 (x->phase == PHASE_SEND && !x->request_done && !(x->back && x->front_waits)))
		touch(x); /* it is the client that is slow, and the front has its own deadline for that */
	else
		time_out(x);
}

/* ---- towards the origin ---------------------------------------------------------------------------------------- */

/* No second try. What the back has not had stays until it has. */
static void forget_request(struct exchange *x)
{
	x->keeping = false;
	if (x->kept_sent < x->kept.len)
		return;
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
	if (!x->keeping)
		forget_request(x);
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

	if (x->answering || x->record.n_tries + 1u >= x->tries ||
	    (x->tries_until_ns && now(x) >= x->tries_until_ns))
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
	exchange_note_try(x, why);
	if (x->record.n_tries <= RECORD_TRIES)
		x->tried[x->record.n_tries - 1] = origin_hold(x->origin);
	exchange_release_origin(x, UPSTREAM_FAILED);
	x->last_failure = (uint8_t)why;
	x->record.retried = true;
	x->request_sent = false;
	x->ready = false;
}

static void none_is_ready(struct exchange *x)
{
	if (!x->wait_until_ns && x->wait_limit_ns)
		x->wait_until_ns = now(x) + x->wait_limit_ns;
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
		.http2 = x->http2,
		.tls = x->tls,
		.fresh = x->fresh,
		.connect_ns = x->connect_limit_ns,
	};
	int rc;

	worker_clear_timer(x->worker,
			   &x->timer); /* of the endpoint before, or of waiting for one */
	x->phase = PHASE_CONNECT;
	x->record.connect_ns = now(x);
	rc = pool_open(x->worker, &want, x, &x->back);
	if (rc == -EINPROGRESS)
		return 0;
	if (rc == 0)
		rc = send_request(x);
	return rc;
}

static struct origin *take_origin(struct exchange *x)
{
	x->pick.tried = x->tried;
	x->pick.n_tried = x->record.n_tries < RECORD_TRIES ? x->record.n_tries : RECORD_TRIES;
	x->pick.random = (uint32_t)worker_random64(x->worker);
	x->pick.now_ns = now(x);
	return upstream_take(x->upstream, &x->pick);
}

/* Sends the request to this endpoint, or, if that fails at once, to others. */
static void use_origin(struct exchange *x, struct origin *origin)
{
	while (origin) {
		int rc;

		x->origin = origin;
		x->origin_status = 0;
		if (was_tried(x, origin)) { /* there is no other */
			exchange_release_origin(x, UPSTREAM_ABANDONED);
			exchange_fail(x, x->last_failure);
			return;
		}
		if (x->judged)
			exchange_know_origin(x);
		rc = open_back(x);
		if (rc == 0)
			return;
		exchange_leave_back(x, ENDING_ORIGIN_CONNECT);
		if (rc == -ENOMEM || !(x->next & POLICY_NEXT_ERROR) || !may_try_again(x)) {
			exchange_fail(x, rc == -ENOMEM ? ENDING_NO_MEMORY : ENDING_ORIGIN_CONNECT);
			return;
		}
		give_back(x, ENDING_ORIGIN_CONNECT);
		origin = take_origin(x);
	}
	none_is_ready(x);
}

void exchange_pick(struct exchange *x)
{
	struct origin *origin = take_origin(x);

	if (origin)
		x->wait_until_ns = 0;
	use_origin(x, origin);
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
	bool gone = why == ENDING_ORIGIN_CLOSED || why == ENDING_ORIGIN_RESET;

	if (reused && gone && now(x) - x->sent_ns < RACE_NS)
		return true;
	if (why == ENDING_ORIGIN_TIMEOUT ? !(x->next & POLICY_NEXT_TIMEOUT)
	    : why == ENDING_ORIGIN_FAULT ? !(x->next & POLICY_NEXT_INVALID_HEADER)
	    : gone || safe               ? !(x->next & POLICY_NEXT_ERROR)
					 : true)
		return false;
	return safe || x->is_idempotent || x->next & POLICY_NEXT_NON_IDEMPOTENT;
}

void exchange_back_failed(struct exchange *x, enum ending why, bool safe)
{
	bool reused = x->back && x->back->reused;

	x->back = NULL;
	x->ready = false;
	if (x->answering || !is_harmless(x, why, safe, reused) || !may_try_again(x)) {
		exchange_fail(x, why);
		return;
	}
	x->fresh = reused;
	if (reused) { /* the endpoint is as good as any other: only the connection was old */
		exchange_note_try(x, why);
		exchange_release_origin(x, UPSTREAM_ABANDONED);
		x->record.retried = true;
		x->request_sent = false;
	} else {
		give_back(x, why);
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
			exchange_cut(x, ENDING_REFUSED);
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

static bool has_name(const struct http1_field *f, const char *bytes, const char *name)
{
	return strlen(name) == f->name_len &&
	       strncasecmp(bytes + f->name_at, name, f->name_len) == 0;
}

/* Is it a field that the client cannot say in a head, either? There are endpoints that take trailers for fields. */
static bool is_barred(const struct exchange *x, const struct http1_field *f, const char *bytes)
{
	static const char *const names[] = { "forwarded", "x-real-ip", "x-request-id", "x-scheme" };
	static const char *const beginnings[] = { "x-original-", "ssl-client-" };
	const struct policy_list *asked = &x->policy->ask.response_headers;
	const struct policy_headers *set = &x->policy->request_headers;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (has_name(f, bytes, names[i]))
			return true;
	for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++)
		if (f->name_len >= strlen(beginnings[i]) &&
		    strncasecmp(bytes + f->name_at, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	for (size_t i = 0; i < asked->n; i++)
		if (has_name(f, bytes, asked->item[i]))
			return true;
	for (size_t i = 0; i < set->n; i++)
		if (has_name(f, bytes, set->item[i].name))
			return true;
	return false;
}

static void keep_trailer(struct exchange *x, const struct http1_head *trailer, const char *bytes)
{
	size_t len = trailer->seen;

	free(x->trailer);
	x->trailer = malloc(sizeof(*x->trailer) + len);
	if (!x->trailer)
		return; /* they are optional (RFC 9110 6.5.1) */
	x->trailer->head = *trailer;
	x->trailer->head.n_fields = 0;
	for (size_t i = 0; i < trailer->n_fields; i++)
		if (!is_barred(x, &trailer->fields[i], bytes))
			x->trailer->head.fields[x->trailer->head.n_fields++] = trailer->fields[i];
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
	exchange_leave_back(x, why);
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
	x->record.status = x->origin_status = head->status;
	x->record.first_byte_ns = now(x);
	forget_request(x);
	x->judged = NULL;
	set_phase(x, head->status == 101 ? PHASE_TUNNEL : PHASE_BODY);
}

/* Is this an answer for which the Ingress wants another endpoint to be tried? */
static bool is_refused(const struct exchange *x, unsigned status)
{
	static const struct {
		unsigned status, bit;
	} bits[] = {
		{ 500, POLICY_NEXT_500 }, { 502, POLICY_NEXT_502 }, { 503, POLICY_NEXT_503 },
		{ 504, POLICY_NEXT_504 }, { 403, POLICY_NEXT_403 }, { 404, POLICY_NEXT_404 },
		{ 429, POLICY_NEXT_429 },
	};

	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if (bits[i].status == status)
			return x->next & bits[i].bit;
	return false;
}

/* True: the answer is not wanted, and the request is on its way to another endpoint. */
static bool try_another(struct exchange *x, const struct http1_head *head)
{
	struct origin *other;

	if (!is_refused(x, head->status) || x->record.n_tries >= RECORD_TRIES ||
	    !(x->is_idempotent || x->next & POLICY_NEXT_NON_IDEMPOTENT) || !may_try_again(x))
		return false;
	x->tried[x->record.n_tries] = x->origin; /* looked at only, and counted below */
	x->record.n_tries++;
	other = take_origin(x);
	x->record.n_tries--;
	if (!other || was_tried(x, other)) {
		x->tried[x->record.n_tries] = NULL;
		if (other)
			upstream_release(x->upstream, other, UPSTREAM_ABANDONED, now(x));
		return false;
	}
	exchange_leave_back(x, ENDING_ORIGIN_FAULT);
	x->origin_status = head->status;
	give_back(x, ENDING_COMPLETE);
	use_origin(x, other);
	return true;
}

void exchange_response(struct exchange *x, const struct http1_head *head, const char *bytes)
{
	struct http1_out out = { .body = head->body, .body_len = head->body_len };
	bool final = head->status >= 200 || head->status == 101;
	int rc;

	if (head->status == 101 && !x->request_done) {
		/* its body would be taken for the other protocol */
		exchange_fail(x, ENDING_ORIGIN_FAULT);
		return;
	}
	if (final && x->next & ~POLICY_NEXT_USUAL && try_another(x, head))
		return;
	if (final) {
		out.set = x->response_set;
		out.n_set = x->n_response_set;
		out.upgrade = head->status == 101;
	}
	rc = x->front->ops->head(x->front, head, bytes, &out);
	if (rc < 0) {
		exchange_fail(x, rc == -ENOMEM ? ENDING_NO_MEMORY : ENDING_ORIGIN_FAULT);
		return;
	}
	if (final) {
		begin_answer(x, head);
		return;
	}
	x->back->reused = false; /* it was not closed before the request came */
	touch(x);
}

/* How many of len bytes the answer's rate allows now; if none, when there will be some. */
static size_t allowed(struct exchange *x, size_t len)
{
	uint64_t passed_ns = now(x) - x->record.first_byte_ns, may;

	may = x->rate_after + x->rate * (passed_ns / CLOCK_NS_PER_MS) / 1000 + x->rate / 20 + 1;
	if (may > x->record.bytes_out)
		return may - x->record.bytes_out < len ? (size_t)(may - x->record.bytes_out) : len;
	x->throttled = true;
	worker_set_timer(x->worker, &x->timer, now(x) + CLOCK_NS_PER_S / 20);
	return 0;
}

static void count_piece(struct exchange *x, size_t n)
{
	struct record *record = &x->record;
	uint64_t gap = record->last_byte_ns ? now(x) - record->last_byte_ns : 0;

	if (gap) {
		if (!x->is_ask) /* which is nobody's answer to a client */
			stats_gap(x->worker->stats, x->stats, gap);
		if (gap > record->gap_max_ns)
			record->gap_max_ns = gap;
	}
	record->last_byte_ns = now(x);
	record->bytes_out += n;
}

size_t exchange_response_body(struct exchange *x, const char *data, size_t len)
{
	size_t want = x->rate ? allowed(x, len) : len, n;

	n = want ? x->front->ops->body(x->front, data, want) : 0;
	if (n)
		count_piece(x, n);
	if (x->throttled)
		return n;
	x->client_stalls = n < want;
	touch(x);
	if (n == want && want < len) { /* the rest by another call, so that it is timed */
		x->throttled = true;
		worker_set_timer(x->worker, &x->timer, now(x) + CLOCK_NS_PER_S / 20);
	}
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
