// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pod that stands for a model server: answers every request with its own name, over TCP (HTTP/1.1) and UDP.
 * Must not know anything about services; whoever asks it sees which pod was reached.
 *
 *   model NAME [PORT]
 *
 *   TCP  GET /          NAME and a newline; the connection stays open
 *        GET /bytes/N   N bytes
 *        GET /stream    ten words and NAME, one each 100 ms, as they come (chunked), as a model's answer does
 *        PUT /          takes a body of Content-Length bytes, answers NAME and how many arrived
 *   UDP  any datagram   NAME, a blank and the datagram
 */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX 4096
#define CONNS_MAX 65536

/* One TCP connection: reads a head, perhaps a body, writes an answer; then the next. */
struct conn {
	int fd;
	bool closing;           /* close when everything is written */
	char head[REQUEST_MAX];
	size_t head_len;
	uint64_t body_left;     /* of a PUT, still to come */
	uint64_t body_len;
	bool in_body;
	char answer[512];
	size_t answer_len, answer_at;
	uint64_t fill_left;     /* bytes of GET /bytes/N still to send */
	int word;               /* of GET /stream, the next one; 0: none runs */
	int64_t word_at;        /* when, in ms */
	struct conn *next;      /* of those that stream */
};

static struct conn *streams;

static const char *name;
static int epoll_fd;
static char chunk[65536];

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void conn_free(struct conn *c)
{
	for (struct conn **at = &streams; *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			break;
		}
	close(c->fd);
	free(c);
}

static void conn_watch(struct conn *c, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = c };

	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

static void answer(struct conn *c, const char *body, uint64_t fill)
{
	size_t len = fill ? fill : strlen(body);

	c->answer_len = (size_t)snprintf(c->answer, sizeof(c->answer),
					 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n%s",
					 len, c->closing ? "Connection: close\r\n" : "", fill ? "" : body);
	c->answer_at = 0;
	c->fill_left = fill;
}

/* A head is complete: decides what to answer. */
static void take_head(struct conn *c)
{
	char body[128];
	const char *length = strcasestr(c->head, "\r\ncontent-length:");

	c->closing = strstr(c->head, "HTTP/1.0") || strcasestr(c->head, "\r\nconnection: close");
	if (!strncmp(c->head, "GET /bytes/", 11)) {
		answer(c, "", strtoull(c->head + 11, NULL, 10));
		return;
	}
	if (!strncmp(c->head, "GET /stream", 11)) {
		c->answer_len = (size_t)snprintf(c->answer, sizeof(c->answer),
						 "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
						 "Transfer-Encoding: chunked\r\n\r\n");
		c->answer_at = 0;
		c->fill_left = 0;
		c->word = 1;
		c->word_at = now_ms();
		c->next = streams;
		streams = c;
		return;
	}
	c->body_len = length ? strtoull(length + 17, NULL, 10) : 0;
	c->body_left = c->body_len;
	if (c->body_left) {
		c->in_body = true;
		return;
	}
	snprintf(body, sizeof(body), "%s\n", name);
	answer(c, body, 0);
}

static void take_body(struct conn *c, size_t n)
{
	char body[128];

	c->body_left -= n;
	if (c->body_left)
		return;
	c->in_body = false;
	snprintf(body, sizeof(body), "%s %llu bytes\n", name, (unsigned long long)c->body_len);
	answer(c, body, 0);
}

/* False: nothing more to write now, or the connection is dead (*ret_dead). */
static bool conn_write(struct conn *c, bool *ret_dead)
{
	while (c->answer_at < c->answer_len || c->fill_left) {
		bool head = c->answer_at < c->answer_len;
		size_t fill = c->fill_left < sizeof(chunk) ? (size_t)c->fill_left : sizeof(chunk);
		ssize_t n = head ? send(c->fd, c->answer + c->answer_at, c->answer_len - c->answer_at,
					MSG_NOSIGNAL | (c->fill_left ? MSG_MORE : 0))
				 : send(c->fd, chunk, fill, MSG_NOSIGNAL);

		if (n < 0) {
			*ret_dead = errno != EAGAIN;
			return false;
		}
		if (head)
			c->answer_at += (size_t)n;
		else
			c->fill_left -= (uint64_t)n;
	}
	*ret_dead = c->closing;
	return !c->closing;
}

