// SPDX-License-Identifier: GPL-2.0-only
// A connection of HTTP/2 to an endpoint, against a server and exchanges made for the test.
/* link: user/ingress/back2.c user/ingress/back2_call.c user/ingress/http2_pipe.c user/ingress/http2_body.c user/ingress/http2_session.c user/ingress/http2_head.c user/ingress/http1.c user/base/buf.c user/base/loop.c user/base/clock.c */
/* libs: nghttp2 */
#include "unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "ingress/http2_session.h"
#include "ingress/back2.h"
#include "ingress/connect.h"
#include "ingress/settings.h"
#include "ingress/stats.h"
#include "ingress/tls.h"
#include "ingress/upstream.h"
#include "unit/mock2.h"

/* ---- the exchange ------------------------------------------------------------------------------------------------- */

struct exchange {
	struct back *back;
	struct buf head, body, trailer; /* the answer; interim heads too */
	size_t takes;
	bool ready, ended, failed, safe, reused;
	enum ending why;
	enum http1_body body_kind;
	int rooms;
	bool aborts_at_head;
};

static struct exchange exchanges[16];

static void record_text(struct buf *to, const struct http1_head *head, const char *bytes)
{
	for (size_t i = 0; i < head->seen; i++)
		if (bytes[i] != '\r')
			buf_putc(to, bytes[i]);
}

void exchange_back_ready(struct exchange *x, struct back *back)
{
	assert_ptr_equal(x->back, back);
	x->ready = true;
}

void exchange_back_failed(struct exchange *x, enum ending why, bool safe)
{
	assert_false(x->failed || x->ended);
	x->failed = true;
	x->why = why;
	x->safe = safe;
	x->reused = x->back->reused;
	x->back = NULL;
}

void exchange_response(struct exchange *x, const struct http1_head *head, const char *bytes)
{
	assert_false(x->failed || x->ended);
	record_text(&x->head, head, bytes);
	x->body_kind = head->body;
	if (x->aborts_at_head) {
		x->back->ops->abort(x->back, ENDING_CLIENT_CLOSED);
		x->back = NULL;
	}
}

size_t exchange_response_body(struct exchange *x, const char *data, size_t len)
{
	size_t n = len < x->takes ? len : x->takes;

	assert_false(x->failed || x->ended);
	buf_put(&x->body, data, n);
	x->takes -= n;
	return n;
}

void exchange_response_end(struct exchange *x, const struct http1_head *trailer, const char *bytes)
{
	assert_false(x->failed || x->ended);
	x->ended = true;
	x->back = NULL;
	if (trailer)
		record_text(&x->trailer, trailer, bytes);
}

void exchange_back_room(struct exchange *x)
{
	x->rooms++;
}

/* ---- what else back2 calls -------------------------------------------------------------------------------------------- */

static struct origin origin;
static struct pool_entry *shared;
static int connected, closed;
static int handshake; /* what sock_handshake() says */

int connect_start(const struct origin *o, const struct settings *settings, int *ret_fd)
{
	(void)settings;
	assert_ptr_equal(o, &origin);
	*ret_fd = open("/dev/null", O_RDONLY);
	return -EINPROGRESS;
}

int connect_result(int fd)
{
	(void)fd;
	return connected;
}

static struct sock *sock; /* of the connection */

int sock_open(struct sock *s, struct worker *worker, int fd, void (*fn)(void *arg, uint32_t events),
	      void *arg)
{
	*s = (struct sock){ .fd = fd, .worker = worker, .fn = fn, .arg = arg };
	sock = s;
	return 0;
}

int sock_handshake(struct sock *s)
{
	(void)s;
	return handshake;
}

void sock_close(struct sock *s, bool reset)
{
	close(s->fd);
	closed = reset ? 2 : 1;
}

struct origin *origin_hold(struct origin *o)
{
	o->refs++;
	return o;
}

void origin_drop(struct origin *o)
{
	if (o)
		o->refs--;
}

struct ssl_st *tls_connect(struct tls_origin *o, int fd)
{
	(void)o;
	(void)fd;
	return (struct ssl_st *)&origin; /* only looked at for being there */
}

struct tls_origin *tls_origin_hold(struct tls_origin *o)
{
	return o;
}

void tls_origin_drop(struct tls_origin *o)
{
	(void)o;
}

