// SPDX-License-Identifier: GPL-2.0-only
// A client's connection of HTTP/2 against an exchange and a socket made for the test.
/* link: user/ingress/front2.c user/ingress/front2_stream.c user/ingress/http2_pipe.c user/ingress/http2_body.c user/ingress/http2_session.c user/ingress/http2_head.c user/ingress/http1.c user/base/buf.c user/base/loop.c user/base/clock.c */
/* libs: nghttp2 */
#include "unit/test.h"

#include <stdio.h>

#include "ingress/http2_session.h"
#include "ingress/answer.h"
#include "ingress/client.h"
#include "ingress/exchange.h"
#include "ingress/front2.h"
#include "ingress/report.h"
#include "ingress/settings.h"
#include "unit/mock2.h"

/* ---- the exchange ------------------------------------------------------------------------------------------------- */

struct exchange {
	struct front *front;
	char head[4096];
	enum http1_body body_kind;
	struct buf body;
	char trailer[256];
	size_t takes; /* bytes of the body that it takes still */
	bool request_ended, gone;
	enum ending why;
	size_t offered; /* of an answer's body that waits: front_room() gives it */
	const char *answer;
	bool ends_when_given;
	int rooms;
};

#define EXCHANGES 512

static struct exchange exchanges[EXCHANGES];
static size_t n_exchanges;
static size_t takes_at_first; /* of a new exchange */
static int refused, reported;

static void record_text(char *to, size_t size, const struct http1_head *head, const char *bytes)
{
	size_t n = head->seen < size - 1 ? head->seen : size - 1, at = 0;

	for (size_t i = 0; i < n; i++)
		if (bytes[i] != '\r')
			to[at++] = bytes[i];
	to[at] = '\0';
}

int exchange_start(struct front *front, const struct http1_head *head, const char *bytes)
{
	struct exchange *x = &exchanges[n_exchanges++];

	assert_true(n_exchanges <= EXCHANGES);
	buf_done(&x->body);
	*x = (struct exchange){ 0 };
	x->front = front;
	x->takes = takes_at_first;
	x->body_kind = head->body;
	record_text(x->head, sizeof(x->head), head, bytes);
	front->exchange = x;
	return 0;
}

size_t exchange_request_body(struct exchange *x, const char *data, size_t len)
{
	size_t n = len < x->takes ? len : x->takes;

	assert_false(x->gone);
	assert_false(x->request_ended);
	assert_int_not_equal(x->body_kind, HTTP1_NO_BODY);
	buf_put(&x->body, data, n);
	x->takes -= n;
	return n;
}

void exchange_request_end(struct exchange *x, const struct http1_head *trailer, const char *bytes)
{
	assert_false(x->gone);
	assert_false(x->request_ended);
	assert_int_not_equal(x->body_kind, HTTP1_NO_BODY);
	x->request_ended = true;
	if (trailer)
		record_text(x->trailer, sizeof(x->trailer), trailer, bytes);
}

void exchange_client_gone(struct exchange *x, enum ending why)
{
	assert_false(x->gone);
	x->gone = true;
	x->why = why;
}

static void give(struct exchange *x)
{
	size_t n = x->front->ops->body(x->front, x->answer, x->offered);

	x->answer += n;
	x->offered -= n;
	if (!x->offered && x->ends_when_given)
		x->front->ops->end(x->front, NULL, NULL);
}

void exchange_front_room(struct exchange *x)
{
	assert_false(x->gone);
	x->rooms++;
	if (x->offered)
		give(x);
}

static void give_head(struct exchange *x, const char *text, enum http1_body body, uint64_t len)
{
	struct http1_out out = { .body = body, .body_len = len };
	struct http1_head head;

	http1_head_init(&head, HTTP1_RESPONSE, &http1_limits_response);
	assert_true(http1_head_read(&head, text, strlen(text)) > 0);
	assert_int_equal(x->front->ops->head(x->front, &head, text, &out), 0);
}

#define OK "HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n"

/* All of an answer. */
static void answer(struct exchange *x, const char *body)
{
	give_head(x, OK, HTTP1_LENGTH, strlen(body));
	assert_int_equal(x->front->ops->body(x->front, body, strlen(body)), strlen(body));
	x->front->ops->end(x->front, NULL, NULL);
}

/* ---- what else front2 calls ----------------------------------------------------------------------------------------- */

static struct client client;
static uint64_t deadline_ns;
static int closed; /* 1: clean, 2: reset */

void client_deadline(struct client *c, uint64_t at_ns)
{
	(void)c;
	deadline_ns = at_ns;
}

void client_close(struct client *c, bool reset)
{
	assert_ptr_equal(c, &client);
	assert_int_equal(closed, 0);
	closed = reset ? 2 : 1;
}

void report_refused(struct front *front, unsigned status, const char *reason)
{
	(void)front;
	(void)reason;
	assert_int_equal(status, 400);
	reported++;
}

