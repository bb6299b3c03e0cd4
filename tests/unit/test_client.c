// SPDX-License-Identifier: GPL-2.0-only
// What comes before HTTP on a client's connection: the PROXY header.
/* link: user/ingress/client.c user/ingress/proxy_protocol.c user/core/address.c user/base/buf.c user/base/loop.c user/base/clock.c */
#include "unit/test.h"

#include <sys/socket.h>
#include <unistd.h>

#include "ingress/client.h"
#include "ingress/front1.h"
#include "ingress/front2.h"
#include "ingress/listen.h"
#include "ingress/peers.h"
#include "ingress/settings.h"
#include "ingress/stats.h"
#include "ingress/tls.h"
#include "unit/mock.h"

/* ---- what client.c calls -------------------------------------------------------------------------------------------- */

static struct client *met; /* that speaks HTTP/1.1 now */

int front1_new(struct client *client, const char *bytes, size_t len)
{
	(void)bytes;
	(void)len;
	met = client;
	return 0;
}

int front2_new(struct client *client, const char *bytes, size_t len)
{
	(void)client;
	(void)bytes;
	(void)len;
	return -ENOMEM;
}

static struct sock *sock;

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
	return 0;
}

void sock_close(struct sock *s, bool reset)
{
	(void)reset;
	close(s->fd);
}

bool peers_enter(struct peers *peers, const struct address *address)
{
	(void)peers;
	(void)address;
	return true;
}

void peers_leave(struct peers *peers, const struct address *address)
{
	(void)peers;
	(void)address;
}

bool peers_are_full(const struct peers *peers)
{
	(void)peers;
	return false;
}

bool peers_by_address(const struct peers *peers)
{
	(void)peers;
	return false;
}

void stats_add(struct stats *stats, enum stats_counter counter, uint64_t n)
{
	(void)stats;
	(void)counter;
	(void)n;
}

void stats_gauge(struct stats *stats, enum stats_gauge gauge, int64_t change)
{
	(void)stats;
	(void)gauge;
	(void)change;
}

struct ssl_st *tls_accept(struct tls *tls, int fd, void *arg)
{
	(void)tls;
	(void)fd;
	(void)arg;
	return NULL;
}

bool tls_speaks_http2(const struct ssl_st *ssl)
{
	(void)ssl;
	return false;
}

bool tls_was_resumed(const struct ssl_st *ssl)
{
	(void)ssl;
	return false;
}

/* ---- the rig -------------------------------------------------------------------------------------------------------- */

static struct cidr proxies[2];
static struct settings settings;
static int other; /* the client's end */

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(cidr_parse("10.0.0.1/32", &proxies[0]), 0);
	assert_int_equal(cidr_parse("192.0.2.0/24", &proxies[1]), 0);
	settings = (struct settings){ .proxy_protocol = true,
				      .trusted_proxies = proxies,
				      .n_trusted_proxies = 2 };
	mock_start(&settings);
	TAILQ_INIT(&mock.worker.clients);
	met = NULL;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	client_close_all(&mock.worker, ENDING_DRAINED);
	close(other);
	mock_turns();
	mock_end();
	return 0;
}

/* A connection from 10.0.0.1, and what it says. */
static void connect_and_say(const char *header)
{
	struct listener listener = { .port = 80 };
	struct address peer;
	int fds[2];

	assert_int_equal(address_parse("10.0.0.1", &peer), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	other = fds[1];
	client_new(&mock.worker, &listener, fds[0], &peer, 1000);
	assert_int_equal(write(other, header, strlen(header)), strlen(header));
	buf_puts(&mock.in, "GET / HTTP/1.1\r\n\r\n");
	sock->fn(sock->arg, EPOLLIN);
	assert_non_null(met);
}

/* ---- tests ---------------------------------------------------------------------------------------------------------- */

TEST(who_is_behind_a_trusted_proxy_is_not_trusted_for_that)
{
	connect_and_say("PROXY TCP4 203.0.113.9 5.6.7.8 1000 443\r\n");
	assert_int_equal(met->peer.b[0], 203);
	assert_int_equal(met->local_port, 443);
	assert_false(met->trusted);
}

TEST(another_trusted_proxy_is)
{
	connect_and_say("PROXY TCP4 192.0.2.7 5.6.7.8 1000 443\r\n");
	assert_true(met->trusted);
}

TEST(and_the_proxy_itself)
{
	connect_and_say("PROXY UNKNOWN\r\n");
	assert_int_equal(met->peer.b[0], 10);
	assert_true(met->trusted);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

RUN(T(who_is_behind_a_trusted_proxy_is_not_trusted_for_that), T(another_trusted_proxy_is),
    T(and_the_proxy_itself))