bool pool_share(struct pool *pool, struct origin *o, struct pool_entry *entry)
{
	(void)pool;
	(void)o;
	assert_null(shared);
	shared = entry;
	return true;
}

void pool_unshare(struct pool *pool, struct pool_entry *entry)
{
	(void)pool;
	assert_ptr_equal(shared, entry);
	shared = NULL;
}

void stats_gauge(struct stats *stats, enum stats_gauge gauge, int64_t change)
{
	(void)stats;
	(void)gauge;
	(void)change;
}

/* ---- the rig -------------------------------------------------------------------------------------------------------- */

static struct settings settings;
static void events(uint32_t bits)
{
	if (!closed)
		sock->fn(sock->arg, bits);
}

static void run(void)
{
	for (int i = 0; i < 1000; i++) {
		bool some = peer_send() > 0;

		if (some)
			events(EPOLLIN);
		mock_turns();
		some |= mock.out.len > 0;
		peer_recv();
		if (!some)
			return;
	}
	fail_msg("they talk for ever");
}

static struct exchange *start(int i, struct back_want want)
{
	struct exchange *x = &exchanges[i];
	int rc;

	x->takes = SIZE_MAX;
	want.origin = &origin;
	if (!shared) {
		assert_int_equal(back2_connect(&mock.worker, &want, x, &x->back), -EINPROGRESS);
		return x;
	}
	rc = back2_join(shared, x, &x->back);
	if (rc == 0)
		x->ready = true;
	return rc == -EAGAIN ? NULL : x;
}

#define REQUEST "POST /x HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: TE\r\n"
#define CHUNKED REQUEST "Transfer-Encoding: chunked\r\n\r\n"
#define GET     "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"

static void give(struct exchange *x, const char *text, enum http1_body body)
{
	assert_true(x->ready);
	assert_int_equal(x->back->ops->head(x->back, text, strlen(text), body), 0);
}