void answer_refused(struct front *front, unsigned status, const char *reason)
{
	struct http1_out out = { .body = HTTP1_LENGTH, .body_len = 3 };
	struct http1_head head;

	(void)reason;
	refused++;
	http1_head_init(&head, HTTP1_RESPONSE, &http1_limits_response);
	head.status = (uint16_t)status;
	assert_int_equal(front->ops->head(front, &head, "", &out), 0);
	assert_int_equal(front->ops->body(front, "no\n", 3), 3);
	front->ops->end(front, NULL, NULL);
}

/* ---- the rig -------------------------------------------------------------------------------------------------------- */

static struct settings settings;

static void run(void);

static int set_up(void **state)
{
	(void)state;
	settings = (struct settings){ .request_limits = http1_limits_request,
				      .head_ns = 10 * CLOCK_NS_PER_S,
				      .keep_alive_ns = 75 * CLOCK_NS_PER_S,
				      .client_ns = 60 * CLOCK_NS_PER_S };
	mock_start(&settings);
	peer_start(false);
	memset(exchanges, 0, sizeof(exchanges));
	n_exchanges = 0;
	takes_at_first = SIZE_MAX;
	refused = reported = closed = 0;
	client = (struct client){ .worker = &mock.worker };
	assert_int_equal(front2_new(&client, NULL, 0), 0);
	nghttp2_submit_settings(peer.session, NGHTTP2_FLAG_NONE, NULL, 0);
	run();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (!closed)
		client.ops->cut(client.state, ENDING_DRAINED);
	assert_int_not_equal(closed, 0);
	for (size_t i = 0; i < n_exchanges; i++)
		buf_done(&exchanges[i].body);
	mock_end();
	peer_end();
	return 0;
}

/* Both sides, until neither has anything to say. */
static void run(void)
{
	for (int i = 0; i < 1000; i++) {
		bool some = peer_send() > 0;

		if (some && !closed)
			client.ops->events(client.state, EPOLLIN);
		mock_turns();
		some |= mock.out.len > 0;
		peer_recv();
		if (!some)
			return;
	}
	fail_msg("they talk for ever");
}

/* The clock goes on; the deadline is kept. */
static void wait_until(uint64_t ns)
{
	while (!closed && deadline_ns <= ns) {
		mock.now_ns = deadline_ns;
		client.ops->timeout(client.state);
		run();
		if (!closed && deadline_ns == mock.now_ns)
			fail_msg("the deadline stands still");
	}
	mock.now_ns = ns;
}

#define GET  ":method: GET\n:scheme: https\n:authority: a.test\n:path: /x\n"
#define POST ":method: POST\n:scheme: https\n:authority: a.test\n:path: /x\n"

static int32_t request(const char *lines, struct peer_body *body)
{
	nghttp2_data_provider data = { .source = { .ptr = body }, .read_callback = peer_read };
	nghttp2_nv nv[32];
	size_t n = peer_fields(lines, nv, 32);

	return nghttp2_submit_request(peer.session, NULL, nv, n, body ? &data : NULL, NULL);
}

static const char *body_of(int32_t id)
{
	return buf_str(&peer_stream(id)->body);
}

/* ---- requests and answers --------------------------------------------------------------------------------------------- */

TEST(a_request_and_its_answer)
{
	int32_t id = request(GET "cookie: a\ncookie: b\n", NULL);

	run();
	assert_int_equal(n_exchanges, 1);
	assert_string_equal(exchanges[0].head, "GET /x HTTP/1.1\nhost: a.test\ncookie: a; b\n\n");
	assert_int_equal(exchanges[0].body_kind, HTTP1_NO_BODY);
	answer(&exchanges[0], "hello");
	run();
	assert_string_equal(buf_str(&peer_stream(id)->head),
			    ":status: 200\nx-a: b\ncontent-length: 5\n");
	assert_string_equal(body_of(id), "hello");
	assert_true(peer_stream(id)->closed);
	assert_int_equal(peer_stream(id)->reset, -1);
	assert_false(exchanges[0].gone);
}

TEST(prior_knowledge_comes_with_its_bytes)
{
	client.ops->cut(client.state, ENDING_DRAINED); /* that of set_up() */
	mock_bury();
	peer_end();
	peer_start(false);
	closed = 0;
	nghttp2_submit_settings(peer.session, NGHTTP2_FLAG_NONE, NULL, 0);
	request(GET, NULL);
	peer_send();
	{
		struct buf first = mock.in;

		mock.in = (struct buf){ 0 };
		assert_int_equal(front2_new(&client, first.data, first.len), 0);
		buf_done(&first);
	}
	run();
	assert_int_equal(n_exchanges, 1);
}

TEST(bodies_and_trailers_of_requests)
{
	struct peer_body body = { .left = 100000, .trailer = "grpc-x: y\n" };

	request(POST "te: trailers\n", &body);
	run();
	assert_int_equal(exchanges[0].body_kind, HTTP1_CHUNKED);
	assert_int_equal(exchanges[0].body.len, 100000);
	assert_true(exchanges[0].request_ended);
	assert_string_equal(exchanges[0].trailer, "grpc-x: y\n\n");
	answer(&exchanges[0], "ok");
	run();
}

