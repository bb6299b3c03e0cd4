/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Full TLS handshakes, one after another on each of several connections; none is resumed, each is closed at once.
 *
 *	handshakes ADDRESS:PORT HOST CONNECTIONS SECONDS      lines of "key value"
 */
/* libs: ssl crypto */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench.h"

#define EVENTS 256

struct connection {
	int fd;
	SSL *tls;
};

static struct sockaddr_in at;
static SSL_CTX *context;
static const char *host;
static int epoll;

static void start(struct connection *c)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
	struct linger reset = { 1, 0 }; /* no port waits in TIME_WAIT */

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	no_delay(c->fd);
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	connect(c->fd, (struct sockaddr *)&at, sizeof(at));
	c->tls = SSL_new(context);
	SSL_set_fd(c->tls, c->fd);
	SSL_set_tlsext_host_name(c->tls, host);
	SSL_set_connect_state(c->tls);
	epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	struct connection *connections;
	unsigned done = 0, errors = 0;
	char suite[128] = "none";
	uint64_t end;
	int n;

	if (argc != 5) {
		fprintf(stderr, "usage: handshakes ADDRESS:PORT HOST CONNECTIONS SECONDS\n");
		return 2;
	}
	at = address_of(argv[1]);
	host = argv[2];
	n = atoi(argv[3]);
	epoll = epoll_create1(0);
	context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	connections = calloc((size_t)n, sizeof(*connections));
	if (!connections)
		die("calloc");
	for (int i = 0; i < n; i++)
		start(&connections[i]);
	end = now_ns() + (uint64_t)(atof(argv[4]) * 1e9);
	while (now_ns() < end) {
		int got = epoll_wait(epoll, events, EVENTS, 100);

		for (int i = 0; i < got; i++) {
			struct connection *c = events[i].data.ptr;
			int rc = SSL_do_handshake(c->tls), why = SSL_get_error(c->tls, rc);

			if (rc != 1 && (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE))
				continue;
			if (rc == 1) {
				if (!done++)
					snprintf(suite, sizeof(suite), "%s,%s",
						 SSL_get_version(c->tls), SSL_get_cipher(c->tls));
			} else {
				errors++;
				ERR_clear_error();
			}
			SSL_free(c->tls);
			close(c->fd);
			start(c);
		}
	}
	printf("handshakes %u\nerrors %u\nsuite %s\n", done, errors, suite);
	return 0;
}