static int set_up(void **state)
{
	(void)state;
	settings = (struct settings){ .origin_idle_ns = 4 * CLOCK_NS_PER_S };
	mock_start(&settings);
	peer_start(true);
	memset(exchanges, 0, sizeof(exchanges));
	origin = (struct origin){ .refs = 1 };
	shared = NULL;
	connected = closed = handshake = 0;
	nghttp2_submit_settings(peer.session, NGHTTP2_FLAG_NONE, NULL, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (shared) {
		struct pool_entry *entry = shared;

		shared = NULL;
		back2_cut(entry);
	}
	mock_bury();
	assert_int_not_equal(closed, 0);
	assert_int_equal(origin.refs, 1);
	for (size_t i = 0; i < sizeof(exchanges) / sizeof(exchanges[0]); i++) {
		buf_done(&exchanges[i].head);
		buf_done(&exchanges[i].body);
		buf_done(&exchanges[i].trailer);
	}
	mock_end();
	peer_end();
	return 0;
}

/* Connected, with one exchange that waits for nothing. */
static struct exchange *open_one(void)
{
	struct exchange *x = start(0, (struct back_want){ .http2 = true });

	assert_false(x->ready);
	events(EPOLLOUT);
	assert_true(x->ready);
	return x;
}

/* An answer of the server. */
static void respond(int32_t id, const char *lines, struct peer_body *body)
{
	nghttp2_data_provider data = { .source = { .ptr = body }, .read_callback = peer_read };
	nghttp2_nv nv[16];
	size_t n = peer_fields(lines, nv, 16);

	nghttp2_submit_response(peer.session, id, nv, n, body ? &data : NULL);
}

/* ---- tests ---------------------------------------------------------------------------------------------------------- */

TEST(a_call_with_trailers_both_ways)
{
	static const char text[] = "x-check: 1\r\n\r\n";
	struct peer_body body = { .left = 100000, .trailer = "grpc-status: 0\n" };
	struct exchange *x = open_one();
	struct http1_head trailer;

	http1_head_init(&trailer, HTTP1_TRAILER, &http1_limits_trailer);
	assert_true(http1_head_read(&trailer, text, sizeof(text) - 1) > 0);
	give(x, CHUNKED, HTTP1_CHUNKED);
	assert_int_equal(x->back->ops->body(x->back, "hello", 5), 5);
	x->back->ops->end(x->back, &trailer, text);
	run();
	assert_string_equal(
		buf_str(&peer_stream(1)->head),
		":method: POST\n:scheme: http\n:authority: a.test\n:path: /x\nte: trailers\n");
	assert_string_equal(buf_str(&peer_stream(1)->body), "hello");
	assert_string_equal(buf_str(&peer_stream(1)->trailer), "x-check: 1\n");
	assert_true(peer_stream(1)->ended);
	respond(1, ":status: 200\ncontent-type: application/grpc\n", &body);
	run();
	assert_string_equal(buf_str(&x->head), "HTTP/1.1 200 \ncontent-type: application/grpc\n"
					       "transfer-encoding: chunked\n\n");
	assert_int_equal(x->body.len, 100000);
	assert_string_equal(buf_str(&x->trailer), "grpc-status: 0\n\n");
	assert_true(x->ended);
	assert_int_equal(peer_stream(1)->reset, -1);
	assert_int_equal(closed, 0);
}

TEST(an_end_with_the_head)
{
	struct exchange *x = open_one();

	give(x, GET, HTTP1_NO_BODY);
	run();
	assert_true(peer_stream(1)->ended);
	respond(1, ":status: 200\ngrpc-status: 5\n", NULL);
	run();
	assert_int_equal(x->body_kind, HTTP1_NO_BODY);
	assert_true(x->ended);
}

TEST(streams_share_a_connection)
{
	struct exchange *x = start(0, (struct back_want){ .http2 = true });
	struct exchange *y = start(1, (struct back_want){ .http2 = true }), *z;

	assert_false(x->ready || y->ready);
	events(EPOLLOUT);
	assert_true(x->ready && y->ready);
	assert_false(x->back->reused || y->back->reused);
	give(x, GET, HTTP1_NO_BODY);
	give(y, GET, HTTP1_NO_BODY);
	z = start(2, (struct back_want){ .http2 = true });
	give(z, GET, HTTP1_NO_BODY);
	run();
	assert_int_equal(mock.writes, 1);
	respond(5, ":status: 205\n", NULL);
	respond(1, ":status: 201\n", NULL);
	respond(3, ":status: 203\n", NULL);
	run();
	assert_true(x->ended && y->ended && z->ended);
	assert_non_null(strstr(buf_str(&x->head), "201"));
	assert_non_null(strstr(buf_str(&z->head), "205"));
	x = start(3, (struct back_want){ .http2 = true });
	assert_true(x->back->reused);
	x->back->ops->abort(x->back, ENDING_CLIENT_CLOSED);
	run();
}

TEST(the_endpoints_limit_is_obeyed)
{
	nghttp2_settings_entry one = { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1 };
	struct exchange *x = open_one();

	nghttp2_submit_settings(peer.session, NGHTTP2_FLAG_NONE, &one, 1);
	give(x, GET, HTTP1_NO_BODY);
	run();
	assert_null(start(1, (struct back_want){ .http2 = true }));
	respond(1, ":status: 200\n", NULL);
	run();
	assert_non_null(start(1, (struct back_want){ .http2 = true }));
}

TEST(goaway_makes_later_streams_safe)
{
	struct exchange *x = open_one(), *y = start(1, (struct back_want){ .http2 = true });

	give(x, GET, HTTP1_NO_BODY);
	give(y, GET, HTTP1_NO_BODY);
	run();
	nghttp2_submit_goaway(peer.session, NGHTTP2_FLAG_NONE, 1, NGHTTP2_NO_ERROR, NULL, 0);
	run();
	assert_null(shared);
	assert_true(y->failed && y->safe);
	assert_int_equal(y->why, ENDING_ORIGIN_RESET);
	assert_false(x->failed);
	respond(1, ":status: 200\n", NULL);
	run();
	assert_true(x->ended);
	assert_int_equal(closed, 1);
}

TEST(refused_is_safe_and_other_resets_are_not)
{
	struct peer_body part = { .left = 10, .stays_open = true };
	struct exchange *x = open_one(), *y = start(1, (struct back_want){ .http2 = true });
	struct exchange *z = start(2, (struct back_want){ .http2 = true });

	give(x, GET, HTTP1_NO_BODY);
	give(y, GET, HTTP1_NO_BODY);
	give(z, GET, HTTP1_NO_BODY);
	run();
	respond(5, ":status: 200\n", &part);
	run();
	assert_int_equal(z->body.len, 10);
	nghttp2_submit_rst_stream(peer.session, NGHTTP2_FLAG_NONE, 1, NGHTTP2_REFUSED_STREAM);
	nghttp2_submit_rst_stream(peer.session, NGHTTP2_FLAG_NONE, 3, NGHTTP2_INTERNAL_ERROR);
	nghttp2_submit_rst_stream(peer.session, NGHTTP2_FLAG_NONE, 5, NGHTTP2_REFUSED_STREAM);
	run();
	assert_true(x->failed && x->safe);
	assert_true(y->failed && !y->safe);
	assert_int_equal(y->why, ENDING_ORIGIN_RESET);
	assert_true(z->failed && !z->safe); /* it had answered already */
	assert_non_null(shared);
}

/* A request may go out twice if an old connection ended under it; not if the endpoint had it, and reset it. */
TEST(a_reset_is_not_the_end_of_an_old_connection)
{
	struct exchange *x = open_one(), *y;

	give(x, GET, HTTP1_NO_BODY);
	run();
	respond(1, ":status: 200\n", NULL);
	run();
	y = start(1, (struct back_want){ .http2 = true });
	assert_true(y->back->reused);
	give(y, CHUNKED, HTTP1_CHUNKED);
	run();
	nghttp2_submit_rst_stream(peer.session, NGHTTP2_FLAG_NONE, 3, NGHTTP2_INTERNAL_ERROR);
	run();
	assert_true(y->failed && !y->safe && !y->reused);
	y = start(2, (struct back_want){ .http2 = true });
	give(y, CHUNKED, HTTP1_CHUNKED);
	run();
	mock.ended = true;
	events(EPOLLIN | EPOLLRDHUP);
	run();
	assert_true(y->failed && !y->safe && y->reused);
}

TEST(an_abort_resets_the_stream_and_no_other)
{
	struct exchange *x = open_one(), *y = start(1, (struct back_want){ .http2 = true });

	give(x, CHUNKED, HTTP1_CHUNKED);
	give(y, GET, HTTP1_NO_BODY);
	run();
	x->back->ops->abort(x->back, ENDING_CLIENT_CLOSED);
	run();
	assert_int_equal(peer_stream(1)->reset, NGHTTP2_CANCEL);
	assert_int_equal(peer_stream(3)->reset, -1);
	respond(3, ":status: 200\n", NULL);
	run();
	assert_true(y->ended && !x->failed);
	/* From within its own call. */
	x = start(2, (struct back_want){ .http2 = true });
	x->aborts_at_head = true;
	give(x, GET, HTTP1_NO_BODY);
	run();
	respond(5, ":status: 200\n", NULL);
	run();
	assert_false(x->ended || x->failed);
}

TEST(a_connection_that_fails_is_safe)
{
	struct exchange *x = start(0, (struct back_want){ .http2 = true });
	struct exchange *y = start(1, (struct back_want){ .http2 = true });

	connected = -ECONNREFUSED;
	events(EPOLLOUT | EPOLLERR);
	assert_true(x->failed && x->safe && y->failed && y->safe);
	assert_int_equal(x->why, ENDING_ORIGIN_CONNECT);
	assert_null(shared);
	mock_turns();
}

TEST(a_connection_that_takes_too_long_fails)
{
	struct exchange *x = start(0, (struct back_want){ .http2 = true, .connect_ns = 5 });

	assert_non_null(mock.timer);
	mock.timer->fn(mock.timer->arg);
	assert_true(x->failed && x->safe);
	assert_int_equal(x->why, ENDING_ORIGIN_CONNECT);
	mock_turns();
}

TEST(tls_comes_first)
{
	struct back_want want = { .http2 = true, .tls = (struct tls_origin *)&origin };
	struct exchange *x = start(0, want);

	handshake = -EAGAIN;
	events(EPOLLOUT);
	assert_false(x->ready);
	handshake = 0;
	events(EPOLLIN);
	assert_true(x->ready);
	give(x, GET, HTTP1_NO_BODY);
	run();
	assert_non_null(strstr(buf_str(&peer_stream(1)->head), ":scheme: https"));
}

TEST(a_failed_handshake_is_named)
{
	struct back_want want = { .http2 = true, .tls = (struct tls_origin *)&origin };
	struct exchange *x = start(0, want);

	handshake = -EPROTO;
	events(EPOLLOUT);
	assert_true(x->failed && x->safe);
	assert_int_equal(x->why, ENDING_ORIGIN_TLS);
	mock_turns();
}

TEST(a_client_that_takes_nothing_holds_up_its_stream_only)
{
	struct peer_body stalled = { .left = 10 << 20 }, flows = { .left = 10 << 20 };
	struct exchange *x = open_one(), *y = start(1, (struct back_want){ .http2 = true });

	x->takes = 0;
	give(x, GET, HTTP1_NO_BODY);
	give(y, GET, HTTP1_NO_BODY);
	run();
	respond(1, ":status: 200\n", &stalled);
	run();
	assert_true((10 << 20) - stalled.left <= HTTP2_WINDOW);
	respond(3, ":status: 200\n", &flows);
	run();
	assert_int_equal(y->body.len, 10 << 20);
	assert_true(y->ended);
	x->takes = SIZE_MAX;
	x->back->ops->resume(x->back);
	run();
	assert_int_equal(x->body.len, 10 << 20);
	assert_true(x->ended);
}

/* The endpoint has said everything and is gone; the client has not taken it yet. */
TEST(a_complete_answer_outlives_its_connection)
{
	struct peer_body all = { .left = 50000 };
	struct exchange *x = open_one(), *y = start(1, (struct back_want){ .http2 = true });

	x->takes = 10;
	give(x, GET, HTTP1_NO_BODY);
	give(y, GET, HTTP1_NO_BODY);
	run();
	respond(1, ":status: 200\n", &all);
	run();
	mock.ended = true;
	events(EPOLLIN | EPOLLRDHUP);
	mock_turns();
	assert_int_equal(closed, 1);
	assert_true(y->failed);
	assert_int_equal(y->why, ENDING_ORIGIN_CLOSED);
	assert_false(x->failed);
	x->takes = SIZE_MAX;
	x->back->ops->resume(x->back);
	mock_turns();
	assert_int_equal(x->body.len, 50000);
	assert_true(x->ended);
}

TEST(and_may_be_abandoned_then)
{
	struct peer_body all = { .left = 50000 };
	struct exchange *x = open_one();

	x->takes = 10;
	give(x, GET, HTTP1_NO_BODY);
	run();
	respond(1, ":status: 200\n", &all);
	run();
	mock.ended = true;
	events(EPOLLIN | EPOLLRDHUP);
	mock_turns();
	x->back->ops->abort(x->back, ENDING_CLIENT_CLOSED);
	mock_turns();
	assert_false(x->failed || x->ended);
}

TEST(an_endpoint_that_takes_nothing_stops_the_upload)
{
	static char data[1 << 20];
	struct exchange *x = open_one();
	size_t sent;

	peer.consumes = false;
	give(x, CHUNKED, HTTP1_CHUNKED);
	sent = x->back->ops->body(x->back, data, sizeof(data));
	run();
	assert_true(sent <= 65535 + FRONT_KEEP);
	assert_int_equal(x->rooms, 0);
	peer.consumes = true;
	nghttp2_session_consume(peer.session, 1, peer_stream(1)->body.len);
	run();
	assert_int_equal(x->rooms, 1);
	sent += x->back->ops->body(x->back, data + sent, 1000);
	x->back->ops->end(x->back, NULL, NULL);
	run();
	assert_int_equal(peer_stream(1)->body.len, sent);
	assert_true(peer_stream(1)->ended);
}

TEST(an_early_answer_stops_the_upload)
{
	struct exchange *x = open_one();

	give(x, CHUNKED, HTTP1_CHUNKED);
	x->back->ops->body(x->back, "part", 4);
	run();
	respond(1, ":status: 413\n", NULL);
	run();
	assert_true(x->ended);
	assert_int_equal(peer_stream(1)->reset, NGHTTP2_CANCEL);
	assert_non_null(shared);
}

TEST(answers_that_are_none_are_faults)
{
	static const char *const lines[] = {
		":status: 20x\n",
		":status: 101\n",
		"x: y\n",
		":status: 200\nConnection: close\n",
		":status: 200\nx: a\x01\n",
		":status: 200\n:status: 200\n",
	};

	open_one();
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct exchange *x = i ? start((int)i, (struct back_want){ .http2 = true })
				       : &exchanges[0];

		give(x, GET, HTTP1_NO_BODY);
		run();
		respond((int32_t)(2 * i + 1), lines[i], NULL);
		run();
		if (!x->failed || x->why != ENDING_ORIGIN_FAULT || x->safe)
			fail_msg("%s: failed %d why %d safe %d", lines[i], x->failed, x->why,
				 x->safe);
	}
	assert_non_null(shared);
}