/* Bytes that were read: a head byte by byte (requests may follow each other), a body by length. */
static bool conn_feed(struct conn *c, const char *data, size_t len, bool *ret_dead)
{
	while (len) {
		if (c->in_body) {
			size_t n = len < c->body_left ? len : (size_t)c->body_left;

			take_body(c, n);
			data += n;
			len -= n;
		} else {
			if (c->head_len + 1 >= sizeof(c->head)) {
				*ret_dead = true;
				return false;
			}
			c->head[c->head_len++] = *data++;
			len--;
			c->head[c->head_len] = 0;
			if (c->head_len < 4 || memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4))
				continue;
			take_head(c);
			c->head_len = 0;
		}
		if (c->answer_len && !conn_write(c, ret_dead))
			return false;
	}
	return true;
}

static void conn_ready(struct conn *c, uint32_t events)
{
	static char in[65536];
	bool dead = false;

	if (events & EPOLLOUT && !conn_write(c, &dead))
		goto out;
	for (;;) {
		ssize_t n = recv(c->fd, in, sizeof(in), 0);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			dead = true;
			break;
		}
		if (!conn_feed(c, in, (size_t)n, &dead))
			break;
	}
out:
	if (dead)
		conn_free(c);
	else
		conn_watch(c, c->answer_at < c->answer_len || c->fill_left ? EPOLLOUT : EPOLLIN);
}

/* The words that are due; one that cannot be sent at once ends the stream. */
static void stream_all(void)
{
	static const char *const words[] = { "the", "next", "pod", "answers", "word", "by", "word", "as", "models", "do" };
	int64_t now = now_ms();
	struct conn *next;

	for (struct conn *c = streams; c; c = next) {
		char text[160], chunk_of[200];
		int n, len;

		next = c->next;
		if (now < c->word_at || c->answer_at < c->answer_len)
			continue;
		len = c->word <= 10 ? snprintf(text, sizeof(text), "data: %s\n\n", words[c->word - 1])
				    : snprintf(text, sizeof(text), "data: (%s)\n\n", name);
		n = snprintf(chunk_of, sizeof(chunk_of), "%x\r\n%s\r\n%s", (unsigned)len, text,
			     c->word > 10 ? "0\r\n\r\n" : "");
		if (send(c->fd, chunk_of, (size_t)n, MSG_NOSIGNAL) != n) {
			conn_free(c);
			continue;
		}
		c->word_at = now + 100;
		if (c->word++ <= 10)
			continue;
		c->word = 0;
		for (struct conn **at = &streams; *at; at = &(*at)->next)
			if (*at == c) {
				*at = c->next;
				break;
			}
	}
}

static void accept_all(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *c = calloc(1, sizeof(*c));
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

		if (!c) {
			close(fd);
			continue;
		}
		c->fd = fd;
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
			conn_free(c);
	}
}

static void echo_all(int fd)
{
	static char in[65536], out[65536 + 128];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	ssize_t n;

	while ((n = recvfrom(fd, in, sizeof(in), 0, (struct sockaddr *)&from, &from_len)) >= 0) {
		size_t len = (size_t)snprintf(out, sizeof(out), "%s ", name);

		if ((size_t)n > 65000 - len)
			n = (ssize_t)(65000 - len);
		memcpy(out + len, in, (size_t)n);
		sendto(fd, out, len + (size_t)n, 0, (struct sockaddr *)&from, from_len);
		from_len = sizeof(from);
	}
}

static int open_socket(int type, uint16_t port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_ANY_INIT };
	int off = 0, on = 1, big = 4 << 20;
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (type == SOCK_DGRAM)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || (type == SOCK_STREAM && listen(fd, CONNS_MAX) < 0))
		return -1;
	return fd;
}

int main(int argc, char *argv[])
{
	uint16_t port = argc > 2 ? (uint16_t)atoi(argv[2]) : 8080;
	struct epoll_event events[64], event = { .events = EPOLLIN };
	int tcp, udp;

	if (argc < 2) {
		fputs("usage: model NAME [PORT]\n", stderr);
		return 2;
	}
	name = argv[1];
	memset(chunk, 'm', sizeof(chunk));
	signal(SIGPIPE, SIG_IGN);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	tcp = open_socket(SOCK_STREAM, port);
	udp = open_socket(SOCK_DGRAM, port);
	if (epoll_fd < 0 || tcp < 0 || udp < 0) {
		fprintf(stderr, "model %s: port %u: %s\n", name, port, strerror(errno));
		return 1;
	}
	event.data.ptr = &tcp;
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, tcp, &event);
	event.data.ptr = &udp;
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, udp, &event);
	for (;;) {
		int n = epoll_wait(epoll_fd, events, 64, streams ? 10 : -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == &tcp)
				accept_all(tcp);
			else if (events[i].data.ptr == &udp)
				echo_all(udp);
			else
				conn_ready(events[i].data.ptr, events[i].events);
		}
		stream_all();
	}
}
