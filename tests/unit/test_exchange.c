// SPDX-License-Identifier: GPL-2.0-only
// A request on its way to an endpoint and back, between two sides made for the test.
/* link: user/ingress/exchange.c user/ingress/exchange_end.c user/ingress/ending.c user/base/buf.c user/base/arena.c user/base/loop.c user/base/clock.c */
#include "unit/test.h"

#include "ingress/answer.h"
#include "ingress/ask.h"
#include "ingress/exchange_state.h"
#include "ingress/report.h"
#include "ingress/rule.h"
#include "ingress/settings.h"
#include "ingress/stats.h"
#include "ingress/upstream.h"
#include "ingress/verify.h"
#include "unit/mock.h"

/* ---- what stands around it ---------------------------------------------------------------------------------------- */

static struct origin origins[4];
static size_t n_taken;
static int jobs_dropped, verifies_left, gaps;
static unsigned answered; /* a status of ours; 0: none */

struct origin *upstream_take(struct upstream *upstream, const struct upstream_pick *pick)
{
	(void)upstream;
	(void)pick;
	return n_taken < 4 ? &origins[n_taken++] : NULL;
}

void upstream_release(struct upstream *upstream, struct origin *origin, enum upstream_result result,
		      uint64_t now_ns)
{
	(void)upstream;
	(void)origin;
	(void)result;
	(void)now_ns;
}

bool upstream_may_retry(struct upstream *upstream, uint64_t now_ns)
{
	(void)upstream;
	(void)now_ns;
	return true;
}

struct origin *origin_hold(struct origin *origin)
{
	return origin;
}

void origin_drop(struct origin *origin)
{
	(void)origin;
}

void rule_drop(struct rule *rule)
{
	(void)rule;
}

void policy_drop(const struct policy *policy)
{
	(void)policy;
}

void exchange_know_origin(struct exchange *x)
{
	(void)x;
}

void ask_abandon(struct ask *ask)
{
	(void)ask;
}

void verify_abandon(struct verify_wait *wait)
{
	(void)wait;
	verifies_left++;
}

void gate_leave(struct gate *gate, struct gate_result *result)
{
	(void)gate;
	(void)result;
}

void gate_job_drop(struct gate_job *job)
{
	jobs_dropped += job != NULL;
}

int answer_send(struct front *front, const struct answer *answer)
{
	answered = answer->status;
	front->ops->end(front, NULL, NULL);
	return 0;
}

void report(struct worker *worker, unsigned slot, struct record *record, bool logged)
{
	(void)worker;
	(void)slot;
	(void)record;
	(void)logged;
}

void stats_add(struct stats *stats, enum stats_counter counter, uint64_t n)
{
	(void)stats;
	(void)counter;
	(void)n;
}

void stats_gap(struct stats *stats, unsigned slot, uint64_t gap_ns)
{
	(void)stats;
	(void)slot;
	(void)gap_ns;
	gaps++;
}

uint64_t worker_random64(struct worker *worker)
{
	(void)worker;
	return 4;
}

/* ---- the endpoint's side ------------------------------------------------------------------------------------------- */

static struct {
	struct back back;
	struct buf body;
	size_t takes; /* bytes that it takes still */
	int heads;
	bool ended;
} end;

static int back_head(struct back *back, const char *text, size_t len, enum http1_body body)
{
	(void)back;
	(void)text;
	(void)len;
	(void)body;
	end.heads++;
	return 0;
}

static size_t back_body(struct back *back, const char *data, size_t len)
{
	size_t n = len < end.takes ? len : end.takes;

	(void)back;
	buf_put(&end.body, data, n);
	end.takes -= n;
	return n;
}

static void back_end(struct back *back, const struct http1_head *trailer, const char *bytes)
{
	(void)back;
	(void)trailer;
	(void)bytes;
	end.ended = true;
}

static void back_abort(struct back *back, enum ending why)
{
	(void)back;
	(void)why;
}

static void back_resume(struct back *back)
{
	(void)back;
}

static const struct back_ops back_ops = { back_head, back_body, back_end, back_abort, back_resume };

int pool_open(struct worker *worker, const struct back_want *want, struct exchange *x,
	      struct back **ret_back)
{
	end.back = (struct back){ .ops = &back_ops, .worker = worker, .exchange = x };
	end.back.reused = !want->fresh;
	*ret_back = &end.back;
	return want->fresh ? 0 : -EINPROGRESS;
}

/* ---- the client's side --------------------------------------------------------------------------------------------- */

static int front_head(struct front *front, const struct http1_head *head, const char *bytes,
		      const struct http1_out *out)
{
	(void)front;
	(void)head;
	(void)bytes;
	(void)out;
	return 0;
}

static size_t front_body(struct front *front, const char *data, size_t len)
{
	(void)front;
	(void)data;
	return len;
}

static void front_end(struct front *front, const struct http1_head *trailer, const char *bytes)
{
	(void)front;
	(void)trailer;
	(void)bytes;
}

static void front_abort(struct front *front, enum ending why)
{
	(void)front;
	(void)why;
}

static void front_resume(struct front *front)
{
	(void)front;
}

static const struct front_ops front_ops = { "HTTP/1.1", front_head,  front_body,
					    front_end,  front_abort, front_resume };

/* ---- the rig ------------------------------------------------------------------------------------------------------- */

static struct settings settings;
static struct front front;
static struct exchange *x;