TEST(interim_answers_pass_and_are_limited)
{
	nghttp2_nv nv[2];
	struct exchange *x = open_one(), *y = start(1, (struct back_want){ .http2 = true });

	give(x, GET, HTTP1_NO_BODY);
	give(y, GET, HTTP1_NO_BODY);
	run();
	peer_fields(":status: 103\n", nv, 1);
	nghttp2_submit_headers(peer.session, NGHTTP2_FLAG_NONE, 1, NULL, nv, 1, NULL);
	run();
	respond(1, ":status: 200\n", NULL);
	run();
	assert_string_equal(buf_str(&x->head), "HTTP/1.1 103 \n\nHTTP/1.1 200 \n\n");
	assert_true(x->ended);
	for (int i = 0; i < 40; i++) {
		nghttp2_submit_headers(peer.session, NGHTTP2_FLAG_NONE, 3, NULL, nv, 1, NULL);
		run();
	}
	assert_true(y->failed);
	assert_int_equal(y->why, ENDING_ORIGIN_FAULT);
}

TEST(a_head_has_no_body)
{
	struct peer_body body = { .left = 3 };
	struct exchange *x = open_one(), *y = start(1, (struct back_want){ .http2 = true });

	x->back->is_head = y->back->is_head = true;
	give(x, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_NO_BODY);
	give(y, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_NO_BODY);
	run();
	respond(1, ":status: 200\ncontent-length: 99\n", NULL);
	respond(3, ":status: 200\n", &body);
	run();
	assert_true(x->ended);
	assert_int_equal(x->body_kind, HTTP1_NO_BODY);
	assert_true(y->failed);
	assert_int_equal(y->why, ENDING_ORIGIN_FAULT);
}