TEST(a_body_with_a_length)
{
	struct peer_body body = { .left = 5 };

	request(POST "content-length: 5\n", &body);
	run();
	assert_int_equal(exchanges[0].body_kind, HTTP1_LENGTH);
	assert_int_equal(exchanges[0].body.len, 5);
	assert_true(exchanges[0].request_ended);
	/* One that lies about it is reset by nghttp2. */
	body = (struct peer_body){ .left = 6 };
	request(POST "content-length: 5\n", &body);
	run();
	assert_true(exchanges[1].gone);
	assert_int_equal(exchanges[1].why, ENDING_CLIENT_FAULT);
	/* A length of 0, and an empty DATA frame. */
	body = (struct peer_body){ .left = 0 };
	request(POST "content-length: 0\n", &body);
	run();
	assert_int_equal(exchanges[2].body_kind, HTTP1_NO_BODY);
	answer(&exchanges[2], "ok");
	run();
	assert_true(peer_stream(5)->closed);
	assert_int_equal(peer_stream(5)->reset, -1);
}

TEST(trailers_of_answers)
{
	static const char text[] = "grpc-status: 0\r\n\r\n";
	struct http1_head trailer;
	int32_t id = request(POST, NULL);

	run();
	http1_head_init(&trailer, HTTP1_TRAILER, &http1_limits_trailer);
	assert_true(http1_head_read(&trailer, text, sizeof(text) - 1) > 0);
	give_head(&exchanges[0], OK, HTTP1_CHUNKED, 0);
	exchanges[0].front->ops->body(exchanges[0].front, "hello", 5);
	exchanges[0].front->ops->end(exchanges[0].front, &trailer, text);
	run();
	assert_string_equal(body_of(id), "hello");
	assert_string_equal(buf_str(&peer_stream(id)->trailer), "grpc-status: 0\n");
	assert_true(peer_stream(id)->closed);
}

TEST(an_answer_without_a_body_ends_with_its_head)
{
	int32_t id = request(GET, NULL);
	unsigned writes;

	run();
	writes = mock.writes;
	give_head(&exchanges[0], "HTTP/1.1 200 OK\r\ngrpc-status: 14\r\n\r\n", HTTP1_NO_BODY, 0);
	exchanges[0].front->ops->end(exchanges[0].front, NULL, NULL);
	run();
	assert_int_equal(mock.writes, writes + 1);
	assert_true(peer_stream(id)->ended);
	assert_string_equal(buf_str(&peer_stream(id)->head), ":status: 200\ngrpc-status: 14\n");
	assert_int_equal(peer_stream(id)->body.len, 0);
}

TEST(interim_answers_pass)
{
	struct peer_body body = { .left = 1, .stays_open = true };
	int32_t id = request(POST "expect: 100-continue\n", &body);

	run();
	give_head(&exchanges[0], "HTTP/1.1 100 Continue\r\n\r\n", HTTP1_NO_BODY, 0);
	give_head(&exchanges[0], "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n", HTTP1_NO_BODY, 0);
	answer(&exchanges[0], "ok");
	run();
	assert_string_equal(buf_str(&peer_stream(id)->head),
			    ":status: 100\n:status: 103\nlink: x\n:status: 200\nx-a: b\n"
			    "content-length: 2\n");
}

TEST(an_early_answer_stops_the_upload)
{
	struct peer_body body = { .left = 1 << 20 };
	int32_t id;

	takes_at_first = 1000;
	id = request(POST, &body);
	run();
	answer(&exchanges[0], "too large");
	run();
	assert_string_equal(body_of(id), "too large");
	assert_true(peer_stream(id)->ended);
	assert_int_equal(peer_stream(id)->reset, NGHTTP2_NO_ERROR);
	assert_false(exchanges[0].gone);
	assert_int_equal(exchanges[0].body.len, 1000);
	assert_int_equal(peer.goaways, 0);
}

TEST(frames_of_a_turn_are_one_write)
{
	unsigned writes;

	for (int i = 0; i < 16; i++)
		request(GET, NULL);
	run();
	assert_int_equal(n_exchanges, 16);
	writes = mock.writes;
	for (int i = 0; i < 16; i++)
		answer(&exchanges[i], "hello");
	run();
	assert_int_equal(mock.writes, writes + 1);
	for (int i = 0; i < 16; i++)
		assert_true(peer_stream(2 * i + 1)->closed);
}

/* A piece of an event stream leaves at the end of its turn, whatever its size. */
TEST(nothing_is_held_back)
{
	static char large[8192];
	int32_t id = request(GET, NULL);

	run();
	memset(large, 'l', sizeof(large));
	give_head(&exchanges[0], OK, HTTP1_CHUNKED, 0);
	run();
	assert_true(peer_stream(id)->head.len > 0);
	for (size_t i = 1; i <= 3; i++) {
		exchanges[0].front->ops->body(exchanges[0].front, "event\n", 6);
		run();
		assert_int_equal(peer_stream(id)->body.len, 6 * i);
	}
	assert_int_equal(exchanges[0].front->ops->body(exchanges[0].front, large, sizeof(large)),
			 sizeof(large));
	exchanges[0].front->ops->body(exchanges[0].front, "end", 3);
	exchanges[0].front->ops->end(exchanges[0].front, NULL, NULL);
	run();
	assert_int_equal(peer_stream(id)->body.len, 18 + sizeof(large) + 3);
	assert_memory_equal(peer_stream(id)->body.data + 18 + sizeof(large), "end", 3);
	assert_true(peer_stream(id)->closed);
}

