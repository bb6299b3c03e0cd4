/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Many event streams at once: how long each event was on its way.
 *
 *	events ADDRESS:PORT HOST PATH STREAMS SECONDS [tls]
 *
 * Opens them all, says "ready" when each has had an event, measures for SECONDS from then on, prints lines of "key value". The
 * origin's clock is ours: both run on one machine.
 */
/* libs: ssl crypto */
#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"

#define DELAYS_MAX 4000000
#define IN_MAX     4096
#define EVENTS     256
#define READY_S    30

struct stream {
	int fd;
	SSL *tls;
	bool begun; /* had an event */
	unsigned in_len;
	char in[IN_MAX];
};

static uint32_t *delays; /* in tenths of a microsecond */
static size_t n_delays;
static unsigned failed, closed, begun;
static bool measuring;

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double percentile(double part)
{
	return n_delays ? delays[(size_t)((double)(n_delays - 1) * part)] / 10.0 : -1;
}

static bool open_stream(struct stream *s, const struct sockaddr_in *at, SSL_CTX *tls,
			const char *host, const char *request)
{
	int len = (int)strlen(request);

	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(s->fd, (const struct sockaddr *)at, sizeof(*at)))
		return false;
	no_delay(s->fd);
	if (!tls)
		return send(s->fd, request, (size_t)len, 0) == len;
	s->tls = SSL_new(tls);
	SSL_set_fd(s->tls, s->fd);
	SSL_set_tlsext_host_name(s->tls, host);
	return SSL_connect(s->tls) == 1 && SSL_write(s->tls, request, len) == len;
}

static void note_event(uint64_t sent, uint64_t now)
{
	uint64_t delay = now > sent ? (now - sent) / 100 : 0;

	if (measuring && n_delays < DELAYS_MAX)
		delays[n_delays++] = delay > UINT32_MAX ? UINT32_MAX : (uint32_t)delay;
}

/* Every whole event in what was read; what follows the last one is kept. */
static void find_events(struct stream *s, uint64_t now)
{
	char *at = s->in, *found, *end = s->in + s->in_len;
	size_t rest;

	while ((found = memmem(at, (size_t)(end - at), "data: ", 6)) && found + 27 <= end) {
		note_event(strtoull(found + 6, NULL, 10), now);
		at = found + 27;
		if (!s->begun) {
			s->begun = true;
			begun++;
		}
	}
	rest = (size_t)(end - at);
	if (rest > 64) { /* no event is longer: a head, or what surrounds chunks */
		at = end - 32;
		rest = 32;
	}
	memmove(s->in, at, rest);
	s->in_len = (unsigned)rest;
}

/* Reads all there is; false: this stream is over. */
static bool read_stream(struct stream *s)
{
	for (;;) {
		int room = IN_MAX - (int)s->in_len, n;
		bool again;

		if (s->tls) {
			n = SSL_read(s->tls, s->in + s->in_len, room);
			again = n <= 0 && SSL_get_error(s->tls, n) == SSL_ERROR_WANT_READ;
		} else {
			n = (int)recv(s->fd, s->in + s->in_len, (size_t)room, 0);
			again = n < 0 && errno == EAGAIN;
		}
		if (n <= 0)
			return again;
		s->in_len += (unsigned)n;
		find_events(s, now_ns());
		if (!s->tls && n < room)
			return true;
	}
}

static void open_all(struct stream *streams, int n, int epoll, char **argv, bool tls)
{
	struct sockaddr_in at = address_of(argv[1]);
	SSL_CTX *context = tls ? SSL_CTX_new(TLS_client_method()) : NULL;
	char request[512];

	snprintf(request, sizeof(request),
		 "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", argv[3],
		 argv[2]);
	for (int i = 0; i < n; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &streams[i] };

		if (!open_stream(&streams[i], &at, context, argv[2], request)) {
			failed++;
			continue;
		}
		fcntl(streams[i].fd, F_SETFL, O_NONBLOCK); /* not before: opening may block */
		epoll_ctl(epoll, EPOLL_CTL_ADD, streams[i].fd, &event);
	}
}

int main(int argc, char **argv)
{
	struct rlimit files = { 65536, 65536 };
	struct epoll_event events[EVENTS];
	int epoll = epoll_create1(0), n;
	uint64_t end;
	struct stream *streams;

	if (argc < 6) {
		fprintf(stderr, "usage: events ADDRESS:PORT HOST PATH STREAMS SECONDS [tls]\n");
		return 2;
	}
	setrlimit(RLIMIT_NOFILE, &files);
	n = atoi(argv[4]);
	delays = malloc(DELAYS_MAX * sizeof(*delays));
	streams = calloc((size_t)n, sizeof(*streams));
	if (!delays || !streams)
		die("memory");
	open_all(streams, n, epoll, argv, argc > 6);
	end = now_ns() + READY_S * 1000000000ull;
	while (now_ns() < end && closed + failed < (unsigned)n) {
		int got = epoll_wait(epoll, events, EVENTS, 100);

		for (int i = 0; i < got; i++) {
			struct stream *s = events[i].data.ptr;

			if (read_stream(s))
				continue;
			epoll_ctl(epoll, EPOLL_CTL_DEL, s->fd, NULL);
			close(s->fd);
			closed++;
		}
		if (!measuring && begun + failed == (unsigned)n) {
			measuring = true;
			end = now_ns() + (uint64_t)(atof(argv[5]) * 1e9);
			puts("ready");
			fflush(stdout);
		}
	}
	qsort(delays, n_delays, sizeof(*delays), by_value);
	printf("streams %d\nfailed %u\nclosed %u\nevents %zu\np50_us %.1f\np99_us %.1f\nmax_us %.1f\n",
	       n, failed, closed, n_delays, percentile(.5), percentile(.99), percentile(1));
	return measuring ? 0 : 1;
}