TEST(an_idle_connection_is_closed)
{
	struct exchange *x = open_one();

	give(x, GET, HTTP1_NO_BODY);
	run();
	assert_null(mock.timer);
	respond(1, ":status: 200\n", NULL);
	run();
	assert_non_null(mock.timer);
	assert_int_equal(mock.timer->deadline_ns, mock.now_ns + settings.origin_idle_ns);
	mock.timer->fn(mock.timer->arg);
	run();
	assert_int_equal(peer.goaways, 1);
	assert_int_equal(closed, 1);
}

TEST(one_that_left_the_pool_ends_with_its_streams)
{
	struct exchange *x = open_one();
	struct pool_entry *entry = shared;

	give(x, GET, HTTP1_NO_BODY);
	run();
	shared = NULL;
	back2_retire(entry);
	run();
	assert_int_equal(closed, 0);
	respond(1, ":status: 200\n", NULL);
	run();
	assert_true(x->ended);
	assert_int_equal(closed, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

RUN(T(a_call_with_trailers_both_ways), T(an_end_with_the_head), T(streams_share_a_connection),
    T(the_endpoints_limit_is_obeyed), T(goaway_makes_later_streams_safe),
    T(refused_is_safe_and_other_resets_are_not), T(a_reset_is_not_the_end_of_an_old_connection),
    T(an_abort_resets_the_stream_and_no_other), T(a_connection_that_fails_is_safe),
    T(a_connection_that_takes_too_long_fails), T(tls_comes_first), T(a_failed_handshake_is_named),
    T(a_client_that_takes_nothing_holds_up_its_stream_only),
    T(a_complete_answer_outlives_its_connection), T(and_may_be_abandoned_then),
    T(an_endpoint_that_takes_nothing_stops_the_upload), T(an_early_answer_stops_the_upload),
    T(answers_that_are_none_are_faults), T(interim_answers_pass_and_are_limited),
    T(a_head_has_no_body), T(an_idle_connection_is_closed),
    T(one_that_left_the_pool_ends_with_its_streams))