/* END_STREAM goes with the last byte of a known length: not before, and in no frame of its own. */
TEST(a_known_length_ends_with_its_last_byte)
{
	for (size_t first = 0; first <= 4; first++) {
		int32_t id = request(GET, NULL);
		struct exchange *x = &exchanges[first];

		run();
		give_head(x, OK, HTTP1_LENGTH, 4);
		if (first)
			x->front->ops->body(x->front, "abcd", first);
		run();
		assert_int_equal(peer_stream(id)->body.len, first);
		assert_int_equal(peer_stream(id)->ended, first == 4);
		if (first < 4)
			x->front->ops->body(x->front, &"abcd"[first], 4 - first);
		run();
		assert_true(peer_stream(id)->ended);
		assert_string_equal(buf_str(&peer_stream(id)->body), "abcd");
		x->front->ops->end(x->front, NULL, NULL);
		run();
		assert_int_equal(peer_stream(id)->reset, -1);
	}
}

/* ---- backpressure ------------------------------------------------------------------------------------------------------- */

TEST(a_stalled_upload_keeps_a_window_and_no_more)
{
	struct peer_body stalled = { .left = 10 << 20 }, flows = { .left = 10 << 20 };
	size_t kept;

	takes_at_first = 0;
	request(POST, &stalled);
	run();
	kept = (10 << 20) - stalled.left;
	assert_true(kept <= HTTP2_WINDOW);
	takes_at_first = SIZE_MAX;
	request(POST, &flows); /* its sibling does not notice */
	run();
	assert_int_equal(exchanges[1].body.len, 10 << 20);
	assert_true(exchanges[1].request_ended);
	assert_int_equal((10 << 20) - stalled.left, kept);
	/* A little is taken: a little more comes. */
	exchanges[0].takes = 10000;
	exchanges[0].front->ops->resume(exchanges[0].front);
	run();
	assert_int_equal(exchanges[0].body.len, 10000);
	assert_true((10 << 20) - stalled.left <= kept + 10000);
	exchanges[0].takes = SIZE_MAX;
	exchanges[0].front->ops->resume(exchanges[0].front);
	run();
	assert_int_equal(exchanges[0].body.len, 10 << 20);
	assert_true(exchanges[0].request_ended);
}

TEST(a_wide_window_is_a_limit_too)
{
	struct peer_body body = { .left = 10 << 20 };

	takes_at_first = 1 << 20;
	request(POST, &body);
	run();
	assert_int_equal(exchanges[0].body.len, 1 << 20);
	assert_true((10 << 20) - body.left - (1 << 20) <= HTTP2_WINDOW_MAX);
	for (int i = 0; i < 200; i++) {
		exchanges[0].takes = 1000;
		exchanges[0].front->ops->resume(exchanges[0].front);
		run();
		assert_true((10 << 20) - body.left - exchanges[0].body.len <= HTTP2_WINDOW_MAX);
	}
}

TEST(a_client_that_takes_nothing_stops_the_answer)
{
	static char data[1 << 20];
	int32_t id = request(GET, NULL), other;

	run();
	peer.consumes = false;
	memset(data, 'd', sizeof(data));
	give_head(&exchanges[0], OK, HTTP1_CHUNKED, 0);
	exchanges[0].answer = data;
	exchanges[0].offered = sizeof(data);
	exchanges[0].ends_when_given = true;
	give(&exchanges[0]);
	run();
	assert_int_equal(peer_stream(id)->body.len, 65535);
	assert_true(exchanges[0].offered > 0);
	assert_true(sizeof(data) - exchanges[0].offered <= 65535 + FRONT_KEEP);
	/* The connection's window is used up as well: open that, and a sibling goes on. */
	nghttp2_session_consume_connection(peer.session, 65535);
	other = request(GET, NULL);
	run();
	answer(&exchanges[1], "hello");
	run();
	assert_string_equal(body_of(other), "hello");
	peer.consumes = true;
	nghttp2_session_consume_stream(peer.session, id, 65535);
	run();
	assert_int_equal(peer_stream(id)->body.len, sizeof(data));
	assert_true(peer_stream(id)->closed);
	assert_true(exchanges[0].rooms > 0);
}

/* Events are small, and wait for their turn's end together: what waits is bounded all the same. */
TEST(small_pieces_do_not_pile_up)
{
	static const char event[1000];
	struct exchange *x = &exchanges[0];
	size_t given = 0, n;
	int32_t id = request(GET, NULL);

	run();
	peer.consumes = false;
	give_head(x, OK, HTTP1_CHUNKED, 0);
	do {
		n = x->front->ops->body(x->front, event, sizeof(event));
		given += n;
		run();
		assert_true(given <= 65535 + FRONT_KEEP);
	} while (n == sizeof(event));
	assert_int_equal(peer_stream(id)->body.len, 65535);
	assert_int_equal(x->rooms, 0);
	peer.consumes = true;
	nghttp2_session_consume(peer.session, id, 65535);
	run();
	assert_int_equal(peer_stream(id)->body.len, given);
	assert_int_equal(x->rooms, 1);
	x->front->ops->end(x->front, NULL, NULL);
	run();
	assert_true(peer_stream(id)->closed);
}