/* A POST that may be sent again after an error, whose connection is being opened. */
static int set_up(void **state)
{
	(void)state;
	settings = (struct settings){ .retry_body = 65536 };
	mock_start(&settings);
	buf_done(&end.body);
	memset(&end, 0, sizeof(end));
	end.takes = SIZE_MAX;
	n_taken = 0;
	jobs_dropped = verifies_left = gaps = 0;
	answered = 0;
	front = (struct front){ .ops = &front_ops, .worker = &mock.worker };
	x = calloc(1, sizeof(*x));
	assert_non_null(x);
	front.exchange = x;
	x->worker = &mock.worker;
	x->front = &front;
	exchange_init_timer(x);
	x->body = HTTP1_CHUNKED;
	x->body_max = UINT64_MAX;
	x->keeping = true;
	x->tries = 3;
	x->next = POLICY_NEXT_ERROR | POLICY_NEXT_TIMEOUT;
	x->idle_limit_ns = CLOCK_NS_PER_S;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (front.exchange)
		exchange_client_gone(x, ENDING_CLIENT_CLOSED);
	buf_done(&end.body);
	mock_turns();
	mock_end();
	return 0;
}

static void respond(unsigned status)
{
	struct http1_head head = { .status = (uint16_t)status, .body = HTTP1_CHUNKED };

	exchange_response(x, &head, "");
}

/* ---- tests --------------------------------------------------------------------------------------------------------- */

TEST(an_early_answer_leaves_no_hole_in_the_request)
{
	exchange_pick(x);
	assert_int_equal(exchange_request_body(x, "one two ", 8), 8);
	end.takes = 3; /* its socket is full */
	exchange_back_ready(x, &end.back);
	assert_string_equal(buf_str(&end.body), "one");
	respond(200);
	end.takes = SIZE_MAX;
	assert_int_equal(exchange_request_body(x, "three", 5), 0); /* not before what is kept */
	exchange_back_room(x);
	assert_int_equal(exchange_request_body(x, "three", 5), 5);
	exchange_request_end(x, NULL, NULL);
	assert_string_equal(buf_str(&end.body), "one two three");
	assert_true(end.ended);
	assert_int_equal(x->kept.len, 0);
}

TEST(an_early_answer_does_not_take_the_requests_end_away)
{
	exchange_pick(x);
	assert_int_equal(exchange_request_body(x, "one two", 7), 7);
	exchange_request_end(x, NULL, NULL);
	end.takes = 3;
	exchange_back_ready(x, &end.back);
	respond(200);
	end.takes = SIZE_MAX;
	exchange_back_room(x);
	assert_string_equal(buf_str(&end.body), "one two");
	assert_true(end.ended);
}

/* A connection that had been idle and closes without a byte. */
TEST(a_post_is_sent_again_if_its_old_connection_ended)
{
	exchange_pick(x);
	exchange_back_ready(x, &end.back);
	exchange_back_failed(x, ENDING_ORIGIN_CLOSED, false);
	assert_int_equal(end.heads, 2);
	assert_int_equal(answered, 0);
}

TEST(and_not_if_an_interim_answer_had_come)
{
	exchange_pick(x);
	exchange_back_ready(x, &end.back);
	respond(100);
	exchange_back_failed(x, ENDING_ORIGIN_CLOSED, false);
	assert_int_equal(end.heads, 1);
	assert_int_equal(answered, 502);
}

TEST(who_leaves_while_a_password_is_checked_leaves_nothing)
{
	static char job, wait;
	struct judged judged = { .gate.job = (struct gate_job *)&job };

	x->judged = &judged;
	x->verify = (struct verify_wait *)&wait;
	front.exchange = NULL;
	exchange_client_gone(x, ENDING_CLIENT_CLOSED);
	assert_int_equal(verifies_left, 1);
	assert_int_equal(jobs_dropped, 1);
}

/* The one that refused had a deadline for its answer; who makes a connection times that by itself. */
TEST(a_deadline_ends_with_its_endpoint)
{
	x->next |= POLICY_NEXT_503 | POLICY_NEXT_NON_IDEMPOTENT;
	x->first_byte_limit_ns = CLOCK_NS_PER_S;
	exchange_pick(x);
	exchange_request_end(x, NULL, NULL);
	exchange_back_ready(x, &end.back);
	assert_int_equal(x->timer.deadline_ns, mock.now_ns + CLOCK_NS_PER_S);
	respond(503);
	assert_int_equal(x->phase, PHASE_CONNECT);
	assert_int_equal(n_taken, 2);
	assert_int_equal(x->timer.deadline_ns, 0);
}

static void answer_in_two(void)
{
	exchange_pick(x);
	exchange_request_end(x, NULL, NULL);
	exchange_back_ready(x, &end.back);
	respond(200);
	assert_int_equal(exchange_response_body(x, "a", 1), 1);
	mock.now_ns += CLOCK_NS_PER_S;
	assert_int_equal(exchange_response_body(x, "b", 1), 1);
}

TEST(gaps_of_answers_are_counted)
{
	answer_in_two();
	assert_int_equal(gaps, 1);
}

TEST(but_not_those_of_the_authentication_service)
{
	x->is_ask = true;
	answer_in_two();
	assert_int_equal(gaps, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

RUN(T(an_early_answer_leaves_no_hole_in_the_request),
    T(an_early_answer_does_not_take_the_requests_end_away),
    T(a_post_is_sent_again_if_its_old_connection_ended), T(and_not_if_an_interim_answer_had_come),
    T(who_leaves_while_a_password_is_checked_leaves_nothing), T(a_deadline_ends_with_its_endpoint),
    T(gaps_of_answers_are_counted), T(but_not_those_of_the_authentication_service))
