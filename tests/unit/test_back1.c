// SPDX-License-Identifier: GPL-2.0-only
// A connection of HTTP/1.1 to an endpoint against an exchange, a pool and a socket made for the test.
/* link: user/ingress/back1.c user/ingress/recv1.c user/ingress/send1.c user/ingress/http1.c user/ingress/http1_chunk.c user/ingress/http1_write.c user/base/buf.c user/base/loop.c user/base/clock.c */
#include "unit/test.h"

#include "ingress/back1.h"
#include "ingress/connect.h"
#include "ingress/exchange.h"
#include "ingress/pool.h"
#include "ingress/settings.h"
#include "ingress/stats.h"
#include "ingress/tls.h"
#include "ingress/upstream.h"
#include "unit/mock.h"

/* ---- the exchange ------------------------------------------------------------------------------------------------- */

struct exchange {
	struct back *back;
	unsigned heads, status;
	struct buf body;
	bool ended, failed, failed_safe, failed_reused;
	enum ending why;
};

static struct exchange exchange;

void exchange_back_ready(struct exchange *x, struct back *back)
{
	(void)back;
	assert_ptr_equal(x, &exchange);
}

void exchange_back_failed(struct exchange *x, enum ending why, bool safe)
{
	x->failed = true;
	x->failed_safe = safe;
	x->failed_reused = x->back->reused;
	x->why = why;
}

void exchange_response(struct exchange *x, const struct http1_head *head, const char *bytes)
{
	assert_memory_equal(bytes, "HTTP/1.1 ", 9);
	x->heads++;
	x->status = head->status;
}

size_t exchange_response_body(struct exchange *x, const char *data, size_t len)
{
	assert_int_equal(buf_put(&x->body, data, len), 0);
	return len;
}

void exchange_response_end(struct exchange *x, const struct http1_head *trailer, const char *bytes)
{
	(void)trailer;
	(void)bytes;
	x->ended = true;
}

void exchange_back_room(struct exchange *x)
{
	(void)x;
}

/* ---- what else back1 calls ------------------------------------------------------------------------------------------ */

static struct pool_entry *pooled;
static bool closed;
static void (*on_events)(void *arg, uint32_t events);
static void *on_events_arg;

bool pool_put(struct pool *pool, struct origin *origin, struct pool_entry *entry)
{
	(void)pool;
	(void)origin;
	pooled = entry;
	return true;
}

void pool_remove(struct pool *pool, struct pool_entry *entry)
{
	(void)pool;
	assert_ptr_equal(entry, pooled);
	pooled = NULL;
}

int connect_start(const struct origin *origin, const struct settings *settings, int *ret_fd)
{
	(void)origin;
	(void)settings;
	*ret_fd = -1;
	return 0;
}

int connect_result(int fd)
{
	(void)fd;
	return 0;
}

int sock_open(struct sock *sock, struct worker *worker, int fd,
	      void (*fn)(void *arg, uint32_t events), void *arg)
{
	*sock = (struct sock){ .fd = fd, .worker = worker };
	on_events = fn;
	on_events_arg = arg;
	return 0;
}

int sock_handshake(struct sock *sock)
{
	(void)sock;
	return 0;
}

void sock_close(struct sock *sock, bool reset)
{
	(void)sock;
	(void)reset;
	closed = true;
}

struct origin *origin_hold(struct origin *origin)
{
	return origin;
}

void origin_drop(struct origin *origin)
{
	(void)origin;
}

struct tls_origin *tls_origin_hold(struct tls_origin *tls)
{
	return tls;
}

void tls_origin_drop(struct tls_origin *tls)
{
	(void)tls;
}

struct ssl_st *tls_connect(struct tls_origin *tls, int fd)
{
	(void)tls;
	(void)fd;
	return NULL;
}

void stats_gauge(struct stats *stats, enum stats_gauge gauge, int64_t n)
{
	(void)stats;
	(void)gauge;
	(void)n;
}

/* ---- the rig -------------------------------------------------------------------------------------------------------- */

#define READ_FIRST (16 * 1024) /* of back1: its first read */

static struct settings settings;
static struct origin origin;

static void send_request(void)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

	assert_int_equal(exchange.back->ops->head(exchange.back, text, strlen(text), HTTP1_NO_BODY),
			 0);
	mock_tasks();
	assert_string_equal(buf_str(&mock.out), text);
	buf_reset(&mock.out);
}

static void begin(struct back *back)
{
	buf_done(&exchange.body);
	exchange = (struct exchange){ .back = back };
	send_request();
}

static int set_up(void **state)
{
	struct back_want want = { .origin = &origin };
	struct back *back;

	(void)state;
	settings = (struct settings){ .origin_idle_ns = CLOCK_NS_PER_S };
	mock_start(&settings);
	pooled = NULL;
	closed = false;
	assert_int_equal(back1_connect(&mock.worker, &want, &exchange, &back), 0);
	begin(back);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (!closed)
		exchange.back->ops->abort(exchange.back, ENDING_CLIENT_CLOSED);
	mock_tasks();
	buf_done(&exchange.body);
	mock_end();
	return 0;
}