TEST(a_full_socket_stops_answers)
{
	static char data[1 << 20];
	int32_t a, b;

	nghttp2_session_set_local_window_size(peer.session, NGHTTP2_FLAG_NONE, 0, 1 << 24);
	a = request(GET, NULL);
	b = request(GET, NULL);
	nghttp2_session_set_local_window_size(peer.session, NGHTTP2_FLAG_NONE, a, 1 << 22);
	nghttp2_session_set_local_window_size(peer.session, NGHTTP2_FLAG_NONE, b, 1 << 22);
	run();
	mock.out_room = 100000;
	for (int i = 0; i < 2; i++) {
		give_head(&exchanges[i], OK, HTTP1_CHUNKED, 0);
		exchanges[i].answer = data;
		exchanges[i].offered = sizeof(data);
		exchanges[i].ends_when_given = true;
		give(&exchanges[i]);
	}
	run();
	assert_true(2 * sizeof(data) - exchanges[0].offered - exchanges[1].offered <
		    100000 + 3 * 65536);
	for (int i = 0; i < 100 && !peer_stream(b)->closed; i++) {
		mock.out_room = 100000;
		client.ops->events(client.state, EPOLLOUT);
		run();
	}
	assert_int_equal(peer_stream(a)->body.len, sizeof(data));
	assert_int_equal(peer_stream(b)->body.len, sizeof(data));
}

/* ---- resets ----------------------------------------------------------------------------------------------------------- */

