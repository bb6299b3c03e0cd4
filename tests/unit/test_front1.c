// SPDX-License-Identifier: GPL-2.0-only
// A client's connection of HTTP/1.1 against an exchange and a socket made for the test.
/* link: user/ingress/front1.c user/ingress/front1_answer.c user/ingress/recv1.c user/ingress/send1.c user/ingress/http1.c user/ingress/http1_chunk.c user/ingress/http1_write.c user/base/buf.c user/base/loop.c user/base/clock.c */
#include "unit/test.h"

#include "ingress/answer.h"
#include "ingress/client.h"
#include "ingress/exchange.h"
#include "ingress/front1.h"
#include "ingress/settings.h"
#include "ingress/stats.h"
#include "unit/mock.h"

/* ---- the exchange ------------------------------------------------------------------------------------------------- */

struct exchange {
	struct front *front;
	size_t taken;
	bool request_ended, gone;
};

static struct exchange exchange;

int exchange_start(struct front *front, const struct http1_head *head, const char *bytes)
{
	(void)head;
	(void)bytes;
	exchange = (struct exchange){ .front = front };
	front->exchange = &exchange;
	return 0;
}

size_t exchange_request_body(struct exchange *x, const char *data, size_t len)
{
	(void)data;
	assert_ptr_equal(x, &exchange);
	x->taken += len;
	return len;
}

void exchange_request_end(struct exchange *x, const struct http1_head *trailer, const char *bytes)
{
	(void)trailer;
	(void)bytes;
	assert_ptr_equal(x, &exchange);
	x->request_ended = true;
}

void exchange_client_gone(struct exchange *x, enum ending why)
{
	(void)why;
	x->gone = true;
}

void exchange_front_room(struct exchange *x)
{
	assert_ptr_equal(x, &exchange);
}

/* ---- what else front1 calls ----------------------------------------------------------------------------------------- */

static struct client client;
static int closed; /* 1: clean, 2: reset */

void client_deadline(struct client *c, uint64_t at_ns)
{
	(void)c;
	(void)at_ns;
}

void client_close(struct client *c, bool reset)
{
	(void)c;
	closed = reset ? 2 : 1;
}

void answer_refused(struct front *front, unsigned status, const char *reason)
{
	(void)front;
	fail_msg("refused: %u %s", status, reason);
}

void stats_add(struct stats *stats, enum stats_counter counter, uint64_t n)
{
	(void)stats;
	(void)counter;
	(void)n;
}

/* ---- the rig -------------------------------------------------------------------------------------------------------- */

static struct settings settings;

static int set_up(void **state)
{
	(void)state;
	settings = (struct settings){ .request_limits = http1_limits_request };
	mock_start(&settings);
	client = (struct client){ .worker = &mock.worker };
	client.sock.worker = &mock.worker;
	closed = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (!closed)
		client.ops->cut(client.state, ENDING_DRAINED);
	mock_end();
	return 0;
}

static void come(const char *text, uint32_t events)
{
	buf_puts(&mock.in, text);
	client.ops->events(client.state, events);
	mock_tasks();
}

/* A tunnel whose last bytes the client's socket does not take, and whose endpoint has closed. */
static void end_tunnel(void)
{
	static const char ask[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
				  "Upgrade: websocket\r\n\r\n";
	static const char text[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
				   "Upgrade: websocket\r\n\r\n";
	struct http1_out out = { .body = HTTP1_TUNNEL, .upgrade = true };
	struct http1_head head;

	assert_int_equal(front1_new(&client, ask, sizeof(ask) - 1), 0);
	mock_tasks();
	http1_head_init(&head, HTTP1_RESPONSE, &http1_limits_response);
	http1_head_answers(&head, false, true);
	assert_true(http1_head_read(&head, text, sizeof(text) - 1) > 0);
	assert_int_equal(exchange.front->ops->head(exchange.front, &head, text, &out), 0);
	mock_tasks();
	come("ping", EPOLLIN);
	assert_int_equal(exchange.taken, 4);
	mock.out_room = 0;
	assert_int_equal(exchange.front->ops->body(exchange.front, "last", 4), 4);
	exchange.front->ops->end(exchange.front, NULL, NULL);
	mock_tasks();
	assert_int_equal(closed, 0);
}

TEST(bytes_after_the_end_of_a_tunnel_are_for_nobody)
{
	end_tunnel();
	come("pong", EPOLLIN);
	assert_int_equal(exchange.taken, 4);
	mock.out_room = SIZE_MAX;
	come("", EPOLLOUT);
	assert_true(mock.end_written);
	assert_non_null(strstr(buf_str(&mock.out), "\r\n\r\nlast"));
	mock.ended = true;
	come("", EPOLLIN);
	assert_int_equal(closed, 1);
}

TEST(a_client_may_end_its_half_after_the_end_of_a_tunnel)
{
	end_tunnel();
	mock.ended = true;
	client.fin = true;
	come("", EPOLLIN | EPOLLRDHUP);
	assert_false(exchange.request_ended);
	mock.out_room = SIZE_MAX;
	come("", EPOLLOUT);
	assert_non_null(strstr(buf_str(&mock.out), "\r\n\r\nlast"));
	assert_int_equal(closed, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

RUN(T(bytes_after_the_end_of_a_tunnel_are_for_nobody),
    T(a_client_may_end_its_half_after_the_end_of_a_tunnel))