static void arrives(const char *bytes, size_t len)
{
	if (!len)
		return;
	assert_int_equal(buf_put(&mock.in, bytes, len), 0);
	on_events(on_events_arg, EPOLLIN);
	mock_tasks();
}

static void ends(void)
{
	mock.ended = true;
	on_events(on_events_arg, EPOLLIN | EPOLLRDHUP);
	mock_tasks();
}

/* Another exchange on the connection that waits in the pool; false: it is of no use. */
static bool use_again(void)
{
	struct pool_entry *entry = pooled;
	struct back *back;

	assert_non_null(entry);
	pooled = NULL;
	back = back1_reuse(entry, &exchange);
	if (back)
		begin(back);
	return back != NULL;
}

/* ---- tests ---------------------------------------------------------------------------------------------------------- */

static const char answer[] = "HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n"
			     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello";

TEST(an_answer_is_the_same_at_every_cut)
{
	for (size_t cut = 0; cut <= strlen(answer); cut++) {
		arrives(answer, cut);
		assert_int_equal(exchange.ended, cut == strlen(answer));
		arrives(answer + cut, strlen(answer) - cut);
		assert_int_equal(exchange.heads, 2);
		assert_int_equal(exchange.status, 200);
		assert_string_equal(buf_str(&exchange.body), "hello");
		assert_true(exchange.ended && !exchange.failed && !closed);
		assert_true(use_again());
	}
}

TEST(byte_by_byte)
{
	for (size_t i = 0; i < strlen(answer); i++)
		arrives(answer + i, 1);
	assert_int_equal(exchange.heads, 2);
	assert_string_equal(buf_str(&exchange.body), "hello");
	assert_true(exchange.ended);
	assert_non_null(pooled);
	assert_true(use_again());
}

/* What a head answers is not forgotten where it is cut: here there is no body, whatever Content-Length says. */
TEST(an_answer_to_head_in_two_pieces)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";

	exchange.back->is_head = true;
	arrives(text, 20);
	arrives(text + 20, strlen(text) - 20);
	assert_int_equal(exchange.heads, 1);
	assert_true(exchange.ended);
	assert_non_null(pooled);
	assert_true(use_again());
}

/* It may have acted on the request, so this is no race between a request and an idle connection's end. */
TEST(a_part_of_a_head_is_a_reaction)
{
	arrives(answer, strlen(answer));
	assert_true(use_again());
	arrives("HTTP/1.1 2", 10);
	ends();
	assert_true(exchange.failed && !exchange.failed_safe && !exchange.failed_reused);
	assert_int_equal(exchange.why, ENDING_ORIGIN_CLOSED);
}

TEST(and_nothing_at_all_is_none)
{
	arrives(answer, strlen(answer));
	assert_true(use_again());
	ends();
	assert_true(exchange.failed && exchange.failed_reused);
}

TEST(bytes_behind_an_answer_close_the_connection)
{
	char text[sizeof(answer) + 8];

	snprintf(text, sizeof(text), "%sHTTP/1", answer);
	arrives(text, strlen(text));
	assert_true(exchange.ended && closed);
	assert_null(pooled);
}

TEST(and_those_that_come_while_it_is_idle)
{
	arrives(answer, strlen(answer));
	assert_non_null(pooled);
	arrives("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38);
	assert_true(closed);
	assert_null(pooled);
}

/* They came before the loop could tell of them. */
TEST(and_those_that_nobody_was_told_of)
{
	arrives(answer, strlen(answer));
	buf_puts(&mock.in, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_false(use_again());
	assert_true(closed);
}

/* The answer ends where a read does: what is behind it will never be told of. */
TEST(and_those_that_one_read_did_not_reach)
{
	char *text = malloc(READ_FIRST + 1);
	int n;

	assert_non_null(text);
	memset(text, 'x', READ_FIRST);
	n = snprintf(text, READ_FIRST, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
		     READ_FIRST - 42);
	assert_int_equal(n, 42);
	text[n] = 'x';
	text[READ_FIRST] = 'H'; /* of an answer that nobody asked for */
	arrives(text, READ_FIRST + 1);
	free(text);
	assert_int_equal(exchange.body.len, READ_FIRST - 42);
	assert_true(exchange.ended);
	assert_false(use_again());
	assert_true(closed);
}

TEST(an_end_that_nobody_was_told_of)
{
	arrives(answer, strlen(answer));
	mock.ended = true;
	assert_false(use_again());
	assert_true(closed);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

RUN(T(an_answer_is_the_same_at_every_cut), T(byte_by_byte), T(an_answer_to_head_in_two_pieces),
    T(a_part_of_a_head_is_a_reaction), T(and_nothing_at_all_is_none),
    T(bytes_behind_an_answer_close_the_connection), T(and_those_that_come_while_it_is_idle),
    T(and_those_that_nobody_was_told_of), T(and_those_that_one_read_did_not_reach),
    T(an_end_that_nobody_was_told_of))