TEST(resets_travel_both_ways)
{
	struct peer_body open = { .left = 1, .stays_open = true };
	int32_t id = request(POST, &open), other;

	run();
	nghttp2_submit_rst_stream(peer.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
	run();
	assert_true(exchanges[0].gone);
	assert_int_equal(exchanges[0].why, ENDING_CLIENT_RESET);
	other = request(GET, NULL);
	run();
	give_head(&exchanges[1], OK, HTTP1_LENGTH, 100);
	exchanges[1].front->ops->body(exchanges[1].front, "part", 4);
	exchanges[1].front->ops->abort(exchanges[1].front, ENDING_ORIGIN_RESET);
	run();
	assert_string_equal(body_of(other), "part");
	assert_false(peer_stream(other)->ended);
	assert_int_equal(peer_stream(other)->reset, NGHTTP2_INTERNAL_ERROR);
	assert_false(exchanges[1].gone);
}

TEST(a_closed_connection_is_told_to_all)
{
	struct peer_body open = { .left = 1, .stays_open = true };

	request(POST, &open);
	request(GET, NULL);
	run();
	mock.ended = true;
	client.ops->events(client.state, EPOLLIN | EPOLLRDHUP);
	run();
	assert_int_equal(closed, 1);
	assert_true(exchanges[0].gone && exchanges[1].gone);
	assert_int_equal(exchanges[0].why, ENDING_CLIENT_CLOSED);
}

TEST(rapid_resets_end_the_connection)
{
	int i;

	for (i = 0; i < FRONT2_RESETS + 50 && !peer.goaways; i++) {
		int32_t id = request(GET, NULL);

		peer_send();
		nghttp2_submit_rst_stream(peer.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
		run();
	}
	assert_int_equal(i, FRONT2_RESETS + 1);
	assert_int_equal(peer.goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
	assert_int_not_equal(closed, 0);
	for (size_t k = 0; k < n_exchanges; k++)
		assert_true(exchanges[k].gone);
}

/* The other direction: the client makes us reset, by breaking rules of a stream. */
TEST(resets_that_are_provoked_count_too)
{
	int i;

	for (i = 0; i < FRONT2_RESETS + 50 && !peer.goaways; i++) {
		request(GET "connection: x\n", NULL);
		run();
	}
	assert_int_equal(i, FRONT2_RESETS + 1);
	assert_int_equal(peer.goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
	assert_int_equal(n_exchanges, 0);
}

TEST(resets_are_forgiven_with_answers_and_time)
{
	for (int i = 0; i < FRONT2_RESETS / 2; i++) {
		int32_t id = request(GET, NULL);

		peer_send();
		nghttp2_submit_rst_stream(peer.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
		request(GET, NULL);
		run();
		answer(&exchanges[n_exchanges - 1], "ok");
		run();
	}
	n_exchanges = 0;
	mock.now_ns += 20 * CLOCK_NS_PER_S;
	for (int i = 0; i < FRONT2_RESETS - 10; i++) {
		int32_t id = request(GET, NULL);

		peer_send();
		nghttp2_submit_rst_stream(peer.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
		run();
	}
	assert_int_equal(peer.goaways, 0);
}

/* ---- faults and floods -------------------------------------------------------------------------------------------------- */

TEST(malformed_requests_are_reset)
{
	static const char *const lines[] = {
		":method: GET\n:scheme: http\n:authority: u@a\n:path: /\n",
		GET "Upper: x\n",
		GET "x: a\x01\n",
		GET "te: gzip\n",
		GET ":late: x\n",
		GET "host: b.test\n",
		":method: GET\n:scheme: http\n:authority: a\n:path: /#x\n",
		":method: GET\n:scheme: http\n:authority: a\n:path: x\n",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		int32_t id = request(lines[i], NULL);

		run();
		if (peer_stream(id)->reset != NGHTTP2_PROTOCOL_ERROR)
			fail_msg("%s is not reset (%d)", lines[i], peer_stream(id)->reset);
	}
	assert_int_equal(n_exchanges, 0);
	assert_int_equal(closed, 0);
}

/* One request that is none is no half a head: the calls beside it go on. */
TEST(a_malformed_request_ends_no_others)
{
	static const char *const lines[] = {
		GET "te: gzip\n",
		GET ":late: x\n",
		":method: GET\n:scheme: http\n:authority: a.test\n",
		GET ":path: /y\n",
		GET "content-length: x\n",
	};
	struct peer_body call = { .left = 1, .stays_open = true };
	int32_t quiet = request(POST "content-type: application/grpc\n", &call);

	run();
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		int32_t id = request(lines[i], NULL);

		run();
		assert_int_equal(peer_stream(id)->reset, NGHTTP2_PROTOCOL_ERROR);
		wait_until(mock.now_ns + 30 * CLOCK_NS_PER_S);
		if (peer.goaways || closed)
			fail_msg("%s: the connection has ended", lines[i]);
	}
	assert_int_equal(n_exchanges, 1);
	assert_false(exchanges[0].gone);
	assert_int_equal(peer_stream(quiet)->reset, -1);
}

/* The same of one in two frames, whose end is not seen: the next frame says that it was. */
TEST(nor_does_a_long_one)
{
	static char lines[30000];
	struct peer_body call = { .left = 1, .stays_open = true };

	request(POST "content-type: application/grpc\n", &call);
	run();
	snprintf(lines, sizeof(lines), "%ste: gzip\nx: ", GET);
	memset(lines + strlen(lines), '~', 20000); /* not made shorter by HPACK */
	strcat(lines, "\n");
	assert_int_equal(request(lines, NULL), 3);
	assert_true(peer_send() > 16384 + 2 * 9); /* HEADERS and CONTINUATION */
	client.ops->events(client.state, EPOLLIN);
	run();
	assert_int_equal(peer_stream(3)->reset, NGHTTP2_PROTOCOL_ERROR);
	nghttp2_submit_ping(peer.session, NGHTTP2_FLAG_NONE, NULL);
	run();
	wait_until(mock.now_ns + 30 * CLOCK_NS_PER_S);
	assert_int_equal(peer.goaways, 0);
	assert_false(exchanges[0].gone);
}

TEST(too_much_is_answered)
{
	static char lines[20000];
	struct peer_body open = { .left = 1, .stays_open = true };
	int32_t id;

	snprintf(lines, sizeof(lines), "%sx: ", GET);
	memset(lines + strlen(lines), 'y', 10000);
	strcat(lines, "\n");
	id = request(lines, &open);
	run();
	assert_non_null(strstr(buf_str(&peer_stream(id)->head), ":status: 431\n"));
	assert_true(peer_stream(id)->ended);
	assert_int_equal(peer_stream(id)->reset, NGHTTP2_NO_ERROR);
	id = request(":method: CONNECT\n:authority: a:1\n", NULL);
	run();
	assert_non_null(strstr(buf_str(&peer_stream(id)->head), ":status: 405\n"));
	assert_int_equal(refused, 2);
}

/* A small block that HPACK makes large. */
TEST(a_bomb_ends_the_connection)
{
	static char lines[8000];
	nghttp2_nv nv[200];
	size_t n;

	snprintf(lines, sizeof(lines), "%sx: ", GET);
	memset(lines + strlen(lines), 'y', 3000);
	strcat(lines, "\n");
	n = peer_fields(lines, nv, 8);
	for (; n < 200; n++)
		nv[n] = nv[4];
	nghttp2_submit_request(peer.session, NULL, nv, n, NULL, NULL);
	run();
	assert_int_equal(peer.goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
	assert_int_not_equal(closed, 0);
	assert_int_equal(n_exchanges, 0);
}

/* HEADERS without an end and CONTINUATION after CONTINUATION. */
TEST(endless_blocks_end_the_connection)
{
	static const char headers[] = "\0\0\1\1\0\0\0\0\1\x82", more[] = "\0\0\1\x09\0\0\0\0\1\x84";

	buf_put(&mock.in, headers, 10);
	for (int i = 0; i < 1000; i++)
		buf_put(&mock.in, more, 10);
	client.ops->events(client.state, EPOLLIN);
	mock_turns();
	assert_int_not_equal(closed, 0);
}

TEST(floods_end_the_connection)
{
	int i;

	for (i = 0; i < 2 * FRONT2_IDLE_FRAMES && !peer.goaways; i++) {
		nghttp2_submit_ping(peer.session, NGHTTP2_FLAG_NONE, NULL);
		run();
	}
	assert_int_equal(peer.goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
	assert_true(i <= FRONT2_IDLE_FRAMES + 1 && i > FRONT2_IDLE_FRAMES / 2);
}

/* Who asks and does not read the answers. */
TEST(unread_answers_are_not_collected)
{
	mock.out_room = 0;
	for (int i = 0; i < 900 && !closed; i++) {
		nghttp2_submit_ping(peer.session, NGHTTP2_FLAG_NONE, NULL);
		peer_send();
		client.ops->events(client.state, EPOLLIN);
		mock_turns();
	}
	/* One buffer's worth of answers is made, then nghttp2 keeps a hundred, then it is enough. */
	assert_true(closed || mock.in.len == 0);
	mock.out_room = SIZE_MAX;
}

TEST(streams_are_limited)
{
	static const char open[] = "\0\0\x0e\1\5\0\0\0", block[] = "\x82\x87\x84\x01\x09"
								   "test.host";

	for (int i = 0; i < FRONT2_STREAMS + 20; i++) {
		uint32_t id = htobe32((uint32_t)(2 * i + 1));

		buf_put(&mock.in, open, 5);
		buf_put(&mock.in, &id, 4);
		buf_put(&mock.in, block, 14);
	}
	client.ops->events(client.state, EPOLLIN);
	mock_turns();
	assert_int_equal(n_exchanges, FRONT2_STREAMS);
}

/* What was written has a GOAWAY: its code, or -1. */
static int said_goaway(void)
{
	for (size_t at = 0; at + 9 <= mock.out.len;) {
		const unsigned char *f = (const unsigned char *)mock.out.data + at;

		if (f[3] == NGHTTP2_GOAWAY)
			return f[9 + 7];
		at += 9 + ((size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2]);
	}
	return -1;
}

/* A number that was passed over is no new stream. */
TEST(numbers_only_go_up)
{
	static const char open[] = "\0\0\x0e\1\5\0\0\0", block[] = "\x82\x87\x84\x01\x09"
								   "test.host";
	static const char ids[] = { 1, 7, 9, 5 };

	for (size_t i = 0; i < sizeof(ids); i++) {
		assert_int_equal(said_goaway(), -1);
		buf_put(&mock.in, open, 8);
		buf_put(&mock.in, &ids[i], 1);
		buf_put(&mock.in, block, 14);
		client.ops->events(client.state, EPOLLIN);
		mock_turns();
	}
	assert_int_equal(n_exchanges, 3);
	assert_int_equal(said_goaway(), NGHTTP2_PROTOCOL_ERROR);
}

/* ---- deadlines and the end ---------------------------------------------------------------------------------------------- */

TEST(an_idle_connection_is_closed)
{
	int32_t id = request(GET, NULL);

	run();
	wait_until(mock.now_ns + 200 * CLOCK_NS_PER_S); /* the origin takes its time */
	assert_int_equal(closed, 0);
	answer(&exchanges[0], "ok");
	run();
	assert_true(peer_stream(id)->closed);
	wait_until(mock.now_ns + 74 * CLOCK_NS_PER_S);
	assert_int_equal(peer.goaways, 0);
	wait_until(mock.now_ns + 5 * CLOCK_NS_PER_S);
	assert_int_equal(peer.goaways, 1);
	assert_int_equal(peer.goaway_code, NGHTTP2_NO_ERROR);
	assert_true(mock.end_written);
	wait_until(mock.now_ns + 5 * CLOCK_NS_PER_S);
	assert_int_equal(closed, 1);
}

TEST(half_a_head_is_not_waited_for)
{
	static const char half[] = "\0\0\1\1\0\0\0\0\1\x82";

	buf_put(&mock.in, half, 10);
	client.ops->events(client.state, EPOLLIN);
	mock_turns();
	wait_until(mock.now_ns + 9 * CLOCK_NS_PER_S);
	assert_int_equal(peer.goaways, 0);
	wait_until(mock.now_ns + 2 * CLOCK_NS_PER_S);
	assert_int_equal(peer.goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST(a_body_that_does_not_come_is_given_up)
{
	struct peer_body open = { .left = 1, .stays_open = true };
	struct peer_body call = { .left = 1, .stays_open = true };
	int32_t id = request(POST, &open);
	int32_t quiet = request(POST "content-type: application/grpc\n", &call);

	run();
	wait_until(mock.now_ns + 130 * CLOCK_NS_PER_S);
	assert_true(exchanges[0].gone);
	assert_int_equal(exchanges[0].why, ENDING_CLIENT_TIMEOUT);
	assert_int_equal(peer_stream(id)->reset, NGHTTP2_CANCEL);
	assert_false(exchanges[1].gone); /* a call may be silent: its limits are the origin's */
	assert_int_equal(peer_stream(quiet)->reset, -1);
}

TEST(other_frames_do_not_put_that_off)
{
	struct peer_body open = { .left = 1, .stays_open = true };
	int32_t id = request(POST, &open);

	run();
	for (int i = 0; i < 5; i++) {
		wait_until(mock.now_ns + 25 * CLOCK_NS_PER_S);
		assert_int_equal(exchanges[0].gone, i > 1);
		nghttp2_submit_ping(peer.session, NGHTTP2_FLAG_NONE, NULL);
		run();
	}
	assert_int_equal(exchanges[0].why, ENDING_CLIENT_TIMEOUT);
	assert_int_equal(peer_stream(id)->reset, NGHTTP2_CANCEL);
	assert_int_equal(peer.pings, 5);
}

TEST(an_answer_that_is_not_taken_is_given_up)
{
	static char data[1 << 20];
	int32_t id = request(GET, NULL);

	run();
	peer.consumes = false;
	give_head(&exchanges[0], OK, HTTP1_CHUNKED, 0);
	exchanges[0].answer = data;
	exchanges[0].offered = sizeof(data);
	give(&exchanges[0]);
	run();
	wait_until(mock.now_ns + 50 * CLOCK_NS_PER_S);
	assert_false(exchanges[0].gone);
	wait_until(mock.now_ns + 80 * CLOCK_NS_PER_S);
	assert_true(exchanges[0].gone);
	assert_int_equal(exchanges[0].why, ENDING_CLIENT_TIMEOUT);
	assert_int_equal(peer_stream(id)->reset, NGHTTP2_CANCEL);
}

TEST(a_socket_that_is_stuck_is_closed)
{
	request(GET, NULL);
	run();
	mock.out_room = 0;
	answer(&exchanges[0], "hello");
	run();
	wait_until(mock.now_ns + 59 * CLOCK_NS_PER_S);
	assert_int_equal(closed, 0);
	wait_until(mock.now_ns + 70 * CLOCK_NS_PER_S);
	assert_int_equal(closed, 2);
}

TEST(drain_says_goaway_twice)
{
	int32_t first = request(GET, NULL), second;

	run();
	client.ops->drain(client.state);
	mock_turns();
	second = request(GET, NULL); /* before it has come */
	run();
	assert_int_equal(peer.goaways, 1);
	assert_int_equal(peer.goaway_last, INT32_MAX);
	assert_int_equal(n_exchanges, 2);
	wait_until(mock.now_ns + 2 * CLOCK_NS_PER_S);
	assert_int_equal(peer.goaways, 2);
	assert_int_equal(peer.goaway_last, second);
	assert_int_equal(closed, 0);
	answer(&exchanges[0], "hello");
	answer(&exchanges[1], "hello");
	run();
	assert_string_equal(body_of(first), "hello");
	assert_true(mock.end_written);
	mock.ended = true;
	client.ops->events(client.state, EPOLLIN | EPOLLRDHUP);
	assert_int_equal(closed, 1);
	assert_false(exchanges[0].gone || exchanges[1].gone);
}

TEST(a_cut_is_said)
{
	request(GET, NULL);
	run();
	client.ops->cut(client.state, ENDING_DRAINED);
	assert_int_equal(closed, 2);
	assert_true(exchanges[0].gone);
	assert_int_equal(exchanges[0].why, ENDING_DRAINED);
	peer_recv();
	assert_int_equal(peer.goaways, 1);
}

TEST(no_http2_at_all)
{
	client.ops->cut(client.state, ENDING_DRAINED);
	mock_bury();
	buf_reset(&mock.out);
	closed = 0;
	assert_int_equal(front2_new(&client, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 32), 0);
	mock_turns();
	assert_int_not_equal(closed, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

RUN(T(a_request_and_its_answer), T(prior_knowledge_comes_with_its_bytes),
    T(bodies_and_trailers_of_requests), T(a_body_with_a_length), T(trailers_of_answers),
    T(an_answer_without_a_body_ends_with_its_head), T(interim_answers_pass),
    T(an_early_answer_stops_the_upload), T(frames_of_a_turn_are_one_write), T(nothing_is_held_back),
    T(a_known_length_ends_with_its_last_byte), T(a_stalled_upload_keeps_a_window_and_no_more),
    T(a_wide_window_is_a_limit_too), T(a_client_that_takes_nothing_stops_the_answer),
    T(small_pieces_do_not_pile_up), T(a_full_socket_stops_answers), T(resets_travel_both_ways),
    T(a_closed_connection_is_told_to_all), T(rapid_resets_end_the_connection),
    T(resets_that_are_provoked_count_too), T(resets_are_forgiven_with_answers_and_time),
    T(malformed_requests_are_reset), T(a_malformed_request_ends_no_others), T(nor_does_a_long_one),
    T(too_much_is_answered), T(a_bomb_ends_the_connection), T(endless_blocks_end_the_connection),
    T(floods_end_the_connection), T(unread_answers_are_not_collected), T(streams_are_limited),
    T(numbers_only_go_up), T(an_idle_connection_is_closed), T(half_a_head_is_not_waited_for),
    T(a_body_that_does_not_come_is_given_up), T(other_frames_do_not_put_that_off),
    T(an_answer_that_is_not_taken_is_given_up), T(a_socket_that_is_stuck_is_closed),
    T(drain_says_goaway_twice), T(a_cut_is_said), T(no_http2_at_all))
